#!/usr/bin/env bash
# Sets everything up on a bare Debian machine (packages, build) and runs `ballast` with the arguments given. Without any it trains
# the default CNN on the built-in digits.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
"$root/cmake/setup.sh" release ballast_program
if [ $# -eq 0 ]; then set -- train; fi
exec "$root/build/release/ballast" "$@"
