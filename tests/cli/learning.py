#!/usr/bin/env python3
"""rwkv train, from scratch to the end: digit reversal, against the losses of an independent program, and
how many digits of numbers it has not seen come out right."""
import os
import struct
import subprocess
import sys

from tool import BIN, MODELS, case, main, npy, read_npy

SHARED = os.path.join(os.environ.get("RWKVC_SHARED", ""), "data", "ref")
STEPS, COMMA, END = 800, 10, 11


def ref(name):
    return os.path.join(SHARED, name)


def bytes_of(path):
    """(shape, numbers) of an array of bytes"""
    with open(path, "rb") as f:
        data = f.read()
    size = struct.unpack("<H", data[8:10])[0]
    head = eval(data[10:10 + size].decode(), {"__builtins__": {}}, {"False": False, "True": True})
    return head["shape"], data[10 + size:]


def digits_right(logits, rows):
    """the share of digits and ends behind the comma whose largest logit is theirs"""
    good = n = 0
    width = len(rows[0])
    for r, row in enumerate(rows):
        inside = False
        for j in range(width - 1):
            if row[j] == COMMA:
                inside = True
            elif row[j] == END:
                inside = False
            if inside:
                at = (r*(width - 1) + j)*12
                z = logits[at:at + 12]
                good += z.index(max(z)) == row[j + 1]
                n += 1
    return good/n


@case
def reversal(b):
    b.expect(["rwkvc", os.path.join(MODELS, "revtrain.rwkv"), "-o", "r.so"], 0)
    b.expect(["rwkv", "train", "r.so", "--data", ref("revtrain.tokens.npy"), "--order", "sequence", "--batch", "32",
              "--params", ref("revtrain.init.safetensors"), "-o", "run", "--steps", STEPS, "--lr", "4e-3", "--lr-final",
              "1e-6", "--warmup", "0", "--wd", "0.1"], 0)
    with open(b.path("run/metrics.csv"), encoding="utf-8") as f:
        losses = [float(line.split(",")[3]) for line in f.read().split("\n")[1:-1]]
    wanted = read_npy(ref("revtrain.loss_fp64.npy"))[2]
    b.same("steps", len(losses), STEPS)
    b.check("the first 50 losses: %.1e" % max(abs(x - y) for x, y in zip(losses[:50], wanted)),
            max(abs(x - y) for x, y in zip(losses[:50], wanted)) <= 3e-5)
    smooth = [abs(sum(losses[i:i + 50]) - sum(wanted[i:i + 50]))/50 for i in range(0, STEPS, 50)]
    b.check(f"means of 50 losses: {max(smooth):.1e}", max(smooth) <= 0.03)
    (n, width), data = bytes_of(ref("revtrain.test_tokens.npy"))
    rows = [data[i*width:(i + 1)*width] for i in range(n)]
    b.write("t.npy", npy([n, width - 1], [t for row in rows for t in row[:-1]], "|u1"))
    b.expect(["rwkv", "run", "r.so", "forward", "--params", "run/model.safetensors", "--in", "token=t.npy", "--out",
              "logits=y.npy"], 0)
    right = digits_right(read_npy(b.path("y.npy"))[2], rows)
    b.check(f"digits right: {right:.4f}", right >= 0.98)
    b.expect(["rwkv", "generate", "r.so", "--params", "run/model.safetensors", "--vocab", "chars:0123456789,#", "--prompt",
              "31415,", "--temperature", "0", "--stop", "#"], 0, "51413", "")


if __name__ == "__main__":
    if not os.path.exists(ref("revtrain.tokens.npy")):
        print("SKIP: no shared data")
        sys.exit(77)
    done = subprocess.run([os.path.join(BIN, "rwkvc"), os.path.join(MODELS, "revtrain.rwkv"), "-o", os.devnull + "/x.so"],
                          capture_output=True, text=True) if os.path.exists(os.path.join(BIN, "rwkvc")) else None
    if done and "no code generator" in done.stderr:
        print("SKIP: this rwkvc has no code generator")
        sys.exit(77)
    sys.exit(main())
