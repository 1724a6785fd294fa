#!/usr/bin/env python3
"""Compares the gradients of a text with differences of its loss.

    gradients.py MODEL.rwkv [--shake S] [--step H] [--bar E] [any flag of `rwkvc eval`]...

Parameters get their first values plus noise of size S (0.1), since zeros hide mistakes. Each parameter is then
moved a step H (3e-6), and two, to both sides in a random direction, and the slope of loss + penalty is compared
with what `rwkvc eval MODEL.rwkv grad` says of that direction, relative to the larger of the two. Exit 0: all agree
to the bar (1e-5). Only the standard library is used.
"""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

CODES = {"F64": "d", "F32": "f"}


def read(path):
    """{name: (shape, numbers)} of a .safetensors file"""
    with open(path, "rb") as f:
        data = f.read()
    size = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, t in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            count = (t["data_offsets"][1] - t["data_offsets"][0])//struct.calcsize(CODES[t["dtype"]])
            numbers = struct.unpack_from("<%d%s" % (count, CODES[t["dtype"]]), data, 8 + size + t["data_offsets"][0])
            out[name] = (t["shape"], list(numbers))
    return out


def write(path, tensors):
    head, data = {}, b""
    for name, (shape, numbers) in tensors.items():
        piece = struct.pack("<%dd" % len(numbers), *numbers)
        head[name] = {"dtype": "F64", "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(head).encode()
    text += b" "*(-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def slope_error(loss, params, name, grad, step):
    """Relative difference of the two slopes along one random direction."""
    shape, at = params[name]
    direction = [random.uniform(-1, 1) for _ in at]

    def slope(h):
        value = [loss({**params, name: (shape, [a + s*h*d for a, d in zip(at, direction)])}) for s in (1, -1)]
        return (value[0] - value[1])/(2*h), 1e-15*(abs(value[0]) + 1)/h  # and what rounding does to it

    (wide, _), (narrow, noise) = slope(2*step), slope(step)
    seen = narrow + (narrow - wide)/3  # the curvature cancels
    said = sum(g*d for g, d in zip(grad, direction))
    return max(0, abs(seen - said) - 4*noise)/max(abs(seen), abs(said), 1e-12)


def options(words):
    own = {"--shake": 0.1, "--step": 3e-6, "--bar": 1e-5}
    rest, i = [], 0
    while i < len(words):
        if words[i] in own:
            own[words[i]] = float(words[i + 1])
            i += 1
        else:
            rest.append(words[i])
        i += 1
    return own, rest


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip())
        return 2
    own, rest = options(sys.argv[2:])
    rwkvc, model = os.environ.get("RWKVC", "rwkvc"), sys.argv[1]
    constants = [w for i, w in enumerate(rest) if rest[i - 1:i] in (["-D"], ["-I"]) or w[:2] in ("-D", "-I")]
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        p, g = os.path.join(folder, "p.safetensors"), os.path.join(folder, "g.safetensors")

        def run(entry, *words):
            command = [rwkvc, "eval", model, entry, *words]
            return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

        def loss(params, *words):
            write(p, params)
            lines = dict(line.split(None, 1) for line in run("grad", "--params", p, *rest, *words).splitlines())
            return float(lines["loss"]) + float(lines.get("penalty", 0))

        run("init", "-o", p, *constants)
        params = {n: (s, [x + own["--shake"]*random.uniform(-1, 1) for x in v]) for n, (s, v) in read(p).items()}
        loss(params, "--grads", g)
        bad, grads = 0, read(g)
        for name, (shape, grad) in grads.items():
            error = slope_error(loss, params, name, grad, own["--step"])
            bad += error > own["--bar"]
            print("%-32s %-12s %.0e%s" % (name, shape, error, "" if error <= own["--bar"] else "  DIFFERS"))
        print("%d parameters, %d differ by more than %g" % (len(grads), bad, own["--bar"]))
        return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
