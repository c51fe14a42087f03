#!/usr/bin/env bash
# ballast data get, from a server on the loopback. Usage: fetch_test.sh <ballast> <ballast_trainer_tests>
tests=$(realpath "$2") here=$(cd "$(dirname "$0")" && pwd)
source "$(dirname "$0")/cli.sh"
command -v curl >/dev/null && command -v python3 >/dev/null || { echo "no curl or python3: skipped"; exit 77; }
export no_proxy='*'

mkdir served
python3 "$here/range_server.py" served port 2>requests &
for _ in $(seq 100); do [ -e port ] || sleep 0.1; done
url=http://127.0.0.1:$(cat port)

echo "with parts of files, and without"
for mirror in "$url" "$url/whole"; do
  BALLAST_SERVED=$PWD/served BALLAST_MIRROR=$mirror "$tests" --test-case='fetch: *' >log || fail "$mirror: $(cat log)"
done
grep -q 'GET /digits.txt .* 206' requests || fail "nothing was gone on with"

echo "errors"
expect 2 'did you mean mnist?' data get mnits
expect 2 '--label has no effect on `ballast data get`' data get mnist --label 1
expect 2 '--mirror has no effect' data info digits --mirror "$url"
expect 2 "$url/train-images-idx3-ubyte.gz: it doesn't have the file" data get mnist --mirror "$url"
echo "not MNIST" >served/train-images-idx3-ubyte.gz
expect 2 "another SHA-256 than it should; try again later" data get mnist --mirror "$url" --to fetched
[ -z "$(ls fetched)" ] || fail "files are left: $(ls fetched)"
expect 2 "the server can't be reached" data get mnist --mirror http://127.0.0.1:1

[ $failures -eq 0 ] && echo "all well" || exit 1
