#!/usr/bin/env python3
"""verdicts_test.py PAGE: what a page of two runs, norm none and norm batch, says of several runs' differences, in Chromium.

Puts other results into a page that `ballast compare` wrote, and computes the verdicts from them anew: Student's t by integrating its
density, standard errors by their definition.
"""
import copy
import html
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile


def student_t(freedom):
    """What 5 % exceed in size: the trapezoidal rule for the density, and bisection."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)

    def within(t, pieces=4000):
        points = [scale * (1 + (t * i / pieces) ** 2 / freedom) ** (-(freedom + 1) / 2) for i in range(pieces + 1)]
        return 2 * (sum(points) - (points[0] + points[-1]) / 2) * t / pieces

    low, high = 1, 20
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) < 0.95 else (low, middle)
    return low


def error(runs, samples):
    """Variance of the mean of these accuracies or, of a single one, of a share of so many samples."""
    n, mean = len(runs), sum(runs) / len(runs)
    return mean * (1 - mean) / samples if n == 1 else sum((x - mean) ** 2 for x in runs) / (n - 1) / n


def expected(best, runs, samples):
    distance = sum(best) / len(best) - sum(runs) / len(runs)
    freedom = len(best) + len(runs) - 2
    limit = (student_t(freedom) if freedom else 2) * math.sqrt(error(best, samples) + error(runs, samples))
    return f"{100 * distance:.2f} points below" + ("" if distance > limit else ", within chance"), distance / limit


# Accuracies of groups, the best first; each case has differences on either side of its limit.
single = [[0.95], [0.9441], [0.9365], [0.93], [0.10]]
pairs = [[0.96, 0.95], [0.953, 0.947], [0.93, 0.91], [0.90, 0.892]]
threes = [[0.991, 0.99, 0.989], [0.9895, 0.9885, 0.9875], [0.988, 0.987, 0.986], [0.98, 0.96, 0.94]]
unequal = [[0.97, 0.968, 0.972, 0.971, 0.969], [0.969], [0.951], [0.967, 0.969], [0.96, 0.97, 0.965], [0.9, 0.91, 0.89]]
many = [[0.9 + 0.002 * (i % 3) for i in range(8)], [0.899 + 0.002 * (i % 3) for i in range(8)], [0.895 + 0.002 * (i % 3) for i in range(8)]]


def data_of(page):
    return re.search(r'<script type="application/json" id="data"[^>]*>(.*?)</script>', page, re.S)


def shown(page, data, folder):
    """What the browser makes of the page with other data."""
    found = data_of(page)
    path = pathlib.Path(folder) / "page.html"
    path.write_text(page[:found.start(1)] + json.dumps(data).replace("<", "\\u003c") + page[found.end(1):])
    return subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile", "--virtual-time-budget=5000",
                           "--dump-dom", path.as_uri()], capture_output=True, text=True, check=True).stdout


def dead_units(page, shares, folder):
    """What stands out when these shares of each group's units are dead at the last look."""
    data = json.loads(data_of(page)[1])
    for group, share in zip(data["groups"], shares, strict=True):
        for layer in group["layers_over_time"]["records"][-1]["layers"]:
            if "dead_units" in layer:
                layer["dead_units"] = share
    said = re.findall(r'<p class="advice">(.*?)</p>', shown(page, data, folder), re.S)
    return [html.unescape(text).split(":")[0] for text in said if "dead" in text]


def verdicts(page, groups, samples, folder):
    """The cells of the column of verdicts, by name of the group."""
    data = json.loads(data_of(page)[1])
    pattern = data["groups"][0]
    data["groups"] = []
    for number, runs in enumerate(groups):
        group = copy.deepcopy(pattern)
        mean = sum(runs) / len(runs)
        deviation = math.sqrt(sum((x - mean) ** 2 for x in runs) / (len(runs) - 1)) if len(runs) > 1 else None
        group.update(name=f"group {number}", runs=[f"run{i}" for i in range(len(runs))], layers_over_time=None)
        group["results"]["test_score"] = {"mean": mean, "deviation": deviation}
        group["test"]["labels"] = samples
        data["groups"].insert(0, group)  # the page sorts
    dom = shown(page, data, folder)
    table = re.search(r"<table.*?</table>", dom, re.S)[0]
    rows = [[html.unescape(re.sub("<.*?>", "", cell)) for cell in re.findall(r"<td.*?</td>", row, re.S)] for row in re.findall(r"<tr>.*?</tr>", table, re.S)]
    return {row[0]: row[2] for row in rows if row}


def main():
    page, failed, sides = pathlib.Path(sys.argv[1]).read_text(), False, set()
    with tempfile.TemporaryDirectory() as folder:
        for groups in (single, pairs, threes, unequal, many):
            cells = verdicts(page, groups, 2000, folder)
            for number, runs in enumerate(groups):
                said = cells[f"group {number}"].lstrip("▼≈ ")
                wanted, share = expected(groups[0], runs, 2000) if number else ("the highest", 0)
                sides.add(share > 1)
                if number and abs(share - 1) < 0.02:
                    raise SystemExit(f"verdicts_test: {runs} is too near to its limit to tell")
                if said != wanted:
                    failed = True
                    print(f"FAILED: {runs} beside {groups[0]}: the page says '{said}', not '{wanted}' ({share:.2f} of the limit)")
        # What is true of all runs is said once.
        for shares, wanted in (([0.5, 0.2], ["All runs"]), ([0, 0.2], ["norm batch"]), ([0, 0], [])):
            said = dead_units(page, shares, folder)
            if said != wanted:
                failed = True
                print(f"FAILED: with {shares} of the units dead, the page says so of {said}, not of {wanted}")
    if sides != {True, False}:
        raise SystemExit("verdicts_test: all differences are on one side of their limit")
    sys.exit(failed)


main()
