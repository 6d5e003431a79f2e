#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""read.py SERVER WAY: a second thread reads while the first one replaces, deletes, flushes, and grows
the table under it. What is there throughout is always found, and no value is ever torn."""
import subprocess
import sys
import threading

from server import Server, expect, request

program, way = sys.argv[1:3]
KEEPERS = 50
ROUNDS = 30


def value(key, number):
    return (b"%d,%d;" % (key, number)) * 200


def write(server):
    """Never is any of the keepers missing."""
    client = server.connect()
    for number in range(ROUNDS):
        requests = [request("SET", f"keeper{key}", value(key, number)) for key in range(KEEPERS)]
        requests += [request("SET", f"{number}:{i}", "x") for i in range(300)]
        requests += [request("DEL", f"{number - 1}:{i}") for i in range(0, 300, 2)]
        client.send(b"".join(requests))
        for _ in requests:
            client.answer()
    client.close()


def read(client, counts):
    client.send(b"".join(request("GET", f"keeper{key}") for key in range(KEEPERS)))
    for key in range(KEEPERS):
        found = client.answer()
        expect(found, f"keeper{key} is found")
        number = int(found.split(b";")[0].split(b",")[1])
        expect(found == value(key, number), f"keeper{key} is whole: {found[:40]}")
        expect(number >= counts[key], f"keeper{key} never goes back")
        counts[key] = number


def check_commands(reader):
    expect(reader.ask("EXISTS", "keeper0", "no") == 1, "EXISTS reads")
    expect(reader.ask("PING") == "+PONG", "PING needs nothing")
    for words in ["SET", "a", "b"], ["DEL", "a"], ["FLUSHALL"], ["INFO"], ["LRANGE", "a", 0, 1]:
        expect(reader.ask(*words).startswith("-READONLY"), f"{words} is refused")


def check_flush(writer, reader):
    """Found whole, or not at all."""
    for number in range(20):
        writer.send(request("SET", "k", value(1, number)) + request("FLUSHALL"))
        for _ in range(20):
            found = reader.ask("GET", "k")
            expect(not found or found in (value(1, number), value(1, number - 1)), "whole or not at all")
        writer.answer(), writer.answer()


refused = subprocess.run([program, "--read-port", "0", "--reclaim", "place"], capture_output=True,
                         text=True, check=False)
expect(refused.returncode == 2 and "--reclaim place" in refused.stderr, "place has no grace periods")
server = Server(program, "--reclaim", way, "--read-port", "0", "--queue-size", "64",
                "--max-clients", "100")
reader = server.connect_reader()
writer = server.connect()
for key in range(KEEPERS):
    writer.ask("SET", f"keeper{key}", value(key, 0))
check_commands(reader)
thread = threading.Thread(target=write, args=(server,))
thread.start()
counts = [0] * KEEPERS
while thread.is_alive():
    read(reader, counts)
thread.join()
read(reader, counts)
expect(counts == [ROUNDS - 1] * KEEPERS, "the last values are read at last")
check_flush(writer, reader)
expect(int(server.info("reclaim")["in_place_total"]) == 0, "nothing is destroyed under a reader")
server.end()
