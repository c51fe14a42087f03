#!/usr/bin/env bash
# install_test.sh BUILD: installs Ballast from a build folder and, outside of the tree, builds and runs README's example
# against it, exactly as it stands there, with each compiler that there is.
set -euo pipefail
build=$1
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >/dev/null

# extract NAME: the code block of README that follows the line <!-- NAME -->
extract() {
  awk -v mark="<!-- $1 -->" '$0 == mark { found = 1; next } found && /^```/ { if (inside) exit; inside = 1; next } inside' "$root/README.md"
}
mkdir "$work/user"
extract example >"$work/user/example.cpp"
extract cmake >"$work/user/CMakeLists.txt"
for file in example.cpp CMakeLists.txt; do
  [ -s "$work/user/$file" ] || { echo "README has no block for $file"; exit 1; }
done
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
