"""Ports on the loopback interface."""

from __future__ import annotations

import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"


class PortTakenError(Exception):
    """A port that was asked for is in use."""


def listen(port: int) -> socket.socket:
    """A socket that listens on the loopback interface; port 0 takes any free one.

    Raises:
        PortTakenError: another process listens there.
    """
    # asyncio switches Nagle's algorithm off only for sockets that say they are TCP; with it, each answer in
    # two writes waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise PortTakenError(f"port {port} of {LOOPBACK} cannot be used: {error.strerror}") from error
    listener.setblocking(False)  # noqa: FBT003 - positional only
    return listener


def number(listener: socket.socket) -> int:
    """The port that a socket listens on."""
    port: int = listener.getsockname()[1]
    return port


def free(count: int) -> list[int]:
    """Ports that nothing listens on now, all different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [number(probe) for probe in probes]
