#!/usr/bin/env bash
# install_test.sh BUILD: installs Ballast from a build folder and, outside of the tree, builds and runs README's example
# against it, exactly as it stands there, with each compiler that there is.
set -euo pipefail
build=$1
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >/dev/null

# extract DOCUMENT NAME FOLDER FILE: the code block that follows the line <!-- NAME -->.
extract() {
  mkdir -p "$work/$3"
  awk -v mark="<!-- $2 -->" '$0 == mark { found = 1; next } found && /^```/ { if (inside) exit; inside = 1; next } inside' "$root/$1" >"$work/$3/$4"
  [ -s "$work/$3/$4" ] || { echo "$1 has no block for $4"; exit 1; }
}
extract README.md example user example.cpp
extract README.md cmake user CMakeLists.txt
for file in train.cpp classify.cpp mine.cpp CMakeLists.txt; do extract docs/program.md "$file" own "$file"; done
cat >>"$work/user/CMakeLists.txt" <<'CMAKE'
if(NOT CMAKE_MODULE_PATH STREQUAL "mine")
  message(FATAL_ERROR "find_package(Ballast) changed CMAKE_MODULE_PATH to ${CMAKE_MODULE_PATH}")
endif()
CMAKE

for compiler in g++ clang++; do
  command -v "$compiler" >/dev/null || continue
  cmake -S "$work/user" -B "$work/$compiler" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_MODULE_PATH=mine -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror" >/dev/null
  cmake --build "$work/$compiler"
  (cd "$work" && "$work/$compiler/example") | tee "$work/output"
  grep -Eq '^[0-9.]+%$' "$work/output" || { echo "$compiler: the example did not print its accuracy"; exit 1; }
done

# The programs of docs/program.md: a loop by `fit`, a word of their own, and a network used in C++, which says what the
# program says.
cmake -S "$work/own" -B "$work/own/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror" >/dev/null
cmake --build "$work/own/build"
cd "$work"
own/build/train | tee output
grep -Eq '^epoch [0-9]+ is the best; test accuracy 0\.9' output || { echo "train: no good accuracy"; exit 1; }
prefix/bin/ballast data convert digits --to images:pictures --train-size 100 --test-size 20 >/dev/null
own/build/mine train --data pictures --model "flatten, linear 32, relu2, linear" --epochs 1 --out own_run >/dev/null
prefix/bin/ballast train --data pictures --model "flatten, linear 32, norm, act, linear" --epochs 1 --out run >/dev/null
picture=$(find pictures/test -name '*.png' | sort | head -n 1)
said=$(prefix/bin/ballast predict run "$picture")
[ "$(own/build/classify run "$picture")" = "$said" ] || { echo "classify doesn't say what the program says: $said"; exit 1; }
! prefix/bin/ballast predict own_run "$picture" >/dev/null 2>&1 || { echo "the program knows relu2"; exit 1; }
own/build/mine predict own_run "$picture" >/dev/null || { echo "mine doesn't know its word"; exit 1; }
