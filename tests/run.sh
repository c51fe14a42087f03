#!/usr/bin/env bash
# Sets everything up on a bare Debian machine and runs the tests. --all adds the sanitizer builds, clang-tidy, the check of the
# format, seeded bugs (mutation tests), the build for WebAssembly and, where BALLAST_MNIST names a folder with MNIST's files, what
# is shown on real data. To bound the time, --all tries a sixteenth of the bugs, the next one for the next commit, and in turn gives
# clang-tidy a quarter of the files or tests WebAssembly. Each part says how long it took.
set -euo pipefail
cd "$(dirname "$0")/.."

timed() {  # timed COMMAND ...
  local start=$SECONDS
  "$@"
  echo "$*: $((SECONDS - start)) s"
}
run_suite() {  # run_suite PRESET
  timed cmake/setup.sh "$1" all
  timed ctest --test-dir "build/$1" --output-on-failure --timeout 1500 -j "$(nproc)"
}

case "${1:-}" in
  "") run_suite release ;;
  --all)
    export BALLAST_EXTRA_PACKAGES="clang clang-format clang-tidy"
    run_suite release
    [ -z "${BALLAST_MNIST:-}" ] || timed tests/mnist_test.sh build/release/ballast "$BALLAST_MNIST"
    commits=$(git rev-list --count HEAD 2>/dev/null || echo 0)
    timed tests/seeded_bugs.sh --part $((commits % 16 + 1))/16
    if ((commits % 2)); then
      timed tests/tidy.sh build/release/include $((commits / 2 % 4 + 1))/4
    else
      timed tests/wasm_test.sh build/release
    fi
    run_suite asan
    run_suite tsan
    ;;
  *)
    echo "usage: tests/run.sh [--all]" >&2
    exit 2
    ;;
esac
