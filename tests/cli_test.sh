#!/usr/bin/env bash
# The program as its user meets it: exit codes, messages, the files of a run, resuming to the same bits.
# Usage: cli_test.sh <ballast>
configs=$(realpath "$(dirname "$0")/../apps/configs")
source "$(dirname "$0")/cli.sh"

# The optimizer's steps done, from the state that a run saved last.
saved_step() { head -c 4000 "$1/state.safetensors" 2>/dev/null | grep -ao '\\"step\\":[0-9]*' | head -1 | grep -o '[0-9]*$'; }

# stopped SIGNAL DIR: starts the long run in DIR, saving after every step, and sends SIGNAL after a few of them.
stopped() {
  # A shell without job control starts its background jobs with SIGINT ignored.
  env --default-signal=INT "$ballast" train $long --save-every 1 --out "$2" >"$2.txt" 2>&1 &
  local process=$!
  for _ in $(seq 3000); do
    local step
    step=$(saved_step "$2")
    [ "${step:-0}" -ge 3 ] && break
    sleep 0.02
  done
  kill -"$1" $process
  wait $process
}

small="--train-size 60 --test-size 40 --epochs 1 --model mlp --hidden 8 --batch-size 20"
long="--train-size 405 --test-size 50 --epochs 2 --model lenet --norm batch --dropout 0.3 --batch-size 8 --augment light --workers 2"

echo "bad use"
"$ballast" >/dev/null 2>err.txt
[ $? -eq 2 ] && grep -q "ballast train" err.txt || fail "ballast alone: help and exit code 2"
expect 0 "Examples" train --help
expect 0 'Trains a network, measures it on the test part' train --help
[ "$(sed -n '/^Most used:/,/^$/p' out.txt | grep -oE '^  (-o,)?--[a-z-]+' | tr -d ' \n')" = '--data--label--model--norm--epochs--batch-size--lr--augment-o,--out--resume' ] ||
  fail "the most used options: $(grep -A20 '^Most used' out.txt)"
for command in train compare eval data predict; do
  "$ballast" $command --help | awk -v c=$command '/^Options/ { go = 1 } /^Examples/ { go = 0 } go && length > 100 { print c ": " $0; bad = 1 } END { exit bad }' ||
    fail "a line of --help is longer than 100 characters"
  "$ballast" $command --help | cat -s | cmp -s - <("$ballast" $command --help) || fail "two empty lines in --help"
done
expect 0 'Trains a network, measures it' train --help
expect 0 "  train a network" --help
expect 2 '--lr: "abc" is not a number' train --lr abc
expect 2 '--epochs: "2.5" is not a whole number' train --epochs 2.5
expect 2 'unknown norm "foo"; known are none, batch, layer, group, instance' train --norm foo
expect 2 'unknown act "foo"; known are relu' train --act foo
expect 2 'unknown option "--lrr"' train --lrr 1
expect 2 'unknown command "trian"; did you mean train?' trian
expect 2 'unknown command "x"; known are train, eval, predict, compare, report, plot, data, summary, models, explain, recalibrate, fold, certify, export, import, bench, experiment, demo' x
expect 2 '--lr -1: it must be above 0' train --lr -1
expect 2 '--save-every "x"' train --save-every x
expect 2 'nothing there looks like data' train --data . --train-size 5
expect 2 'missing: there is no such file or folder' train --data missing
mkdir empty
expect 2 'empty: the folder is empty' train --data empty
touch empty/state.safetensors
expect 2 'empty: the run was stopped in its first epoch; go on with train --resume' eval empty
rm empty/state.safetensors
expect 2 '2 (BatchNorm1d 8)' train $small --norm batch --batch-size 1
expect 2 'use --norm layer' train $small --norm instance
expect 2 'has only 3 steps' train $small --norm none --warmup 3
expect 2 'RUN_OR_CHECKPOINT is required' eval
expect 2 'there is no state.safetensors; give the folder of a run' train --resume empty
[ ! -e runs ] || fail "a run that never began left a folder"

echo "a run and its files"
expect 0 'run folder: runs/mlp-layer-1' train $small --norm layer
printed=$(grep -o 'test accuracy [^;]*)' out.txt)
expect 0 'run folder: runs/mlp-layer-2' train $small --norm layer
same runs/mlp-layer-1/last.safetensors runs/mlp-layer-2/last.safetensors
(cd runs/mlp-layer-1 && ls) | tr '\n' ' ' | grep -qx "best.safetensors config.toml last.safetensors metrics.csv metrics.jsonl report.html state.safetensors summary.json test.json " ||
  fail "files of a run: $(ls runs/mlp-layer-1)"
line='{"epoch":1,"step":3,"train_loss":[0-9.]*,"train_accuracy":[0-9.]*,"val_loss":[0-9.]*,"val_accuracy":[0-9.]*,"lr":[-0-9.e]*,"images_per_s":[0-9.]*,"seconds":[0-9.]*}'
grep -qx "$line" runs/mlp-layer-1/metrics.jsonl || fail "metrics.jsonl: $(cat runs/mlp-layer-1/metrics.jsonl)"
grep -q '"best"' runs/mlp-layer-1/summary.json || fail "summary.json"
expect 0 "$printed" eval runs/mlp-layer-1
expect 0 "$printed" eval runs/mlp-layer-1/best.safetensors --batch-size 1
[ "$(grep -c 'test accuracy' out.txt)" -eq 1 ] || fail "eval: not one answer: $(cat out.txt)"
expect 0 'Linear 784 -> 8' summary runs/mlp-layer-1
expect 0 '421,738' summary
expect 2 'is not empty; go on with its run by --resume runs/mlp-layer-1' train $small --out runs/mlp-layer-1
expect 2 "'1.weight': file (8, 784), model (9, 784)" eval runs/mlp-layer-1 --hidden 9
expect 2 'this is the state of a run' eval runs/mlp-layer-1/state.safetensors
expect 0 'is finished' train --resume runs/mlp-layer-1

echo "what would do better"
hint() { sed -n 's/^note: .*: ballast //p' out.txt; }
expect 0 'note: only 3 steps were taken; more epochs will most likely do better: ballast train --config ' train $small --norm none --out 'few steps'
[ "$(hint)" = "train --config 'few steps' --epochs 100" ] || fail "the command for more epochs: $(cat out.txt)"
eval expect 0 "'run folder: runs/mlp-none-1'" "$(hint)"
[ "$(wc -l <runs/mlp-none-1/metrics.jsonl)" -eq 100 ] || fail "more epochs: $(wc -l <runs/mlp-none-1/metrics.jsonl)"
[ -z "$(hint)" ] || fail "300 steps are few: $(cat out.txt)"
expect 0 'note: only 3 steps' train $small --norm none --schedule constant --out short
[ "$(hint)" = "train --resume short --epochs 100" ] || fail "the command for more epochs: $(cat out.txt)"
eval expect 0 "'going on after step 3 of 300'" "$(hint)"
expect 0 'this is no better than always guessing the most frequent class; look for another learning rate than 100: ' train $small --norm none --act sigmoid --lr 100 --epochs 40 --out guessing
[ "$(hint)" = "train --config guessing --lr-find" ] || fail "the command for a learning rate: $(cat out.txt)"
eval expect 0 "'suggestion: --lr'" "$(hint)"
expect 0 'the last epoch was the best, and the loss still fell; more epochs may do better: ' train $small --train-size 1000 --batch-size 10 --norm none --epochs 2 --out falling
[ "$(hint)" = "train --config falling --epochs 4" ] || fail "the command for more epochs: $(cat out.txt)"
expect 0 'run folder' train $small --overfit-one-batch --out by-heart
grep -q '^note' out.txt && fail "a note on a single batch: $(cat out.txt)"

echo "models from one line"
line='conv 4 3 pad=1 stride=2, batchnorm, relu, 2x(res(conv 4 3 pad=1, norm), act), flatten, linear'
custom="--train-size 60 --test-size 40 --epochs 1 --batch-size 20"
expect 0 'run folder: runs/custom-group-1' train $custom --norm group --model "$line"
grep -qF "$line, group normalization: " out.txt || fail "the model: $(cat out.txt)"
printed=$(grep -o 'test accuracy [^;]*)' out.txt)
expect 0 "$printed" eval runs/custom-group-1
expect 0 '3.body.0' summary runs/custom-group-1
expect 0 'run folder: line' train --config runs/custom-group-1 --out line
same runs/custom-group-1/config.toml line/config.toml
same runs/custom-group-1/last.safetensors line/last.safetensors
expect 0 '0 (Conv2d 1 -> 4, 3 x 3)' fold line
expect 0 "$printed" eval line/best-folded.safetensors
expect 2 '"cnov" at character 11' summary --model 'act, act, cnov 4'
expect 2 '--hidden has no effect with --model' train $custom --model "$line" --hidden 8
expect 0 'conv CHANNELS KERNEL [pad=]' models
grep -q '^  resnet-N ' out.txt || fail "models: $(cat out.txt)"

echo "the last batch of one image under batch norm"
expect 0 'the last image of each epoch is left out' train $small --norm batch --train-size 61 --out odd
grep -q '"step":3,' odd/metrics.jsonl || fail "61 images in batches of 20: $(cat odd/metrics.jsonl)"

echo "config.toml"
expect 0 'run folder: a b' train $small --norm group --act gelu --hidden 8,16 --optimizer sgd --lr 0.01 --dropout 0.2 \
  --schedule cosine --warmup 1 --seed 9223372036854775807 --threads 1 --save-every 7 --weight-decay 0.1 --out 'a b'
expect 0 'run folder: b' train --config 'a b/config.toml' --out b
same 'a b/config.toml' b/config.toml
same 'a b/last.safetensors' b/last.safetensors
expect 0 'run folder: c' train --config b/config.toml --seed 1 --out c
cmp -s b/last.safetensors c/last.safetensors && fail "--seed did not win over config.toml"
sed 's/^lr =/lrr =/' b/config.toml >typo.toml
expect 2 'typo.toml: there is no option "lrr"; did you mean lr? at line' train --config typo.toml
echo 'epochs = 2.5' >typo.toml
expect 2 'typo.toml: epochs must be a whole number at line 1' train --config typo.toml

"$ballast" train --config b/config.toml --lr 0.3 --print-config >printed.toml || fail "--print-config"
grep -qx 'lr = 0.3' printed.toml && grep -qx 'act = "gelu"' printed.toml || fail "--print-config: $(cat printed.toml)"
"$ballast" train --config printed.toml --print-config | cmp -s - printed.toml || fail "--print-config doesn't read back as itself"

for config in "$configs"/*.toml; do
  expect 0 'epochs = ' train --config "$config" --print-config
done

echo "patience, clipping, label smoothing"
expect 0 'stopped early: no better validation accuracy since epoch 1 (--patience 2)' train $small --norm none --optimizer sgd --lr 1e-30 --epochs 9 --patience 2 --out early
[ "$(wc -l <early/metrics.jsonl)" -eq 3 ] || fail "--patience 2: $(cat early/metrics.jsonl)"
expect 0 'early is finished after 3 epochs' train --resume early
expect 0 'early/best.safetensors, epoch 1: test accuracy' eval early
[ "$(grep -c 'test accuracy' out.txt)" -eq 1 ] || fail "eval: not the best epoch alone: $(cat out.txt)"
expect 0 'early/last.safetensors, epoch 3: test accuracy' eval early/last.safetensors
expect 2 'no epoch is better than another' train $small --patience 2 --validation 0
expect 0 'run folder' train $small --norm none --optimizer sgd --lr 0.1 --epochs 2 --clip 1e-30 --out clipped
[ "$(grep -o '"val_loss":[0-9.]*' clipped/metrics.jsonl | sort -u | wc -l)" -eq 1 ] || fail "--clip: $(cat clipped/metrics.jsonl)"
expect 0 'run folder' train $small --norm layer --label-smoothing 0.2 --out smoothed
cmp -s smoothed/last.safetensors runs/mlp-layer-1/last.safetensors && fail "--label-smoothing changed nothing"

echo "a run that diverges"
expect 1 'training diverged in epoch 1' train $small --norm none --optimizer sgd --lr 1e30 --out diverged
grep -q '"val_loss":null' diverged/metrics.jsonl || fail "null in metrics.jsonl: $(cat diverged/metrics.jsonl)"
[ ! -e diverged/best.safetensors ] || fail "a diverged run wrote best.safetensors"
expect 1 'epoch 1, step 2: in 3 (Linear 8 -> 10): the result of linear' train --resume diverged
expect 1 'step 1: "1.weight" isn'"'t finite after the step; --resume with --anomaly" train $small --norm none --optimizer sgd --lr 1e300 --out overflowed
expect 1 'step 2: in 3 (Linear 8 -> 10): the result of linear' train $small --norm none --optimizer sgd --lr 1e30 --save-every 1 --anomaly --out anomalous
cp anomalous/state.safetensors good.safetensors
[ "$(saved_step anomalous)" -eq 1 ] || fail "the step before the one that diverged wasn't saved"
expect 1 'training diverged in epoch 1, step 2' train --resume anomalous
same good.safetensors anomalous/state.safetensors

echo "stopping and going on to the same bits"
expect 0 'run folder: whole' train $long --out whole
stopped TERM terminated
[ $? -eq 143 ] || fail "SIGTERM: exit code $?"
grep -q 'go on with: ballast train --resume terminated' terminated.txt || fail "SIGTERM: $(cat terminated.txt)"
expect 2 "--lr can't be given with --resume" train --resume terminated --lr 1
expect 2 "--epochs can't be changed" train --resume terminated --epochs 9
stopped KILL killed
echo '{"epoch":9}' >>killed/metrics.jsonl
stopped INT interrupted
[ $? -eq 130 ] || fail "SIGINT: exit code $?"
for run in terminated killed interrupted; do
  step=$(saved_step $run)
  [ $((step % 51)) -ne 0 ] || fail "$run was not stopped within an epoch: step $step"
  expect 0 "going on after step $step of 102" train --resume $run --threads 1
  same whole/last.safetensors $run/last.safetensors
  same whole/best.safetensors $run/best.safetensors
  [ "$(cut -d, -f1-7 whole/metrics.jsonl)" = "$(cut -d, -f1-7 $run/metrics.jsonl)" ] || fail "metrics of $run"
done

echo "more epochs under a constant schedule"
expect 0 '' train $small --norm batch --schedule constant --out constant
expect 0 'going on after step 3 of 6' train --resume constant --epochs 2
expect 0 '' train $small --norm batch --schedule constant --epochs 2 --out constant2
same constant/last.safetensors constant2/last.safetensors

echo "report"
expect 0 'run folder: probed' train $small --norm layer --probe 2 --tensorboard --out probed
for tag in step/loss loss/val parameters/2.weight gradients/1 outputs/1 mistakes/01; do
  grep -q "$tag" probed/events.out.tfevents.ballast || fail "no $tag for TensorBoard"
done
same probed/last.safetensors runs/mlp-layer-1/last.safetensors
[ "$(wc -l <probed/layers.jsonl)" -eq 3 ] || fail "--probe 2: $(wc -l <probed/layers.jsonl) lines for steps 0 and 2"
grep -q '"layers_over_time":{"about":' probed/report.html || fail "no layers in the report"
expect 0 'written: runs/mlp-layer-1/report.html' report runs/mlp-layer-1
expect 0 'written: both.html' report runs/mlp-layer-1 runs/mlp-layer-2 -o both.html
grep -q '"runs":\["mlp-layer-1","mlp-layer-2"\]' both.html || fail "two seeds of a run aren't a group"
expect 2 'there is no such folder' report missing
expect 2 'config.toml: there is no such file' report empty
expect 2 'tested on different samples' report runs/mlp-layer-1 whole
expect 2 'tested on different samples' plot runs/mlp-layer-1 whole -o both.svg
cp -r runs/mlp-layer-1 cut
head -c 40 runs/mlp-layer-1/metrics.jsonl >cut/metrics.jsonl
expect 2 'cut/metrics.jsonl: line 1' report cut
rm cut/metrics.jsonl
expect 2 'the run has finished no epoch' report cut

expect 2 'ends in .svg or .png' plot probed -o loss.pdf
expect 2 'was trained without --probe' plot runs/mlp-layer-1 --what gradients -o gradients.svg
expect 2 '--layer 3: probed has 2 layers with weights' plot probed --what gradients --layer 3 -o gradients.svg
expect 2 '--lr-plot requires --lr-find' train --lr-plot lr.svg
expect 2 '--lr-plot "lr.pdf": give a file that ends in .svg or .png' train --lr-find --lr-plot lr.pdf
expect 2 "--lr-find can't be given with --resume" train --lr-find --resume probed
if command -v gnuplot >/dev/null; then
  for what in loss accuracy lr activations gradients; do expect 0 "written: $what.svg" plot probed --what $what -o $what.svg; done
  expect 0 'written: gradients.png' plot probed --what gradients -o gradients.png
  files=$(find . | sort)
  expect 0 'suggestion: --lr 0.' train --model mlp --hidden 8 --train-size 200 --test-size 20 --batch-size 20 --lr-find --lr-plot lr-find.svg
  grep -q 'least$' out.txt && grep -q '<svg' lr-find.svg || fail "no table or plot of learning rates"
  [ "$(find . | grep -v lr-find | sort)" = "$files" ] || fail "--lr-find left files"
  grep -q '<svg' loss.svg && grep -q '>loss<' loss.svg || fail "no SVG of the loss"
  [ -z "$(ls | grep gnuplot)" ] || fail "files left beside the plot"
fi

echo "compare"
expect 0 'norm layer' compare $small --norm none,layer --seeds 2 --out compared
[ "$(grep -cE '^norm (none|layer) .* \+- ' out.txt)" -eq 2 ] || fail "no rows with deviations: $(cat out.txt)"
expect 0 'written: all.html' report compared -o all.html
grep -q norm-none_seed-1 all.html || fail "not all runs of the comparison are in the report"
same compared/norm-layer_seed-0/last.safetensors runs/mlp-layer-1/last.safetensors
rm compared/norm-none_seed-1/test.json
expect 0 '3 of 4 runs are finished already' compare $small --norm none,layer --seeds 2 --out compared
expect 2 'did you mean layer?' compare --norm none,layr
expect 2 'a value is missing' compare --norm none,,layer
expect 2 'holds a run with --hidden 8 instead of 9' compare ${small/--hidden 8/--hidden 9} --norm none,layer --seeds 2 --out compared
expect 2 'not both' compare --seed 1,2 --seeds 2
tiny="--train-size 60 --test-size 40 --epochs 1 --batch-size 20"
expect 0 'model flatten, linear 8, linear' compare $tiny --model "flatten, linear 8, linear; flatten, linear" --out lines
"$ballast" compare $tiny --model mlp --norm instance,layer --out partly >out.txt 2>err.txt
[ $? -eq 1 ] && grep -q 'norm instance.*use --norm layer' err.txt && grep -q 'written: partly/report.html' out.txt || fail "compare with runs that fail: $(cat out.txt err.txt)"

echo "explain"
expect 0 '32 means and variances, each of 128 samples x 1,024 positions = 131,072 values' explain batch
expect 0 '128 means and variances, each of 32 channels x 1,024 positions = 32,768 values' explain layer
expect 0 '4,096 means and variances, each of 1,024 positions = 1,024 values' explain instance
expect 0 '1,024 means and variances, each of 4 channels x 1,024 positions = 4,096 values' explain group
expect 2 'put the word norm into its line' explain batch --model "flatten, linear"

echo "export, import, bench"
expect 0 "" train ${small/--hidden 8/--hidden 9} --norm layer --out wider
exported=runs/mlp-layer-1
expect 0 'written: weights.npz' export $exported -o weights.npz
od -An -c -N 2 weights.npz | grep -q 'P *K' || fail "weights.npz is no zip archive"
expect 0 'written: weights.safetensors' export $exported --out weights.safetensors
[ "$(tensor weights.safetensors 1.weight)" = "$(tensor $exported/best.safetensors 1.weight)" ] || fail "other weights"
expect 2 'weights.npz exists already' export $exported --out weights.npz
expect 2 'give the name of an .npz or a .safetensors file' export $exported --out weights.pt
fill weights.safetensors 4.bias '\0\0\0\0'
expect 0 'written: weights-imported.safetensors' import weights.safetensors --like $exported
expect 0 'test accuracy' eval weights-imported.safetensors
cmp -s weights-imported.safetensors $exported/best.safetensors && fail "nothing was imported"
printf '\70\0\0\0\0\0\0\0%-56s\0\0\0\0' '{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' >alone.safetensors
expect 2 'alone.safetensors: it holds weights alone, which don' eval alone.safetensors
expect 2 'this is not a checkpoint of this model' eval alone.safetensors --model mlp
expect 2 "'1.weight': file (8, 784), model (9, 784)" import weights.safetensors --like wider -o wider.safetensors
[ ! -e wider.safetensors ] || fail "what doesn't fit was written"
expect 0 'latency' bench $exported --seconds 0.01
expect 0 'training' bench --model lenet --batch-size 4 --seconds 0.01 --threads 1

echo "experiments"
expect 0 "landscape" experiment list
expect 2 'unknown experiment "landscap"; did you mean landscape?' experiment landscap
expect 2 'unknown experiment "x"; known are list, all, bn-mnist' experiment x
expect 2 'did you mean landscape?' experiment landscap
expect 2 'missing' experiment landscape --data missing
expect 0 "no verdict: this was a quick look" experiment landscape --quick --markdown found.md
grep -q "the built-in digits, drawn by the program (no real MNIST)" out.txt || fail "the data aren't named"
grep -q "landscape/report" out.txt && fail "the folder of a quick look is that of the experiment"
[ -s runs/experiments/landscape-quick/report.html ] && [ -s found/landscape.svg ] || fail "no report or picture"
mv out.txt first.txt
expect 0 "8 of 8 runs are kept" experiment landscape --quick --markdown again.md
sed -i s,found.md,again.md, first.txt && same first.txt out.txt

echo "average, accumulation, mixup, class weights: the same bits after a stop"
odd="--train-size 810 --test-size 50 --epochs 2 --model lenet --dropout 0.3 --batch-size 8 --ema 0.9 --accumulate 3 --mixup 0.2 --class-weights balanced --clip 1"
expect 0 '2 x 34 steps' train $odd --out average
long=$odd stopped TERM average-stopped
expect 0 'going on after step' train --resume average-stopped
for file in last best; do same average/$file.safetensors average-stopped/$file.safetensors; done
printed=$(grep -o 'test accuracy [^;]*)' out.txt)
expect 0 "$printed" eval average
grep -qa '"average.0.weight"' average/state.safetensors || fail "the state has no average"
[ "$(tensor average/last.safetensors 0.weight)" = "$(tensor average/state.safetensors average.0.weight)" ] || fail "last.safetensors isn't the average"
expect 2 '--class-weights 1,2: 2 weights for 10 classes' train $small --norm layer --class-weights 1,2
expect 2 'did you mean balanced?' train $small --norm layer --class-weights balance

echo "demo"
mkdir -p tree/bin tree/share/ballast
cp "$ballast" tree/bin/ballast
tree/bin/ballast demo 2>err.txt && fail "a page that was not built is written"
grep -q 'apps/demo/build.sh of the sources builds it' err.txt || fail "how to build the page isn't said"
echo "a page" >tree/share/ballast/demo.html
tree/bin/ballast demo live.html >/dev/null && cmp -s live.html tree/share/ballast/demo.html || fail "the installed page is not written"

echo "the bar on a terminal"
script -qec "stty cols 80; '$ballast' train $long --epochs 1 --save-every 5 --out bar" typescript >/dev/null
tr '\r' '\n' <typescript | grep 'left' >bars.txt
grep -q 'epoch 1/1  \[=*> *\]  loss .* accuracy .* images/s  .* left' bars.txt || fail "no bar on a terminal"
sed 's/\x1b\[K//g' bars.txt | awk 'length > 79 { exit 1 }' || fail "the bar is wider than the terminal"

script -qec "stty cols 100; '$ballast' compare $small --epochs 40 --train-size 2000 --norm none,layer --jobs 2 --out watched" typescript >/dev/null
tr '\r' '\n' <typescript | grep -q '^0 of 2 runs done; norm none: epoch [0-9]*/40; norm layer: epoch [0-9]*/40' || fail "no progress of compare on a terminal: $(head -c 500 typescript)"
expect 0 'norm layer' compare $small --norm none,layer --jobs 2 --out piped
[ "$(head -3 out.txt | sort | tr '\n' ';')" = "2 runs, 2 at a time;norm layer: trained;norm none: trained;" ] || fail "compare into a pipe: $(cat -A out.txt)"

[ $failures -eq 0 ] && echo "all well" || exit 1
