#!/usr/bin/env python3
"""Wrong texts and all that is said of them, byte for byte.

    run.py [--write] [NAME]...        default: every NAME.rwkv beside this file

NAME.expected is what rwkvc writes to standard error when it reads NAME.rwkv. Comments at the head of a
text say how it is called:

    # args: -D L=1                        words behind the text
    # run: eval FILE forward --in x=x.npy another command; FILE is the text
    # exit: 0                             the exit code, 1 unless said otherwise
    # weights: p.safetensors w=f32[2,3]   a file of weights to make before, all numbers 0.5
    # array: x.npy i32[1,2] 3 9           an array to make before; without numbers 0 1 2 ...

Texts named lib_... are only used by others. Texts that no editor writes are made by GENERATED. Every code of compiler/errors.def needs a text whose name
begins with it and of which it is said. --write puts what is said now into the .expected files.
Exit 0: all as expected, 1: not, 77: nothing is built.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cli"))
import tool  # noqa: E402

RWKVC = os.path.join(tool.BIN, "rwkvc")
GENERATED = {
    "E0106_bytes": b"# a letter of another encoding in a path\nfn f(x[K]) -> y[K] { y = x }\n"
                   b'model m(x[4]) -> y[4] { y = f(x) as "caf\xe9" }\n',
    "E0119_brackets": b"model m(x[4]) -> y[4] {\n    y = " + 300*b"(" + b"x" + 300*b")" + b"\n}\n",
    "E0119_operators": b"model m(x[4]) -> y[4] {\n    y = x" + 1500*b" + x" + b"\n}\n",
    "E0120_size": b"# " + (1 << 24)*b"x" + b"\nmodel m(x[4]) -> y[4] { y = x }\n",
    "E0121_zero": b"model m(x[4]) -> y[4] { y = x }\n\0\n",
}
LIBRARIES = sorted(n for n in os.listdir(HERE) if n.startswith("lib_"))
TYPES = {"f32": ("F32", "<f4"), "i32": ("I32", "<i4")}


def shaped(word):
    """'i32[1,2]' -> ('i32', [1, 2])"""
    kind, dims = re.fullmatch(r"(\w+)\[([\d,]*)\]", word).groups()
    return kind, [int(n) for n in dims.split(",") if n]


class Case:
    def __init__(self, name):
        self.name, self.faults = name, []
        self.text = GENERATED.get(name)
        if self.text is None:
            with open(os.path.join(HERE, name + ".rwkv"), "rb") as f:
                self.text = f.read()
        self.args, self.run, self.exit, self.files = [], None, 1, []
        for line in self.text.decode("utf-8", "replace").split("\n"):
            word, _, rest = line[2:].partition(": ")
            if not line.startswith("# ") or word not in ("args", "run", "exit", "weights", "array"):
                break
            if word == "args":
                self.args = rest.split()
            elif word == "run":
                self.run = rest.split()
            elif word == "exit":
                self.exit = int(rest)
            else:
                self.files.append((word, rest.split()))

    def make(self, folder):
        with open(os.path.join(folder, self.name + ".rwkv"), "wb") as f:
            f.write(self.text)
        for name in LIBRARIES:
            shutil.copy(os.path.join(HERE, name), folder)
        for kind, words in self.files:
            with open(os.path.join(folder, words[0]), "wb") as f:
                f.write(self.weights(words[1:]) if kind == "weights" else self.array(*words[1:]))

    def weights(self, words):
        out = {}
        for word in words:
            name, _, shape = word.partition("=")
            kind, dims = shaped(shape)
            out[name] = (TYPES[kind][0], dims, tool.count(dims)*[0.5])
        return tool.safetensors(out)

    def array(self, shape, *numbers):
        kind, dims = shaped(shape)
        return tool.npy(dims, [int(n) for n in numbers] or list(range(tool.count(dims))), TYPES[kind][1])

    def check(self, write):
        with tempfile.TemporaryDirectory(prefix="rwkvc-errors-") as folder:
            self.make(folder)
            words = self.run or ["FILE"] + self.args
            words = [self.name + ".rwkv" if w == "FILE" else w for w in words]
            keep = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
            done = subprocess.run([RWKVC] + words, cwd=folder, capture_output=True, timeout=300,
                                  env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", **keep})
        if done.returncode != self.exit:
            self.faults.append("exit %d, not %d" % (done.returncode, self.exit))
        if done.stdout and self.exit:
            self.faults.append("standard output: " + done.stdout.decode("utf-8", "replace"))
        self.said = done.stderr.decode("utf-8", "replace")
        if "json" in " ".join(words):
            self.check_json()
        path = os.path.join(HERE, self.name + ".expected")
        if write:
            with open(path, "w") as f:
                f.write(self.said)
        expected = open(path).read() if os.path.exists(path) else "(there is no %s)\n" % os.path.basename(path)
        if expected != self.said:
            self.faults.append("expected:\n%s\nsaid:\n%s" % (expected, self.said))
        code = re.match(r"E\d{4}_", self.name)
        if code and "[%s]" % code.group()[:5] not in self.said:
            self.faults.append("%s is not said" % code.group()[:5])

    def check_json(self):
        try:
            for message in json.loads(self.said):
                wanted = {"file", "line", "column", "endColumn", "severity", "code", "message", "notes", "help"}
                if set(message) != wanted:
                    self.faults.append("JSON: %s, not %s" % (sorted(message), sorted(wanted)))
        except ValueError as e:
            self.faults.append("no JSON: %s" % e)


def missing(names):
    """Codes without a text, and expected words without one."""
    listed = subprocess.run([RWKVC, "explain"], capture_output=True, text=True, timeout=60).stdout
    for line in listed.splitlines():
        if not any(n.startswith(line[:5] + "_") for n in names):
            yield "no text says %s" % line
    for path in sorted(os.listdir(HERE)):
        if path.endswith(".expected") and path[:-9] not in names:
            yield "%s has no text" % path


def main():
    if not os.path.exists(RWKVC):
        print("SKIP: there is no " + RWKVC)
        return 77
    write = "--write" in sys.argv
    given = [w for w in sys.argv[1:] if w != "--write"]
    names = sorted(set(GENERATED) | {n[:-5] for n in os.listdir(HERE) if n.endswith(".rwkv")} - {n[:-5] for n in LIBRARIES})
    cases = [Case(n) for n in given or names]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda c: c.check(write), cases))
    faults = [c.name + ": " + f for c in cases for f in c.faults] + ([] if given else list(missing(names)))
    for fault in faults:
        print(fault)
    print("%d texts, %d faults" % (len(cases), len(faults)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
