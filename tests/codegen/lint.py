#!/usr/bin/env python3
"""Looks at every kernel of an AMD code object, and of a text for NVIDIA; and at what NVIDIA's assembler says of it.

    lint.py              checks that each check sees what it is for
    lint(...)            for gpu_files.py: the faults of one code object
    lint_ptx(...)        of one text
    lint_assembled(...)  of what ptxas has made of it
    lint_sass(...)       of its instructions, as nvdisasm shows them

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
# The same of NVIDIA's; a workgroup takes `each` bytes beside its own, and there are `blocks` at most.
NVIDIA = {"sm_80": {"wave": 32, "registers": 512, "granule": 8, "waves": 16, "local": 167936, "units": 4, "each": 1024, "blocks": 32},
          "sm_90": {"wave": 32, "registers": 512, "granule": 8, "waves": 16, "local": 233472, "units": 4, "each": 1024, "blocks": 32}}
# What products are to be made of: by target, and by what the plan lets factors be rounded to.
MATRIX = {("gfx942", "bf16"): ("v_mfma_f32_32x32x8_bf16", "v_mfma_f32_16x16x16_bf16"),
          ("gfx942", "f32"): ("v_mfma_f32_32x32x2_f32", "v_mfma_f32_16x16x4_f32"),
          ("gfx1100", "bf16"): ("v_wmma_f32_16x16x16_bf16",)}
MMA = {"bf16": "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"}
# Fewest waves of a part that registers alone leave room for, and that all leave room for. Scans and rows may keep
# a whole point in local memory.
FLOOR = {"gfx942": {"contract": (2, 2), "row": (3, 0), "scatter": (4, 4), "scan": (2, 0)},
         "gfx1100": {"contract": (6, 6), "row": (8, 0), "scatter": (8, 8), "scan": (4, 0)}}
# Registers of NVIDIA's may be few for a product: its sums lie in them, and one workgroup is enough.
FLOOR_NVIDIA = {"contract": (2, 2), "row": (4, 0), "scatter": (4, 4), "scan": (2, 0)}
# Bytes of machine code a line of text of a product may become: 16 an instruction. A loop that was unrolled has more.
MOST_CODE = 40
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


def of_loops(blocks, local_narrow, narrow, wide, aligned):
    """What is wrong with the loops of a product, by what stands beside the products in each."""
    found = [] if blocks else ["no loop of products"]
    for block in blocks:
        found += [f"{m[0]} beside products" for m in [local_narrow.search(block)] if m]
        m = narrow.search(block)
        if aligned and m and not wide.search(block):
            found.append(f"{m[0]} beside products, and no wide load")
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
    return found + of_loops(blocks, LOCAL_NARROW, NARROW, WIDE, aligned)


# ---- NVIDIA ------------------------------------------------------------------------------------------------

FORBIDDEN_PTX = re.compile(r"(\.local\b[^;]*|\bst\.(?!global|shared|param)[\w.]+|\bld\.(?!global|shared|param|const)[\w.]+|"
                           r"\batom\.[\w.]+|\bred\.[\w.]+|\bcall\b[\w. (]*)")
BRANCH_PTX = re.compile(r"^(?:\$L\w+:|.*\bbra\b.*|\s*ret;)$", re.M)
WIDE_PTX = re.compile(r"\bld\.global(?:\.nc)?\.v(?:4\.[a-z]32|2\.[a-z]64)\b")
NARROW_PTX = re.compile(r"\bld\.global(?:\.nc)?\.[a-z]\d+\b")
SHARED_NARROW_PTX = re.compile(r"\bld\.shared\.[a-z](?:8|16)\b")
BY_HAND = re.compile(r"\bbfe\.u32\s+%r\d+, %r\d+, 16, 1;")  # a float on its way to bf16; there is an instruction
BY_ONE = re.compile(r"st\.global\.\w+\s+\[(%rd\d+)\+(\d+)\][^\n]*\n\s*st\.global\.\w+\s+\[\1\+(\d+)\][^\n]*\n"
                    r"\s*st\.global\.\w+\s+\[\1\+\d+\][^\n]*\n\s*st\.global\.\w+\s+\[\1\]")  # a vector stored number by number
ADDS_PTX = re.compile(r"\bfma\.rn(?:\.ftz)?\.f32\b")


def texts_of(text):
    """{kernel: what stands before its code, its code} of PTX."""
    return {m[1]: (m[2], m[3]) for m in re.finditer(r"^\.visible \.entry (\w+)\((.*?)^\{\n(.*?)^\}", text, re.M | re.S)}


def block_of(head):
    m = re.search(r"\.reqntid (\d+), 1, 1", head)
    return int(m[1]) if m else 0


def of_text(kind, dtype, head, code, aligned):
    """What is wrong with a kernel by its text."""
    found = sorted({m[1].strip() for m in FORBIDDEN_PTX.finditer(code)})
    if set(re.findall(r"\.param (\S+)", head)) - {".u64"}:
        found.append("arguments of other types than u64")
    if block_of(head) not in (32, 64, 128, 256, 512, 1024):
        found.append(f"a workgroup of {block_of(head)}")
    if BY_HAND.search(code):
        found.append(f"{len(BY_HAND.findall(code))} floats rounded to bf16 by hand")
    if kind != "contract":
        return found
    mma = MMA.get(dtype)
    if mma and mma not in code:
        found.append(f"no {mma}")
    if aligned and BY_ONE.search(code):
        found.append("neighbours stored one by one")
    blocks = [b for b in BRANCH_PTX.split(code) if (b.count("mma.sync") >= 2 if mma else len(ADDS_PTX.findall(b)) >= 32)]
    return found + of_loops(blocks, SHARED_NARROW_PTX, NARROW_PTX, WIDE_PTX, aligned)


def nvidia_waves(target, registers, local, block):
    """Warps of a part that registers leave room for, and that all leaves room for."""
    t = NVIDIA[target]
    by_registers = min(t["waves"], t["registers"] // (-(-max(registers, 1) // t["granule"])*t["granule"]))
    of_block = -(-block // t["wave"])
    blocks = min(by_registers*t["units"] // of_block, t["local"] // (local + t["each"]), t["blocks"])
    return by_registers, blocks*of_block / t["units"]


def of_words(target, kind, block, words):
    """What is wrong with a kernel by what ptxas says of it."""
    found = []
    for what in ("stack frame", "spill stores", "spill loads"):
        m = re.search(r"(\d+) bytes " + what, words)
        if not m or int(m[1]):
            found.append(f"{m[1] if m else '?'} bytes {what}")
    registers, local = re.search(r"Used (\d+) registers", words), re.search(r"(\d+) bytes smem", words)
    if not registers:
        return found + ["no number of registers"]
    waves = nvidia_waves(target, int(registers[1]), int(local[1]) if local else 0, block)
    for n, floor, by in zip(waves, FLOOR_NVIDIA[kind], ("registers", "registers, shared memory and workgroups")):
        if n < floor:
            found.append(f"{by} leave {n:g} warps, not {floor}")
    return found


def of_size(kind, code, n):
    """A product's text became n bytes of machine code."""
    lines = sum(line.startswith("\t") for line in code.split("\n"))
    if kind == "contract" and n > MOST_CODE*lines:
        return [f"{n} bytes of machine code for {lines} lines: a loop of it was unrolled"]
    return []


def sizes_of(path):
    """{function: bytes} of an image, as llvm-readelf says."""
    rows = re.findall(r"^ *\d+: \w+ +(\d+) FUNC .* (\w+)$", run(tool("llvm-readelf"), "-s", "-W", path).stdout, re.M)
    return {name: int(n) for n, name in rows}


FORBIDDEN_SASS = re.compile(r"\b((?:LDL|STL|ATOM|ATOMG|ATOMS|RED)(?:\.\w+)*|(?:LD|ST)(?:\.E[\w.]*)?(?= ))")


def of_sass(kind, dtype, text, code, aligned):
    """What is wrong with a kernel by its instructions. text: of the kernel, as PTX."""
    found = sorted({m[1] for m in FORBIDDEN_SASS.finditer(code)})
    if kind != "contract" or not MMA.get(dtype):
        return found
    made, written = code.count("HMMA.16816.F32.BF16"), text.count("mma.sync")
    if made < written:
        found.append(f"{made} of {written} HMMA.16816.F32.BF16")
    if made > 2*written:
        found.append(f"{made} HMMA for {written} in the text: a loop of them was unrolled")
    if aligned and re.search(r"\bLDG\.E\b", code) and not re.search(r"\bLDG\.E(?:\.\w+)*\.128\b", code):
        found.append("no LDG.E.128")
    return found


def fewest(what, faults):
    """One name may be of two plans; then any of them will do. faults: of a kind and a dtype."""
    return min((faults(kind, of) for kind, of in sorted(what, key=str)), key=len, default=["in no plan"])


def kind_of(kinds, name):
    return kinds.get(re.sub(r"^k\d+_", "", name), RATES.get(name, set()))


def lint_ptx(target, dtype, text, kinds, aligned=True):
    """Faults of a text, and what may be said of it."""
    found, kernels = [], texts_of(text)
    for name, (head, code) in kernels.items():
        faults = fewest(kind_of(kinds, name), lambda kind, of: of_text(kind, of, head, code, aligned))
        found += [f"{target} {dtype} {name}: {f}" for f in faults]
    if len(kernels) != text.count(".entry "):
        found.append(f"{target}: {len(kernels)} kernels of {text.count('.entry ')} can be read")
    return found, f"{target} {dtype}: {len(kernels)} kernels"


def lint_assembled(target, dtype, text, said, image, kinds):
    """Faults of what ptxas -v said of a text and made of it, and what may be said of it."""
    found, seen, kernels, sizes = [], [], texts_of(text), sizes_of(image)
    words = {part.split("'")[0]: part for part in re.split(r"Compiling entry function '", said)[1:]}
    for name, (head, code) in kernels.items():
        faults = fewest(kind_of(kinds, name), lambda kind, of: of_words(target, kind, block_of(head), words.get(name, "")) +
                        of_size(kind, code, sizes.get(name, 1 << 30)))
        found += [f"{target} {dtype} {name}: {f}" for f in faults]
        registers = re.search(r"Used (\d+) registers", words.get(name, ""))
        seen.append(int(registers[1]) if registers else 0)
    return found, f"{target} {dtype}: assembled, registers up to {max(seen, default=0)}, {sum(sizes.values())} bytes of code"


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


def lint_sass(target, dtype, text, sass, kinds, aligned=True):
    """Faults of what nvdisasm -c shows of an image."""
    found, codes = [], {part.split(",")[0]: part for part in re.split(r"^\t\.section\t\.text\.", sass, flags=re.M)[1:]}
    for name, (head, ptx) in texts_of(text).items():
        if "EXIT" not in codes.get(name, ""):
            found.append(f"{target} {name}: nvdisasm shows no code")
        faults = fewest(kind_of(kinds, name), lambda kind, of: of_sass(kind, of, ptx, codes.get(name, ""), aligned))
        found += [f"{target} {dtype} {name}: {f}" for f in faults]
    return found


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
    self_test_nvidia(sees)
    plans = "kernel x row grid [B] (out)\nkernel y_1 contract of bf16 grid [] (out)\nkernel x scan grid [B] (out)\n"
    if kinds_of(plans) != {"x": {("row", ""), ("scan", "")}, "y_1": {("contract", "bf16")}}:
        faults.append(f"kinds: {kinds_of(plans)}")
    return faults


PTX = """.visible .entry k0_x(
\t.param .u64 k0_x_param_0
)
.reqntid 256, 1, 1
{
\tld.param.u64 \t%rd1, [k0_x_param_0];
$L__BB0_1:
\tld.global.nc.v4.u32 \t{%r1, %r2, %r3, %r4}, [%rd1];
\tld.shared.v4.b32 \t{%r5, %r6, %r7, %r8}, [%rd2];
\tmma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
\t\t{%f1, %f2, %f3, %f4},
\tmma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
\t\t{%f5, %f6, %f7, %f8},
\t@%p1 bra \t$L__BB0_1;
\tst.global.f32 \t[%rd1], %f1;
\tret;
}
"""


def self_test_nvidia(sees):
    head, code = texts_of(PTX)["k0_x"]
    sees("", of_text("contract", "bf16", head, code, True))
    sees("", of_text("contract", "f32", head, code.replace("mma.sync", "fma.rn.ftz.f32 "*16), True))
    load, shared = "ld.global.nc.v4.u32", "ld.shared.v4.b32"
    for change, what in [((shared, "ld.local.v4.b32"), ".local"), (("st.global", "st"), "st.f32"), ((shared, "ld.v4.b32"), "ld.v4.b32"),
                         (("ret;", "atom.global.add.u32 %r1;"), "atom.global"), (("ret;", "red.global.add.f32 %r1;"), "red.global"),
                         (("ret;", "call.uni f;"), "call"), ((load, "ld.global.nc.u16"), "no wide load"),
                         ((load, "ld.global.f32"), "no wide load"), ((shared, "ld.shared.u16"), "ld.shared.u16 beside"),
                         (("ret;", "".join(f"st.global.f32 \t[%rd9{at}], %f1;\n\t" for at in ("+12", "+8", "+4", ""))), "one by one"),
                         (("ret;", "bfe.u32 \t%r9, %r8, 16, 1;"), "rounded to bf16 by hand"), (("m16n8k16", "m16n8k8"), "no mma.sync"), (("\tmma.sync", "$L__BB0_2:\n\tmma.sync"), "no loop of products")]:
        sees(what, of_text("contract", "bf16", head, code.replace(*change), True))
    sees("no loop of products", of_text("contract", "f32", head, code, True))
    sees("other types", of_text("row", None, head.replace("u64", "u32"), code, True))
    sees("a workgroup of 0", of_text("row", None, head.replace("reqntid", "maxntid"), code, True))
    words = "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\nUsed 128 registers, used 1 barriers, 20480 bytes smem\n"
    sees("", of_words("sm_80", "contract", 256, words))
    for what in ("stack frame", "spill stores", "spill loads"):
        sees(what, of_words("sm_80", "contract", 256, words.replace("0 bytes " + what, "8 bytes " + what)))
    sees("registers leave 1 warps", of_words("sm_80", "scan", 32, words.replace("128 reg", "257 reg")))
    sees("workgroups leave 0 warps", of_words("sm_80", "contract", 512, words.replace("128 reg", "168 reg")))
    sees("workgroups leave 1.75 warps", of_words("sm_80", "scatter", 32, words.replace("128 reg", "64 reg")) and
         of_words("sm_80", "contract", 32, words))
    sees("no number of registers", of_words("sm_80", "row", 32, words.replace("Used", "")))
    sees("", of_size("contract", code, 16*20))
    sees("unrolled", of_size("contract", code, 16*400))
    sees("", of_size("row", code, 16*400))
    sass = "\tLDG.E.128.CONSTANT R4, [R2.64] ;\n" + "\tHMMA.16816.F32.BF16 R8, R4, R6, R8 ;\n"*2 + "\tSTG.E [R2.64], R8 ;\n\tEXIT ;\n"
    sees("", of_sass("contract", "bf16", code, sass, True))
    for change, what in [(("LDG.E.128", "LDL.128"), "LDL.128"), (("STG.E", "STL"), "STL"), (("STG.E", "ST.E"), "ST.E"), (("STG", "RED"), "RED"),
                         (("16816", "1688"), "0 of 2 HMMA"), (("\tHMMA", "\tHMMA.16816.F32.BF16\n\tHMMA.16816.F32.BF16\n\tHMMA"), "unrolled"),
                         (("LDG.E.128", "LDG.E"), "no LDG.E.128")]:
        sees(what, of_sass("contract", "bf16", code, sass.replace(*change), True))
    whole = f"\t.target\tsm_80\n\t.section\t.text.k0_x,\"ax\",@progbits\n{sass}"
    sees("", lint_sass("sm_80", "bf16", PTX, whole, {"x": {("contract", "bf16")}}))
    sees("shows no code", lint_sass("sm_80", "bf16", PTX, "", {"x": {("row", "")}}))
    sees("in no plan", lint_ptx("sm_80", "bf16", PTX, {})[0])
    sees("can be read", lint_ptx("sm_80", "bf16", PTX + ".entry y", {"x": {("contract", "bf16")}})[0])


if __name__ == "__main__":
    seen = self_test()
    print("\n".join(seen) or "lint: every check sees what it is for")
    sys.exit(bool(seen))
