#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""plot.py PLOT: bench/plot.py draws each way of a table over numbers, and over percentiles, and
leaves out what cannot be drawn."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

if not shutil.which("gnuplot"):
    print("gnuplot is not there")
    sys.exit(77)


def row(table, name, at, median):
    return {"table": table, "variable": "x", "name": name, "at": at, "unit": "ns", "median": median,
            "lower_quartile": median, "upper_quartile": median}


rows = [row(f"over {kind}", name, at, 10 * i + 1)
        for kind, values in (("numbers", ["1", "16", "64"]),
                             ("percentiles", ["p50", "p99", "p99.9", "max"]),
                             ("words", ["some", "other"]))
        for name in ("defer_drop", "somebody's")
        for i, at in enumerate(values)]
with tempfile.TemporaryDirectory() as folder:
    results = pathlib.Path(folder, "results.json")
    results.write_text(json.dumps({"program": "test", "rows": rows}))
    ran = subprocess.run([sys.argv[1], results, folder], capture_output=True, text=True,
                         check=False)
    pictures = {path.name: path.read_text() for path in pathlib.Path(folder).glob("*.svg")}
print(ran.stdout, ran.stderr)
assert ran.returncode == 0 and not ran.stderr
assert set(pictures) == {"test-over-numbers.svg", "test-over-percentiles.svg"}, set(pictures)
for picture in pictures.values():
    assert "defer_drop" in picture and "somebody" in picture
for at in "p50", "p99.9", "max":
    assert at in pictures["test-over-percentiles.svg"], at
