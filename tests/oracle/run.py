#!/usr/bin/env python3
"""Compares the compiler's numbers with independent ones, case by case.

    run.py [--rwkvc PATH] [--rwkv PATH] [--mode eval|run] [--shared PATH] [--case NAME]... [--jobs N]

Prints what was measured, the bar, and ok, FAIL or SKIP. Exit 0 all fine, 1 a failure, 77 everything
skipped. Without the shared folder (--shared or RWKVC_SHARED) the cases that need it skip.
"""
import argparse
import concurrent.futures
import os
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

try:
    import numpy  # noqa: F401
except ImportError:
    print("SKIP: python3 has no numpy")
    sys.exit(77)

import cases
import zoo  # noqa: F401  its cases join the list
from tool import HERE, Tool, ToolError


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    default = os.path.normpath(os.path.join(HERE, "..", "..", "build", "bin", "rwkvc"))
    a.add_argument("--rwkvc", default=os.environ.get("RWKVC", default))
    a.add_argument("--rwkv", default=os.environ.get("RWKV"))
    a.add_argument("--mode", choices=("eval", "run"), default="eval")
    a.add_argument("--shared", default=os.environ.get("RWKVC_SHARED"))
    a.add_argument("--case", action="append", help="a case, or what its name begins with")
    a.add_argument("--jobs", type=int, default=2)
    a.add_argument("--keep", help="a folder for the files, kept")
    a.add_argument("--list", action="store_true")
    return a.parse_args()


def exact(bar):
    return bar


def in_float32(bar):
    """The bar for compiled code, which computes in float32."""
    return max(30*bar, 3e-5) if bar else bar


def run_case(name, options, folder):
    """(name, lines, seconds, what stopped it)"""
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    tool = Tool(os.path.abspath(options.rwkvc), os.path.join(folder, name), options.mode, options.rwkv)
    bench = cases.Bench(tool, options.shared, exact if options.mode == "eval" else in_float32)
    begin, stop = time.time(), None
    try:
        cases.CASES[name](bench)
    except cases.Skip as e:
        stop = "SKIP: %s" % e
    except ToolError as e:
        stop = "FAIL: %s" % e
    except Exception:
        stop = "FAIL: " + traceback.format_exc()
    return name, bench.lines, time.time() - begin, stop


def report(name, lines, seconds, stop):
    """Prints a case; its outcome: "ok", "FAIL", "SKIP"."""
    bad = 0
    for what, error, bar in lines:
        fine = error <= bar
        bad += not fine
        print("%-23s%-54s %10.2e  (%7.0e) %s" % (name, what, error, bar, "ok" if fine else "FAIL"))
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
    with tempfile.TemporaryDirectory(prefix="rwkvc-oracle-") as folder:
        with concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
            work = [pool.submit(run_case, n, o, o.keep or folder) for n in names]
            outcomes = [report(*w.result()) for w in work]
    count = {k: outcomes.count(k) for k in ("ok", "FAIL", "SKIP")}
    print("oracle: %(ok)d ok, %(FAIL)d failed, %(SKIP)d skipped" % count)
    return 1 if count["FAIL"] else 0 if count["ok"] else 77


if __name__ == "__main__":
    sys.exit(main())
