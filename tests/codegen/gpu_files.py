#!/usr/bin/env python3
"""Files for GPUs, looked at by other tools: every kernel of models/rwkv7.rwkv and models/retinex.rwkv, every entry.

    gpu_files.py [--keep DIR]

The same bytes twice, from two folders; LLVM's tools and AMD's take the objects and the bundle; every kernel is what
lint.py asks of it, in the text for NVIDIA too, in what NVIDIA's assembler makes of it and what NVIDIA's disassembler shows,
where there are such. Prints how long the compiler took. Exit 77: no LLVM tools.
"""
import argparse
import ctypes
import functools
import os
import shutil
import struct
import sys
import tempfile
import time

from lint import AMD, kinds_of, lint, lint_assembled, lint_ptx, lint_sass, run, self_test, tool

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RWKVC = os.path.abspath(os.environ.get("RWKVC", os.path.join(ROOT, "build", "bin", "rwkvc")))
NAMES = ["hipv4-amdgcn-amd-amdhsa--" + t for t in AMD]
FAULTS = []


def fault(text):
    FAULTS.append(text)
    print("    FAULT", text)


def model(name):
    return os.path.join(ROOT, "models", name + ".rwkv")


def compiled(folder, name, text, *options):
    """The bytes of a file made in a folder of its own, and the seconds it took."""
    os.makedirs(folder, exist_ok=True)
    since = time.monotonic()
    done = run(RWKVC, model(text), "-o", name, *options, cwd=folder)
    seconds = time.monotonic() - since
    if done.returncode:
        fault(f"{name} {' '.join(options)}: exit {done.returncode}: {done.stdout.strip()}")
        return b"", seconds
    with open(os.path.join(folder, name), "rb") as f:
        return f.read(), seconds


@functools.lru_cache
def plans_of(text, dtype):
    """The plans of all entries."""
    entries = run(RWKVC, model(text)).stdout.split("entries: ")[-1].split()
    return "".join(run(RWKVC, model(text), "--emit=plan", "--entry=" + e, "--dtype=" + dtype).stdout
                   for e in entries if e != "init") + \
        run(RWKVC, model(text), "--emit=plan", "--entry=start", "--dtype=" + dtype).stdout


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


# ---- AMD's own library, where there is one ---------------------------------------------------------------


def comgr():
    for name in ("libamd_comgr.so.2", "libamd_comgr.so.3", "libamd_comgr.so"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


class Handle(ctypes.Structure):
    _fields_ = [("handle", ctypes.c_uint64)]


def comgr_kernels(lib, image):
    """How many kernels libamd_comgr sees in a code object's metadata; a word, if it does not take it."""
    data, root, kernels, n = Handle(), Handle(), Handle(), ctypes.c_size_t()
    lib.amd_comgr_set_data.argtypes = [Handle, ctypes.c_size_t, ctypes.c_char_p]
    lib.amd_comgr_get_data_metadata.argtypes = [Handle, ctypes.POINTER(Handle)]
    lib.amd_comgr_metadata_lookup.argtypes = [Handle, ctypes.c_char_p, ctypes.POINTER(Handle)]
    lib.amd_comgr_get_metadata_list_size.argtypes = [Handle, ctypes.POINTER(ctypes.c_size_t)]
    executable = 8  # AMD_COMGR_DATA_KIND_EXECUTABLE
    steps = [("create_data", lambda: lib.amd_comgr_create_data(executable, ctypes.byref(data))),
             ("set_data", lambda: lib.amd_comgr_set_data(data, len(image), image)),
             ("get_data_metadata", lambda: lib.amd_comgr_get_data_metadata(data, ctypes.byref(root))),
             ("metadata_lookup", lambda: lib.amd_comgr_metadata_lookup(root, b"amdhsa.kernels", ctypes.byref(kernels))),
             ("get_metadata_list_size", lambda: lib.amd_comgr_get_metadata_list_size(kernels, ctypes.byref(n)))]
    for what, step in steps:
        status = step()
        if status:
            return f"{what}: status {status}"
    return n.value


# ---- files ------------------------------------------------------------------------------------------------


def check_bundle(folder, data):
    bundler = tool("clang-offload-bundler")
    if not bundler:
        print("not listed: no clang-offload-bundler here")
        return
    said = run(bundler, "-list", "-type=o", "-input=" + os.path.join(folder, "a", "model.hsaco"))
    if said.returncode or any(n not in said.stdout.split() for n in NAMES):
        fault(f"clang-offload-bundler: {said.stdout.strip()[:200]}")


def check_amd(folder, text, dtype, twice):
    data, seconds = compiled(os.path.join(folder, "a"), "model.hsaco", text, "--dtype=" + dtype)
    print(f"{text}.hsaco for gfx942 and gfx1100, {dtype}: {seconds:.1f} s, {len(data)} bytes")
    if twice and data != compiled(os.path.join(folder, "b", "c"), "model.hsaco", text, "--dtype=" + dtype)[0]:
        fault(f"{text}.hsaco {dtype}: other bytes from another folder")
    check_bundle(folder, data)
    parts, kinds, lib = unbundle(data), kinds_of(plans_of(text, dtype)), comgr()
    if not lib:
        print("not read: no libamd_comgr here")
    for target, name in zip(AMD, NAMES):
        if name not in parts:
            fault(f"no {name} in the bundle")
            continue
        found, said = lint(target, dtype, parts[name], folder, kinds, aligned=text == "rwkv7")
        for f in found:
            fault(f)
        print(said)
        n = comgr_kernels(lib, parts[name]) if lib else None
        if lib and f"{target} {dtype}: {n} kernels" not in said:
            fault(f"libamd_comgr: {target}: {n}")


def found(name):
    """A tool of NVIDIA's."""
    usual = os.path.join("/usr/local/cuda/bin", name)
    return shutil.which(name) or (usual if os.path.exists(usual) else None)


def assemble(folder, path, target, dtype, text, kinds):
    """What the driver does with the text; its registers, warps and instructions."""
    ptxas, image = os.environ.get("RWKVC_PTXAS") or found("ptxas"), os.path.join(folder, "x.cubin")
    if not ptxas:
        print(f"{target}: not assembled, no ptxas here")
        return
    said = run(ptxas, "-arch=" + target, "-v", path, "-o", image)
    if said.returncode:
        fault(f"ptxas {target}: {said.stdout.strip()[:300]}")
        return
    faults, words = lint_assembled(target, dtype, text, said.stdout, image, kinds)
    print(words)
    if found("nvdisasm"):
        faults += lint_sass(target, dtype, text, run(found("nvdisasm"), "-c", image).stdout, kinds)
    else:
        print(f"{target}: instructions not looked at, no nvdisasm here")
    for f in faults:
        fault(f)


def check_nvidia(folder, text, dtype, targets, twice):
    """For the first of the targets; assembled for all of them, which is what their drivers do."""
    options = ["--dtype=" + dtype, "--target=" + targets[0]]
    data, seconds = compiled(os.path.join(folder, "a"), "model.ptx", text, *options)
    if twice and data != compiled(os.path.join(folder, "b"), "model.ptx", text, *options)[0]:
        fault(f"{text}.ptx {dtype}: other bytes from another folder")
    print(f"{text}.ptx for {targets[0]}, {dtype}: {seconds:.1f} s, {len(data)} bytes")
    if not data.startswith(b"//!rwkvc "):
        fault(f"{text}.ptx: no manifest before the text")
    module, kinds = data.decode()[data.find(b"\n.version"):], kinds_of(plans_of(text, dtype))
    faults, words = lint_ptx(targets[0], dtype, module, kinds)
    print(words)
    for f in faults:
        fault(f)
    for target in targets:
        assemble(folder, os.path.join(folder, "a", "model.ptx"), target, dtype, module, kinds)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--keep")
    keep = options.parse_args().keep
    if not tool("llvm-readelf") or not tool("llvm-objdump"):
        print("SKIP: no llvm-readelf and llvm-objdump of LLVM 19")
        return 77
    folder = keep or tempfile.mkdtemp()
    os.makedirs(folder, exist_ok=True)
    for f in self_test():
        fault("lint: " + f)
    check_amd(folder, "rwkv7", "f32", False)
    check_amd(folder, "rwkv7", "bf16", True)
    check_amd(folder, "retinex", "bf16", False)
    check_nvidia(folder, "rwkv7", "f32", ["sm_80"], False)
    check_nvidia(folder, "rwkv7", "bf16", ["sm_80", "sm_90"], True)
    if not keep:
        shutil.rmtree(folder)
    print(f"{len(FAULTS)} faults")
    return bool(FAULTS)


sys.exit(main())
