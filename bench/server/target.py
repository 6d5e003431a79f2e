# SPDX-License-Identifier: MIT
"""The servers that are compared, and where the programs run. The loop of each has the first CPU,
the thread that destroys has the second; clients have the others, or share the second if there are
only two."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time

PATIENCE_S = 300
ALL_CPUS = sorted(os.sched_getaffinity(0))
RECLAIM_CPUS = ALL_CPUS[1:2] or ALL_CPUS
CLIENT_CPUS = ALL_CPUS[2:] or RECLAIM_CPUS


def pinning():
    return {1: "all on one CPU",
            2: "the loop on the first CPU; who destroys, and the clients, on the second"}.get(
        len(ALL_CPUS),
        "the loop on the first CPU, who destroys on the second, clients on the others")


def is_real_time_allowed():
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, *before)
        return True
    except PermissionError:
        return False


def start(command, cpus, is_real_time=False, **options):
    def prepare():
        os.sched_setaffinity(0, cpus)
        if is_real_time:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))

    words = [str(word) for word in command]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(words, preexec_fn=prepare, text=True, **options)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Target:
    """A server. kind: a type of value in which each element is a node. delete: the command for each
    value that was made. read_port: where a second thread of it reads, or None."""

    kind = "list"
    delete = "DEL"
    read_port = None

    @contextlib.contextmanager
    def running(self, *options):
        self.start(*options)
        try:
            yield
            self.end()
        finally:
            if self.process.returncode is None:
                self.process.kill()
                self.process.wait()

    def set_real_time(self, is_real_time):
        """Sets the loop, which is the first thread of each server. Others keep their policy."""
        policy, priority = (os.SCHED_FIFO, 1) if is_real_time else (os.SCHED_OTHER, 0)
        os.sched_setscheduler(self.process.pid, policy, os.sched_param(priority))

    def loop_ns(self):
        """Returns the CPU time of the loop."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as schedstat:
            return int(schedstat.read().split()[0])

    def starve_helpers(self):
        """Lets the threads beside the loop run only when no other thread wants their CPU."""
        for thread in map(int, os.listdir(f"/proc/{self.process.pid}/task")):
            if thread != self.process.pid:
                os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))

    def peak_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmHWM:\s*(\d+) kB", status.read())[1]) * 1024


class Ours(Target):
    def __init__(self, name, program, way, *options, delete="DEL"):
        self.name, self.program, self.way = name, program, way
        self.options, self.delete = options, delete

    def start(self, *options):
        command = [self.program, "--port", "0", "--pin", "--max-memory", "0", "--reclaim", self.way]
        self.process = start([*command, *self.options, *options], ALL_CPUS, stderr=None)
        self.port = self.read_line()
        if "--read-port" in self.options:
            self.read_port = self.read_line()

    def read_line(self):
        """Returns the port, which is the last word of a line."""
        return int(self.process.stdout.readline().split()[-1])

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        if self.process.returncode:
            raise OSError(f"--reclaim {self.way}: exit status {self.process.returncode}: {out}")


class Redis(Target):
    """Its lists are packed, with many elements to a node, so its sets are compared."""

    kind = "set"

    def __init__(self, delete):
        self.name, self.delete = f"redis-server {delete}", delete

    def start(self):
        self.port = free_port()
        self.process = start(
            ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "",
             "--server_cpulist", ALL_CPUS[0], "--bio_cpulist", RECLAIM_CPUS[0]],
            ALL_CPUS, stdout=subprocess.DEVNULL, stderr=None)
        until_s = time.monotonic() + PATIENCE_S
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            if self.process.poll() is not None or time.monotonic() > until_s:
                raise OSError("redis-server does not start")
            time.sleep(0.01)

    def end(self):
        self.process.terminate()
        self.process.wait(PATIENCE_S)


def redis_version():
    if not shutil.which("redis-server"):
        return None
    text = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True)
    return re.search(r"v=(\S+)", text.stdout)[1]
