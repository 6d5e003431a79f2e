# SPDX-License-Identifier: MIT
"""Measures a server: small commands while values are deleted, the CPU time of the loop for a
deletion, and memory under overload."""
import contextlib
import csv
import io
import json
import shutil
import socket
import statistics
import sys
import time

from churn import WINDOW, Churn, request
from target import CLIENT_CPUS, PATIENCE_S, RECLAIM_CPUS, start

# Elements that are made and destroyed in a second, for values of any size; but at most
# MOST_VALUES_PER_S values.
ELEMENTS_PER_S = 1000000
MOST_VALUES_PER_S = 1000

# The same, where the loop's time for an element is measured.
STEADY_ELEMENTS_PER_S = 500000

# Of the overload.
OVERLOAD_ELEMENTS = 100000
OVERLOAD_QUEUE_BYTES = 64 << 20

# Sent to the thread that reads, if there is one.
READS_PER_S = 2000

# Until the thread that destroys has finished, and the loop sleeps, so that its time is up to date.
REST_S = 0.02


def has_redis_benchmark():
    return bool(shutil.which("redis-benchmark"))


class Measure:
    def __init__(self, client, options, is_real_time):
        self.client, self.options, self.is_real_time = client, options, is_real_time

    def client_of(self, port, rate, ms, sets, is_real_time):
        command = [self.client, "--port", port, "--rate", rate, "--ms", ms, "--sets", sets,
                   "--json", "-"]
        return start(command, CLIENT_CPUS, is_real_time)

    # ---- Small commands ----

    def latency(self, target):
        """Returns {percentile: microseconds}. The loop is a real-time thread meanwhile: otherwise
        percentiles from 99.9 on show other threads, the kernel's too, that are on its CPU when a
        command comes."""
        target.set_real_time(self.is_real_time)
        ran = self.client_of(target.port, self.options.rate, self.options.ms, 10, self.is_real_time)
        out, err = ran.communicate(timeout=PATIENCE_S + self.options.ms / 1000)
        target.set_real_time(False)
        if ran.returncode:
            raise OSError(f"{target.name}: {err}")
        return {row["at"]: row["median"] / 1000 for row in json.loads(out)["rows"]}

    def throughput(self, target):
        command = ["redis-benchmark", "-p", target.port, "--csv", "-t", "set,get",
                   "-n", self.options.requests, "-r", 10000, "-d", 64]
        ran = start(command, CLIENT_CPUS)
        out, err = ran.communicate(timeout=PATIENCE_S)
        rows = list(csv.DictReader(io.StringIO(out)))
        if ran.returncode or len(rows) != 2:
            raise OSError(f"redis-benchmark, {target.name}: {out}{err}")
        return statistics.harmonic_mean([float(row["rps"]) for row in rows])

    @contextlib.contextmanager
    def reading(self, target):
        """Lets another client send GETs to the thread that reads, if there is one."""
        if not target.read_port:
            yield
            return
        reader = self.client_of(target.read_port, READS_PER_S, 3600000, 0, False)
        try:
            yield
            if reader.poll() is not None:
                raise OSError(f"{target.name}: {reader.communicate()[1]}")
        finally:
            reader.kill()
            reader.communicate()

    def small_commands(self, target, size):
        pause_s = max(size / ELEMENTS_PER_S, 1 / MOST_VALUES_PER_S)
        with target.running():
            churn = Churn(target.port, target.kind, size, target.delete, pause_s)
            with self.reading(target), churn:
                figures = self.latency(target)
                if has_redis_benchmark():
                    figures["throughput"] = self.throughput(target)
            figures["memory"] = target.peak_bytes() / (1 << 20)
        return figures

    # ---- One deletion ----

    def deletion(self, target, size):
        """Returns microseconds of the loop's CPU time for one of many pipelined DELs, with
        everything that it causes in the loop."""
        words = [f"element:{i:08}" for i in range(size)]
        times = self.options.deletions
        with target.running("--reclaim-min", 1), \
                socket.create_connection(("127.0.0.1", target.port)) as client:
            pipeline(client, [request("RPUSH", f"big{i}", *words) for i in range(times)])
            time.sleep(REST_S)
            before_ns = target.loop_ns()
            pipeline(client, [request("DEL", f"big{i}") for i in range(times)])
            time.sleep(REST_S)
            return (target.loop_ns() - before_ns) / times / 1000

    # ---- Made and deleted ----

    def steady(self, target, size):
        """Nanoseconds of the loop's CPU time for an element, of values that are made and deleted
        one after the other, with pauses."""
        pause_s = size / STEADY_ELEMENTS_PER_S
        with target.running():
            with Churn(target.port, target.kind, size, target.delete, pause_s,
                       target.is_refused) as churn:
                time.sleep(self.options.ms / 5000)
                before = target.loop_ns(), churn.deleted
                time.sleep(self.options.ms / 1000)
                after = target.loop_ns(), churn.deleted
        return (after[0] - before[0]) / max(1, after[1] - before[1]) / size

    # ---- Overload ----

    def overload(self, target):
        with target.running("--queue-bytes", OVERLOAD_QUEUE_BYTES):
            target.starve_helpers()
            neighbour = start([sys.executable, "-c", "while True: pass"], RECLAIM_CPUS)
            try:
                Churn(target.port, target.kind, OVERLOAD_ELEMENTS, target.delete, 0).run_times(
                    self.options.overload)
            finally:
                neighbour.kill()
                neighbour.communicate()
            return target.peak_bytes() / (1 << 20)


def pipeline(client, commands):
    """Sends commands, each of which is answered by one line."""
    for first in range(0, len(commands), WINDOW):
        part = commands[first:first + WINDOW]
        client.sendall(b"".join(part))
        lines = 0
        while lines < len(part):
            answers = client.recv(65536)
            if not answers or b"-" in answers:
                raise OSError(f"the server answers {answers!r:.100}")
            lines += answers.count(b"\n")
