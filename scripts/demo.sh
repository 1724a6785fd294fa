#!/bin/sh
# What the compiler can do, on small things and in a few minutes: sets up, builds, checks the text of
# RWKV-7, runs and differentiates a small one on real bytes, shows a diagnostic; compiles one of 1.3
# million parameters, trains it on the project's own documents, is killed and goes on, beats a model of
# byte trigrams on text held back, and writes, on the processor and on emulated GPUs; and, where the shared
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
end_of 8 "$bin/rwkvc" models/rwkv7.rwkv --report

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

say "Compiled: an RWKV-7 of 1.3 million parameters, in one file that needs no compiler and no Python"
model="-D V=256 -D L=5 -D D=128 -D N=64"
# shellcheck disable=SC2086
show "$bin/rwkvc" models/rwkv7.rwkv $model -o "$tmp/rwkv7.so"
printf '$ rwkv info rwkv7.so | head -n 4\n'
"$bin/rwkv" info "$tmp/rwkv7.so" | sed -n 1,4p

say "Text: the documents and model texts of this project; the last tenth of each is held back"
for file in README.md docs/*.md models/*.rwkv; do
    bytes=$(($(wc -c <"$file")))
    head -c $((bytes*9/10)) "$file" >>"$tmp/train.txt"
    tail -c +$((bytes*9/10 + 1)) "$file" >>"$tmp/held.txt"
done
wc -c "$tmp/train.txt" "$tmp/held.txt" | short
python3 - "$tmp/train.txt" "$tmp/held.txt" >"$tmp/trigram" <<'PY'
import math, sys
from collections import Counter, defaultdict
train, held = (open(path, "rb").read() for path in sys.argv[1:])
seen = [defaultdict(Counter) for _ in range(3)]
for k in range(3):
    for i in range(k, len(train)):
        seen[k][train[i - k:i]][train[i]] += 1

def probability(before, byte):
    """of a byte behind two, one or none: counts, with what is behind one less where they are few"""
    less = probability(before[1:], byte) if before else 1/256
    counts = seen[len(before)].get(before)
    if not counts:
        return less
    total = sum(counts.values())
    return (counts[byte] + len(counts)*less)/(total + len(counts))

nats = [-math.log(probability(held[max(0, i - 2):i], held[i])) for i in range(1, len(held))]
print("%.4f" % (sum(nats)/len(nats)))
PY
echo "entropy of a byte trigram model counted on the same text, on what is held back: $(cat "$tmp/trigram") nats a byte"

say "Training: killed half way, and resumed"
train() { # in a process of its own, which a kill hits
    exec "$bin/rwkv" train "$tmp/rwkv7.so" --data "$tmp/train.txt" --val "$tmp/held.txt" -o "$tmp/run" --steps 600 \
        --batch 8 --ctx 64 --lr 3e-3 --lr-final 2e-4 --warmup 20 --save-every 100 --log-every 50 "$@"
}
echo '$ rwkv train rwkv7.so --data train.txt --val held.txt -o run --steps 600 --batch 8 --ctx 64 --lr 3e-3 ...'
train &
run=$!
while kill -0 $run 2>/dev/null && [ "$(cat "$tmp/run/metrics.csv" 2>/dev/null | wc -l)" -lt 340 ]; do sleep 0.2; done
kill -9 $run 2>/dev/null || true
wait $run 2>/dev/null || true
echo '$ kill -9; rwkv train ... --resume'
(train --resume)
loss=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "val_loss") v = i } NF >= v && $v != "" { last = $v } END { print last }' \
    "$tmp/run/metrics.csv")
echo "on what is held back: model $loss, trigrams $(cat "$tmp/trigram") nats a byte"
awk -v a="$loss" -v b="$(cat "$tmp/trigram")" 'BEGIN { exit !(a < b) }'

say "Writing: 200 bytes behind '## The '"
"$bin/rwkv" generate "$tmp/rwkv7.so" --params "$tmp/run/model.safetensors" --vocab bytes --prompt "## The " \
    --temperature 0.8 --top-p 0.9 --seed 1 --n 200
echo

say "The same model for AMD's and NVIDIA's GPUs, on the emulator: what they write is what the processor writes"
# shellcheck disable=SC2086
show "$bin/rwkvc" models/rwkv7.rwkv $model -o "$tmp/rwkv7.hsaco"
# shellcheck disable=SC2086
show "$bin/rwkvc" models/rwkv7.rwkv $model -o "$tmp/rwkv7.ptx"
writes() { "$bin/rwkv" generate "$1" --params "$tmp/run/model.safetensors" --vocab bytes --prompt "## The " --temperature 0 \
    --n 12 --device "$2" --hip-library "$bin/../libamdhip64-emu.so" --cuda-library "$bin/../libcuda-emu.so"; }
for device in hip:0 hip:1 cuda:0; do
    case $device in hip*) file=rwkv7.hsaco ;; *) file=rwkv7.ptx ;; esac
    printf '$ rwkv generate %s --prompt "## The " --n 12 --device %s\n' $file $device
    writes "$tmp/$file" $device | tee "$tmp/on.$device"
    echo
    writes "$tmp/rwkv7.so" cpu | cmp - "$tmp/on.$device"
done

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
