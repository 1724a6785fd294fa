#!/usr/bin/env python3
"""Who includes whom: every #include of the project against the table of docs/design.md.

    dsl       dsl, compiler
    compiler  compiler
    codegen   codegen, compiler, and of runtime the file format
    runtime   runtime
    tools     all of them; what the program rwkv is made of, runtime alone
    tests     anything

Outside headers: LLVM's in codegen only; no operating system and no clock in compiler and dsl.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MAY_USE = {
    "dsl": {"dsl", "compiler"},
    "compiler": {"compiler"},
    "codegen": {"codegen", "compiler"},
    "runtime": {"runtime"},
    "tools": {"tools", "dsl", "compiler", "codegen", "runtime"},
}
FORMAT = {"runtime/format.h"}  # shared by codegen and runtime
# The program rwkv: all that is linked into it (CMakeLists.txt has the same list).
OF_RWKV = {
    "rwkv.c", "bench.h", "bench_show.c", "cmd_bench.c", "cmd_convert.c", "cmd_devices.c", "cmd_dump.c", "cmd_generate.c", "cmd_info.c", "cmd_init.c",
    "cmd_run.c", "cmd_train.c", "commands.h", "compiled.c", "compiled.h", "json.c", "json.h", "measure.c", "measure.h",
    "options.c", "options.h", "profile.c", "profile.h", "progress.c", "progress.h",
}
C_LIBRARY = {
    "assert.h", "ctype.h", "errno.h", "float.h", "inttypes.h", "limits.h", "math.h", "stdarg.h",
    "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h",
}
PURE = {"dsl", "compiler"}  # the C library above and nothing else
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)


def room_of(path):
    return path.split("/")[0]


def resolve(source, name):
    """The file of the project that `#include "name"` in `source` means, relative to the root."""
    for base in (os.path.dirname(source), "", room_of(source)):
        path = os.path.normpath(os.path.join(base, name))
        if os.path.exists(os.path.join(ROOT, path)):
            return path
    return None


def faults_of(source):
    room = room_of(source)
    with open(os.path.join(ROOT, source), encoding="utf-8") as f:
        text = f.read()
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        name = match.group(2)
        where = f"{source}:{line}"
        if match.group(1) == "<":
            if room in PURE and name not in C_LIBRARY:
                yield f"{where}: {room} keeps to the C library, not <{name}>"
            if name.startswith(("llvm", "lld")) and room != "codegen":
                yield f"{where}: <{name}> belongs to codegen"
            continue
        path = resolve(source, name)
        if path is None:
            if not re.search(r"(\.tab|\.yy|parse|scan|lex)\.?\w*\.?h$", name):  # made by bison, flex
                yield f"{where}: there is no {name}"
            continue
        target = room_of(path)
        if target not in MAY_USE[room] and not (room == "codegen" and path in FORMAT):
            yield f"{where}: {room} may not use {path}"
        if room == "tools" and os.path.basename(source) in OF_RWKV:
            if target != "runtime" and os.path.basename(path) not in OF_RWKV:
                yield f"{where}: the program rwkv stands on runtime alone, not on {path}"


def main():
    faults, seen = [], 0
    for room in sorted(MAY_USE):
        for folder, _, names in sorted(os.walk(os.path.join(ROOT, room))):
            for name in sorted(names):
                if name.endswith((".c", ".h", ".l", ".y", ".def")):
                    seen += 1
                    source = os.path.relpath(os.path.join(folder, name), ROOT)
                    faults += faults_of(source)
    print("\n".join(faults) if faults else f"{seen} files: every include is allowed")
    return 1 if faults or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
