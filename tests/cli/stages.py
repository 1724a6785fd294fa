#!/usr/bin/env python3
"""What rwkvc shows of a compilation: --emit of its later stages, --report."""
import json
import os
import re
import shutil
import subprocess
import sys

from tool import BIN, case, main

# A product that is worth a kernel of its own, what follows it, a recurrence, a loss.
TEXT = """const V = 128, D = 128, L = 3
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
        param mix.weight[D,D] ~ normal(0.1)
        k[t,i] = sum[d] mix.weight[i,d]*x[t,d]
        x = x + keep(tanh(k)) along T
    }
    logits[t,v] = sum[d] head.weight[v,d]*x[t,d]
}
train tiny(target[T]: index(V)) { loss = mean[b,t] (0 - logits[b,t,target[b,t]]) }
"""


def rwkvc(*words):
    return ["rwkvc", "m.rwkv"] + list(words)


@case
def plan(b):
    b.write("m.rwkv", TEXT)
    text = b.expect(rwkvc("--emit=plan"), 0, ["plan of forward:", " param f32 [128, 128]", "contract grid", "scan grid",
                                              "loop p0 3 {", "  class 0: 0 1 2"], "").out
    kernels = re.findall(r"^kernel (\S+) ", text, re.M)
    b.check("every kernel has another name", len(kernels) == len(set(kernels)) > 3)
    b.check(f"names that say something: {kernels}", {k.rsplit("_", 1)[0] for k in kernels} >=
            {"x", "mix_weight", "logits_head_weight", "scan_S"})
    b.check("and is launched once", all(len(re.findall(rf"^ *{k}\(", text, re.M)) == 1 for k in kernels))
    b.check("what is computed", re.search(r"inside %\d+.*: real \[B, T, 128\] = sum\[i3: 128\] %\d+\[p0, i2, i3\]\*", text))
    b.expect(rwkvc("--emit=plan", "--entry=step"), 0, "plan of step:", "")
    b.expect(rwkvc("--emit=plan", "--dtype=bf16"), 0, " param bf16 [128, 128]", "")
    b.expect(rwkvc("--emit=plan", "--entry=dance"), 1, "", "dance")
    b.expect(rwkvc("--emit=plan", "-o", "m.plan"), 0, "", "")
    b.same("in a file", open(b.path("m.plan"), encoding="utf-8").read(), text)


@case
def code(b):
    b.write("m.rwkv", TEXT)
    llvm = b.expect(rwkvc("--emit=llvm", "--entry=forward", "--target=x86-64-v3"), 0, None, "").out
    names = re.findall(r"^define void @(k\d+_\w+)\(", llvm, re.M)
    b.check(f"functions {names}", len(names) == len(set(names)) > 3)
    asm = b.expect(rwkvc("--emit=asm", "--entry=forward", "--target=x86-64-v3"), 0, None, "").out
    b.same("the same functions", re.findall(r"^\t\.globl\t(k\w+)", asm, re.M), names)
    wide = b.call(*rwkvc("--emit=asm", "--entry=forward", "--target=x86-64-v4")).out
    b.check("targets", "zmm" in wide and "zmm" not in asm and "ymm" in asm)
    all_of = re.findall(r"^define void @(\w+)\(", b.call(*rwkvc("--emit=llvm", "--target=x86-64-v3")).out, re.M)
    b.check("all entries", len(all_of) > len(names))
    b.expect(rwkvc("--emit=llvm", "--target=toaster"), 2, "", "--target=toaster: there is no such target")
    b.expect(rwkvc("--emit=tile"), 2, "", ["there is no stage 'tile'", "plan llvm asm obj manifest"])
    b.expect(rwkvc("--emit=obj"), 2, "", "-o OUT.o")
    b.expect(rwkvc("--emit=obj", "-o", "no/m.o"), 3, "", "no/m.o")
    b.expect(rwkvc("--emit=obj", "-o", "m.o", "--target=x86-64-v3"), 0, "", "")
    b.expect(rwkvc("-o", "m.so", "--target=x86-64-v3"), 0, "", "")
    head, so = open(b.path("m.o"), "rb").read(), open(b.path("m.so"), "rb").read()
    b.check("an object with all functions", head[:4] == b"\x7fELF" and head[16] == 1 and all(n.encode() in head for n in all_of))
    b.check("it is what the file is linked from", all(n.encode() in so for n in all_of))


@case
def manifest(b):
    b.write("m.rwkv", TEXT)
    text = b.expect(rwkvc("--emit=manifest", "--target=x86-64-v3"), 0, None, "").out
    m = json.loads(text)
    b.same("keys", list(m), ["format", "program", "target", "axes", "quotients", "sizes", "counts", "params", "states",
                             "entries"])
    b.same("program and target", (m["program"], m["target"]["name"]), ("m", "x86-64-v3"))
    b.same("axes", m["axes"], [["B", 1], ["T", 1]])
    b.same("members", [p["members"][0][0] for p in m["params"]], ["emb.weight", "head.weight", "blocks.0.mix.weight"])
    b.same("draws", [p["members"][0][3:] for p in m["params"]], [[-1, 1], [0.5, 0], [0.1, 0]])
    b.check("entries", {"step", "forward", "prefill", "grad"} <= {e["name"] for e in m["entries"]})
    b.expect(rwkvc("-o", "m.so", "--target=x86-64-v3"), 0, "", "")
    info = json.loads(b.call("rwkv", "info", "m.so", "--json").out)
    b.same("the file says the same", [e["name"] for e in info["entries"]], [e["name"] for e in m["entries"]])


@case
def the_same_anywhere(b):
    """any folder, any time, to a file or not: the same bytes"""
    b.write("m.rwkv", TEXT)
    os.mkdir(b.path("other"))
    shutil.copy(b.path("m.rwkv"), b.path("other/m.rwkv"))
    for stage in ("plan", "llvm", "asm", "manifest"):
        once = b.call(*rwkvc("--emit=" + stage, "--entry=grad")).out
        again = subprocess.run([os.path.join(BIN, "rwkvc"), "m.rwkv", "--emit=" + stage, "--entry=grad", "-o", "out"],
                               cwd=b.path("other"), env={"LC_ALL": "C", "TZ": "Asia/Tokyo"})
        b.check(f"{stage} in another folder", again.returncode == 0 and
                open(b.path("other/out"), encoding="utf-8").read() == once and len(once) > 1000)
    for name in ("m.o", "other/m.o"):
        b.expect(rwkvc("--emit=obj", "-o", name), 0, "", "")
    b.check("obj", open(b.path("m.o"), "rb").read() == open(b.path("other/m.o"), "rb").read())


@case
def report(b):
    b.write("m.rwkv", TEXT)
    text = b.expect(rwkvc("--report", "--target=x86-64-v3"), 0, ["parameters: 81920", "compiled for x86-64-v3: ",
                                                                 "launches of forward\n", "launches of grad\n"], "").out
    rows = {r.split()[0]: r.split() for r in text.split("scratch bytes of a thread\n")[1].split("\n") if r}
    b.check(f"entries {list(rows)}", {"step", "forward", "prefill", "grad"} <= set(rows))
    for name, row in rows.items():
        b.check(f"{row}: launches, functions, code", int(row[2]) >= int(row[1]) >= int(row[3]) and int(row[4]) > 0)
    b.expect(rwkvc("-o", "m.so", "--target=x86-64-v3"), 0, "", "")
    info = {e["name"]: e["launches"] for e in json.loads(b.call("rwkv", "info", "m.so", "--json").out)["entries"]}
    b.same("launches", {k: int(r[2]) for k, r in rows.items()}, info)
    forward = text.split("launches of forward\n")[1].split("launches of")[0]
    layer = forward.split("a layer, of 0..2: ")[1]
    outside = forward.split("a layer")[0]
    count = lambda t: sum(int(n) for n in re.findall(r"^.*?(\d+) launches.*?(?:(\d+) copies)?$", t, re.M)[0] if n)
    b.same("3 layers and what is around them", count(outside) + 3*count(layer), info["forward"])
    # emb.weight is read by rows, head.weight whole: 128*128*4 bytes and 128*4 a token of x; logits are written
    b.check("bytes outside", "bytes of products    read 512*B*T + 65536; written 512*B*T" in outside)
    one = b.expect(rwkvc("--report", "--entry=step", "--target=x86-64-v3"), 0, ["launches of step\n", "function; operations"], "").out
    kernels = [r.split() for r in one.split("of a launch\n")[1].split("compiled for")[0].split("\n") if r]
    b.same("kernels", len(kernels), int(rows["step"][1]))
    b.check("code of each", all(int(k[3]) > 0 for k in kernels))
    b.expect(rwkvc("--report", "--entry=init"), 0, "parameters: 81920", "")


if __name__ == "__main__":
    sys.exit(main())
