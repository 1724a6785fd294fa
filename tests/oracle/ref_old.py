"""RWKV-4, 5.1, 5.2 and 6 from the equations: whole sequences, batch first, float64.

version 4: w = -exp(time_decay), u = time_first, a weighted mean of the values so far
        51, 52: decay exp(-exp(time_decay)), one a head or one a channel; 52 has a gate
        6: mixes and decay depend on the data
"""
import numpy as np

import tape as t
from layers import (cross_entropy, group_norm, heads, l2wrap, layer_norm, linear, shift, silu)


def wkv4(k, v, w, u):
    """[B,T,C] each; y_t = sum over s < t of e^{(t-1-s)w + k_s} v_s, plus e^{u + k_t} v_t, over the same
    sum without v. All exponents of a step are lowered by their maximum."""
    B, T, C = k.shape
    ys = []
    for i in range(T):
        age = np.arange(i - 1, -1, -1.0)[None, :, None]
        e = t.concat([w*age + k[:, :i], u + k[:, i:i + 1]], 1) if i else u + k[:, :1]
        e = t.exp(e - e.a.max(1, keepdims=True))
        ys.append(t.total(e*v[:, :i + 1], 1)/t.total(e, 1))
    return t.stack(ys, 1)


def wkv_heads(r, k, v, w, u):
    """r k v w [B,T,H,N], u [H,N]: y = r (S + u k v), S = w S + k v, S[key, value]."""
    B, T, H, N = k.shape
    S = t.const(np.zeros((B, H, N, N)))
    ys = []
    for i in range(T):
        kv = k[:, i, :, :, None]*v[:, i, :, None, :]
        ys.append(t.total(r[:, i, :, :, None]*(S + u.reshape(H, N, 1)*kv), 2))
        S = S*w[:, i, :, :, None] + kv
    return t.stack(ys, 1)


def mixes(p, x, names, version):
    """The inputs of the projections, by letter."""
    past = shift(x)
    if version != 6:
        return {c: x*p.row("time_mix_" + c) + past*(1 - p.row("time_mix_" + c)) for c in names}
    d = past - x
    if names == "kr":
        return {c: x + d*p.row("time_maa_" + c) for c in names}
    z = t.tanh((x + d*p.row("time_maa_x")) @ p("time_maa_w1"))
    z = heads(z, p("time_maa_w2").shape[1])                            # [B,T,5,R]
    return {c: x + d*(p.row("time_maa_" + c) + z[:, :, j] @ p("time_maa_w2")[j])
            for j, c in enumerate("wkvrg")}


def time_mix(p, x, version, N, divisor):
    B, T, C = x.shape
    m = mixes(p, x, "kvr" if version in (4, 51) else "kvrg", version)
    r, k, v = [linear(m[c], p(n + ".weight"))
               for c, n in (("r", "receptance"), ("k", "key"), ("v", "value"))]
    if version == 4:
        y = t.sigmoid(r)*wkv4(k, v, -t.exp(p("time_decay")), p("time_first"))
        return linear(y, p("output.weight"))
    H = C//N
    if version == 6:
        u = p("time_faaaa")
        w = p.row("time_decay") + t.tanh(m["w"] @ p("time_decay_w1")) @ p("time_decay_w2")
        w, eps = heads(t.exp(-t.exp(w)), N), 64e-5
    else:
        each = np.ones((H, N))
        u = p("time_first", H, 1)*each if version == 51 else p("time_faaaa", H, N)
        w = t.exp(-t.exp(p("time_decay", H, -1)*each))*np.ones((B, T, 1, 1))
        eps = 1e-5
    y = wkv_heads(heads(r, N), heads(k, N), heads(v, N), w, u)
    y = group_norm(p.at("ln_x."), y*(1/divisor), eps)
    return linear(y if version == 51 else y*silu(linear(m["g"], p("gate.weight"))), p("output.weight"))


def channel_mix(p, x, version):
    m = mixes(p, x, "kr", version)
    k = t.square(t.relu(linear(m["k"], p("key.weight"))))
    return t.sigmoid(linear(m["r"], p("receptance.weight")))*linear(k, p("value.weight"))


def model(p, token, version, L, N=None, divisor=1.0):
    x = layer_norm(p.at("blocks.0.ln0."), p("emb.weight")[token])
    for l in range(L):
        b = p.at("blocks.%d." % l)
        x = x + time_mix(b.at("att."), layer_norm(b.at("ln1."), x), version, N, divisor)
        x = x + channel_mix(b.at("ffn."), layer_norm(b.at("ln2."), x), version)
    return linear(layer_norm(p.at("ln_out."), x), p("head.weight"))


def loss_of(p, token, target, version, L, N=None, divisor=1.0):
    """loss, logits and gradients; L2Wrap enters the gradients only."""
    logits = model(p, token, version, L, N, divisor)
    loss = t.mean(cross_entropy(logits, target))
    return loss.a, logits.a, p.gradients(loss + l2wrap(logits))


def shapes(version, V, L, D, F, N=None, R=None, Rd=None):
    s = {"emb.weight": (V, D), "head.weight": (V, D)}
    norms = ["blocks.0.ln0", "ln_out"]
    for l in range(L):
        b = "blocks.%d." % l
        att, ffn = b + "att.", b + "ffn."
        norms += [b + "ln1", b + "ln2"] + ([att + "ln_x"] if version != 4 else [])
        word = "time_maa_" if version == 6 else "time_mix_"
        letters = {4: "kvr", 51: "kvr", 52: "kvrg", 6: "xwkvrg"}[version]
        s.update({att + word + c: (1, 1, D) for c in letters})
        s.update({ffn + word + c: (1, 1, D) for c in "kr"})
        for n in ["receptance", "key", "value", "output"] + (["gate"] if version in (52, 6) else []):
            s[att + n + ".weight"] = (D, D)
        s.update({ffn + "key.weight": (F, D), ffn + "value.weight": (D, F),
                  ffn + "receptance.weight": (D, D)})
        decay = {4: (D,), 51: (D//(N or D),), 52: (D//(N or D), N), 6: (1, 1, D)}[version]
        s[att + "time_decay"] = decay
        s[att + ("time_first" if version in (4, 51) else "time_faaaa")] = (
            (D//N, N) if version == 6 else decay)
        if version == 6:
            s.update({att + "time_maa_w1": (D, 5*R), att + "time_maa_w2": (5, R, D),
                      att + "time_decay_w1": (D, Rd), att + "time_decay_w2": (Rd, D)})
    for n in norms:
        s.update({n + ".weight": (D,), n + ".bias": (D,)})
    return s
