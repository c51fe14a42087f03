#!/usr/bin/env bash
# wasm_test.sh BUILD: builds the page that trains live, and compares the weights that WebAssembly has after 1,000 steps (four
# activations, each norm) with those of the native library, bit for bit; the stories end there as they do natively. Not part of CTest's
# suite, since emscripten takes 842 MB.
set -euo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
cmake --build "$build" --target ballast_demo_hashes >/dev/null
apps/demo/build.sh
diff <(BALLAST_ISA=baseline "$build/ballast_demo_hashes") <(node tests/wasm_hashes.mjs build/demo/ballast.wasm)
node tests/stories.mjs build/demo/ballast.wasm
echo "WebAssembly: the same bits as native"
