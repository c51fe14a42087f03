#!/usr/bin/env bash
# What a person meets who gives the program something odd: options, files, full disks, closed pipes, signals, other data.
# Usage: program_test.sh <ballast>
source "$(dirname "$0")/cli.sh"

tiny="--train-size 60 --test-size 40 --epochs 1 --batch-size 20"
small="$tiny --model mlp --hidden 8 --norm layer"

echo "names"
expect 0 'ballast 0.' --version
expect 2 'did you mean train?' trian
expect 2 'did you mean --batch-size?' train --batchsize 4
expect 2 'did you mean batch?' train --norm bacth
expect 2 'did you mean cosine?' train --schedule cosin
expect 2 'did you mean --lr?' train --learning-rate 0.1
expect 2 'did you mean --data mydata?' train mydata
expect 2 'did you mean mlp?' train --model MLP
expect 2 'did you mean sgd?' train --optimizer SGD
for norm in batchnorm BatchNorm2d bn; do expect 2 'did you mean batch?' train --norm $norm; done
expect 2 'did you mean layer?' train --norm layernorm
expect 2 'did you mean cosine?' train --schedule CosineAnnealingLR
for word in dense fc Dense; do expect 2 'did you mean linear?' summary --model "flatten, $word 8, linear"; done
expect 2 'did you mean conv?' summary --model 'Conv2d 8 3, flatten, linear'
expect 2 'did you mean pad?' summary --model 'conv 8 3 padding=1, flatten, linear'
expect 0 'MaxPool2d' summary --model 'Conv 8 3 pad=1, BatchNorm, ReLU, MaxPool 2, Flatten, Linear'
expect 2 '"conv 8 50" at character 1 of "conv 8 50, flatten, linear": given (N, 1, 28, 28): its kernel of 50 x 50 is larger than the images there, 28 x 28 pixels; take a smaller one, more pad=' summary --model 'conv 8 50, flatten, linear'
expect 2 '"maxpool 40" at character 11' summary --model 'conv 8 5, maxpool 40, flatten, linear'
expect 2 'its window of 40 x 40 is larger than the images there, 24 x 24 pixels' summary --model 'conv 8 5, maxpool 40, flatten, linear'
expect 2 '(with its dilation it spans 29)' summary --model 'conv 8 5 dilation=7, flatten, linear'
expect 0 '' summary --model 'conv 8 30 pad=1, flatten, linear'

echo "numbers"
expect 2 '--epochs 9223372036854775807: give 0 to' train --epochs 9223372036854775807
expect 2 '--epochs -1: give 0 to' train --epochs=-1
expect 2 '--seed -1: give at least 0' train --seed -1
expect 2 '--seed: 18446744073709551616 is too large' train --seed 18446744073709551616
expect 2 '--lr: 1e400 is too large' train --lr 1e400
expect 2 '--lr: "nan" is not a number' train --lr nan
expect 2 '--lr: "0,01" is not a number' train --lr 0,01
expect 2 '--hidden "": give values' train --model mlp --hidden ''
expect 2 '--hidden "8,,8": give values' train --model mlp --hidden 8,,8
expect 2 '--epochs: "1e3" is not a whole number' train --epochs 1 --epochs 1e3
expect 2 '--test-size 0: give 1 to' train --test-size 0
expect 2 '--train-size 99999999999: give 1 to' train --train-size 99999999999
expect 2 '--batch-size 9223372036854775807: give 0 to' train --batch-size 9223372036854775807
expect 2 '--threads 257: give 0 to 256' train --threads 257
expect 2 '--save-every "infs"' train --save-every infs
expect 2 '--out: the text is empty' train --out ''
BALLAST_NUM_THREADS=two expect 2 "BALLAST_NUM_THREADS is 'two'" summary
BALLAST_NUM_THREADS=0 expect 2 "BALLAST_NUM_THREADS is '0'" train $small --threads 1
BALLAST_ISA=sse expect 2 'BALLAST_ISA is' summary

echo "options without effect"
expect 2 '--momentum has no effect with --optimizer adamw' train $small --momentum 0.5
expect 2 '--hidden has no effect with --model cnn' train $tiny --hidden 8
expect 2 '--hidden has no effect with --model lenet' summary --model lenet --hidden 8
[ ! -e runs ] || fail "a run that never began left a folder"

echo "groups of several values"
expect 0 'of 8  ' summary --model mlp --norm group --hidden 8
expect 0 'GroupNorm 2 groups of 16' summary --model mlp --norm group --hidden 32
expect 0 'GroupNorm 8 groups of 64' summary --model mlp --norm group
expect 2 'group norm: it would be over a single value' summary --model mlp --norm group --hidden 8,1
expect 2 'layer norm: it would be over a single value' summary --model mlp --norm layer --hidden 1
expect 0 '' train --model mlp --norm group --hidden 8 --train-size 3000 --test-size 500 --lr 0.01 --out grouped
accuracy=$(grep -o 'test accuracy [0-9]*' out.txt | tail -1)
[ "${accuracy##* }" -ge 40 ] || fail "groups of few values learn nothing: $accuracy"

echo "config.toml"
expect 0 'run folder: a' train $small --out a
expect 0 'run folder: b' train --config a --out b
same a/config.toml b/config.toml
expect 2 'there is no such file' train --config .
expect 2 'missing.toml: there is no such file' train --config missing.toml
printf '\xef\xbb\xbf# other ways to write it\nlr = +0.003\ntrain-size = 1_000\nmodel = '"'mlp'"'\nhidden = [\n  8, # few\n  0x8,\n]\n[[' >odd.toml
expect 2 'odd.toml: ' train --config odd.toml
grep -q 'at line 9' err.txt || fail "no line: $(cat err.txt)"
sed -i '$d' odd.toml
printf 'test-size = 40\nepochs = 1\nnorm = """none"""\n' >>odd.toml
expect 0 'mlp, no normalization: 6442 parameters; 1000 training, 100 validation and 40 test images' train --config odd.toml --out odd
toml() {  # toml LINE TEXT: a config.toml with that line is refused with that text
  printf 'seed = 1\n%s\n' "$1" >bad.toml
  expect 2 "$2" train --config bad.toml --train-size 60 --test-size 40
}
toml 'epocs = 3' 'bad.toml: there is no option "epocs"; did you mean epochs? at line 2'
toml 'epochs = 2.5' 'bad.toml: epochs must be a whole number at line 2'
toml 'epochs = -1' 'bad.toml: --epochs -1: give 0 to 1000000000 at line 2'
toml 'lr = 1e400' 'at line 2'
toml 'lr = .003' 'in "lr = .003"'
toml 'lr =' 'in "lr ="'
toml 'lr = nan' 'bad.toml: lr'
toml 'norm = "bacth"' 'did you mean batch? at line 2'
toml 'norm = 2024-01-01' 'bad.toml: norm: give text in quotes, a number or a list at line 2'
toml 'hidden = [8, "x"]' 'bad.toml: hidden must be a whole number at line 2'
toml 'seed = 2' 'in "seed = 2"'
toml '[training]' 'bad.toml: there is no option "training"'

echo "output that can't be written"
for command in "eval a" "summary a" "certify a --probes 0" "train $small --out full" "--help" "eval --help" --version; do
  rm -rf full
  "$ballast" $command >/dev/full 2>err.txt
  code=$?
  # Layer norm has no bound: certify fails for that reason, once it has read the network.
  if [ "$command" = "certify a --probes 0" ]; then [ $code -eq 2 ]; else [ $code -eq 1 ]; fi || fail "$command >/dev/full: exit code $code"
  [ "$(wc -l <err.txt)" -eq 1 ] && grep -q '^error: ' err.txt || fail "$command >/dev/full: $(cat err.txt)"
done
grep -q 'No space left on device' err.txt || fail "the reason: $(cat err.txt)"
"$ballast" eval missing 2>/dev/full
[ $? -eq 2 ] || fail "an error that can't be told"
"$ballast" train $tiny --model mlp --hidden 8 --batch-size 4 --out warned >/dev/null 2>/dev/full
[ $? -eq 0 ] || fail "a warning that can't be told"
"$ballast" train $small --out closed <&- >&- 2>&-
[ $? -eq 0 ] || fail "closed standard streams"
same a/last.safetensors closed/last.safetensors
"$ballast" summary a | true
[ "${PIPESTATUS[0]}" -eq 141 ] || [ "${PIPESTATUS[0]}" -eq 0 ] || fail "a closed pipe"

echo "folders and files that can't be written"
mkdir kept && touch kept/notes
expect 2 '--out kept: the folder is not empty; choose another folder' train $small --out kept
touch runs
expect 2 "can't make the folder runs" train $small
rm runs
(
  ulimit -f 300
  trap '' XFSZ
  "$ballast" train $tiny --out limited >out.txt 2>err.txt
  [ $? -eq 1 ] && grep -q 'raise the limit on file sizes' err.txt && [ ! -e limited ]
) || fail "a file size limit: $(cat err.txt)"
(
  ulimit -f 300
  "$ballast" train $tiny --out limited >out.txt 2>err.txt
  [ $? -eq 1 ] && grep -q 'raise the limit on file sizes' err.txt && [ ! -e limited ]
) || fail "a file size limit, its signal not ignored: $(cat err.txt)"

echo "signals"
long="--train-size 405 --test-size 50 --epochs 3 --model lenet --batch-size 4 --save-every 1 --threads 1"
until_step() {  # until_step FOLDER: waits until a run has saved a step
  for _ in $(seq 3000); do
    head -c 6000 "$1/state.safetensors" 2>/dev/null | grep -qa '\\"step\\":[1-9]' && return
    sleep 0.02
  done
}
expect 0 '' train $long --out whole
"$ballast" train $long --out hangup >hangup.txt 2>&1 &
until_step hangup
kill -HUP $!
wait $!
[ $? -eq 129 ] && grep -q 'stopped after step .* and saved' hangup.txt || fail "SIGHUP: $(cat hangup.txt)"
{ "$ballast" train $long --save-every 100000 --out pipe 2>pipe.txt; echo $? >pipe.code; } | head -1 >/dev/null
[ "$(cat pipe.code)" -eq 141 ] || fail "a closed pipe: exit code $(cat pipe.code)"
for run in hangup pipe; do
  expect 0 'going on after step' train --resume $run
  grep -q 'going on after step 0 ' out.txt && fail "$run: nothing was saved when it was stopped"
  same whole/last.safetensors $run/last.safetensors
done
(
  trap '' HUP INT TERM
  exec "$ballast" train $long --epochs 1 --out deaf >deaf.txt 2>&1
) &
until_step deaf
kill -HUP $! && kill -INT $! && kill -TERM $!
wait $!
[ $? -eq 0 ] || fail "signals that were ignored: $(cat deaf.txt)"
"$ballast" train $long --epochs 100 --out twice >twice.txt 2>&1 &
until_step twice
kill -STOP $! && kill -TERM $! && kill -HUP $! && kill -CONT $!
wait $!
code=$?
[ $code -eq 143 ] || [ $code -eq 129 ] || fail "two signals: exit code $code"

echo "data"
# idx FILE WORDS... <BYTES: an IDX file with these 32-bit words first.
idx() {
  local file=$1
  shift
  {
    for word; do printf "\\x$(printf %02x $((word >> 24 & 255)))\\x$(printf %02x $((word >> 16 & 255)))\\x$(printf %02x $((word >> 8 & 255)))\\x$(printf %02x $((word & 255)))"; done
    cat
  } >"$file"
}
bytes() { awk -v n="$1" -v seed="$2" 'BEGIN { srand(seed); for (i = 0; i < n; ++i) printf "%c", 1 + int(rand() * 100) }' | LC_ALL=C head -c "$1"; }
labels() { for i in $(seq "$1"); do printf "\\x0$(((i + $2) % 10))"; done; }
make_data() {  # make_data FOLDER
  mkdir -p "$1"
  LC_ALL=C bytes $((40 * 784)) 1 | idx "$1/train-images-idx3-ubyte" 2051 40 28 28
  labels 40 0 | idx "$1/train-labels-idx1-ubyte" 2049 40
  LC_ALL=C bytes $((20 * 784)) 2 | idx "$1/t10k-images-idx3-ubyte" 2051 20 28 28
  labels 20 0 | idx "$1/t10k-labels-idx1-ubyte" 2049 20
}
make_data d
model="--model mlp --hidden 8 --norm none --batch-size 8 --schedule constant"
expect 0 '' train --data d $model --epochs 1 --out on_d
grep -qa "$PWD" on_d/last.safetensors && fail "a checkpoint tells where its author's data are"
grep -qa '"data\\":\\"../d\\"' on_d/last.safetensors || fail "the way to the data"
expect 0 'test accuracy' eval on_d
(cd on_d && "$ballast" eval last.safetensors >/dev/null) || fail "eval from another folder"
make_data other && labels 20 5 | idx other/t10k-labels-idx1-ubyte 2049 20
expect 0 '' train --data d --model mlp --hidden 8 --norm batch --batch-size 8 --epochs 1 --out batch_d
expect 0 'outputs for 20 test images differ by' fold batch_d --data other
grep -qa '"data\\":\\"../d\\"' batch_d/best-folded.safetensors || fail "fold: other data than it was trained on"
expect 0 'written' recalibrate batch_d --data other
expect 0 'test accuracy' eval batch_d/best-recalibrated.safetensors
grep -q note err.txt && fail "recalibrate: the data of the one and the fingerprint of the other: $(cat err.txt)"
mkdir moved && cp -r d on_d moved && mv d d.away
(cd / && "$ballast" eval "$folder/moved/on_d" >/dev/null) || fail "data and run moved together"
expect 2 "the data \"d\" that it was trained on aren't in" eval on_d
expect 0 'test accuracy' eval on_d --data d.away
mv d.away d
expect 2 '--train-size has no effect here' eval a --train-size 50
change() {  # change FILE COMMAND: resuming must be refused with d/FILE as the command makes it
  cp "d/$1" original
  eval "$2"
  expect 2 'these are not the data that the run began with: they differ in' train --resume on_d --epochs 2
  cp original "d/$1"
}
change train-labels-idx1-ubyte 'labels 40 1 | idx d/train-labels-idx1-ubyte 2049 40'
change t10k-labels-idx1-ubyte 'labels 20 3 | idx d/t10k-labels-idx1-ubyte 2049 20'
change t10k-images-idx3-ubyte 'LC_ALL=C bytes $((20 * 784)) 3 | idx d/t10k-images-idx3-ubyte 2051 20 28 28'
change train-images-idx3-ubyte 'LC_ALL=C bytes $((40 * 784)) 4 | idx d/train-images-idx3-ubyte 2051 40 28 28'
labels 20 3 | idx d/t10k-labels-idx1-ubyte 2049 20
expect 0 'test accuracy' eval on_d
grep -q 'note: --data .*: these are not the data that .* was trained on: they differ in test_labels' err.txt || fail "changed data: $(cat err.txt)"
labels 20 0 | idx d/t10k-labels-idx1-ubyte 2049 20
expect 0 'going on after step 5 of 10' train --resume on_d --epochs 2
head -c $((40 * 784)) /dev/zero | idx d/train-images-idx3-ubyte 2051 40 28 28
expect 2 'all values of all training samples are the same (0)' train --data d $model --out black
expect 2 "batch normalization can't train on 1 image" train --train-size 1 --test-size 40 --model mlp --norm batch
mkdir digits
expect 0 '' train $small --out plain
grep -q 'note: --data digits are the built-in digits' err.txt || fail "a folder named digits: $(cat err.txt)"
rmdir digits

echo "another instruction set"
BALLAST_ISA=baseline expect 0 '' train $small --schedule constant --out slow
expect 0 '' train --resume slow --epochs 2
if "$ballast" summary >/dev/null && BALLAST_ISA=avx2 "$ballast" summary >/dev/null 2>&1; then
  grep -q 'note: this run was saved on baseline and goes on with' err.txt || fail "another instruction set: $(cat err.txt)"
fi

[ $failures -eq 0 ] && echo "all well" || exit 1
