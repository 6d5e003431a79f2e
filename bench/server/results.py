# SPDX-License-Identifier: MIT
"""What a benchmark in Python found, as bench/results.c writes it: a table as text while it goes on,
and the same rows as JSON at the end."""
import datetime
import json
import statistics
import sys

FIGURES = "median", "least", "lower_quartile", "upper_quartile", "most"


def summarize(samples):
    ordered = sorted(samples)
    lower, _, upper = statistics.quantiles(ordered * 2 if len(ordered) == 1 else ordered, n=4,
                                           method="inclusive")
    return dict(zip(FIGURES, (statistics.median(ordered), ordered[0], lower, upper, ordered[-1])))


def number(value):
    """Three digits that count, and all those before the point."""
    decimals = 3 if value < 0.9995 else 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f" {value:10.{decimals}f}"


class Results:
    def __init__(self, program, arguments, json_path):
        self.json_path = json_path
        self.file = None
        if json_path and json_path != "-":
            try:
                self.file = open(json_path, "w", encoding="utf-8")
            except OSError as error:
                sys.stderr.write(f"--json {json_path}: cannot be written: {error.strerror}\n")
                sys.exit(2)
        self.out = sys.stderr if json_path == "-" else sys.stdout
        date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.json = {"program": program, "command": [program, *arguments], "date": date,
                     "machine": {}, "versions": [], "notes": [], "skipped": [], "rows": []}

    def say(self, line):
        print(line, file=self.out, flush=True)

    def machine(self, facts):
        self.json["machine"] = facts
        self.say("{cpu}, {cpus} CPUs, {kernel}, {compiler}, {libc}, malloc of {allocator}".format(
            **facts))

    def version(self, name, version):
        self.json["versions"].append({"name": name, "version": version})
        self.say(f"{name} {version}")

    def skip(self, name, why):
        self.json["skipped"].append({"name": name, "why": why})
        self.say(f"skipped: {name} ({why})")

    def note(self, note):
        self.json["notes"].append(note)
        self.say(note)

    def table(self, title, variable, ratio):
        self.head = {"table": title, "variable": variable}
        self.ratio = ratio
        columns = "".join(
            f" {name:>10}" for name in ("median", "least", "quartile", "quartile", "most"))
        self.say(f"\n{title}\n  {'':30} {variable:>10} {'unit':7}{columns} {ratio}")

    def row(self, name, at, unit, samples, ratios=None):
        """ratios: of each round."""
        row = {**self.head, "at": at, "name": name, "unit": unit, **summarize(samples),
               "repeats": len(samples)}
        line = f"  {name:30} {at:>10} {unit:7}" + "".join(number(row[key]) for key in FIGURES)
        if ratios:
            ratio = summarize(ratios)
            row.update(ratio_is=self.ratio, ratio=ratio["median"],
                       ratio_lower_quartile=ratio["lower_quartile"],
                       ratio_upper_quartile=ratio["upper_quartile"])
            line += number(ratio["median"])
        self.json["rows"].append(row)
        self.say(line)

    def end(self):
        if self.json_path:
            json.dump(self.json, self.file or sys.stdout, indent=1)
            print(file=self.file or sys.stdout, flush=True)
