#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""coverage.py REPORT: of lib, as gcovr tells in JSON, enough was run. Lists what lines were not, by
function."""
import json
import pathlib
import sys

LEAST = {"lines": 95, "branches": 90}

counts = {"lines": [], "branches": []}
missed = {}
for file in json.loads(pathlib.Path(sys.argv[1]).read_text())["files"]:
    functions = sorted((function["lineno"], function["name"]) for function in file["functions"])
    for line in file["lines"]:
        if line["gcovr/noncode"]:
            continue
        counts["lines"].append(line["count"])
        counts["branches"] += [branch["count"] for branch in line["branches"]]
        within = [name for start, name in functions if start <= line["line_number"]]
        if within and not line["count"]:
            name = f"{pathlib.PurePath(file['file']).name} {within[-1]}"
            missed.setdefault(name, []).append(line["line_number"])

failures = []
for what, runs in counts.items():
    percent = 100 * sum(map(bool, runs)) / len(runs)
    print(f"{percent:.1f} % of {len(runs)} {what} of lib were run")
    if percent < LEAST[what]:
        failures.append(f"{percent:.1f} % of {what}: want at least {LEAST[what]} %")
for name, lines in sorted(missed.items()):
    print(f"{name}: not run: line {', '.join(map(str, lines))}")
print("\n".join(failures), end="\n" if failures else "")
sys.exit(bool(failures))
