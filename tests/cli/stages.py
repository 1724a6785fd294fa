#!/usr/bin/env python3
"""What rwkvc shows of a compilation: --emit of its later stages, --report."""
import json
import os
import re
import shutil
import subprocess
import sys

from tool import BIN, SMALL as TEXT, case, main

def rwkvc(*words):
    return ["rwkvc", "m.rwkv"] + list(words)


@case
def plan(b):
    b.write("m.rwkv", TEXT)
    text = b.expect(rwkvc("--emit=plan"), 0, ["plan of forward:", " param f32 [128, 128]", " contract ", "scan grid",
                                              "loop p0 3 {", "  class 0: 0 1 2"], "").out
    kernels = re.findall(r"^kernel (\S+) ", text, re.M)
    b.check("every kernel has another name", len(kernels) == len(set(kernels)) > 3)
    b.check(f"names that say something: {kernels}", {k.rsplit("_", 1)[0] for k in kernels} >=
            {"x", "k_mix_weight", "logits_head_weight"})
    b.check("and is launched once", all(len(re.findall(rf"^ *(?:beside )?{k}\(", text, re.M)) == 1 for k in kernels))
    b.check("what is computed", re.search(r"stores %\d+.*: real \[B, T, 128\] = sum\[i3: 128\] %\d+\[p0, i2, i3\]\*", text))
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
    count = lambda t: sum(int(n) for n in re.findall(r"^.*?(\d+) launches.*?(?:(\d+) copies; \d+ rounds)?$", t, re.M)[0] if n)
    b.same("3 layers and what is around them", count(outside) + 3*count(layer), info["forward"])
    # emb.weight is read by rows, head.weight whole: 128*128*4 bytes and 128*4 a token of x; logits are written
    b.check("bytes outside", "bytes of products    read 512*B*T + 65536; written 512*B*T" in outside)
    one = b.expect(rwkvc("--report", "--entry=step", "--target=x86-64-v3"), 0, ["launches of step\n", "function; operations"], "").out
    kernels = [r.split() for r in one.split("of a launch\n")[1].split("compiled for")[0].split("\n") if r]
    b.same("kernels", len(kernels), int(rows["step"][1]))
    b.check("code of each", all(int(k[3]) > 0 for k in kernels))
    b.expect(rwkvc("--report", "--entry=init"), 0, "parameters: 81920", "")


@case
def layers_are_no_code(b):
    """as many kernels, functions and bytes of code for any number of layers"""
    clip = TEXT.replace("(0 - logits[b,t,target[b,t]]) }",
                        "(0 - logits[b,t,target[b,t]])\n    update = adamw()  clip 1\n}")
    b.write("m.rwkv", "use std\n" + clip)
    tables = []
    for n in (3, 11, 60):
        text = b.expect(rwkvc("--report", "--target=x86-64-v3", "-D", f"L={n}"), 0, "compiled for", "").out
        rows = [r.split() for r in text.split("scratch bytes of a thread\n")[1].split("\n") if r]
        tables.append([[r[0], r[1], *r[3:]] for r in rows])
    b.check("train is there", any(r[0] == "train" for r in tables[0]))
    b.same("11 layers", tables[1], tables[0])
    b.same("60 layers", tables[2], tables[0])


# What ptxas says, of two kernels; the rest of its words is for people. Behind it, the head of an image.
PTXAS = """#!/bin/sh
{ printf '\\177ELF'; head -c 14 /dev/zero; printf '\\276\\0'; head -c 44 /dev/zero; } > "$5"
cat >&2 <<END
ptxas info    : Compiling entry function 'k0_x_0' for 'sm_80'
ptxas info    : Function properties for k0_x_0
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 100 registers, used 1 barriers, 17408 bytes smem, 400 bytes cmem[0]
ptxas info    : Compiling entry function 'k1_y' for 'sm_80'
    24 bytes stack frame, 16 bytes spill stores, 20 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers, 400 bytes cmem[0]
END
"""


def gpu_rows(text):
    table = text.split("  function  ", 1)[1].split("compiled for")[0].split("\n")[1:]
    return {r.split()[0]: [int(n) for n in r.split()[1:]] for r in table if r}


@case
def report_gpu(b):
    b.write("m.rwkv", TEXT)
    symbols = set()
    for target in ("gfx942", "gfx1100"):
        said = b.expect(rwkvc("--report", "--target=" + target), 0, ["waves at once", f"compiled for {target}: "], "").out
        rows = gpu_rows(said)
        symbols = symbols or set(rows)
        b.same("functions", set(rows), symbols)
        for name, (block, vector, matrix, scalar, spills, local, own, waves) in rows.items():
            b.check(f"{target} {name}", block in (32, 64, 128, 256, 512) and 0 < vector <= 256 and scalar > 0 and
                    spills == 0 and own == 0 and local <= 65536 and 0 < waves <= 16 and matrix <= vector)
        by_hand = {"gfx942": lambda v: min(8, 512//(-(-v//8)*8)), "gfx1100": lambda v: min(16, 1536//(-(-v//24)*24))}
        alone = [r for r in rows.values() if r[5] == 0]
        b.check(f"waves by registers: {alone}", len(alone) > 3 and all(r[7] == by_hand[target](r[1]) for r in alone))
    b.write("ptxas", PTXAS)
    os.chmod(b.path("ptxas"), 0o755)
    b.env["RWKVC_PTXAS"] = b.path("ptxas")
    said = b.expect(rwkvc("--report", "--target=sm_80", "--entry=step"), 0, "functions: ", "").out
    b.same("of NVIDIA", gpu_rows(said), {"k0_x_0": [128, 100, 0, 17408, 0, 4], "k1_y": [0, 255, 16, 0, 24, 2]})
    b.write("ptxas", "#!/bin/sh\necho ptxas fatal : no >&2\nexit 1\n")
    b.expect(rwkvc("--report", "--target=sm_80"), 3, "", "ptxas fatal : no")
    b.env["RWKVC_PTXAS"] = b.path("none")
    b.expect(rwkvc("--report", "--target=sm_80"), 0, "registers and spills are not known: RWKVC_PTXAS=", "")


@case
def explaining(b):
    """--explain=fuse:A,B: the rules are tested in tests/compiler; here what is asked, and what of it is known"""
    b.write("m.rwkv", TEXT.replace("x = x + keep(tanh(k)) along T", "x = x + keep(tanh(k)) along T\n        u = x*x") )
    ask = lambda q, *more: rwkvc("--explain=fuse:" + q, *more)
    line = 1 + [i for i, l in enumerate(TEXT.split("\n")) if l.startswith("        k[t,i] =")][0]
    b.expect(ask("k,S"), 0, [f"k:{line} and S:4: apart, in product kernel k_mix_weight_1 of layer 0..2 and ",
                             "a recurrence is a kernel of its own"], "")
    b.expect(ask(f"k:{line},S@2"), 0, f"k:{line} and S:4: apart", "")
    b.expect(ask("k,logits"), 0, "a loop over layers stands between them", "")
    b.expect(ask("logits,logits"), 0, "logits and logits are one value", "")
    b.expect(ask("d.mix.weight,d.S", "--entry=grad"), 0, "of layer 0..2, backward and ", "")
    b.expect(ask("token,S"), 0, "token is an input: it is read, not computed", "")
    b.expect(ask("S,blocks.1.mix.weight"), 0, "blocks.1.mix.weight is a parameter", "")
    b.expect(ask("u,S"), 0, "u has no tensor of its own in entry forward", "")
    b.expect(ask("logit,S"), 2, "", ["has no value 'logit'", "did you mean 'logits'?"])
    b.expect(ask("quite_another,S"), 2, "", ["has no value 'quite_another'; it has: ", "logits"])
    b.expect(ask("k@7,S"), 2, "", "has no value 'k@7'")
    b.expect(ask("k"), 2, "", "fuse:A,B with two names")
    b.expect(ask("k,S,x"), 2, "", "fuse:A,B with two names")
    b.expect(ask("k:,S"), 2, "", "NAME:LINE or NAME@LAYER")
    b.expect(rwkvc("--explain=store:k,S"), 2, "", "fuse:A,B with two names")
    b.expect(ask("k,S", "--emit=plan"), 2, "", "one at a time")
    b.expect(ask("k,S", "--entry=dance"), 1, "", "dance")
    b.expect(ask("k,S", "-o", "why.txt"), 0, "", "")
    b.check("in a file", "apart" in open(b.path("why.txt"), encoding="utf-8").read())


if __name__ == "__main__":
    sys.exit(main())
