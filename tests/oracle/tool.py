"""Runs an entry of a model text as a subprocess and hands back what it wrote.

mode "eval": the text is interpreted,         rwkvc eval MODEL.rwkv ENTRY -D ... flags
mode "run":  the text is compiled once first, rwkvc MODEL.rwkv -o x.so -D ...; rwkv run x.so ENTRY flags
             (x.hsaco, x.ptx for GPUs)
"""
import hashlib
import os
import subprocess
import threading

import numpy as np

import files

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.normpath(os.path.join(HERE, "..", "..", "models"))


class ToolError(Exception):
    pass


class Result:
    """outs: results by name; state, grads, params, opt, taps: what was asked for."""


class Tool:
    def __init__(self, rwkvc, folder, mode="eval", rwkv=None, target="native", dtype="f32", device=(), timeout=600):
        """target, dtype and device (options of `rwkv` that choose one): of mode "run"."""
        self.rwkvc, self.folder, self.mode, self.timeout = rwkvc, folder, mode, timeout
        self.target, self.dtype, self.device = target, dtype, list(device)
        self.ending = ".hsaco" if target.startswith("gfx") else ".ptx" if target.startswith("sm_") else ".so"
        self.rwkv = rwkv or os.path.join(os.path.dirname(rwkvc), "rwkv")
        self.count, self.lock, self.compiled = 0, threading.Lock(), {}

    def path(self, ending):
        with self.lock:
            self.count += 1
            return os.path.join(self.folder, "%04d%s" % (self.count, ending))

    def command(self, words):
        done = subprocess.run([str(w) for w in words], capture_output=True, text=True,
                              timeout=self.timeout)
        if done.returncode:
            text = (done.stderr or done.stdout).strip().split("\n")
            raise ToolError("exit %d: %s" % (done.returncode, "\n    ".join(text[:6])))
        return done.stdout

    def start(self, text, entry, defines):
        """The words in front of the flags."""
        define = [w for k, v in defines.items() for w in ("-D", "%s=%s" % (k, v))]
        if self.mode == "eval":
            return [self.rwkvc, "eval", text, entry, "-I", MODELS] + define
        key = hashlib.sha256(repr((text, define)).encode()).hexdigest()[:16]
        with self.lock:
            if key not in self.compiled:
                self.compiled[key] = os.path.join(self.folder, key + self.ending)
                self.command([self.rwkvc, text, "-o", self.compiled[key], "-I", MODELS,
                              "--target=" + self.target, "--dtype=" + self.dtype] + define)
        return [self.rwkv, "run", self.compiled[key], entry] + (self.device if entry != "init" else [])

    def file(self, tensors):
        """A path as it is, or the path of a new file with these tensors."""
        if isinstance(tensors, str):
            return tensors
        path = self.path(".safetensors")
        files.save(path, tensors)
        return path

    def call(self, text, entry, defines=None, params=None, ins=None, outs=(), state_in=None,
             state_out=False, grads=False, params_out=False, opt_in=None, opt_out=False,
             taps=False, scalars=None, seed=None, threads=None):
        words = self.start(text, entry, defines or {})
        for name, a in (ins or {}).items():
            path = self.path(".npy")
            np.save(path, a)
            words += ["--in", "%s=%s" % (name, path)]
        for flag, tensors in (("--params", params), ("--state-in", state_in), ("--opt-in", opt_in)):
            if tensors is not None:
                words += [flag, self.file(tensors)]
        for name, v in (scalars or {}).items():
            words += ["--set", "%s=%r" % (name, v)]
        if threads is not None and self.mode == "run":
            words += ["--threads", threads]
        if seed is not None:
            words += ["--seed", seed]
        wanted = {n: self.path(".npy") for n in outs}
        for name, path in wanted.items():
            words += ["--out", "%s=%s" % (name, path)]
        r, made = Result(), {}
        for flag, field, on in (("--state-out", "state", state_out), ("--grads", "grads", grads),
                                ("--params-out", "params", params_out),
                                ("--opt-out", "opt", opt_out), ("--taps", "taps", taps)):
            if on:
                made[field] = self.path(".safetensors")
                words += [flag, made[field]]
        self.command(words)
        r.outs = {n: np.load(p) for n, p in wanted.items()}
        for field, path in made.items():
            setattr(r, field, files.load(path))
        return r

    def convert(self, source):
        """A .safetensors in the official form of any checkpoint."""
        path = self.path(".safetensors")
        self.command([self.rwkv, "convert", source, path])
        return path
