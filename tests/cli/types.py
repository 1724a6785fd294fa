#!/usr/bin/env python3
"""rwkvc --dtype=bf16|f16: training and inference with short weights and activations, beside float32."""
import json
import os
import subprocess
import sys
import time

from tool import BIN, MODELS, case, main, npy, read_npy, read_safetensors

SMALL = ["-D", "V=256", "-D", "L=2", "-D", "D=64", "-D", "N=16", "-D", "Rw=16", "-D", "Ra=16", "-D", "Rv=16",
         "-D", "Rg=16"]
SHORT = ("bf16", "f16")
STEPS = 60
LEARN = ["--data", "text.txt", "--val", "val.txt", "--val-every", "20", "--batch", "2", "--ctx", "32", "--lr", "1e-2",
         "--steps", str(STEPS), "--save-every", "20", "--warmup", "5"]
LAST = ["model-%010d.safetensors" % STEPS, "train-%010d.safetensors" % STEPS, "metrics.csv"]


FILES = {}  # compiled once for all cases


def compiled(b, dtype, target="native"):
    name = f"{dtype}-{target}.so"
    if name not in FILES:
        b.expect(["rwkvc", os.path.join(MODELS, "rwkv7.rwkv"), "-o", name, "--dtype=" + dtype, "--target=" + target] +
                 SMALL, 0)
        FILES[name] = content(b, name)
    return b.write(name, FILES[name])


def texts(b):
    b.write("text.txt", "one two three four five six seven eight nine ten. "*80)
    b.write("val.txt", "three four five six seven eight nine ten. one two "*7)


def column(b, run, name):
    with open(b.path(run + "/metrics.csv"), encoding="utf-8") as f:
        rows = [line.split(",") for line in f.read().split("\n")[:-1]]
    at = rows[0].index(name)
    return [float(r[at]) for r in rows[1:] if len(r) > at]


def content(b, path):
    with open(b.path(path), "rb") as f:
        return f.read()


@case
def learning(b):
    """nearly the losses of float32, at the end and on a text that was held back; checkpoints hold float32"""
    texts(b)
    for dtype in ("f32",) + SHORT:
        b.expect(["rwkv", "train", compiled(b, dtype)] + LEARN + ["-o", dtype], 0)
    mean = lambda x: sum(x)/len(x)
    exact = column(b, "f32", "loss"), column(b, "f32", "val_loss")
    b.check(f"float32 learns: {exact[0][0]} to {exact[0][-1]}", exact[0][-1] < 0.5 < 5 < exact[0][0])
    for dtype, most in (("bf16", 2e-2), ("f16", 4e-3)):
        loss, val = column(b, dtype, "loss"), column(b, dtype, "val_loss")
        off = max(abs(x - y) for x, y in zip(loss[:10], exact[0]))
        b.check(f"{dtype}: the first losses are off by {off}", 0 < off < most)
        off = abs(mean(loss[-20:]) - mean(exact[0][-20:]))
        b.check(f"{dtype}: the last losses are off by {off}", off < 0.05)
        off = abs(val[-1] - exact[1][-1])
        b.check(f"{dtype}: the loss of other data is off by {off}", off < 0.08)
        P = read_safetensors(b.path(dtype + "/model.safetensors"))
        b.same("types in a checkpoint", {t[0] for t in P.values()}, {"F32"})


@case
def resumed(b):
    """killed and resumed: copies that updates wrote, and copies made from a file, are the same bits"""
    texts(b)
    for dtype in SHORT:
        so = compiled(b, dtype)
        words = ["rwkv", "train", so] + LEARN
        b.expect(words + ["-o", dtype], 0)
        run = subprocess.Popen([os.path.join(BIN, words[0])] + words[1:] + ["-o", dtype + "-torn"], cwd=b.folder,
                               stderr=subprocess.DEVNULL)
        mark = b.path(dtype + "-torn/" + "model-0000000020.safetensors")
        while run.poll() is None and not os.path.exists(mark):
            time.sleep(0.001)
        run.kill()
        b.check(f"{dtype}: it was killed in time", run.wait() != 0 and not os.path.exists(b.path(dtype + "-torn/" + LAST[0])))
        b.expect(words + ["-o", dtype + "-torn", "--resume"], 0)
        for name in LAST:
            b.check(f"{dtype}: {name} differs", content(b, f"{dtype}/{name}") == content(b, f"{dtype}-torn/{name}"))


@case
def threads(b):
    texts(b)
    for dtype in SHORT:
        so = compiled(b, dtype)
        for n in (1, 2):
            b.expect(["rwkv", "train", so] + LEARN[:-4] + ["--save-every", "60", "-o", f"{dtype}-{n}", "--threads", n], 0)
            for name in LAST[:2]:
                b.check(f"{dtype}, {n} threads: {name} differs",
                        content(b, f"{dtype}-1/{name}") == content(b, f"{dtype}-{n}/{name}"))


@case
def targets(b):
    """every target of this machine: near float32, nearer with f16 than with bf16"""
    text = b"The quick brown fox jumps over the lazy dog. "
    b.write("t.npy", npy([2, 19], list(text[:38]), "|u1"))
    b.write("u.npy", npy([2, 19], list(text[1:39]), "|u1"))
    given = ["--params", "p.safetensors", "--in", "token=t.npy"]
    results, tried = {}, 0
    for target in ("x86-64-v3", "x86-64-v4", "x86-64-amx"):
        for dtype in ("f32",) + SHORT:
            so = compiled(b, dtype, target)
            if not results:
                b.expect(["rwkv", "init", so, "-o", "p.safetensors", "--seed", "3"], 0)
            done = b.call("rwkv", "run", so, "grad", *given, "--in", "target=u.npy", "--out", "loss=l.npy", "--grads",
                          "g.safetensors")
            if done.code == 4 or (done.code and "this machine" in done.err):
                break
            b.check(f"{so}: exit {done.code}: {done.err}", done.code == 0)
            b.expect(["rwkv", "run", so, "forward"] + given + ["--out", "logits=y.npy"], 0)
            b.expect(["rwkv", "run", so, "prefill"] + given + ["--out", "logits=z.npy"], 0)
            y, z = read_npy(b.path("y.npy"))[2], read_npy(b.path("z.npy"))[2]
            G = [x for t in read_safetensors(b.path("g.safetensors")).values() for x in t[2]]
            results[target, dtype] = read_npy(b.path("l.npy"))[2] + y, G
            last = y[18*256:19*256] + y[37*256:]
            off = max(abs(p - q) for p, q in zip(z, last))
            b.check(f"{so}: prefill is off by {off}", off <= {"f32": 1e-5, "f16": 2e-3, "bf16": 1.6e-2}[dtype])
            tried += 1
    b.check(f"{tried} programs ran", tried >= 3)
    norm = lambda x: sum(v*v for v in x)**0.5
    for (target, dtype), (y, G) in results.items():
        exact = results[target, "f32"]
        off = norm([p - q for p, q in zip(y, exact[0])])/norm(exact[0]), norm([p - q for p, q in zip(G, exact[1])])/norm(exact[1])
        least, most = {"f32": (0, 0), "f16": (1e-6, 2e-3), "bf16": (2e-5, 1.6e-2)}[dtype]
        b.check(f"{target} {dtype}: loss and logits off by {off[0]:.1e}", least <= off[0] <= most)
        b.check(f"{target} {dtype}: gradients off by {off[1]:.1e}", least <= off[1] <= most)


@case
def memory(b):
    """what is saved for the backward pass takes less"""
    sizes = {}
    for dtype in ("f32",) + SHORT:
        info = json.loads(b.expect(["rwkv", "info", compiled(b, dtype), "--json", "--axis", "T=8192"], 0).out)
        sizes[dtype] = {e["name"]: e["memory"] for e in info["entries"]}
    for dtype in SHORT:
        for entry in ("grad", "train"):
            b.check(f"{dtype} {entry}: {sizes[dtype][entry]} bytes, and {sizes['f32'][entry]} in f32",
                    sizes[dtype][entry] < 0.9*sizes["f32"][entry])


if __name__ == "__main__":
    done = subprocess.run([os.path.join(BIN, "rwkvc"), os.path.join(MODELS, "rwkv7.rwkv"), "-o", os.devnull + "/x.so"],
                          capture_output=True, text=True) if os.path.exists(os.path.join(BIN, "rwkvc")) else None
    if done and "no code generator" in done.stderr:
        print("SKIP: this rwkvc has no code generator")
        sys.exit(77)
    sys.exit(main())
