#!/usr/bin/env bash
# The dependencies that the folders may have: core <- layers, optim, data <- apps, tests, and within layers functional <- layers <-
# analysis. And heavy headers stay out of headers.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
report() {  # report WHAT: prints the lines on standard input, if any, as a violation
  local lines
  lines=$(cat)
  [ -z "$lines" ] || { echo "$1"; echo "$lines"; bad=1; }
}
includes() { grep -rnE --include=*.h --include=*.cpp "#include *[<\"]$1" "${@:2}" || true; }

includes 'ballast/(layers|optim|data|ballast\.h)' core | report "core includes what stands on it:"
includes 'ballast/(optim|data|ballast\.h)' layers | report "layers may include core only:"
{ includes 'ballast/layers/' layers/functional | grep -v '[<"]ballast/layers/functional/' || true; } | report "operations include layers:"
{ includes 'ballast/layers/analysis/' layers | grep -v '^layers/analysis/' || true; } |
  report "layers include what analyses them:"
includes 'ballast/(layers|data|ballast\.h)' optim | report "optim may include core only:"
includes 'ballast/(layers|optim|ballast\.h)' data | report "data may include core only:"
{ includes '[^>]*/(detail|kernels)/' core layers optim data ballast.h | grep '\.h:' | grep -vE '^[^:]*(detail|kernels)/' || true; } |
  report "headers that are installed include what isn't:"
includes 'CLI/' core layers optim data tests | report "CLI11 belongs to apps:"
includes 'doctest/' core layers optim data apps | report "doctest belongs to tests:"
{ includes '(nlohmann|Random123|zlib\.h|png\.h|jpeglib\.h|zip\.h|cblas\.h)' core layers optim data apps ballast.h | grep '\.h:' || true; } |
  report "headers that a user includes must not pull in heavy ones:"
exit $bad
