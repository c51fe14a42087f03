#!/usr/bin/env bash
# The pages in a browser: no error, no network, and slider, player, legend and keys do what they say, on a wide and a narrow
# screen; an experiment's page shows all its parts; and the page that trains live tells a story only of what is shown (demo_page_test.js). Usage: browser_test.sh <ballast>; skipped unless BALLAST_BROWSER_TESTS is set and there is Chromium.
browser_test=$(realpath "$(dirname "$0")/browser_test.js")
source "$(dirname "$0")/cli.sh"
if [ -z "${BALLAST_BROWSER_TESTS:-}" ] || ! command -v chromium >/dev/null; then
  echo "skipped: set BALLAST_BROWSER_TESTS and install chromium"
  exit 77
fi

# used PAGE WIDTH [SCRIPT]: uses the page by browser_test.js or another script, which is put into it.
used() {
  sed "s|^<title>|<script>\n@TEST@\n</script>\n&|" "$1" | sed -e "/^@TEST@/{r ${3:-$browser_test}" -e 'd}' >tested.html
  chromium --headless --no-sandbox --disable-gpu --user-data-dir="$folder/profile" --window-size="$2,900" --virtual-time-budget=20000 \
    --enable-logging=stderr --dump-dom "file://$folder/tested.html" >dom.html 2>log.txt
  grep -q '<title>all well</title>' dom.html || fail "$1, $2 pixels wide: $(grep -o '<title>.*</title>' dom.html)"
  grep -q 'CONSOLE' log.txt && fail "$1: $(grep CONSOLE log.txt)"
}

small="--train-size 300 --test-size 100 --epochs 2 --batch-size 30 --probe 4"
expect 0 'written: norms/report.html' compare $small --model lenet --norm none,batch --out norms
expect 0 'run folder: fine' train $small --model lenet --epochs 5 --act gelu --out fine
used fine/report.html 1400
grep -q '<p class="note nothing">Nothing stands out: the validation loss is below that of guessing' dom.html || fail "what stands out in a good run: $(grep -o 'class="advice".*' dom.html | head -c 300)"
for page in norms/report.html norms/norm-batch/report.html; do
  for width in 1600 500; do used $page $width; done
done
# An experiment's page: set-up, what was measured, and the plots drawn.
expect 0 'written: quick/bn-mnist-quick/report.html' experiment bn-mnist --quick --out quick
cat >experiment.js <<'END'
addEventListener("load", () => setTimeout(() => {
  const parts = [...document.querySelectorAll("h2")].map(each => each.textContent).join(), plots = document.querySelectorAll("canvas").length;
  document.title = parts === "Set-up,Measured,Drawn" && plots === 6 ? "all well" : `FAILED: parts ${parts}, ${plots} plots`;
}, 1000));
END
used quick/bn-mnist-quick/report.html 1400 "$PWD/experiment.js"
# The framework itself is left out, so that no emscripten is needed: the script says what comes of the training.
(cd "$(dirname "$browser_test")/.." && awk -v built=/nowhere/ -f apps/demo/join.awk apps/demo/page.html) >demo.html
for width in 1400 500; do used demo.html $width "$(dirname "$browser_test")/demo_page_test.js"; done
"$(dirname "$browser_test")/verdicts_test.py" norms/report.html || fail "verdicts of a comparison"
[ $failures -eq 0 ] && echo "all well" || exit 1
