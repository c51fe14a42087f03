#!/usr/bin/env bash
# extending_test.sh BUILD: follows docs/extending.md word for word. The code blocks go where their marks say, into a copy of the tree
# and into a project outside of it; what they add is built (the rest is taken from BUILD), tested and run.
set -euo pipefail
build=$1
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
fail() { echo "extending_test: $*"; exit 1; }

mkdir "$tree"
cp -r "$root"/{core,layers,optim,data,apps,tests,cmake,docs} "$root"/{ballast.h,.clang-format} "$tree"

# The blocks, in order: a line "new file PATH" or "add to PATH" for each, its code in $work/blocks/NUMBER.
mkdir "$work/blocks"
awk -v folder="$work/blocks/" '
  /^<!-- (new file|add to|change) .* -->$/ { mark = $0; gsub(/^<!-- | -->$/, "", mark); next }
  /^```/ { inside = !inside && mark != ""; if (inside) { print mark; file = folder (++count); printf "" > file } else if (mark != "") { close(file); mark = "" } next }
  inside { print > file }' "$root/docs/extending.md" >"$work/marks"
[ -s "$work/marks" ] || fail "no blocks found"

# insert BLOCK FILE: an #include goes to its place in the alphabet, a case of a list to the list's end, anything else to the end of the file.
insert() {
  [ -f "$2" ] || fail "there is no ${2#"$tree"/} to add to"
  case $(head -n 1 "$1") in
    '#include'*) awk -v new="$(cat "$1")" '
        /^#include/ { if (!done && $0 > new) { print new; done = 1 } last = NR }
        !/^#include/ && last && last == NR - 1 && !done { print new; done = 1 }
        { print }
        END { if (!done && last == NR) { print new; done = 1 } exit !done }' "$2" >"$work/new" || fail "no place for $(cat "$1")" ;;
    '  '*) awk -v block="$1" '$0 == "}" { while ((getline line < block) > 0) print line } { print }' "$2" >"$work/new" ;;
    *) cat "$2" "$1" >"$work/new" ;;
  esac
  cat "$work/new" >"$2"
}

# change BLOCK FILE: each line that begins with - becomes the lines after it that begin with +.
change() {
  [ -f "$2" ] || fail "there is no ${2#"$tree"/} to change"
  awk -v block="$1" '
    BEGIN { while ((getline line < block) > 0) if (line ~ /^-/) { old = substr(line, 2); new[old] = "" } else new[old] = new[old] substr(line, 2) "\n" }
    $0 in new { printf "%s", new[$0]; delete new[$0]; next }
    { print }
    END { for (old in new) { print "not found: " old > "/dev/stderr"; exit 1 } }' "$2" >"$work/new" || fail "${2#"$tree"/} has changed"
  cat "$work/new" >"$2"
}

number=0
while read -r mark; do
  number=$((number + 1))
  block=$work/blocks/$number
  case $mark in
    'new file user/'*) mkdir -p "$work/user"; cp "$block" "$work/user/${mark#new file user/}" ;;
    'new file '*)
      file=${mark#new file }
      [ ! -e "$tree/$file" ] || fail "$file exists already"
      mkdir -p "$(dirname "$tree/$file")"
      cp "$block" "$tree/$file" ;;
    'add to '*) insert "$block" "$tree/${mark#add to }" ;;
    'change '*) change "$block" "$tree/${mark#change }" ;;
  esac
done <"$work/marks"

# The copy still obeys the rules of the tree.
"$tree/tests/architecture_test.sh"
if command -v clang-format >/dev/null; then
  while read -r mark; do
    file=$tree/${mark##* }
    case $file in *.h | *.cpp) [ ! -f "$file" ] || clang-format "$file" | diff "$file" - || fail "${mark##* } isn't formatted" ;; esac
  done <"$work/marks"
fi

# The tests of what was added, with double, in which gradients are checked.
mkdir -p "$work/include/ballast"
for folder in core layers optim data; do ln -s "$tree/$folder" "$work/include/ballast/$folder"; done
ln -s "$tree/ballast.h" "$work/include/ballast/ballast.h"
suffix=_f64
[ -f "$build/libballast_core$suffix.a" ] || suffix=
# The operation of a project of one's own, which brings no test of all shapes.
cat >"$work/snake_test.cpp" <<'CPP'
#include <doctest/doctest.h>

#include <ballast/core/gradcheck.h>

#include "distinct.h"
#include "snake.h"

TEST_CASE("gradient: snake") {
  for (const ballast::Shape& shape : {ballast::Shape{3}, ballast::Shape{4, 3}, ballast::Shape{2, 2, 3}}) {
    Snake layer(3);
    layer.a.assign(ballast::tensor({0.5, 1, 2}));
    CHECK(ballast::check_of(layer, ballast::distinct(shape), ballast::Mode::train).full() == "");
  }
  CHECK_THROWS_AS(Snake(3)(ballast::zeros({3, 4})), ballast::ShapeError);
}
CPP
sources="$work/snake_test.cpp $tree/tests/main.cpp $tree/tests/layer_test.cpp $tree/tests/gradcheck_elementwise_test.cpp"
while read -r mark; do
  case $mark in 'new file user/'* | 'new file apps/'*) ;; 'new file '*.cpp) sources="$sources $tree/${mark#new file }" ;; esac
done <"$work/marks"
objects=() compiling=()
for source in $sources; do
  object=$work/$(basename "$source").o
  "${CXX:-c++}" -std=c++20 -O0 -Wall -Wextra -Wconversion -Wshadow -Werror -DBALLAST_DOUBLE -I"$work/include" -I"$work/user" -I"$tree/tests" -c "$source" -o "$object" &
  compiling+=($!) objects+=("$object")
done
for pid in "${compiling[@]}"; do wait "$pid" || fail "a step of docs/extending.md doesn't compile"; done
"${CXX:-c++}" "${objects[@]}" -Wl,--start-group "$build"/libballast_{core,layers,optim,data}$suffix.a -Wl,--end-group \
  -lfmt -ljpeg -lpng -lzip -lz -lopenblas -pthread -o "$work/tests"
"$work/tests" | tee "$work/output"
"$work/tests" --list-test-cases >"$work/cases"
for case in 'gradient: snake' 'gradient: softsign' 'Lion moves' 'number_table: refuses'; do
  grep -q "$case" "$work/cases" || fail "the test '$case' didn't run"
done

# The gradients of the operation in a project outside of the tree.
"${CXX:-c++}" -std=c++20 -O0 -Wall -Wextra -Wconversion -Wshadow -Werror -DBALLAST_DOUBLE -I"$work/include" -I"$work/user" \
  "$work/user/snake_check.cpp" -Wl,--start-group "$build"/libballast_{core,layers,optim,data}$suffix.a -Wl,--end-group \
  -lfmt -ljpeg -lpng -lzip -lz -lopenblas -pthread -o "$work/snake_check"
"$work/snake_check" | tee "$work/output"
grep -q '^all gradients are right$' "$work/output" || fail "snake_check"

# The command, in a program that is otherwise the one built.
if [ -f "$tree/apps/commands/classes.cpp" ] && [ -f "$build/apps/libballast_trainer.a" ] && [ -n "$suffix" ]; then
  objects=() compiling=()
  for source in main.cpp commands/commands.cpp commands/classes.cpp; do
    object=$work/app_$(basename "$source").o
    "${CXX:-c++}" -std=c++20 -O0 -Wall -Wextra -Wconversion -Wshadow -Werror -I"$work/include" -I"$tree/apps" -c "$tree/apps/$source" -o "$object" &
    compiling+=($!) objects+=("$object")
  done
  for pid in "${compiling[@]}"; do wait "$pid" || fail "the command of docs/extending.md doesn't compile"; done
  "${CXX:-c++}" "${objects[@]}" "$build/apps/libballast_trainer.a" -Wl,--start-group "$build"/libballast_{core,layers,optim,data}.a -Wl,--end-group \
    -lprotobuf-lite -lfmt -ljpeg -lpng -lzip -lz -lopenblas -pthread -o "$work/ballast"
  "$work/ballast" classes --train-size 100 >"$work/output"
  grep -q 'class 9: [0-9]* training images' "$work/output" || fail "ballast classes"
  "$work/ballast" --help >"$work/output"
  grep -q 'count the training images of each class' "$work/output" || fail "ballast --help doesn't list the command"
fi

# The layer and the operation in a project outside of the tree.
cmake --install "$build" --prefix "$work/prefix" >/dev/null
cp "$tree/layers/aff.h" "$work/user"
echo '#include "snake.h"' | "${CXX:-c++}" -std=c++20 -fsyntax-only -Wall -Wextra -Wconversion -Wshadow -Werror \
  -I"$work/user" -I"$work/prefix/include" -x c++ - || fail "the operation doesn't compile outside of the tree"
cmake -S "$work/user" -B "$work/user/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror" >/dev/null
cmake --build "$work/user/build" >"$work/log" || { cat "$work/log"; fail "the project outside of the tree doesn't build"; }
(cd "$work" && user/build/example) | tee "$work/output"
for expected in 'loaded: the same' '1 Aff 4: 8 parameters, 0 multiply-adds' 'layer 2 folded into 1' 'Lipschitz bound [0-9]'; do
  grep -q "^$expected" "$work/output" || fail "the program didn't print '$expected'"
done
