#!/usr/bin/env bash
# setup.sh PRESET TARGET...: installs the Debian packages that are missing, configures the preset and builds the targets
# into build/PRESET. What it does goes to stderr, so that the output of what is run afterwards stays its own.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=(ca-certificates cmake curl doctest-dev g++ libcli11-dev libfmt-dev libjpeg-dev libjs-chart.js libopenblas-dev libpng-dev libprotobuf-dev librandom123-dev libtomlplusplus-dev libxxhash-dev
          libzip-dev ninja-build nlohmann-json3-dev protobuf-compiler zlib1g-dev)
packages+=(${BALLAST_EXTRA_PACKAGES:-})

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}" >&2
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi

preset=$1
shift
[ -e "build/$preset/.ninja_log" ] || echo "building in build/$preset, which takes some minutes the first time" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { cmake --preset "$preset" && cmake --build --preset "$preset" --target "$@"; } >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
