#!/usr/bin/env bash
# Sets everything up on a bare Debian machine and runs the tests. --all adds the sanitizer builds, the static checks and the seeded bugs.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

run_suite() {  # run_suite PRESET
  cmake/setup.sh "$1" all
  ctest --test-dir "build/$1" --output-on-failure -j "$(nproc)"
}

run_suite release
if [ "${1:-}" = --all ]; then
  run_suite asan
  run_suite tsan
  tests/seeded_bugs.sh
fi
