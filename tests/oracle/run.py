#!/usr/bin/env python3
"""Compares the compiler's numbers with independent ones, case by case.

    run.py [--rwkvc PATH] [--rwkv PATH] [--mode eval|run] [--target T] [--dtype D] [--shared PATH]
           [--device D] [--hip-library PATH] [--cuda-library PATH] [--case NAME]... [--jobs N]

Mode run: compiled for the target, with weights and saved activations of the dtype. Prints what was
measured, what the reference itself is off at that precision where the bar depends on it, the bar, and
ok, FAIL or SKIP. Exit 0 all fine, 1 a failure, 77 everything skipped. Without the shared folder
(--shared or RWKVC_SHARED) the cases that need it skip; so does all of a target whose instructions
this machine's processor does not list in /proc/cpuinfo. With a device the target is one of its kind:
--device hip:0 --target gfx942, and without a GPU --hip-library build/libamdhip64-emu.so.
"""
import argparse
import concurrent.futures
import os
import sys
import tempfile
import time
import traceback

# What a target needs, as /proc/cpuinfo spells it.
V3 = "avx avx2 bmi1 bmi2 f16c fma abm movbe"
V4 = V3 + " avx512f avx512bw avx512cd avx512dq avx512vl"
NEEDS = {"x86-64-v3": V3, "x86-64-v4": V4,
         "x86-64-amx": V4 + " avx512_bf16 avx512_fp16 avx512_vnni amx_tile amx_bf16 amx_int8"}

GPUS = {"gfx942": "hip", "gfx1100": "hip", "sm_80": "cuda", "sm_90": "cuda"}

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

try:
    import numpy  # noqa: F401
except ImportError:
    print("SKIP: python3 has no numpy")
    sys.exit(77)

import cases
import odd  # noqa: F401  their cases join the list
import zoo  # noqa: F401
from bench import Bench, Skip
from tool import HERE, Tool, ToolError


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    default = os.path.normpath(os.path.join(HERE, "..", "..", "build", "bin", "rwkvc"))
    a.add_argument("--rwkvc", default=os.environ.get("RWKVC", default))
    a.add_argument("--rwkv", default=os.environ.get("RWKV"))
    a.add_argument("--mode", choices=("eval", "run"), default="eval")
    a.add_argument("--target", choices=("native", *NEEDS, *GPUS), default="native")
    a.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    a.add_argument("--shared", default=os.environ.get("RWKVC_SHARED"))
    a.add_argument("--case", action="append", help="a case, or what its name begins with")
    a.add_argument("--device", help="hip:0, cuda:0: where compiled code runs")
    a.add_argument("--hip-library")
    a.add_argument("--cuda-library")
    a.add_argument("--rough", action="store_true", help="the references in the target's precision, always")
    a.add_argument("--jobs", type=int, default=2)
    a.add_argument("--keep", help="a folder for the files, kept")
    a.add_argument("--list", action="store_true")
    o = a.parse_args()
    if (o.device or "cpu").split(":")[0] != GPUS.get(o.target, "cpu"):
        a.error("--target %s does not run on --device %s" % (o.target, o.device or "cpu"))
    return o


def lacking(target):
    """Which of the target's instructions the processor does not have; not asked of the runtime, so
    that a runtime that refuses without reason fails."""
    if target == "native" or target in GPUS:
        return []
    try:
        with open("/proc/cpuinfo") as f:
            flags = next((line.split() for line in f if line.startswith("flags")), [])
    except OSError:
        flags = []
    return [n for n in NEEDS[target].split() if n not in flags]


def device_words(o):
    """The options of `rwkv` that choose a device."""
    given = (("--device", o.device), ("--hip-library", o.hip_library), ("--cuda-library", o.cuda_library))
    return [w for option, value in given if value for w in (option, value)]


def run_case(name, options, folder):
    """(name, lines, seconds, what stopped it)"""
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    tool = Tool(os.path.abspath(options.rwkvc), os.path.join(folder, name), options.mode, options.rwkv,
                options.target, options.dtype, device_words(options))
    bench = Bench(tool, options.shared, options.rough)
    begin, stop = time.time(), None
    try:
        cases.CASES[name](bench)
    except Skip as e:
        stop = "SKIP: %s" % e
    except ToolError as e:
        stop = "FAIL: %s" % e
    except Exception:
        stop = "FAIL: " + traceback.format_exc()
    return name, bench.lines, time.time() - begin, stop


def report(name, lines, seconds, stop):
    """Prints a case; its outcome: "ok", "FAIL", "SKIP"."""
    bad = 0
    for what, error, bar, rough in lines:
        fine = error <= bar
        bad += not fine
        beside = "         " if rough is None else "[%7.1e]" % rough
        print("%-23s%-54s %10.2e %s (%7.1e) %s" % (name, what, error, beside, bar, "ok" if fine else "FAIL"))
    if stop:
        print("%-23s%s" % (name, stop))
    outcome = "FAIL" if bad or (stop and stop[0] == "F") else "SKIP" if stop else "ok"
    print("%-23s%s, %d numbers, %.1f s" % (name, outcome, len(lines), seconds), flush=True)
    return outcome


def main():
    o = arguments()
    names = [n for n in cases.CASES if not o.case or any(n.startswith(c) for c in o.case)]
    if o.list or not names:
        print("\n".join(cases.CASES))
        return 0 if o.list else 2
    if not os.path.exists(o.rwkvc) and any(not n.startswith("references") for n in names):
        print("SKIP: there is no %s; only the references run" % o.rwkvc)
        names = [n for n in names if n.startswith("references")]
    absent = lacking(o.target) if o.mode == "run" else []
    if absent:
        print("SKIP: this processor has no %s, which code for %s needs" % (", ".join(absent), o.target))
        return 77
    with tempfile.TemporaryDirectory(prefix="rwkvc-oracle-") as folder:
        with concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
            work = [pool.submit(run_case, n, o, o.keep or folder) for n in names]
            outcomes = [report(*w.result()) for w in work]
    count = {k: outcomes.count(k) for k in ("ok", "FAIL", "SKIP")}
    print("oracle: %(ok)d ok, %(FAIL)d failed, %(SKIP)d skipped" % count)
    return 1 if count["FAIL"] else 0 if count["ok"] else 77


if __name__ == "__main__":
    sys.exit(main())
