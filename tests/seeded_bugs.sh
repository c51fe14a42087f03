#!/usr/bin/env bash
# Mutation tests: puts bugs into the sources, one at a time, and runs the tests that can see them, which must fail.
#
#   tests/seeded_bugs.sh                       the bugs that the sources name: all must be caught
#   tests/seeded_bugs.sh --flips 100 --seed 1  operators in core/ops, layers/functional and core/kernels/isa flipped at random: nine in ten must be caught
#
# A bug is named where it would be: below a line of code, `//~` is followed by what stands there instead of that line. A line may have
# several, each a bug of its own; `//~` alone deletes the line. In a header that has no source file beside it, the line must be in a
# function that is no template.
#
# Options: --build DIR, a build made by Ninja (default build/release); --jobs N (default: the processors there are); --only PATTERN,
# bugs whose file matches the regular expression; --part K/N, the K-th of N equal parts of the bugs (default 1/1).
# What goes wrong at once (doesn't compile, or compiles to the same machine code) is no bug: the next flip takes its
# place. Flips leave alone comments, strings, templates' brackets, and lines that only set how a loop is partitioned
# among the threads or what is prefetched: by construction these change no result. The source tree isn't touched.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/release flips=0 seed=1 jobs=$(nproc) only=. part=1/1
while [ $# -gt 0 ]; do
  case $1 in
    --flips) flips=$2 ;;
    --seed) seed=$2 ;;
    --build) build=$(cd "$2" && pwd) ;;
    --jobs) jobs=$2 ;;
    --only) only=$2 ;;
    --part) part=$2 ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
  shift 2
done

# Both kinds of bug are written down as: name, file, line, column, length, replacement; separated by tabs.

locate_marks() {
  cd "$root"
  grep -rlE --include=*.h --include=*.cpp '^ *//~' core layers optim data apps | sort | xargs awk -v OFS='\t' '
    FNR == 1 { code = 0 }
    /^ *\/\/~/ {
      sub(/^ *\/\/~ ?/, "")
      print FILENAME ":" code ": " ($0 == "" ? "deleted" : $0), FILENAME, code, 1, size, $0
      next
    }
    { code = FNR; size = length($0) }'
}

# Every operator that can be flipped, in an order that the seed decides.
locate_flips() {
  (cd "$root" && awk -v seed="$seed" -v OFS='\t' '
    BEGIN {
      n = split("+ - * / < >= > <= == != += -= *= /= && ||", ops, " ")
      for (i = 1; i <= n; i += 2) { flip[ops[i]] = ops[i + 1]; flip[ops[i + 1]] = ops[i] }
      flip["++"] = "--"; flip["--"] = "++"; flip["max"] = "min"; flip["min"] = "max"
    }
    function site(column, old) {
      sites[++count] = FILENAME ":" FNR ": " old " becomes " flip[old] OFS FILENAME OFS FNR OFS column OFS length(old) OFS flip[old]
    }
    # The operators in the matches of a pattern, which has `before` and `after` characters around each.
    function find(code, pattern, before, after,   from) {
      for (from = 1; match(code, pattern); code = substr(code, RSTART + RLENGTH - after)) {
        site(from + RSTART - 1 + before, substr(code, RSTART + before, RLENGTH - before - after))
        from += RSTART + RLENGTH - after - 1
      }
    }
    {
      code = $0
      while (match(code, /"([^"\\]|\\.)*"/))
        code = substr(code, 1, RSTART - 1) sprintf("%*s", RLENGTH, "") substr(code, RSTART + RLENGTH)
      sub(/\/\/.*/, "", code)
      if (code ~ /^#|^template|grain|parallel_for\(|prefetch|ahead/) next
      code = code " "
      find(code, " ([-+*/<>]|[<>=!]=|[-+*/]=|&&|\\|\\|) ", 1, 1)  # as clang-format sets them
      find(code, "[+][+]|--", 0, 0)
      find(code, "std::(max|min)[(<_]", 5, 1)
    }
    END {
      x = seed * 7919 + 1
      for (i = 0; i < 10; ++i) x = x * 16807 % 2147483647
      for (i = count; i > 1; --i) {
        x = x * 16807 % 2147483647
        j = 1 + x % i
        t = sites[i]; sites[i] = sites[j]; sites[j] = t
      }
      for (i = 1; i <= count; ++i) print sites[i]
    }' $(find core/ops layers/functional -name '*.cpp' | sort) core/kernels/isa/*.cpp core/kernels/isa/norm.h)
}

# The build's own commands, for a single file at -O1 and for the test program with that file put before all others.
# INCLUDE has a changed FILE as it would be included. Of a header the source file beside it is compiled or, if there is none, all its
# functions that aren't templates: the linker takes them instead of those that the tests were compiled with.
object_command() {  # object_command FILE INCLUDE OBJECT
  local source=$1 from=$2/ballast/$1
  if [[ $1 == *.h ]]; then
    source=${1%.h}.cpp from=$root/${1%.h}.cpp
    if [ ! -e "$from" ]; then
      echo "#include <ballast/$1>" > "$3.cpp"
      source=core/tensor.cpp from="-fkeep-inline-functions $3.cpp"
    fi
  fi
  awk -v source="/$source *$" -v include="$2" -v from="$from" -v to="$3" '
    $0 ~ source && (source ~ "^/apps/" || / -DBALLAST_DOUBLE/) && (!/ -DBALLAST_ISA=/ || / -DBALLAST_ISA=baseline/) {
      sub(/ -MD .* -o .*/, ""); sub(/ -MD .*/, ""); sub(/ -o .*/, ""); sub(/ -I/, " -I" include " -I")
      print $0, "-O1 -w -o", to, "-c", from
      exit
    }' "$work/commands"
}
link_command() {  # link_command OBJECT PROGRAM TESTS
  awk -v tests="$3" -v object="$1" -v program="$2" -v linker="$linker" '
    sub(" -o [^ ]*" tests " ", " " linker " -o " program " ") { sub(/ [^ ]*[.]o /, " " object "&"); line = $0 }
    END { print line }' "$work/commands"
}

# The files whose bugs the same tests can see: the operations of layers are tested as those of core are.
group_of() { case $1 in layers/functional/*) echo core ;; *) echo "${1%%/*}" ;; esac }  # group_of FILE

program_of() { if [ "$1" = apps ]; then echo ballast_trainer_tests; else echo "$core_tests"; fi; }  # program_of GROUP

# The tests that can see the bugs of a group. The quick ones come first: they catch most.
run_tests() {  # run_tests PROGRAM GROUP
  ulimit -v 16000000 -c 0 -t 60  # seconds of processor time: on a busy machine a test isn't taken for one that hangs
  local files
  for files in $(tests_of "$2"); do
    BALLAST_ISA=baseline BALLAST_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 timeout 600 "$1" --abort-after=1 --source-file="$files" 2>&1 || return
  done
}

tests_of() {  # tests_of GROUP: lists of tests, as --source-file takes them
  local norms='*/golden_norms_test.cpp' layers='*/golden_layers_test.cpp'
  case $1 in
    core) echo "*/gradcheck*,$layers,$norms,*/ops_test.cpp,*/pooling_test.cpp,*/gemm_test.cpp,*/fusing_test.cpp,*/storage_test.cpp,*/allocation_test.cpp"
          echo '*/calls_test.cpp,*/conv_test.cpp,*/extremes_test.cpp,*/module_test.cpp,*/norm_*_test.cpp,*/parallel_test.cpp,*/recompute_test.cpp,*/sequences_test.cpp,*/tape_test.cpp' ;;
    layers) echo "*/init_test.cpp,*/layer_test.cpp,$layers,$norms,*/module_test.cpp,*/freeze_test.cpp,*/gradcheck_layers_test.cpp,*/gradcheck_norms_test.cpp"
            echo '*/advice_test.cpp,*/fold_test.cpp,*/fusing_test.cpp,*/lipschitz_test.cpp,*/norm_*_test.cpp,*/probe_test.cpp,*/recalibrate_test.cpp,*/sequences_test.cpp' ;;
    optim) echo '*/module_test.cpp,*/optimizer_test.cpp,*/golden_optim_test.cpp,*/schedule_test.cpp' ;;
    apps) echo '*/trainer/*_test.cpp' ;;
    data) echo '*/atomic_file_test.cpp,*/augment_test.cpp,*/checkpoint_test.cpp,*/cifar_test.cpp,*/csv_test.cpp,*/dataset_test.cpp,*/digits_test.cpp,*/evaluate_test.cpp,*/idx_test.cpp,*/image_test.cpp,*/image_folder_test.cpp,*/loader_test.cpp,*/nearest_test.cpp,*/npy_test.cpp,*/random_stream_test.cpp,*/safetensors_test.cpp,*/standardization_test.cpp' ;;
  esac
}

# One bug; prints what came of it: caught, survived, or none (it doesn't compile, or compiles to the same).
try_bug() {  # try_bug NUMBER
  local name file line column length replacement group here=$work/$1 log status=0
  [ -d "$work" ] || exit 255  # the script was stopped: xargs gives up
  IFS=$'\x1f' read -r name file line column length replacement < <(sed -n "$1p" "$work/list" | tr '\t' '\037')
  group=$(group_of "$file")
  mkdir -p "$here/ballast/$(dirname "$file")"
  replacement=$replacement awk -v line="$line" -v column="$column" -v count="$length" '
    NR == line { $0 = substr($0, 1, column - 1) ENVIRON["replacement"] substr($0, column + count) } 1' \
    "$root/$file" > "$here/ballast/$file"
  cd "$build"
  if ! sh -c "$(object_command "$file" "$here" "$here/bug.o")" > "$here/log" 2>&1; then
    printf 'none\t%s\n' "$name"
  elif cmp -s "$here/bug.o" "$work/unchanged/$file.o"; then  # of a flip
    printf 'none\t%s\n' "$name"
  else
    sh -c "$(link_command "$here/bug.o" "$here/tests" "$(basename "$(program_of "$group")")")" > "$here/log" 2>&1 || { cat "$here/log" >&2; exit 255; }
    log=$(run_tests "$here/tests" "$group") || status=$?
    if [ $status = 0 ]; then
      printf 'survived\t%s\n' "$name"
    elif [ $status = 124 ] || [ $status = 152 ]; then  # 152: killed for its processor time
      printf 'caught\t%s\t(hangs)\n' "$name"
    else
      printf 'caught\t%s\t%s\n' "$name" "$(sed -n 's/^TEST CASE:  *//p' <<< "$log" | head -n 1)"
    fi
  fi > "$work/result.$1"
  rm -rf "$here"
}

# The unchanged file as it compiles, to tell changes that change nothing.
compile_unchanged() {  # compile_unchanged FILE
  mkdir -p "$work/unchanged/$(dirname "$1")" "$work/unchanged/ballast/$(dirname "$1")"
  cp "$root/$1" "$work/unchanged/ballast/$1"
  cd "$build"
  sh -c "$(object_command "$1" "$work/unchanged" "$work/unchanged/$1.o")"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
linker=$(command -v ld.gold >/dev/null && echo -fuse-ld=gold || true)  # takes a third of the usual one's time
export work root build linker
export -f try_bug compile_unchanged object_command link_command run_tests tests_of program_of group_of

if [ "$flips" = 0 ]; then locate_marks; else locate_flips; fi > "$work/all"
awk -F '\t' -v only="$only" -v part="${part%/*}" -v parts="${part#*/}" '$2 ~ only && count++ % parts == part - 1' "$work/all" > "$work/list"
wanted=$flips
[ "$wanted" != 0 ] || wanted=$(wc -l < "$work/list")

core_tests=ballast_tests_f64
ninja -C "$build" -t query $core_tests > /dev/null 2>&1 || core_tests=ballast_tests  # a build for double
export core_tests
ninja -C "$build" $core_tests ballast_trainer_tests > "$work/log" || { cat "$work/log"; exit 1; }
ninja -C "$build" -t commands $core_tests ballast_trainer_tests > "$work/commands"
for group in $(cut -f 2 "$work/list" | while read -r file; do group_of "$file"; done | sort -u); do
  run_tests "$build/$(program_of "$group")" "$group" > "$work/log" || { cat "$work/log"; echo "the tests fail without any bug"; exit 1; }
done
[ "$flips" = 0 ] || cut -f 2 "$work/list" | sort -u | xargs -P "$jobs" -I{} bash -c 'compile_unchanged {}'

tried=0 valid=0
while [ "$valid" -lt "$wanted" ] && [ "$tried" -lt "$(wc -l < "$work/list")" ]; do
  seq "$((tried + 1))" "$((tried + wanted - valid))" | xargs -P "$jobs" -I{} bash -c 'try_bug {}'
  tried=$((tried + wanted - valid))
  for ((i = 1; i <= tried; ++i)); do cat "$work/result.$i" 2> /dev/null || true; done > "$work/results"
  valid=$(grep -vc ^none "$work/results" || true)
done

expand -t 10,90 "$work/results" | { [ "$flips" = 0 ] && cat || grep -v ^none; }
caught=$(grep -c ^caught "$work/results" || true)
echo "$caught of $valid caught"
if [ "$flips" = 0 ]; then
  [ "$caught" = "$wanted" ]
else
  [ "$valid" = "$wanted" ] && [ $((caught * 10)) -ge $((valid * 9)) ]
fi
