#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""read.py SERVER WAY: a second thread reads while the first one replaces, deletes, flushes, and
grows the table under it. What is there throughout is always found, and no value is ever torn."""
import subprocess
import sys
import threading

from server import Server, expect, request

program, way = sys.argv[1:3]
KEEPERS = 8
ROUNDS = 12
ADDED = 10000  # keys beside, in each round: the table grows ten times

is_growing = threading.Event()
LOOK = request("EXISTS", *(f"keeper{i % KEEPERS}" for i in range(4000)))
GET = b"".join(request("GET", f"keeper{key}") for key in range(KEEPERS))


def value(key, number):
    return (b"%d,%d;" % (key, number)) * 2000


def keep(number):
    return [request("SET", f"keeper{key}", value(key, number)) for key in range(KEEPERS)]


def ask_all(client, requests):
    client.send(b"".join(requests))
    for _ in requests:
        client.answer()


def write(client, first):
    """Grows the table, replaces the keepers meanwhile, and deletes some of the others."""
    for number in range(10):
        begin = number * ADDED // 10
        ask_all(client, [request("SET", f"other{begin + i}", "x") for i in range(ADDED // 10)])
        ask_all(client, keep(first + number))
        ask_all(client, [request("DEL", f"other{begin + i}") for i in range(0, 100, 2)])
    is_growing.clear()


def read(client, counts):
    client.send(LOOK + GET)
    found = client.answer()
    expect(found == 4000, f"all keepers are found, and not {found}")
    for key in range(KEEPERS):
        found = client.answer()
        expect(found, f"keeper{key} is found")
        number = int(found.split(b";")[0].split(b",")[1])
        expect(found == value(key, number), f"keeper{key} is whole: {found[:40]}")
        expect(number >= counts[key], f"keeper{key} never goes back")
        counts[key] = number


def check_growing(writer, reader):
    counts = [0] * KEEPERS
    for first in range(0, ROUNDS * 10, 10):
        ask_all(writer, [request("FLUSHALL")] + keep(first))
        is_growing.set()
        thread = threading.Thread(target=write, args=(writer, first), daemon=True)
        thread.start()
        while is_growing.is_set():
            read(reader, counts)
        thread.join()
        read(reader, counts)
        expect(counts == [first + 9] * KEEPERS, "the last values are read at last")


def check_commands(reader):
    expect(reader.ask("EXISTS", "keeper0", "no") == 1, "EXISTS reads")
    expect(reader.ask("PING") == "+PONG", "PING needs nothing")
    for words in ["SET", "a", "b"], ["DEL", "a"], ["FLUSHALL"], ["INFO"], ["LRANGE", "a", 0, 1]:
        expect(reader.ask(*words).startswith("-READONLY"), f"{words} is refused")


def check_flush(writer, reader):
    """Checks that a value is found complete, or not at all."""
    for number in range(1, 100):
        requests = [request("SET", "k", value(1, number)), request("FLUSHALL")] * 5
        writer.send(b"".join(requests))
        reader.send(request("GET", "k") * 20)
        for _ in range(20):
            found = reader.answer()
            expect(not found or found == value(1, number), f"whole or not at all: {found}")
        for _ in requests:
            writer.answer()


refused = subprocess.run([program, "--read-port", "0", "--reclaim", "place"], capture_output=True,
                         text=True, check=False)
expect(refused.returncode == 2 and "--reclaim place" in refused.stderr,
       "place has no grace periods")
server = Server(program, "--reclaim", way, "--read-port", "0", "--queue-size", "64",
                "--max-clients", "100")
reader = server.connect_reader()
writer = server.connect()
check_growing(writer, reader)
check_commands(reader)
check_flush(writer, reader)
expect(int(server.info("reclaim")["in_place_total"]) == 0, "nothing is destroyed under a reader")
server.end()
