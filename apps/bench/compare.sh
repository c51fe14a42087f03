#!/usr/bin/env bash
# compare.sh [REFERENCE_FOLDER [WORKLOAD...]]: times ballast-bench and, where reference/build.sh has built it, the reference program
# (REFERENCE_FOLDER/torch_bench, by default in build/reference) in turn, and prints one table: medians over the rounds, the reference's
# best setting of three. Every run is a process of its own, so that peak memory is the workload's. The reference's settings: as it is,
# with passive waiting of its threads, and with channels last in memory, which convolutions prefer.
# "clean" counts the rounds in which other processes disturbed neither side; trust no ratio where it is low.
# Environment: BEFORE (an older ballast-bench, timed in the same rounds; "before" is its time divided by ours), THREADS (2), ROUNDS (5),
# BENCH_SECS (1, per window, two a run), BENCH_WARM (0.5), BENCH_MAXWAIT (5: seconds to wait for a quiet machine),
# BENCH_LINES (a file to keep the measurements in; `ballast-bench --compare < it` prints the table again).
set -euo pipefail
case ${1:-} in
  -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  -*) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
unset OPENBLAS_CORETYPE  # forced kernels would be unfair to both
here=$(cd "$(dirname "$0")" && pwd)
bench=$here/../../build/release/ballast-bench
[ -x "$bench" ] || "$here/../../cmake/setup.sh" release ballast-bench
reference=${1:-$here/../../build/reference}/torch_bench
shift || true
threads=${THREADS:-2}
# Two windows a run: of a single one the reference program would mix the disturbed attempts into the median, and ballast-bench wouldn't.
export BENCH_REPS=2 BENCH_SECS=${BENCH_SECS:-1} BENCH_WARM=${BENCH_WARM:-0.5} BENCH_MAXWAIT=${BENCH_MAXWAIT:-5} OMP_NUM_THREADS=$threads
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
lines=${BENCH_LINES:-$temporary/lines}

ours() {  # ours PROGRAM REPETITIONS SECONDS OPTION...
  "$1" --json --threads "$threads" --repetitions "$2" --seconds "$3" --warm-up "$BENCH_WARM" --patience "$BENCH_MAXWAIT" "${@:4}" 2>"$temporary/errors" ||
    { cat "$temporary/errors" >&2; exit 1; }
}
theirs() { env PEER="$2" "${@:3}" "$reference" "$1" 2>/dev/null || true; }  # theirs WORKLOAD NAME SETTING...
one_round() {
  ours "$bench" "$BENCH_REPS" "$BENCH_SECS" --workload "$1"
  [ -z "${BEFORE:-}" ] || ours "$BEFORE" "$BENCH_REPS" "$BENCH_SECS" --workload "$1" | sed 's/"peer":"ballast"/"peer":"before"/'
  [ -x "$reference" ] || return 0
  theirs "$1" libtorch
  theirs "$1" libtorch-passive OMP_WAIT_POLICY=passive
  case $1 in W2* | W3 | W4_W2* | W5_?n) theirs "$1" libtorch-channels-last TORCH_LAYOUT=channels_last ;; esac
}

[ $# -gt 0 ] || set -- W1 W1b W1s W2 W2gn W2ln W2in W3 W4_W1_b1 W4_W1_b256 W4_W2_b1 W4_W2_b256 W5_bn W5_gn W5_in W5_ln
grep -m 1 'model name' /proc/cpuinfo
echo "$threads threads, medians of ${ROUNDS:-5} rounds, $(date -u +%F)"
ours "$bench" 3 0.3 --peaks >"$lines"
for workload in "$@"; do
  for _ in $(seq "${ROUNDS:-5}"); do one_round "$workload" >>"$lines"; done
done
"$bench" --compare <"$lines"
