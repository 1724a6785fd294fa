#!/usr/bin/env python3
"""rwkvc eval: every flag, and every mistake with its words."""
import os
import sys

from tool import MODELS, case, main, npy, read_npy, read_safetensors, safetensors

# A running sum with decay, a table of words, two layers; every number below can be done by hand.
TEXT = """const V = 5, D = 3, L = 2
axis T
cell keep(x[D]) -> y[D] {
    state S[D] = 0
    S = 0.5*S + x
    y = S
}
model tiny(token[T]: index(V)) -> logits[T,V] along T {
    param emb.weight[V,D] ~ uniform(-1, 1)
    param head.weight[V,D] ~ orthogonal(0.5)
    x[t,d] = emb.weight[token[t],d]
    for l in L as blocks.{l} {
        param gain[d:D] = 1 + l + d   stored [1,1,D]
        x = keep(x*gain) along T
    }
    logits[t,v] = sum[d] head.weight[v,d]*x[t,d]
}
train tiny(target[T]: index(V)) {
    loss = mean[b,t] (0 - logits[b,t,target[b,t]])
    metric twice = 2*loss
    update = step() clip 1e30
}
cell step(p[], g[], lr, decay, step) -> p[] {
    state m[] = 0
    m = m + g
    p -= lr*m*step
}
"""
V, D = 5, 3
EMB = [[(7*v + 3*d) % 5 - 2 for d in range(D)] for v in range(V)]
HEAD = [[(2*v + d) % 3 - 1 for d in range(D)] for v in range(V)]
GAIN = [[1 + l + d for d in range(D)] for l in range(2)]
PARAMS = {"emb.weight": ("F32", [V, D], EMB), "head.weight": ("F32", [V, D], HEAD),
          "blocks.0.gain": ("F32", [1, 1, D], GAIN[0]), "blocks.1.gain": ("F32", [1, 1, D], GAIN[1])}
TOKENS = [[0, 1, 2, 3], [4, 3, 0, 0]]


def forward(tokens, state=None):
    """logits of one sample and the state after it, by the rules of the text"""
    S = [list(s) for s in state] if state else [[0.0]*D, [0.0]*D]
    out = []
    for token in tokens:
        x = EMB[token]
        for l in range(2):
            S[l] = [0.5*s + g*a for s, g, a in zip(S[l], GAIN[l], x)]
            x = S[l]
        out.append([sum(h*a for h, a in zip(row, x)) for row in HEAD])
    return out, S


def given(b):
    """The text, its parameters and inputs as files; the words that run it."""
    b.write("m.rwkv", TEXT)
    b.write("p.safetensors", safetensors(PARAMS))
    b.write("token.npy", npy([2, 4], TOKENS, "<i4"))
    b.write("target.npy", npy([2, 4], TOKENS, "<i4"))
    return ["rwkvc", "eval", "m.rwkv"]


RUN = ["forward", "--params", "p.safetensors", "--in", "token=token.npy"]
GRAD = ["grad", "--params", "p.safetensors", "--in", "token=token.npy", "--in", "target=target.npy"]
TRAIN = ["train"] + GRAD[1:] + ["--set", "lr=0.1", "--set", "decay=0", "--set", "step=1"]


@case
def whole(b):
    base = given(b)
    done = b.expect(base + RUN + ["--out", "logits=y.npy", "--state-out", "s.safetensors"], 0, "logits [2,4,5]", "")
    dtype, shape, numbers = read_npy(b.path("y.npy"))
    b.same("type and shape", (dtype, shape), ("<f8", [2, 4, V]))
    b.close("logits", numbers, [forward(t)[0] for t in TOKENS])
    b.same("nothing else is said", done.out, "logits [2,4,5]\n")
    state = read_safetensors(b.path("s.safetensors"))
    b.same("states", sorted(state), ["blocks.0.S", "blocks.1.S"])
    for l in range(2):
        dtype, shape, numbers = state[f"blocks.{l}.S"]
        b.same("state", (dtype, shape), ("F64", [2, D]))
        b.close("state", numbers, [forward(t)[1][l] for t in TOKENS])


@case
def pieces_and_steps(b):
    base = given(b)
    want = [forward(t)[0] for t in TOKENS]
    b.write("a.npy", npy([2, 3], [t[:3] for t in TOKENS], "<i4"))
    b.write("z.npy", npy([2], [t[3] for t in TOKENS], "|u1"))
    b.write("z1.npy", npy([2, 1], [t[3] for t in TOKENS], "<f4"))
    params = ["--params", "p.safetensors"]
    b.expect(base + ["prefill"] + params + ["--in", "token=a.npy", "--out", "logits=y.npy", "--state-out", "s.pth"], 0)
    b.close("prefill", read_npy(b.path("y.npy"))[2], [w[2] for w in want])
    for words in (["step", "--in", "token=z.npy"], ["forward", "--in", "token=z1.npy"]):
        b.expect(base + words + params + ["--state-in", "s.pth", "--out", "logits=y.npy"], 0)
        b.close(words[0], read_npy(b.path("y.npy"))[2], [w[3] for w in want])


@case
def states_that_start_from_inputs(b):
    """They are asked for where a sequence begins, in a `step` too."""
    b.write("m.rwkv", "axis T\ncell c(x[2], h0[2]) -> y[2] { state h[2] = 2*h0; h = 0.5*h + x; y = h }\n"
                      "model m(x[T,2], h0[2]) -> y[T,2] along T { y = c(x, h0) along T as c }\n")
    b.write("x.npy", npy([1, 3, 2], [1, 2, 3, 4, 5, 6]))
    b.write("h0.npy", npy([1, 2], [1, -1]))
    for t in range(3):
        b.write(f"x{t}.npy", npy([1, 2], [2*t + 1, 2*t + 2]))
    base, h0, want = ["rwkvc", "eval", "m.rwkv"], ["--in", "h0=h0.npy"], [2, 1, 4, 4.5, 7, 8.25]
    b.expect(base + ["forward", "--in", "x=x.npy", "--out", "y=y.npy"] + h0, 0)
    b.close("whole", read_npy(b.path("y.npy"))[2], want)
    b.expect(base + ["step", "--in", "x=x0.npy"], 2, "", "input 'h0': not given")
    for t in range(3):
        more = ["--state-in", "s.pth"] if t else h0
        b.expect(base + ["step", "--in", f"x=x{t}.npy", "--out", "y=y.npy", "--state-out", "s.pth"] + more, 0)
        b.close(f"step {t}", read_npy(b.path("y.npy"))[2], want[2*t:2*t + 2])
    b.expect(base + ["step", "--in", "x=x0.npy", "--state-in", "s.pth"] + h0, 2, "", "step has no such input")


@case
def first_values(b):
    base = given(b)
    b.expect(base + ["init", "-o", "a.safetensors"], 0, "", "")
    b.expect(base + ["init", "--params-out", "b.safetensors", "--seed", "0"], 0, "", "")
    b.expect(base + ["init", "-o", "c.safetensors", "--seed", "1"], 0, "", "")
    a, again, other = (read_safetensors(b.path(n + ".safetensors")) for n in "abc")
    b.same("same seed, same values", a, again)
    b.check("another seed, other draws", a["emb.weight"] != other["emb.weight"])
    b.same("formulas need no seed", a["blocks.1.gain"], other["blocks.1.gain"])
    b.same("formula", a["blocks.1.gain"], ("F32", [1, 1, D], [2.0, 3.0, 4.0]))
    b.check("uniform", all(-1 <= x < 1 for x in a["emb.weight"][2]))
    rows = [a["head.weight"][2][D*i:D*i + D] for i in range(V)]
    b.close("orthogonal columns", [[sum(r[i]*r[k] for r in rows) for k in range(D)] for i in range(D)],
            [[0.25*(i == k) for k in range(D)] for i in range(D)], 1e-7)
    b.expect(base + RUN[:1] + RUN[3:] + ["--seed", "1", "--out", "logits=y.npy"], 0)
    b.expect(base + RUN[:1] + ["--params", "c.safetensors"] + RUN[3:] + ["--out", "logits=z.npy"], 0)
    b.same("without --params: the first values", read_npy(b.path("y.npy")), read_npy(b.path("z.npy")))
    b.expect(base + ["init"], 2, "", "init writes parameters: -o")
    b.expect(base + ["init", "-o", "a.pth", "--params", "p.safetensors"], 2, "", "nothing else")
    b.expect(base + ["init", "-o", "a.txt"], 2, "", "its ending says what is written")


@case
def gradients(b):
    base = given(b)
    done = b.expect(base + GRAD + ["--grads", "g.safetensors", "--out", "loss=l.npy"], 0, "loss ", "")
    loss = read_npy(b.path("l.npy"))
    want = -sum(forward(t)[0][i][y] for t in TOKENS for i, y in enumerate(t))/8
    b.same("loss has no axes", loss[:2], ("<f8", []))
    b.close("loss", loss[2], [want])
    lines = dict(line.split() for line in done.out.splitlines())
    b.close("printed", [float(lines["loss"]), float(lines["twice"])], [want, 2*want])
    g = read_safetensors(b.path("g.safetensors"))
    b.same("names", sorted(g), sorted(PARAMS))
    for name, (dtype, shape, numbers) in g.items():
        b.same(name, (dtype, shape), ("F64", PARAMS[name][1]))
    b.close("a linear loss: its gradient on head.weight times it", sum(
        x*y for x, y in zip(g["head.weight"][2], [a for r in HEAD for a in r])), [want])


@case
def training(b):
    base = given(b)
    b.expect(base + GRAD + ["--grads", "g.safetensors"], 0)
    b.expect(base + TRAIN + ["-o", "q.safetensors", "--opt-out", "o.safetensors"], 0, "loss ", "")
    g, q, m = (read_safetensors(b.path(n + ".safetensors")) for n in "gqo")
    b.same("all parameters, as the text declares them", {k: q[k][1] for k in q}, {k: PARAMS[k][1] for k in PARAMS})
    emb = [x for r in EMB for x in r]
    b.close("one step", q["emb.weight"][2], [p - 0.1*d for p, d in zip(emb, g["emb.weight"][2])])
    name = next(k for k in m if k.startswith("emb.weight"))
    b.close("state of the optimizer", m[name][2], g["emb.weight"][2])
    b.expect(base + TRAIN + ["-o", "r.safetensors", "--opt-in", "o.safetensors"], 0)
    r = read_safetensors(b.path("r.safetensors"))
    b.close("with its state", r["emb.weight"][2], [p - 0.2*d for p, d in zip(emb, g["emb.weight"][2])])
    b.expect(base + TRAIN[:-2], 2, "", "input 'step': not given; --set step=NUMBER")
    b.expect(base + TRAIN[:-1] + ["step=x"], 2, "", "--set step=x: not a")
    b.expect(base + TRAIN + ["--set", "dance=1"], 2, "", ["--set dance", "it has: ", "lr"])


@case
def float32(b):
    base = given(b)
    b.expect(base + RUN + ["--float32", "--out", "logits=y.npy", "--state-out", "s.safetensors"], 0)
    b.same("type", read_npy(b.path("y.npy"))[0], "<f4")
    b.same("type of states", read_safetensors(b.path("s.safetensors"))["blocks.0.S"][0], "F32")
    b.expect(base + GRAD + ["--float32", "--grads", "g.safetensors"], 0)
    b.same("type of gradients", read_safetensors(b.path("g.safetensors"))["emb.weight"][0], "F32")


@case
def rounding(b):
    """--float32 rounds where numbers arise, not only where they are written."""
    b.write("m.rwkv", "const D = 1\nmodel m(x[D]) -> y[D] { y = (x + 1) - x }\n")
    b.write("x.npy", npy([1, 1], [1e9]))
    run = ["rwkvc", "eval", "m.rwkv", "forward", "--in", "x=x.npy", "--out", "y=y.npy"]
    b.expect(run, 0)
    b.same("float64", read_npy(b.path("y.npy"))[2], [1.0])
    b.expect(run + ["--float32"], 0)
    b.same("float32", read_npy(b.path("y.npy"))[2], [0.0])


@case
def taps_and_stages(b):
    base = given(b)
    b.expect(base + RUN + ["--taps", "t.safetensors"], 0)
    taps = list(read_safetensors(b.path("t.safetensors")))
    b.check(f"taps: {taps}", "logits" in taps and "x@0" in taps and "x@1" in taps)
    b.same("a value that is called alike twice is written once", [n for n in taps if n[0] in "xyl" and "#" in n], ["x#2"])
    want = [forward(t)[0] for t in TOKENS]
    for words in (["--no-simplify"], ["--stage=checked"], ["--stage=graph"], ["--stage=grad"]):
        b.expect(base + RUN + words + ["--out", "logits=y.npy"], 0)
        b.close(words[0], read_npy(b.path("y.npy"))[2], want)
    b.expect(base + RUN + ["--stage=soup"], 2, "", "there is no stage 'soup'")


@case
def no_states(b):
    """a model without states runs in pieces like any other; its file of states holds nothing"""
    b.write("n.rwkv", "axis T\nmodel m(x[T]) -> y[T] along T { y[t] = 2*x[t] }\n"
                      "train m() { loss = mean[b,t] y[b,t] }\n")
    b.write("x.npy", npy([1, 2], [1, 2]))
    b.expect(["rwkvc", "n.rwkv", "-o", "n.so"], 0)
    for words in (["rwkvc", "eval", "n.rwkv"], ["rwkv", "run", "n.so"]):
        for entry in ("forward", "prefill"):
            for name in ("s.safetensors", "s.pth"):
                b.expect(words + [entry, "--in", "x=x.npy", "--state-out", name], 0, "y ", "")
                b.expect(words + [entry, "--in", "x=x.npy", "--state-in", name], 0, "y ", "")
            b.same("nothing", read_safetensors(b.path("s.safetensors")), {})
        b.expect(words + ["grad", "--in", "x=x.npy", "--state-out", "g.pth"], 2, "", "entry grad gives no state")
        b.expect(words + ["grad", "--in", "x=x.npy", "--state-in", "s.pth"], 2, "", "entry grad takes no state")


@case
def command_line(b):
    base = given(b)
    b.expect(["rwkvc", "eval"], 2, "", "which MODEL.rwkv?")
    b.expect(base, 2, "", "which entry of m.rwkv?")
    b.expect(base + ["dance"], 1, "", "dance")
    b.expect(base + ["forward", "step"], 2, "", "not 'step' too")
    b.expect(base + RUN + ["--params", "q.pth"], 2, "", "for the same option")
    b.expect(base + RUN + ["--in", "token=x.npy"], 2, "", "--in gives 'token' twice")
    b.expect(base + RUN + ["--in", "image=x.npy"], 2, "", "entry forward has no such input; it has: token")
    b.expect(base + RUN + ["--out", "loss=x.npy"], 2, "", "entry forward has no such output; it has: logits")
    b.expect(base + TRAIN + ["--in", "lr=x.npy"], 2, "", "that is a number: --set lr=VALUE")
    b.expect(base + RUN[:3], 2, "", ["input 'token': not given; --in token=FILE.npy", "whole numbers [B,T]"])
    b.expect(base + RUN + ["--grads", "g.pth"], 2, "", "--grads: entry forward gives no gradients")
    b.expect(base + RUN + ["--params-out", "g.pth"], 2, "", "entry forward gives no new parameters")
    b.expect(base + RUN + ["--opt-out", "g.pth"], 2, "", "gives no state of an optimizer")
    b.expect(base + GRAD + ["--state-out", "g.pth"], 2, "", "entry grad gives no state")
    b.expect(base + GRAD + ["--state-in", "p.safetensors"], 2, "", "entry grad takes no state")
    b.expect(base + RUN + ["--opt-in", "p.safetensors"], 2, "", "takes no state of an optimizer")
    b.expect(base + RUN + ["--seed", "-1"], 2, "", "--seed -1: a whole number from 0")
    b.expect(base + RUN + ["--axis", "T=0"], 2, "", "a length is a whole number from 1")
    b.expect(base + RUN + ["--axis", "Q=3"], 2, "", ["this text has no such axis", " T"])
    b.expect(base + RUN + ["--memory-limit=none"], 2, "", "--memory-limit=none: MiB")
    b.expect(base + RUN + ["--state-out", "s.npz"], 2, "", "its ending says what is written")
    b.expect(base + RUN + ["--out", "logits=m.rwkv"], 2, "", "m.rwkv: this is the text itself")
    b.expect(base + RUN + ["--out", "logits=s.pth", "--state-out", "s.pth"], 2, "", "two results for one file")
    b.same("no file was made", sorted(os.listdir(b.folder)), ["m.rwkv", "p.safetensors", "target.npy", "token.npy"])


@case
def arrays(b):
    base = given(b)
    run = lambda *more: base + ["forward", "--params", "p.safetensors"] + list(more)
    b.write("flat.npy", npy([4], TOKENS[0], "<i4"))
    b.expect(run("--in", "token=flat.npy"), 1, "",
             ["input 'token': its shape is [4], the text wants [B,T]", "the batch axis comes first"])
    b.write("high.npy", npy([1, 2], [0, 5], "<i8"))
    b.expect(run("--in", "token=high.npy"), 1, "",
             "input 'token': the number at [0,1] is 5, and the text declares index(5): 0 to 4")
    b.write("half.npy", npy([1, 2], [0, 0.5], "<f4"))
    b.expect(run("--in", "token=half.npy"), 1, "", "wants whole numbers, and the one at [0,1] is 0.5")
    b.write("none.npy", npy([1, 0], [], "<i4"))
    b.expect(run("--in", "token=none.npy"), 1, "", "every axis is at least 1 long")
    b.write("bad.npy", b"not an array")
    b.expect(run("--in", "token=bad.npy"), 1, "", ["input 'token'", "bad.npy"])
    b.expect(run("--in", "token=absent.npy"), 3, "", "absent.npy")
    b.expect(run("--in", "token=token.npy", "--axis", "T=5"), 1, "",
             ["input 'token': its shape is [2,4]", "axis 1 is 4 and should be T = 5", "T is 5 by --axis T=5"])
    b.write("longer.npy", npy([2, 5], [[0]*5]*2, "<i4"))
    b.expect(base + GRAD[:-1] + ["target=longer.npy"], 1, "",
             ["input 'target'", "[2,5]", "T is 4 by input 'token' [2,4]"])
    for dtype in ("<i8", "<i2", "|u1", "<f4", "<f8"):
        b.write("t.npy", npy([2, 4], TOKENS, dtype))
        b.expect(run("--in", "token=t.npy", "--out", f"logits={dtype[1:]}.npy"), 0)
        b.close(dtype, read_npy(b.path(dtype[1:] + ".npy"))[2], [forward(t)[0] for t in TOKENS])
    b.expect(run("--in", "token=token.npy", "--out", "logits=no/y.npy"), 3, "", "no/y.npy")


@case
def axes(b):
    b.write("m.rwkv", "axis Y % 4, X\nconst P = 2\n"
            "model m(image[Y,X], tail[P+X]) -> (half[Y//2], end[X]) {\n"
            "    half[i:Y//2] = sum[j] image[2*i,j]\n    end[j:X] = tail[j+P]\n}\n")
    run = ["rwkvc", "eval", "m.rwkv", "forward", "--out", "half=h.npy", "--out", "end=e.npy"]
    b.write("image.npy", npy([1, 4, 3], [list(range(12))]))
    b.write("tail.npy", npy([1, 5], [[0, 1, 2, 3, 4]]))
    b.expect(run + ["--in", "image=image.npy", "--in", "tail=tail.npy"], 0)
    b.close("half", read_npy(b.path("h.npy"))[2], [3, 21])
    b.close("end", read_npy(b.path("e.npy"))[2], [2, 3, 4])
    b.write("odd.npy", npy([1, 6, 3], [list(range(18))]))
    b.expect(run + ["--in", "image=odd.npy", "--in", "tail=tail.npy"], 1, "",
             ["axis Y is 6", "'axis Y % 4': it must be a multiple of 4"])
    b.write("long.npy", npy([1, 6], [[0]*6]))
    b.expect(run + ["--in", "image=image.npy", "--in", "tail=long.npy"], 1, "",
             ["input 'tail'", "[1,6]", "X is 3 by input 'image' [1,4,3]"])
    b.write("solo.rwkv", "axis X\nmodel m(tail[2+X]) -> y[X] { y[j:X] = tail[j+2] }\n")
    b.expect(["rwkvc", "eval", "solo.rwkv", "forward", "--in", "tail=tail.npy"], 0, "y [1,3]")
    b.write("short.npy", npy([1, 2], [[0, 0]]))
    b.expect(["rwkvc", "eval", "solo.rwkv", "forward", "--in", "tail=short.npy"], 1, "", "tail")


@case
def checkpoints(b):
    base = given(b)
    squeezed = dict(PARAMS, **{"blocks.0.gain": ("F64", [D], GAIN[0]), "extra": ("F32", [1], [0]),
                               "more": ("F32", [1], [0])})
    b.write("s.safetensors", safetensors(squeezed))
    b.expect(base + ["forward", "--params", "s.safetensors"] + RUN[3:] + ["--out", "logits=y.npy"], 0, None,
             "2 tensors are not used: extra, more")
    b.close("axes of length 1 do not matter", read_npy(b.path("y.npy"))[2], [forward(t)[0] for t in TOKENS])
    b.write("v.safetensors", safetensors(dict(PARAMS, **{
        "emb.weight": ("F32", [7, D], [[0]*D]*7), "head.weight": ("F32", [7, D], [[0]*D]*7)})))
    b.expect(base + ["forward", "--params", "v.safetensors"] + RUN[3:], 1, "",
             ["parameter 'emb.weight': the text says [V,D] = [5,3], the file has [7,3]",
              "help: the file looks as if made with -D V=7"])
    b.write("z.safetensors", safetensors(dict(PARAMS, **{"emb.weight": ("F32", [0, D], [])})))
    done = b.expect(base + ["forward", "--params", "z.safetensors"] + RUN[3:], 1, "", "the file has [0,3]")
    b.check("no constant is 0: " + done.err, "help" not in done.err)
    b.write("l.safetensors", safetensors({k: v for k, v in PARAMS.items() if k != "blocks.1.gain"}))
    b.expect(base + ["forward", "--params", "l.safetensors"] + RUN[3:], 1, "",
             ["parameter 'blocks.1.gain' is missing", "help: the file looks as if made with -D L=1"])
    b.expect(base + ["forward", "--params", "l.safetensors", "-D", "L=1"] + RUN[3:], 0, None, "")
    b.expect(base + ["forward", "--params", "p.safetensors", "-D", "L=1"] + RUN[3:], 0, None,
             ["1 tensor is not used: blocks.1.gain", "help: the file looks as if made with -D L=2"])
    b.write("one.rwkv", "const D = 2, L = 3\nfn grow(x[D]) -> y[D] { param gain[D] = 1;  y = x*gain }\n"
            "model m(x[D]) -> x[D] { for l in L { x = grow(x) as layer{l+1}.a } }\n")
    b.write("x.npy", npy([1, 2], [1, 2]))
    b.write("one.safetensors", safetensors({f"layer{l}.a.gain": ("F32", [D - 1], [1, 1]) for l in (1, 2)}))
    b.expect(["rwkvc", "eval", "one.rwkv", "forward", "--params", "one.safetensors", "--in", "x=x.npy"], 1, "",
             ["parameter 'layer3.a.gain' is missing", "made with -D L=2\n"])
    b.expect(base + ["forward", "--params", "m.rwkv"] + RUN[3:], 1, "", "m.rwkv")
    b.write("s2.safetensors", safetensors({"blocks.0.S": ("F64", [2, D], [[0]*D]*2)}))
    b.expect(base + RUN + ["--state-in", "s2.safetensors"], 1, "", "state 'blocks.1.S' is missing")
    b.write("s3.safetensors", safetensors({f"blocks.{l}.S": ("F64", [3, D], [[0]*D]*3) for l in range(2)}))
    b.expect(base + RUN + ["--state-in", "s3.safetensors"], 1, "",
             ["state 'blocks.0.S'", "B is 2 by input 'token' [2,4]"])


@case
def parameters_nobody_reads(b):
    b.write("m.rwkv", "const D = 2\nmodel m(x[D]) -> y[D] {\n    param used[D] = 2\n    param idle[D] = 3\n"
            "    y = x*used\n}\ntrain m(z[D]) {\n    loss = mean[b,d] (y[b,d] - z[b,d])^2\n"
            "    update = down()\n}\ncell down(p[], g[], lr, decay, step) -> p[] { p -= lr*g }\n")
    b.write("p.safetensors", safetensors({"used": ("F32", [2], [1, 1])}))
    b.write("x.npy", npy([1, 2], [1, 2]))
    words = ["--params", "p.safetensors", "--in", "x=x.npy"]
    b.expect(["rwkvc", "eval", "m.rwkv", "forward"] + words, 0, None, "")
    b.expect(["rwkvc", "eval", "m.rwkv", "train", "--in", "z=x.npy", "--set", "lr=1", "--set", "decay=0",
              "--set", "step=1", "-o", "q.safetensors"] + words, 0, None, "")
    q = read_safetensors(b.path("q.safetensors"))
    b.close("kept at its first value", q["idle"][2], [3, 3])
    b.write("none.safetensors", safetensors({"idle": ("F32", [2], [1, 1])}))
    b.expect(["rwkvc", "eval", "m.rwkv", "forward", "--params", "none.safetensors"] + words[2:], 1, "",
             "parameter 'used' is missing")


@case
def bounds(b):
    """What would not fit is refused before it is asked for."""
    b.write("m.rwkv", "const D = 2\naxis T\nmodel m(x[T]) -> y[T] {\n    param w[D,D] = 0\n"
            "    y[t] = x[t] + w[0,0]\n}\n")
    b.write("x.npy", npy([1, 2], [1, 2]))
    run = ["rwkvc", "eval", "m.rwkv", "forward", "--in", "x=x.npy"]
    b.expect(run, 0)
    b.expect(run + ["-D", "D=100000000"], 1, "", "larger than the 8192 MiB")
    b.expect(run + ["-D", "D=1000", "--memory-limit=1"], 1, "", "larger than the 1 MiB")
    b.expect(["rwkvc", "eval", "m.rwkv", "init", "-o", "p.pth", "-D", "D=100000000"], 1, "", "larger than")
    b.expect(["rwkvc", "eval", os.path.join(MODELS, "rwkv7.rwkv"), "init", "-o", "p.pth", "-D", "D=4096", "-D", "L=32"],
             1, "", "the parameters are larger than the 8192 MiB")


if __name__ == "__main__":
    sys.exit(main())
