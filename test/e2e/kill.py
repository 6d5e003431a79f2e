#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""kill.py SERVER WAY: clients that vanish in the middle of a pipeline, and a server that ends under
load, by SIGTERM and by SHUTDOWN. No node may be lost."""
import random
import signal
import sys
import threading

from server import PATIENCE_S, Server, expect, request

program, way = sys.argv[1:3]
is_over = threading.Event()
seed = random.randrange(1 << 32)


def load(server, number):
    """Writes, replaces and deletes until it is cut off."""
    random_number = random.Random(seed + number)
    try:
        client = server.connect()
        while not is_over.is_set():
            key = random_number.randrange(20)
            members = range(random_number.choice([1, 10, 1000]))
            client.send(request("SADD", f"set{key}", *members) +
                        request("RPUSH", f"l{key}", *members) +
                        request("DEL", f"set{key + 1}") + request("UNLINK", f"l{key + 2}") +
                        request("SET", f"s{key}", "x" * 10000) + request("FLUSHALL") * (not key))
            if random_number.randrange(4):
                for _ in range(5 + (not key)):
                    client.answer()
            else:
                client.close()  # in the middle of a pipeline
                client = server.connect()
        client.close()
    except (OSError, SystemExit):
        pass  # the server is gone


def check_end(how):
    server = Server(program, "--reclaim", way, "--reclaim-min", "8", "--queue-size", "16")
    is_over.clear()
    threads = [threading.Thread(target=load, args=(server, i), daemon=True) for i in range(4)]
    for thread in threads:
        thread.start()
    watcher = server.connect()
    while int(server.info("stats")["total_commands_processed"]) < 2000:
        pass
    waiting = server.connect()
    waiting.send(request("RPUSH", "l", *range(20000)) + request("FLUSHALL", "SYNC"))
    if how == "SHUTDOWN":
        watcher.send(request("SHUTDOWN", "NOSAVE"))
        nodes = server.end(None)
    else:
        nodes = server.end(how)
    is_over.set()
    for thread in threads:
        thread.join(PATIENCE_S)
        expect(not thread.is_alive(), "a client ends when its server does")
    expect(nodes > 2000, "there was a load")


print("seed", seed)
for how in signal.SIGTERM, signal.SIGINT, "SHUTDOWN":
    check_end(how)
