#!/usr/bin/env bash
# build.sh [PAGE]: compiles the framework to WebAssembly and joins it with the page that trains live, in one file (default
# build/demo/demo.html) that opens from disk. Installs Debian's emscripten if it is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=build/demo
page=${1:-$out/demo.html}

packages=()
command -v em++ >/dev/null || packages+=(emscripten)
for package in cmake libfmt-dev librandom123-dev ninja-build; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || packages+=("$package")
done
if [ ${#packages[@]} -gt 0 ]; then
  echo "installing ${packages[*]}" >&2
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { cmake -S apps/demo -B $out -G Ninja -DCMAKE_TOOLCHAIN_FILE=/usr/share/emscripten/cmake/Modules/Platform/Emscripten.cmake &&
       cmake --build $out; } >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi

gzip -9nc $out/ballast.wasm | base64 -w 0 >$out/ballast.b64
awk -v built="$out/" -f apps/demo/join.awk apps/demo/page.html >"$out/page.new"
mv "$out/page.new" "$page"
echo "written: $page, $(wc -c <"$page") bytes"
