"""ViT tower, gated projector and RWKV-7 over the picture's tokens and then the text; float64."""
import tape as t
from layers import conv2d, gelu, heads, layer_norm, linear, softmax
from ref_rwkv7 import masked_loss, run_layers
from ref_rwkv7 import shapes as text_shapes


def tower(p, image, E, A, EL):
    B = image.shape[0]
    w = p("patch.weight")
    z = conv2d(t.const(image), w, stride=w.shape[2])                   # [B,E,G,G]
    x = z.reshape(B, E, -1).transpose(0, 2, 1) + p("patch.bias") + p("pos")
    dense = lambda q, z: linear(z, q("weight")) + q("bias")
    for l in range(EL):
        b = p.at("blocks.%d." % l)
        u = dense(b.at("attn.qkv."), layer_norm(b.at("norm1."), x))
        q, k, v = [heads(u[:, :, i*E:(i + 1)*E], E//A) for i in range(3)]
        s = softmax(t.einsum("bihn,bjhn->bhij", q, k)*((E//A)**-0.5))
        y = t.einsum("bhij,bjhn->bihn", s, v).reshape(*x.shape)
        x = x + dense(b.at("attn.proj."), y)
        h = gelu(dense(b.at("mlp.fc1."), layer_norm(b.at("norm2."), x)))
        x = x + dense(b.at("mlp.fc2."), h)
    return layer_norm(p.at("norm."), x)


def model(p, image, token, L, N, E, A, EL):
    see = tower(p.at("vit."), image, E, A, EL)
    q = p.at("proj.")
    see = see*t.sigmoid(linear(see, q("gate.weight")))
    see = layer_norm(q.at("ln_v."), linear(see, q("o_proj.weight")))
    text = layer_norm(p.at("blocks.0.ln0."), p("emb.weight")[token])
    x = run_layers(p, t.concat([see, text], 1), L, N)[:, see.shape[1]:]
    return linear(layer_norm(p.at("ln_out."), x), p("head.weight"))


def loss_of(p, image, token, target, L, N, E, A, EL):
    return masked_loss(p, model(p, image, token, L, N, E, A, EL), target)


def shapes(V, L, D, N, F, ranks, E, A, EL, Q, G):
    s = text_shapes(V, L, D, N, F, ranks)
    s.update({"vit.patch.weight": (E, 3, Q, Q), "vit.patch.bias": (E,), "vit.pos": (G*G, E),
              "vit.norm.weight": (E,), "vit.norm.bias": (E,), "proj.gate.weight": (E, E),
              "proj.o_proj.weight": (D, E), "proj.ln_v.weight": (D,), "proj.ln_v.bias": (D,)})
    for l in range(EL):
        b = "vit.blocks.%d." % l
        for n in ("norm1", "norm2"):
            s.update({b + n + ".weight": (E,), b + n + ".bias": (E,)})
        for n, m, k in (("attn.qkv", 3*E, E), ("attn.proj", E, E), ("mlp.fc1", 4*E, E),
                        ("mlp.fc2", E, 4*E)):
            s.update({b + n + ".weight": (m, k), b + n + ".bias": (m,)})
    return s
