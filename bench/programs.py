#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""programs.py COMMAND [--folder DIR] [--mib N] [--rounds N] [NAME...]: measures programs that nobody changes, alone
and under defer-drop run, in turn: what the client waits that destroys, and the longest that another one waits meanwhile.

NAME: mariadb, redis, rm, python; without, all that are installed. DIR: where they have their files [/tmp]; its file
system is named. MIB: how large the objects are [1024; redis has at most 512]."""
import argparse
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

WAYS = "alone", "defer-drop"
SETTLE_S = 3  # what was deferred is destroyed by then


def timed_ms(call, *arguments):
    begin = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - begin) * 1e3


class Meanwhile:
    """Another client, which does something again and again until the end; its longest time is kept."""

    def __init__(self, call, pause_s=0.0005):
        self.call, self.pause_s, self.longest_ms, self.is_over = call, pause_s, 0.0, False
        self.thread = threading.Thread(target=self.work)

    def work(self):
        while not self.is_over:
            self.longest_ms = max(self.longest_ms, timed_ms(self.call))
            time.sleep(self.pause_s)

    def __enter__(self):
        self.thread.start()
        time.sleep(0.5)
        self.longest_ms = 0.0
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()


class Server:
    """A program that runs until the end of the block."""

    def __init__(self, *words, is_up):
        self.words, self.is_up = words, is_up

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self.is_up():
            if self.process.poll() is not None:
                sys.exit(f"programs: {self.words[0]} ended")
            time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


# ---- Redis ------------------------------------------------------------------------------------------

class Redis:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rb")

    def ask(self, *words):
        self.socket.sendall(f"{' '.join(words)}\r\n".encode())
        answer = self.stream.readline()
        if answer.startswith(b"-"):
            sys.exit(f"programs: redis: {answer}")
        return answer


def redis(prefix, folder, mib):
    path = folder / "socket"
    words = [*prefix, "redis-server", "--port", "0", "--unixsocket", str(path), "--dir", str(folder), "--save", ""]
    found = {}
    with Server(*words, is_up=path.exists):
        time.sleep(0.2)
        client, other = Redis(path), Redis(path)
        for verb in "DEL", "UNLINK":
            client.ask("SETRANGE", "big", str((min(mib, 512) << 20) - 1), "x")
            with Meanwhile(lambda: other.ask("PING")) as pings:
                found[f"redis {verb}"] = timed_ms(client.ask, verb, "big")
                time.sleep(SETTLE_S)
            found[f"redis {verb}, longest PING"] = pings.longest_ms
    return found


# ---- MariaDB ----------------------------------------------------------------------------------------

class MariaDB:
    def __init__(self, path):
        self.process = subprocess.Popen(["mariadb", f"--socket={path}", "-uroot", "-n", "-N", "-B", "test"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, text):
        self.process.stdin.write(f"{text}; select 'done';\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line == "done\n":
                return
        sys.exit(f"programs: mariadb: {text}")

    def __del__(self):
        self.process.stdin.close()
        self.process.wait()


def fill(client, mib):
    client.ask("create table big (a int primary key, b longtext) engine=innodb")
    client.ask(f"insert into big select seq, repeat('x', 8000) from seq_1_to_{mib * 128}")


def mariadb(prefix, folder, mib):
    data, path = folder / "data", folder / "socket"
    subprocess.run(["mariadb-install-db", f"--datadir={data}", "--auth-root-authentication-method=normal",
                    "--skip-test-db", "--user=root"], check=True, capture_output=True)
    words = [*prefix, "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={path}", "--skip-networking",
             "--user=root", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=268435456",
             "--innodb-doublewrite=0", f"--pid-file={folder / 'pid'}"]
    found = {}
    with Server(*words, is_up=lambda: path.exists() and not subprocess.run(
            ["mariadb", f"--socket={path}", "-uroot", "-e", "create database test"],
            capture_output=True, check=False).returncode):
        client, writer, definer = (MariaDB(path) for _ in range(3))
        client.ask("create table small (a int auto_increment primary key, b int) engine=innodb")
        for verb in "DROP", "TRUNCATE":
            fill(client, mib)
            time.sleep(5)  # dirty pages are written
            with Meanwhile(lambda: writer.ask("insert into small (b) values (1)")) as inserts, \
                    Meanwhile(lambda: definer.ask("create table tiny (a int); drop table tiny")) as definitions:
                found[f"mariadb {verb}"] = timed_ms(client.ask, f"{verb} TABLE big")
                time.sleep(SETTLE_S)
            found[f"mariadb {verb}, longest INSERT"] = inserts.longest_ms
            found[f"mariadb {verb}, longest small DDL"] = definitions.longest_ms
            client.ask("drop table if exists big")
        del client, writer, definer
    return found


# ---- Programs that end ------------------------------------------------------------------------------

def make(path, mib):
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(b"x" * (1 << 20))
        file.flush()
        subprocess.run(["sync", str(path)], check=True)


def rm(prefix, folder, mib):
    make(folder / "big", mib)
    words = [*prefix, "--helper"] if prefix else []
    took = timed_ms(lambda: subprocess.run([*words, "rm", str(folder / "big")], check=True))
    time.sleep(SETTLE_S)
    return {"rm (with --helper)": took}


PYTHON = r"""
import mmap, os, sys, time
def timed(what, call):
    begin = time.perf_counter()
    call()
    print(what, (time.perf_counter() - begin) * 1e3, sep="\t")
name, mib = sys.argv[1], int(sys.argv[2])
big = bytearray(b"x") * (mib << 20)
def forget():
    global big
    big = None
timed("python, del of a bytearray", forget)
mapped = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
mapped.write(b"x" * (mib << 20))
timed("python, close of an mmap", mapped.close)
fd = os.open(name, os.O_RDWR)
os.unlink(name)
timed("python, close of a removed file", lambda: os.close(fd))
"""


def python(prefix, folder, mib):
    make(folder / "big", mib)
    ran = subprocess.run([*prefix, sys.executable, "-c", PYTHON, str(folder / "big"), str(mib)], check=True,
                         capture_output=True, text=True)
    return {what: float(ms) for what, ms in (line.split("\t") for line in ran.stdout.splitlines())}


# ---- The table --------------------------------------------------------------------------------------

PROGRAMS = {"mariadb": (mariadb, "mariadbd"), "redis": (redis, "redis-server"), "rm": (rm, "rm"),
            "python": (python, "python3")}


def measure(name, arguments):
    """Returns {what: {way: figures}}."""
    figures = {}
    for _ in range(arguments.rounds):
        for way in WAYS:
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                prefix = [arguments.command, "run"] if way != "alone" else []
                found = PROGRAMS[name][0](prefix, pathlib.Path(folder), arguments.mib)
            for what, ms in found.items():
                figures.setdefault(what, {way: [] for way in WAYS})[way].append(ms)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command")
    parser.add_argument("--folder", default="/tmp")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_intermixed_args()
    for name in arguments.names:
        if name not in PROGRAMS:
            parser.error(f"{name}: want one of {' '.join(PROGRAMS)}")
    system = subprocess.run(["findmnt", "-n", "-o", "FSTYPE,OPTIONS", "-T", arguments.folder], capture_output=True,
                            text=True, check=False).stdout.strip()
    print(f"{arguments.folder}: {system}; {arguments.mib} MiB; ms, median and most of {arguments.rounds} rounds")
    for name in arguments.names or PROGRAMS:
        if not shutil.which(PROGRAMS[name][1]):
            print(f"skipped: {name} (it is not installed)")
            continue
        for what, by_way in measure(name, arguments).items():
            texts = (f"{way} {statistics.median(ms):.2f}, {max(ms):.2f}" for way, ms in by_way.items())
            print(f"{what:40}", "    ".join(texts), flush=True)


main()
