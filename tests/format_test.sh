#!/usr/bin/env bash
# Every C++ file is as clang-format leaves it. (Compares the output: --dry-run misjudges `namespace a::inline b`.)
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
for file in $(git ls-files '*.h' '*.cpp' 2>/dev/null || find ballast.h core layers optim data apps tests -name '*.h' -o -name '*.cpp'); do
  clang-format "$file" | cmp -s - "$file" || { echo "not formatted: $file (clang-format -i $file)"; bad=1; }
done
exit $bad
