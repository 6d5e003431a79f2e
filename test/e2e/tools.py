#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""tools.py SERVER WAY: redis-cli and redis-benchmark, unmodified, find what they look for."""
import shutil
import subprocess
import sys

from server import PATIENCE_S, Server, expect

program, way = sys.argv[1:3]
if not shutil.which("redis-cli") or not shutil.which("redis-benchmark"):
    print("skipped: redis-cli and redis-benchmark (redis-tools is not there)")
    sys.exit(77)

SCRIPT = """\
PING
SET greeting "hello, \\x77orld"
GET greeting
RPUSH list 1 2 3
LPUSH list 0
LRANGE list 0 -1
SADD set a b c
SCARD set
EXISTS greeting list set
DBSIZE
DEL list
UNLINK set
LLEN list
FLUSHALL SYNC
DBSIZE
GET
"""
ANSWERS = """\
PONG
OK
hello, world
3
4
0
1
2
3
3
3
3
3
1
1
0
OK
0
ERR wrong number of arguments for 'get' command

"""


def run(*command, text=None):
    ran = subprocess.run(command, input=text, capture_output=True, text=True,
                         timeout=PATIENCE_S * 3, check=False)
    expect(ran.returncode == 0, f"{command}: {ran.returncode} {ran.stdout}{ran.stderr}")
    return ran.stdout


server = Server(program, "--reclaim", way)
port = str(server.port)
found = run("redis-cli", "-p", port, text=SCRIPT)
expect(found == ANSWERS, f"the answers: {found}")
found = run("redis-benchmark", "-p", port, "--csv", "-n", "2000", "-c", "20", "-P", "4", "-t",
            "ping,set,get,lpush,rpush,sadd,lrange_100")
expect(found.count("\n") >= 8 and "ERR" not in found, f"a line for each: {found}")
run("redis-cli", "-p", port, "shutdown", "nosave")
server.end(None)
