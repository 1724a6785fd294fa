#!/usr/bin/env python3
"""The command lines of both programs: what is refused, with which exit code and in which words."""
import json
import os
import re
import resource
import subprocess
import sys

from tool import BIN, MODELS, case, main

GOOD = """axis T
const D = 3
model pass(x[T,D]) -> y[T,D] along T {
    param gain[D] = 1
    y = x*gain
}
"""
WRONG = """const D = 3
model wrong(x[D]) -> y[D] { y = x + z }
"""


@case
def help_and_version(b):
    b.expect(["rwkvc"], 2, "", "usage: rwkvc MODEL.rwkv")
    b.expect(["rwkvc", "--help"], 0, ["usage: rwkvc MODEL.rwkv", "--emit=STAGE", "Exit codes"], "")
    b.expect(["rwkvc", "--version"], 0, "rwkvc 0.", "")
    for command in ("eval", "explain", "dump"):
        b.expect(["rwkvc", command, "--help"], 0, f"usage: rwkvc {command}", "")
    b.expect(["rwkv"], 2, "", "usage: rwkv COMMAND")
    b.expect(["rwkv", "--help"], 0, "rwkv convert", "")
    b.expect(["rwkv", "--version"], 0, "rwkv 0.", "")
    for command in ("convert", "info"):
        b.expect(["rwkv", command, "--help"], 0, f"usage: rwkv {command}", "")
    for words in (["rwkvc"], ["rwkv"], ["rwkvc", "eval", "m.rwkv"], ["rwkvc", "dump"], ["rwkv", "convert"]):
        b.expect(words + ["-h"], 0, "usage: ", "")


@case
def mistakes(b):
    b.write("m.rwkv", GOOD)
    b.expect(["rwkvc", "--nonsense"], 2, "", ["there is no option '--nonsense'", "rwkvc --help"])
    b.expect(["rwkvc", "m.rwkv", "-x"], 2, "", "there is no option '-x'")
    b.expect(["rwkvc", "m.rwkv", "--emit"], 2, "", "option '--emit' needs a value")
    b.expect(["rwkvc", "m.rwkv", "-D"], 2, "", "option '-D' needs a value")
    b.expect(["rwkvc", "m.rwkv", "--verify=yes"], 2, "", "option '--verify' takes no value")
    b.expect(["rwkvc", "m.rwkv", "--emit=soup"], 2, "", "there is no stage 'soup'")
    b.expect(["rwkvc", "m.rwkv", "n.rwkv"], 2, "", "one text at a time: 'm.rwkv' and 'n.rwkv'")
    b.expect(["rwkvc", "m.rwkv", "-D", "D"], 2, "", "-D wants NAME=VALUE and got 'D'")
    b.expect(["rwkvc", "m.rwkv", "-D", "D=1", "-D", "D=2"], 2, "", "-D gives 'D' twice")
    b.expect(["rwkvc", "m.rwkv", "-Wall"], 2, "", "no option '-Wall'")
    b.expect(["rwkvc", "m.rwkv", "--diagnostics=xml"], 2, "", "text or json, not 'xml'")
    b.expect(["rwkvc", "--report"], 2, "", "which MODEL.rwkv?")
    b.expect(["rwkvc", "m.rwkv", "--report", "--emit=graph"], 2, "", "one at a time")


@case
def not_in_this_version(b):
    b.write("m.rwkv", GOOD)
    b.expect(["rwkvc", "m.rwkv", "--target=x86-64-v9", "-o", "m.so"], 2, "", "there is no such target")
    b.expect(["rwkvc", "m.rwkv", "-o", "m.xyz"], 2, "", "files end in .so")
    for command in ("chat", "data", "enhance", "score"):
        b.expect(["rwkv", command, "x"], 2, "", "not in this version")
    b.expect(["rwkv", "dance"], 2, "", "there is no command 'dance'")


# A forward pass keeps something for the backward pass.
LAYERS = """axis T
const D = 32, L = 3
model deep(x[T,D]) -> y[T,D] along T {
    y = x
    for l in L as blocks.{l} {
        param w[D,D] ~ normal(0.1)
        h[t,i] = sum[d] w[i,d]*y[t,d]
        y = y + tanh(h)*tanh(h)
    }
}
train deep(target[T,D]) { loss = mean[b,t,d] (y[b,t,d] - target[b,t,d])^2 }
"""


@case
def memory_budgets_that_are_none(b):
    b.write("m.rwkv", LAYERS)
    for size in ("", "0", "-1", "-1G", "+1G", "1x", "1Gx", "G", "1.2.3", "1e9", "0x10", " 1G", "1 G", "nan", "inf", "1Gi B",
                 "0.5", "0.0001k", "9999999999T", "1"*400):
        b.expect(["rwkvc", "m.rwkv", "-o", "m.so", f"--memory-budget={size}"], 2, "",
                 f"--memory-budget={size}: SIZE or SIZE@AXIS=N")
    for axes in ("", "T", "T=", "=4", "T=0", "T=-1", "T=x", "T=4,", "T=4,,B=1", "T=4;B=1", "T=1.5", "T=9999999999999",
                 "T=4,T=8"):
        b.expect(["rwkvc", "m.rwkv", "-o", "m.so", f"--memory-budget=1G@{axes}"], 2, "", "SIZE or SIZE@AXIS=N")
    b.expect(["rwkvc", "m.rwkv", "-o", "m.so", "--memory-budget=1G@Q=4"], 2, "", "--memory-budget: there is no axis 'Q'")
    b.expect(["rwkvc", "m.rwkv", "-o", "m.so", "--memory-budget"], 2, "", "option '--memory-budget' needs a value")
    b.check("nothing is written", not os.path.exists(b.path("m.so")))


def least(b, *axes):
    """What cannot be met, and the least that can, of the training step."""
    words = ["rwkvc", "m.rwkv", "--emit=memory", "--entry=grad", "--memory-budget=1000" + "".join(axes)]
    done = b.expect(words, 1, "", "m.rwkv: entry grad: the memory budget of 1000 bytes cannot be met at ")
    found = re.search(r" met at (.*): the least that is reachable is (\d+) bytes$", done.err.strip())
    b.check("the least is told: " + done.err, found)
    return (found[1], int(found[2])) if found else ("", 0)


@case
def memory_budgets(b):
    b.write("m.rwkv", LAYERS)
    b.same("default lengths", least(b)[0], "B=1, T=1024")
    at, bytes_ = least(b, "@T=40,B=2")
    b.same("lengths given", at, "B=2, T=40")
    words = ["rwkvc", "m.rwkv", "--entry=grad", "--emit=memory"]
    whole = b.expect(words + ["--memory-budget=1T@B=2,T=40"], 0, ["recomputed in backward loops: nothing"], "").out
    kept = int(re.search(r"without a budget: (\d+) bytes", whole)[1])
    b.check(f"the least {bytes_} is less than all {kept}", 0 < bytes_ < kept)
    part = b.expect(words + [f"--memory-budget={bytes_}@B=2,T=40"], 0, "recomputed in backward loops:\n", "").out
    b.same("met to the byte", int(re.search(r"within the budget: (\d+) bytes", part)[1]), bytes_)
    b.expect(words + [f"--memory-budget={bytes_ - 1}@B=2,T=40"], 1, "", f"is reachable is {bytes_} bytes")
    for text in ("1M", "1MB", "1MiB", "0.5M", "1000k", "1000K", ".5M", "900000"):
        b.expect(words + [f"--memory-budget={text}@B=2,T=40"], 0, "memory of grad at B=2, T=40", "")
    done = b.expect(["rwkvc", "m.rwkv", "-o", "m.so", "--memory-budget=1000@B=2,T=40"], 1, "",
                    f"entry grad: the memory budget of 1000 bytes cannot be met at B=2, T=40: the least that is reachable is {bytes_}")
    b.check("nothing is written: " + done.err, not os.path.exists(b.path("m.so")))
    b.expect(["rwkvc", "m.rwkv", "-o", "m.so", f"--memory-budget={bytes_}@B=2,T=40"], 0, "", "")
    b.check("a file is written", os.path.exists(b.path("m.so")))


@case
def a_photograph_in_two_gigabytes(b):
    """2992x2000 pixels: tensors, parameters and the picture leave 60 MB for the rest of the command."""
    b.expect(["rwkvc", os.path.join(MODELS, "retinex.rwkv"), "--entry=forward", "--emit=memory",
              "--memory-budget=1940M@B=1,Y=2000,X=2992"], 0, "recomputed in backward loops: nothing", "")


@case
def files_that_cannot_be_read(b):
    os.mkdir(b.path("folder.rwkv"))
    b.expect(["rwkvc", "none.rwkv"], 3, "", "none.rwkv: No such file or directory")
    b.expect(["rwkvc", "folder.rwkv"], 3, "", "folder.rwkv: Is a directory")
    b.expect(["rwkvc", "none.rwkv", "--emit=ast"], 3, "", "none.rwkv")
    b.expect(["rwkvc", "eval", "none.rwkv", "forward"], 3, "", "none.rwkv")
    b.expect(["rwkvc", "dump", "none.pth"], 3, "", "none.pth")
    b.expect(["rwkv", "convert", "none.pth", "a.pth"], 3, "", "none.pth")


@case
def texts_from_a_pipe(b):
    done = subprocess.run([os.path.join(BIN, "rwkvc"), "/dev/stdin"], input=GOOD.encode(), capture_output=True,
                          check=False)
    b.same("exit code", done.returncode, 0)
    b.check(f"the whole text is read: {done}", b"/dev/stdin: entries: " in done.stdout)


@case
def nothing_is_written_over_the_text(b):
    b.write("m.rwkv", GOOD)
    os.symlink("m.rwkv", b.path("link"))
    for path in ("m.rwkv", "./m.rwkv", "link"):
        b.expect(["rwkvc", "m.rwkv", "--emit=graph", "-o", path], 2, "", "this is the text itself")
    b.expect(["rwkvc", "m.rwkv"], 0)


@case
def delays_outside_of_loops(b):
    """The state of a delay is made when all of its cell is known, and read before."""
    b.write("d.rwkv", "axis T\ncell c(x[3]) -> y[3] { y = x + prev(x, 2) }\n"
                      "model d(x[T,3]) -> y[T,3] along T { y = c(x) along T as c }\n")
    b.expect(["rwkvc", "d.rwkv", "--verify"], 0, "entries", "")


@case
def messages_with_a_mend(b):
    b.write("two.rwkv", "axis T\nmodel a(x[T]) -> y[T] { y = x }\nmodel b(x[T]) -> y[T] { param w[] = 1; y = w*x }\n"
                        "train b() { loss = mean[n,t] y[n,t] }\n")
    done = b.expect(["rwkvc", "two.rwkv", "--emit=grad"], 1, "", ["there is no entry 'grad'", "b.grad"])
    b.check("there is a train block", "no train block" not in done.err)
    b.write("s.rwkv", "axis T\ncell c(x[3]) -> y[3] { state h[3] = 0; h = x; y = prev(h) }\n"
                      "model m(x[T,3]) -> y[T,3] along T { y = c(x) along T as c }\n")
    b.expect(["rwkvc", "s.rwkv"], 1, "", ["two states have the name 'c.h'", "prev(kept)"])


@case
def checking(b):
    b.write("m.rwkv", GOOD)
    b.expect(["rwkvc", "m.rwkv"], 0, ["m.rwkv: entries: ", "forward", "step", "prefill", "init"], "")
    b.expect(["rwkvc", "m.rwkv", "-D", "D=5"], 0)
    b.expect(["rwkvc", "m.rwkv", "-D", "Q=5"], 1, "", "Q")
    b.write("w.rwkv", WRONG)
    b.expect(["rwkvc", "w.rwkv"], 1, "", ["w.rwkv:2:", "error:", "^"])
    done = b.expect(["rwkvc", "w.rwkv", "--diagnostics=json"], 1, "")
    b.check("JSON diagnostics name the file", "w.rwkv" in json.dumps(json.loads(done.err)))
    done = b.expect(["rwkvc", "m.rwkv", "--diagnostics=json"], 0)
    b.same("JSON of a good text", json.loads(done.err), [])


@case
def stages(b):
    b.write("m.rwkv", GOOD)
    b.expect(["rwkvc", "m.rwkv", "--emit=ast"], 0, "pass", "")
    b.expect(["rwkvc", "m.rwkv", "--emit=program"], 0, "gain[D]", "")
    b.expect(["rwkvc", "m.rwkv", "--emit=graph"], 0, "gain", "")
    b.expect(["rwkvc", "m.rwkv", "--emit=graph", "--entry=step"], 0, "gain", "")
    b.expect(["rwkvc", "m.rwkv", "--emit=dot"], 0, "digraph", "")
    b.expect(["rwkvc", "m.rwkv", "--emit=memory"], 0, "T", "")
    b.expect(["rwkvc", "m.rwkv", "--emit=grad"], 1, "", "train")
    b.expect(["rwkvc", "m.rwkv", "--emit=graph", "--entry=dance"], 1, "", "dance")
    b.expect(["rwkvc", "m.rwkv", "--verify"], 0)
    b.expect(["rwkvc", "m.rwkv", "--time-passes"], 0, err=" s  ")
    b.expect(["rwkvc", "m.rwkv", "--report"], 0, "parameters", "")
    once = b.call("rwkvc", "m.rwkv", "--emit=graph").out
    b.same("twice the same", b.call("rwkvc", "m.rwkv", "--emit=graph").out, once)
    b.expect(["rwkvc", "m.rwkv", "--emit=graph", "-o", "m.graph"], 0, "", "")
    with open(b.path("m.graph"), encoding="utf-8") as f:
        b.same("the same in a file", f.read(), once)
    b.expect(["rwkvc", "m.rwkv", "--emit=graph", "-o", "no/m.graph"], 3, "", "no/m.graph")
    b.write("s.rwkv", "model broken(x[] -> y { y = x }\n")
    b.expect(["rwkvc", "s.rwkv", "--emit=ast"], 1, None, "s.rwkv:1:")


@case
def built_in_texts(b):
    """`use` finds the standard library beside no file at all, and -I wins over it."""
    b.write("m.rwkv", "use std\nconst D = 2\nmodel m(x[D]) -> y[D] { y = silu(x) }\n")
    b.expect(["rwkvc", "m.rwkv"], 0)
    os.mkdir(b.path("lib"))
    b.write("lib/std.rwkv", "fn other(x) = x\n")
    b.expect(["rwkvc", "m.rwkv", "-I", "lib"], 1, "", "silu")
    for name in sorted(os.listdir(MODELS)):
        if name.endswith(".rwkv") and name != "std.rwkv":  # which has no model
            b.expect(["rwkvc", os.path.join(MODELS, name)], 0, name, "")


@case
def numbers_of_constants(b):
    """as the language writes them, and nothing else that some library reads as a number"""
    b.write("m.rwkv", "const D = 2, R = 0.5\nmodel m(x[D]) -> y[D] { y = R*x }\n")
    for text, meant in ((" 5", "5"), ("5 ", "5"), ("0x10", "16"), ("0X1p4", "16")):
        b.expect(["rwkvc", "m.rwkv", "-D", "D=" + text], 1, "", [f"'{text}' is no number", f"help: write -D D={meant}\n"])
    for text in ("", "x", "5x", "nan", "inf", "1e", "-", ".", "0x", "1e999"):
        done = b.expect(["rwkvc", "m.rwkv", "-D", "D=" + text], 1, "", f"'{text}' is no number")
        b.check("no mend is known: " + done.err, "help" not in done.err)
    for text in ("1", "+1", "0.25", "1e-3", ".5", "2.5E+1", "-1"):
        b.expect(["rwkvc", "m.rwkv", "-D", "R=" + text], 0, "entries", "")


@case
def options_in_any_order(b):
    b.write("m.rwkv", GOOD)
    b.expect(["rwkvc", "-D", "D=4", "--emit=graph", "m.rwkv"], 0, "gain", "")
    b.expect(["rwkvc", "--emit=graph", "--", "m.rwkv"], 0, "gain", "")
    b.write("-odd.rwkv", GOOD)
    b.expect(["rwkvc", "--", "-odd.rwkv"], 0, "-odd.rwkv: entries", "")
    b.env["POSIXLY_CORRECT"] = "1"
    b.expect(["rwkvc", "m.rwkv", "--emit=graph"], 0, "gain", "")


@case
def explain(b):
    done = b.expect(["rwkvc", "explain"], 0, "E0101", "")
    b.check("the list has a line a code", done.out.count("\n") > 1)
    for spelling in ("E0101", "0101", "101"):
        b.expect(["rwkvc", "explain", spelling], 0, "E0101", "")
    b.expect(["rwkvc", "explain", "E9999"], 2, "", "there is no code 'E9999'")
    for line in done.out.splitlines():
        b.expect(["rwkvc", "explain", line.split()[0]], 0, line.split()[0], "")


@case
def output_that_cannot_be_written(b):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = b.call("rwkvc", "explain", stdout=full)
    b.same("exit code of a full disk", done.code, 3)
    b.check(f"says so: {done.err}", "standard output: No space left on device" in done.err)
    b.write("m.rwkv", GOOD)
    small = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
    done = subprocess.run([os.path.join(BIN, "rwkvc"), "m.rwkv", "--emit=graph", "-o", "m.graph"], cwd=b.folder,
                          capture_output=True, preexec_fn=small, check=False)
    b.same("exit code at the limit of size", done.returncode, 3)
    b.same("nothing is left", os.listdir(b.folder), ["m.rwkv"])
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([os.path.join(BIN, "rwkvc"), "explain"], stdout=writer, stderr=subprocess.PIPE,
                          check=False)
    os.close(writer)
    b.same("exit code of a closed pipe", done.returncode, 3)
    b.same("and not a word", done.stderr, b"")


if __name__ == "__main__":
    sys.exit(main())
