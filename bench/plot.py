#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""plot.py RESULTS.json FOLDER: draws the tables of a benchmark whose variable is a number or a
percentile, as SVG through gnuplot, and prints the files that it made."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(__file__).with_name("plot.gp")


def place(label):
    """Returns the place of a value on a logarithmic axis, or None. A percentile lies at the number
    of times of which one is longer."""
    if re.fullmatch(r"[\d.]+", label):
        return float(label) or None
    if re.fullmatch(r"p[\d.]+", label) and float(label[1:]) < 100:
        return round(1 / (1 - float(label[1:]) / 100))
    return None


def lines_of(rows):
    """Returns {name: points (x, row)} of the rows that can be drawn. The maximum lies a decade
    behind the last percentile."""
    lines = {}
    last = max((place(row["at"]) or 0 for row in rows), default=0)
    for row in rows:
        x = last * 10 if row["at"] in ("max", "maximum", "most") else place(row["at"])
        if x and row["median"]:
            lines.setdefault(row["name"], []).append((x, row))
    return {name: points for name, points in lines.items() if len(points) > 1}


def write(file, lines):
    for name, points in lines.items():
        file.write(f'"{name}"\n')
        for x, row in points:
            low, high = (row[key] for key in ("lower_quartile", "upper_quartile"))
            file.write(f'{x} "{row["at"]}" {row["median"]} {low or row["median"]} {high}\n')
        file.write("\n\n")
    file.flush()


def quote(text):
    return "'" + str(text).replace("'", "''") + "'"


def draw(program, title, rows, folder):
    lines = lines_of(rows)
    if not lines:
        return
    name = re.sub(r"\W+", "-", f"{program} {title}".lower()).strip("-")
    picture = folder / f"{name}.svg"
    with tempfile.NamedTemporaryFile("w") as data:
        write(data, lines)
        values = {"data": data.name, "picture": picture, "heading": f"{program}: {title}",
                  "variable": rows[0]["variable"], "unit": rows[0]["unit"]}
        settings = "; ".join(f"{key} = {quote(value)}" for key, value in values.items())
        settings += f"; ways = {len(lines)}"
        subprocess.run(["gnuplot", "-e", settings, SCRIPT], check=True)
    print(picture)


def main():
    results = json.loads(pathlib.Path(sys.argv[1]).read_text())
    tables = {}
    for row in results["rows"]:
        tables.setdefault(row["table"], []).append(row)
    for title, rows in tables.items():
        draw(results["program"], title, rows, pathlib.Path(sys.argv[2]))


main()
