#!/usr/bin/env bash
# The program on data of people's own: every format trains, evaluates and predicts, and the same images give the same weights in each.
# Usage: formats_test.sh <ballast>
source "$(dirname "$0")/cli.sh"

echo "the same images in four formats: the same weights"
# Sorted by class, as a folder of images is; then written in the other formats in this order.
expect 0 'written: png' data convert digits --train-size 300 --test-size 60 --to images:png
for to in mnist:idx csv:csv npz:arrays.npz; do expect 0 "written: ${to#*:}" data convert png --to $to; done
expect 2 'png exists already' data convert digits --to images:png
[ -z "$(ls | grep tmp)" ] || fail "left by convert: $(ls)"
small="--model mlp --hidden 16 --epochs 2 --batch-size 32"
expect 0 '270 training, 30 validation and 60 test images' train --data png $small --out run
printed=$(grep -o 'test accuracy [^)]*)' out.txt)
weights=$(tensor run/last.safetensors 1.weight)
for data in idx csv arrays.npz mnist:idx; do
  shape=
  [ $data = csv ] && shape="--shape 28x28"
  expect 0 "$printed" train --data $data $shape $small --out "run-${data#*:}"
  [ "$(tensor "run-${data#*:}/last.safetensors" 1.weight)" = "$weights" ] || fail "$data: other weights than those of the images"
  expect 0 "$printed" eval "run-${data#*:}"
  rm -r "run-${data#*:}"
done
expect 0 '60 test images' data info idx
expect 0 'written: sheet.png' data info png --sheet sheet.png
expect 0 'written: changed.png' data preview png --augment 'shift 3' --sheet changed.png
expect 0 'written: as_is.png' data preview png --augment none --sheet as_is.png
cmp -s changed.png as_is.png && fail "preview: nothing changes"
expect 2 'name it with --sheet' data preview png
expect 2 '--augment has no effect here' data info png --augment light
expect 2 '--augment: ' data preview png --augment shfit --sheet x.png
expect 0 "$printed" eval run --data arrays.npz
expect 0 'expected calibration error' eval run --data arrays.npz
expect 0 '"confusion":[[' eval run --json
[ "$(grep -o '"precision"' out.txt | wc -l)" -eq $((10 * $(wc -l <out.txt))) ] || fail "eval --json: $(cat out.txt)"

echo "predict"
file=$(find png/test/07 -name '*.png' | sort | head -1)
expect 0 "$file: " predict run "$file" --top 3
[ "$(grep -o '%' out.txt | wc -l)" -eq 3 ] || fail "--top 3: $(cat out.txt)"
of_file=$(sed 's/.*: //' out.txt)
expect 0 "standard input: $of_file" predict run - --top 3 <"$file"
expect 0 "idx/t10k-images-idx3-ubyte:0: " predict run idx/t10k-images-idx3-ubyte
"$ballast" predict run png/test --csv >all.csv || fail "predict a folder"
[ "$(wc -l <all.csv)" -eq 61 ] && head -1 all.csv | grep -qx 'file,prediction,probability,00,01,02,03,04,05,06,07,08,09' || fail "predict --csv: $(head -2 all.csv)"
# What it predicts is what `eval` counted.
met=$(awk -F, 'NR > 1 { split($1, way, "/"); met += way[3] == $2 } END { print met }' all.csv)
grep -q "($met of 60)" <<<"$printed" || fail "predict met $met of 60, training said $printed"
expect 0 '"probabilities":{"00":' predict run "$file" --json
grep -q '[.][0-9]\{11\}' out.txt && fail "digits that single precision doesn't have: $(cat out.txt)"
echo bad >bad.png
"$ballast" predict run bad.png "$file" missing.png >out.txt 2>err.txt
[ $? -eq 1 ] && grep -q "^$file: " out.txt && [ "$(grep -c '^error: ' err.txt)" -eq 2 ] && grep -q 'bad.png: PNG and JPEG are read' err.txt || fail "bad files among good ones: $(cat out.txt err.txt)"
cp "$file" 'a, b.png'
expect 0 'a, b.png: ' predict run 'a, b.png'
expect 0 'arrays.npz:59: ' predict run arrays.npz
printf '\x93NUMPY\1\0\x76\0%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (28, 28)}" >one.npy
tail -c 784 idx/t10k-images-idx3-ubyte >>one.npy
"$ballast" predict run one.npy >out.txt 2>err.txt
[ "$(cut -d' ' -f2- out.txt)" = "$("$ballast" predict run idx/t10k-images-idx3-ubyte | tail -1 | cut -d' ' -f2-)" ] && grep -q '^one.npy: ' out.txt || fail "a single image: $(cat out.txt err.txt)"
# A class for each pixel: the right half is the object, or the left one.
mkdir pixels
header="{'descr': '|u1', 'fortran_order': False, 'shape': (40, 8, 8)}"
for array in x:310 y:1; do
  { printf '\x93NUMPY\1\0\x76\0%-117s\n' "$header"
    on=\\${array#*:}
    for _ in $(seq 20); do
      for row in "\\0\\0\\0\\0$on$on$on$on" "$on$on$on$on\\0\\0\\0\\0"; do for _ in $(seq 8); do printf "$row"; done; done
    done; } >pixels/${array%:*}.npy
done
expect 0 '(256 of 256)' train --data pixels --model 'conv 2 1' --epochs 60 --lr 0.1 --batch-size 8 --out masks-run
expect 0 'mean intersection over union 1.0000' eval masks-run
expect 0 '"mean_iou":1.0,' eval masks-run --json
grep -q '"f1":1.0,"iou":1.0,"positions":128}' out.txt || fail "figures of each class: $(cat out.txt)"
expect 2 '--masks DIR writes them as images' predict masks-run pixels/x.npy
expect 0 'pixels/x.npy:39: masks/x-39.png' predict masks-run pixels/x.npy --masks masks
cmp -s masks/x-39.png masks/x-37.png && ! cmp -s masks/x-39.png masks/x-38.png || fail "masks of the left and of the right half"
rm -r masks
expect 2 'gives one prediction for a sample' predict run "$file" --masks masks
expect 2 'choose one of them' predict run "$file" --json --csv
expect 2 'FILES is required' predict run

echo "data elsewhere in the file system"
elsewhere=$(mktemp -d -p /var/tmp)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$folder" "$elsewhere"' EXIT
cp -r idx "$elsewhere"
expect 0 'run folder: far' train --data "$elsewhere/idx" --model "flatten, linear" --epochs 1 --out far
expect 0 'far/best.safetensors, epoch 1: test accuracy' eval far
mkdir alone && cp far/best.safetensors alone
expect 2 "the data \"idx\" that it was trained on aren't found; give them with --data" eval alone/best.safetensors
! grep -qF "$elsewhere" far/best.safetensors || fail "a checkpoint has an absolute path"

echo "tables"
# price = 1000 (3 area + 50 if in town A)
awk 'BEGIN { print "area,town,price"; for (i = 0; i < 300; ++i) { area = 30 + i * 7 % 170; town = i % 3; printf "%d,%s,%d\n", area, substr("ABC", town + 1, 1), 1000 * (3 * area + (town == 0) * 50) } }' >houses.csv
expect 0 'to predict: price (the last column; --label names another)' data info houses.csv
expect 0 'regression of price (the last column; --label names another) from 2 columns' train --data houses.csv --hidden 32 --norm batch --epochs 60 --batch-size 16 --lr 0.01 --out houses
grep -qE 'test R2 (0.99|1.00)' out.txt || fail "the regression: $(tail -2 out.txt)"
printed=$(grep -o 'test R2 .*, root mean squared error [0-9.]*' out.txt)
expect 0 "$printed" eval houses/best.safetensors
printf 'town,area\nA,100\nC,60\n' >new.csv
expect 0 'new.csv:2: price 3' predict houses new.csv
awk -F'price ' '{ exit !((NR == 1 ? 350000 : 180000) * 0.9 < $2 && $2 < (NR == 1 ? 350000 : 180000) * 1.1) }' out.txt || fail "prices: $(cat out.txt)"
expect 0 'standard input:3: price' predict houses - <new.csv
expect 0 'file,line,price' predict houses new.csv --csv
grep -q '^new.csv,3,1[789]' out.txt || fail "a row of a table: $(cat out.txt)"
expect 0 '{"file":"new.csv","line":3,"values":{"price":' predict houses new.csv --json
printf 'town,area\nD,100\n' >unknown.csv
expect 1 'unknown.csv:2: column "town": "D" isn' predict houses unknown.csv
printf 'town,size\nA,100\n' >renamed.csv
expect 1 'the table has no column "area"' predict houses renamed.csv
expect 2 'a certificate is for how far a class holds' certify houses
expect 0 'R2' recalibrate houses/best.safetensors
printf 'a,y\n1,0\n2,0\n3,0\n4,0\n5,0\n6,0\n7,0\n8,0\n9,0\n10,0\n' >one_class.csv
expect 2 'all samples are of the same class' train --data one_class.csv
expect 0 'classification of town from 2 columns' train --data houses.csv --label town --epochs 1 --out town
expect 2 "no column is called 'prize'" train --data houses.csv --label prize
expect 2 'its values are texts' train --data houses.csv --label town --task regression
expect 2 'its values are no classes' train --data houses.csv --task classification
expect 2 '--shape (1, 2, 3): that is 6 values, and a row of the table has 4' train --data houses.csv --shape 2x3
expect 2 '--shape "2y"' train --data houses.csv --shape 2y
printf '1,2,0\n3,4\n' >ragged.csv
expect 2 'ragged.csv: 2 fields, where the first line has 3 at line 2' train --data ragged.csv
expect 1 'error: standard input: nothing but empty lines' predict houses - </dev/null
expect 1 "error: standard input:2: column 'area': 'x' is no finite number with a decimal point" predict houses - < <(printf 'town,area\nA,x\n')
printf 'junk,town,area\nx y,A,100\n?,D,50\n,C,sixty\n,B\n,C,60\n' >rows.csv
"$ballast" predict houses rows.csv >out.txt 2>err.txt
[ $? -eq 1 ] && [ "$(grep -c '^rows.csv:[26]: price' out.txt)" -eq 2 ] && [ "$(grep -c '^error: rows.csv:[345]: ' err.txt)" -eq 3 ] &&
  [ "$(cat out.txt err.txt | wc -l)" -eq 5 ] || fail "bad rows among good ones: $(cat out.txt err.txt)"

# The table that was trained on again, and half of it.
expect 0 "$printed" eval houses/best.safetensors --data houses.csv
grep -q 'only their test part is measured' err.txt || fail "no note on the data of training: $(cat err.txt)"
head -150 houses.csv >half.csv
expect 0 'test R2' eval houses/best.safetensors --data half.csv
[ ! -s err.txt ] || fail "other data: $(cat err.txt)"
expect 2 '--test has no effect here' eval houses --test 0.5
expect 2 '--split-seed has no effect here' eval houses --split-seed 1
expect 2 '--label has no effect here' eval houses --label area
expect 2 '--task has no effect here' eval houses --task regression

for model in cnn resnet-20 lstm transformer; do
  expect 2 "--model $model: it is for images, and these samples are rows of 4 numbers; use --model mlp" train --data houses.csv --model $model
done
awk 'BEGIN { print "x,y"; for (i = 0; i < 200; ++i) printf "%d,%.1f\n", i % 17, 0.1 * (i % 91) }' >tenths.csv
expect 0 'R2' train --data tenths.csv --task regression --epochs 1 --hidden 8 --out tenths
grep -o '"targets":\[[^]]*\]' tenths/test.json | tr -d '[]' | cut -d: -f2 | tr , '\n' >targets.txt
[ "$(wc -l <targets.txt)" -eq 20 ] && ! grep -qvx '[0-9]\.[0-9]' targets.txt || fail "targets with digits that the table hasn't: $(cat targets.txt)"

echo "tables: the batch size follows the number of rows"
expect 0 '1 x 8 steps of 32' train --data houses.csv --hidden 8 --epochs 1 --out small-batches
grep -qx 'batch-size = 32' small-batches/config.toml || fail "the batch size isn't in config.toml"
grep -q '"batch-size","32",true' small-batches/report.html || fail "the batch size isn't a default in the report"
expect 0 '1 x 8 steps of 32' train --config small-batches --out again
for out in 'written: ' '2 of 2 runs are finished already'; do expect 0 "$out" compare --data houses.csv --hidden 8 --epochs 1 --norm none,batch; done

echo "tables: missing values"
awk -F, -v OFS=, 'NR % 10 == 2 { $1 = "" } NR % 20 == 3 { $2 = "NA" } { print }' houses.csv >gaps.csv
quick="--hidden 8 --epochs 1"
expect 2 'gaps.csv: 45 of 300 rows lack a value (area 30, town 15), the first in line 2; --missing drop' train --data gaps.csv $quick
expect 0 'missing: 45 of 300 rows lack a value (area 30, town 15); train with --missing drop' data info gaps.csv
grep -q '^to predict: price' out.txt || fail "the rest of what is there: $(cat out.txt)"
expect 0 'missing: 45 of 300 rows lack a value (area 30, town 15)' data info gaps.csv --missing drop
expect 0 '243 training, 27 validation and 30 test' data info houses.csv
grep -q missing out.txt && fail "nothing is missing: $(cat out.txt)"
expect 2 "--ignore: no column is called 'aera'; did you mean area?" train --data houses.csv --ignore aera
expect 2 "--label prise: no column is called 'prise'; did you mean price?" train --data houses.csv --label prise
sed 's/price/Target/' houses.csv >named.csv
expect 0 'to predict: Target (by its name; --label names another)' data info named.csv
expect 0 'to predict: town' data info named.csv --label town
grep -q -- --label out.txt && fail "the label was given: $(cat out.txt)"
expect 0 'gaps.csv: 45 of 300 rows left out' train --data gaps.csv --missing drop $quick --out dropped
expect 0 'regression of price (the last' train --data gaps.csv --missing mean $quick --out filled
expect 0 "$(grep -o 'test R2 .*, root mean squared error [0-9.]*' out.txt)" eval filled/best.safetensors
head -2 gaps.csv >gap.csv
expect 1 'gap.csv:2: column "area": the value is missing' predict dropped gap.csv
mean=$("$ballast" data info gaps.csv --missing mean | sed -n 's/^columns: area (mean \([0-9.]*\),.*/\1/p')
head -2 gaps.csv >gap.csv
expect 0 'gap.csv:2: price' predict filled gap.csv
of_gap=$(sed 's/.*price//' out.txt)
printf 'area,town\n%s,B\n' "$mean" >full.csv
printf 'area,town\n,B\n' >gap.csv
"$ballast" predict filled gap.csv full.csv | sed 's/.*price //' | awk 'NR == 1 { a = $1 } END { exit !(NR == 2 && (a - $1) ^ 2 < 1e-4 * a * a) }' || fail "a missing value isn't the mean, $mean: $("$ballast" predict filled gap.csv full.csv)"

echo "tables: with and without a header"
tail -n +2 houses.csv >bare.csv
expect 0 'regression of column 2 (the last column; --label names another) from 2 columns' train --data bare.csv $quick --out bare
first=$("$ballast" predict bare bare.csv | head -1)
cut -d, -f1,2 bare.csv | head -1 >inputs.csv
expect 0 "${first#bare.csv}" predict bare inputs.csv
expect 0 "houses.csv:2${first#bare.csv:1}" predict bare houses.csv
expect 0 'new.csv:2: price' predict houses new.csv
"$ballast" predict houses houses.csv >a.txt && "$ballast" predict houses bare.csv | sed 's/^bare/houses/' >b.txt && sed -i 's/^[^ ]* //' a.txt b.txt && same a.txt b.txt
awk 'BEGIN { for (i = 0; i < 60; ++i) print substr("xyz", i % 3 + 1, 1) "," substr("pq", i % 2 + 1, 1) "," substr("ab", i % 2 + 1, 1) }' >texts.csv
expect 0 'the first line is taken for values; --header yes says otherwise' data info texts.csv
expect 0 'x (3 categories)' data info texts.csv --header yes
expect 0 'column 0 (3 categories)' data info texts.csv

echo "tables: as spreadsheets write them"
sed 's/,/;/g; s/\([0-9]\);/\1,5;/' houses.csv >comma.csv
sed 's/\([0-9]\),/\1.5,/' houses.csv >point.csv
same <("$ballast" data info comma.csv | tail -n +2) <("$ballast" data info point.csv | tail -n +2)
printf 'area;town\n100,5;A\n' >new_comma.csv
printf 'area,town\n100.5,A\n' >new_point.csv
same <("$ballast" predict houses new_comma.csv | cut -d' ' -f2-) <("$ballast" predict houses new_point.csv | cut -d' ' -f2-)

echo "tables: columns that are no good"
awk 'BEGIN { print "id,day,name,mail,price"; for (i = 0; i < 60; ++i) printf "%d,d%d,n%d,m%d,$%d\n", i, i % 20, i, i, i }' >people.csv
expect 2 "--label price: its values are 60 different texts in 60 rows, such as \"\$0\", and classes come again" train --data people.csv
expect 0 'column "id" counts the rows; if it says nothing of them, --ignore id leaves it out' train --data people.csv --label day --validation 0.2 --task classification $quick --out noted
expect 2 "--label id: --ignore leaves this column out" train --data people.csv --label id --ignore id,name
expect 2 "--label 0: --ignore leaves this column out" train --data people.csv --label 0 --ignore id
expect 0 'to predict: day' data info people.csv --ignore id --label 1  # numbers count all columns of the file
awk 'BEGIN { print "name,the mail,y"; for (i = 0; i < 1100; ++i) printf "n%d,m%d,%d\n", i, i, i % 2 }' >names.csv
expect 2 "column \"name\" has 1100, column \"the mail\" has 1100 different texts, which tell samples apart rather than describe them; leave them out with --ignore 'name,the mail'" train --data names.csv

awk 'BEGIN { print "name,the mail,x,y"; for (i = 0; i < 1100; ++i) printf "n%d,m%d,%d,%d\n", i, i, i % 7, i % 2 }' >names.csv
expect 0 "left out: names.csv: column \"name\" has 1100, column \"the mail\" has 1100 different texts" data info names.csv
grep -q '^columns: x (mean' out.txt && grep -q '^to predict: y' out.txt || fail "the rest of what is there: $(cat out.txt)"

echo "tables: dates"
# sales = 10 (days since 2024-01-01) + 100 in the afternoon
awk 'BEGIN { print "when,sales"; for (i = 0; i < 300; ++i) { day = i * 7 % 31; noon = i % 2; printf "2024-01-%02d %s,%d\n", day + 1, noon ? "18:00" : "06:00", 10 * day + 100 * noon } }' >sales.csv
expect 0 'columns: when (dates, mean 2024-01-' data info sales.csv
expect 0 'test R2' train --data sales.csv --task regression --hidden 16 --epochs 1 --out sales
printf 'when\n2024-01-05T12:00Z\n2024-01-05\nsoon\n' >dates.csv
expect 2 "--label when: its values are dates" train --data sales.csv --label when
"$ballast" predict sales dates.csv >out.txt 2>err.txt
[ $? -eq 1 ] && [ "$(grep -c '^dates.csv:[23]: sales ' out.txt)" -eq 2 ] && grep -q "dates.csv:4: column 'when': 'soon' is no date such as" err.txt ||
  fail "predictions by dates: $(cat out.txt err.txt)"

echo "images of several sizes, and damaged ones"
mkdir -p photos/cats photos/dogs
for n in 0 1 2 3 4 5 6 7 8 9; do
  cp "png/train/03/$(ls png/train/03 | sed -n "$((n + 1))p")" photos/cats/$n.png
  cp "png/train/04/$(ls png/train/04 | sed -n "$((n + 1))p")" photos/dogs/$n.png
done
expect 0 'classes; of the training samples' data info photos --shape 3x14x20
expect 0 'of shape (3, 14, 20)' data info photos --shape 3x14x20
expect 0 '2 validation and 2 test images' train --data photos --model lenet --shape 32x32 --epochs 1 --out photo-run
expect 0 'photos/cats/0.png: ' predict photo-run photos/cats
mkdir -p above/photos below/MNIST tables deep/cats deep/dogs parts
cp -r photos/cats photos/dogs above/photos
expect 2 '--data above: it holds no data itself, but above/photos does; did you mean --data above/photos?' data info above
expect 2 'did you mean --data above/photos?' data info images:above
expect 2 'above/photos?' train --data above
expect 2 '--data above/photos/cats: this looks like the folder of one class; did you mean --data above/photos?' data info above/photos/cats
expect 2 'did you mean --data above/photos?' data info above/photos/cats/
[[ $(cd above/photos && "$ballast" data info cats 2>&1) == *'did you mean --data .?'* ]] || fail "the folder of a class, from the folder of its data"
cp -r idx below/MNIST/raw
expect 2 'did you mean --data below/MNIST/raw?' data info below
cp houses.csv tables
expect 2 'did you mean --data tables/houses.csv?' data info tables
cp tenths.csv tables
expect 2 '--data tables: it holds no data itself, but several data sets; give one of them: tables/houses.csv, tables/tenths.csv' data info tables
mkdir parts/pets && cp -r png/train parts/pets/train
expect 2 'did you mean --data parts/pets?' data info parts
cp -r photos/cats deep/cats/2019 && cp -r photos/dogs deep/dogs/2020
expect 0 '2 classes' data info deep
cp bad.png photos/dogs/bad.png
expect 2 'photos/dogs/bad.png: PNG and JPEG are read' train --data photos --epochs 1
expect 0 '1 of 21 images can' train --data photos --model lenet --shape 32x32 --epochs 1 --skip-damaged --out skipped
expect 0 '2 validation and 2 test images' data info photos --skip-damaged
expect 0 'written: shapes/report.html' compare --data photos --skip-damaged --model lenet --shape 28x28,32x32 --epochs 1 --out shapes
printf GIF89a >photos/dogs/moving.gif
expect 2 'photos/dogs/moving.gif: PNG and JPEG are read, this is a GIF; convert it first' train --data photos --epochs 1
expect 0 '2 of 22 images can' data info photos --skip-damaged
mkdir mixed && cp photos/cats/0.png mixed && cp photos/cats/0.png mixed/.0.png && cp photos/dogs/moving.gif mixed
expect 1 'mixed/moving.gif: PNG and JPEG are read' predict photo-run mixed
[ "$(cat out.txt err.txt | wc -l)" -eq 2 ] || fail "hidden images: $(cat out.txt err.txt)"
rm -r photos/dogs/moving.gif mixed
cp -r photos many
for n in 0 1 2 3 4 5 6; do head -c 100 photos/cats/$n.png >many/cats/$n.png; done
for n in 0 1 2 3 4; do echo bad >many/dogs/$n.png; done
expect 2 'many: 13 of 21 images can' train --data many
[ "$(grep -o 'many/[a-z]*/[a-z0-9]*.png: ' err.txt | wc -l)" -eq 10 ] && grep -q '; and 3 more$' err.txt || fail "damaged: $(cat err.txt)"
for n in 5 6 7 8 9; do rm many/dogs/$n.png; done
expect 2 'no image of the class "dogs" is left' data info many --skip-damaged
"$ballast" data info photos 2>err.txt
[ $? -eq 1 ] && grep -q 'photos/dogs/bad.png: PNG and JPEG are read' err.txt && grep -q '1 file is damaged' err.txt || fail "damaged files: $(cat err.txt)"

mkdir flat
cp photos/cats/?.png flat
expect 2 'flat: 10 images lie in the folder itself' data info flat
expect 2 '10 images lie in the folder itself' train --data flat

echo "validation and test"
expect 0 '300 training, 0 validation and 60 test images' train --data idx --validation 0 $small --out none
grep -q '"val_loss":null,"val_accuracy":null' none/metrics.jsonl || fail "no validation: $(cat none/metrics.jsonl)"
same none/best.safetensors none/last.safetensors
grep -q '"test": {' none/summary.json || fail "no test in summary.json"
expect 0 'written: one' data convert photos/../png --to csv:one
mv one/train.csv one.csv
expect 0 '240 training, 30 validation and 30 test images' train --data one.csv --test 0.1 --validation 0.111 --shape 28x28 $small --out one-run
expect 2 '--test 0: --data one.csv has no test part of its own' data info one.csv --test 0
expect 2 '--test 0.001: that is 0 of 300 samples; give another share' data info one.csv --test 0.001
expect 0 '1 class; of' data info one_class.csv
expect 2 '--validation 0.001: that is 0 of 300 samples' train --data idx --validation 0.001
tail -c 784 idx/t10k-images-idx3-ubyte >alone.npy
expect 2 '--data alone.npy: a single array; give the folder that has x_train.npy and y_train.npy' data info alone.npy
echo PK >book.xlsx
expect 2 '--data book.xlsx: a table of a format that isn' data info book.xlsx
expect 2 '--train-size has no effect' train --data idx --train-size 5
expect 2 'missing: there is no such file or folder' train --data missing
expect 2 'nothing there looks like data of a known format (digits, mnist, cifar, csv, npz, images)' train --data none
expect 2 'unknown ACTION "inof"' data inof png
expect 2 '--to "npz"' data convert png --to npz

[ $failures -eq 0 ] && echo "all well" || exit 1
