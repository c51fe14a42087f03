# What the tests of the program share; they source it. Leaves them in an empty folder, with $ballast the program given.
set -uo pipefail
ballast=$(realpath "$1")
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0
export TERM=xterm

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# expect CODE TEXT ARGUMENTS...: runs ballast; errors must be one line "error: ..." on stderr that holds TEXT.
expect() {
  local code=$1 text=$2
  shift 2
  "$ballast" "$@" >out.txt 2>err.txt
  local got=$?
  [ $got -eq "$code" ] || fail "ballast $*: exit code $got, expected $code: $(cat err.txt)"
  grep -qF -- "$text" out.txt err.txt || fail "ballast $*: no \"$text\" in: $(cat out.txt err.txt)"
  if [ "$code" -ne 0 ]; then
    [ "$(wc -l <err.txt)" -eq 1 ] && grep -q '^error: ' err.txt || fail "ballast $*: not one error line: $(cat err.txt)"
  fi
}

same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }

# tensor_range FILE NAME: where the tensor's bytes are in a safetensors file, first and count.
tensor_range() {
  local size range
  size=$(od -An -t u8 -N 8 "$1")
  range=$(head -c $((8 + size)) "$1" | tail -c "$size" | grep -o "\"$2\":{[^}]*}" | grep -o '"data_offsets":\[[0-9,]*')
  [ -n "$range" ] || fail "$1 has no tensor $2"
  range=${range##*[}
  echo $((8 + size + ${range%,*})) $((${range#*,} - ${range%,*}))
}

# tensor FILE NAME: a checksum of its bytes.
tensor() {
  local range
  read -ra range < <(tensor_range "$1" "$2")
  tail -c +$((range[0] + 1)) "$1" | head -c "${range[1]}" | cksum
}

# fill FILE NAME WORD: every element becomes the four bytes WORD, written for printf.
fill() {
  local range
  read -ra range < <(tensor_range "$1" "$2")
  for _ in $(seq $((range[1] / 4))); do printf "$3"; done | dd of="$1" bs=1 seek="${range[0]}" conv=notrunc status=none
}
