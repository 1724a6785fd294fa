#!/usr/bin/env python3
"""Files for GPUs, looked at by other tools: every kernel of models/rwkv7.rwkv, every entry, f32 and bf16.

    gpu_files.py [--keep DIR]

The same bytes twice, from two folders; LLVM's tools take the objects and the bundle; of every kernel: no registers
spilled, no private memory, no hidden arguments, no address space lost, no calls; the matrix instructions that belong
there, fed by wide loads; a floor of occupancy. What ptxas says of the PTX, where there is one. Prints how long the
compiler took. Exit 77: no LLVM tools.
"""
import argparse
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RWKVC = os.path.abspath(os.environ.get("RWKVC", os.path.join(ROOT, "build", "bin", "rwkvc")))
MODEL = os.path.join(ROOT, "models", "rwkv7.rwkv")
AMD = {"gfx942": {"wave": 64, "registers": 512, "granule": 8, "waves": 8, "local": 65536, "simds": 4},
       "gfx1100": {"wave": 32, "registers": 1536, "granule": 24, "waves": 16, "local": 131072, "simds": 4}}
LEAST_WAVES = 2  # of a SIMD, by registers
MATRIX = {("gfx942", "bf16"): "v_mfma_f32_32x32x8_bf16", ("gfx942", "f32"): "v_mfma_f32_32x32x2_f32",
          ("gfx1100", "bf16"): "v_wmma_f32_16x16x16_bf16"}
FORBIDDEN = re.compile(r"^\s+(flat_(?:load|store|atomic)\w*|scratch_\w+|buffer_(?:load|store|atomic)\w*|"
                       r"\w*_atomic_\w*|s_swappc\w*|s_setpc\w*)", re.M)
FAULTS = []


def fault(text):
    FAULTS.append(text)
    print("    FAULT", text)


def tool(name):
    """LLVM 19's, by either of its names."""
    return shutil.which(name + "-19") or shutil.which("/usr/lib/llvm-19/bin/" + name)


def run(*words, **more):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def compiled(folder, name, *options):
    """The bytes of a file made in a folder of its own, and the seconds it took."""
    os.makedirs(folder, exist_ok=True)
    since = time.monotonic()
    done = run(RWKVC, MODEL, "-o", name, *options, cwd=folder)
    seconds = time.monotonic() - since
    if done.returncode:
        fault(f"{name} {' '.join(options)}: exit {done.returncode}: {done.stdout.strip()}")
        return b"", seconds
    with open(os.path.join(folder, name), "rb") as f:
        return f.read(), seconds


def unbundle(data):
    """{name: image} of an offload bundle."""
    magic = b"__CLANG_OFFLOAD_BUNDLE__"
    if not data.startswith(magic):
        fault("no offload bundle")
        return {}
    at, parts = len(magic) + 8, {}
    for _ in range(struct.unpack_from("<Q", data, len(magic))[0]):
        offset, size, length = struct.unpack_from("<QQQ", data, at)
        parts[data[at + 24:at + 24 + length].decode()] = data[offset:offset + size]
        at += 24 + length
    return parts


# ---- one code object ----------------------------------------------------------------------------------


def kernels_of(notes):
    """One dictionary a kernel, of the numbers of llvm-readelf --notes; "args": their kinds."""
    kernels = []
    for part in re.split(r"^  - (?=\.agpr_count|\.args)", notes.split("amdhsa.kernels:")[-1], flags=re.M)[1:]:
        part = part.split("amdhsa.target")[0]
        k = {m[1]: int(m[2]) for m in re.finditer(r"^ {2,4}\.?(?:- )?\.?(\w+): +(\d+)$", part, re.M)}
        k["name"] = re.search(r"\.name: +(\S+)", part)[1]
        k["args"] = re.findall(r"\.value_kind: +(\w+)", part)
        k["sizes"] = [int(n) for n in re.findall(r"^ {8}\.size: +(\d+)", part, re.M)]
        kernels.append(k)
    return kernels


def waves_of(target, k):
    """Waves of a SIMD that registers and local memory leave room for."""
    t = AMD[target]
    own = k["vgpr_count"]  # gfx942: both files together
    used = -(-max(own, 1) // t["granule"]) * t["granule"]
    by_registers = min(t["waves"], t["registers"] // used)
    local, block = k.get("group_segment_fixed_size", 0), k["max_flat_workgroup_size"]
    waves = -(-block // t["wave"])
    by_local = t["local"] // local * waves // t["simds"] if local else t["waves"]
    return by_registers, min(by_registers, max(by_local, 1))


def check_kernel(target, k):
    for what in ("vgpr_spill_count", "private_segment_fixed_size"):
        if k.get(what):
            fault(f"{target} {k['name']}: {what} {k[what]}")
    if any(a.startswith("hidden") for a in k["args"]):
        fault(f"{target} {k['name']}: hidden arguments")
    if k["kernarg_segment_size"] != 8 * len(k["args"]) or set(k["sizes"]) != {8}:
        fault(f"{target} {k['name']}: arguments of other sizes than 8 bytes")
    if k["wavefront_size"] != AMD[target]["wave"]:
        fault(f"{target} {k['name']}: waves of {k['wavefront_size']}")
    if k.get("group_segment_fixed_size", 0) > 65536:
        fault(f"{target} {k['name']}: too much local memory")
    if waves_of(target, k)[0] < LEAST_WAVES:
        fault(f"{target} {k['name']}: {k['vgpr_count']} registers leave one wave")


def check_code(target, dtype, text):
    """Instructions of all kernels."""
    for word in sorted(set(m[1] for m in FORBIDDEN.finditer(text))):
        fault(f"{target} {dtype}: {word}")
    matrix = MATRIX.get((target, dtype))
    if matrix and matrix not in text:
        fault(f"{target} {dtype}: no {matrix}")
    if not matrix:
        return
    # Between two branches around matrix instructions, what comes from memory comes in 16 bytes.
    for name, code in re.findall(r"<(k\d+_\w+)>:\n(.*?)(?=\n\n|\Z)", text, re.S):
        for block in re.split(r"^.*\b(?:s_cbranch|s_branch|s_endpgm)\w*.*$", code, flags=re.M):
            if block.count("v_mfma") + block.count("v_wmma") < 4:
                continue
            narrow = re.search(r"\b(ds_(?:read|load)_u\w+)", block)
            if narrow and dtype == "bf16":
                fault(f"{target} {name}: {narrow[1]} beside matrix instructions")


def check_object(target, dtype, image, folder):
    path = os.path.join(folder, target + "-" + dtype + ".elf")
    with open(path, "wb") as f:
        f.write(image)
    notes = run(tool("llvm-readelf"), "--notes", path)
    if notes.returncode or "amdhsa.kernels" not in notes.stdout:
        fault(f"{target}: llvm-readelf: {notes.stdout.strip()[:200]}")
        return
    kernels = kernels_of(notes.stdout)
    for k in kernels:
        check_kernel(target, k)
    text = run(tool("llvm-objdump"), "-d", "--no-show-raw-insn", path).stdout
    if text.count("s_endpgm") < len(kernels):
        fault(f"{target}: llvm-objdump shows {text.count('s_endpgm')} ends of {len(kernels)} kernels")
    check_code(target, dtype, text)
    registers = sorted(k["vgpr_count"] for k in kernels)
    fewest = min(waves_of(target, k)[1] for k in kernels)
    print(f"{target} {dtype}: {len(kernels)} kernels, registers up to {registers[-1]}, at least {fewest} waves a SIMD, "
          f"scalar spills in {sum(k['sgpr_spill_count'] > 0 for k in kernels)}")


# ---- files ------------------------------------------------------------------------------------------------


def check_amd(folder, dtype):
    data, seconds = compiled(os.path.join(folder, "a"), "model.hsaco", "--dtype=" + dtype)
    again, _ = compiled(os.path.join(folder, "b", "c"), "model.hsaco", "--dtype=" + dtype)
    print(f"rwkv7.hsaco for gfx942 and gfx1100, {dtype}: {seconds:.1f} s, {len(data)} bytes")
    if data != again:
        fault(f"hsaco {dtype}: other bytes from another folder")
    bundler = tool("clang-offload-bundler")
    names = ["hipv4-amdgcn-amd-amdhsa--" + t for t in AMD]
    if bundler:
        said = run(bundler, "-list", "-type=o", "-input=" + os.path.join(folder, "a", "model.hsaco"))
        if said.returncode or any(n not in said.stdout.split() for n in names):
            fault(f"clang-offload-bundler: {said.stdout.strip()[:200]}")
    parts = unbundle(data)
    for target, name in zip(AMD, names):
        if name not in parts:
            fault(f"no {name} in the bundle")
            continue
        check_object(target, dtype, parts[name], folder)


def check_nvidia(folder, dtype, target):
    data, seconds = compiled(os.path.join(folder, "a"), target + ".ptx", "--dtype=" + dtype, "--target=" + target)
    again, _ = compiled(os.path.join(folder, "b"), target + ".ptx", "--dtype=" + dtype, "--target=" + target)
    print(f"rwkv7.ptx for {target}, {dtype}: {seconds:.1f} s, {len(data)} bytes")
    if data != again:
        fault(f"{target} {dtype}: other bytes from another folder")
    if not data.startswith(b"//!rwkvc "):
        fault(f"{target}: no manifest before the text")
    if dtype == "bf16" and b"mma.sync.aligned.m16n8k16" not in data:
        fault(f"{target}: no mma.sync")
    ptxas = shutil.which("ptxas")
    if not ptxas:
        print(f"{target}: not assembled, no ptxas here")
        return
    said = run(ptxas, "-arch=" + target, "-v", os.path.join(folder, "a", target + ".ptx"), "-o",
               os.path.join(folder, "x.cubin"))
    if said.returncode:
        fault(f"ptxas {target}: {said.stdout.strip()[:300]}")
    spilled = re.findall(r"entry function '(\w+)'.*\n.*\n?.* ([1-9]\d*) bytes spill", said.stdout)
    for name, size in spilled:
        fault(f"{target} {dtype} {name}: {size} bytes spilled")
    print(f"{target} {dtype}: {said.stdout.count('Compiling entry')} kernels assembled")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--keep")
    keep = options.parse_args().keep
    if not tool("llvm-readelf") or not tool("llvm-objdump"):
        print("SKIP: no llvm-readelf and llvm-objdump of LLVM 19")
        return 77
    folder = keep or tempfile.mkdtemp()
    os.makedirs(folder, exist_ok=True)
    for dtype in ("f32", "bf16"):
        check_amd(folder, dtype)
        for target in ("sm_80", "sm_90"):
            check_nvidia(folder, dtype, target)
    if not keep:
        shutil.rmtree(folder)
    print(f"{len(FAULTS)} faults")
    return bool(FAULTS)


sys.exit(main())
