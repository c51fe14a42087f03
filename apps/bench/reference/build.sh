#!/usr/bin/env bash
# build.sh PYTHON [FOLDER]: builds the reference programs against the C++ API inside the PyTorch that PYTHON imports, for instance
# that of a virtual environment made by `python3 -m venv venv && venv/bin/pip install torch`. They go to FOLDER (build/reference).
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
folder=${2:-$here/../../../build/reference}
torch=$("$1" -c 'import os, torch; print(os.path.dirname(torch.__file__))')
mkdir -p "$folder"
compile() {
  g++ -O2 -std=c++20 -fopenmp "${@:2}" -o "$folder/$1" -isystem "$torch/include" -isystem "$torch/include/torch/csrc/api/include" \
    -L"$torch/lib" -Wl,-rpath,"$torch/lib" -ltorch -ltorch_cpu -lc10 -lz
}
compile torch_bench "$here/torch_bench.cpp" "$here/../timing.cpp"
compile mnist_cnn "$here/mnist_cnn.cpp" "$here/mnist.cpp"
compile mnist_99 "$here/mnist_99.cpp" "$here/mnist.cpp"
"$1" -c 'import torch; print(torch.__version__)' >"$folder/version"
