#!/usr/bin/env bash
# headers_test.sh INCLUDE COMPILER...: every header, public or internal, compiles alone and without a warning, by each compiler.
set -euo pipefail
export include=$1
check() {  # check COMPILER HEADER
  "$1" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -I"$include" -include "$2" -x c++ /dev/null ||
    { echo "$2 doesn't compile alone by $1" >&2; return 1; }
}
export -f check
for compiler in "${@:2}"; do
  (cd "$include" && find -L ballast -name '*.h' | sort) | xargs -P "$(nproc)" -I{} bash -c "check '$compiler' {}"
done
