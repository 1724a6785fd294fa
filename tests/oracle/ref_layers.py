"""The functions of layers.rwkv, from their formulas; float64."""
import numpy as np

import tape as t
from layers import conv2d, conv2d_up, gelu, heads, linear, rope, silu, softmax

SHAPES = {"scale": (8,), "tint": (4,), "base.weight": (5, 8), "base.lora_A": (2, 8),
          "base.lora_B": (5, 2), "rms.weight": (8,), "q.weight": (8, 8), "q.bias": (8,),
          "k.weight": (8, 8), "k.bias": (8,), "past.weight": (8, 3), "grouped.weight": (6, 2, 3, 3),
          "deep.weight": (4, 1, 5, 5), "half.weight": (5, 4, 3, 3), "twice.weight": (4, 3, 2, 2)}


def outputs(p, x, pic):
    x = x*p("scale")
    pic = t.const(pic)*p("tint", 4, 1, 1)
    dense = lambda n: heads(linear(x, p(n + ".weight")) + p(n + ".bias"), 4)
    q, k, v = dense("q"), dense("k"), heads(x, 4)
    scores = softmax(t.einsum("bihn,bjhn->bhij", q, k)*0.5)
    T = x.shape[1]
    pad = t.concat([np.zeros_like(x.a[:, :2]), x], 1)
    past = [pad[:, j:j + T]*p("past.weight")[:, j] for j in range(3)]
    y = {"low": linear(x, p("base.weight")) + linear(linear(x, p("base.lora_A")), p("base.lora_B"))*1.5,
         "rms": x/t.sqrt(t.mean(t.square(x), -1, True) + 1e-5)*p("rms.weight"),
         "p": softmax(x),
         "lp": x - t.log(t.total(t.exp(x), -1, True)), "act": gelu(x) + silu(x),
         "att": t.einsum("bhij,bjhn->bihn", scores, v), "turned": rope(q),
         "past": past[0] + past[1] + past[2], "grouped": conv2d(pic, p("grouped.weight"), 1, 1),
         "deep": conv2d(pic, p("deep.weight"), 1, 2), "half": conv2d(pic, p("half.weight"), 2, 1),
         "twice": conv2d_up(pic, p("twice.weight"))}
    return y


def loss_of(p, x, pic):
    """x is the input itself, before scale."""
    y = outputs(p, x, pic)
    terms = [t.total(v*x if n == "rms" else v*v*v if n == "turned" else v*v)
             for n, v in y.items()]
    loss = sum(terms[1:], terms[0])
    return loss.a, {n: v.a for n, v in y.items()}, p.gradients(loss)
