#!/usr/bin/env bash
# real_job.sh MNIST_FOLDER [ROUNDS]: the cnn on all of MNIST's training images, 3 epochs, as a whole process: `ballast train`, which measures the
# test part once, and the same job by PyTorch's C++ API (build/reference/mnist_cnn, which reference/build.sh builds) in turn, which does after each epoch. Prints each one's seconds by the clock; the
# reference runs as it is and with passive waiting of its threads.
# Environment: THREADS (2).
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
threads=${THREADS:-2}
unset OPENBLAS_CORETYPE  # forced kernels would be unfair to both
"$here/../../cmake/setup.sh" release ballast
reference=$here/../../build/reference/mnist_cnn
[ -x "$reference" ] || { echo "error: $reference is missing; build it with apps/bench/reference/build.sh" >&2; exit 2; }
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
  gzip -cdf "$1/$name-ubyte"* >"$temporary/$name-ubyte"
done

timed() {  # timed NAME COMMAND...
  local name=$1 begin end
  shift
  begin=$(date +%s.%N)
  "$@" >"$temporary/output"
  end=$(date +%s.%N)
  printf '%-18s %7.1f s   %s\n' "$name" "$(awk "BEGIN { print $end - $begin }")" "$(grep -E '^(test accuracy|epoch 3)' "$temporary/output" | tail -n 1)"
}
for _ in $(seq "${2:-1}"); do
  rm -rf "$temporary/run"
  timed ballast "$here/../../build/release/ballast" train --data "$1" --model cnn --norm batch --epochs 3 --validation 0 --threads "$threads" --out "$temporary/run"
  export OMP_NUM_THREADS=$threads
  timed libtorch "$reference" "$temporary" 3
  timed libtorch-passive env OMP_WAIT_POLICY=passive "$reference" "$temporary" 3
done
