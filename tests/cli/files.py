#!/usr/bin/env python3
"""rwkvc dump, rwkv info and rwkv convert on small files made here."""
import json
import os
import subprocess
import sys

from tool import BIN, case, main, npy, read_safetensors, safetensors

TENSORS = {"emb.weight": ("F32", [2, 3], [1, 2, 3, 4, 5, 6.5]), "blocks.0.att.x_r": ("F32", [1, 1, 3], [0.5, -1, 2]),
           "count": ("I64", [], [7])}


@case
def dump(b):
    b.write("a.safetensors", safetensors(TENSORS))
    done = b.expect(["rwkvc", "dump", "a.safetensors"], 0, ["emb.weight", "[2,3]", "f32", "24", "i64", "[]"], "")
    b.check("the last line counts: " + done.out, "safetensors: 3 tensors, 10 numbers, 44 bytes" in done.out)
    b.same("rwkv info says the same", b.call("rwkv", "info", "a.safetensors").out, done.out)
    got = json.loads(b.expect(["rwkvc", "dump", "a.safetensors", "--json"], 0, None, "").out)
    b.same("kind", got["kind"], "safetensors")
    b.same("tensors", sorted((t["name"], t["dtype"], t["shape"], t["bytes"]) for t in got["tensors"]),
           [("blocks.0.att.x_r", "f32", [1, 1, 3], 12), ("count", "i64", [], 8), ("emb.weight", "f32", [2, 3], 24)])
    b.write("a.npy", npy([2, 1], [3, 4], "<i4"))
    b.expect(["rwkvc", "dump", "a.npy"], 0, ["a.npy", "i32", "[2,1]", "npy: 1 tensor,"], "")


@case
def dump_of_a_pipe(b):
    run = lambda data: subprocess.run([os.path.join(BIN, "rwkvc"), "dump", "/dev/stdin"], input=data,
                                      capture_output=True, check=False)
    done = run(npy([2, 1], [3, 4], "<i4"))
    b.check(f"an array: {done}", done.returncode == 0 and b"npy: 1 tensor," in done.stdout)
    done = run(safetensors(TENSORS))
    b.check(f"weights: {done}", done.returncode == 3 and b"from a file, not a pipe" in done.stderr)


@case
def dump_of_odd_names(b):
    name = 'a"b\\c\n\u00e9'
    b.write("a.safetensors", safetensors({name: ("U8", [1], [3])}))
    done = b.expect(["rwkvc", "dump", "a.safetensors", "--json"], 0)
    b.same("the name survives", json.loads(done.out)["tensors"][0]["name"], name)
    b.write("none.safetensors", safetensors({}))
    b.same("no tensors", json.loads(b.call("rwkvc", "dump", "none.safetensors", "--json").out)["tensors"], [])


@case
def dump_mistakes(b):
    b.write("bad.pth", b"PK not a zip")
    b.write("bad.npy", b"\x93NUMPY\1\0\xff\xff")
    b.write("empty.bin", b"")
    for name in ("bad.pth", "bad.npy", "empty.bin"):
        b.expect(["rwkvc", "dump", name], 1, "", name)
    b.expect(["rwkvc", "dump"], 2, "", "which file?")
    b.expect(["rwkvc", "dump", "a", "b"], 2, "", "one file at a time")


@case
def convert(b):
    b.write("a.safetensors", safetensors(TENSORS))
    b.expect(["rwkv", "convert", "a.safetensors", "a.pth"], 0, "", "")
    b.expect(["rwkv", "convert", "a.pth", "b.safetensors"], 0, "", "")
    b.same("there and back", read_safetensors(b.path("b.safetensors")), TENSORS)
    b.expect(["rwkvc", "dump", "a.pth"], 0, ["pth: 3 tensors", "emb.weight"], "")
    b.expect(["rwkv", "convert", "a.safetensors", "h.safetensors", "--dtype=bf16"], 0, "", "")
    b.expect(["rwkvc", "dump", "h.safetensors"], 0, ["bf16", "i64"], "")
    b.write("m.safetensors", safetensors({"module.a": ("F32", [1], [1])}))
    b.expect(["rwkv", "convert", "m.safetensors", "s.safetensors", "--strip=module."], 0, "", "")
    b.same("stripped", list(read_safetensors(b.path("s.safetensors"))), ["a"])


@case
def convert_mistakes(b):
    b.write("a.safetensors", safetensors(TENSORS))
    b.write("bad.pth", b"PK not a zip")
    b.expect(["rwkv", "convert", "a.safetensors"], 2, "", "an IN and an OUT are wanted")
    b.expect(["rwkv", "convert", "a", "b", "c"], 2, "", "not 'c' too")
    b.expect(["rwkv", "convert", "a.safetensors", "a.txt"], 2, "", "a.txt")
    b.expect(["rwkv", "convert", "a.safetensors", "b.pth", "--dtype=f8"], 2, "", "there is no type 'f8'")
    b.expect(["rwkv", "convert", "bad.pth", "b.safetensors"], 1, "", "bad.pth")
    b.expect(["rwkv", "convert", "a.safetensors", "no/b.pth"], 3, "", "no/b.pth")
    b.same("no half-written files", sorted(os.listdir(b.folder)), ["a.safetensors", "bad.pth"])


if __name__ == "__main__":
    sys.exit(main())
