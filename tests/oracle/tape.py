"""Reverse mode on numpy arrays, in float64: each operation notes how to pull a gradient back.

    x = Var(array);  y = exp(x)*2;  grads = gradients(total(y), [x])

Shapes broadcast as in numpy. Where a derivative does not exist it is 0, and the first of equal
maxima takes the gradient. Inside `with precision("f32")` every operation, forward and back, is one
of numpy's float32; in "bf16" parameters and what einsum reads and gives are rounded to bf16 besides,
in "all bf16" whatever has an axis or more. With a seed the last bit of each result is shaken:
another sample of what rounding does.
"""
import contextlib
import math
import threading

import numpy as np

_erf = np.vectorize(math.erf, otypes=[np.float64])


_now = threading.local()            # .kind, .shake: cases run in threads


@contextlib.contextmanager
def precision(kind, seed=None):
    """f64, f32, bf16 or all bf16, for the thread."""
    before = getattr(_now, "kind", "f64"), getattr(_now, "shake", None)
    _now.kind, _now.shake = kind, None if seed is None else np.random.default_rng(seed)
    try:
        yield
    finally:
        _now.kind, _now.shake = before


def rounded(a, made=True):
    """An array as the precision has it; made: it is the result of an operation."""
    kind = getattr(_now, "kind", "f64")
    if kind == "f64":
        return np.asarray(a, np.float64)
    a = np.asarray(shaken(a, 2**-24) if made else a, np.float32)
    return short(a) if kind == "all bf16" and a.ndim else a


def shaken(a, step):
    return a*(1 + step*_now.shake.uniform(-1, 1, np.shape(a))) if _now.shake else a


def short(a, made=True):
    """What is rounded to bf16 where that is the precision."""
    if getattr(_now, "kind", "f64") not in ("bf16", "all bf16"):
        return a
    a = np.array(shaken(a, 2**-9) if made else a, np.float32)
    bits = a.reshape(-1).view(np.uint32)
    bits = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(a), bits.view(np.float32).reshape(a.shape), a)


class Var:
    __slots__ = ("a", "pulls")
    __array_ufunc__ = None          # array*Var is left to Var

    def __init__(self, a, pulls=()):
        self.a = rounded(a, bool(pulls))
        self.pulls = pulls          # [(operand, function from the gradient of self to its own)]

    shape = property(lambda s: s.a.shape)

    def __add__(s, o): return _binary(s, o, np.add, lambda g, x, y: g, lambda g, x, y: g)
    def __sub__(s, o): return _binary(s, o, np.subtract, lambda g, x, y: g, lambda g, x, y: -g)
    def __mul__(s, o): return _binary(s, o, np.multiply, lambda g, x, y: g*y, lambda g, x, y: g*x)
    def __truediv__(s, o):
        return _binary(s, o, np.divide, lambda g, x, y: g/y, lambda g, x, y: -g*x/y**2)
    def __rsub__(s, o): return const(o) - s
    def __rtruediv__(s, o): return const(o)/s
    __radd__, __rmul__ = __add__, __mul__
    def __neg__(s): return s*-1.0
    def __matmul__(s, o): return einsum("...i,ij->...j", s, o)

    def __getitem__(s, key):
        def pull(g):
            out = np.zeros_like(s.a)
            np.add.at(out, key, g)
            return out
        return Var(s.a[key], [(s, pull)])

    def reshape(s, *shape):
        return Var(s.a.reshape(*shape), [(s, lambda g: g.reshape(s.a.shape))])

    def transpose(s, *axes):
        return Var(s.a.transpose(axes), [(s, lambda g: g.transpose(np.argsort(axes)))])


def parameter(x):
    return Var(short(x, False))


def const(x):
    return x if isinstance(x, Var) else Var(x)


def _shrink(g, shape):
    """Sums a gradient over the axes along which its operand was repeated."""
    g = g.sum(tuple(range(g.ndim - len(shape))))
    return g.sum(tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1), keepdims=True)


def _binary(x, y, f, dx, dy):
    x, y = const(x), const(y)
    return Var(f(x.a, y.a), [(x, lambda g: _shrink(dx(g, x.a, y.a), x.shape)),
                             (y, lambda g: _shrink(dy(g, x.a, y.a), y.shape))])


def _unary(x, y, dydx):
    return Var(y, [(x, lambda g: g*dydx)])


def exp(x): y = np.exp(x.a); return _unary(x, y, y)
def log(x): return _unary(x, np.log(x.a), 1/x.a)
def tanh(x): y = np.tanh(x.a); return _unary(x, y, 1 - y*y)
def relu(x): return _unary(x, np.maximum(x.a, 0), (x.a > 0)*1.0)
def absolute(x): return _unary(x, np.abs(x.a), np.sign(x.a))
def erf(x): return _unary(x, _erf(x.a), 2/math.sqrt(math.pi)*np.exp(-x.a**2))
def square(x): return _unary(x, x.a**2, 2*x.a)


def sigmoid(x):
    e = np.exp(-np.abs(x.a))
    y = np.where(x.a >= 0, 1/(1 + e), e/(1 + e))
    return _unary(x, y, y*(1 - y))


def sqrt(x):
    y = np.sqrt(x.a)
    return _unary(x, y, np.divide(0.5, y, out=np.zeros_like(y), where=y > 0))


def maximum(x, y):
    return _binary(x, y, np.maximum, lambda g, a, b: g*(a >= b), lambda g, a, b: g*(a < b))


def total(x, axis=None, keep=False):
    axes = tuple(range(x.a.ndim)) if axis is None else (axis,)
    return Var(x.a.sum(axes, keepdims=keep), [
        (x, lambda g: np.broadcast_to(g if keep else np.expand_dims(g, axes), x.shape))])


def mean(x, axis=None, keep=False):
    return total(x, axis, keep)*(1.0/(x.a.size if axis is None else x.shape[axis]))


def largest(x):
    """max over the last axis; the first of equals takes the gradient."""
    at = x.a.argmax(-1)[..., None]

    def pull(g):
        out = np.zeros_like(x.a)
        np.put_along_axis(out, at, g[..., None], -1)
        return out
    return Var(np.take_along_axis(x.a, at, -1)[..., 0], [(x, pull)])


def concat(parts, axis=0):
    parts = [const(p) for p in parts]
    ends = np.cumsum([p.shape[axis] for p in parts])
    pulls = [(p, lambda g, e=e, n=p.shape[axis]: np.take(g, range(e - n, e), axis))
             for p, e in zip(parts, ends)]
    return Var(np.concatenate([p.a for p in parts], axis), pulls)


def stack(parts, axis=0):
    return Var(np.stack([p.a for p in parts], axis),
               [(p, lambda g, i=i: np.take(g, i, axis)) for i, p in enumerate(parts)])


def flip(x, axis):
    return Var(np.flip(x.a, axis), [(x, lambda g: np.flip(g, axis))])


def einsum(spec, *xs):
    """Every index of an operand must stand in the result or in another operand."""
    xs = [const(x) for x in xs]
    ins, out = spec.split("->")
    ins = ins.split(",")
    extra = next((x.a.ndim - len(s) + 3 for s, x in zip(ins, xs) if "..." in s), 0)
    ins, out = [s.replace("...", "UVWXYZ"[:extra]) for s in ins], out.replace("...", "UVWXYZ"[:extra])
    arrays = [short(x.a) for x in xs]

    def pull(i):
        others = [(s, a) for j, (s, a) in enumerate(zip(ins, arrays)) if j != i]
        names = ",".join([out] + [s for s, _ in others]) + "->" + ins[i]
        return lambda g: short(np.einsum(names, short(g), *[a for _, a in others], optimize=True))
    return Var(short(np.einsum(",".join(ins) + "->" + out, *arrays, optimize=True)),
               [(x, pull(i)) for i, x in enumerate(xs)])


def take_last(x, ids):
    """x[..., ids[...]]"""
    return x[tuple(np.indices(ids.shape)) + (ids,)]


def gradients(y, xs):
    """Gradients of the scalar y; zeros where nothing of x reaches it."""
    order, seen, todo = [], set(), [(y, False)]
    while todo:
        v, done = todo.pop()
        if done:
            order.append(v)
        elif id(v) not in seen:
            seen.add(id(v))
            todo.append((v, True))
            todo += [(o, False) for o, _ in v.pulls]
    grads = {id(y): np.ones_like(y.a)}
    for v in reversed(order):
        g = grads.get(id(v))
        if g is not None:
            for o, pull in v.pulls:
                p = rounded(pull(g))
                grads[id(o)] = grads[id(o)] + p if id(o) in grads else p
    return [np.array(grads.get(id(x), np.zeros_like(x.a))) for x in xs]
