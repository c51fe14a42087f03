#!/usr/bin/env bash
# lr_find.sh BALLAST MNIST: what the learning rate that `ballast train --lr-find` suggests is worth. On three data sets (MNIST in
# that folder, the built-in digits, a table drawn here) trains at the suggested rate and at each of a grid of seven for two epochs,
# and prints the test accuracy of each.
set -euo pipefail
ballast=$(realpath "$1")
mnist=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Six classes by a random network of twelve correlated columns of different scales, and noise.
awk 'function normal() { return sqrt(-2 * log(1 - rand())) * cos(6.283185307 * rand()) }
  BEGIN {
    srand(7)
    for (i = 0; i < 12; ++i) { scale[i] = 0.5 + 50 * rand(); printf "x%d,", i; for (j = 0; j < 16; ++j) v[i, j] = normal() / 2 }
    print "class"
    for (j = 0; j < 16; ++j) for (k = 0; k < 6; ++k) w[j, k] = normal()
    for (n = 0; n < 20000; ++n) {
      common = normal()
      for (i = 0; i < 12; ++i) { x[i] = normal() + common / 2; printf "%.5g,", scale[i] * x[i] }
      best = -1e9
      for (k = 0; k < 6; ++k) s[k] = normal() / 3
      for (j = 0; j < 16; ++j) {
        h = 0
        for (i = 0; i < 12; ++i) h += x[i] * v[i, j]
        h = 2 / (1 + exp(-2 * h)) - 1
        for (k = 0; k < 6; ++k) s[k] += h * w[j, k]
      }
      for (k = 0; k < 6; ++k) if (s[k] > best) { best = s[k]; class = k }
      print substr("abcdef", class + 1, 1)
    }
  }' >table.csv

measure() {  # measure NAME OPTIONS...
  local name=$1 suggested
  shift
  suggested=$("$ballast" train "$@" --lr-find 2>/dev/null | sed -n 's/^suggestion: --lr \([^,]*\),.*/\1/p')
  for lr in 0.0001 0.0003 0.001 0.003 0.01 0.03 0.1 "$suggested"; do
    rm -rf run
    printf '%s lr %s: ' "$name" "$lr"
    "$ballast" train "$@" --epochs 2 --lr "$lr" --out run 2>/dev/null | sed -n 's/^test accuracy \([0-9.]* %\).*/\1/p'
  done
  echo "(the last one is the suggestion)"
}
measure MNIST --data "$mnist" --model mlp
measure table --data table.csv --test 0.5
measure digits --model cnn --test-size 10000
