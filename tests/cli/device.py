#!/usr/bin/env python3
"""rwkv with --device, on the emulated GPUs: device.py HIP-LIBRARY CUDA-LIBRARY. The README's RWKV-7, small: every entry
against the processor at T = 1, 17, 64, in f32 and bf16, whatever order the waves of a workgroup run in; training that
stops and goes on, on another device too; the same text generated; lists and mistakes."""
import json
import os
import sys

from tool import MODELS, case, main, npy, read_npy

LIBRARY = {kind: os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else "" for kind in ("hip", "cuda")}
DEVICES = {"hip:0": "a.hsaco", "hip:1": "a.hsaco", "cuda:0": "a.ptx", "cuda:1": "a.ptx"}  # and what runs there
SIZES = [w for d in ("V=256", "L=2", "D=32", "N=16", "F=48", "Rw=8", "Ra=6", "Rv=6", "Rg=8") for w in ("-D", d)]
MODEL = os.path.join(MODELS, "rwkv7.rwkv")


def on(device):
    kind = device.split(":")[0]
    return ["--device", device, f"--{kind}-library", LIBRARY[kind]]


MADE = {}  # files of all cases: the same options make the same bytes


def compiled(b, name, *more):
    key = (name.split(".")[1], *more)
    if key not in MADE:
        b.expect(["rwkvc", MODEL, "-o", name, *SIZES, *more], 0)
        with open(b.path(name), "rb") as f:
            MADE[key] = f.read()
    return b.write(name, MADE[key])


def compiled_all(b, *more):
    for name in sorted(set(DEVICES.values())):
        compiled(b, name, *more)


def distance(b, first, second):
    x, y = (read_npy(b.path(p)) for p in (first, second))
    b.same("shapes", x[1], y[1])
    return max(abs(p - q) for p, q in zip(x[2], y[2]))


def tokens(b, name, shape, seed=1):
    n = 1
    for k in shape:
        n *= k
    return b.write(name, npy(shape, [(i*i*7 + i*31 + seed*101) % 256 for i in range(n)], "<i4"))


def compare(b, bar, loss_bar, *more):
    """Results of all at several lengths: those of the processor are made once."""
    compiled_all(b, *more)
    cpu = compiled(b, "a.so", "--target=x86-64-v3", *more)
    b.expect(["rwkv", "init", "a.hsaco", "-o", "p.safetensors", "--seed", 5], 0)
    for t in (1, 17, 64):
        tokens(b, "x.npy", [2, t])
        tokens(b, "y.npy", [2, t], 2)
        run = ["forward", "--params", "p.safetensors", "--in", "token=x.npy", "--out"]
        grad = ["grad", "--params", "p.safetensors", "--in", "token=x.npy", "--in", "target=y.npy"]
        b.expect(["rwkv", "run", cpu, *run, "logits=c.npy"], 0)
        loss = float(b.expect(["rwkv", "run", cpu, *grad], 0).out.split()[1])
        for device, gpu in DEVICES.items():
            b.expect(["rwkv", "run", gpu, *run, "logits=g.npy", *on(device)], 0)
            far = distance(b, "g.npy", "c.npy")
            b.check(f"{gpu} {device} T={t}: logits differ by {far:.1e}", far <= bar)
            got = float(b.expect(["rwkv", "run", gpu, *grad, *on(device)], 0).out.split()[1])
            b.check(f"{gpu} {device} T={t}: losses {got} and {loss}", abs(got - loss) <= loss_bar)


@case
def float32(b):
    compare(b, 2e-5, 1e-5)


@case
def bf16(b):
    compare(b, 6e-2, 3e-3, "--dtype=bf16")


@case
def waves_in_any_order(b):
    """The same bits, whatever the order."""
    compiled_all(b)
    tokens(b, "x.npy", [1, 17])
    tokens(b, "y.npy", [1, 17], 2)
    for device, gpu in DEVICES.items():
        outputs = []
        for seed in ("0", "5"):
            b.env = {"RWKVC_EMU_SEED": seed}
            b.expect(["rwkv", "run", gpu, "grad", "--in", "token=x.npy", "--in", "target=y.npy", "--grads",
                      "g.safetensors", *on(device)], 0)
            with open(b.path("g.safetensors"), "rb") as f:
                outputs.append(f.read())
        b.check(f"{device}: other gradients with another order of waves", outputs[0] == outputs[1])


@case
def faults(b):
    """A kernel that goes wrong ends the command with the emulator's words: here one that lost its first barrier."""
    compiled_all(b)
    tokens(b, "x.npy", [1, 17])
    tokens(b, "y.npy", [1, 17], 2)
    for device, error in (("hip:1", "hipErrorLaunchFailure"), ("cuda:0", "CUDA_ERROR_LAUNCH_FAILED")):
        run = ["rwkv", "run", DEVICES[device], "grad", "--in", "token=x.npy", "--in", "target=y.npy", *on(device)]
        b.env = {"RWKVC_EMU_REPORT": "-"}
        rows = [line.split() for line in b.expect(run, 0).err.split("\n") if line.startswith("k")]
        kernels = [row[0] for row in rows if row[10:] and row[10].isdigit() and int(row[10]) > 0]
        for kernel in kernels:
            b.env = {"RWKVC_EMU_DROP_BARRIER": kernel + ":0"}
            done = b.call(*run)
            if done.code != 0:
                break
        for part in (f"{device}: ", f"kernel {kernel}, group ", error):
            b.check(f"{device}: no {part!r} in {done.err}", done.code == 4 and part in done.err)


@case
def training(b):
    compiled_all(b)
    b.write("d.txt", "the quick brown fox jumps over the lazy dog. "*40)
    more = ["--data", "d.txt", "--batch", 2, "--ctx", 16, "--steps", 6, "--log-every", 1]
    for device, gpu in DEVICES.items():
        train = ["rwkv", "train", gpu, *more]
        whole, parts = "whole" + device, "parts" + device
        b.expect(train + ["-o", whole, *on(device)], 0, "", "done: 6 steps")
        b.expect(train + ["-o", parts, "--save-every", 3, *on(device)], 0)
        for part in ("model", "train"):
            os.remove(b.path(f"{parts}/{part}-0000000006.safetensors"))
        b.expect(train + ["-o", parts, "--resume", *on(device)], 0, "", "going on after step 3")
        with open(b.path(whole + "/model.safetensors"), "rb") as f, open(b.path(parts + "/model.safetensors"), "rb") as g:
            b.check(f"{device}: other parameters after a stop", f.read() == g.read())
        with open(b.path(whole + "/metrics.csv"), encoding="utf-8") as f:
            losses = [float(line.split(",")[3]) for line in f.read().split("\n")[1:-1]]
        b.check(f"{device}: losses {losses}", losses[-1] < losses[0])
    # each goes on where the one before it, and the last one where the first, was stopped
    last = list(DEVICES)[-1]
    for device, gpu in DEVICES.items():
        run = "parts" + last
        for part in ("model", "train"):
            os.remove(b.path(f"{run}/{part}-0000000006.safetensors"))
        b.expect(["rwkv", "train", gpu, *more, "-o", run, "--resume", *on(device)], 0, "", "going on after step 3")
        with open(b.path(run + "/metrics.csv"), encoding="utf-8") as f:
            moved = [float(line.split(",")[3]) for line in f.read().split("\n")[1:-1]]
        b.check(f"{last}, then {device}: {moved}", len(moved) == 6 and abs(moved[-1] - losses[-1]) <= 1e-4)
        last = device


@case
def generating(b):
    compiled_all(b)
    compiled(b, "a.so", "--target=x86-64-v3")
    b.expect(["rwkv", "init", "a.so", "-o", "p.safetensors", "--seed", 2], 0)
    words = ["--params", "p.safetensors", "--vocab", "bytes", "--prompt", "The ", "--n", 12, "--temperature", 0]

    def made(*more):
        with open(b.path("text"), "wb") as f:
            b.same("exit", b.call("rwkv", "generate", *more, stdout=f).code, 0)
        with open(b.path("text"), "rb") as f:
            return f.read()
    wanted = made("a.so", *words)
    b.check(f"{len(wanted)} bytes", len(wanted) >= 12)
    for device, gpu in DEVICES.items():
        b.same(device, made(gpu, *words, *on(device)), wanted)


@case
def profiles(b):
    compiled_all(b)
    tokens(b, "x.npy", [1, 5])
    for device in ("hip:0", "cuda:0"):
        b.expect(["rwkv", "run", DEVICES[device], "forward", "--in", "token=x.npy", "--profile", *on(device)], 0,
                 ["profile of forward, 1 call", "us each", "around"])
    for device, target in (("hip:1", "gfx1100"), ("cuda:1", "sm_80")):
        b.expect(["rwkv", "bench", DEVICES[device], "--decode", 3, "--rounds", 1, *on(device)], 0,
                 ["device " + device, "copy memory", "GB/s", "multiply f32", "multiply bf16", "% of multiplying f32",
                  "rwkv7 for " + target, "tok/s", "% of copying"])
        done = b.expect(["rwkv", "bench", DEVICES[device], "--decode", 3, "--rounds", 1, "--json", *on(device)], 0)
        limits = json.loads(done.out, object_pairs_hook=lambda pairs: pairs)
        b.same("what the device can do", [k for k, _ in dict(limits)["machine"]], ["copy_bytes", "multiply_f32", "multiply_bf16"])


@case
def lists(b):
    b.expect(["rwkv", "devices", "--hip-library", LIBRARY["hip"], "--cuda-library", LIBRARY["cuda"]], 0,
             ["cpu\n", "hip:0    gfx942", "hip:1    gfx1100", "8.0 GiB", "emulated gfx942", "cuda:0   sm_80",
              "emulated sm_90"])
    b.env = {"RWKVC_HIP_LIBRARY": LIBRARY["hip"], "RWKVC_CUDA_LIBRARY": LIBRARY["cuda"]}
    b.expect(["rwkv", "devices", "--json"], 0, ['"device": "hip:1", "target": "gfx1100"', '"units": 96',
                                                '"device": "cuda:1", "target": "sm_90"', '"units": 132'])
    b.env = {}
    b.expect(["rwkv", "devices", "--hip-library", "no.so"], 0, "hip      none: no.so: this driver cannot be opened")
    b.write("here.so", b"")
    b.expect(["rwkv", "devices", "--hip-library", "here.so"], 0, "The one in this folder is ./here.so")
    b.expect(["rwkv", "devices", "x"], 2, "", "it takes no file")


@case
def mistakes(b):
    compiled(b, "a.hsaco")
    compiled(b, "one.hsaco", "--target=gfx942")
    compiled(b, "a.ptx")
    compiled(b, "a.so", "--target=x86-64-v3")
    b.expect(["rwkv", "info", "a.hsaco"], 0, "rwkv7 for gfx942, gfx1100")
    b.expect(["rwkv", "info", "a.hsaco", *on("hip:1")], 0, "rwkv7 for gfx1100, weights f32")
    b.expect(["rwkv", "info", "one.hsaco", *on("hip:1")], 4, "", "--target=gfx1100")
    compiled(b, "new.ptx", "--target=sm_90")
    b.expect(["rwkv", "info", "a.ptx"], 0, "rwkv7 for sm_80")
    b.expect(["rwkv", "info", "a.ptx", *on("cuda:1")], 0, "rwkv7 for sm_80, weights f32")
    tokens(b, "x.npy", [1, 5])
    run = lambda file, *more: ["rwkv", "run", file, "forward", "--in", "token=x.npy", *more]
    b.expect(run("a.hsaco"), 4, "", ["code for gfx942, gfx1100, a GPU", "--device hip:0"])
    b.expect(run("one.hsaco", *on("hip:1")), 4, "", ["code for gfx942", "hip:1 is gfx1100", "--target=gfx1100"])
    b.expect(run("a.so", *on("hip:1")), 4, "", ["code for x86-64-v3", "-o FILE.hsaco"])
    b.expect(run("a.hsaco", *on("hip:7")), 4, "", "there is no device 'hip:7': the driver sees 2")
    b.expect(run("a.hsaco", "--device", "hip:0", "--hip-library", "./a.so"), 4, "", "has no hipInit")
    b.expect(run("new.ptx", *on("cuda:0")), 4, "", ["code for sm_90", "cuda:0 is sm_80, which is older"])
    b.expect(run("a.hsaco", *on("cuda:0")), 4, "", ["code for gfx942", "-o FILE.ptx"])
    b.expect(run("a.ptx", *on("cuda:7")), 4, "", "there is no device 'cuda:7': the driver sees 2")
    b.expect(run("a.ptx", "--device", "cuda:0", "--cuda-library", "./a.so"), 4, "", "has no cuInit")
    for wrong in ("SEED=1x", "SEED=-1", "THREADS=many", "MEMORY=8X", "MEMORY=99999999999G", "ARCH=gfx900,sm_70", "ARCH=x",
                  "DROP_BARRIER=x", "REPORT=none/x"):
        b.env = dict([("RWKVC_EMU_" + wrong).split("=")])
        for device in ("hip:0", "cuda:0"):
            b.expect(run(DEVICES[device], *on(device)), 4, "", "RWKVC_EMU_" + wrong + ": ")
    b.env = {"RWKVC_EMU_ARCH": "gfx942"}
    b.expect(run("a.ptx", *on("cuda:0")), 4, "", "there is no device 'cuda:0': the driver sees no GPU")
    b.env = {"RWKVC_EMU_MEMORY": "100K"}
    for device in ("hip:0", "cuda:0"):
        b.expect(run(DEVICES[device], *on(device)), 70, "",
                 ["no memory on " + device, "Smaller batches", "--memory-budget"])


if __name__ == "__main__":
    if not all(map(os.path.exists, LIBRARY.values())):
        print("SKIP: no emulator: device.py HIP-LIBRARY CUDA-LIBRARY")
        sys.exit(77)
    sys.exit(main())
