#!/usr/bin/env python3
"""rwkv on compiled models: info, init, run, train, generate, bench."""
import json
import os
import random
import subprocess
import sys

from tool import BIN, MODELS, case, main, npy, read_npy, read_safetensors, safetensors

# A running sum with decay: every number below can be done by hand. Beside it a text that learns.
TEXT = """const V = 5, D = 3, L = 2
axis T
cell keep(x[D]) -> y[D] {
    state S[D] = 0
    S = 0.5*S + x
    y = S
}
model tiny(token[T]: index(V)) -> logits[T,V] along T {
    param emb.weight[V,D] ~ uniform(-1, 1)
    param head.weight[V,D] ~ normal(0.5)
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
BAR = 1e-6
SMALL = ["-D", "V=256", "-D", "L=2", "-D", "D=32", "-D", "N=16", "-D", "Rw=8", "-D", "Ra=8", "-D", "Rv=8",
         "-D", "Rg=8"]


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
    """The compiled text, its parameters and inputs as files; the words that run it."""
    b.write("m.rwkv", TEXT)
    b.write("p.safetensors", safetensors(PARAMS))
    b.write("token.npy", npy([2, 4], TOKENS, "<i4"))
    b.write("target.npy", npy([2, 4], TOKENS, "<i4"))
    b.expect(["rwkvc", "m.rwkv", "-o", "m.so"], 0)
    return ["rwkv", "run", "m.so"]


def small_model(b):
    """RWKV-7 on bytes, two small layers, and a text."""
    b.expect(["rwkvc", os.path.join(MODELS, "rwkv7.rwkv"), "-o", "r.so"] + SMALL, 0)
    b.write("text.txt", "one two three four five six seven eight nine ten. "*80)
    b.write("val.txt", "three four five six seven eight nine ten. one two "*7)


RUN = ["forward", "--params", "p.safetensors", "--in", "token=token.npy"]
GRAD = ["grad", "--params", "p.safetensors", "--in", "token=token.npy", "--in", "target=target.npy"]
TRAIN = ["train"] + GRAD[1:] + ["--set", "lr=0.1", "--set", "decay=0", "--set", "step=1"]


# ---- run -----------------------------------------------------------------------------------------


@case
def whole(b):
    base = given(b)
    done = b.expect(base + RUN + ["--out", "logits=y.npy", "--state-out", "s.safetensors"], 0, "logits [2,4,5]", "")
    dtype, shape, numbers = read_npy(b.path("y.npy"))
    b.same("type and shape", (dtype, shape), ("<f4", [2, 4, V]))
    b.close("logits", numbers, [forward(t)[0] for t in TOKENS], BAR)
    b.same("nothing else is said", done.out, "logits [2,4,5]\n")
    S = read_safetensors(b.path("s.safetensors"))
    b.same("states", sorted(S), ["blocks.0.keep.S", "blocks.1.keep.S"] if "blocks.0.keep.S" in S else sorted(S))
    states = [forward(t)[1] for t in TOKENS]
    for l, name in enumerate(sorted(S)):
        b.close("state " + name, S[name][2], [s[l] for s in states], BAR)


@case
def one_by_one(b):
    """step by step, and in two pieces: the same numbers as at once"""
    base = given(b)
    state = []
    for t in range(4):
        b.write("t.npy", npy([2], [row[t] for row in TOKENS], "<i4"))
        b.expect(base + ["step", "--params", "p.safetensors", "--in", "token=t.npy", "--out", "logits=y.npy",
                         "--state-out", "s.safetensors"] + state, 0, "logits [2,5]", "")
        state = ["--state-in", "s.safetensors"]
        b.close(f"step {t}", read_npy(b.path("y.npy"))[2], [forward(row)[0][t] for row in TOKENS], BAR)
    state = []
    for piece in (slice(0, 3), slice(3, 4)):
        rows = [row[piece] for row in TOKENS]
        b.write("t.npy", npy([2, len(rows[0])], rows, "<i8"))
        b.expect(base + ["prefill", "--params", "p.safetensors", "--in", "token=t.npy", "--out", "logits=y.npy",
                         "--state-out", "s.pth"] + state, 0)
        state = ["--state-in", "s.pth"]
    b.close("prefill", read_npy(b.path("y.npy"))[2], [forward(row)[0][3] for row in TOKENS], BAR)


@case
def learning(b):
    """gradients and an update, against central differences by hand of a loss that is linear in head"""
    base = given(b)
    done = b.expect(base + GRAD + ["--grads", "g.safetensors"], 0, ["loss ", "twice "], "")
    G = read_safetensors(b.path("g.safetensors"))
    b.same("gradients", sorted(G), sorted(PARAMS))
    wanted = [[0.0]*D for _ in range(V)]
    for row in TOKENS:
        S = None
        for token in row:
            _, S = forward([token], S)
            for d in range(D):
                wanted[token][d] -= S[1][d]/8
    b.close("gradient of head.weight", G["head.weight"][2], wanted, BAR)
    b.expect(base + TRAIN + ["--params-out", "q.safetensors", "--opt-out", "o.safetensors"], 0, done.out.split("\n")[0])
    Q = read_safetensors(b.path("q.safetensors"))
    b.same("shapes", {n: t[1] for n, t in Q.items()}, {n: t[1] for n, t in PARAMS.items()})
    for name, (_, _, g) in G.items():
        p = [x for x in PARAMS[name][2]] if name.startswith("blocks") else [x for row in PARAMS[name][2] for x in row]
        b.close("new " + name, Q[name][2], [x - 0.1*y for x, y in zip(p, g)], BAR)
    more = [w if w != "p.safetensors" else "q.safetensors" for w in TRAIN] + ["--opt-in", "o.safetensors"]
    b.expect(base + more + ["--opt-out", "o2.safetensors"], 0)
    O, O2 = read_safetensors(b.path("o.safetensors")), read_safetensors(b.path("o2.safetensors"))
    b.same("states of the optimizer", sorted(O), sorted(O2))
    again = [w if w != "p.safetensors" else "q.safetensors" for w in GRAD]
    b.expect(base + again + ["--grads", "g2.safetensors"], 0)
    G2 = read_safetensors(b.path("g2.safetensors"))
    for name in G:
        key = [n for n in O if n.startswith(name)][0]
        b.close("m after one step", O[key][2], G[name][2], BAR)
        b.close("m after two steps", O2[key][2], [x + y for x, y in zip(G[name][2], G2[name][2])], BAR)


@case
def threads_and_times(b):
    """any number of threads, any time: the same bytes"""
    base = given(b)
    small_model(b)
    b.expect(["rwkv", "init", "r.so", "-o", "r.safetensors", "--seed", "3"], 0, "", "")
    b.expect(["rwkvc", "eval", os.path.join(MODELS, "rwkv7.rwkv"), "init", "-o", "e.safetensors", "--seed", "3"] + SMALL, 0)
    R, E = read_safetensors(b.path("r.safetensors")), read_safetensors(b.path("e.safetensors"))
    b.same("init and the interpreter's", {n: R[n] for n in R}, {n: E[n] for n in R})
    b.check("no parameter is missing", len(R) >= len(E) - 6)
    text = b"The quick brown fox jumps over the lazy dog. "
    b.write("t.npy", npy([2, 17], list(text[:34]), "|u1"))
    b.write("u.npy", npy([2, 17], list(text[1:35]), "|u1"))
    files = []
    for n in (1, 2, 2, 3):
        b.expect(["rwkv", "run", "r.so", "train", "--params", "r.safetensors", "--in", "token=t.npy", "--in",
                  "target=u.npy", "--set", "lr=1e-3", "--set", "decay=0.1", "--set", "step=1", "--params-out",
                  "q.safetensors", "--opt-out", "o.safetensors", "--threads", n], 0)
        files.append([open(b.path(f), "rb").read() for f in ("q.safetensors", "o.safetensors")])
    b.check("threads change a bit", all(f == files[0] for f in files))


@case
def mistakes_of_run(b):
    base = given(b)
    b.expect(["rwkv", "run"], 2, "", "which FILE?")
    b.expect(base, 2, "", "which entry of m.so?")
    b.expect(base + ["dance"], 1, "", ["there is no entry 'dance'", "forward"])
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
    b.expect(base + RUN + ["--axis", "Q=3"], 2, "", ["no such axis", "T"])
    b.expect(base + RUN + ["--device", "toaster"], 4, "", "toaster")
    b.expect(base + RUN + ["--threads", "0"], 2, "", "--threads 0: a number from 1")
    b.expect(base + RUN + ["--state-out", "s.npz"], 2, "", "its ending says what is written")
    b.write("flat.npy", npy([4], TOKENS[0], "<i4"))
    run = lambda *more: base + ["forward", "--params", "p.safetensors"] + list(more)
    b.expect(run("--in", "token=flat.npy"), 1, "", "token")
    b.write("high.npy", npy([1, 2], [0, 5], "<i8"))
    b.expect(run("--in", "token=high.npy"), 1, "", "5")
    b.expect(run("--in", "token=absent.npy"), 3, "", "absent.npy")
    b.expect(run("--in", "token=token.npy", "--out", "logits=no/y.npy"), 3, "", "no/y.npy")
    b.write("less.safetensors", safetensors({k: v for k, v in PARAMS.items() if k != "blocks.1.gain"}))
    b.expect(base + ["forward", "--params", "less.safetensors", "--in", "token=token.npy"], 1, "",
             ["less.safetensors", "blocks.1.gain"])
    b.write("more.safetensors", safetensors(dict(PARAMS, other=("F32", [1], [0]))))
    b.expect(base + ["forward", "--params", "more.safetensors", "--in", "token=token.npy"], 0, None,
             "1 tensor is not used: other")
    b.expect(["rwkv", "run", "p.safetensors"] + RUN, 1, "", "p.safetensors")
    b.expect(["rwkv", "run", "absent.so"] + RUN, 3, "", "absent.so")
    data = bytearray(open(b.path("m.so"), "rb").read())
    data[len(data)//2] ^= 1
    b.write("bad.so", bytes(data))
    b.expect(["rwkv", "run", "bad.so"] + RUN, 1, "", "bad.so")
    b.write("cut.so", bytes(data[:1000]))
    b.expect(["rwkv", "info", "cut.so"], 1, "", "cut.so")


@case
def informing(b):
    given(b)
    b.expect(["rwkv", "info", "m.so"], 0, ["m for x86-64", "4 tensors, 36 numbers", "forward", "token", "[B,T,5]"], "")
    info = json.loads(b.expect(["rwkv", "info", "m.so", "--json", "--axis", "T=64"], 0, None, "").out)
    b.same("kind and numbers", (info["kind"], info["numbers"], info["axes"]["T"]), ("model", 36, 64))
    entries = {e["name"]: e for e in info["entries"]}
    b.check("entries", {"step", "forward", "prefill", "grad", "train"} <= set(entries))
    b.same("logits", [o["shape"] for o in entries["forward"]["outputs"]], ["[B,T,5]"])
    b.same("token", entries["forward"]["inputs"][0]["below"], 5)
    work = entries["forward"]["work"]  # by hand: a head of 5 x 3, two layers of a product and a state
    b.same("head", work["products with parameters"], {"formula": "30*B*T", "number": 30*64})
    number = int(work["recurrences"]["formula"].split("*B*T")[0])  # what stands around them may join
    b.check(f"states: {work['recurrences']}", 12 <= number <= 30 and work["recurrences"]["number"] == 64*number)
    last = entries["prefill"]["work"]
    b.same("the head of the last token alone", last["products with parameters"]["formula"], "30*B")
    b.check("launches", entries["train"]["launches"] > entries["forward"]["launches"] > 3)
    b.check("gradients", entries["grad"]["gradients"] == 4)
    less = json.loads(b.call("rwkv", "info", "m.so", "--json").out)
    memory = lambda i: {e["name"]: e["memory"] for e in i["entries"]}["forward"]
    b.check("memory grows with T", 0 < memory(less) < memory(info))
    b.expect(["rwkv", "info", "m.so", "--axis", "Q=3"], 2, "", "no such axis")
    b.expect(["rwkv", "info", "p.safetensors"], 0, "emb.weight", "")


@case
def seed_of_long_sums(b):
    """random() in a sum that is computed in two steps: the entry still asks for a seed, and it matters"""
    b.write("r.rwkv", "axis T\nmodel noise(x[T]) -> y[T] along T { y[t] = x[t] }\n"
                      "train noise() { loss = mean[b,t] y[b,t]*random(y)[b,t] }\n")
    b.expect(["rwkvc", "r.rwkv", "-o", "r.so"], 0)
    info = json.loads(b.expect(["rwkv", "info", "r.so", "--json"], 0, None, "").out)
    inputs = {e["name"]: [i["name"] for i in e["inputs"]] for e in info["entries"]}
    b.same("inputs of grad", inputs["grad"], ["x", "seed"])
    b.write("x.npy", npy([2, 100], [1.0]*200))
    loss = [b.call("rwkv", "run", "r.so", "grad", "--in", "x=x.npy", "--set", f"seed={s}").out for s in (0, 1)]
    b.check(f"losses {loss}", all(x.startswith("loss 0.") for x in loss) and loss[0] != loss[1])


@case
def first_values(b):
    given(b)
    b.expect(["rwkv", "init", "m.so", "-o", "a.safetensors"], 0, "", "")
    b.expect(["rwkv", "run", "m.so", "init", "-o", "b.pth"], 0, "", "")
    b.expect(["rwkvc", "eval", "m.rwkv", "init", "-o", "c.safetensors"], 0)
    b.same("rwkv init and rwkvc eval init", read_safetensors(b.path("a.safetensors")),
           read_safetensors(b.path("c.safetensors")))
    b.expect(["rwkv", "init", "m.so"], 2, "", "where to?")
    b.expect(["rwkv", "init", "m.so", "-o", "a.npz"], 2, "", "its ending says")
    b.expect(["rwkv", "init", "m.so", "-o", "no/a.pth"], 3, "", "no/a.pth")
    b.expect(["rwkv", "run", "m.so", "init"], 2, "", "init writes parameters")


# ---- train ---------------------------------------------------------------------------------------

LEARN = ["rwkv", "train", "r.so", "--data", "text.txt", "--batch", "2", "--ctx", "16", "--lr", "1e-2", "--steps", "60",
         "--save-every", "10", "--warmup", "5"]


def rows(b, path):
    with open(b.path(path), encoding="utf-8") as f:
        return [line.split(",") for line in f.read().split("\n")[:-1]]


@case
def training(b):
    small_model(b)
    b.expect(LEARN + ["-o", "run", "--val", "val.txt"], 0, "", ["step 60/60", "val ", "tok/s", "model.safetensors"])
    b.same("what is left", sorted(os.listdir(b.path("run"))),
           ["log.txt", "metrics.csv", "model-0000000050.safetensors", "model-0000000060.safetensors",
            "model.safetensors", "train-0000000050.safetensors", "train-0000000060.safetensors"])
    table = rows(b, "run/metrics.csv")
    b.same("columns", table[0], ["step", "samples", "lr", "loss", "grad_norm", "val_loss"])
    b.same("steps", [r[0] for r in table[1:]], [str(i + 1) for i in range(60)])
    b.check(f"first and last loss {table[1][3]} {table[60][3]}", 5 < float(table[1][3]) < 6 > 4 > float(table[60][3]))
    b.check("losses on other data", [i for i in range(1, 61) if len(table[i]) > 5] == [10, 20, 30, 40, 50, 60])
    b.check("they fall", float(table[60][5]) < float(table[10][5]))
    b.close("warm-up", [float(table[1][2]), float(table[3][2])], [1e-4, 1e-2*(0.01 + 0.99*2/5)])
    b.same("the newest", read_safetensors(b.path("run/model.safetensors")),
           read_safetensors(b.path("run/model-0000000060.safetensors")))
    b.expect(LEARN + ["-o", "run"], 2, "", ["holds a run of 60 steps", "--resume"])
    b.expect(LEARN + ["-o", "run", "--resume", "--val", "val.txt"], 0, "", "nothing left to do")
    b.expect(LEARN + ["-o", "two", "--val", "val.txt", "--threads", "1"], 0)
    for name in ("model-0000000060.safetensors", "train-0000000060.safetensors", "metrics.csv"):
        b.same("the same run again: " + name, open(b.path("two/" + name), "rb").read() ==
               open(b.path("run/" + name), "rb").read(), True)


@case
def several_vals(b):
    """each other data has a column of its own; a run without one of them has the same numbers for the rest"""
    small_model(b)
    b.write("other.txt", "ten nine eight seven six five four three two one. "*7)
    words = LEARN[:-4] + ["--steps", "6", "--val-every", "3"]
    done = b.expect(words + ["-o", "two", "--val", "val.txt", "--val", "other.txt"], 0)
    b.check("said: " + done.err, len(done.err.split("  val ")[-1].split("  ")[0].split()) == 2)
    table = rows(b, "two/metrics.csv")
    b.same("columns", table[0][-2:], ["val_loss", "val_loss_2"])
    b.same("two numbers where measured", [len(r) for r in table[1:]], [5, 5, 7, 5, 5, 7])
    b.expect(words + ["-o", "one", "--val", "other.txt"], 0)
    b.same("the same alone", [r[-1] for r in rows(b, "one/metrics.csv")[3::3]], [r[-1] for r in table[3::3]])
    b.check("of other data", table[6][-2] != table[6][-1])
    b.expect(words + ["-o", "x", "--val", "val.txt", "--val", "val.txt"], 2, "", "--val gives 'val.txt' twice")
    nine = sum((["--val", f"{i}.txt"] for i in range(9)), [])
    b.expect(words + ["-o", "x"] + nine, 2, "", "at most 8")


@case
def killed_and_resumed(b):
    """kill -9 at any moment, again and again: the run ends in the bits of one that was left alone"""
    small_model(b)
    words = LEARN[:-4] + ["--save-every", "3", "--val", "val.txt", "--val-every", "7"]
    b.expect(words + ["-o", "whole"], 0)
    chance, kills, code = random.Random(int(os.environ.get("RWKVC_KILL_SEED", "1"))), 0, None
    while code is None and kills < 200:
        words_now = [os.path.join(BIN, words[0])] + words[1:] + ["-o", "torn", "--resume"]
        run = subprocess.Popen(words_now, cwd=b.folder, stderr=subprocess.DEVNULL)
        try:
            code = run.wait(timeout=chance.uniform(0.02, 0.25) if kills < 12 else 200)
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
            kills += 1
    b.check(f"{kills} kills, exit {code}", kills > 3 and code == 0)
    for name in ("model-0000000060.safetensors", "train-0000000060.safetensors", "metrics.csv"):
        b.check(f"{name} differs after {kills} kills", open(b.path("whole/" + name), "rb").read() ==
                open(b.path("torn/" + name), "rb").read())
    b.same("nothing half written is left", sorted(os.listdir(b.path("torn"))), sorted(os.listdir(b.path("whole"))))


@case
def interrupted(b):
    small_model(b)
    words = [os.path.join(BIN, LEARN[0])] + LEARN[1:] + ["-o", "run", "--steps", "100000", "--save-every", "100000"]
    run = subprocess.Popen(words, cwd=b.folder, stderr=subprocess.PIPE, text=True)
    line = "-"
    while line and "step 1" not in line:
        line = run.stderr.readline()
    b.expect(LEARN + ["-o", "run"], 2, "", "another run is at work")
    run.send_signal(2)
    rest = run.communicate(timeout=60)[1]
    b.check("it says so: " + rest, "interrupted after step" in rest and run.returncode == -2)
    names = os.listdir(b.path("run"))
    b.check(f"a checkpoint: {names}", any(n.startswith("train-") for n in names))
    b.expect(LEARN + ["-o", "run", "--resume", "--steps", "100000000", "--help"], 0)
    b.expect(LEARN + ["-o", "run", "--resume", "--lr", "1e-3"], 0, "", "lr was 0.01")


@case
def mistakes_of_train(b):
    small_model(b)
    out = ["-o", "run"]
    b.expect(["rwkv", "train"], 2, "", "which FILE?")
    b.expect(["rwkv", "train", "r.so", "-o", "run"], 2, "", "--data D")
    b.expect(LEARN, 2, "", "-o DIR")
    b.expect(LEARN + out + ["--steps", "0"], 2, "", "--steps 0: a whole number from 1")
    b.expect(LEARN + out + ["--lr", "fast"], 2, "", "--lr fast: a number")
    b.expect(LEARN + out + ["--order", "odd"], 2, "", "random, sequence or cube")
    b.expect(LEARN + out + ["--val-every", "3"], 2, "", "--val D")
    b.expect(LEARN + out + ["--data", "text.txt"], 2, "", "for the same option")
    b.expect(LEARN + out + ["--ctx", "100000"], 1, "", ["text.txt", "too few"])
    b.expect([w if w != "text.txt" else "absent.txt" for w in LEARN] + out, 3, "", "absent.txt")
    b.expect(LEARN + ["-o", "no/run"], 3, "", "no/run")
    b.write("high.u16", b"\1\0\0\1"*100)
    b.expect([w if w != "text.txt" else "high.u16" for w in LEARN] + out, 1, "",
             ["high.u16", "token 1 of the data is 256", "0 to 255"])
    b.write("broken.safetensors", safetensors({"emb.weight": ("F32", [2], [1, 2])}))
    b.expect(LEARN + out + ["--params", "broken.safetensors"], 1, "", "broken.safetensors")
    b.expect(LEARN + out + ["--lr", "1e30", "--warmup", "0"], 1, "", "the run has come apart")


# ---- generate ------------------------------------------------------------------------------------


@case
def generating(b):
    small_model(b)
    b.expect(LEARN + ["-o", "run", "--steps", "300"], 0)
    base = ["rwkv", "generate", "r.so", "--params", "run/model.safetensors", "--vocab", "bytes"]
    cold = base + ["--prompt", "one two three", "--temperature", "0"]
    done = b.expect(cold + ["--n", "40"], 0, None, "")
    b.check(f"it has learned: {done.out!r}", done.out.startswith(" four five"))
    b.same("40 bytes", len(done.out.encode()), 40)
    b.same("again, one thread", b.call(*cold, "--n", "40", "--threads", "1").out, done.out)
    b.same("stop", b.call(*cold, "--n", "40", "--stop", "five").out, " four ")
    b.expect(cold + ["--n", "10", "--state-out", "s.safetensors"], 0, done.out[:10], "")
    # the state stands behind the last token that was made; the next one follows from the last but one state and it
    b.expect(base + ["--prompt", "one two three" + done.out[:10], "--temperature", "0", "--n", "5"], 0, done.out[10:15], "")
    b.write("prompt.txt", "one two three")
    b.same("a prompt from a file", b.call(*base, "--prompt-file", "prompt.txt", "--temperature", "0", "--n", "40").out,
           done.out)
    warm = base + ["--prompt", "one", "--n", "60", "--temperature", "3", "--top-k", "50"]
    one = subprocess.run([os.path.join(BIN, warm[0])] + warm[1:] + ["--seed", "1"], cwd=b.folder, capture_output=True)
    two = subprocess.run([os.path.join(BIN, warm[0])] + warm[1:] + ["--seed", "1"], cwd=b.folder, capture_output=True)
    other = subprocess.run([os.path.join(BIN, warm[0])] + warm[1:] + ["--seed", "2"], cwd=b.folder, capture_output=True)
    b.check("a seed decides", one.stdout == two.stdout != other.stdout)
    b.expect(cold + ["--stats"], 0, None, "tok/s")


@case
def mistakes_of_generate(b):
    small_model(b)
    b.expect(["rwkv", "init", "r.so", "-o", "p.safetensors"], 0)
    base = ["rwkv", "generate", "r.so", "--params", "p.safetensors"]
    good = base + ["--vocab", "bytes", "--prompt", "a"]
    b.expect(["rwkv", "generate"], 2, "", "which FILE?")
    b.expect(["rwkv", "generate", "r.so"], 2, "", "--params P")
    b.expect(base, 2, "", "--vocab bytes")
    b.expect(base + ["--vocab", "bytes"], 2, "", "one prompt")
    b.expect(good + ["--prompt-file", "x"], 2, "", "one prompt")
    b.expect(base + ["--vocab", "bytes", "--prompt", ""], 2, "", "the prompt is empty")
    b.expect(good + ["--temperature", "hot"], 2, "", "--temperature hot")
    b.expect(good + ["--top-p", "0"], 2, "", "--top-p 0: a number above 0")
    b.expect(good + ["--top-k", "-1"], 2, "", "--top-k -1")
    b.expect(good + ["--n", "x"], 2, "", "--n x")
    b.expect(good + ["--state-out", "s.bin"], 2, "", "its ending says")
    b.expect(base + ["--vocab", "chars:abc", "--prompt", "abd"], 1, "", "no token for 'd' (byte 2, 0x64)")
    b.expect(base + ["--vocab", "absent.txt", "--prompt", "a"], 3, "", "absent.txt")
    b.write("world.txt", "300 'a' 1\n")
    b.expect(base + ["--vocab", "world.txt", "--prompt", "a"], 1, "", "token 300 of world.txt; the model knows 0 to 255")
    b.expect(good + ["--n", "0"], 0, "", "")


@case
def benchmarking(b):
    small_model(b)
    base = ["rwkv", "bench", "r.so", "--rounds", "1", "--threads", "1"]
    b.expect(base + ["--decode", "4", "--prefill", "17", "--train", "9", "--batch", "2", "--peer", "echo run 7 of 12.5"], 0,
             ["read memory", "decode 4", "prefill 17", "train 2 x 9", "tok/s", "% of reading", "12.5", "times that"], "")
    b.expect(base + ["--peer", "exit 3"], 1, None, "the peer failed: exit 3")
    done = b.expect(base + ["--prefill", "17", "--train", "9", "--batch", "2", "--json", "--profile", "--peer", "echo 3"],
                    0, None, "")
    bench = json.loads(done.out)
    b.same("kind and results", (bench["kind"], [r["entry"] for r in bench["results"]]), ("bench", ["prefill", "train"]))
    prefill, train = bench["results"]
    b.check("a rate", prefill["tokens_per_second"]["median"] > 0 and bench["peer"]["median"] == 3)
    info = {e["name"]: e for e in json.loads(b.call("rwkv", "info", "r.so", "--json", "--axis", "T=17").out)["entries"]}
    for key, word in (("weights", "products with parameters"), ("recurrence", "recurrences"), ("written", "bytes written")):
        b.close(key + " of a token", prefill["per_token"][key]*17, info["prefill"]["work"][word]["number"], 1e-8)
    b.check("of training there are products of two activations", prefill["per_token"]["products"] == 0 <
            train["per_token"]["products"])
    kernels = train["profile"]["kernels"]
    b.close("kernels and the whole", sum(k["operations"] for k in kernels)/train["profile"]["calls"],
            18*sum(train["per_token"][k] for k in ("weights", "products", "recurrence", "rest")), 1e-6)
    b.close("times", sum(k["seconds"] for k in kernels), train["profile"]["seconds"], 1e-6)
    b.expect(base + ["--peer", "echo none"], 1, None, "the peer printed no number")
    b.expect(base + ["--decode", "0"], 2, "", "a whole number from 1")


@case
def profiles(b):
    """what each kernel takes: the lines are sorted and add up to the whole"""
    base = given(b)
    small_model(b)
    done = b.expect(["rwkv", "bench", "r.so", "--rounds", "1", "--threads", "2", "--decode", "4", "--prefill", "17",
                     "--train", "9", "--profile"], 0, None, "")
    parts = done.out.split("\nprofile of ")[1:]
    b.same("profiles", [p.split(",")[0] for p in parts], ["step", "prefill", "train"])
    for part in parts:
        table = [line.split() for line in part.split("\n")[2:] if line.strip()]
        each, share = [float(r[2]) for r in table], [float(r[3]) for r in table]
        b.check(f"shares {sum(share)}", abs(sum(share) - 100) < 0.06*len(share) and len(share) > 10)
        b.check("the longest first", each == sorted(each, reverse=True))
        b.check("of each kernel, and around", {"around"} < {r[0] for r in table})
    b.check("layers", {r.split()[1] for r in parts[0].split("\n")[2:] if r.strip()} == {"1.0", "2.0"})
    b.expect(base + RUN + ["--profile"], 0, ["logits [2,4,5]\n", "profile of forward, 1 call:", "around"], "")
    b.expect(["rwkv", "run", "m.so", "init", "-o", "a.pth", "--profile"], 2, "", "init takes a file")


def compiles():
    """Whether this build of rwkvc makes code."""
    out = subprocess.run([os.path.join(BIN, "rwkvc"), os.path.join(MODELS, "revtrain.rwkv"), "-o", os.devnull + "/x.so"],
                         capture_output=True, text=True)
    return "no code generator" not in out.stderr


if __name__ == "__main__":
    if os.path.exists(os.path.join(BIN, "rwkvc")) and not compiles():
        print("SKIP: this rwkvc has no code generator")
        sys.exit(77)
    sys.exit(main())
