#!/usr/bin/env bash
# headers_test.sh INCLUDE COMPILER: every header, public or internal, compiles alone and without a warning.
set -euo pipefail
export include=$1 compiler=$2
check() {  # check HEADER
  "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -I"$include" -include "$1" -x c++ /dev/null ||
    { echo "$1 doesn't compile alone" >&2; return 1; }
}
export -f check
(cd "$include" && find -L ballast -name '*.h' | sort) | xargs -P "$(nproc)" -I{} bash -c 'check {}'
