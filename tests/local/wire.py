"""HTTP by hand: what a library would tidy up on the way must arrive as it is written here."""

import socket
from dataclasses import dataclass

SECONDS = 30


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def connect(host, port):
    return socket.create_connection((host, port), SECONDS)


def exchange(server, head, body=b""):
    """Send a head (without its last empty line) and a body; the whole answer."""
    with connect(server.host, server.port) as connection:
        connection.sendall(head.encode("latin-1") + b"\r\nConnection: close\r\n\r\n" + body)
        return answer(connection, head.startswith("HEAD "))


def answer(connection, to_head=False):
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        headers = {}
        while (line := stream.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if to_head:
            return Answer(status, headers, stream.read())
        return Answer(status, headers, stream.read(int(headers["content-length"])))
