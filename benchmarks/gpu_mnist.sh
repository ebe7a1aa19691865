#!/usr/bin/env bash
# The runs of configs/mnist on one GPU: trains, tests, and measures under rotations, without a
# network. Stops after the given minutes; the same call goes on where it stopped.
#   benchmarks/gpu_mnist.sh --minutes 30 --source FOLDER_OF_IDX_FILES [--data DIR] [--out DIR]
# Leaves checkpoints and results.json in OUT (default runs/mnist) and prints the table.
set -euo pipefail
cd "$(dirname "$0")/.."

# The small ones with three seeds first, then segmentation from the cheapest to the dearest.
runs=()
for protocol in nr_nr r_r nr_r; do
  for network in s2cnn_59k cnn_58k healswin_published healswin_vertex healswin_iso s2cnn_155k; do
    runs+=("classification/${network}_${protocol}:0,1,2")
  done
done
for network in cnn_218k cnn_1m healswin_published healswin_vertex healswin_iso cnn_5m s2cnn_204k; do
  runs+=("segmentation/four_digits_${network}:0")
done
runs+=(segmentation/one_digit_upright_cnn_5m:0 segmentation/one_digit_upright_s2cnn_204k:0)

exec "${PYTHON:-python}" benchmarks/mnist.py "$@" --runs "${runs[@]}"
