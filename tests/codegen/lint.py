#!/usr/bin/env python3
"""Looks at every kernel of an AMD code object, and at what NVIDIA's assembler says of every kernel.

    lint.py         checks that each check sees what it is for
    lint(...)       for gpu_files.py: the faults of one code object

What a kernel is, row, scan, contract or scatter, is in the plan; what it may use is in the tables below.
"""
import os
import re
import shutil
import subprocess
import sys

# wave: threads; registers, granule, waves: of one of `units` parts of a compute unit; local: bytes of all of it
AMD = {"gfx942": {"wave": 64, "registers": 512, "granule": 8, "waves": 8, "local": 65536, "units": 4},
       "gfx1100": {"wave": 32, "registers": 1536, "granule": 24, "waves": 16, "local": 131072, "units": 4}}
# What products are to be made of: by target, and by what the plan lets factors be rounded to.
MATRIX = {("gfx942", "bf16"): ("v_mfma_f32_32x32x8_bf16", "v_mfma_f32_16x16x16_bf16"),
          ("gfx942", "f32"): ("v_mfma_f32_32x32x2_f32", "v_mfma_f32_16x16x4_f32"),
          ("gfx1100", "bf16"): ("v_wmma_f32_16x16x16_bf16",)}
# Fewest waves of a part that registers alone leave room for, and that all leave room for. Scans and rows may keep
# a whole point in local memory.
FLOOR = {"gfx942": {"contract": (2, 2), "row": (3, 0), "scatter": (4, 4), "scan": (2, 0)},
         "gfx1100": {"contract": (6, 6), "row": (8, 0), "scatter": (8, 8), "scan": (4, 0)}}
# Scalar registers that may lie in vector registers: scans are given fifty pointers, two scalars each, and more.
SCALAR_SPILLS = {"contract": 0, "row": 8, "scatter": 0, "scan": 128}
# What is in no plan: products that nothing is done with, to measure what those of the plan can reach.
RATES = {"rate_f32": {("contract", "f32")}, "rate_bf16": {("contract", "bf16")}}
FORBIDDEN = re.compile(r"\b(flat_(?:load|store|atomic)\w*|scratch_\w+|buffer_(?:load|store|atomic)\w*|"
                       r"\w*_atomic_\w*|s_swappc\w*|s_setpc\w*)")
BRANCH = re.compile(r"^.*\b(?:s_cbranch|s_branch|s_endpgm)\w*.*$", re.M)
ADDS = re.compile(r"\bv_(?:pk_|dual_)?(?:fma|fmac|fmaak|fmamk)_f32")  # multiply-adds
WIDE = re.compile(r"\bglobal_load_(?:dwordx4|b128)\b")
NARROW = re.compile(r"\bglobal_load_(?:dword|b32|ushort|u16|short_d16\w*|d16\w*)\b")
LOCAL_NARROW = re.compile(r"\bds_(?:read|load)_(?:u16\w*|i16\w*|u8\w*)")


def tool(name):
    """LLVM 19's, by either of its names."""
    return shutil.which(name + "-19") or shutil.which("/usr/lib/llvm-19/bin/" + name)


def run(*words, **more):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


# ---- what there is -----------------------------------------------------------------------------------


def kinds_of(plans):
    """{name: (kind, dtype of factors)} of the kernels of plans, as --emit=plan prints them."""
    found = {}
    for name, kind, of in re.findall(r"^kernel (\w+) (row|scan|contract|scatter)(?: of (\w+))?", plans, re.M):
        found.setdefault(name, set()).add((kind, of))
    return found


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
    """Waves of a part that registers leave room for, and that registers and local memory do."""
    t = AMD[target]
    used = -(-max(k["vgpr_count"], 1) // t["granule"]) * t["granule"]  # gfx942: both files together
    by_registers = min(t["waves"], t["registers"] // used)
    of_block = -(-k["max_flat_workgroup_size"] // t["wave"])
    blocks = by_registers * t["units"] // of_block
    if k.get("group_segment_fixed_size"):
        blocks = min(blocks, t["local"] // k["group_segment_fixed_size"])
    return by_registers, blocks * of_block // t["units"]


# ---- faults ----------------------------------------------------------------------------------------------


def of_notes(target, k, kind):
    """What is wrong with a kernel by its metadata."""
    found = []
    for what in ("vgpr_spill_count", "private_segment_fixed_size"):
        if k.get(what):
            found.append(f"{what} {k[what]}")
    if k.get("sgpr_spill_count", 0) > SCALAR_SPILLS[kind]:
        found.append(f"sgpr_spill_count {k['sgpr_spill_count']}")
    if any(a.startswith("hidden") for a in k["args"]):
        found.append("hidden arguments")
    if k["kernarg_segment_size"] != 8 * len(k["args"]) or set(k["sizes"]) - {8}:
        found.append("arguments of other sizes than 8 bytes")
    if k["wavefront_size"] != AMD[target]["wave"]:
        found.append(f"waves of {k['wavefront_size']}")
    if k.get("group_segment_fixed_size", 0) > 65536:
        found.append("too much local memory")
    least = FLOOR[target][kind]
    waves = waves_of(target, k)
    for n, floor, by in zip(waves, least, ("registers", "registers and local memory")):
        if n < floor:
            found.append(f"{by} leave {n} waves, not {floor}")
    return found


def of_code(target, kind, dtype, code, aligned):
    """What is wrong with a kernel by its instructions. aligned: rows of its tensors are multiples of 16 bytes."""
    found = sorted({f"{m[1]}" for m in FORBIDDEN.finditer(code)})
    if kind != "contract":
        return found
    matrix = MATRIX.get((target, dtype))
    if matrix and not any(m in code for m in matrix):
        found.append(f"none of {', '.join(matrix)}")
    # The loops of a product: between two branches, many products.
    blocks = [b for b in BRANCH.split(code)
              if (b.count("v_mfma") + b.count("v_wmma") >= 2 if matrix else len(ADDS.findall(b)) >= 32)]
    if not blocks:
        found.append("no loop of products")
    for block in blocks:
        narrow = LOCAL_NARROW.search(block)
        if narrow:
            found.append(f"{narrow[0]} beside products")
        if aligned and NARROW.search(block) and not WIDE.search(block):
            found.append(f"{NARROW.search(block)[0]} beside products, and no wide load")
    return found


def of_ptxas(said):
    """{kernel: what is wrong}, and how many kernels there are."""
    found = {}
    kernels = re.split(r"Compiling entry function '", said)[1:]
    for part in kernels:
        name = part.split("'")[0]
        for what in ("stack frame", "spill stores", "spill loads"):
            m = re.search(r"(\d+) bytes " + what, part)
            if not m or int(m[1]):
                found.setdefault(name, []).append(f"{m[1] if m else '?'} bytes {what}")
    return found, len(kernels)


def lint(target, dtype, image, folder, kinds, aligned=True):
    """Faults of a code object, and what may be said of it. kinds: of kinds_of."""
    path = os.path.join(folder, f"{target}-{dtype}.elf")
    with open(path, "wb") as f:
        f.write(image)
    notes = run(tool("llvm-readelf"), "--notes", path)
    if notes.returncode or "amdhsa.kernels" not in notes.stdout:
        return [f"{target}: llvm-readelf: {notes.stdout.strip()[:200]}"], ""
    kernels = kernels_of(notes.stdout)
    text = run(tool("llvm-objdump"), "-d", "--no-show-raw-insn", path).stdout
    code = dict(re.findall(r"<(\w+)>:\n(.*?)(?=\n\n|\Z)", text, re.S))
    found = []
    for k in kernels:
        name = re.sub(r"^k\d+_", "", k["name"])
        what = kinds.get(name, RATES.get(k["name"], set()))
        if not what:
            found.append(f"{target} {k['name']}: in no plan")
        if "s_endpgm" not in code.get(k["name"], ""):
            found.append(f"{target} {k['name']}: llvm-objdump shows no code")
        # One name may be of two plans; then any of them will do.
        faults = [of_notes(target, k, kind) + of_code(target, kind, of, code.get(k["name"], ""), aligned)
                  for kind, of in sorted(what, key=str)]
        for fault in min(faults, key=len, default=[]):
            found.append(f"{target} {dtype} {k['name']}: {fault}")
    waves = sorted(waves_of(target, k)[1] for k in kernels)
    return found, (f"{target} {dtype}: {len(kernels)} kernels, registers up to {max(k['vgpr_count'] for k in kernels)}, "
                   f"waves of {AMD[target]['waves']}: {waves[0]} at least, {waves[len(waves)//2]} in the middle")


# ---- does it see what it is for? ---------------------------------------------------------------------------


def self_test():
    good = {"name": "k0_x", "args": ["global_buffer"], "sizes": [8], "kernarg_segment_size": 8, "wavefront_size": 64,
            "vgpr_count": 100, "max_flat_workgroup_size": 256, "group_segment_fixed_size": 16384}
    product = "\tglobal_load_dwordx4 v[0:3]\n" + "\tv_mfma_f32_32x32x8_bf16 a[0:15]\n" * 4 + "\ts_cbranch_scc1 1\n"
    adds = "\tglobal_load_dwordx4 v[0:3]\n" + "\tv_dual_fmac_f32 v1, v2, v3 :: v_dual_fmac_f32 v4, v5, v6\n" * 16 + "\ts_branch 1\n"
    faults = []

    def sees(what, found):
        if bool(found) != bool(what) or (what and what not in " ".join(found)):
            faults.append(f"{what}: {found}")

    sees("", of_notes("gfx942", good, "contract"))
    for change, what in [({"vgpr_spill_count": 1}, "vgpr_spill_count"), ({"private_segment_fixed_size": 4}, "private_segment"),
                         ({"sgpr_spill_count": 1}, "sgpr_spill"), ({"args": ["hidden_x"]}, "hidden"),
                         ({"kernarg_segment_size": 12}, "sizes"), ({"sizes": [4]}, "sizes"), ({"wavefront_size": 32}, "waves of"),
                         ({"group_segment_fixed_size": 65540}, "too much"), ({"vgpr_count": 264}, "registers leave 1"),
                         ({"group_segment_fixed_size": 40000}, "local memory leave 1")]:
        sees(what, of_notes("gfx942", {**good, **change}, "contract"))
    sees("", of_code("gfx942", "contract", "bf16", product, True))
    sees("", of_code("gfx1100", "contract", "f32", adds, True))
    sees("", of_code("gfx942", "row", None, "\tglobal_load_dword v1\n\ts_endpgm\n", True))
    for code, what in [(product + "\tflat_load_dword v1\n", "flat_load"), (product + "\tscratch_store_dword v1\n", "scratch_"),
                       (product + "\tbuffer_load_dword v1\n", "buffer_load"), (product + "\tglobal_atomic_add v1\n", "atomic"),
                       (product + "\ts_swappc_b64 s[0:1]\n", "s_swappc"), (product.replace("32x32x8", "4x4x4"), "none of"),
                       (product.replace("mfma", "fma"), "none of"), ("\tv_mfma_f32_32x32x8_bf16 a[0:15]\n", "no loop"),
                       (product.replace("dwordx4", "dword"), "no wide load"), (product.replace("dwordx4", "ushort"), "no wide load"),
                       ("\tds_read_u16 v1, v2\n" + product, "ds_read_u16")]:
        sees(what, of_code("gfx942", "contract", "bf16", code, True))
    sees("no wide load", of_code("gfx1100", "contract", "f32", adds.replace("dwordx4", "b32"), True))
    sees("no loop", of_code("gfx1100", "contract", "f32", "\tv_fmac_f32 v1, v2, v3\n", True))
    clean = "Compiling entry function 'k0' for\n 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
    sees("", of_ptxas(clean)[0])
    for what in ("stack frame", "spill stores", "spill loads"):
        sees(what, [" ".join(x) for x in of_ptxas(clean.replace("0 bytes " + what, "8 bytes " + what))[0].values()])
    plans = "kernel x row grid [B] (out)\nkernel y_1 contract of bf16 grid [] (out)\nkernel x scan grid [B] (out)\n"
    if kinds_of(plans) != {"x": {("row", ""), ("scan", "")}, "y_1": {("contract", "bf16")}}:
        faults.append(f"kinds: {kinds_of(plans)}")
    return faults


if __name__ == "__main__":
    seen = self_test()
    print("\n".join(seen) or "lint: every check sees what it is for")
    sys.exit(bool(seen))
