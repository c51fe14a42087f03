#!/usr/bin/env bash
# A run's folder belongs to one process, and a process that was killed while it saved leaves nothing that stays.
# Usage: run_folder_test.sh <ballast> [ATTEMPTS [KILLS]]    defaults 5 and 10; to be convinced, 100 and 200
attempts=${2:-5} kills=${3:-10}
source "$(dirname "$0")/cli.sh"

run="--train-size 200 --test-size 20 --model lenet --batch-size 4 --threads 1 --save-every 1 --schedule constant"

# two WHAT ARGUMENTS...: starts two processes at the same time; one must go on and the other be refused, with the name of the first.
# Then kills the one that goes on, so that its lock has to end with it.
two() {
  local what=$1
  shift
  "$ballast" train "$@" >one.txt 2>&1 &
  local one=$!
  "$ballast" train "$@" >two.txt 2>&1 &
  local two=$!
  wait -n -p ended $one $two
  local code=$? winner=$one loser=two
  [ "$ended" = $one ] && winner=$two && loser=one
  [ $code -eq 2 ] || fail "$what: the first to end has exit code $code, not 2: $(cat $loser.txt)"
  grep -q "^error: .*process $winner is writing to this folder" $loser.txt || fail "$what: refused otherwise: $(cat $loser.txt); the winner is $winner"
  kill -0 $winner 2>/dev/null || fail "$what: both ended: $(cat one.txt two.txt)"
  kill -KILL $winner
  wait $winner 2>/dev/null
}

echo "two processes on one folder, $attempts times"
for attempt in $(seq "$attempts"); do
  two "new run, attempt $attempt" $run --epochs 1000 --out "shared$attempt"
  [ -e "shared$attempt/state.safetensors" ] || "$ballast" train $run --epochs 1 --out "shared$attempt" >/dev/null 2>&1
  two "resumed run, attempt $attempt" --resume "shared$attempt" --epochs 1000
done

echo "killed while saving, $kills times"
"$ballast" train $run --epochs 100000 --out killed >/dev/null 2>&1 &
left=0
for kill in $(seq "$kills"); do
  process=$!
  for _ in $(seq 1000); do
    [ -e killed/state.safetensors ] && ! flock -n killed/.lock true && break
    sleep 0.01
  done
  sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
  kill -KILL $process
  wait $process 2>/dev/null
  left=$((left + $(find killed -name '*.tmp' | wc -l)))
  rm -f resumed.txt  # what the one before has said
  "$ballast" train --resume killed --epochs 100000 >resumed.txt 2>&1 &
  process=$!
  for _ in $(seq 1000); do
    grep -qs 'going on after step' resumed.txt && break
    sleep 0.02
  done
  grep -q 'going on after step' resumed.txt || fail "kill $kill: not resumed: $(cat resumed.txt)"
  find killed -name '*.tmp' ! -name "*.$process.tmp" | grep . && fail "kill $kill: temporary files stayed"
done
kill -TERM $!
wait $! 2>/dev/null
find killed -name '*.tmp' | grep . && fail "temporary files stayed"
echo "temporary files that the kills left, all removed by the next start: $left"

echo "the files of others"
touch killed/state.safetensors.notes.tmp
(
  flock -x 9  # as a living process does that writes this file
  "$ballast" train --resume killed --epochs 1 >/dev/null 2>&1
) 9>killed/last.safetensors.1.tmp
[ -e killed/last.safetensors.1.tmp ] || fail "the temporary file of a living process was removed"
[ -e killed/state.safetensors.notes.tmp ] || fail "a file of another name was removed"

[ $failures -eq 0 ] && echo "all well" || exit 1
