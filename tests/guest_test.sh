#!/usr/bin/env bash
# guest_test.sh COMPILER: a project takes Ballast's source tree as a part of its own, by add_subdirectory and by FetchContent. It gets the
# library and nothing else: no tests, no programs, nothing that only these need, no setting that reaches beyond Ballast's folders.
set -euo pipefail
compiler=$1
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A machine without doctest and CLI11: what includes them doesn't compile.
mkdir -p "$work/absent/doctest" "$work/absent/CLI"
for header in doctest/doctest.h CLI/CLI.hpp; do echo "#error $header isn't installed" >"$work/absent/$header"; done
export CPATH=$work/absent

cat >"$work/main.cpp" <<'CPP'
#include <fmt/format.h>
#include <ballast/ballast.h>
int main() {
  using namespace ballast;
  manual_seed(1);
  Sequential net(Linear(2, 8), ReLU(), Linear(8, 2));
  SGD optimizer(net, {.lr = 0.5});
  const Tensor x = tensor({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
  const Labels y = {0, 1, 1, 1};
  double first = 0, last = 0;
  for (int step = 0; step < 20; ++step) {
    Tape tape;
    const Tensor loss = cross_entropy(net(x), y);
    tape.backward(loss);
    optimizer.step();
    last = loss.item();
    if (step == 0) first = last;
  }
  fmt::print("{} {}\n", first, last);
  return last < first ? 0 : 1;
}
CPP

project() {  # project NAME: a project whose Ballast comes by the command on standard input
  mkdir "$work/$1"
  cp "$work/main.cpp" "$work/$1"
  cat >"$work/$1/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.22)
project(guest LANGUAGES CXX)
enable_testing()
set(CMAKE_MODULE_PATH before)
get_property(variables DIRECTORY PROPERTY VARIABLES)
foreach(variable CMAKE_BUILD_TYPE CMAKE_CXX_STANDARD CMAKE_CXX_EXTENSIONS CMAKE_POSITION_INDEPENDENT_CODE
                 CMAKE_RUNTIME_OUTPUT_DIRECTORY CMAKE_MODULE_PATH BUILD_TESTING)
  set(\${variable}_before "\${\${variable}}")
endforeach()
$(cat)
foreach(variable CMAKE_BUILD_TYPE CMAKE_CXX_STANDARD CMAKE_CXX_EXTENSIONS CMAKE_POSITION_INDEPENDENT_CODE
                 CMAKE_RUNTIME_OUTPUT_DIRECTORY CMAKE_MODULE_PATH BUILD_TESTING)
  if(NOT "\${\${variable}}" STREQUAL "\${\${variable}_before}")
    message(FATAL_ERROR "Ballast changed \${variable} from '\${\${variable}_before}' to '\${\${variable}}'")
  endif()
endforeach()
foreach(target ballast_program ballast-bench ballast_tests ballast_core_f64 ballast_core_f32)
  if(TARGET \${target})
    message(FATAL_ERROR "a guest doesn't want \${target}")
  endif()
endforeach()
add_library(core INTERFACE)  # a name that a guest may want
add_executable(main main.cpp)
target_link_libraries(main PRIVATE ballast::ballast)
CMAKE
  cmake --no-warn-unused-cli -S "$work/$1" -B "$work/$1/build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="-Wall -Wextra" -DCMAKE_DISABLE_FIND_PACKAGE_doctest=ON \
    -DCMAKE_DISABLE_FIND_PACKAGE_CLI11=ON >"$work/log" || { cat "$work/log"; exit 1; }
  ctest --test-dir "$work/$1/build" -N | grep -q 'Total Tests: 0' || { echo "$1: Ballast's tests are among the guest's"; exit 1; }
  cmake --install "$work/$1/build" --prefix "$work/$1/prefix" >/dev/null
  [ ! -e "$work/$1/prefix" ] || { echo "$1: Ballast is installed with the guest"; exit 1; }
}

# What a guest compiles and how; that the library's own sources compile is seen in the builds of the tests.
compiles() {  # compiles NAME
  cmake --build "$work/$1/build" --target CMakeFiles/main.dir/main.cpp.o >"$work/log" || { cat "$work/log"; exit 1; }
  if grep -n 'warning:' "$work/log"; then exit 1; fi
}

project subdirectory <<<"add_subdirectory($root ballast)"
project fetched <<CMAKE
include(FetchContent)
FetchContent_Declare(Ballast SOURCE_DIR $root)
FetchContent_MakeAvailable(Ballast)
CMAKE
compiles subdirectory
compiles fetched
