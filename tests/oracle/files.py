"""Tensors in files: .safetensors read and written, numpy only."""
import json
import struct

import numpy as np

KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
         "I8": "i1", "U8": "u1", "BOOL": "?"}


def widen(kind, raw):
    """The numbers of one tensor; bf16 becomes float32."""
    if kind == "BF16":
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, KINDS[kind])


def load(path):
    """{name: array} of a .safetensors file."""
    with open(path, "rb") as f:
        data = f.read()
    size, = struct.unpack_from("<Q", data)
    out = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            raw = data[8 + size + begin:8 + size + end]
            out[name] = widen(entry["dtype"], raw).reshape(entry["shape"])
    return out


def save(path, tensors):
    kinds = {np.dtype(v): k for k, v in KINDS.items()}
    head, at, blobs = {}, 0, []
    for name, a in tensors.items():
        a = np.asarray(a, order="C")
        head[name] = {"dtype": kinds[a.dtype], "shape": list(a.shape),
                      "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
        blobs.append(a.tobytes())
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
