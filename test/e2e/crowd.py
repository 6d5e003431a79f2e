#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""crowd.py SERVER: ten thousand clients at once are served, one more is turned away, and as they
leave others may come."""
import resource
import sys

from server import Server, expect

CLIENTS = 10000

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if hard < 2 * CLIENTS and hard < CLIENTS + 1000:
    print(f"RLIMIT_NOFILE {hard} is too low")
    sys.exit(77)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
server = Server(sys.argv[1], "--max-clients", str(CLIENTS))
clients = [server.connect() for _ in range(CLIENTS)]
for client in clients:
    client.send(b"PING\r\n")
for client in clients:
    expect(client.answer() == "+PONG", "each is served")
late = server.connect()
expect(late.answer() == "-ERR max number of clients reached", "one more is turned away")
expect(late.is_closed(), "and closed")
for client in clients[::2]:
    client.close()
expect(clients[1].ask("PING") == "+PONG", "those who stay are served")
while int(server.info("clients")["connected_clients"]) > CLIENTS // 2 + 1:
    pass
expect(server.connect().ask("PING") == "+PONG", "there is room again")
server.end()
