#!/usr/bin/env python3
"""rwkvc -o model.cubin: which assembler is run, how, what becomes of its mistakes; the bytes that come out. With one that
is none (tests/runtime/fake_ptxas.py), and with NVIDIA's where there is one."""
import os
import shutil
import signal
import subprocess
import sys
import time

from tool import BIN, ROOT, SMALL as TEXT, case, main

FAKE = os.path.join(ROOT, "tests", "runtime", "fake_ptxas.py")
USUAL = "/usr/local/cuda/bin/ptxas"
REAL = os.environ.get("RWKVC_PTXAS") or shutil.which("ptxas") or (USUAL if os.path.exists(USUAL) else None)
IDS = ["cuda-nvptx64-nvidia-cuda--sm_80", "cuda-nvptx64-nvidia-cuda--sm_90"]


def compiled(b, name, *more, code=0, err=""):
    b.write("m.rwkv", TEXT)
    b.expect(["rwkvc", "m.rwkv", "-o", name, "--entry=step", *more], code, "", err)
    if code:
        return None
    with open(b.path(name), "rb") as f:
        return f.read()


def calls(b):
    """What the assembler was called with, a list a call, in the order of targets."""
    with open(b.path("log")) as f:
        return sorted(line.rstrip("\n").split("\t") for line in f)


def left(b):
    return sorted(os.listdir(b.folder))


@case
def made(b):
    b.env["RWKVC_PTXAS"], b.env["FAKE_PTXAS_LOG"] = FAKE, b.path("log")
    two = compiled(b, "two.cubin")
    b.same("calls, with files in memory", calls(b),
           [["-arch", t, "/proc/self/fd/0", "-o", "/proc/self/fd/3"] for t in ("sm_80", "sm_90")])
    b.same("what is left", left(b), ["log", "m.rwkv", "two.cubin"])
    b.check("a bundle", two.startswith(b"__CLANG_OFFLOAD_BUNDLE__") and all(i.encode() in two for i in IDS))
    os.mkdir(b.path("other"))
    b.same("bytes from elsewhere", compiled(b, "other/x.cubin", "--target=sm_80,sm_90") == two, True)
    one = compiled(b, "one.cubin", "--target=sm_90")
    b.check("one target: an image", one.startswith(b"\x7fELF") and one[18] == 190 and IDS[1].encode() not in one)
    b.expect(["rwkv", "info", "two.cubin"], 0, "m for sm_80, sm_90, weights f32")
    b.expect(["rwkv", "info", "one.cubin"], 0, "m for sm_90, weights f32")
    b.expect(["rwkv", "init", "two.cubin", "-o", "p.safetensors"], 0)
    b.expect(["rwkv", "run", "one.cubin", "forward"], 4, "", ["code for sm_90, a GPU", "--device cuda:0"])
    for more, rows in [([], ["k0_x_0 128 16 0 20480 0 7", "k2_x_2 128 16 0 0 0 16"]),  # by shared memory, by nothing
                       (["-D", "D=16"], ["k3_x_0 32 16 0 0 0 8"])]:                    # by the number of blocks
        said = b.expect(["rwkvc", "m.rwkv", "--report", "--target=sm_80", "--ptxas=" + FAKE, *more], 0, "warps at once of 16", "")
        lines = [" ".join(line.split()) for line in said.out.split("\n")]
        b.check(f"warps: {said.out}", all(r in lines for r in rows))


@case
def found(b):
    """--ptxas before RWKVC_PTXAS before PATH"""
    b.env["FAKE_PTXAS_LOG"], b.env["RWKVC_PTXAS"] = b.path("log"), b.path("none")
    compiled(b, "a.cubin", code=3, err=["-o a.cubin: RWKVC_PTXAS=", "there is no program of this name", ".ptx"])
    compiled(b, "a.cubin", "--ptxas=missing", code=3, err="--ptxas=missing: there is no program of this name")
    compiled(b, "a.cubin", "--ptxas=.", code=3, err=".: it cannot be run: Permission denied")
    b.same("what is left", left(b), ["m.rwkv"])
    compiled(b, "a.cubin", "--ptxas", FAKE)
    b.env["RWKVC_PTXAS"] = ""
    os.mkdir(b.path("bin"))
    os.symlink(FAKE, b.path("bin/ptxas"))
    b.env["PATH"] = b.path("bin") + ":" + os.environ["PATH"]
    compiled(b, "b.cubin", "--target=sm_80")
    b.same("calls", len(calls(b)), 3)
    b.env["PATH"] = b.path("nowhere")
    if os.path.exists(USUAL):
        print("  without an assembler: not tried, there is one in the usual folder")
    else:
        compiled(b, "c.cubin", code=3, err=["there is no ptxas", "--ptxas=PATH or RWKVC_PTXAS=PATH", ".ptx"])
        b.expect(["rwkvc", "m.rwkv", "--report", "--target=sm_80"], 0, "registers and spills are not known: there is no ptxas", "")


@case
def fails(b):
    """Its own words, and nothing left; a file that was there stays as it was."""
    b.env["RWKVC_PTXAS"] = FAKE
    b.write("a.cubin", "as it was")
    for how, words in [("fail", ["line 7; error   : Unknown symbol 'x'", "ptxas fatal   : Ptx assembly aborted"]),
                       ("kill", "ended by signal 9"), ("nothing", "it made no cubin"), ("garbage", "it made no cubin")]:
        b.env["FAKE_PTXAS"] = how
        compiled(b, "a.cubin", code=3, err=words)
        b.same(how, left(b), ["a.cubin", "m.rwkv"])
    b.expect(["rwkvc", "m.rwkv", "--report", "--target=sm_80"], 3, "", "it made no cubin")
    b.expect(["rwkvc", "m.rwkv", "--report", "--target=sm_80,sm_90"], 2, "", "what is shown is of one target")
    b.env["FAKE_PTXAS"] = ""
    compiled(b, "no/a.cubin", code=3, err="no/a.cubin: No such file or directory")
    compiled(b, "a.cubin", "--target=gfx942", code=2, err="holds no code for gfx942")
    compiled(b, "a.cubin", "--target=", code=2, err="--target=: it names no target")
    compiled(b, "a.cubin", "--target=sm_80,sm_80", code=2, err="sm_80 twice")
    compiled(b, "a.ptx", "--target=sm_80,sm_90", code=2, err="holds code for one target")
    with open(b.path("a.cubin")) as f:
        b.same("the file that was there", f.read(), "as it was")


@case
def stopped(b):
    """In the middle of it, by a signal: nothing is left, and the assembler's end is nobody's business."""
    b.write("m.rwkv", TEXT)
    b.write("slow", "#!/bin/sh\necho > begun\nwhile [ ! -e go ]; do sleep 0.1; done\n")
    os.chmod(b.path("slow"), 0o755)
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        p = subprocess.Popen([os.path.join(BIN, "rwkvc"), "m.rwkv", "-o", "a.cubin", "--entry=step", "--target=sm_80",
                              "--ptxas=./slow"], cwd=b.folder)
        end = time.monotonic() + 60
        while not os.path.exists(b.path("begun")) and time.monotonic() < end:
            time.sleep(0.05)
        p.send_signal(how)
        b.same(how.name, p.wait(60), -how)
        b.same(how.name + ": what is left", left(b), ["begun", "m.rwkv", "slow"])
        os.remove(b.path("begun"))
    b.write("go", "")


@case
def names(b):
    """No shell reads them, and none of them is an option."""
    b.env["RWKVC_PTXAS"] = FAKE
    first = compiled(b, "a.cubin", "--target=sm_80")
    for name in ("two words.cubin", "$(touch x);'\"`touch x`.cubin", "-arch.cubin", "%s%n.cubin"):
        b.same(name, compiled(b, name, "--target=sm_80") == first, True)
    b.check(f"what is left: {left(b)}", "x" not in left(b) and len(left(b)) == 6)


@case
def real(b):
    """NVIDIA's: the same bytes twice, and other tools take them."""
    if not REAL:
        print("  not with NVIDIA's assembler: there is none here")
        return
    b.env["RWKVC_PTXAS"] = REAL
    two = compiled(b, "two.cubin")
    os.mkdir(b.path("other"))
    b.same("bytes from elsewhere", compiled(b, "other/x.cubin") == two, True)
    compiled(b, "one.cubin", "--target=sm_80")
    b.expect(["rwkv", "info", "two.cubin"], 0, "m for sm_80, sm_90, weights f32")
    said = b.expect(["rwkvc", "m.rwkv", "--report", "--target=sm_90"], 0, ["warps at once of 16", "compiled for sm_90: "], "").out
    b.check("code is counted", int(said.split("compiled for sm_90: ")[1].split()[0]) > 5000)
    for name, words, wanted in (("clang-offload-bundler", ["-list", "-type=o", "-input=two.cubin"], IDS),
                                ("llvm-readelf", ["-h", "-S", "-s", "one.cubin"], ["NVIDIA CUDA", "rwkvc_manifest", ".text.k0_"])):
        tool = shutil.which(name + "-19") or shutil.which("/usr/lib/llvm-19/bin/" + name)
        if not tool:
            print(f"  not looked at: there is no {name}")
            continue
        done = subprocess.run([tool, *words], cwd=b.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        b.check(f"{name}: {done.stdout[:300]}", done.returncode == 0 and "warning" not in done.stdout and
                all(w in done.stdout for w in wanted))


if __name__ == "__main__":
    sys.exit(main())
