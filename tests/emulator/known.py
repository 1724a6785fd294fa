#!/usr/bin/env python3
"""The emulator knows every instruction of the kernels of some models, for all its processors, in f32, bf16 and f16.

    known.py [FILE]...        default: models compiled for this

More than the tests run: kernels of large sizes have other tiles, and other instructions.
"""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.environ.get("RWKVC_BIN", os.path.join(ROOT, "build", "bin")))
MODELS = (
    ("rwkv7a", "bf16", ".hsaco"), ("retinex", "f32", ".hsaco"), ("rwkv7", "f32", ".ptx"),
    ("rwkv7", "bf16", ".ptx"), ("rwkv7", "f16", ".ptx"), ("retinex", "f16", ".ptx"),
)


def compiled(folder, name, dtype, ending):
    path = os.path.join(folder, f"{name}-{dtype}{ending}")
    subprocess.run([os.path.join(BIN, "rwkvc"), os.path.join(ROOT, "models", name + ".rwkv"), "-o", path,
                    "--dtype=" + dtype], check=True)
    return path


def main():
    with tempfile.TemporaryDirectory() as folder:
        files = sys.argv[1:] or [compiled(folder, *m) for m in MODELS]
        return subprocess.run([os.path.join(BIN, "emulator_known"), *files], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
