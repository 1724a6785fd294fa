"""Runs the programs in a folder of its own and checks exit codes and texts. No numpy here."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = os.path.join(ROOT, "models")
BIN = os.path.abspath(os.environ.get("RWKVC_BIN", os.path.join(ROOT, "build", "bin")))

# A product that is worth a kernel of its own, what follows it, a recurrence, a loss.
SMALL = """const V = 128, D = 128, L = 3
axis T
cell keep(x[D]) -> y[D] {
    state S[D] = 0
    S = 0.5*S + x
    y = S
}
model tiny(token[T]: index(V)) -> logits[T,V] along T {
    param emb.weight[V,D] ~ uniform(-1, 1)
    param head.weight[V,D] ~ normal(0.5)
    x[t,d] = emb.weight[token[t],d]
    for l in L as blocks.{l} {
        param mix.weight[D,D] ~ normal(0.1)
        k[t,i] = sum[d] mix.weight[i,d]*x[t,d]
        x = x + keep(tanh(k)) along T
    }
    logits[t,v] = sum[d] head.weight[v,d]*x[t,d]
}
train tiny(target[T]: index(V)) { loss = mean[b,t] (0 - logits[b,t,target[b,t]]) }
"""

CASES = []


def case(fn):
    CASES.append(fn)
    return fn


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


class Bench:
    """One case: a folder, programs run in it, and what did not come out as it should."""

    def __init__(self, folder):
        self.folder, self.faults, self.env = folder, [], {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return name

    def call(self, *words, stdout=subprocess.PIPE):
        """A program of BIN, with an environment that has nothing of ours."""
        words = [os.path.join(BIN, words[0])] + [str(w) for w in words[1:]]
        keep = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
        done = subprocess.run(words, cwd=self.folder, stdout=stdout, stderr=subprocess.PIPE, text=True,
                              timeout=300, env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", **keep, **self.env})
        return Done(done.returncode, done.stdout, done.stderr)

    def expect(self, words, code, out=None, err=None):
        """Runs it; `out` and `err` are pieces that must occur (a str or a list; "" for: nothing)."""
        done = self.call(*words)
        line = " ".join(str(w) for w in words)
        if done.code != code:
            self.faults.append(f"{line}\n    exit {done.code}, not {code}: {done.err.strip()}")
        for name, text, wanted in (("out", done.out, out), ("err", done.err, err)):
            if wanted == "" and text:
                self.faults.append(f"{line}\n    std{name} should be empty: {text.strip()}")
            for piece in [wanted] if isinstance(wanted, str) else wanted or []:
                if piece not in text:
                    self.faults.append(f"{line}\n    std{name} lacks '{piece}': {text.strip()}")
        return done

    def check(self, what, good):
        if not good:
            self.faults.append(what)

    def same(self, what, got, wanted):
        self.check(f"{what}: {got!r}, not {wanted!r}", got == wanted)

    def close(self, what, got, wanted, bar=1e-12):
        got, wanted = flat(got), flat(wanted)
        good = len(got) == len(wanted) and all(abs(g - w) <= bar*max(1, abs(w)) for g, w in zip(got, wanted))
        self.check(f"{what}: {got[:8]}, not {wanted[:8]}", good)


def flat(x):
    return [n for part in x for n in flat(part)] if isinstance(x, (list, tuple)) else [x]


# ---- files ---------------------------------------------------------------------------------------

CODES = {"<f8": "d", "<f4": "f", "<i8": "q", "<i4": "i", "<i2": "h", "|u1": "B", "|b1": "?"}
DTYPES = {"F64": "d", "F32": "f", "I64": "q", "I32": "i", "U8": "B"}


def count(shape):
    n = 1
    for k in shape:
        n *= k
    return n


def npy(shape, numbers, dtype="<f8"):
    """The bytes of an .npy file."""
    text = "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }" % (
        dtype, "".join("%d," % n for n in shape))
    text += " "*(-(len(text) + 11) % 64) + "\n"
    data = struct.pack("<%d%s" % (count(shape), CODES[dtype]), *flat(numbers))
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + data


def read_npy(path):
    """(dtype, shape, flat numbers)"""
    with open(path, "rb") as f:
        data = f.read()
    size = struct.unpack("<H", data[8:10])[0]
    head = eval(data[10:10 + size].decode(), {"__builtins__": {}}, {"False": False, "True": True})
    shape = list(head["shape"])
    return head["descr"], shape, list(struct.unpack_from("<%d%s" % (count(shape), CODES[head["descr"]]),
                                                         data, 10 + size))


def safetensors(tensors):
    """The bytes of a file; tensors: {name: (dtype, shape, numbers)}."""
    head, data = {}, b""
    for name, (dtype, shape, numbers) in tensors.items():
        piece = struct.pack("<%d%s" % (count(shape), DTYPES[dtype]), *flat(numbers))
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(head).encode()
    text += b" "*(-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def read_safetensors(path):
    """{name: (dtype, shape, flat numbers)}, in the order of the file"""
    with open(path, "rb") as f:
        data = f.read()
    size = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, t in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            form = "<%d%s" % (count(t["shape"]), DTYPES[t["dtype"]])
            out[name] = (t["dtype"], t["shape"],
                         list(struct.unpack_from(form, data, 8 + size + t["data_offsets"][0])))
    return out


# ---- running -------------------------------------------------------------------------------------


def main():
    """Runs every case, or those named on the command line. Exit 0, 1, or 77: nothing is built."""
    for program in ("rwkvc", "rwkv"):
        if not os.path.exists(os.path.join(BIN, program)):
            print(f"SKIP: there is no {program} in {BIN}")
            return 77
    bad = 0
    for fn in CASES:
        if len(sys.argv) > 1 and fn.__name__ not in sys.argv[1:]:
            continue
        folder = tempfile.mkdtemp(prefix="rwkvc-cli-")
        b = Bench(folder)
        try:
            fn(b)
        except Exception:
            b.faults.append(traceback.format_exc())
        shutil.rmtree(folder)
        print(f"{fn.__name__}: {'FAIL' if b.faults else 'ok'}")
        for fault in b.faults:
            print("  " + fault)
        bad += bool(b.faults)
    print(f"{len(CASES)} cases, {bad} failed")
    return 1 if bad else 0
