"""What the references share: the parts of networks, on a tape, batch first."""
import numpy as np

import tape as t


class Params:
    """Named parameters; p("x_r") reads prefix + "x_r"; p.at("att.") is the same set further down."""

    def __init__(self, arrays, prefix="", leaves=None):
        self.prefix = prefix
        self.leaves = {k: t.parameter(v) for k, v in arrays.items()} if leaves is None else leaves

    def at(self, more):
        return Params(None, self.prefix + more, self.leaves)

    def has(self, name):
        return self.prefix + name in self.leaves

    def __call__(self, name, *shape):
        v = self.leaves[self.prefix + name]
        return v.reshape(*shape) if shape else v

    def row(self, name):
        return self(name, -1)

    def gradients(self, loss):
        names = list(self.leaves)
        return dict(zip(names, t.gradients(loss, [self.leaves[n] for n in names])))


def linear(x, w):
    return t.einsum("...i,oi->...o", x, w)


def standardize(x, eps):
    c = x - t.mean(x, -1, True)
    return c/t.sqrt(t.mean(t.square(c), -1, True) + eps)


def layer_norm(p, x):
    return standardize(x, 1e-5)*p("weight") + p("bias")


def group_norm(p, y, eps):
    """y [B,T,H,N] -> [B,T,H*N]"""
    z = standardize(y, eps)
    return z.reshape(*y.shape[:-2], -1)*p("weight") + p("bias")


def silu(x):
    return x*t.sigmoid(x)


def gelu(x):
    return 0.5*x*(1 + t.erf(x*(0.5**0.5)))


def shift(x, last=None):
    """Row t becomes row t-1 along axis 1; the first is zero."""
    first = np.zeros_like(x.a[:, :1]) if last is None else last
    return t.concat([first, x[:, :-1]], 1)


def heads(x, n):
    return x.reshape(*x.shape[:-1], -1, n)


def cross_entropy(logits, target):
    """-log softmax, one a position."""
    top = logits.a.max(-1, keepdims=True)
    return t.log(t.total(t.exp(logits - top), -1)) + top[..., 0] - t.take_last(logits, target)


def l2wrap(logits):
    return 0.5e-4*t.mean(t.square(t.largest(logits)))


def softmax(x):
    e = t.exp(x - x.a.max(-1, keepdims=True))
    return e/t.total(e, -1, True)


def conv2d(x, w, stride=1, pad=0):
    """x [B,K,I,J], w [M,K/groups,P,Q]: one term for each place in the window."""
    M, G, P, Q = w.shape
    groups = x.shape[1]//G
    B = x.shape[0]
    if pad:
        for axis in (2, 3):
            edge = list(x.shape)
            edge[axis] = pad
            x = t.concat([np.zeros(edge), x, np.zeros(edge)], axis)
    I, J = (x.shape[2] - P)//stride + 1, (x.shape[3] - Q)//stride + 1
    xg = x.reshape(B, groups, G, *x.shape[2:])
    wg = w.reshape(groups, M//groups, G, P, Q)
    y = 0.0
    for p in range(P):
        for q in range(Q):
            part = xg[:, :, :, p:p + (I - 1)*stride + 1:stride, q:q + (J - 1)*stride + 1:stride]
            y = t.einsum("ngcij,gmc->ngmij", part, wg[:, :, :, p, q]) + y
    return y.reshape(B, M, I, J)


def conv2d_up(x, w):
    """Transposed, stride = kernel: x [B,K,I,J], w [K,M,S,S]."""
    y = t.einsum("nkij,kmab->nmiajb", x, w)
    n, m, i, a, j, b = y.shape
    return y.reshape(n, m, i*a, j*b)


def rope(x, base=10000.0):
    """x [B,T,H,N]: entries n and n + N/2 are a plane, turned by t*base^(-2n/N)."""
    T, half = x.shape[1], x.shape[3]//2
    angle = np.outer(np.arange(T), base**(-np.arange(half)/half))[None, :, None, :]
    a, b = x[..., :half], x[..., half:]
    return t.concat([a*np.cos(angle) - b*np.sin(angle), a*np.sin(angle) + b*np.cos(angle)], 3)
