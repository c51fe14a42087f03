#!/usr/bin/env bash
# Prints the CPU seconds that a program which includes all of Ballast takes to parse (aim: under 1.5), and fails only if it doesn't parse.
set -euo pipefail
include=$1
TIMEFORMAT='ballast.h parses in %U s'
time (echo '#include <ballast/ballast.h>' | g++ -std=c++20 -fsyntax-only -I"$include" -x c++ -)
