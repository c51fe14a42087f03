#!/usr/bin/env bash
# samples_test.sh PYTHON [BUILD]: runs PyTorch's own test samples of the operations that Ballast has, forward and backward, in float and
# double, and prints which options Ballast doesn't have. PYTHON is an interpreter with torch, safetensors, expecttest and hypothesis (all
# from PyPI); BUILD is build/release.
set -euo pipefail
python=$1
cd "$(dirname "$0")/../.."
build=${2:-build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -W ignore tests/samples/samples.py "$work"
cmake --build "$build" --target ballast_samples ballast_samples_f64 >/dev/null
for precision in "" _f64; do
  echo "ballast_samples$precision:"
  "$build/ballast_samples$precision" "$work"
done
