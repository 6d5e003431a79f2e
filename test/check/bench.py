#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""bench.py PROGRAM: a benchmark starts, measures the least it can, writes the same rows as text and
as JSON, and refuses bad options (refusal.py). No time is checked."""
import json
import re
import subprocess
import sys
import tempfile

from refusal import find_accepted

program = sys.argv[1:]
failures = []


def run(*arguments):
    return subprocess.run([*program, *arguments], capture_output=True, text=True, check=False)


def expect(claim, what):
    if not claim:
        failures.append(what)


def check_row(row):
    for key in "table", "variable", "at", "name", "unit":
        expect(isinstance(row[key], str), f"{key} is no string: {row}")
    spread = [row[key] for key in ("least", "lower_quartile", "median", "upper_quartile", "most")]
    expect(None in spread or spread == sorted(spread), f"not in order: {row}")
    expect(row["repeats"] >= 1, f"measured never: {row}")


def check_results(text, results):
    for key in "cpu", "cpus", "kernel", "compiler", "libc", "allocator":
        expect(results["machine"][key], f"no {key}")
    expect(results["command"][1:] == ["--least", "--json", results["command"][-1]], "the command")
    expect(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", results["date"]), "the date")
    expect("defer_drop" in [version["name"] for version in results["versions"]], "our version")
    expect(results["rows"] or results["skipped"], "no rows")
    for row in results["rows"]:
        check_row(row)
        line = rf"^  {re.escape(row['name'])} +{re.escape(row['at'])} {re.escape(row['unit'])} "
        expect(re.search(line, text, re.M), f"not in the text: {row}")
    for skipped in results["skipped"]:
        expect(f"skipped: {skipped['name']} ({skipped['why']})" in text, f"in silence: {skipped}")


def check_measuring():
    with tempfile.NamedTemporaryFile() as file:
        ran = run("--least", "--json", file.name)
        expect(ran.returncode == 0 and not ran.stderr, f"--least: {ran.returncode} {ran.stderr}")
        if ran.returncode == 0:
            check_results(ran.stdout, json.load(file))


check_measuring()
failures += find_accepted(program)
print("\n".join(failures))
sys.exit(bool(failures))
