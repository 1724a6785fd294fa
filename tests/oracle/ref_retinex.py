"""RetinexRWKV, the network of the published weights, from its description; batch first, float64."""
import math

import numpy as np

import tape as t
from layers import conv2d, conv2d_up, gelu, group_norm, heads, layer_norm, linear, shift
from ref_rwkv7 import wkv

LEVELS = [("encoder_layers.0.0", 1, 1), ("encoder_layers.1.0", 2, 2), ("bottleneck", 4, 2),
          ("decoder_layers.0.2", 2, 2), ("decoder_layers.1.2", 1, 1)]   # path, width/C, blocks


def attend(p, x, N, taps=None):
    """RWKV-7 over tokens [B,T,C]: no value residual, norm of k with 1e-6, group norm eps N*1e-5."""
    d = shift(x) - x
    mix = [x + d*p("x_x")[j] for j in range(6)]
    r, k, v = [linear(mix[j], p(n + "_proj.weight")) for j, n in ((0, "r"), (2, "k"), (3, "v"))]
    low = lambda n, z: linear(z, p(n + "_lora.lora.2.weight"))
    u = low("w", t.tanh(linear(mix[1], p("w_lora.lora.0.weight")))) + p("w_lora.lora.2.bias")
    a = low("a", linear(mix[4], p("a_lora.lora.0.weight"))) + p("a_lora.lora.2.bias")
    g = low("g", t.sigmoid(linear(mix[5], p("g_lora.lora.0.weight"))))
    w, a = t.exp(-math.exp(-0.5)*t.sigmoid(u)), t.sigmoid(a)
    kk = heads(k*p("k_k"), N)
    kk = kk/t.sqrt(t.total(t.square(kk), -1, True) + 1e-6)
    k = heads(k*(1 + (a - 1)*p("k_a")), N)
    r, v = heads(r, N), heads(v, N)
    y, S = wkv(r, heads(w, N), k, v, -kk, kk*heads(a, N))
    o = group_norm(p.at("g_norm."), y, N*1e-5)
    o = o + (t.total(r*k*p("r_k"), -1, True)*v).reshape(*x.shape)
    out = linear(o*g, p("o_proj.weight"))
    if taps is not None:
        taps.update(r=r, k=k, v=v, a=a, g=g, kk=kk, decay=w, wraw=u, wkv=y, state=S, out=out)
    return out


def tokens(x):
    B, C, I, J = x.shape
    return x.reshape(B, C, I*J).transpose(0, 2, 1)


def picture(s, like):
    return s.transpose(0, 2, 1).reshape(*like.shape)


def igab(p, x, illu, blocks, N, name, tap):
    for b in range(blocks):
        q = p.at("blocks.%d." % b)
        seen = {} if name == "enc0" else None
        x = x + picture(attend(q.at("0.rwkv_attention."), tokens(x + illu), N, seen), x)
        for k, v in (seen or {}).items():
            tap("%s.b%d.%s" % (name, b, k), v)
        tap("%s.b%d.attn" % (name, b), x)
        f = picture(layer_norm(q.at("1.norm."), tokens(x)), x)
        f = gelu(conv2d(f, q("1.fn.net.0.weight")))
        f = gelu(conv2d(f, q("1.fn.net.2.weight"), pad=1))
        x = x + conv2d(f, q("1.fn.net.4.weight"))
        tap("%s.b%d" % (name, b), x)
    return x


def biased(y, bias):
    return y + bias.reshape(-1, 1, 1)


def model(p, image, N, taps=None):
    """image [B,3,Y,X] -> [B,3,Y,X]; N features at full size, also the head size."""
    tap = taps.__setitem__ if taps is not None else lambda n, v: None
    p = p.at("body.0.")
    e = p.at("estimator.")
    img = t.const(image)
    z = t.concat([img, t.mean(img, 1, True)], 1)
    z = biased(conv2d(z, e("conv1.weight")), e("conv1.bias"))
    illu = biased(conv2d(z, e("depth_conv.weight"), pad=2), e("depth_conv.bias"))
    light = biased(conv2d(illu, e("conv2.weight")), e("conv2.bias"))
    x = img + img*light
    for n, v in (("illu", illu), ("illu_map", light), ("inp", x)):
        tap(n, v)
    d = p.at("denoiser.")
    f = conv2d(x, d("embedding.weight"), pad=1)
    tap("embed", f)
    kept = []
    for l in range(2):
        q = d.at("encoder_layers.%d." % l)
        f = igab(q.at("0."), f, illu, LEVELS[l][2], N, "enc%d" % l, tap)
        kept.append((f, illu))
        f = conv2d(f, q("1.weight"), 2, 1)
        illu = conv2d(illu, q("2.weight"), 2, 1)
        tap("down%d" % l, f)
    f = igab(d.at("bottleneck."), f, illu, 2, N, "mid", tap)
    for l in range(2):
        q = d.at("decoder_layers.%d." % l)
        skip, illu = kept[1 - l]
        f = biased(conv2d_up(f, q("0.weight")), q("0.bias"))
        f = conv2d(t.concat([f, skip], 1), q("1.weight"))
        tap("up%d" % l, f)
        f = igab(q.at("2."), f, illu, LEVELS[3 + l][2], N, "dec%d" % l, tap)
    out = conv2d(f, d("mapping.weight"), pad=1) + x
    tap("out", out)
    return out


def loss_of(p, image, target, N):
    out = model(p, image, N)
    loss = t.mean(t.absolute(out - target))
    return loss.a, out.a, p.gradients(loss)


def shapes(C):
    e, d = "body.0.estimator.", "body.0.denoiser."
    s = {e + "conv1.weight": (C, 4, 1, 1), e + "conv1.bias": (C,),
         e + "depth_conv.weight": (C, C//4, 5, 5), e + "depth_conv.bias": (C,),
         e + "conv2.weight": (3, C, 1, 1), e + "conv2.bias": (3,),
         d + "embedding.weight": (C, 3, 3, 3), d + "mapping.weight": (3, C, 3, 3)}
    for l, K in ((0, C), (1, 2*C)):
        for n in "12":
            s[d + "encoder_layers.%d.%s.weight" % (l, n)] = (2*K, K, 4, 4)
    for l, K in ((0, 4*C), (1, 2*C)):
        q = d + "decoder_layers.%d." % l
        s.update({q + "0.weight": (K, K//2, 2, 2), q + "0.bias": (K//2,),
                  q + "1.weight": (K//2, K, 1, 1)})
    for path, wide, blocks in LEVELS:
        K = C*wide
        for b in range(blocks):
            q = "%s%s.blocks.%d." % (d, path, b)
            a = q + "0.rwkv_attention."
            s.update({a + "x_x": (6, K), a + "k_k": (K,), a + "k_a": (K,), a + "r_k": (wide, C),
                      a + "g_norm.weight": (K,), a + "g_norm.bias": (K,)})
            for n in "rkvo":
                s[a + n + "_proj.weight"] = (K, K)
            for n, R in (("w", 32), ("a", 32), ("g", 64)):
                s[a + n + "_lora.lora.0.weight"] = (R, K)
                s[a + n + "_lora.lora.2.weight"] = (K, R)
                if n != "g":
                    s[a + n + "_lora.lora.2.bias"] = (K,)
            s.update({q + "1.fn.net.0.weight": (4*K, K, 1, 1), q + "1.fn.net.2.weight": (4*K, 1, 3, 3),
                      q + "1.fn.net.4.weight": (K, 4*K, 1, 1),
                      q + "1.norm.weight": (K,), q + "1.norm.bias": (K,)})
    return s
