#!/usr/bin/env bash
# Every C++ file is as clang-format leaves it, and every script can be read by its interpreter.
# (The output is compared: --dry-run misjudges `namespace a::inline b`.)
set -euo pipefail
cd "$(dirname "$0")/.."
check() { clang-format "$1" | cmp -s - "$1" || { echo "not formatted: $1 (clang-format -i $1)"; return 1; }; }
export -f check
{ git ls-files '*.h' '*.cpp' 2>/dev/null || find ballast.h core layers optim data apps tests -name '*.h' -o -name '*.cpp'; } |
  xargs -P "$(nproc)" -I{} bash -c 'check {}'
while read -r script; do
  bash -n "$script" && { [ ! -x "$script" ] || head -1 "$script" | grep -q '^#!/usr/bin/env bash$'; } ||
    { echo "no script of bash: $script"; exit 1; }
done < <(git ls-files '*.sh' .ci/run 2>/dev/null || find apps cmake tests -name '*.sh')
