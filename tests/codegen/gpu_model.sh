#!/bin/sh
# models/rwkv7.rwkv, small, as GPU code: gpu_model.sh TEST_KERNELS TARGET SIZE_OF_HEADS
set -e
cd "$(dirname "$0")/../.."
for entry in "step -B 3 -T 1" "prefill -B 2 -T 37" "grad -B 1 -T 37"; do
    # shellcheck disable=SC2086
    "$1" -m models/rwkv7.rwkv $entry -t "$2" -s -D D=128 -D N="$3" -D V=32 -D L=2
done
