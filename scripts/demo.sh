#!/bin/sh
# What the compiler can do, on small things and in a few minutes: sets up, builds, checks the text of
# RWKV-7, runs and differentiates a small one on real bytes, shows a diagnostic, and, where the shared
# folder is there, lets the trained digit reverser reverse.
set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh
cmake --preset release >/dev/null
cmake --build --preset release | tail -n 1
bin=$PWD/build/bin
shared=${RWKVC_SHARED:-$PWD/../shared}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

say() { printf '\n== %s\n' "$*"; }
short() { sed "s|$bin/||g; s|$tmp/||g; s|$PWD/||g"; }
show() { # prints a command, then runs it
    printf '$ %s\n' "$(echo "$*" | short)"
    code=0
    "$@" >"$tmp/said" 2>&1 || code=$?
    short <"$tmp/said"
    return $code
}
end_of() { # the same, the last $1 lines of what it prints
    n=$1
    shift
    printf '$ %s | tail -n %s\n' "$(echo "$*" | short)" "$n"
    "$@" | tail -n "$n"
}

say "One text, checked: its entries and what it costs, before anything is made"
show "$bin/rwkvc" models/rwkv7.rwkv
end_of 12 "$bin/rwkvc" models/rwkv7.rwkv --report

# Bytes of the README as 4 rows of 32; an .npy file is a header and the numbers.
array() { # array FILE FIRST: bytes FIRST..FIRST+127 as [4,32]
    {
        printf '\223NUMPY\001\000\166\000'
        printf "%-117s\n" "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 32), }"
        dd if=README.md bs=1 skip="$2" count=128 2>/dev/null
    } >"$1"
}
small="-D V=256 -D L=2 -D D=128 -D N=64"
say "A small one, with first values, on 128 bytes of the README: loss and every gradient, in float64"
array "$tmp/token.npy" 0
array "$tmp/target.npy" 1
# shellcheck disable=SC2086
{
    show "$bin/rwkvc" eval models/rwkv7.rwkv init $small -o "$tmp/p.safetensors"
    show "$bin/rwkvc" eval models/rwkv7.rwkv grad $small --params "$tmp/p.safetensors" \
        --in token="$tmp/token.npy" --in target="$tmp/target.npy" --grads "$tmp/g.safetensors"
}
end_of 3 "$bin/rwkvc" dump "$tmp/g.safetensors"

say "A mistake, and what is said about it"
sed 's/linear(mix(x_k), key.weight)/linear(mix(x_k), w1)/' models/rwkv7.rwkv >"$tmp/wrong.rwkv"
show "$bin/rwkvc" "$tmp/wrong.rwkv" -I models || true

say "The trained digit reverser: 31415, reversed by argmax"
weights=$shared/data/260123_reverse_L2_only_rwkv7.pth
if [ ! -r "$weights" ]; then
    echo "SKIP: no shared folder (RWKVC_SHARED)"
    exit 0
fi
python3 - "$bin/rwkvc" "$weights" "$tmp" <<'PY'
import struct, subprocess, sys
rwkvc, weights, tmp = sys.argv[1:]

def run(ids, entry, state_in):
    """The digit with the highest logit after the last of ids."""
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, %d), }" % len(ids)
    text += " "*(-(len(text) + 11) % 64) + "\n"
    with open(tmp + "/ids.npy", "wb") as f:
        f.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + bytes(ids))
    words = [rwkvc, "eval", "models/reverse.rwkv", entry, "--params", weights, "--in", "token=%s/ids.npy" % tmp,
             "--out", "logits=%s/y.npy" % tmp, "--state-out", tmp + "/s.safetensors"]
    words += ["--state-in", tmp + "/s.safetensors"] if state_in else []
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(tmp + "/y.npy", "rb") as f:
        row = struct.unpack("<12d", f.read()[-96:])
    return row.index(max(row))

digits = "31415"
out, token = "", run([int(c) for c in digits] + [10], "prefill", False)
while token < 10 and len(out) < 20:
    out += str(token)
    token = run([token], "prefill", True)
print(digits + "," + out)
sys.exit(out != digits[::-1])
PY
