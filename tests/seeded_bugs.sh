#!/usr/bin/env bash
# Mutation tests: puts bugs into the sources, one at a time, and runs the tests that can see them, which must fail.
#
#   tests/seeded_bugs.sh                       the bugs that the sources name: all must be caught
#   tests/seeded_bugs.sh --flips 100 --seed 1  operators in core/ops and core/kernels/isa flipped at random: nine in ten must be caught
#
# A bug is named where it would be: below a line of code, `//~` is followed by what stands there instead of that line. A line may have
# several, each a bug of its own; `//~` alone deletes the line. In a header that has no source file beside it, the line must be in a
# function that is no template.
#
# Options: --build DIR, a build made by Ninja (default build/release); --jobs N (default: the processors there are); --only PATTERN,
# bugs whose file matches the regular expression.
# What goes wrong at once (doesn't compile, or compiles to the same machine code) is no bug: the next flip takes its
# place. Flips leave alone comments, strings, templates' brackets, and lines that only set how a loop is partitioned
# among the threads or what is prefetched: by construction these change no result. The source tree isn't touched.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/release flips=0 seed=1 jobs=$(nproc) only=.
while [ $# -gt 0 ]; do
  case $1 in
    --flips) flips=$2 ;;
    --seed) seed=$2 ;;
    --build) build=$(cd "$2" && pwd) ;;
    --jobs) jobs=$2 ;;
    --only) only=$2 ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
  shift 2
done

# Bugs that aren't marked in the sources yet: a file in core and what is wrong; the code; what it becomes.
bugs() {
  cat <<'EOF'
ops/accumulate.cpp: later gradients overwrite earlier ones
- g[i] = beta * g[i] + x[i];
+ g[i] = x[i];
ops/elementwise.cpp: flipped sign of a - b's second operand
- grads.add(in_b, -sum_to(std::move(dy), shape_b))
+ grads.add(in_b, sum_to(std::move(dy), shape_b))
ops/elementwise.cpp: the product takes the wrong operand
- sum_to(dy * kept_b, shape_a)
+ sum_to(dy * kept_a, shape_a)
ops/elementwise.cpp: the quotient forgets the chain rule
- -sum_to(da * y, shape_b)
+ -sum_to(da, shape_b)
ops/elementwise.cpp: the square root without its 1/2
- return g / (2 * root);
+ return g / root;
ops/elementwise.cpp: the power's exponent isn't lowered
- exponent * std::pow(v, exponent - 1)
+ exponent * std::pow(v, exponent)
ops/elementwise.cpp: clamp lets everything above pass
- v >= low && v <= high ? g : 0
+ v >= low ? g : 0
ops/elementwise.cpp: where takes the other branch
- where(kept, dy, 0)
+ where(kept, 0, dy)
ops/activation.cpp: relu's mask is always on
- v <= 0 ? 0 : g;
+ v < 0 ? 0 : g;
ops/activation.cpp: flipped sign in the sigmoid
- g * s * (1 - s)
+ g * s * (1 + s)
ops/activation.cpp: gelu without its second term
- (normal_cdf(v) + v * normal_density(v))
+ normal_cdf(v)
ops/activation.cpp: softmax without the mean term
- p[k] * (g[k] - mean)
+ p[k] * g[k]
ops/activation.cpp: log-softmax takes the logarithm for the probability
- g[k] -= std::exp(log_p[k]) * total;
+ g[k] -= log_p[k] * total;
ops/dropout.cpp: the backward pass forgets the mask
- std::move(dy) * mask
+ std::move(dy)
ops/linear.cpp: transposed operand in the input's gradient
- matrix(kept_w.data(), w_shape[1], !transposed), beta, g,
+ matrix(kept_w.data(), w_shape[1], transposed), beta, g,
ops/linear.cpp: the weight's gradient overwrites
- matrix(right, w_shape[1]), beta, g,
+ matrix(right, w_shape[1]), 0, g,
ops/linear.cpp: no gradient for the bias
- if (grads.wants(in_bias)) grads.add(in_bias, sum_to(dy, {to}));
+
ops/linear.cpp: transposed operand in the batched product
- batched_product(kept_a, dy, true, false)
+ batched_product(kept_a, dy, false, false)
ops/loss.cpp: cross-entropy without 1/N
- dy.item() / static_cast<real>(samples)
+ dy.item()
ops/loss.cpp: label smoothing forgotten at the label
- -= scale * (1 - label_smoothing)
+ -= scale
ops/loss.cpp: elementwise losses without 1/N
- dy.item() / static_cast<real>(x.count())
+ dy.item()
ops/loss.cpp: flipped sign of the target's gradient
- return -slope(v - t);
+ return slope(v - t);
ops/loss.cpp: the square's 2 is missing
- return 2 * d;
+ return d;
ops/movement.cpp: permute goes back by the order it came
- inverse[static_cast<size_t>(order[axis])] = static_cast<int>(axis);
+ inverse[axis] = order[axis];
ops/movement.cpp: slice forgets where it began
- copy_rows(dy.data(), length, g + start, stride
+ copy_rows(dy.data(), length, g, stride
ops/movement.cpp: concat overwrites
- copy_rows(from, stride, g, length, outer, length, beta != 0)
+ copy_rows(from, stride, g, length, outer, length, false)
ops/movement.cpp: repeated positions of gather overwrite
- target[positions[p] * inner + i] += source
+ target[positions[p] * inner + i] = source
ops/reduce.cpp: the mean's gradient without 1/N
- static_cast<real>(1 / divisor)
+ static_cast<real>(divisor / divisor)
ops/reduce.cpp: max overwrites
- g[position(i)] += dy.data()[i];
+ g[position(i)] = dy.data()[i];
ops/conv.cpp: overlapping windows overwrite
- to[ow * w.stride] += from[ow];
+ to[ow * w.stride] = from[ow];
ops/conv.cpp: the backward pass doesn't turn the filters around
- std::reverse_copy(from, from + taps,
+ std::copy(from, from + taps,
ops/conv.cpp: the weight's gradient of the last block only
- .beta = 1});
+ .beta = 0});
ops/conv.cpp: the weight's gradient of the first images only
- accumulate(sum, sum + part * s.groups * panels * table, table, 1);
+ accumulate(sum, sum + part * s.groups * panels * table, 0, 1);
ops/conv.cpp: the bias's gradient overwrites
- static_cast<real>(sum) + (beta == 0 ? 0 : beta * db[o])
+ static_cast<real>(sum)
gemm.cpp: rows are gathered from the task's first ones
- gather(from + row, p.rows
+ gather(from + rows.begin, p.rows
gemm.cpp: both sums are over the first half of the depth
- = left.data + terms.begin * left.k_step
+ = left.data
kernels/isa/product.cpp: rows in memory are read as if they were a panel's
- const Rows right = {p.right, step};
+ const Rows right = {p.right, panel};
gemm.cpp: the panels of a turned result all get the first rows' bias
- epilogue.bias ? epilogue.bias + row : nullptr};
+ epilogue.bias};
gemm.cpp: all panels of a turned result go to the first columns
- column + first)
+ column)
ops/winograd.cpp: tiles of the last row begin too high
- row = in_image / columns * side
+ row = in_image / columns * overlap
ops/winograd.cpp: tiles clipped in their rows are left out of frequencies that they have
- rows ? begin_[low] : columns
+ rows || columns ? begin_[low] : columns
ops/winograd.cpp: all parts of one image's result go to its first channels
- beta, relu, y + begin * h.out * w.out);
+ beta, relu, y);
kernels/isa/winograd.cpp: filters are transformed from the first channels' weights
- (p * panel * f.channels + c) * 9
+ (p * panel * f.channels) * 9
kernels/isa/pack.cpp: planes are packed without zeros around
- fill_with_zeros(at, place);
+ 
kernels/isa/winograd.cpp: a wrong number in the input's transform
- t[5] = 4 * d[1] - 5 * d[3] + d[5];
+ t[5] = 4 * d[1] - 4 * d[3] + d[5];
kernels/isa/winograd.cpp: a wrong factor in the input's transform for two outputs
- t[1] = -3 * (d[1] + d[2]);
+ t[1] = 3 * (d[1] + d[2]);
kernels/isa/product.cpp: a tile's old values aren't scaled
- at[r][v] += beta * load_first(
+ at[r][v] += load_first(
kernels/isa/product.cpp: all vectors of a tile get the first one's bias
- load_first(out.column_bias + column + v * lanes, count(v))
+ load_first(out.column_bias + column, count(v))
ops/pooling.cpp: overlapping windows of the maximum overwrite
- dx[s.h.input(oh, kh) * s.w.in + s.w.input(ow, kw)] += *dy++;
+ dx[s.h.input(oh, kh) * s.w.in + s.w.input(ow, kw)] = *dy++;
kernels/isa/max_pool.cpp: the wrong row wins
- low ? 2 - right_below : -right_above
+ low ? -right_above : 2 - right_below
ops/pooling.cpp: average without 1/N
- real(1) / static_cast<real>(s.taps())
+ real(1)
ops/pooling.cpp: global average without 1/N
- from[plane] / static_cast<real>(inputs)
+ from[plane]
ops/norm/norm.cpp: the affine gradients overwrite
- (beta == 0 ? 0 : g[i])
+ 0
ops/norm/norm.cpp: evaluation takes the gradient through the batch's statistics
- n.constant_statistics = true;
+ n.constant_statistics = false;
ops/conv.cpp: a convolution is made again without its bias
- convolved(s, x.get(grads), weight, bias, false)
+ convolved(s, x.get(grads), weight, {}, false)
ops/norm/forward.cpp: the ReLU after a norm is left out
- run.relu = n.then.relu, run.stream = stream;
+ run.stream = stream;
ops/norm/backward.cpp: no mean term
- layout_.centred && share > 0 ? static_cast<real>(share * sum_wg) : 0
+ 0
kernels/isa/norm_columns.cpp: vectors' channels without the variance term
- mean_b[j] = load_as<V>(b + first + j * lanes_of<V>);
+ mean_b[j] = V{};
kernels/isa/norm.h: no mean term
- * g - a - (share == 0 ? V{} : xh) * share) * n.rstd
+ * g - (share == 0 ? V{} : xh) * share) * n.rstd
kernels/isa/norm.h: the gradient passes where the ReLU was off
- if constexpr (Relu) return value<V>(affine, xh, i) <= 0 ? V{} : dy;
+ 
kernels/isa/norm_columns.cpp: sums of vectors' gradients count what the ReLU blocks
- passing<V, Relu>(
+ passing<V, false>(
ops/norm/backward.cpp: sets forget the weight in the means
- total.a += w * part.a, total.b += w * part.b;
+ total.a += part.a, total.b += part.b;
ops/norm/backward.cpp: no variance term
- share > 0 ? static_cast<real>(share * sum_wgx) : 0
+ 0
ops/norm/statistics.cpp: channels' sums start anew with every image
- a[i] += part->a, b[i] += part->b;
+ a[i] = part->a, b[i] = part->b;
ops/norm/backward.cpp: means without 1/N
- 1 / static_cast<double>(layout_.values_per_set())
+ 1
storage.cpp: a gap isn't joined with the one behind it
- block.bytes += next->bytes;
+ 
storage.cpp: a small block stays with whoever gave it back
- pool().homes[storage->home]
+ pool().homes[home_of(thread_number(), storage->role)]
storage.cpp: scratch memory lies where tensors did
- (role == Role::scratch)
+ 0
ops/weight_norm.cpp: flipped sign of what lies along the weight
- gradient[i] - from[i] * per_length * along
+ gradient[i] + from[i] * per_length * along
ops/weight_norm.cpp: spectral normalization without its second term
- (to[i] - by_v * direction[i])
+ (to[i])
EOF
}

# Both kinds of bug are written down as: name, file, line, column, length, replacement; separated by tabs.

locate_bugs() {
  bugs | awk -v folder="$root/core/" -v OFS='\t' '
    function finish(   line, text, at, found, row, column) {
      while ((getline text < (folder file)) > 0) {
        ++line
        for (at = 1; index(substr(text, at), old); at = column + 1) {
          column = at - 1 + index(substr(text, at), old)
          row = line; place = column; ++found
        }
      }
      close(folder file)
      if (found != 1) {
        printf "%s: this code is there %d times, not once; bring the list in tests/seeded_bugs.sh up to date:\n  %s\n", \
               file, found, old > "/dev/stderr"
        failed = 1
      }
      print "core/" file ": " name, "core/" file, row, place, length(old), new
    }
    /^- / { old = substr($0, 3); next }
    /^\+/ { new = substr($0, 3); finish(); next }
    { file = $1; sub(/:$/, "", file); name = substr($0, length($1) + 2) }
    END { exit failed }'
}

locate_marks() {
  cd "$root"
  grep -rlE --include=*.h --include=*.cpp '^ *//~' core layers optim data | sort | xargs awk -v OFS='\t' '
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
      if (code ~ /^#|^template|grain|parallel_for\(|prefetch|call_for|ahead/) next
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
    }' $(find core/ops -name '*.cpp' | sort) core/kernels/isa/*.cpp core/kernels/isa/norm.h)
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
    $0 ~ source && / -DBALLAST_DOUBLE/ && (!/ -DBALLAST_ISA=/ || / -DBALLAST_ISA=baseline/) {
      sub(/ -MD .* -o .*/, ""); sub(/ -MD .*/, ""); sub(/ -o .*/, ""); sub(/ -I/, " -I" include " -I")
      print $0, "-O1 -w -o", to, "-c", from
      exit
    }' "$work/commands"
}
link_command() {  # link_command OBJECT PROGRAM
  awk -v object="$1" -v program="$2" '
    / -o ballast_tests(_f64)? / { sub(/ -o ballast_tests(_f64)? /, " -o " program " "); sub(/ [^ ]*[.]o /, " " object "&"); line = $0 }
    END { print line }' "$work/commands"
}

# The tests that can see the bugs of a folder. The quick ones come first: they catch most.
run_tests() {  # run_tests PROGRAM FOLDER
  ulimit -v 16000000 -c 0
  local files
  for files in $(tests_of "$2"); do
    BALLAST_ISA=baseline BALLAST_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 timeout 60 "$1" --abort-after=1 --source-file="$files" 2>&1 || return
  done
}

tests_of() {  # tests_of FOLDER: lists of tests, as --source-file takes them
  local norms='*/golden_norms_test.cpp' layers='*/golden_layers_test.cpp'
  case $1 in
    core) echo "*/gradcheck*,$layers,$norms,*/ops_test.cpp,*/pooling_test.cpp,*/gemm_test.cpp,*/fusing_test.cpp,*/storage_test.cpp"
          echo '*/conv_test.cpp,*/norm_*_test.cpp' ;;
    layers) echo "*/init_test.cpp,*/layer_test.cpp,$layers,$norms,*/module_test.cpp,*/freeze_test.cpp,*/gradcheck_layers_test.cpp,*/gradcheck_norms_test.cpp"
            echo '*/advice_test.cpp,*/fold_test.cpp,*/fusing_test.cpp,*/lipschitz_test.cpp,*/norm_*_test.cpp,*/probe_test.cpp,*/recalibrate_test.cpp' ;;
    optim) echo '*/optimizer_test.cpp,*/golden_optim_test.cpp,*/schedule_test.cpp' ;;
    data) echo '*/atomic_file_test.cpp,*/checkpoint_test.cpp,*/dataset_test.cpp,*/digits_test.cpp,*/evaluate_test.cpp,*/idx_test.cpp,*/safetensors_test.cpp' ;;
  esac
}

# One bug; prints what came of it: caught, survived, or none (it doesn't compile, or compiles to the same).
try_bug() {  # try_bug NUMBER
  local name file line column length replacement here=$work/$1 log status=0
  [ -d "$work" ] || exit 255  # the script was stopped: xargs gives up
  IFS=$'\x1f' read -r name file line column length replacement < <(sed -n "$1p" "$work/list" | tr '\t' '\037')
  mkdir -p "$here/ballast/$(dirname "$file")"
  replacement=$replacement awk -v line="$line" -v column="$column" -v count="$length" '
    NR == line { $0 = substr($0, 1, column - 1) ENVIRON["replacement"] substr($0, column + count) } 1' \
    "$root/$file" > "$here/ballast/$file"
  cd "$build"
  if ! sh -c "$(object_command "$file" "$here" "$here/bug.o")" > "$here/log" 2>&1; then
    printf 'none\t%s\n' "$name"
  elif cmp -s "$here/bug.o" "$work/unchanged/$file.o"; then
    printf 'none\t%s\n' "$name"
  else
    sh -c "$(link_command "$here/bug.o" "$here/tests")" > "$here/log" 2>&1 || { cat "$here/log" >&2; exit 255; }
    log=$(run_tests "$here/tests" "${file%%/*}") || status=$?
    if [ $status = 0 ]; then
      printf 'survived\t%s\n' "$name"
    elif [ $status = 124 ]; then
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
export work root build
export -f try_bug compile_unchanged object_command link_command run_tests tests_of

if [ "$flips" = 0 ]; then locate_bugs && locate_marks; else locate_flips; fi > "$work/all"
awk -F '\t' -v only="$only" '$2 ~ only' "$work/all" > "$work/list"
wanted=$flips
[ "$wanted" != 0 ] || wanted=$(wc -l < "$work/list")

program=ballast_tests_f64
ninja -C "$build" -t query $program > /dev/null 2>&1 || program=ballast_tests  # a build for double
ninja -C "$build" "$program" > "$work/log" || { cat "$work/log"; exit 1; }
ninja -C "$build" -t commands "$program" > "$work/commands"
for folder in $(cut -f 2 "$work/list" | cut -d / -f 1 | sort -u); do
  run_tests "$build/$program" "$folder" > "$work/log" || { cat "$work/log"; echo "the tests fail without any bug"; exit 1; }
done
cut -f 2 "$work/list" | sort -u | xargs -P "$jobs" -I{} bash -c 'compile_unchanged {}'

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
