"""The comparisons. A case is a function of a Bench; it calls bench.close(what, got, wanted, bar)."""
import math
import os

import numpy as np

import ref_layers
import ref_old
import ref_retinex
import ref_rwkv7
import ref_vision
import tape
from bench import Skip, squeeze
from layers import Params
from tool import HERE, MODELS

CASES = {}


def case(fn):
    CASES[fn.__name__] = fn
    return fn


def text(name):
    return os.path.join(MODELS, name + ".rwkv")


def own(name):
    return os.path.join(HERE, name + ".rwkv")


def wide(tensors):
    return {k: np.asarray(v, np.float64) for k, v in tensors.items()}


def not_compiled(b, why):
    if b.compiled:
        raise Skip("for the interpreter only: " + why)


# ---- one text fed whole, in pieces and one by one -----------------------------------------------

def streamed(b, what, path, defines, params, token, pieces, bar, same=1e-12, whole=None, kind="values",
             rough=None, **first):
    """Logits whole, in `pieces` and step by step, states equal; whole: the logits wanted. `first`
    are more inputs of the first piece."""
    run = lambda entry, tok, state=None, ins=None: b.tool.call(
        path, entry, defines, params, dict({"token": tok.astype(np.int32)}, **(ins or {})),
        ["logits"], state_in=state, state_out=True)
    r = run("forward", token, None, first)
    if whole is not None:
        b.close(what + " logits", r.outs["logits"], whole, bar, kind, rough=rough)
    state, got, at = None, [], 0
    for n in pieces + [token.shape[1] - sum(pieces)]:
        q = run("forward", token[:, at:at + n], state, first if at == 0 else None)
        got.append(q.outs["logits"])
        state, at = q.state, at + n
    b.close(what + " split " + "+".join(map(str, pieces)) + "+rest",
            np.concatenate(got, 1), r.outs["logits"], same, kind)
    b.all_close(what + " split states", state, r.state, same, zeros=False)
    return r, run


def stepped(b, what, r, run, token, state=None, start=0, same=1e-12, kind="values"):
    """One token at a time from position `start`, against the whole run r."""
    got = []
    for i in range(start, token.shape[1]):
        q = run("step", token[:, i], state)
        got.append(q.outs["logits"])
        state = q.state
    b.close(what + " one by one", np.stack(got, 1), r.outs["logits"][:, start:], same, kind)
    b.all_close(what + " one by one, states", state, r.state, same, zeros=False)


# ---- references against the shared numbers and against finite differences -----------------------

def directional(b, what, loss, params, seed, bar=1e-6, h=1e-5):
    """loss(arrays) -> (value, gradients): the gradients against central differences, one direction
    through everything and one a tensor."""
    rng = np.random.default_rng(seed)
    grads = loss(params)[1]
    names = sorted(grads)
    worst = 0.0
    scale = math.sqrt(sum(float((g**2).sum()) for g in grads.values()))
    for which in [names] + [[n] for n in names[::7]]:
        d = {n: rng.standard_normal(params[n].shape) for n in which}
        norm = math.sqrt(sum(float((x**2).sum()) for x in d.values()))
        ends = [loss({k: v + s*h/norm*d[k] if k in d else v for k, v in params.items()})[0]
                for s in (1, -1)]
        slope = sum(float((grads[n]*d[n]).sum()) for n in which)/norm
        worst = max(worst, abs((ends[0] - ends[1])/(2*h) - slope)/scale)
    b.note(what + " gradients against differences", worst, bar)


def without_wrap(p, token, target, **opt):
    logits = ref_rwkv7.model(p, token, **opt)
    ce = tape.mean(ref_rwkv7.cross_entropy(logits, target))
    return ce.a, p.gradients(ce)


@case
def references_differences(b):
    """No tool: the tape and the references against central differences."""
    not_compiled(b, "it runs no code")
    rng = np.random.default_rng(5)
    token, target = rng.integers(0, 11, (2, 2, 5))
    for what, opt in dict(VARIANTS, both={"both": True}, state={"state": True}).items():
        size = dict(V=11, L=2, D=8, N=4, F=12, ranks=(2, 3, 2, 3), F2=9, M=2)
        P = ref_rwkv7.randoms(ref_rwkv7.shapes(**size, **opt), 1)
        directional(b, what, lambda a: without_wrap(Params(a), token, target, L=2, N=4, **opt), P, 2)
    for version in (4, 51, 52, 6):
        P = ref_rwkv7.randoms(ref_old.shapes(version, 11, 2, 8, 12, 4, 2, 3), 1)

        def loss(a, version=version):
            p = Params(a)
            z = tape.mean(ref_rwkv7.cross_entropy(ref_old.model(p, token, version, 2, 4), target))
            return z.a, p.gradients(z)
        directional(b, "rwkv %s" % version, loss, P, 2)
    P = ref_rwkv7.randoms(ref_vision.shapes(11, 2, 8, 4, 12, (2, 3, 2, 3), 6, 3, 1, 2, 2), 1)
    image = rng.random((2, 3, 4, 4))
    directional(b, "vision", lambda a: ref_vision.loss_of(
        Params(a), image, token, target - 1, 2, 4, 6, 3, 1)[::2], P, 2)
    P = ref_rwkv7.randoms(ref_retinex.shapes(4), 1)
    image, wanted = rng.random((2, 1, 3, 4, 8))
    directional(b, "retinex", lambda a: ref_retinex.loss_of(Params(a), image, wanted, 4)[::2], P, 2)
    P = ref_rwkv7.randoms(ref_layers.SHAPES, 1)
    x, pic = rng.standard_normal((2, 4, 8)), rng.standard_normal((2, 4, 5, 6))
    directional(b, "layers", lambda a: ref_layers.loss_of(Params(a), x, pic)[::2], P, 2)


@case
def references_shared(b):
    """No tool: the references against the numbers of the shared folder."""
    not_compiled(b, "it runs no code")
    for tag in ("init", "warm"):
        P = Params(wide(b.ref("train_L2D128.%s.safetensors" % tag)))
        tok = b.ref("train_L2D128.tokens.npy")[0]
        loss, logits, grads = ref_rwkv7.loss_of(P, tok[:, :-1], tok[:, 1:], 2, 64)
        b.close(tag + " loss", loss, b.ref("train_L2D128.json")[tag]["loss"], 1e-12)
        b.close(tag + " logits", logits, b.ref("train_L2D128.%s.logits.npy" % tag), 1e-6)
        b.all_close(tag + " gradients", grads, b.ref("train_L2D128.%s.grads.safetensors" % tag), 1e-6)


# ---- RWKV-7 -------------------------------------------------------------------------------------

L2D128 = dict(V=256, L=2, D=128, N=64)
VARIANTS = {"rwkv7": {}, "variants/rotary": {"rope": True}, "variants/static_decay": {"static": True},
            "variants/gated": {"gated": True}, "rwkv7a": {"embed": True}}
SMALL = dict(V=19, L=3, D=16, N=8, F=24, Rw=4, Ra=3, Rv=5, Rg=6)
SMALL_SHAPES = dict(V=19, L=3, D=16, N=8, F=24, ranks=(4, 3, 5, 6), F2=56, M=3)


def small_tokens(seed=3, T=9, V=19):
    both = np.random.default_rng(seed).integers(0, V, (2, T + 1))
    return both[:, :-1], both[:, 1:]


def small_variant(b, name):
    """A text of the RWKV-7 kind at a small size: logits, loss, every gradient, streaming."""
    opt = VARIANTS[name]
    token, target = small_tokens()
    P = ref_rwkv7.randoms(ref_rwkv7.shapes(**SMALL_SHAPES, **opt), 7)
    wrap = name in ("rwkv7", "rwkv7a")
    ref = lambda: ref_rwkv7.loss_of(Params(P), token, target, 3, 8, wrap, **opt)
    (loss, logits, grads), (rough, rough_logits, rough_grads) = ref(), b.rough(ref)
    defines = dict(SMALL, **({"M": 3} if name == "rwkv7a" else {}))
    r, run = streamed(b, "", text(name), defines, P, token, [1, 3], 1e-9, whole=logits, rough=rough_logits)
    stepped(b, "", r, run, token)
    q = run("prefill", token)
    b.close(" prefill", q.outs["logits"], logits[:, -1], 1e-9)
    b.all_close(" prefill states", q.state, r.state, 1e-12, zeros=False)
    g = b.tool.call(text(name), "grad", defines, P,
                    {"token": token.astype(np.int32), "target": target.astype(np.int32)},
                    ["loss"], grads=True)
    b.close(" loss", g.outs["loss"], loss, 1e-9, "small loss", rough=rough)
    b.all_close(" gradients", g.grads, grads, 1e-7, "gradients", rough=rough_grads)


@case
def small_rwkv7(b): small_variant(b, "rwkv7")


@case
def rotary(b): small_variant(b, "variants/rotary")


@case
def static_decay(b): small_variant(b, "variants/static_decay")


@case
def gated(b): small_variant(b, "variants/gated")


@case
def rwkv7a(b): small_variant(b, "rwkv7a")


@case
def initial_state(b):
    """Only the states at the start are parameters of the training."""
    token, target = small_tokens()
    P = ref_rwkv7.randoms(ref_rwkv7.shapes(**SMALL_SHAPES, state=True), 7)
    ref = lambda: ref_rwkv7.loss_of(Params(P), token, target, 3, 8, False, state=True)
    (loss, _, grads), (rough, _, rough_grads) = ref(), b.rough(ref)
    g = b.tool.call(text("variants/initial_state"), "grad", SMALL, P,
                    {"token": token.astype(np.int32), "target": target.astype(np.int32)},
                    ["loss"], grads=True)
    b.close(" loss", g.outs["loss"], loss, 1e-9, "small loss", rough=rough)
    b.all_close(" gradients", g.grads, {k: v for k, v in grads.items() if k.endswith(".S")}, 1e-7,
                "gradients", rough=rough_grads)


@case
def both_ways(b):
    token, target = small_tokens()
    target = target % 8 - 2
    P = ref_rwkv7.randoms(ref_rwkv7.shapes(**SMALL_SHAPES, both=True, tags=6), 7)

    def ref():
        p = Params(P)
        return ref_rwkv7.masked_loss(p, ref_rwkv7.model(p, token, 3, 8, both=True), target)
    (loss, logits, grads), (rough, rough_logits, rough_grads) = ref(), b.rough(ref)
    ins = {"token": token.astype(np.int32)}
    path, defines = text("variants/both_ways"), dict(SMALL, tags=6)
    r = b.tool.call(path, "forward", defines, P, ins, ["logits"])
    b.close(" logits", r.outs["logits"], logits, 1e-9, rough=rough_logits)
    g = b.tool.call(path, "grad", defines, P, dict(ins, target=target.astype(np.int32)), ["loss"],
                    grads=True)
    b.close(" loss", g.outs["loss"], loss, 1e-9, "small loss", rough=rough)
    b.all_close(" gradients", g.grads, grads, 1e-7, "gradients", rough=rough_grads)


@case
def init_rwkv7(b):
    """First values: formulas against the shared file, draws by what they must obey."""
    want = b.ref("train_L2D128.init.safetensors")
    drawn = ("emb.weight", "head.weight", "att.receptance.weight", "att.key.weight",
             "att.value.weight", "ffn.key.weight", "w2", "a2", "v2", "g2")
    got = b.tool.call(text("rwkv7"), "init", L2D128, params_out=True, seed=7).params
    b.note(" names", len(set(got) ^ set(want)), 0)
    b.note(" shapes", sum(got[k].shape != want[k].shape for k in want if k in got), 0)
    fixed = [k for k in want if not k.endswith(drawn) and k in got]
    b.note(" formulas", max(np.abs(got[k] - want[k]).max() for k in fixed), 1e-6)
    gains = {"head.weight": 0.5*math.sqrt(2), "receptance.weight": 1, "att.key.weight": 0.1,
             "att.value.weight": 1, "ffn.key.weight": 1, "w2": 0.1, "a2": 0.1, "v2": 0.1, "g2": 0.1}
    off = 0.0
    for k in got:
        for end, gain in gains.items():
            if k.endswith(end):
                w = np.float64(got[k] if got[k].shape[0] <= got[k].shape[1] else got[k].T)/gain
                off = max(off, np.abs(w @ w.T - np.eye(len(w))).max())
    b.note(" orthogonal", off, 1e-5)
    e = got["emb.weight"]
    b.note(" emb spread", abs(np.std(e)/(1e-4/math.sqrt(3)) - 1), 0.05)
    b.note(" emb bounds", max(0, np.abs(e).max() - 1e-4), 0)


@case
def reverse(b):
    path = b.data("260123_reverse_L2_only_rwkv7.pth")
    for i in range(8):
        ids = b.ref("reverse_%d.ids.npy" % i)
        r = b.tool.call(text("reverse"), "forward", params=path,
                        ins={"token": ids[None].astype(np.int32)}, outs=["logits"])
        want = b.ref("reverse_%d.logits.npy" % i)
        kind = "digits" + next(d for d, n in (("10", 22), ("20", 42), ("60", 999)) if len(ids) <= n)
        b.close(" %d logits" % i, r.outs["logits"], want[None], 1e-4, kind)
        if b.dtype != "bf16" or kind != "digits60":
            b.note(" %d arg-max" % i, (r.outs["logits"][0].argmax(-1) != want.argmax(-1)).sum(), 0)


def tiny(b, name, model, defines, kind):
    params = b.tool.convert(b.data("tiny-rwkv-%s-FP32.bin" % name))
    prompt = np.frombuffer(open(b.data("tiny-rwkv-prompt.bin"), "rb").read(), np.uint8)[None]
    ids = np.frombuffer(open(b.data("ref", "tiny_text.bin"), "rb").read(), np.uint8)[None]
    q = b.tool.call(text(model), "forward", defines, params, {"token": prompt.astype(np.int32)},
                    ["logits"])
    b.close(" prompt logits", q.outs["logits"][0], b.ref("tiny_%s.prompt3.logits.npy" % name), 5e-6, kind)
    published = np.fromfile(b.data("expected-logits-%s.bin" % name), "<f4")
    b.close(" published logits", q.outs["logits"][0, -1], published, 5e-6, kind)
    r, run = streamed(b, "", text(model), defines, params, ids, [1, 16, 3], 5e-6,
                      whole=b.ref("tiny_%s.text.logits.npy" % name)[None], kind=kind)
    stepped(b, "", r, run, ids, kind=kind)
    return r


@case
def tiny_7v0(b):
    r = tiny(b, "7v0-834K", "rwkv7", dict(V=256, L=12, D=64, N=64, F=256, Rw=32, Ra=32, Rv=32, Rg=32),
             "rwkv7")
    names = "blocks.%d."
    for end, ref in (("att.S", "state"), ("att.x", "shift_att"), ("ffn.x", "shift_ffn")):
        got = np.stack([squeeze(r.state[names % l + end]) for l in range(12)])
        b.close(" " + end, got, b.ref("tiny_7v0-834K.text.%s.npy" % ref), 5e-6, "rwkv7")


@case
def tiny_5v2(b):
    tiny(b, "5v2-730K", "rwkv5", dict(V=256, L=12, D=64, N=8, F=256, version=2), "older")


@case
def tiny_4v0(b):
    tiny(b, "4v0-660K", "rwkv4", dict(V=256, L=4, D=128, F=256), "older")


def train_once(b, tag):
    tok = b.ref("train_L2D128.tokens.npy")[0].astype(np.int32)
    params = b.data("ref", "train_L2D128.%s.safetensors" % tag)
    g = b.tool.call(text("rwkv7"), "grad", L2D128, params,
                    {"token": tok[:, :-1], "target": tok[:, 1:]}, ["loss"], grads=True)
    b.close(" loss", g.outs["loss"], b.ref("train_L2D128.json")[tag]["loss"], 1e-6, "loss")
    b.all_close(" gradients", g.grads, b.ref("train_L2D128.%s.grads.safetensors" % tag), 1e-6, "gradients")
    r = b.tool.call(text("rwkv7"), "forward", L2D128, params, {"token": tok[:, :-1]}, ["logits"])
    b.close(" logits", r.outs["logits"], b.ref("train_L2D128.%s.logits.npy" % tag), 1e-6)


@case
def train_init(b): train_once(b, "init")


@case
def train_warm(b): train_once(b, "warm")


def training(b, path, defines, params, batches, rates, decay):
    """Losses of the steps and the last parameters; one call a step."""
    losses, opt = [], None
    for s, (tok, lr) in enumerate(zip(batches, rates)):
        tok = tok.astype(np.int32)
        r = b.tool.call(path, "train", defines, params,
                        {"token": tok[:, :-1], "target": tok[:, 1:]}, ["loss"], params_out=True,
                        opt_in=opt, opt_out=True,
                        scalars={"lr": float(lr), "decay": decay, "step": s + 1})
        losses.append(float(r.outs["loss"]))
        params, opt = r.params, r.opt
    return np.array(losses), params


@case
def train_curve(b):
    """20 steps of AdamW with groups and clip; the schedule is given as numbers."""
    info = b.ref("train_L2D128.json")
    h, run = info["hyper"], info["run_fp64"]
    rates = []
    for s in range(20):
        p = min(max((s - h["warmup"])/(h["total_steps"] - h["warmup"]), 0), 1)
        f = h["lr_final"]/h["lr_init"]
        lr = h["lr_init"]*((0.5 + f/2) + (0.5 - f/2)*math.cos(math.pi*p))
        rates.append(lr*(0.01 + 0.99*s/h["warmup"] if s < h["warmup"] else 1))
    b.note(" schedule", np.abs(np.array(rates) - run["lr"]).max(), 1e-12)
    start = wide(b.ref("train_L2D128.init.safetensors"))
    losses, last = training(b, text("rwkv7"), L2D128, start, b.ref("train_L2D128.tokens.npy"), rates,
                            h["weight_decay"])
    b.close(" losses", losses, run["loss"], 1e-6, "curve")
    want = b.ref("train_L2D128.run.final.safetensors")
    b.all_close(" weights", last, want, 1e-6, "weights", zeros=False)
    moved = {k: want[k] - start[k] for k in want}
    b.all_close(" updates", {k: squeeze(last[k]).reshape(want[k].shape) - start[k] for k in want
                             if k in last}, moved, 1e-4, "updates", zeros=False)


@case
def revtrain(b):
    tok = b.ref("revtrain.tokens.npy")[:20]
    rates = [1e-6 + (4e-3 - 1e-6)*(1 + math.cos(math.pi*s/800))/2 for s in range(20)]
    losses, _ = training(b, text("revtrain"), {}, wide(b.ref("revtrain.init.safetensors")), tok,
                         rates, 0.1)
    b.close(" first losses", losses, b.ref("revtrain.json")["fp64"]["loss_first_20"], 1e-6, "curve")


# ---- the recurrence alone -----------------------------------------------------------------------

def wkv_case(b, name, H, N, P):
    d = wide(b.ref(name))
    inputs = ("r", "wraw", "k", "v", "a", "b")
    B = d["r"].shape[0]
    r = b.tool.call(own("wkv7"), "forward", dict(H=H, N=N), {}, {k: d[k] for k in inputs}, ["y"],
                    state_in={"wkv.S": d["S0"]}, state_out=True)
    b.close(" y", r.outs["y"], d["y"], 1e-6, "recurrence", relative=True)
    b.close(" S", r.state["wkv.S"], d["S"], 1e-6, "recurrence", relative=True)
    grads = []
    for i in range(B):
        params = {k: d[k][i] for k in inputs + ("S0",)}
        g = b.tool.call(own("wkv7_grad"), "grad", dict(P=P, H=H, N=N), params,
                        {"dy": d["dy"][i:i + 1], "dS": d["dS"][i:i + 1]}, ["loss"], grads=True)
        grads.append(g.grads)
    got = {k: np.stack([g[k] for g in grads]) for k in grads[0]}
    b.all_close(" gradients", got, {k: d["d" + k] for k in inputs + ("S0",)}, 1e-6, "recurrence")


@case
def wkv7_37(b): wkv_case(b, "wkv7_1_37_3_16.safetensors", 3, 16, 37)


@case
def wkv7_48(b): wkv_case(b, "wkv7_2_48_2_64.safetensors", 2, 64, 48)


def hashed(i, stream):
    """uint32 -> [0,1), the hash of the shared folder's long sequence."""
    x = (i.astype(np.uint64) + np.uint64(stream*0x9E3779B9)) & np.uint64(0xFFFFFFFF)
    for s, m in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        x = ((x ^ (x >> np.uint64(s)))*np.uint64(m)) & np.uint64(0xFFFFFFFF)
    return ((x ^ (x >> np.uint64(15))) >> np.uint64(8)).astype(np.float64)/2**24


@case
def wkv7_4096(b):
    d = b.ref("wkv7_long_4096_2_64.safetensors")
    u = lambda s: hashed(np.arange(4096*2*64), s + 16).reshape(1, 4096, 2, 64)
    kk = u(5) - 0.5
    kk /= np.sqrt((kk**2).sum(-1, keepdims=True))
    ins = dict(r=u(1) - 0.5, wraw=8*u(2) - 6, k=u(3) - 0.5, v=2*u(4) - 1, a=-kk, b=kk*u(6))
    r = b.tool.call(own("wkv7"), "forward", dict(H=2, N=64), {}, ins, ["y"], state_out=True)
    b.close(" y", r.outs["y"][0, d["t"]], d["y"], 1e-6, "long")
    b.close(" S", r.state["wkv.S"], d["S"], 1e-6, "long")


# ---- older versions, pictures, layers -----------------------------------------------------------

def small_old(b, model, version, defines=None):
    token, target = small_tokens()
    size = dict(V=19, L=3, D=16, F=24)
    N = 8 if version != 4 else None
    P = ref_rwkv7.randoms(ref_old.shapes(version, **size, N=N, R=4, Rd=5), 7)
    defines = defines or {}
    divisor = defines.get("divisor", 1)
    ref = lambda: ref_old.loss_of(Params(P), token, target, version, 3, N, divisor)
    (loss, logits, grads), (rough, rough_logits, rough_grads) = ref(), b.rough(ref)
    defines = dict(size, **defines, **({"N": N} if N else {}))
    r, run = streamed(b, "", text(model), defines, P, token, [1, 3], 1e-9, whole=logits, rough=rough_logits)
    stepped(b, "", r, run, token)
    g = b.tool.call(text(model), "grad", defines, P,
                    {"token": token.astype(np.int32), "target": target.astype(np.int32)},
                    ["loss"], grads=True)
    b.close(" loss", g.outs["loss"], loss, 1e-9, "small loss", rough=rough)
    b.all_close(" gradients", g.grads, grads, 1e-7, "gradients", rough=rough_grads)


@case
def small_rwkv4(b): small_old(b, "rwkv4", 4)


@case
def small_rwkv5_1(b): small_old(b, "rwkv5", 51, dict(version=1, divisor=8))


@case
def small_rwkv5_2(b): small_old(b, "rwkv5", 52, dict(version=2, divisor=8))


@case
def small_rwkv6(b): small_old(b, "rwkv6", 6, dict(R=4, Rd=5))


@case
def small_vision(b):
    token, target = small_tokens()
    target = np.where(np.arange(9) < 3, -1, target)
    rng = np.random.default_rng(4)
    image = rng.random((2, 3, 6, 6), np.float32)
    P = ref_rwkv7.randoms(ref_vision.shapes(19, 2, 16, 8, 24, (4, 3, 5, 6), 12, 3, 2, 2, 3), 7)
    ref = lambda: ref_vision.loss_of(Params(P), image, token, target, 2, 8, 12, 3, 2)
    (loss, logits, grads), (rough, rough_logits, rough_grads) = ref(), b.rough(ref)
    defines = dict(SMALL, L=2, E=12, A=3, EL=2, Q=2, G=3)
    ins = {"image": image, "token": token.astype(np.int32)}
    r = b.tool.call(text("vision"), "forward", defines, P, ins, ["logits"], state_out=True)
    b.close(" logits", r.outs["logits"], logits, 1e-9, rough=rough_logits)
    first = b.tool.call(text("vision"), "prefill", defines, P,
                        {"image": image, "token": ins["token"][:, :4]}, ["logits"], state_out=True)
    b.close(" prefill", first.outs["logits"], logits[:, 3], 1e-9)
    run = lambda entry, tok, state: b.tool.call(text("vision"), entry, defines, P,
                                                {"token": tok.astype(np.int32)}, ["logits"],
                                                state_in=state, state_out=True)
    stepped(b, "", r, run, token, first.state, 4)
    g = b.tool.call(text("vision"), "grad", defines, P, dict(ins, target=target.astype(np.int32)),
                    ["loss"], grads=True)
    b.close(" loss", g.outs["loss"], loss, 1e-9, "small loss", rough=rough)
    b.all_close(" gradients", g.grads, {k: v for k, v in grads.items() if not k.startswith("vit.")},
                1e-7, "gradients", rough=rough_grads)


@case
def small_retinex(b):
    rng = np.random.default_rng(4)
    image, wanted = rng.random((2, 2, 3, 8, 12), np.float32)
    P = ref_rwkv7.randoms(ref_retinex.shapes(4), 7)
    P = {k: v*0.2 if k.endswith("o_proj.weight") else v for k, v in P.items()}
    ref = lambda: ref_retinex.loss_of(Params(P), image, wanted, 4)
    (loss, out, grads), (rough, rough_out, rough_grads) = ref(), b.rough(ref)
    r = b.tool.call(text("retinex"), "forward", {"n_feat": 4}, P, {"image": image}, ["image_out"])
    b.close(" image", r.outs["image_out"], out, 1e-9, "picture", relative=True, rough=rough_out)
    g = b.tool.call(text("retinex"), "grad", {"n_feat": 4}, P, {"image": image, "target": wanted},
                    ["loss"], grads=True)
    b.close(" loss", g.outs["loss"], loss, 1e-9, "small loss", rough=rough)
    b.all_close(" gradients", g.grads, grads, 1e-7, "gradients", rough=rough_grads)


def tiny32(b):
    """The 40x32 picture, [1,3,32,40]."""
    raw = open(b.data("ref", "retinex12_tiny32.in.ppm"), "rb").read()
    image = np.frombuffer(raw[-32*40*3:], np.uint8).reshape(32, 40, 3).astype(np.float32)
    return np.float64(image/np.float32(255)).transpose(2, 0, 1)[None]


@case
def retinex_tiny32(b):
    params = b.data("best_model_nfeat_12.pth")
    r = b.tool.call(text("retinex"), "forward", params=params, ins={"image": tiny32(b)},
                    outs=["image_out"])
    b.close(" image", r.outs["image_out"][0], b.ref("retinex12_tiny32.out.npy"), 1e-6, "picture")


@case
def retinex_taps(b):
    """Every intermediate value the shared folder has: some value of the program must be equal to it."""
    not_compiled(b, "compiled code keeps no values of its inside")
    params = b.data("best_model_nfeat_12.pth")
    taps = b.tool.call(text("retinex"), "forward", params=params, ins={"image": tiny32(b)},
                       taps=True).taps
    want = b.ref("retinex12_tiny32.taps.safetensors")
    found = match_taps(taps, want)
    for name in sorted(want):
        error = min(found.get(name) or [math.inf])
        b.note(" " + name, error, 1e-6)


def match_taps(taps, want):
    """Errors of all tapped values that have as many numbers as the wanted one; a value made in a loop
    may have its iterations in front, pixels may be transposed."""
    flat = {}
    for a in taps.values():
        a = np.float64(a)
        for piece in [a] + (list(a) if a.ndim > 1 and len(a) < 4 else []):
            flat.setdefault(piece.size, []).append(piece.ravel())
    out = {}
    for name, w in want.items():
        w = np.float64(squeeze(w))
        for f in [w] + ([w.T] if w.ndim == 2 else []):
            out.setdefault(name, []).extend(np.abs(a - f.ravel()).max() for a in flat.get(w.size, []))
    return out


@case
def layers(b):
    rng = np.random.default_rng(4)
    x, pic = rng.standard_normal((2, 6, 8), np.float32), rng.standard_normal((2, 4, 7, 6), np.float32)
    P = ref_rwkv7.randoms(ref_layers.SHAPES, 7)
    ref = lambda: ref_layers.loss_of(Params(P), x, pic)
    (loss, outs, grads), (rough, rough_outs, rough_grads) = ref(), b.rough(ref)
    ins = {"x": x, "pic": pic}
    r = b.tool.call(own("layers"), "forward", {}, P, ins, list(outs))
    for name, want in outs.items():
        b.close(" " + name, r.outs[name], want, 1e-9, 
                rough=rough_outs and (lambda name=name: [o[name] for o in rough_outs()]))
    g = b.tool.call(own("layers"), "grad", {}, P, ins, ["loss"], grads=True)
    b.close(" loss", g.outs["loss"], loss, 1e-9, "loss", relative=True, rough=rough)
    b.all_close(" gradients", g.grads, grads, 1e-7, "gradients", rough=rough_grads,
                like={"k.bias": "k.weight"}) # softmax does not see what is added to every score of a row


@case
def dropout(b):
    x = np.random.default_rng(4).standard_normal((2, 50, 16)).astype(np.float32)
    size = float(np.abs(x).sum(dtype=np.float64))    # a Python number: numpy 2 would divide in float32
    P = {"scale": np.ones(16)}
    r = b.tool.call(own("drop"), "forward", {}, P, {"x": x}, ["y"])
    b.close(" nothing in forward", r.outs["y"], x, 0, "exact")
    seeds = []
    for seed in (1, 1, 2):
        g = b.tool.call(own("drop"), "grad", {}, P, {"x": x}, ["loss", "zeros", "off"], grads=True,
                        seed=seed)
        seeds.append(float(g.outs["loss"]))
        b.note(" kept entries", float(g.outs["off"]), 0)
        b.note(" zeros about half", abs(float(g.outs["zeros"]) - 0.5), 0.06)
        b.close(" gradient", g.grads["scale"].sum()/size, seeds[-1]/size, 1e-12, "loss")
    b.note(" same seed, same zeros", abs(seeds[0] - seeds[1]), 0)
    b.note(" another seed, others", float(seeds[0] == seeds[2]), 0)
