# SPDX-License-Identifier: MIT
"""A server under test, and connections to it. Where anything goes wrong, or does not end for a
minute and a half, the program fails; how long things take otherwise is not looked at."""
import atexit
import re
import signal
import socket
import subprocess
import sys

PATIENCE_S = 90


def expect(claim, what):
    if not claim:
        sys.exit(f"not true: {what}")


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, *words):
        self.send(request(*words))
        return self.answer()

    def answer(self):
        line = self.file.readline()
        expect(line.endswith(b"\r\n"), f"a whole line, and not {line}")
        kind, rest = line[:1], line[1:-2]
        if kind in b"+-":
            return line[:-2].decode()
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        expect(kind == b"$", f"an answer, and not {line}")
        if rest == b"-1":
            return None
        return self.file.read(int(rest) + 2)[:-2]

    def is_closed(self):
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.file.close()
        self.socket.close()


def request(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    strings = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n%s" % (len(words), strings)


class Server:
    def __init__(self, program, *options):
        self.process = subprocess.Popen([program, "--port", "0", *options], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        atexit.register(self.process.kill)  # where a test fails; nothing, once it has ended
        self.port = self.read_port("listening")
        self.reader_port = self.read_port("reading") if "--read-port" in options else None

    def read_port(self, what):
        line = self.process.stdout.readline()
        found = re.fullmatch(what + r" on 127\.0\.0\.1 port (\d+)\n", line)
        if not found:
            sys.exit(f"the server does not start: {line}{self.process.communicate()[1]}")
        return int(found[1])

    def connect(self):
        return Connection(self.port)

    def connect_reader(self):
        return Connection(self.reader_port)

    def info(self, section="all"):
        connection = self.connect()
        lines = connection.ask("INFO", section).decode().split("\r\n")
        connection.close()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def end(self, how=signal.SIGTERM):
        """By a signal, or by itself: with nothing lost and nothing to complain about."""
        if how:
            self.process.send_signal(how)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        expect(self.process.returncode == 0 and not err,
               f"exit status 0 and silence: {self.process.returncode} {out}{err}")
        found = re.fullmatch(r"nodes: (\d+) created, (\d+) destroyed\n", out)
        expect(found and found[1] == found[2], f"all nodes are destroyed: {out}")
        return int(found[1])
