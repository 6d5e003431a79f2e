#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""coverage.py REPORT REASONS LIB: the suite ran enough of lib, by gcovr's report in JSON, and REASONS says why for
each line that was not run.

REASONS is text: below each reason come, after a tab, its lines, as FILE FUNCTION: LINE. Such a line must exist; that
it is run now and then is no fault.
"""
import json
import pathlib
import sys

LEAST = {"lines": 95, "branches": 90}

report, reasons, lib = map(pathlib.Path, sys.argv[1:])
sources = {path.relative_to(lib): [line.strip() for line in path.read_text().splitlines()]
           for path in lib.rglob("*.[ch]")}
failures = []

explained = set()
for line in reasons.read_text().splitlines():
    if line.startswith("\t"):
        place, _, text = line.strip().partition(": ")
        explained.add((place, text))
        if not any(text in lines for path, lines in sources.items() if path.name == place.split()[0]):
            failures.append(f"{place}: explained, but not there: {text}")

counts = {"lines": [], "branches": []}
for file in json.loads(report.read_text())["files"]:
    path = pathlib.PurePath(file["file"]).relative_to("lib")
    functions = sorted((function["lineno"], function["name"]) for function in file["functions"])
    for line in file["lines"]:
        if line["gcovr/noncode"]:
            continue
        counts["lines"].append(line["count"])
        counts["branches"] += [branch["count"] for branch in line["branches"]]
        text = sources[pathlib.Path(path)][line["line_number"] - 1]
        within = [function for start, function in functions if start <= line["line_number"]]
        place = " ".join([path.name, *within[-1:]])
        if not line["count"] and (place, text) not in explained:
            failures.append(f"not run, and not explained, line {line['line_number']} of {place}: {text}")

for what, runs in counts.items():
    percent = 100 * sum(map(bool, runs)) / len(runs)
    print(f"{percent:.1f} % of {len(runs)} {what} of lib were run")
    if percent < LEAST[what]:
        failures.append(f"{percent:.1f} % of {what}: want at least {LEAST[what]} %")
print("\n".join(failures), end="\n" if failures else "")
sys.exit(bool(failures))
