"""Models a researcher might try, each against a few lines of numpy on the tape: results, the loss, every
gradient, and where it streams the same numbers in pieces and step by step.

A reference takes parameters and inputs and gives ({result: Var}, loss)."""
import numpy as np

import tape as t
from cases import case, own
from layers import conv2d, conv2d_up, cross_entropy, gelu, heads, linear, silu
from tape import sigmoid, tanh


def softplus(x): return t.log(1 + t.exp(-t.absolute(x))) + t.relu(x)
def rms(x, w): return x/t.sqrt(t.mean(t.square(x), -1, True) + 1e-5)*w
def unit(x): return x/t.maximum(t.sqrt(t.total(t.square(x), -1, True)), 1e-12)
def below(P, path): return {k[len(path) + 1:]: v for k, v in P.items() if k.startswith(path + ".")}
def chunks(x, n): return [x[..., i*(x.shape[-1]//n):(i + 1)*(x.shape[-1]//n)] for i in range(n)]
def zeros(*shape): return t.const(np.zeros(shape))


def choose(on, x, y):
    """x where on is 1, y where it is 0."""
    return t.const(x)*(1.0*on) + t.const(y)*(1.0 - on)


def norm(P, path, x):
    c = x - t.mean(x, -1, True)
    return c/t.sqrt(t.mean(t.square(c), -1, True) + 1e-5)*P[path + ".weight"] + P[path + ".bias"]


def log_softmax(x):
    m = x.a.max(-1, keepdims=True)
    return x - m - t.log(t.total(t.exp(x - m), -1, True))


def mean_entropy(logits, ins): return t.mean(cross_entropy(logits, ins["target"]))


# ---- the comparison --------------------------------------------------------------------------------

def randoms(b, path, entry, seed=1):
    """Parameters of the text's own shapes, moved away from their first values; numbers of float32."""
    rng = np.random.default_rng(seed)
    first = b.tool.call(path, entry, params_out=True).params
    return {k: np.float64(np.float32(np.float32(v) + 0.3*rng.standard_normal(v.shape)))
            for k, v in sorted(first.items())}


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
        b.close(what + " " + k, np.concatenate(joined[k], 1), whole.outs[k], 1e-12, relative=True)
    b.all_close(what + " states", state, whole.state, 1e-12, zeros=False)


def streams(b, path, P, ins, whole, once):
    in_pieces(b, path, P, ins, whole, [1, 3], once)
    in_pieces(b, path, P, ins, whole, [4, 2, 1], once)
    outs = sorted(whole.outs)
    got = {k: [] for k in outs}
    state = None
    for i in range(whole.outs[outs[0]].shape[1]):
        now = {k: v if k in once else v[:, i] for k, v in ins.items()}
        r = b.tool.call(path, "step", None, P, now, outs, state_in=state, state_out=True)
        state = r.state
        for k in outs:
            got[k].append(r.outs[k])
    last = b.tool.call(path, "prefill", None, P, ins, outs, state_out=True)
    for k in outs:
        b.close(" one by one " + k, np.stack(got[k], 1), whole.outs[k], 1e-12, relative=True)
        b.close(" prefill " + k, last.outs[k], whole.outs[k][:, -1], 1e-12, relative=True)
    b.all_close(" one by one, states", state, whole.state, 1e-12, zeros=False)
    b.all_close(" prefill, states", last.state, whole.state, 1e-12, zeros=False)


def evaluated(ref, P, ins):
    """loss, results and gradients of a reference."""
    P = {k: t.parameter(v) for k, v in P.items()}
    outs, loss = ref(P, ins)
    return loss.a, {k: v.a for k, v in outs.items()}, dict(zip(P, t.gradients(loss, list(P.values()))))


def compare(b, name, ref, ins, targets, states=False, once=(), prefix="", frozen="-"):
    path = own("zoo/" + name)
    P = randoms(b, path, prefix + "init")
    run = lambda: evaluated(ref, P, dict(ins, **targets))
    (loss, want, grads), (rough, rough_outs, rough_grads) = run(), b.rough(run)
    r = b.tool.call(path, prefix + "forward", None, P, ins, sorted(want), state_out=states)
    for k in sorted(want):
        b.close(" " + k, r.outs[k], want[k], 1e-12, relative=True,
                rough=rough_outs and (lambda k=k: [o[k] for o in rough_outs()]))
    g = b.tool.call(path, prefix + "grad", None, P, dict(ins, **targets), ["loss"], grads=True)
    b.close(" loss", g.outs["loss"], loss, 1e-12, "small loss", relative=True, rough=rough)
    b.all_close(" gradients", g.grads, {k: v for k, v in grads.items() if not k.startswith(frozen)}, 1e-9,
                "gradients", rough=rough_grads)
    if states:
        streams(b, path, P, ins, r, once)


def words(seed, B=2, T=9, V=13):
    return np.random.default_rng(seed).integers(0, V, (B, T)).astype(np.int32)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


# ---- recurrences -----------------------------------------------------------------------------------

def gla_ref(P, ins):
    x = P["emb"][ins["token"]]
    B, T, D = x.shape
    for l in range(2):
        p = below(P, "layers.%d" % l)
        z, p = rms(x, p["n1.weight"]), below(p, "att")
        q, k, v = (heads(linear(z, p[n + ".weight"]), 6) for n in "qkv")
        a = sigmoid(linear(linear(z, p["gk.0"]), p["gk.1"]) + p["gk.bias"])
        a = heads(t.exp(t.log(a)*(1/16)), 6)
        S, o = zeros(B, 2, 6, 6), []
        for i in range(T):
            S = a[:, i, :, :, None]*S + k[:, i, :, :, None]*v[:, i, :, None, :]
            o.append(t.einsum("bhi,bhij->bhj", q[:, i], S)*(6**-0.5))
        o = rms(t.stack(o, 1), p["norm.weight"]).reshape(B, T, D)*silu(linear(z, p["g.weight"]))
        x = x + linear(o, p["o.weight"])
    logits = linear(rms(x, P["n.weight"]), P["emb"])
    return {"logits": logits}, mean_entropy(logits, ins)


@case
def zoo_gla(b): compare(b, "gla", gla_ref, {"token": words(1)}, {"target": words(2)}, True)


def steps(T, backward):
    return reversed(range(T)) if backward else range(T)


def lstm(p, x, mask=None, first=None, backward=False):
    B, T, _ = x.shape
    h = c = zeros(B, 7)
    out = [None]*T
    for i in steps(T, backward):
        if first is not None:
            h, c = (choose(first[:, i, None], 0, s) for s in (h, c))
        z = linear(x[:, i], p["weight_ih"]) + linear(h, p["weight_hh"]) + p["bias"]
        a, f, g, o = chunks(z, 4)
        c1 = sigmoid(f)*c + sigmoid(a)*tanh(g)
        h1 = out[i] = sigmoid(o)*tanh(c1)
        on = np.ones((B, 1)) if mask is None else mask[:, i, None]
        h, c = choose(on, h1, h), choose(on, c1, c)
    return t.stack(out, 1)


def lstm_ref(P, ins):
    x, mask = P["emb"][ins["token"]], ins["mask"]
    y = t.concat([lstm(below(P, "f"), x, mask), lstm(below(P, "r"), x, mask, backward=True)], -1)
    logits = linear(lstm(below(P, "second"), y, first=ins["first"]), P["head.weight"]) + P["head.bias"]
    return {"logits": logits}, t.total(cross_entropy(logits, ins["target"])*mask)*(1/mask.sum())


@case
def zoo_lstm(b):
    rng = np.random.default_rng(3)
    ins = {"token": words(1), "mask": (rng.random((2, 9)) < 0.7)*1.0, "first": (rng.random((2, 9)) < 0.3)*1.0}
    compare(b, "lstm", lstm_ref, ins, {"target": words(2)})


def momentum_ref(P, ins):
    x, p = P["emb"][ins["token"]], below(P, "mem")
    B, T, D = x.shape
    q, k = (unit(heads(silu(linear(x, p[n])), 4)) for n in "qk")
    v, g = heads(linear(x, p["v"]), 4), heads(sigmoid(linear(x, p["gates"])), 2)[..., None, None]
    S = M = zeros(B, 2, 4, 4)
    o = []
    for i in range(T):
        e = v[:, i] - t.einsum("bhij,bhj->bhi", S, k[:, i])
        M = g[:, i, 0]*M + g[:, i, 1]*e[..., None]*k[:, i, :, None]
        S = g[:, i, 2]*S + M
        o.append(t.einsum("bhij,bhj->bhi", S, q[:, i]))
    logits = linear(x + t.stack(o, 1).reshape(B, T, D), P["emb"])
    return {"logits": logits}, mean_entropy(logits, ins)


@case
def zoo_momentum(b): compare(b, "momentum", momentum_ref, {"token": words(1)}, {"target": words(2)}, True)


def causal(x, w, width):
    """One kernel a channel over the last `width` steps."""
    T = x.shape[1]
    x = t.concat([zeros(x.shape[0], width - 1, x.shape[2]), x], 1)
    parts_ = [x[:, j:j + T]*w[:, j] for j in range(width)]
    return sum(parts_[1:], parts_[0])


def selective_ref(P, ins):
    x = P["emb"][ins["token"]]
    B, T, D = x.shape
    for l in range(2):
        p = below(P, "l.%d" % l)
        z, p = rms(x, p["norm.weight"]), below(p, "ssm")
        u, gate = chunks(linear(z, p["in_proj"]), 2)
        u = silu(causal(u, p["conv.weight"], 4) + p["conv.bias"])
        q = linear(u, p["x_proj"])
        delta = softplus(linear(q[..., :2], p["dt"]) + p["dt_bias"])
        h, o = zeros(B, D, 3), []
        for i in range(T):
            h = (t.exp(-delta[:, i, :, None]*t.exp(p["A_log"]))*h +
                 (delta*u)[:, i, :, None]*q[:, i, None, 2:5])
            o.append(t.total(h*q[:, i, None, 5:], -1) + p["skip"]*u[:, i])
        x = x + linear(t.stack(o, 1)*silu(gate), p["out"])
    logits = linear(x, P["emb"])
    return {"logits": logits}, mean_entropy(logits, ins)


@case
def zoo_selective(b): compare(b, "selective", selective_ref, {"token": words(1)}, {"target": words(2)}, True)


def gru(p, x, mask, backward=False):
    B, T, D = x.shape
    h, out = p["h0"]*np.ones((B, 1)), [None]*T
    for i in steps(T, backward):
        a, u = chunks(linear(x[:, i], p["w"]), 3), chunks(linear(h, p["u"]), 3)
        r, z = sigmoid(a[0] + u[0]), sigmoid(a[1] + u[1])
        out[i] = (1 - z)*tanh(a[2] + r*u[2]) + z*h
        h = choose(mask[:, i, None], out[i], h)
    return t.stack(out, 1)


def encoder_ref(P, ins):
    x, mask = P["emb"][ins["token"]], ins["mask"]
    for l in range(2):
        p = below(P, "l%d" % l)
        x = (x + gru(below(p, "fw"), norm(p, "ln", x), mask) +
             gru(below(p, "bw"), norm(p, "ln2", x), mask, True))
    w = t.exp(log_softmax(choose(mask, t.einsum("btd,d->bt", x, P["query"]), -1e30)))
    feature = t.einsum("bt,btd->bd", w, x)
    p = log_softmax(linear(feature, P["head.weight"]) + P["head.bias"])
    loss = t.mean(t.take_last(p, ins["label"]))*-1 + 0.01*t.mean(t.square(feature))
    return {"p": p, "feature": feature}, loss


@case
def zoo_encoder(b):
    mask = np.ones((2, 9))
    mask[0, 6:] = 0
    compare(b, "encoder", encoder_ref, {"token": words(1), "mask": mask}, {"label": np.array([0, 2], np.int32)})


# ---- other layers and losses -------------------------------------------------------------------------

def unet_ref(P, ins):
    def block(n, x):
        x = conv2d(x, P[n + ".w"], 1, 1)
        both = lambda z: t.mean(t.mean(z, -1, True), -2, True)
        c = x - both(x)
        return gelu(c/t.sqrt(both(t.square(c)) + 1e-5)*P[n + ".g"][:, None, None])
    image = t.const(ins["image"])
    a = block("a", image)
    b = block("b", conv2d(a, P["d1"], 2))
    c = block("c", conv2d(b, P["d2"], 2))
    d = block("b2", t.concat([conv2d_up(c, P["u2"]), b], 1))
    e = block("a2", t.concat([conv2d_up(d, P["u1"]), a], 1))
    out = image + conv2d(e, P["last"])
    return {"out": out}, t.mean(t.absolute(out - ins["target"]))


@case
def zoo_unet(b):
    image, target = np.random.default_rng(3).random((2, 2, 3, 8, 12), np.float32)
    compare(b, "unet", unet_ref, {"image": image}, {"target": target})


def experts_ref(P, ins):
    x, load = P["emb"][ins["token"]], 0
    for l in range(2):
        p = below(P, "l%d" % l)
        z, p = norm(p, "ln", x), below(p, "moe")
        r = t.exp(log_softmax(linear(z, p["router"])))
        h = silu(t.einsum("efd,btd->btef", p["up"], z))
        best = r*(r.a == r.a.max(-1, keepdims=True))
        x, load = x + t.einsum("bte,btef,edf->btd", 0.5*r + best, h, p["down"]), r + load
    logits = linear(x, P["emb"])
    picks = np.bincount(load.a.argmax(-1).ravel(), minlength=4)/load.a[..., 0].size
    loss = mean_entropy(logits, ins) + 0.1*t.total(t.mean(t.mean(load, 0), 0)*picks)
    return {"logits": logits, "load": load}, loss


@case
def zoo_experts(b): compare(b, "experts", experts_ref, {"token": words(1)}, {"target": words(2)})


def preference_ref(P, ins):
    def total(p):
        x, s, out = p["emb"][ins["token"]], 0.0, []
        for i in range(x.shape[1]):
            s = sigmoid(p["mem.a"])*s + linear(x[:, i], p["mem.w"])
            out.append(tanh(s))
        y = ins["target"]
        logits = linear(t.stack(out, 1), p["emb"])
        return t.total(cross_entropy(logits, np.maximum(y, 0))*(-1.0*(y >= 0)), 1)
    lp, lr = total(below(P, "policy")), total(below(P, "ref"))
    d = 0.5*(lp - lr)
    return {"lp": lp, "lr": lr}, t.mean(softplus(d[1::2] - d[::2]))


@case
def zoo_preference(b):
    ins = {"token": words(1, 4, 7), "target": words(2, 4, 7, 15) - 2}
    compare(b, "preference", preference_ref, ins, {}, prefix="pair.", frozen="ref.")


def ctc_ref(P, ins):
    never = lambda n: np.full(n, -1e30)
    logits = linear(silu(causal(t.const(ins["x"]), P["k"], 3)), P["head.weight"]) + P["head.bias"]
    lps, nll = log_softmax(logits), []

    def log_total(ways):
        ways = t.stack(ways)
        m = ways.a.max(0)
        return t.log(t.total(t.exp(ways - m), 0)) + m
    for n, l in enumerate(ins["label"]):
        s = np.array([0] + [v for c in l for v in (c, 0)])
        skip = (np.arange(len(s)) > 1) & (s != 0) & (s != np.roll(s, 2))
        a = choose(np.arange(len(s)) < 2, lps[n, 0, s], -1e30)
        for i in range(1, lps.shape[1]):
            one, two = t.concat([never(1), a[:-1]]), t.concat([never(2), a[:-2]])
            a = log_total([a, one, choose(skip, two, -1e30)]) + lps[n, i, s]
        nll.append(log_total([a[-1], a[-2]])*-1)
    nll = t.stack(nll)
    return {"logits": logits, "nll": nll}, t.mean(nll)


@case
def zoo_ctc(b):
    compare(b, "ctc", ctc_ref, {"x": normal(3, 2, 9, 6), "label": np.array([[1, 1, 3, 2], [5, 6, 5, 5]], np.int32)}, {})


# ---- streams ----------------------------------------------------------------------------------------

class Memory:
    """What one run of a cell keeps, numbers on the tape or whole ones off it; `on`: steps that count,
    `first`: steps that start anew."""

    def __init__(self, B, on=None, first=None):
        self.B, self.on, self.first, self.kept = B, on, first, {}

    def get(self, name, start):
        start = start*np.ones((self.B,) + (1,)*(len(start.shape) - 1), int)
        now = self.kept.get(name, start)
        return now if self.first is None else pick(self.first[:, self.t], start, now)

    def set(self, name, value, start):
        old = self.get(name, start)
        self.new[name] = value if self.on is None else pick(self.on[:, self.t], value, old)

    def prev(self, name, value, k=1):
        """Value k steps before, and this one kept."""
        zero = np.zeros((1,) + value.shape[1:], int)
        zero = zero if isinstance(value, np.ndarray) else t.const(zero)
        line = [self.get("%s.%d" % (name, i), zero) for i in range(k)]
        for i, v in enumerate([value] + line[:-1]):
            self.set("%s.%d" % (name, i), v, zero)
        return line[-1]


def pick(on, x, y):
    on = on.reshape(on.shape + (1,)*(len(x.shape) - 1))
    return np.where(on != 0, x, y) if isinstance(x, np.ndarray) else choose(on != 0, x, y)


def count(p, m, x, n, l, path=""):
    h0 = p["h0"][None]
    z = tanh(linear(x, p["w"]) + m.get(path + "h", h0))
    h = 0.5*m.get(path + "h", h0) + z
    c = (m.get(path + "c", np.full(1, 3)) + n) % (l + 7)
    m.set(path + "h", h, h0)
    m.set(path + "c", c, np.full(1, 3))
    z5, x2 = m.prev(path + "z", z, 5), m.prev(path + "x", x, 2)
    n1, c1 = m.prev(path + "n", n), m.prev(path + "seen", c)
    return tanh(h + z5 + x2*n1[:, None] + 0.1*c[:, None] + 0.2*c1[:, None])


def twice(p, m, x, l, path=""):
    one = np.ones(x.shape[0], int)
    return x + count(below(p, "inner"), m, x, one, l, path + "inner.") + m.prev(path + "x", x)


def along(m, T, step):
    out = []
    for i in range(T):
        m.t, m.new = i, {}
        out.append(step(i))
        m.kept.update(m.new)
    return t.stack(out, 1)


def documents_ref(P, ins):
    x, n, mask, first = t.const(ins["x"]), *(ins[k] for k in ("n", "mask", "first"))
    B, T, _ = x.shape
    y = along(m := Memory(B, on=mask), T, lambda i: count(below(P, "a"), m, x[:, i], n[:, i], 0))
    y = y + along(m := Memory(B, first=first), T, lambda i: count(below(P, "b"), m, y[:, i], n[:, i], 1))
    for l in range(3):
        p = below(P, "l.%d" % l)
        y = y + along(m := Memory(B, mask, first), T, lambda i: twice(below(p, "d"), m, y[:, i], l))
        if l % 2:
            y = y + along(m := Memory(B), T, lambda i: count(below(p, "e"), m, y[:, i], n[:, i], l))
    m, g0 = Memory(B, first=first), tanh(t.const(ins["g0"]))

    def back(i):
        z = twice(below(P, "f.in"), m, y[:, i] + m.get("g", g0), 1, "in.")
        g = 0.3*m.prev("z", z) + 0.1*z*sigmoid(y[:, i])
        m.set("g", g, g0)
        return g
    y = y + along(m, T, back)
    return {"y": y, "z": y*np.arange(1, T + 1)[:, None]}, t.mean(t.square(y - ins["target"]))


@case
def zoo_documents(b):
    rng = np.random.default_rng(3)
    ins = {"x": normal(4, 2, 11, 4), "n": rng.integers(-5, 9, (2, 11)).astype(np.int32),
           "mask": (rng.random((2, 11)) < 0.6)*1.0, "first": (rng.random((2, 11)) < 0.3)*1.0,
           "g0": normal(5, 2, 4)}
    compare(b, "documents", documents_ref, ins, {"target": normal(6, 2, 11, 4)}, True, ["g0"])
