#!/usr/bin/env bash
# The malformed files of the tests of the readers, handed to the program where it takes data or a network: each ends with exit code 2 and one
# line, besides notes, that names the file, and takes at most twice the file's size and 64 MiB of memory. Usage: malformed_test.sh <ballast> <the program of the readers' tests>
# <ballast_peak_memory>
tests=$(realpath "$2") peak_memory=$(realpath "$3")
source "$(dirname "$0")/cli.sh"

BALLAST_MALFORMED=$folder/bad "$tests" -tc="*malformed file*" >out.txt || fail "the tests of the readers: $(tail -5 out.txt)"
expect 0 'written: idx' data convert digits --train-size 6 --test-size 6 --to mnist:idx
expect 0 'written: images' data convert digits --train-size 20 --test-size 20 --to images:images

# place FORMAT FILE: puts the malformed file where data of the format have it, `used`; the arguments that read it are in `reads`.
place() {
  rm -rf data
  mkdir data
  case $1 in
    safetensors) used=data/weights.safetensors reads="summary $used" ;;
    npy) used=data/x_train.npy reads="data info npz:data" ;;
    npz) used=data/arrays.npz reads="data info npz:$used" ;;
    idx_images) used=data/train-images-idx3-ubyte reads="data info mnist:data" ;;
    idx_labels) used=data/train-labels-idx1-ubyte reads="data info mnist:data" ;;
    cifar10) used=data/data_batch_1.bin reads="data info cifar:data" ;;
    cifar100) used=data/train.bin reads="data info cifar:data" ;;
    image) used=data/00/bad.png reads="train --data images:data --shape 28x28 --model mlp --epochs 1" ;;
    csv) used=data/table.csv reads="data info csv:$used --missing error" ;;
    *) fail "no place for the files of $1" ;;
  esac
  case $1 in
    npy) for name in y_train x_test y_test; do cp "$2" data/$name.npy; done ;;
    idx_*) cp idx/* data ;;
    cifar10) for name in data_batch_{2,3,4,5} test_batch; do cp "$2" data/$name.bin; done ;;
    cifar100) cp "$2" data/test.bin ;;
    image) cp -r images/train/* data ;;
  esac
  cp "$2" $used
}

count=0
for file in bad/*/*; do
  format=$(basename "$(dirname "$file")")
  place "$format" "$file"
  timeout 60 "$peak_memory" peak.txt "$ballast" $reads >out.txt 2>err.txt
  code=$?
  [ $code -eq 2 ] && [ "$(grep -vc '^note: ' err.txt)" -eq 1 ] && grep -q "^error: .*data/.*: " err.txt ||
    fail "$file: exit code $code: $(cat err.txt)"
  most=$((2 * $(stat -c %s "$file") / 1024 + 64 * 1024))
  [ "$(cat peak.txt)" -le $most ] || fail "$file: $(cat peak.txt) KiB of memory, where at most $most are allowed"
  count=$((count + 1))
done
echo "$count malformed files refused by the program"
[ $count -ge 150 ] || fail "only $count files: did the tests of the readers write theirs?"
[ $failures -eq 0 ] && echo "all well" || exit 1
