#!/usr/bin/env bash
# Runs that are killed at random moments and resumed each time end with the same checkpoint, to the bit, as one that wasn't.
# Usage: kill_test.sh <ballast> [KILLS [SEED]]    defaults 2 and 1; to be convinced, 30
kills=${2:-2}
RANDOM=${3:-1}
source "$(dirname "$0")/cli.sh"

cnn="--train-size 2000 --test-size 50 --epochs 2 --model lenet --norm batch --dropout 0.3 --batch-size 16 --optimizer adam --schedule one-cycle --augment light --workers 2 --ema 0.9 --threads 1"
mlp="--train-size 2000 --test-size 50 --epochs 4 --model mlp --hidden 64,32 --norm batch --dropout 0.2 --batch-size 16 --optimizer adamw --schedule cosine --augment strong --mixup 0.2 --accumulate 2 --workers 1 --threads 1"

# The steps done, from the state saved last; -1 before there is one.
step_of() {
  local step
  step=$(head -c 6000 "$1/state.safetensors" 2>/dev/null | grep -ao '\\"step\\":[0-9]*' | head -1 | grep -o '[0-9]*$')
  echo "${step:--1}"
}

# interrupt NAME KILLS ARGUMENTS...: a run in the folder NAME-killed that is ended so many times.
interrupt() {
  local name=$1 count=$2 folder=$1-killed
  shift 2
  for kill in $(seq "$count"); do
    local signal=${signals[RANDOM % 3]}
    local before
    before=$(step_of "$folder")
    if [ "$before" -ge 0 ]; then set -- --resume "$folder"; fi
    env --default-signal=INT "$ballast" train "$@" >"$folder.txt" 2>&1 &
    local process=$!
    sleep "$(awk -v most="${SECONDS_OF[$name]}" -v r=$RANDOM -v kills="$count" 'BEGIN { printf "%.3f", 0.02 + r / 32768 * (0.25 + 1.5 * most / 1000 / kills) }')"
    kill -"$signal" $process 2>/dev/null
    wait $process
    local code=$?
    case $code in
      0 | 130 | 143 | 137) ;;
      *) fail "$name, kill $kill by $signal: exit code $code: $(cat "$folder.txt")" ;;
    esac
    local after
    after=$(step_of "$folder")
    [ "$after" -ge "$before" ] || fail "$name, kill $kill by $signal: step $before was saved, now it is $after"
    stops[$signal]=$((${stops[$signal]:-0} + 1))
    [ "$after" -gt 0 ] && moments[$after]=1
  done
  [ "$(step_of "$folder")" -ge 0 ] && set -- --resume "$folder"
  expect 0 '' train "$@"
}

declare -A SECONDS_OF stops moments
signals=(KILL TERM INT)
for name in mlp cnn; do
  start=$(date +%s%3N)
  expect 0 '' train ${!name} --out $name
  SECONDS_OF[$name]=$(($(date +%s%3N) - start))
  interrupt $name $(((kills + 1) / 2)) ${!name} --save-every 7 --out $name-killed
  for file in last best; do same $name/$file.safetensors $name-killed/$file.safetensors; done
  [ "$(cut -d, -f1-7 $name/metrics.jsonl)" = "$(cut -d, -f1-7 $name-killed/metrics.jsonl)" ] || fail "$name: other metrics: $(diff $name/metrics.jsonl $name-killed/metrics.jsonl)"
done
echo "stopped by KILL ${stops[KILL]:-0}, TERM ${stops[TERM]:-0}, INT ${stops[INT]:-0} times, after ${#moments[@]} different steps"

[ $failures -eq 0 ] && echo "all well" || exit 1
