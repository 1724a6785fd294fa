#!/usr/bin/env python3
"""The rules of style a program can check:

- functions of at most 100 lines, files of at most 700, lines of at most 120 columns, tables (.def) excepted;
- no tabs, no blanks at the ends of lines, a newline at the end of a file;
- no path of one machine in any file;
- compiler/ knows no model: the word for the family of models does not occur in it;
- every source is named in CMakeLists.txt;
- no data that can change outside functions (with --objects: in the libraries of a build).
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ("compiler", "dsl", "codegen", "runtime", "tools", "tests", "models", "docs", "scripts", ".ci")
CODE = (".c", ".h", ".l", ".y", ".def")
TEXT = CODE + (".py", ".sh", ".cmake", ".md", ".txt", ".rwkv", ".json")
MAX_FUNCTION, MAX_FILE, MAX_COLUMNS = 100, 700, 120
# Spelled in two so that this file does not find itself.
MACHINE = re.compile("/" + r"(work|farm|root|home/\w+|Users/\w+)/")
FAMILY = re.compile(r"(?<!\.)rwk" + r"v(?!c)", re.I)  # the ending of texts may be named


def files():
    top = [n for n in os.listdir(ROOT) if n.endswith((".md", ".txt", ".json"))]
    yield from sorted(top)
    for folder in FOLDERS:
        for base, dirs, names in os.walk(os.path.join(ROOT, folder)):
            dirs.sort()
            for name in sorted(names):
                yield os.path.relpath(os.path.join(base, name), ROOT)


def functions(lines):
    """(first line, name, length) of each function: from a line at column 0 to the '}' at column 0."""
    start = name = None
    for i, line in enumerate(lines):
        if start is None and re.match(r"[A-Za-z_]", line) and "(" in line and not line.startswith("typedef"):
            head = line
            for more in lines[i + 1 : i + 8]:
                if head.rstrip().endswith(("{", ";", ",}", "}")):
                    break
                head += more
            if head.rstrip().endswith("{") and "=" not in head.split("(")[0]:
                start, name = i, re.search(r"(\w+)\s*\(", line).group(1)
        if line.startswith("}") and start is not None:
            yield start + 1, name, i - start + 1
            start = None


def faults_of(path):
    with open(os.path.join(ROOT, path), "rb") as f:
        data = f.read()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        yield f"{path}: not UTF-8"
        return
    lines = text.split("\n")
    if data and not data.endswith(b"\n"):
        yield f"{path}: no newline at the end"
    code = path.endswith(CODE)
    if code and len(lines) - 1 > MAX_FILE:
        yield f"{path}: {len(lines) - 1} lines, at most {MAX_FILE}"
    for n, line in enumerate(lines, 1):
        if MACHINE.search(line):
            yield f"{path}:{n}: a path of one machine"
        if code and not path.endswith(".def") and len(line) > MAX_COLUMNS:
            yield f"{path}:{n}: {len(line)} columns, at most {MAX_COLUMNS}"
        if code and "\t" in line:
            yield f"{path}:{n}: a tab"
        if code and line.rstrip() != line:
            yield f"{path}:{n}: blanks at the end"
        if path.startswith("compiler/") and FAMILY.search(line):
            yield f"{path}:{n}: the compiler knows no model"
    if path.endswith((".c", ".h")):
        for n, name, length in functions(lines):
            if length > MAX_FUNCTION:
                yield f"{path}:{n}: {name} has {length} lines, at most {MAX_FUNCTION}"


def unbuilt():
    """Sources that no list of the build names."""
    with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as f:
        named = set(re.findall(r"[\w./]+\.[cly]\b", f.read()))
    for path in files():
        if path.endswith((".c", ".l", ".y")) and not path.startswith("tests/") and path not in named:
            yield f"{path}: CMakeLists.txt does not name it"


def changing_data(build):
    """Symbols of our libraries that lie in a section which can be written."""
    for name in ("librwkvc_compiler.a", "librwkvc_dsl.a", "librwkvrt.a"):
        path = os.path.join(build, name)
        out = subprocess.run(["nm", "--format=sysv", path], capture_output=True, text=True, check=True).stdout
        member = ""
        for line in out.splitlines():
            if found := re.match(r"Symbols from .*\[(.*)\]", line):
                member = found.group(1)
            cells = [c.strip() for c in line.split("|")]
            if len(cells) == 7 and re.match(r"\.(data|bss|tdata|tbss)(?!\.rel\.ro)|\*COM\*", cells[6]):
                yield f"{name}: {member}: {cells[0]} can be written ({cells[6]})"


def main():
    faults, seen = [], 0
    if len(sys.argv) == 3 and sys.argv[1] == "--objects":
        faults, seen = list(changing_data(sys.argv[2])), 3
    else:
        faults += unbuilt()
        for path in files():
            if path.endswith(TEXT) or "." not in os.path.basename(path):
                seen += 1
                faults += faults_of(path)
    print("\n".join(faults) if faults else f"{seen} files: nothing to say")
    return 1 if faults or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
