"""Sizes that are multiples of nothing, sequences of 1, 17 and 50: results and every gradient against the
references, fed whole, in pieces and one by one; and, of compiled code, the same bits from one thread and
from two."""
import numpy as np

import ref_old
import ref_retinex
import ref_rwkv7
import ref_vision
from cases import case, streamed, stepped, text
from layers import Params

NARROW = dict(V=23, L=3, D=21, N=7, F=29)      # less than a vector of most things
WIDE = dict(V=131, L=2, D=78, N=26, F=197)     # several vectors, tiles and blocks, and a rest of each
RANKS = (5, 3, 9, 11)
RUNS = ((1, 5, NARROW), (17, 3, NARROW), (50, 3, WIDE))   # T, B, sizes


def int32(a):
    return np.asarray(a).astype(np.int32)


def bits(a):
    return np.ascontiguousarray(a).view(np.uint8)


def thread_bits(b, what, **call):
    """The same call with one thread and with two."""
    if not b.compiled:
        return
    one, two = (b.tool.call(**call, threads=n) for n in (1, 2))
    off, numbers = 0, 0
    for field, tensors in vars(one).items():
        other = getattr(two, field)
        off += set(tensors) != set(other)
        for k in tensors:
            numbers += tensors[k].size
            off += int((bits(tensors[k]) != bits(other[k])).sum())
    b.note(what + " two threads, %d numbers" % numbers, off if numbers else 1, 0)


def language(b, model, sizes, T, B, P, ref, more=None, like=None):
    """A language model at one size; like: as of all_close."""
    what, defines = " T=%d" % T, dict(sizes, **(more or {}))
    both = np.random.default_rng(T).integers(0, sizes["V"], (B, T + 1))
    token, target = both[:, :-1], both[:, 1:]
    run = lambda: ref(Params(P), token, target)
    (loss, logits, grads), (rough, rough_logits, rough_grads) = run(), b.rough(run)
    path, ins = text(model), {"token": int32(token), "target": int32(target)}
    r, call = streamed(b, what, path, defines, P, token, [1, 16, 3] if T > 20 else [], 1e-9, whole=logits,
                       rough=rough_logits)
    if T == 17:
        stepped(b, what, r, call, token)
    q = call("prefill", token)
    b.close(what + " prefill", q.outs["logits"], logits[:, -1], 1e-9,
            rough=rough_logits and (lambda: [x[:, -1] for x in rough_logits()]))
    g = b.tool.call(path, "grad", defines, P, ins, ["loss"], grads=True)
    b.close(what + " loss", g.outs["loss"], loss, 1e-9, "small loss", rough=rough)
    b.all_close(what + " gradients", g.grads, grads, 1e-7, "gradients", rough=rough_grads,
                like=like)
    threads(b, what, path, defines, P, ins)


def threads(b, what, path, defines, P, ins):
    given = dict(text=path, defines=defines, params=P)
    first = {"token": ins["token"]}
    thread_bits(b, what + " forward", entry="forward", ins=first, outs=["logits"], state_out=True, **given)
    thread_bits(b, what + " step", entry="step", ins={"token": ins["token"][:, 0]}, outs=["logits"],
                state_out=True, **given)
    thread_bits(b, what + " grad", entry="grad", ins=ins, outs=["loss"], grads=True, **given)
    thread_bits(b, what + " train", entry="train", ins=ins, outs=["loss"], params_out=True, opt_out=True,
                scalars={"lr": 1e-3, "decay": 0.1, "step": 1}, **given)


def rwkv7(b, name, more=None, **opt):
    for T, B, sizes in RUNS:
        extra = dict(zip(("Rw", "Ra", "Rv", "Rg"), RANKS), **(more or {}))
        P = ref_rwkv7.randoms(ref_rwkv7.shapes(**sizes, ranks=RANKS, M=3, **opt), 11)
        language(b, name, sizes, T, B, P, lambda p, token, target, sizes=sizes: ref_rwkv7.loss_of(
            p, token, target, sizes["L"], sizes["N"], **opt), extra)


def cancelled(P, T):
    """RWKV-4 weighs values by exponentials of keys; a single value has the weight 1 whatever its key is."""
    ends = ("att.time_first", "att.key.weight", "att.time_mix_k")
    value = lambda k: k[:k.index("att.")] + "att.value.weight"
    return {k: value(k) for k in P if k.endswith(ends)} if T == 1 else None


def older(b, name, version, more=None, **ranks):
    for T, B, sizes in RUNS:
        N = sizes["N"] if version != 4 else None
        defines = {k: v for k, v in sizes.items() if k != "N" or N}
        P = ref_rwkv7.randoms(ref_old.shapes(version, sizes["V"], sizes["L"], sizes["D"], sizes["F"], N,
                                             **ranks), 11)
        language(b, name, defines, T, B, P, lambda p, token, target, sizes=sizes, N=N: ref_old.loss_of(
            p, token, target, version, sizes["L"], N), dict(ranks, **(more or {})),
                 cancelled(P, T) if version == 4 else None)


@case
def odd_rwkv7(b): rwkv7(b, "rwkv7")


@case
def odd_rwkv7a(b): rwkv7(b, "rwkv7a", {"M": 3}, embed=True)


@case
def odd_rwkv6(b): older(b, "rwkv6", 6, R=5, Rd=9)


@case
def odd_rwkv5(b): older(b, "rwkv5", 52, dict(version=2, divisor=1))


@case
def odd_rwkv4(b): older(b, "rwkv4", 4)


@case
def odd_vision(b):
    sizes = dict(V=29, L=2, D=42, N=14, F=53)
    tower = dict(E=15, A=3, EL=2, Q=3, G=5)
    rng = np.random.default_rng(4)
    both = rng.integers(0, sizes["V"], (3, 18))
    image = rng.random((3, 3, 15, 15), np.float32)
    P = ref_rwkv7.randoms(ref_vision.shapes(**sizes, ranks=RANKS, **tower), 7)
    ref = lambda: ref_vision.loss_of(Params(P), image, both[:, :-1], both[:, 1:], 2, 14, 15, 3, 2)
    (loss, logits, grads), (rough, rough_logits, rough_grads) = ref(), b.rough(ref)
    defines = dict(sizes, **tower, **dict(zip(("Rw", "Ra", "Rv", "Rg"), RANKS)))
    ins = {"image": image, "token": int32(both[:, :-1]), "target": int32(both[:, 1:])}
    given = dict(text=text("vision"), defines=defines, params=P)
    r = b.tool.call(entry="forward", ins={k: ins[k] for k in ("image", "token")}, outs=["logits"], **given)
    b.close(" logits", r.outs["logits"], logits, 1e-9, rough=rough_logits)
    call = dict(entry="grad", ins=ins, outs=["loss"], grads=True, **given)
    g = b.tool.call(**call)
    b.close(" loss", g.outs["loss"], loss, 1e-9, "small loss", rough=rough)
    b.all_close(" gradients", g.grads, {k: v for k, v in grads.items() if not k.startswith("vit.")}, 1e-7,
                "gradients", rough=rough_grads)
    thread_bits(b, " grad", **call)


@case
def odd_retinex(b):
    """A picture of 12 x 20 and 3 x 1 groups of channels."""
    image, wanted = np.random.default_rng(4).random((2, 3, 3, 12, 20), np.float32)
    P = ref_rwkv7.randoms(ref_retinex.shapes(12), 7)
    P = {k: np.float64(np.float32(v*0.2)) if k.endswith("o_proj.weight") else v for k, v in P.items()}
    ref = lambda: ref_retinex.loss_of(Params(P), image, wanted, 12)
    (loss, out, grads), (rough, rough_out, rough_grads) = ref(), b.rough(ref)
    given = dict(text=text("retinex"), defines={"n_feat": 12}, params=P)
    call = dict(entry="forward", ins={"image": image}, outs=["image_out"], **given)
    r = b.tool.call(**call)
    b.close(" image", r.outs["image_out"], out, 1e-9, "picture", relative=True, rough=rough_out)
    thread_bits(b, " forward", **call)
    call = dict(entry="grad", ins={"image": image, "target": wanted}, outs=["loss"], grads=True, **given)
    g = b.tool.call(**call)
    b.close(" loss", g.outs["loss"], loss, 1e-9, "small loss", rough=rough)
    b.all_close(" gradients", g.grads, grads, 1e-7, "gradients", rough=rough_grads)
    thread_bits(b, " grad", **call)
