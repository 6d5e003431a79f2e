#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""compare.py SERVER CLIENT NAME=NUMBER...: measures the small commands of servers, by who destroys
their big values. compare.c runs it and reads the lines that it prints."""
import os
import subprocess
import sys
import types

import measure
from measure import Measure, has_redis_benchmark
from target import (CLIENT_CPUS, Ours, Redis, is_real_time_allowed, pinning,
                    redis_version)

WAYS = {"drop": "defer_drop", "loop": "defer_drop, in the loop", "place": "in place",
        "mutex": "mutex and list", "call_rcu": "call_rcu"}
PERCENTILES = "p50", "p90", "p99", "p99.9", "p99.99", "max"

# Elements of the values whose deletion is measured by itself.
DELETION_SIZES = 1, 2, 4, 8, 16, 32, 64, 256, 1024


def read_options(arguments):
    options = dict(argument.split("=") for argument in arguments)
    options["sizes"] = [int(size) for size in options["sizes"].split(",")]
    return types.SimpleNamespace(**{name: value if name == "sizes" else int(value)
                                    for name, value in options.items()})


def tell(kind, *fields):
    print(kind, *fields, sep="\t", flush=True)


def ways_of(server):
    """Returns the ways of this build, which the server lists if it does not know a way."""
    ran = subprocess.run([server, "--reclaim", ""], capture_output=True, text=True, check=False)
    return ran.stderr.split("want one of ")[1].strip().split(", ")

# Elements of the values that are made and deleted at a steady pace.
STEADY_SIZES = 100, 1000, 10000


class Comparison:
    def __init__(self, server, client, options):
        self.options = options
        self.is_real_time = is_real_time_allowed()
        self.measure = Measure(client, options, self.is_real_time)
        self.missing = []
        self.choose(server, ways_of(server))

    def choose(self, server, built):
        self.ours = [Ours(name, server, way) for way, name in WAYS.items() if way in built]
        self.pooled = Ours("defer_drop, pools", server, "drop", "--pools")
        self.refused = Ours("nothing is made", server, "place", is_refused=True)
        self.targets = [*self.ours, self.pooled, Ours("none is deleted", server, "place", delete="EXISTS")]
        if "call_rcu" in built:
            self.targets += [Ours(f"{WAYS[way]}, with readers", server, way, "--read-port", "0",
                                  "--max-clients", "100")
                             for way in ("drop", "call_rcu")]
        else:
            self.missing.append(("call_rcu", "liburcu-dev was missing when this was built"))
        if redis_version():
            self.targets += [Redis("DEL"), Redis("UNLINK")]
        else:
            self.missing.append(("redis-server", "it is not installed"))
        if not has_redis_benchmark():
            self.missing.append(("redis-benchmark", "redis-tools is not installed"))

    def rounds(self, targets, measured):
        """Measures the targets in turn. Returns {target name: [figures of each round]}."""
        found = {target.name: [] for target in targets}
        for _ in range(self.options.rounds):
            for target in targets:
                found[target.name].append(measured(target))
        return found

    # ---- Tables ----

    def row(self, found, name, at, unit):
        """found: {target name: [one figure of each round]}"""
        ours = found[WAYS["drop"]]
        # With few deletions, the clock of a thread may not move.
        has_ratio = name != WAYS["drop"] and all(found[name])
        tell("row", name, at, unit, ",".join(map(str, found[name])),
             ",".join(map(str, ours)) if has_ratio else "")

    def print_latencies(self, size, found):
        tell("table", f"small commands while values of {size} elements are deleted",
             "percentile", "ours/theirs")
        for target in self.targets:
            for percentile in PERCENTILES:
                self.row({name: [figures[percentile] for figures in rounds]
                          for name, rounds in found.items()}, target.name, percentile, "us")

    def print_by_size(self, title, unit, targets, by_size):
        """by_size: {elements: {target name: [one figure of each round]}}"""
        tell("table", title, "elements", "ours/theirs")
        for target in targets:
            for size, found in by_size.items():
                self.row(found, target.name, str(size), unit)

    def print_figure(self, title, unit, figure, by_size):
        picked = {size: {name: [figures[figure] for figures in rounds]
                         for name, rounds in found.items()} for size, found in by_size.items()}
        self.print_by_size(title, unit, self.targets, picked)

    def print_head(self):
        if redis_version():
            tell("version", "redis-server", redis_version())
            tell("note", "redis-server is another program, and its lists are packed: it gets "
                 "sets; it is there for the shape")
        for name, why in self.missing:
            tell("skip", name, why)
        tell("note", pinning() + ("; the loop and the client that measures are real-time "
                                  "threads meanwhile" if self.is_real_time else ""))
        tell("note", f"{self.options.rate} small commands per second for {self.options.ms} ms, "
             f"median of {self.options.rounds}; {measure.ELEMENTS_PER_S} elements per second are "
             f"made and deleted, in at most {measure.MOST_VALUES_PER_S} values; \"none is "
             "deleted\": they are made; \"nothing is made\": elements are read and refused")
        tell("note", f"with readers: a second thread answers {measure.READS_PER_S} GETs per "
             "second; what falls out of the data set, of any size, waits for a grace period")

    def run(self):
        os.sched_setaffinity(0, CLIENT_CPUS)
        self.print_head()
        by_size = {size: self.rounds(self.targets,
                                     lambda target: self.measure.small_commands(target, size))
                   for size in self.options.sizes}
        for size, found in by_size.items():
            self.print_latencies(size, found)
        if has_redis_benchmark():
            self.print_figure("redis-benchmark meanwhile, GET and SET", "per s", "throughput",
                              by_size)
        self.print_figure("peak memory", "MiB", "memory", by_size)
        self.print_by_size("the loop's CPU time for one DEL", "us", self.ours, {
            size: self.rounds(self.ours, lambda target: self.measure.deletion(target, size))
            for size in DELETION_SIZES})
        self.print_steady()
        self.print_overload()

    def print_steady(self):
        targets = [*self.ours, self.pooled, self.refused]
        found = {size: self.rounds(targets, lambda target: self.measure.steady(target, size))
                 for size in STEADY_SIZES}
        self.print_by_size("the loop's CPU time for an element made and deleted", "ns", targets,
                           found)

    def print_overload(self):
        found = self.rounds(self.ours, self.measure.overload)
        tell("table", "peak memory under overload", "values", "ours/theirs")
        for target in self.ours:
            self.row(found, target.name, str(self.options.overload), "MiB")
        tell("note", f"overload: values of {measure.OVERLOAD_ELEMENTS} elements, without a pause; "
             "who destroys is an idle thread (sched(7)) beside a busy process; queue-bytes "
             f"{measure.OVERLOAD_QUEUE_BYTES}")


try:
    Comparison(sys.argv[1], sys.argv[2], read_options(sys.argv[3:])).run()
except OSError as error:
    sys.exit(f"server: {error}")
