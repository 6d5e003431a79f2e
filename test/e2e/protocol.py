#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""protocol.py SERVER WAY [OPTION]...: the commands and their errors, of a server with options;
requests that are malformed, too large, or in pieces; clients that do not read; the memory limit."""
import subprocess
import sys

from server import Server, expect, request

program, way, *options = sys.argv[1:]


def check(found, wanted):
    expect(found == wanted, f"{found!r:.200} is {wanted!r:.200}")


def check_commands(server):
    client = server.connect()
    for words, wanted in [
        (["PING"], "+PONG"), (["ping", "a"], b"a"), (["ECHO", b"\0\r\n"], b"\0\r\n"),
        (["GET", "no"], None), (["SET", "", ""], "+OK"), (["GET", ""], b""),
        (["SET", "s", "1"], "+OK"), (["SET", "s", "2"], "+OK"), (["GET", "s"], b"2"),
        (["RPUSH", "l", "b", "c"], 2), (["LPUSH", "l", "a"], 3), (["LLEN", "l"], 3),
        (["LLEN", "no"], 0), (["LRANGE", "l", "0", "-1"], [b"a", b"b", b"c"]),
        (["LRANGE", "l", "-2", "9"], [b"b", b"c"]), (["LRANGE", "l", "2", "1"], []),
        (["LRANGE", "no", "0", "1"], []), (["LRANGE", "l", "-9", "0"], [b"a"]),
        (["SADD", "t", "a", "b", "a"], 2), (["SCARD", "t"], 2), (["SCARD", "no"], 0),
        (["EXISTS", "s", "l", "s", "no"], 3), (["DBSIZE"], 4), (["DEL", "s", "no"], 1),
        (["UNLINK", "l", "t"], 2), (["DBSIZE"], 1), (["CONFIG", "GET", "s?ve"], [b"save", b""]),
        (["CONFIG", "GET", "reclaim"], [b"reclaim", way.encode()]), (["CLIENT", "ID"], 1),
        (["CLIENT", "SETNAME", "me"], "+OK"), (["CLIENT", "GETNAME"], b"me"), (["COMMAND"], []),
        (["FLUSHALL"], "+OK"), (["FLUSHALL", "ASYNC"], "+OK"), (["DBSIZE"], 0),
    ]:
        check(client.ask(*words), wanted)
    client.close()


def check_refusals(server):
    client = server.connect()
    client.ask("RPUSH", "l", "a")
    client.ask("SET", "s", "a")
    for words, begin in [
        (["no\r\nsuch"], "-ERR unknown command 'no  such'"), (["GET"], "-ERR wrong number"),
        (["PING", "a", "b"], "-ERR wrong number"), (["GET", "l"], "-WRONGTYPE"),
        (["RPUSH", "s", "a"], "-WRONGTYPE"), (["SADD", "l", "a"], "-WRONGTYPE"),
        (["LLEN", "s"], "-WRONGTYPE"), (["LRANGE", "l", "0", "x"], "-ERR value is not an integer"),
        (["LRANGE", "l", "0", "9" * 20], "-ERR value is not"),
        (["SET", "a", "b", "EX"], "-ERR wrong"),
        (["FLUSHALL", "NOW"], "-ERR syntax"), (["CONFIG", "SET"], "-ERR unknown subcommand"),
        (["CLIENT", "KILL"], "-ERR unknown subcommand"),
        (["CLIENT", "SETNAME", "x" * 99], "-ERR Client"),
    ]:
        found = client.ask(*words)
        expect(isinstance(found, str) and found.startswith(begin), f"{words}: {found}")
    client.close()


def check_malformed(server):
    for data, wanted in [
        (b"*1\r\n!4\r\n", "-ERR Protocol error: expected '$', got '!'"),
        (b"*1\r\n\n4\r\n", "-ERR Protocol error: expected '$', got '?'"),
        (b"*9999999\r\n", "-ERR Protocol error: invalid multibulk length"),
        (b"*x\r\n", "-ERR Protocol error: invalid multibulk length"),
        (b"*\r\n", "-ERR Protocol error: invalid multibulk length"),
        (b"*1" + b"1" * 99, "-ERR Protocol error: invalid multibulk length"),
        (b"*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length"),
        (b"*1\r\n$999999999999\r\n", "-ERR Protocol error: invalid bulk length"),
        (b"*1\r\n$4\r\nPINGPONG", "-ERR Protocol error: a bulk string is longer than it said"),
        (b'GET "open\r\n', "-ERR Protocol error: unbalanced quotes in request"),
        (b'GET "a"b\r\n', "-ERR Protocol error: unbalanced quotes in request"),
        (b"x" * 70000, "-ERR Protocol error: too big inline request"),
    ]:
        client = server.connect()
        client.send(b"PING\r\n" + data)
        check(client.answer(), "+PONG")
        check(client.answer(), wanted)
        expect(client.is_closed(), f"closed after {data[:20]}")
        client.close()


def check_pieces(server):
    client = server.connect()
    for byte in request("SET", "k", b"in\r\npieces") + b'GET "\\x6b"\r\n' + b"\r\n*0\r\nGET 'k'\n":
        client.send(bytes([byte]))
    check([client.answer() for _ in range(3)], ["+OK"] + [b"in\r\npieces"] * 2)
    client.send(request("PING")[:-3])
    client.close()
    client = server.connect()
    client.send(request("ECHO", "x") * 5000 + request("PING"))
    client.socket.shutdown(1)
    check([client.answer() for _ in range(5001)], [b"x"] * 5000 + ["+PONG"])
    expect(client.is_closed(), "closed after a half-closed client was answered")
    client.close()


def check_large(server):
    client = server.connect()
    value = bytes(range(256)) * 20000
    check(client.ask("SET", "large", value), "+OK")
    check(client.ask("GET", "large"), value)
    check(client.ask("RPUSH", "list", *range(200000)), 200000)
    check(client.ask("LRANGE", "list", 199999, 199999), [b"199999"])
    check(len(client.ask("LRANGE", "list", 0, -1)), 200000)
    check(client.ask("SADD", "set", *range(200000)), 200000)
    check(client.ask("SCARD", "set"), 200000)
    check(client.ask("DEL", "large", "list", "set"), 3)
    client.close()


def check_flush(server):
    busy, other = server.connect(), server.connect()
    for i in range(5):
        busy.ask("SADD", f"set{i}", *range(20000))
    busy.send(request("FLUSHALL", "SYNC") + request("INFO", "memory"))
    for _ in range(100):
        check(other.ask("PING"), "+PONG")
    check(busy.answer(), "+OK")
    expect(b"nodes_waiting:0\r\n" in busy.answer(), "all is destroyed after FLUSHALL SYNC")
    for i in range(2):
        busy.ask("SADD", "set", *range(20000))
        busy.send(request("FLUSHALL", "SYNC"))
        busy.close()  # while it waits
        busy = server.connect()
    other.close()
    busy.close()


def check_deaf(server):
    """A client that does not read its answers holds up no other, and its answers do not pile up."""
    deaf, other = server.connect(), server.connect()
    other.ask("SET", "value", b"x" * 100000)
    deaf.socket.setblocking(False)
    asked = 0
    try:
        while asked < 20000:
            asked += deaf.socket.send(request("GET", "value") * 100)
    except BlockingIOError:
        pass
    for _ in range(100):
        check(other.ask("PING"), "+PONG")
    expect(int(server.info("memory")["used_memory"]) < 8 << 20, "answers do not pile up")
    deaf.close()
    other.close()


def check_limit():
    server = Server(program, "--reclaim", way, "--max-memory", "4194304", *options)
    client = server.connect()
    answers = {str(client.ask("RPUSH", "l", *[b"x" * 100] * 100))[:4] for _ in range(1000)}
    expect("-OOM" in answers, "writes are refused at the limit")
    check(client.ask("GET", "no"), None)
    client.send(b"*2\r\n$4\r\nECHO\r\n$60000000\r\n")
    expect(not client.file.closed, "promises cost nothing")
    check(server.connect().ask("FLUSHALL", "SYNC"), "+OK")
    large = server.connect()
    try:
        large.send(b"*2\r\n$4\r\nECHO\r\n$20000000\r\n" + b"x" * 20000000)
        expect(large.answer().startswith("-OOM"), "a request beyond the limit is refused")
    except (BrokenPipeError, ConnectionResetError):
        pass
    check(server.connect().ask("SET", "a", "b"), "+OK")
    server.end()


def check_options():
    for option, value in [("--reclaim", "nobody"), ("--port", "65536"), ("--queue-size", "3"),
                          ("--max-memory", "1"), ("--listen", "nowhere"),
                          ("--max-clients", "-1"), ("--budget-us", "0")]:
        ran = subprocess.run([program, option, value], capture_output=True, text=True, check=False)
        is_named = f"{option} {value}" in ran.stderr
        expect(ran.returncode == 2 and ran.stderr.count("\n") == 1 and is_named,
               f"{option} {value}: {ran.returncode} {ran.stderr}")


server = Server(program, "--reclaim", way, "--reclaim-min", "8", *options)
check_commands(server)
check_refusals(server)
check_malformed(server)
check_pieces(server)
check_large(server)
check_flush(server)
check_deaf(server)
deferred = int(server.info("reclaim")["deferred_total"])
expect(deferred > 0 or way == "place", "big values are deferred")
while server.info("clients")["connected_clients"] != "1":
    pass  # clients that have closed are forgotten
server.end()
check_limit()
check_options()
