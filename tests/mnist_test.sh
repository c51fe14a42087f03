#!/usr/bin/env bash
# Folding, certifying and recalibrating a network that was trained on MNIST, at full size. About 5 minutes; not part of the suite, for MNIST
# isn't part of the project: tests/run.sh runs it when BALLAST_MNIST names the folder with MNIST's four files.
# Usage: mnist_test.sh <ballast> <mnist> [<run>]    <run>: ballast train --data <mnist> --model cnn --norm batch --epochs 3 has been here
data=$(realpath "$2") given=${3:+$(realpath "$3")}
source "$(dirname "$0")/cli.sh"

if [ -z "$given" ]; then
  expect 0 'run folder: given' train --data "$data" --model cnn --norm batch --epochs 3 --out given
  cat out.txt
  given=given
fi
mkdir run
cp "$given/best.safetensors" run
accuracy_of() { sed -n "s/^$1.*test accuracy \([0-9.]*\) %.*/\1/p" out.txt; }
within() { awk "BEGIN { exit !($1 <= $2) }"; }

echo "fold: equal predictions, outputs within 1e-4"
expect 0 'equal predictions on 10000 of 10000 test images' fold run --data "$data"
cat out.txt
within "$(sed -n 's/.*differ by at most \([^ ]*\) .*/\1/p' out.txt)" 1e-4 || fail "logits"

echo "certify: 10,000 probes within the bound, each layer's own attained within 1 %"
expect 0 '10000 random probes: none exceeds the bound' certify run --data "$data"
cat out.txt
[ "$(grep -cE '^[0-9].* (Conv2d|Linear) .* (99\.[0-9]*|100\.00) %$' out.txt)" -eq 4 ] || fail "bounds that aren't attained"

echo "recalibrate: the accuracy of a network whose statistics were reset comes back within 0.2 percentage points"
expect 0 'test accuracy' eval run --data "$data"
trained=$(accuracy_of run)
cp run/best.safetensors reset.safetensors
for layer in 1 5; do
  fill reset.safetensors $layer.running_mean '\0\0\0\0'
  fill reset.safetensors $layer.running_var '\0\0\200\77'
done
expect 0 'written: reset-recalibrated.safetensors' recalibrate reset.safetensors --data "$data"
cat out.txt
within "$(accuracy_of before)" "$trained - 1" || fail "the reset did no harm"
within "$trained - 0.2" "$(accuracy_of after)" || fail "the accuracy was $trained"

[ $failures -eq 0 ] && echo "all well" || exit 1
