#!/usr/bin/env bash
# tidy.sh INCLUDE: clang-tidy with the checks of .clang-tidy over all sources of the library and the program.
set -euo pipefail
include=$(realpath "$1")
cd "$(dirname "$0")/.."
find core layers optim data apps -name '*.cpp' -not -path '*/isa/*' -not -path '*/bench/*' -print0 |
  xargs -0 -n 1 -P "$(nproc)" sh -c 'clang-tidy --quiet "$1" -- -std=c++20 -I"$0" -I"$0/../apps" -Iapps -DBALLAST_VERSION=\"\" 2>/dev/null' "$include"
echo "clang-tidy: clean"
