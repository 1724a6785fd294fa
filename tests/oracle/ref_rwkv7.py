"""RWKV-7 and its variants, written from the equations: whole sequences, batch first, float64.

The recurrence is a loop over steps; all the rest is parallel over time. Options of `model`:
  rope          keys and receptances are turned by their position
  static        one decay a head (att.speed) instead of the data's
  gated         channel mix with a gate (ffn.x_r, ffn.receptance.weight)
  embed         DeepEmbed channel mix (ffn.s_emb.weight ...)
  both          a second time mix att_back runs from the end; both are added
  names         "official", "reverse" (the digit reverser's own)
"""
import math

import numpy as np

import tape as t
from layers import (Params, cross_entropy, group_norm, heads, l2wrap, layer_norm, linear, rope,
                    shift)


def wkv(r, w, k, v, a, b, S0=None):
    """[B,T,H,N] each: S = S diag(w) + (S a) b^T + v k^T, y = S r. Returns y and the last S."""
    B, T, H, N = k.shape
    S = t.const(np.zeros((B, H, N, N))) if S0 is None else S0
    ys = []
    for i in range(T):
        rows = lambda z: z[:, i, :, None, :]
        cols = lambda z: z[:, i, :, :, None]
        Sa = t.total(S*rows(a), -1, True)
        S = S*rows(w) + Sa*rows(b) + cols(v)*rows(k)
        ys.append(t.total(S*rows(r), -1))
    return t.stack(ys, 1), S


def time_mix(p, x, v_first, N, rotary=False, static=False, S0=None, taps=None):
    B, T, C = x.shape
    d = shift(x) - x
    mix = lambda c: x + d*p.row("x_" + c)
    r, k, v = [linear(mix(c), p(n + ".weight"))
               for c, n in (("r", "receptance"), ("k", "key"), ("v", "value"))]
    if rotary:
        r, k = [rope(heads(z, N)).reshape(B, T, C) for z in (r, k)]
    if static:
        w = t.exp(-math.exp(-0.5)*t.sigmoid(p("speed")))
        w = w.reshape(1, 1, -1, 1)*np.ones((B, T, 1, N))
    else:
        u = p.row("w0") + t.tanh(mix("w") @ p("w1")) @ p("w2")
        w = heads(t.exp(-math.exp(-0.5)*t.sigmoid(u)), N)
    if v_first is None:
        v_first = v
    else:
        v = v + (v_first - v)*t.sigmoid(p.row("v0") + (mix("v") @ p("v1")) @ p("v2"))
    a = t.sigmoid(p.row("a0") + (mix("a") @ p("a1")) @ p("a2"))
    g = t.sigmoid(mix("g") @ p("g1")) @ p("g2")
    kk = heads(k*p.row("k_k"), N)
    kk = kk/t.maximum(t.sqrt(t.total(t.square(kk), -1, True)), 1e-12)
    k = heads(k*(1 + (a - 1)*p.row("k_a")), N)
    r, v_heads, a = heads(r, N), heads(v, N), heads(a, N)
    y, S = wkv(r, w, k, v_heads, -kk, kk*a, S0)
    o = group_norm(p.at("ln_x."), y, 64e-5)
    bonus = t.total(r*k*p("r_k"), -1, True)*v_heads
    o = o + bonus.reshape(B, T, C)
    if taps is not None:
        taps.update(r=r, k=k, v=v, a=a, g=g, kk=kk, wkv=y, decay=w, state=S)
    return linear(o*g, p("output.weight")), v_first


def channel_mix(p, x, gated=False, scale=None):
    d = shift(x) - x
    k = t.square(t.relu(linear(x + d*p.row("x_k"), p("key.weight"))))
    if scale is not None:
        k = k*scale
    y = linear(k, p("value.weight"))
    return y*t.sigmoid(linear(x + d*p.row("x_r"), p("receptance.weight"))) if gated else y


def deep_scale(p, x, e, token):
    """What the table of DeepEmbed makes of token and x: one factor a hidden entry."""
    M = p("s1").shape[1]
    s = p("s_emb.weight")[token] + linear(e, p("s_emb_x.weight"))
    z = t.einsum("bti,btij->btj", x @ p("s1"), s.reshape(*token.shape, M, M))
    return p.row("s0") + z @ p("s2")


def layer_names(style, l):
    """Prefixes of ln1, ln2, time mix, channel mix."""
    if style == "reverse":
        return ["ln%da." % (l + 1), "ln%db." % (l + 1), "rwkv%d." % (l + 1), "ffn%d." % (l + 1)]
    return ["blocks.%d.%s." % (l, n) for n in ("ln1", "ln2", "att", "ffn")]


def run_layers(p, x, L, N, token=None, style="official", taps=None, **opt):
    v_first = v_back = None
    e = x
    for l in range(L):
        ln1, ln2, att, ffn = [p.at(n) for n in layer_names(style, l)]
        S0 = None
        if opt.get("state"):
            S0 = att("S").reshape(1, -1, N, N)*np.ones((x.shape[0], 1, 1, 1))
        h = layer_norm(ln1, x)
        seen = {} if taps is not None else None
        dx, v_first = time_mix(att, h, v_first, N, opt.get("rope", False),
                               opt.get("static", False), S0, seen)
        if opt.get("both"):
            back, v_back = time_mix(p.at("blocks.%d.att_back." % l), t.flip(h, 1), v_back, N)
            dx = dx + t.flip(back, 1)
        if style == "reverse":
            dx = dx + p("rosa%d.o.bias" % (l + 1))
        x = x + dx
        h = layer_norm(ln2, x)
        scale = deep_scale(ffn, h, e, token) if opt.get("embed") else None
        x = x + channel_mix(ffn, h, opt.get("gated", False), scale)
        if taps is not None:
            taps.update({"%d.%s" % (l, k): v for k, v in dict(seen, x=x).items()})
    return x


def model(p, token, L, N, style="official", taps=None, **opt):
    """Logits [B,T,V]."""
    emb, out, head = ("e", "lno.", "o.") if style == "reverse" else ("emb", "ln_out.", "head.")
    x = p(emb + ".weight")[token]
    if p.has("blocks.0.ln0.weight"):
        x = layer_norm(p.at("blocks.0.ln0."), x)
    x = run_layers(p, x, L, N, token, style, taps, **opt)
    z = linear(layer_norm(p.at(out), x), p(head + "weight"))
    return z + p(head + "bias") if p.has(head + "bias") else z


def loss_of(p, token, target, L, N, wrap=True, **opt):
    """loss, logits and gradients; L2Wrap enters the gradients only."""
    logits = model(p, token, L, N, **opt)
    loss = t.mean(cross_entropy(logits, target))
    return loss.a, logits.a, p.gradients(loss + l2wrap(logits) if wrap else loss)


def masked_loss(p, logits, target):
    """Mean over the positions whose target is not negative."""
    ce = cross_entropy(logits, np.maximum(target, 0))
    loss = t.total(ce*(target >= 0))*(1/max(1, (target >= 0).sum()))
    return loss.a, logits.a, p.gradients(loss)


def shapes(V, L, D, N, F, ranks, tags=None, F2=None, M=None, **opt):
    """Names and shapes of the parameters; ranks = decay, rate, value mix, gate."""
    Rw, Ra, Rv, Rg = ranks
    H = D//N
    s = {"emb.weight": (V, D), "head.weight": (tags or V, D)}
    norms = ["blocks.0.ln0", "ln_out"]
    for l in range(L):
        b = "blocks.%d." % l
        norms += [b + "ln1", b + "ln2"]
        for att in [b + "att."] + ([b + "att_back."] if opt.get("both") else []):
            norms.append(att + "ln_x")
            s.update({att + "x_" + c: (1, 1, D) for c in ("rkvag" if opt.get("static") else "rwkvag")})
            s.update({att + n: (1, 1, D) for n in ("a0", "v0", "k_k", "k_a")})
            s.update({att + n: z for n, z in {
                "a1": (D, Ra), "a2": (Ra, D), "v1": (D, Rv), "v2": (Rv, D), "g1": (D, Rg),
                "g2": (Rg, D), "r_k": (H, N)}.items()})
            if opt.get("static"):
                s[att + "speed"] = (H,)
            else:
                s.update({att + "w0": (1, 1, D), att + "w1": (D, Rw), att + "w2": (Rw, D)})
            for n in ("receptance", "key", "value", "output"):
                s[att + n + ".weight"] = (D, D)
        if opt.get("state"):
            s[b + "att.S"] = (H, N, N)
        f, hidden = b + "ffn.", F2 if opt.get("gated") else F
        s.update({f + "x_k": (1, 1, D), f + "key.weight": (hidden, D), f + "value.weight": (D, hidden)})
        if opt.get("gated"):
            s.update({f + "x_r": (1, 1, D), f + "receptance.weight": (D, D)})
        if opt.get("embed"):
            s.update({f + "s_emb.weight": (V, M*M), f + "s_emb_x.weight": (M*M, D),
                      f + "s0": (1, 1, F), f + "s1": (D, M), f + "s2": (M, F)})
    for n in norms:
        s.update({n + ".weight": (D,), n + ".bias": (D,)})
    return s


def randoms(shapes, seed):
    """Weights at which every gradient is alive: matrices near 1/sqrt of a row, scales near 1; numbers of
    float32, so that no rounding of them stands between the reference and compiled code."""
    rng = np.random.default_rng(seed)
    out = {}
    for name in sorted(shapes):
        z = rng.standard_normal(shapes[name])
        wide = sum(n > 1 for n in z.shape) > 1
        if name.endswith(("r_k", ".S")):
            z *= 0.3
        elif name.endswith("emb.weight"):
            z *= 0.7
        elif wide and z.ndim == 4:
            z *= np.sqrt(1/np.prod(z.shape[1:]))
        elif wide:
            z *= np.sqrt(1/z.shape[-1])
        else:
            near = 1 if name.endswith(("ln_x.weight", "norm.weight", "k_k", "k_a", "s0")) or (
                ".ln" in "." + name and name.endswith("weight")) else 0
            z = near + 0.3*z
        out[name] = np.float64(np.float32(z))
    return out
