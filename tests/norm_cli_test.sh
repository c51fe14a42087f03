#!/usr/bin/env bash
# What the program does with normalization: freezing, initializing from a checkpoint, advice, recalibrate, fold, certify.
# Usage: norm_cli_test.sh <ballast>
source "$(dirname "$0")/cli.sh"

zero='\0\0\0\0' one='\0\0\200\77' nan='\0\0\300\177'
tiny="--train-size 60 --test-size 40 --epochs 1 --batch-size 20"
small="$tiny --model mlp --hidden 8"
data="--train-size 3000 --test-size 500 --epochs 2 --model mlp --batch-size 50"
good="$data --hidden 32,16"
expect 0 '' train $good --norm batch --out run
[ ! -s err.txt ] || fail "a sound model gets warnings: $(cat err.txt)"
cp -r run before
accuracy=$("$ballast" eval run | grep -o '[0-9.]* % ([0-9]* of 500)')
[ "${accuracy%%.*}" -ge 60 ] || fail "the network to test with has learned nothing: $accuracy"

echo "freezing"
expect 2 "--freeze: the pattern '7*' matches no module and no parameter; there are" train $small --freeze '7*'
expect 2 '--freeze *: no parameter is left to train' train $small --freeze '*'
expect 2 '--freeze-stats 1: no layer of these has running statistics' train $small --freeze-stats 1
expect 2 "--freeze can't be given with --resume" train --resume run --freeze 1
[ ! -e runs ] || fail "a run that never began left a folder"
expect 0 'frozen: 25658 of 25866 parameters' train $good --norm batch --init-from run --freeze '1,*.bias,[4]' --freeze-stats 5 \
  --schedule constant --epochs 2 --out frozen
grep -q 'frozen: the running statistics of 5$' out.txt || fail "no word of frozen statistics: $(cat out.txt)"
for name in 1.weight 2.bias 4.weight 5.bias 7.bias 5.running_mean 5.running_var 5.num_batches_tracked; do
  [ "$(tensor run/best.safetensors $name)" = "$(tensor frozen/last.safetensors $name)" ] || fail "$name was frozen and moved"
done
for name in 2.weight 5.weight 7.weight 2.running_mean 2.running_var 2.num_batches_tracked; do
  [ "$(tensor run/best.safetensors $name)" != "$(tensor frozen/last.safetensors $name)" ] || fail "$name wasn't frozen and stayed"
done
expect 0 'run folder: again' train --config frozen/config.toml --out again
same frozen/last.safetensors again/last.safetensors
expect 0 '' train --config frozen/config.toml --epochs 1 --out resumed
LC_ALL=C sed -i 's/freeze-mode/freezeXmode/' resumed/state.safetensors  # as if the state were older than the option
rm -r again
mv run moved  # going on needs the checkpoint it began from no more
expect 0 'going on after step 60 of 120' train --resume resumed --epochs 2
mv moved run
same frozen/last.safetensors resumed/last.safetensors
expect 2 '2 (BatchNorm1d 8)' train $small --norm batch --batch-size 1
expect 0 'evaluating while the rest trains: 2' train $small --norm batch --batch-size 1 --freeze-mode 2

echo "initializing from a checkpoint"
expect 0 "initialized from $PWD/run/best.safetensors" train $data --hidden 32,20 --norm batch --init-from run --lr 1e-9 --out wider
grep -q '^  loaded (8): 1.weight, 2.weight, 2.bias, 2.running_mean, 2.running_var, 2.num_batches_tracked, 5.num_batches_tracked, 7.bias$' out.txt &&
  grep -q "^  new, of another shape (6): '4.weight': file (16, 32), model (20, 32), " out.txt || fail "report: $(cat out.txt)"
expect 0 'left out, not in the model (11): ' train $good --norm none --init-from run/best.safetensors --out plain
grep -q '  new, not in the file (3): 1.bias, 3.weight, 3.bias$' out.txt || fail "report: $(cat out.txt)"
expect 2 'nothing in it fits the model; new, not in the file (' train $tiny --model lenet --norm none --init-from run
expect 2 'this is the state of a run' train $small --init-from run/state.safetensors
expect 2 'missing: No such file' train $small --init-from missing

echo "advice"
expect 0 'small-batch            found: a batch norm that trains on batches below 8 [Wu & He 2018' summary run --advise --batch-size 7
grep -q '  - 2 (BatchNorm1d 32) normalizes by the statistics of 7 samples' out.txt || fail "small-batch: $(cat out.txt)"
[ "$(grep -c ' found: ' out.txt)" -eq 1 ] && [ "$(grep -c ' none: ' out.txt)" -eq 5 ] || fail "rules: $(cat out.txt)"
expect 0 'small-batch            none' summary run --advise --batch-size 8
expect 0 'one-value-per-channel  found' summary run --advise --batch-size 1
expect 0 'dropout-before-norm    found' summary --model mlp --dropout 0.5 --advise
expect 0 'dropout-before-norm    none' summary --model mlp --dropout 0.5 --norm layer --advise
for model in mlp lenet cnn; do
  for norm in none batch layer group instance; do
    [ $model-$norm = mlp-instance ] || expect 0 'bias-before-norm       none' summary --model $model --norm $norm --advise
  done
done
expect 2 '--batch-size requires --advise' summary --batch-size 4
expect 0 '' train $small --norm batch --batch-size 7 --epochs 2
[ "$(grep -c 'warning: small-batch: .*use GroupNorm or LayerNorm.*Wu & He 2018' err.txt)" -eq 1 ] && [ "$(wc -l <err.txt)" -eq 1 ] ||
  fail "one warning, once: $(cat err.txt)"
expect 0 '' train $small --norm layer --batch-size 7
[ ! -s err.txt ] || fail "layer norm minds the batch: $(cat err.txt)"
expect 0 '' train $small --norm batch --hidden 8,8 --dropout 0.5
grep -q '^warning: dropout-before-norm: .*(and 1 more like it)' err.txt && [ "$(wc -l <err.txt)" -eq 1 ] || fail "dropout: $(cat err.txt)"

echo "recalibrate"
expect 0 'written: run/best-recalibrated.safetensors' recalibrate run
grep -q 'from 12 batches of up to 256 images$' out.txt || fail "the last, smaller batch counts too: $(cat out.txt)"
grep -q "^before: test accuracy $accuracy" out.txt || fail "the accuracy before: $(cat out.txt)"
after=$(sed -n 's/^after:  test accuracy \(.*\), loss.*/\1/p' out.txt)
expect 0 "test accuracy $after" eval run/best-recalibrated.safetensors
cp run/best.safetensors reset.safetensors
for layer in 2 5; do
  fill reset.safetensors $layer.running_mean $zero
  fill reset.safetensors $layer.running_var $one
done
lost=$("$ballast" eval reset.safetensors | grep -o '[0-9.]* % ([0-9]* of 500)')
[ $((${lost%%.*} + 10)) -le "${accuracy%%.*}" ] || fail "reset statistics do no harm: $lost, $accuracy"
expect 0 "before: test accuracy $lost" recalibrate reset.safetensors --threads 1
same reset-recalibrated.safetensors run/best-recalibrated.safetensors  # what the statistics were doesn't matter
expect 2 'run/best-recalibrated.safetensors exists already' recalibrate run
expect 0 'from 30 batches of up to 100 images' recalibrate run --batch-size 100 --out "$PWD/other.safetensors"
expect 2 'recalibrate: the model has no layer with running statistics' recalibrate plain
expect 2 '2 (BatchNorm1d 32)' recalibrate run --batch-size 1 --out third.safetensors
[ ! -e third.safetensors ] || fail "a failed recalibration left a file"
expect 2 'RUN_OR_CHECKPOINT is required' recalibrate

echo "fold"
expect 0 '2 (BatchNorm1d 32) folded into 1 (Linear 784 -> 32)' fold run
grep -q '^equal predictions on 500 of 500 test images' out.txt || fail "predictions: $(cat out.txt)"
sed -n 's/.*(\(.*\) of the largest)$/\1/p' out.txt | awk '{ exit !($1 <= 1e-5) }' || fail "logits: $(cat out.txt)"
[ "$(stat -c %s run/best-folded.safetensors)" -lt "$(stat -c %s run/best.safetensors)" ] || fail "a folded checkpoint isn't smaller"
expect 0 "test accuracy $accuracy" eval run/best-folded.safetensors
expect 0 'Linear 784 -> 32' summary run/best-folded.safetensors
grep -q BatchNorm out.txt && fail "a batch norm in the folded network: $(cat out.txt)"
expect 2 'run/best-folded.safetensors exists already' fold run
expect 2 'there is nothing to fold' fold run/best-folded.safetensors
expect 0 '' train $tiny --model lenet --norm instance --out instance
expect 2 'there is nothing to fold' fold instance
cp run/best.safetensors broken.safetensors
fill broken.safetensors 7.bias $nan
expect 2 'nothing was written' fold broken.safetensors
[ ! -e broken-folded.safetensors ] || fail "a network that folding changes was written"

echo "certify"
expect 0 'written: run/best-certificate.json' certify run --probes 2000 --radii 0,1e-3,100
bound=$(grep '^ *network ' out.txt)
[ "$(grep -cE '^[0-9].* (99\.[0-9]*|100\.00) %$' out.txt)" -eq 3 ] || fail "layers that attain their bound: $(cat out.txt)"
awk '$2 == "Linear" { product = (product ? product : 1) * $6 } /^ *network / { exit !(($2 - product) ^ 2 < (1e-3 * product) ^ 2) }' out.txt ||
  fail "the bound isn't the product: $(cat out.txt)"
grep -q '^2000 random probes: none exceeds the bound' out.txt || fail "probes: $(cat out.txt)"
grep -q "within 0  *$accuracy" out.txt && grep -q 'within 100  *0.00 % (0 of 500)' out.txt || fail "radii: $(cat out.txt)"
[ "$(sed '/"radii"/,/\]/!d' run/best-certificate.json | grep -c '^  ')" -eq 500 ] || fail "not a radius for each image"
expect 0 'holds: neither statistics nor weights have changed' certify run --check run/best-certificate.json --probes 0
[ "$bound" = "$(grep '^ *network ' out.txt)" ] || fail "the bound in the certificate: $(cat out.txt)"
expect 0 '' certify run/best-folded.safetensors --probes 100
[ "$bound" = "$(grep '^ *network ' out.txt)" ] || fail "the bound of the folded network: $(cat out.txt)"
expect 2 "best-certificate.json is not for run/best-recalibrated.safetensors: the model's running statistics aren't those of the certificate" certify run/best-recalibrated.safetensors --check run/best-certificate.json
cp run/best.safetensors broken.safetensors -f
fill broken.safetensors 7.bias $one
expect 2 "best-certificate.json is not for broken.safetensors: the model's parameters aren't those of the certificate" certify broken.safetensors --check run/best-certificate.json
expect 2 'run/best-certificate.json exists already' certify run
sed 's/"bound": /"bound": "x/' run/best-certificate.json >typo.json
expect 2 'typo.json: this is no certificate' certify run --check typo.json
expect 2 'missing.json: can' certify run --check missing.json
expect 2 "--check writes nothing" certify run --check run/best-certificate.json --out x.json
expect 2 '--radii -1: give at least 0' certify run --radii 0.1,-1
expect 2 '--radii: "x" is not a number' certify run --radii x
expect 0 '' train $small --norm layer --out layer
expect 2 'layer 2 (LayerNorm (8)) has no Lipschitz bound of use' certify layer
[ ! -e layer/best-certificate.json ] || fail "a certificate without a bound"

for file in last.safetensors best.safetensors state.safetensors; do same before/$file run/$file; done
[ $failures -eq 0 ] && echo "all well" || exit 1
