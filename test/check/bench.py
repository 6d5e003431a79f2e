#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench.py PROGRAM [ARGUMENT]...: a benchmark starts, measures the least it can, writes the same rows as text and
as JSON, and refuses what it cannot use with one line and exit status 2. How long anything took is
not looked at."""
import json
import re
import subprocess
import sys
import tempfile

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


def check_refusal(*arguments):
    ran = run(*arguments)
    named = arguments[-1] in ran.stderr
    expect(ran.returncode == 2 and ran.stderr.count("\n") == 1 and named and not ran.stdout,
           f"{arguments}: {ran.returncode} {ran.stdout}{ran.stderr}")


def check_refusals():
    ran = run("--help")
    expect(ran.returncode == 0 and ran.stdout.startswith("usage: "), f"--help: {ran.returncode}")
    for option in re.findall(r"^  (--[\w-]+) N", ran.stdout, re.M):
        for value in "", "-1", "1x", "99999999999999999999":
            check_refusal(option, value)
    check_refusal("--no-such-option")
    check_refusal("argument")
    check_refusal("--json", "/no/such/folder")


check_measuring()
check_refusals()
print("\n".join(failures))
sys.exit(bool(failures))
