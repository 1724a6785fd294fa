"""Models a researcher might try, each against a few lines of numpy: results, the loss, gradients by
differences of that loss, and where it streams the same numbers in pieces and step by step.

A reference takes parameters and inputs and gives ({result: array}, loss)."""
from math import erf

import numpy as np

from cases import case, own


def sigmoid(x): return 1/(1 + np.exp(-x))
def silu(x): return x*sigmoid(x)
def softplus(x): return np.logaddexp(0, x)
def rms(x, w): return x/np.sqrt((x*x).mean(-1, keepdims=True) + 1e-5)*w
def standard(x, axis): return (x - x.mean(axis, keepdims=True))/np.sqrt(x.var(axis, keepdims=True) + 1e-5)
def unit(x): return x/np.maximum(np.sqrt((x*x).sum(-1, keepdims=True)), 1e-12)
def heads(x, n): return x.reshape(x.shape[:-1] + (-1, n))
def below(P, path): return {k[len(path) + 1:]: v for k, v in P.items() if k.startswith(path + ".")}
def norm(P, path, x): return standard(x, -1)*P[path + ".weight"] + P[path + ".bias"]


def log_softmax(x):
    m = x.max(-1, keepdims=True)
    return x - m - np.log(np.exp(x - m).sum(-1, keepdims=True))


def cross_entropy(x, y):
    return -np.take_along_axis(log_softmax(x), y[..., None], -1)[..., 0]


# ---- the comparison --------------------------------------------------------------------------------

def randoms(b, path, entry, seed=1):
    """Parameters of the text's own shapes, moved away from their first values."""
    rng = np.random.default_rng(seed)
    first = b.tool.call(path, entry, params_out=True).params
    return {k: np.float64(v) + 0.3*rng.standard_normal(v.shape) for k, v in sorted(first.items())}


def differences(b, ref, P, ins, grads, h=1e-5):
    rng = np.random.default_rng(2)
    scale = np.sqrt(sum(float((g**2).sum()) for g in grads.values()))
    worst, name = 0.0, "none"
    for k in sorted(grads):
        d = rng.standard_normal(grads[k].shape)
        d /= np.linalg.norm(d)
        up, down = (ref(dict(P, **{k: P[k] + s*d}), ins)[1] for s in (h, -h))
        e = abs((up - down)/(2*h) - float((grads[k]*d).sum()))/scale
        if not e <= worst:
            worst, name = e, k
    b.note(" gradients against differences, worst " + name, worst, b.widen(1e-7))


def in_pieces(b, path, P, ins, whole, pieces, once):
    """`once`: inputs of the sequence, without its axis."""
    T = next(v.shape[1] for k, v in ins.items() if k not in once)
    cut = lambda a, z: {k: v if k in once else v[:, a:z] for k, v in ins.items()}
    outs = sorted(whole.outs)
    joined = {k: [] for k in outs}
    state, at = None, 0
    for n in pieces + [T - sum(pieces)]:
        r = b.tool.call(path, "forward", None, P, cut(at, at + n), outs, state_in=state, state_out=True)
        state, at = r.state, at + n
        for k in outs:
            joined[k].append(r.outs[k])
    what = " " + "+".join(map(str, pieces)) + "+rest"
    for k in outs:
        b.close(what + " " + k, np.concatenate(joined[k], 1), whole.outs[k], 1e-12, True)
    b.all_close(what + " states", state, whole.state, 1e-12, zeros=False)


def streams(b, path, P, ins, whole, once):
    in_pieces(b, path, P, ins, whole, [1, 3], once)
    in_pieces(b, path, P, ins, whole, [4, 2, 1], once)
    outs = sorted(whole.outs)
    got = {k: [] for k in outs}
    state = None
    for t in range(whole.outs[outs[0]].shape[1]):
        now = {k: v if k in once else v[:, t] for k, v in ins.items()}
        r = b.tool.call(path, "step", None, P, now, outs, state_in=state, state_out=True)
        state = r.state
        for k in outs:
            got[k].append(r.outs[k])
    last = b.tool.call(path, "prefill", None, P, ins, outs, state_out=True)
    for k in outs:
        b.close(" one by one " + k, np.stack(got[k], 1), whole.outs[k], 1e-12, True)
        b.close(" prefill " + k, last.outs[k], whole.outs[k][:, -1], 1e-12, True)
    b.all_close(" one by one, states", state, whole.state, 1e-12, zeros=False)
    b.all_close(" prefill, states", last.state, whole.state, 1e-12, zeros=False)


def compare(b, name, ref, ins, targets, states=False, once=(), prefix=""):
    path = own("zoo/" + name)
    P = randoms(b, path, prefix + "init")
    want, loss = ref(P, dict(ins, **targets))
    r = b.tool.call(path, prefix + "forward", None, P, ins, sorted(want), state_out=states)
    for k in sorted(want):
        b.close(" " + k, r.outs[k], want[k], 1e-12, True)
    g = b.tool.call(path, prefix + "grad", None, P, dict(ins, **targets), ["loss"], grads=True)
    b.close(" loss", g.outs["loss"], loss, 1e-12, True)
    differences(b, ref, P, dict(ins, **targets), g.grads)
    if states:
        streams(b, path, P, ins, r, once)


def words(seed, B=2, T=9, V=13):
    return np.random.default_rng(seed).integers(0, V, (B, T)).astype(np.int32)


# ---- recurrences -----------------------------------------------------------------------------------

def gla_ref(P, ins):
    x = P["emb"][ins["token"]]
    B, T, D = x.shape
    for l in range(2):
        p = below(P, "layers.%d" % l)
        z, p = rms(x, p["n1.weight"]), below(p, "att")
        q, k, v = (heads(z @ p[n + ".weight"].T, 6) for n in "qkv")
        a = heads(sigmoid(z @ p["gk.0"].T @ p["gk.1"].T + p["gk.bias"])**(1/16), 6)
        S, o = np.zeros((B, 2, 6, 6)), np.zeros(q.shape)
        for t in range(T):
            S = a[:, t, :, :, None]*S + k[:, t, :, :, None]*v[:, t, :, None, :]
            o[:, t] = np.einsum("bhi,bhij->bhj", q[:, t], S)/np.sqrt(6)
        o = rms(o, p["norm.weight"]).reshape(B, T, D)*silu(z @ p["g.weight"].T)
        x = x + o @ p["o.weight"].T
    logits = rms(x, P["n.weight"]) @ P["emb"].T
    return {"logits": logits}, cross_entropy(logits, ins["target"]).mean()


@case
def zoo_gla(b): compare(b, "gla", gla_ref, {"token": words(1)}, {"target": words(2)}, True)


def lstm(p, x, mask=None, first=None, backward=False):
    B, T, _ = x.shape
    h = c = np.zeros((B, 7))
    out = np.zeros((B, T, 7))
    for t in reversed(range(T)) if backward else range(T):
        if first is not None:
            h, c = (np.where(first[:, t, None] != 0, 0, s) for s in (h, c))
        i, f, g, o = np.split(x[:, t] @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias"], 4, 1)
        c1 = sigmoid(f)*c + sigmoid(i)*np.tanh(g)
        h1 = out[:, t] = sigmoid(o)*np.tanh(c1)
        on = 1 if mask is None else mask[:, t, None]
        h, c = np.where(on, h1, h), np.where(on, c1, c)
    return out


def lstm_ref(P, ins):
    x, mask = P["emb"][ins["token"]], ins["mask"]
    y = np.concatenate([lstm(below(P, "f"), x, mask), lstm(below(P, "r"), x, mask, backward=True)], -1)
    logits = lstm(below(P, "second"), y, first=ins["first"]) @ P["head.weight"].T + P["head.bias"]
    return {"logits": logits}, (mask*cross_entropy(logits, ins["target"])).sum()/mask.sum()


@case
def zoo_lstm(b):
    rng = np.random.default_rng(3)
    ins = {"token": words(1), "mask": (rng.random((2, 9)) < 0.7)*1.0, "first": (rng.random((2, 9)) < 0.3)*1.0}
    compare(b, "lstm", lstm_ref, ins, {"target": words(2)})


def momentum_ref(P, ins):
    x, p = P["emb"][ins["token"]], below(P, "mem")
    B, T, D = x.shape
    q, k = (unit(heads(silu(x @ p[n].T), 4)) for n in "qk")
    v, g = heads(x @ p["v"].T, 4), heads(sigmoid(x @ p["gates"].T), 2)[..., None, None]
    S = M = np.zeros((B, 2, 4, 4))
    o = np.zeros(v.shape)
    for t in range(T):
        e = v[:, t] - np.einsum("bhij,bhj->bhi", S, k[:, t])
        M = g[:, t, 0]*M + g[:, t, 1]*e[..., None]*k[:, t, :, None]
        S = g[:, t, 2]*S + M
        o[:, t] = np.einsum("bhij,bhj->bhi", S, q[:, t])
    logits = (x + o.reshape(B, T, D)) @ P["emb"].T
    return {"logits": logits}, cross_entropy(logits, ins["target"]).mean()


@case
def zoo_momentum(b): compare(b, "momentum", momentum_ref, {"token": words(1)}, {"target": words(2)}, True)


def selective_ref(P, ins):
    x = P["emb"][ins["token"]]
    B, T, D = x.shape
    for l in range(2):
        p = below(P, "l.%d" % l)
        z, p = rms(x, p["norm.weight"]), below(p, "ssm")
        u, gate = np.split(z @ p["in_proj"].T, 2, -1)
        u = np.pad(u, ((0, 0), (3, 0), (0, 0)))
        u = silu(sum(u[:, j:j + T]*p["conv.weight"][:, j] for j in range(4)) + p["conv.bias"])
        q = u @ p["x_proj"].T
        delta = softplus(q[..., :2] @ p["dt"].T + p["dt_bias"])
        h, o = np.zeros((B, D, 3)), np.zeros(u.shape)
        for t in range(T):
            h = np.exp(-delta[:, t, :, None]*np.exp(p["A_log"]))*h + (delta*u)[:, t, :, None]*q[:, t, None, 2:5]
            o[:, t] = (h*q[:, t, None, 5:]).sum(-1) + p["skip"]*u[:, t]
        x = x + (o*silu(gate)) @ p["out"].T
    logits = x @ P["emb"].T
    return {"logits": logits}, cross_entropy(logits, ins["target"]).mean()


@case
def zoo_selective(b): compare(b, "selective", selective_ref, {"token": words(1)}, {"target": words(2)}, True)


def gru(p, x, mask, backward=False):
    h, out = np.repeat(p["h0"][None], len(x), 0), np.zeros(x.shape)
    for t in reversed(range(x.shape[1])) if backward else range(x.shape[1]):
        a, u = np.split(x[:, t] @ p["w"].T, 3, 1), np.split(h @ p["u"].T, 3, 1)
        r, z = sigmoid(a[0] + u[0]), sigmoid(a[1] + u[1])
        out[:, t] = (1 - z)*np.tanh(a[2] + r*u[2]) + z*h
        h = np.where(mask[:, t, None], out[:, t], h)
    return out


def encoder_ref(P, ins):
    x, mask = P["emb"][ins["token"]], ins["mask"]
    for l in range(2):
        p = below(P, "l%d" % l)
        x = (x + gru(below(p, "fw"), norm(p, "ln", x), mask) +
             gru(below(p, "bw"), norm(p, "ln2", x), mask, True))
    w = np.exp(log_softmax(np.where(mask > 0, x @ P["query"], -1e30)))
    feature = np.einsum("bt,btd->bd", w, x)
    p = log_softmax(feature @ P["head.weight"].T + P["head.bias"])
    loss = -p[np.arange(len(p)), ins["label"]].mean() + 0.01*(feature**2).mean()
    return {"p": p, "feature": feature}, loss


@case
def zoo_encoder(b):
    mask = np.ones((2, 9))
    mask[0, 6:] = 0
    compare(b, "encoder", encoder_ref, {"token": words(1), "mask": mask}, {"label": np.array([0, 2], np.int32)})


# ---- other layers and losses -------------------------------------------------------------------------

def conv(x, w, stride=1, pad=0):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    P, Q = w.shape[2:]
    I, J = (x.shape[2] - P)//stride + 1, (x.shape[3] - Q)//stride + 1
    cut = lambda i, j: x[:, :, i:i + stride*I:stride, j:j + stride*J:stride][:, :, :I, :J]
    return sum(np.einsum("mk,nkij->nmij", w[:, :, i, j], cut(i, j)) for i in range(P) for j in range(Q))


def conv_up(x, w):
    S = w.shape[2]
    out = np.zeros((x.shape[0], w.shape[1], x.shape[2]*S, x.shape[3]*S))
    for i in range(S):
        for j in range(S):
            out[:, :, i::S, j::S] = np.einsum("km,nkij->nmij", w[:, :, i, j], x)
    return out


def unet_ref(P, ins):
    def block(n, x):
        z = standard(conv(x, P[n + ".w"], 1, 1), (2, 3))*P[n + ".g"][:, None, None]
        return 0.5*z*(1 + np.vectorize(erf)(z/np.sqrt(2)))
    a = block("a", ins["image"])
    b = block("b", conv(a, P["d1"], 2))
    c = block("c", conv(b, P["d2"], 2))
    d = block("b2", np.concatenate([conv_up(c, P["u2"]), b], 1))
    e = block("a2", np.concatenate([conv_up(d, P["u1"]), a], 1))
    out = ins["image"] + conv(e, P["last"])
    return {"out": out}, np.abs(out - ins["target"]).mean()


@case
def zoo_unet(b):
    image, target = np.random.default_rng(3).random((2, 2, 3, 8, 12))
    compare(b, "unet", unet_ref, {"image": image}, {"target": target})


def experts_ref(P, ins):
    x, load = P["emb"][ins["token"]], 0
    for l in range(2):
        p = below(P, "l%d" % l)
        z, p = norm(p, "ln", x), below(p, "moe")
        r = np.exp(log_softmax(z @ p["router"].T))
        h = silu(np.einsum("efd,btd->btef", p["up"], z))
        best = np.where(r == r.max(-1, keepdims=True), r, 0)
        x, load = x + np.einsum("bte,btef,edf->btd", 0.5*r + best, h, p["down"]), load + r
    logits = x @ P["emb"].T
    picks = np.bincount(load.argmax(-1).ravel(), minlength=4)/load[..., 0].size
    loss = cross_entropy(logits, ins["target"]).mean() + 0.1*(load.mean((0, 1))*picks).sum()
    return {"logits": logits, "load": load}, loss


@case
def zoo_experts(b): compare(b, "experts", experts_ref, {"token": words(1)}, {"target": words(2)})


def preference_ref(P, ins):
    def total(p):
        x, s = p["emb"][ins["token"]], 0
        out = np.zeros(x.shape)
        for t in range(x.shape[1]):
            s = sigmoid(p["mem.a"])*s + x[:, t] @ p["mem.w"].T
            out[:, t] = np.tanh(s)
        y = ins["target"]
        return np.where(y >= 0, -cross_entropy(out @ p["emb"].T, np.maximum(y, 0)), 0).sum(1)
    lp, lr = total(below(P, "policy")), total(below(P, "ref"))
    d = 0.5*(lp - lr)
    return {"lp": lp, "lr": lr}, softplus(-(d[::2] - d[1::2])).mean()


@case
def zoo_preference(b):
    ins = {"token": words(1, 4, 7), "target": words(2, 4, 7, 15) - 2}
    compare(b, "preference", preference_ref, ins, {}, prefix="pair.")


def ctc_ref(P, ins):
    x, label = ins["x"], ins["label"]
    z = np.pad(x, ((0, 0), (2, 0), (0, 0)))
    h = silu(sum(z[:, j:j + x.shape[1]]*P["k"][:, j] for j in range(3)))
    logits = h @ P["head.weight"].T + P["head.bias"]
    nll = []
    for lp, l in zip(log_softmax(logits), label):
        s = [0] + [n for c in l for n in (c, 0)]
        a = np.where(np.arange(len(s)) < 2, lp[0, s], -np.inf)
        for row in lp[1:]:
            skip = [i > 1 and s[i] != 0 and s[i] != s[i - 2] for i in range(len(s))]
            ways = [[a[i]] + ([a[i - 1]] if i else []) + ([a[i - 2]] if skip[i] else []) for i in range(len(s))]
            a = np.array([np.logaddexp.reduce(w) for w in ways]) + row[s]
        nll.append(-np.logaddexp(a[-1], a[-2]))
    return {"logits": logits, "nll": np.array(nll)}, np.mean(nll)


@case
def zoo_ctc(b):
    x = np.random.default_rng(3).standard_normal((2, 9, 6))
    compare(b, "ctc", ctc_ref, {"x": x, "label": np.array([[1, 1, 3, 2], [5, 6, 5, 5]], np.int32)}, {})


# ---- streams ----------------------------------------------------------------------------------------

class Memory:
    """What one run of a cell keeps; `on`: steps that count, `first`: steps that start anew."""

    def __init__(self, B, on=None, first=None):
        self.B, self.on, self.first, self.kept = B, on, first, {}

    def get(self, name, start):
        start = np.broadcast_to(start, (self.B,) + np.shape(start)[1:])
        now = self.kept.get(name, start)
        return now if self.first is None else np.where(wide(self.first[:, self.t], now) != 0, start, now)

    def set(self, name, value, start):
        old = self.get(name, start)
        self.new[name] = value if self.on is None else np.where(wide(self.on[:, self.t], value) != 0, value, old)

    def prev(self, name, value, k=1):
        """Value k steps before, and this one kept."""
        zero = np.zeros((1, k) + value.shape[1:])
        line = self.get(name, zero)
        self.set(name, np.concatenate([value[:, None], line[:, :-1]], 1), zero)
        return line[:, -1]


def wide(mask, like):
    return mask.reshape(mask.shape + (1,)*(like.ndim - 1))


def count(p, m, x, n, l, path=""):
    h0 = p["h0"][None]
    z = np.tanh(x @ p["w"].T + m.get(path + "h", h0))
    h = 0.5*m.get(path + "h", h0) + z
    c = (m.get(path + "c", np.full(1, 3)) + n) % (l + 7)
    m.set(path + "h", h, h0)
    m.set(path + "c", c, np.full(1, 3))
    z5, x2 = m.prev(path + "z", z, 5), m.prev(path + "x", x, 2)
    n1, c1 = m.prev(path + "n", n), m.prev(path + "seen", c)
    return np.tanh(h + z5 + x2*n1[:, None] + 0.1*c[:, None] + 0.2*c1[:, None])


def twice(p, m, x, l, path=""):
    one = np.ones(len(x), int)
    return x + count(below(p, "inner"), m, x, one, l, path + "inner.") + m.prev(path + "x", x)


def along(m, T, step):
    out = []
    for t in range(T):
        m.t, m.new = t, {}
        out.append(step(t))
        m.kept.update(m.new)
    return np.stack(out, 1)


def documents_ref(P, ins):
    x, n, mask, first = (ins[k] for k in ("x", "n", "mask", "first"))
    B, T, _ = x.shape
    y = along(m := Memory(B, on=mask), T, lambda t: count(below(P, "a"), m, x[:, t], n[:, t], 0))
    y = y + along(m := Memory(B, first=first), T, lambda t: count(below(P, "b"), m, y[:, t], n[:, t], 1))
    for l in range(3):
        p = below(P, "l.%d" % l)
        y = y + along(m := Memory(B, mask, first), T, lambda t: twice(below(p, "d"), m, y[:, t], l))
        if l % 2:
            y = y + along(m := Memory(B), T, lambda t: count(below(p, "e"), m, y[:, t], n[:, t], l))
    m, g0 = Memory(B, first=first), np.tanh(ins["g0"])

    def back(t):
        z = twice(below(P, "f.in"), m, y[:, t] + m.get("g", g0), 1, "in.")
        g = 0.3*m.prev("z", z) + 0.1*z*sigmoid(y[:, t])
        m.set("g", g, g0)
        return g
    y = y + along(m, T, back)
    return {"y": y, "z": y*np.arange(1, T + 1)[:, None]}, ((y - ins["target"])**2).mean()


@case
def zoo_documents(b):
    rng = np.random.default_rng(3)
    ins = {"x": rng.standard_normal((2, 11, 4)), "n": rng.integers(-5, 9, (2, 11)).astype(np.int32),
           "mask": (rng.random((2, 11)) < 0.6)*1.0, "first": (rng.random((2, 11)) < 0.3)*1.0,
           "g0": rng.standard_normal((2, 4))}
    compare(b, "documents", documents_ref, ins, {"target": rng.standard_normal((2, 11, 4))}, True, ["g0"])
