#!/usr/bin/env python3
"""Stands where NVIDIA's assembler would: ptxas -arch sm_80 IN -o OUT [-v]. What it writes looks like a cubin, with the
functions and the data of the text, and holds no code; it is strict about how it is called.

FAKE_PTXAS in the environment: fail (a mistake in the text), kill (it dies), nothing (no file), garbage (another file).
FAKE_PTXAS_LOG: a file that gets a line a call, what it was called with.
"""
import os
import re
import signal
import struct
import sys


def fatal(text):
    print("ptxas fatal   : " + text, file=sys.stderr)
    sys.exit(255)


def attribute(number, data):
    return struct.pack("<BBH", 4, number, len(data)) + data


def info_of(part):
    """.nv.info of a kernel: its parameters, its threads."""
    head, body = part.split("{", 1)[0].split(")", 1)
    n = head.count(".param")
    block = int(re.search(r"\.reqntid (\d+)", body)[1])
    params = b"".join(attribute(0x17, struct.pack("<IHHI", 0, k, 8*k, 0x21f000)) for k in reversed(range(n)))
    return params + attribute(0x10, struct.pack("<III", block, 1, 1))


def data_of(text):
    """Bytes and symbols of .nv.global.init."""
    data, symbols = b"", []
    for name, n, values in re.findall(r"\.visible \.global \.align 16 \.b8 (\w+)\[(\d+)\] = \{([^}]*)\}", text):
        data += b"\0"*(-len(data) % 16)
        symbols.append((name, len(data), int(n)))
        data += bytes(int(x) for x in values.split(",")).ljust(int(n), b"\0")
    return data, symbols


class Elf:
    def __init__(self, number):
        self.body, self.rows, self.names, self.number = b"", [(0,)*10], b"\0", number
        self.symbols, self.strings = [(0,)*6], b"\0"

    def section(self, name, kind, flags, data, link=0, info=0, align=1, entry=0):
        self.body += b"\0"*(-(64 + len(self.body)) % align)
        at = 64 + len(self.body)
        self.body += data
        self.rows.append((len(self.names), kind, flags, 0, at, len(data), link, info, align, entry))
        self.names += name.encode() + b"\0"
        return len(self.rows) - 1

    def symbol(self, name, info, section, value, size):
        self.symbols.append((len(self.strings), info, 0, section, value, size))
        self.strings += name.encode() + b"\0"

    def end(self):
        strings = self.section(".strtab", 3, 0, self.strings)
        self.section(".symtab", 2, 0, b"".join(struct.pack("<IBBHQQ", *s) for s in self.symbols), strings, 1, 8, 24)
        self.names += b".shstrtab\0"
        at = 64 + len(self.body)
        self.body += self.names
        self.rows.append((len(self.names) - 10, 3, 0, 0, at, len(self.names), 0, 0, 1, 0))
        self.body += b"\0"*(-(64 + len(self.body)) % 8)
        table = 64 + len(self.body)
        self.body += b"".join(struct.pack("<IIQQQQIIQQ", *r) for r in self.rows)
        load = table + 64*len(self.rows)
        self.body += struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, load, load, 8)
        flags = 0x06000004 | self.number << 8
        return struct.pack("<4sBBBBQHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0x41, 8, 2, 190, 1, 0, load, table, flags, 64, 56,
                           1, 64, len(self.rows), len(self.rows) - 1) + self.body


def main():
    words = sys.argv[1:]
    if os.environ.get("FAKE_PTXAS_LOG"):
        with open(os.environ["FAKE_PTXAS_LOG"], "a") as f:
            print(*words, sep="\t", file=f)
    if len(words) < 5 or words[0] != "-arch" or words[3] != "-o" or words[5:] not in ([], ["-v"]) or sys.stdin.read():
        fatal("called in another way: " + " ".join(words))
    with open(words[2]) as f:
        text = f.read()
    if ".version 8.0\n" not in text or ".target " + words[1] not in text or not text.endswith("\n"):
        fatal("another text")
    what = os.environ.get("FAKE_PTXAS", "")
    if what == "fail":
        print(f"ptxas {words[2]}, line 7; error   : Unknown symbol 'x'", file=sys.stderr)
        fatal("Ptx assembly aborted due to errors")
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "nothing":
        return
    elf = Elf(int(words[1][3:]))
    data, symbols = data_of(text)
    parts = [(re.match(r"(\w+)\(", p)[1], p) for p in text.split(".visible .entry ")[1:]]
    for name, p in parts:
        elf.section(".nv.info." + name, 0x70000000, 0, info_of(p), align=4)
    code = [elf.section(".text." + name, 1, 6, b"\0"*128, align=128) for name, p in parts]
    where = elf.section(".nv.global.init", 1, 3, data, align=16)
    for name, at, n in symbols:
        elf.symbol(name, 0x11, where, at, n)
    for (name, _), section in zip(parts, code):
        elf.symbol(name, 0x12, section, 0, 128)
        if words[5:]:
            print(f"ptxas info    : Compiling entry function '{name}' for '{words[1]}'\n"
                  f"ptxas info    : Function properties for {name}\n"
                  "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
                  "ptxas info    : Used 16 registers, used 1 barriers, " +
                  ("20480 bytes smem, " if name == parts[0][0] else "") + "400 bytes cmem[0]", file=sys.stderr)
    with open(words[4], "wb") as f:
        f.write(b"\0"*100 if what == "garbage" else elf.end())


main()
