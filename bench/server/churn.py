# SPDX-License-Identifier: MIT
"""A client that makes big values and deletes them, at a steady pace."""
import socket
import threading
import time

# Elements in a command: few, so that making a value holds up no client by itself.
CHUNK = 100

# Commands that may be unanswered at a time.
WINDOW = 64


def request(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    strings = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n%s" % (len(words), strings)


class Churn:
    """kind: list or set. delete: the command. pause_s: from one deletion to the next; 0: none."""

    def __init__(self, port, kind, elements, delete, pause_s):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        push = {"list": "RPUSH", "set": "SADD"}[kind]
        self.chunks = [request(push, "big", *(f"element:{i:08}" for i in range(
            begin, min(begin + CHUNK, elements)))) for begin in range(0, elements, CHUNK)]
        self.delete = request(delete, "big")
        self.pause_s = pause_s
        self.unanswered = 0
        self.deleted = 0
        self.is_over = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()
        self.socket.close()
        if self.error:
            raise self.error

    def wait(self, most):
        """Waits until at most that number of commands are unanswered."""
        while self.unanswered > most:
            answers = self.socket.recv(65536)
            if not answers or b"-" in answers:
                raise OSError(f"the server answers {answers!r:.100}")
            self.unanswered -= answers.count(b"\n")

    def send(self, command):
        self.socket.sendall(command)
        self.unanswered += 1
        self.wait(WINDOW)

    def one(self, begin_s):
        """Makes a value, spread over the pause, and deletes it."""
        for i, chunk in enumerate(self.chunks):
            delay_s = begin_s + self.pause_s * i / len(self.chunks) - time.monotonic()
            if self.pause_s and delay_s > 0:
                time.sleep(delay_s)
            self.send(chunk)
        self.send(self.delete)
        self.deleted += 1

    def run(self):
        begin_s = time.monotonic()
        try:
            while not self.is_over.is_set():
                self.one(begin_s + self.deleted * self.pause_s)
            self.wait(0)
        except OSError as error:
            self.error = error

    def run_times(self, times):
        """Makes and deletes values in the caller's thread, as fast as possible."""
        while self.deleted < times:
            self.one(0)
        self.wait(0)
