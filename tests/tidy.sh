#!/usr/bin/env bash
# tidy.sh INCLUDE [K/N]: clang-tidy with the checks of .clang-tidy over the sources of the library and the program, or over
# the K-th of N equal parts of them.
set -euo pipefail
include=$(realpath "$1") part=${2:-1/1}
cd "$(dirname "$0")/.."
find core layers optim data apps -name '*.cpp' -not -path '*/isa/*' -not -path '*/bench/*' | sort |
  awk -v part="${part%/*}" -v parts="${part#*/}" 'NR % parts == part - 1' |
  xargs -n 1 -P "$(nproc)" sh -c 'clang-tidy --quiet "$1" -- -std=c++20 -I"$0" -I"$0/../apps" -Iapps -DBALLAST_VERSION=\"\" 2>/dev/null' "$include"
echo "clang-tidy: clean"
