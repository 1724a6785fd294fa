#!/usr/bin/env python3
"""docs/errors.md, made of `rwkvc explain` and the texts of tests/errors.

    errors.py [--write]       says whether docs/errors.md is current; --write makes it so

Exit 0: current, 1: not, 77: nothing is built.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RWKVC = os.path.abspath(os.environ.get("RWKVC", os.path.join(ROOT, "build", "bin", "rwkvc")))
PAGE = os.path.join(ROOT, "docs", "errors.md")
TEXTS = os.path.join(ROOT, "tests", "errors")
HEAD = """# Diagnostics

What `rwkvc` says about a text, by code; `rwkvc explain CODE` shows the same. A message has the place, the line with
a caret, what was found and what was expected, notes with the places where each fact came from, and a mend where
there is a likely one. Several mistakes are told in one run; `--diagnostics=json` tells them to programs. The texts
behind the examples are in `tests/errors/`.

This page is made by `tests/docs/errors.py --write` from `compiler/errors.def`.
"""
FIELDS = {"01": "Syntax", "02": "Names", "03": "Sizes and axes", "04": "Shapes", "05": "Types",
          "06": "Subscripts and ranges", "07": "Time", "08": "Parameters", "09": "Training",
          "10": "Checkpoints and arrays", "11": "Graphs as text"}


def explained(*words):
    return subprocess.run([RWKVC, "explain", *words], capture_output=True, text=True, timeout=60).stdout


def example(code):
    """What is said of the first text of tests/errors that the code is about, without the count at its end."""
    for name in sorted(os.listdir(TEXTS)):
        if not name.startswith(code + "_") or not name.endswith(".expected"):
            continue
        with open(os.path.join(TEXTS, name)) as f:
            first = re.split(r"^(?=\S.*: (?:error|warning):)", f.read(), flags=re.M)
        said = next(m for m in first if "[%s]" % code in m)
        said = re.sub(r"^\d+ (error|warning)s?\n\Z", "", said, flags=re.M)
        return "".join("    %s\n" % line for line in said.rstrip("\n").split("\n"))
    return ""


def entry(code):
    title, _, text = explained(code).partition("\n\n")
    prose, wrong, right = re.fullmatch(r"(.*?)\n\n(Wrong:.*?)\n\n(Right:.*?)\n*", text, flags=re.S).groups()
    page = "\n### %s\n\n%s\n\n" % (title.replace(": ", " ", 1), prose)
    page += "    %s\n    %s\n" % (wrong, right)
    said = example(code)
    return page + ("\nSaid of a text like that:\n\n" + said if said else "")


def page():
    out, field = HEAD, None
    for line in explained().splitlines():
        code = line[:5]
        if code[1:3] != field:
            field = code[1:3]
            out += "\n## %s\n" % FIELDS.get(field, field)
        out += entry(code)
    return out


def main():
    if not os.path.exists(RWKVC):
        print("SKIP: there is no " + RWKVC)
        return 77
    text = page()
    if "--write" in sys.argv:
        with open(PAGE, "w") as f:
            f.write(text)
    current = os.path.exists(PAGE) and open(PAGE).read() == text
    print("docs/errors.md is %s" % ("current" if current else "not what tests/docs/errors.py --write makes"))
    return 0 if current else 1


if __name__ == "__main__":
    sys.exit(main())
