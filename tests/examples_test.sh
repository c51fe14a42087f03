#!/usr/bin/env bash
# examples_test.sh FOLDER: each example runs at a tiny size and prints its figures.
set -euo pipefail
folder=$1
run() {  # run NAME EXPECTED ARGUMENT ...: the output must match the regular expression
  local name=$1 expected=$2 output
  shift 2
  output=$("$folder/$name" "$@") || { echo "$name failed"; exit 1; }
  grep -qE "$expected" <<<"$output" || { echo "$name: no \"$expected\" in:"; echo "$output"; exit 1; }
  seen+=("$name")
}
seen=()
run own_loop 'epoch 1: loss .* averaged weights' - 1
run resnet 'epoch 1: accuracy' - 1 1
run gan 'step 8: losses' 8
run char_lstm 'this is' - 4
run transformer 'of the places are right' 4
run segmentation 'epoch 1: .* of the pixels right' 64 1
run regression 'epoch 2: R2' - 2
run transfer 'measured again afterwards' 200 1
run own_data 'epoch 1: accuracy' 256 1
table=$(mktemp)
trap 'rm -f "$table"' EXIT
{ echo a,b,y; for i in $(seq 100); do echo "$i,$((i % 7)),$((3 * i))"; done; } >"$table"
run regression 'epoch 4: R2' "$table" 4
all=$(cd "$folder" && ls)
[ "$(printf '%s\n' "${seen[@]}" | sort -u)" = "$all" ] || { echo "not all examples were run: $all"; exit 1; }
echo "examples: ok"
