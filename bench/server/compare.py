#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""compare.py SERVER CLIENT: who destroys a server's big values, and what that does to its small
commands. See --help."""
import csv
import getopt
import io
import json
import os
import shutil
import statistics
import subprocess
import sys

from churn import Churn
from results import Results
from target import (ALL_CPUS, CLIENT_CPUS, PATIENCE_S, RECLAIM_CPUS, Ours, Redis,
                    is_real_time_allowed, pinning, redis_version, start)

WAYS = {"drop": "defer_drop", "loop": "defer_drop, in the loop", "place": "in place",
        "mutex": "mutex and list", "call_rcu": "call_rcu"}
PERCENTILES = "p50", "p99", "p99.9", "max"

# Elements that are made, and destroyed, in a second, however many there are to a value; but no more
# values than MOST_VALUES_PER_S.
ELEMENTS_PER_S = 1000000
MOST_VALUES_PER_S = 1000

# Of the overload.
OVERLOAD_ELEMENTS = 100000
OVERLOAD_QUEUE_BYTES = 64 << 20

# Name: what, least, most, built in, with --quick.
NUMBERS = {
    "rounds": ("how often each is measured, in turn", 1, 101, 3, 1),
    "ms": ("for how long small commands are measured", 100, 3600000, 5000, 2000),
    "rate": ("small commands per second", 100, 1000000, 10000, 10000),
    "requests": ("of redis-benchmark, GET and SET each", 100, 100000000, 100000, 10000),
    "overload": ("values made and deleted as fast as it goes", 1, 100000, 200, 40),
}
SIZES = [10, 1000, 100000, 1000000]
QUICK_SIZES = [1000000]
LEAST_SIZES = [10]


def print_help():
    print("usage: compare.py SERVER CLIENT [OPTION]...\n\n"
          "Runs the server with each way to destroy big values, and redis-server with DEL and\n"
          "with UNLINK where it is installed. A client makes values of so many elements and\n"
          "deletes them at a steady pace, while another measures small commands, open loop, and\n"
          "redis-benchmark what goes through. Then values are made and deleted as fast as it\n"
          "goes, while who destroys hardly gets to run: how much memory that takes.\n")
    for name, (what, least, most, built_in, quick) in NUMBERS.items():
        print(f"  {'--' + name + ' N':18} {what}; {least}..{most} [{built_in}, quick {quick}]")
    built_in = ",".join(map(str, SIZES))
    print(f"  --sizes N,...      elements of a value; 1..100000000 [{built_in}]\n"
          "  --quick            less of it, for a minute\n"
          "  --least            every number at its least: to see that it works\n"
          "  --json FILE        the same figures as JSON too; - for standard output, then the\n"
          "                     text goes to standard error\n"
          "  --help             this text")


def refuse(line):
    sys.stderr.write(line + "\n")
    sys.exit(2)


def read_number(option, text, least, most):
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        refuse(f"{option} {text}: want {least}..{most}")
    return int(text)


class Options:
    def __init__(self, arguments):
        self.json = None
        self.sizes = None
        given = self.read(arguments)
        column = 1 if "--least" in given else 4 if "--quick" in given else 3
        self.numbers = {name: entry[column] for name, entry in NUMBERS.items()}
        for option, text in given.items():
            if option[2:] in NUMBERS:
                self.numbers[option[2:]] = read_number(option, text, *NUMBERS[option[2:]][1:3])
        self.sizes = self.sizes or {1: LEAST_SIZES, 4: QUICK_SIZES, 3: SIZES}[column]

    def read(self, arguments):
        try:
            pairs, rest = getopt.gnu_getopt(arguments, "", [f"{name}=" for name in NUMBERS] + [
                "sizes=", "json=", "quick", "least", "help"])
        except getopt.GetoptError as error:
            refuse(f"--{error.opt}: {error.msg}")
        if rest:
            refuse(f"{rest[0]}: want options only, see --help")
        for option, text in pairs:
            if option == "--help":
                print_help()
                sys.exit(0)
            if option == "--json":
                self.json = text
            if option == "--sizes":
                self.sizes = [read_number(option, part, 1, 100000000) for part in text.split(",")]
        return dict(pairs)

    def __getattr__(self, name):
        return self.numbers[name]


def ways_of(server):
    """Those that it was built with, as it says when it is asked for none."""
    ran = subprocess.run([server, "--reclaim", ""], capture_output=True, text=True, check=False)
    return ran.stderr.split("want one of ")[1].strip().split(", ")


class Comparison:
    def __init__(self, server, client, options):
        self.client, self.options = client, options
        self.results = Results("server", sys.argv[3:], options.json)
        self.is_real_time = is_real_time_allowed()
        self.machine = None
        built = ways_of(server)
        self.ours = [Ours(name, server, way) for way, name in WAYS.items() if way in built]
        self.targets = list(self.ours)
        self.missing = []
        if "call_rcu" not in built:
            self.missing.append(("call_rcu", "liburcu-dev was not there to build with"))
        if redis_version():
            self.targets += [Redis("DEL"), Redis("UNLINK")]
        else:
            self.missing.append(("redis-server", "it is not installed"))
        self.has_benchmark = bool(shutil.which("redis-benchmark"))
        if not self.has_benchmark:
            self.missing.append(("redis-benchmark", "redis-tools is not installed"))

    # ---- One measurement ----

    def measure_latency(self, target):
        command = [self.client, "--port", target.port, "--rate", self.options.rate,
                   "--ms", self.options.ms, "--json", "-"]
        ran = start(command, CLIENT_CPUS, self.is_real_time,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = ran.communicate(timeout=PATIENCE_S + self.options.ms / 1000)
        if ran.returncode:
            raise OSError(f"{target.name}: {err}")
        found = json.loads(out)
        self.machine = found["machine"], found["versions"]
        return {row["at"]: row["median"] / 1000 for row in found["rows"]}

    def measure_throughput(self, target):
        command = ["redis-benchmark", "-p", target.port, "--csv", "-t", "set,get",
                   "-n", self.options.requests, "-r", 10000, "-d", 64]
        ran = start(command, CLIENT_CPUS, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = ran.communicate(timeout=PATIENCE_S)
        rows = list(csv.DictReader(io.StringIO(out)))
        if ran.returncode or len(rows) != 2:
            raise OSError(f"redis-benchmark, {target.name}: {out}{err}")
        return statistics.harmonic_mean([float(row["rps"]) for row in rows])

    def measure(self, target, size):
        pause_s = max(size / ELEMENTS_PER_S, 1 / MOST_VALUES_PER_S)
        with target.running():
            with Churn(target.port, target.kind, size, target.delete, pause_s):
                figures = self.measure_latency(target)
                if self.has_benchmark:
                    figures["throughput"] = self.measure_throughput(target)
            figures["memory"] = target.peak_bytes() / (1 << 20)
        return figures

    def measure_overload(self, target):
        with target.running("--queue-bytes", OVERLOAD_QUEUE_BYTES):
            target.starve_helpers()
            neighbour = start([sys.executable, "-c", "while True: pass"], RECLAIM_CPUS)
            try:
                Churn(target.port, target.kind, OVERLOAD_ELEMENTS, target.delete, 0).run_times(
                    self.options.overload)
            finally:
                neighbour.kill()
                neighbour.wait()
            return target.peak_bytes() / (1 << 20)

    # ---- All, and the tables ----

    def rounds(self, targets, measure):
        """{target name: [figures of each round]}, taken in turn."""
        found = {target.name: [] for target in targets}
        for _ in range(self.options.rounds):
            for target in targets:
                found[target.name].append(measure(target))
        return found

    def row(self, found, name, at, unit):
        """found: {target name: [one figure of each round]}"""
        ours = found[WAYS["drop"]]
        ratios = [a / b for a, b in zip(ours, found[name])] if name != WAYS["drop"] else None
        self.results.row(name, at, unit, found[name], ratios)

    def print_table(self, title, unit, figure, by_size):
        self.results.table(title, "elements", "ours/theirs")
        for target in self.targets:
            for size, found in by_size.items():
                self.row({name: [figures[figure] for figures in rounds]
                          for name, rounds in found.items()}, target.name, str(size), unit)

    def print_head(self):
        facts, versions = self.machine
        self.results.machine({**facts, "cpus": len(ALL_CPUS)})
        for version in versions:
            self.results.version(**version)
        if redis_version():
            self.results.version("redis-server", redis_version())
            self.results.note("redis-server is another program, and its lists are packed: it gets "
                              "sets; it is there for the shape")
        for name, why in self.missing:
            self.results.skip(name, why)
        self.results.note(pinning() + ("; the client that measures is a real-time thread"
                                       if self.is_real_time else ""))
        self.results.note(f"{self.options.rate} small commands per second for {self.options.ms} "
                          f"ms, median of {self.options.rounds}; {ELEMENTS_PER_S} elements per "
                          f"second are made and deleted, in at most {MOST_VALUES_PER_S} values")

    def run(self):
        os.sched_setaffinity(0, CLIENT_CPUS)
        by_size = {size: self.rounds(self.targets, lambda target: self.measure(target, size))
                   for size in self.options.sizes}
        overload = self.rounds(self.ours, self.measure_overload)
        self.print_head()
        for percentile in PERCENTILES:
            self.print_table(f"{percentile} of small commands while values are deleted", "us",
                             percentile, by_size)
        if self.has_benchmark:
            self.print_table("redis-benchmark meanwhile, GET and SET", "per s", "throughput",
                             by_size)
        self.print_table("peak memory", "MiB", "memory", by_size)
        self.results.table("peak memory under overload", "values", "ours/theirs")
        for target in self.ours:
            self.row(overload, target.name, str(self.options.overload), "MiB")
        self.results.note(f"overload: values of {OVERLOAD_ELEMENTS} elements, without a pause; who "
                          "destroys is an idle thread (sched(7)) beside a busy process; "
                          f"queue-bytes {OVERLOAD_QUEUE_BYTES}")
        self.results.end()


try:
    Comparison(sys.argv[1], sys.argv[2], Options(sys.argv[3:])).run()
except OSError as error:
    sys.exit(f"server: {error}")
