#!/usr/bin/env python3
"""Compiles every example of the documents and runs every command in them.

    examples.py [--write] [FILE.md]...        default: README.md and docs/*.md

The rule. Fenced blocks with these words after the fence are checked, all others are not:

    ```rwkv             a text: rwkvc must accept it, and say nothing else. `name=F.rwkv` keeps it as F.rwkv
                        for the blocks behind it. A fragment has the rest of its text in a comment right
                        before it, <!-- text ... -->, in which it stands where a line says HERE.
    ```rwkv wrong       a text that rwkvc must refuse
    ```error            what rwkvc says of the text before it, word for word
    ```console          `$ ` begins a command of a shell, what follows is what it prints, both streams.
                        Numbers with a point need only agree to 1e-6; a line `...` stands for any lines;
                        a command may go on in lines that begin with `> `.

Commands run in one folder a document, in which rwkvc is found and models and tests are those of the project.
--write puts what was really said into ```error and ```console blocks. Besides: docs/language.md has to name
every function of std.rwkv, every scalar function with its derivative and every flag of `rwkvc eval`.

Exit 0: all as written, 1: not, 77: skipped.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RWKVC = os.path.abspath(os.environ.get("RWKVC", os.path.join(ROOT, "build", "bin", "rwkvc")))
NUMBER = re.compile(r"-?\d+\.\d+(?:[eE][-+]?\d+)?|-?\d+[eE][-+]?\d+")


# ---- documents -----------------------------------------------------------------------------------


class Block:
    """lines[first:last] of the document: what stands between two fences."""

    def __init__(self, words, first, last, text, around):
        self.kind, self.words, self.text, self.around = words[0], words[1:], text, around
        self.first, self.last = first, last

    def name(self):
        return next((w[5:] for w in self.words if w.startswith("name=")), None)

    def whole(self):
        if self.around is None:
            return self.text
        return re.sub(r"^[ \t]*HERE$", lambda m: self.text.rstrip("\n"), self.around, flags=re.M)


def comment_before(lines, at):
    """The text of a comment <!-- text ... --> that ends in the line before `at`."""
    if at == 0 or lines[at - 1].strip() != "-->":
        return None
    begin = at - 1
    while begin > 0 and not lines[begin].startswith("<!--"):
        begin -= 1
    return "\n".join(lines[begin + 1:at - 1]) + "\n" if lines[begin].strip() == "<!-- text" else None


def blocks_of(lines):
    out, i = [], 0
    while i < len(lines):
        if lines[i].startswith("```") and len(lines[i]) > 3:
            last = next(k for k in range(i + 1, len(lines)) if lines[k].startswith("```"))
            text = "".join(line + "\n" for line in lines[i + 1:last])
            out.append(Block(lines[i][3:].split(), i + 1, last, text, comment_before(lines, i)))
            i = last
        i += 1
    return out


# ---- comparing -----------------------------------------------------------------------------------


def same_line(want, got):
    if want == got:
        return True
    if NUMBER.sub("0", want) != NUMBER.sub("0", got):
        return False
    pairs = zip(map(float, NUMBER.findall(want)), map(float, NUMBER.findall(got)))
    return all(abs(a - b) <= 1e-6*max(abs(a), abs(b)) for a, b in pairs)


def same_lines(want, got):
    """A line `...` of want stands for any lines of got, none included."""
    if not want:
        return not got
    if want[0] == "...":
        return any(same_lines(want[1:], got[k:]) for k in range(len(got) + 1))
    return bool(got) and same_line(want[0], got[0]) and same_lines(want[1:], got[1:])


# ---- one document --------------------------------------------------------------------------------


class Document:
    def __init__(self, path, folder):
        self.path, self.folder, self.faults, self.count = path, folder, [], 0
        with open(path) as f:
            self.lines = f.read().split("\n")
        self.said, self.changes = None, []
        os.makedirs(os.path.join(folder, "bin"))
        for name in ("models", "tests"):
            os.symlink(os.path.join(ROOT, name), os.path.join(folder, name))
        os.symlink(RWKVC, os.path.join(folder, "bin", "rwkvc"))
        with open(os.path.join(folder, "bin", "python3"), "w") as f:
            f.write('#!/bin/sh\nexec "%s" "$@"\n' % sys.executable)
        os.chmod(f.name, 0o755)

    def fault(self, block, what):
        self.faults.append("%s:%d: %s" % (os.path.relpath(self.path, ROOT), block.first, what))

    def run(self, words):
        keep = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
        path = os.path.join(self.folder, "bin") + ":" + os.environ.get("PATH", "")
        done = subprocess.run(words, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=300, env={"PATH": path, "LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1", **keep})
        return done.returncode, done.stdout

    def text(self, block):
        name = block.name() or "text.rwkv"
        with open(os.path.join(self.folder, name), "w") as f:
            f.write(block.whole())
        code, self.said = self.run(["rwkvc", name])
        if ("wrong" in block.words) != (code == 1) or code not in (0, 1):
            self.fault(block, "exit %d: %s" % (code, self.said))
        elif code == 0 and len(self.said.splitlines()) != 1:
            self.fault(block, "more is said than its entries: " + self.said)

    def compare(self, block, want, got):
        """False, with what was said kept for --write, when they differ."""
        if same_lines(want.splitlines(), got.splitlines()):
            return True
        self.fault(block, "what is written:\n%s\nwhat is said:\n%s" % (want, got))
        return False

    def error(self, block):
        if self.said is None:
            self.fault(block, "there is no text before it")
        elif not self.compare(block, block.text, self.said):
            self.changes.append((block, self.said))

    def console(self, block):
        out, good = "", True
        parts = re.split(r"^\$ ", block.text, flags=re.M)
        if parts[0].strip():
            self.fault(block, "a console begins with a command")
        for part in parts[1:]:
            command, want = re.match(r"([^\n]*(?:\n> [^\n]*)*)\n?(.*)", part, re.S).groups()
            code, got = self.run(["sh", "-c", command.replace("\n> ", "\n")])
            good = self.compare(block, want, got) and good
            out += "$ " + command + "\n" + got
        if not good:
            self.changes.append((block, out))

    def check(self):
        for block in blocks_of(self.lines):
            work = {"rwkv": self.text, "error": self.error, "console": self.console}.get(block.kind)
            if work:
                self.count += 1
                work(block)
        return self.faults

    def write(self):
        for block, text in reversed(self.changes):
            self.lines[block.first:block.last] = text.rstrip("\n").split("\n")
        with open(self.path, "w") as f:
            f.write("\n".join(self.lines))


# ---- completeness --------------------------------------------------------------------------------


def rows(path, pattern):
    with open(os.path.join(ROOT, path)) as f:
        return re.findall(pattern, f.read(), flags=re.M)


def lacking():
    """What docs/language.md has to name and does not."""
    with open(os.path.join(ROOT, "docs", "language.md")) as f:
        text = f.read()
    out = ["std has " + n for n in rows("models/std.rwkv", r"^(?:fn|cell) (\w+)\(") if "`%s(" % n not in text]
    for name, derivative, spelling in rows("compiler/functions.def", r'^FN\((\w+), .*?"(.*)", "(.*)"\)'):
        if name == "real":
            continue
        if "`%s`" % (spelling or name) not in text:
            out.append("the scalar function " + (spelling or name))
        elif "".join(derivative.split()) not in "".join(text.split()):
            out.append("the derivative of %s: %s" % (name, derivative))
    helped = subprocess.run([RWKVC, "eval", "--help"], stdout=subprocess.PIPE, text=True).stdout
    out += ["the flag " + flag for flag in re.findall(r"^  (-[-\w]+)", helped, flags=re.M) if "`%s" % flag not in text]
    return out


def main():
    if not os.path.exists(RWKVC):
        print("SKIP: there is no " + RWKVC)
        return 77
    try:
        import numpy  # noqa: F401  commands of the documents make arrays with it
    except ImportError:
        print("SKIP: python3 has no numpy")
        return 77
    words = [w for w in sys.argv[1:] if w != "--write"]
    paths = [os.path.abspath(w) for w in words]
    paths = paths or [os.path.join(ROOT, "README.md")] + sorted(glob.glob(os.path.join(ROOT, "docs", "*.md")))
    faults = [] if words else ["docs/language.md lacks " + x for x in lacking()]
    for path in paths:
        with tempfile.TemporaryDirectory(prefix="rwkvc-docs-") as folder:
            document = Document(path, os.path.join(folder, "d"))
            faults += document.check()
            if "--write" in sys.argv:
                document.write()
            print("%s: %d blocks, %d faults" % (os.path.relpath(path, ROOT), document.count, len(document.faults)))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
