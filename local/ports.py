"""Ports on the loopback interface."""

from __future__ import annotations

import secrets
import socket
import sys

LOOPBACK = "127.0.0.1"

# Below those that systems hand out to whoever asks for any.
_CHOSEN = range(15_000, 32_768)


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
    """Ports that nothing listens on now, all different.

    Until they are used, neither the system nor, on Linux, a process that asks here gives them to others.
    """
    found: list[int] = []
    while len(found) < count:
        port = secrets.choice(_CHOSEN)
        if port not in found and _reserve(port) and _is_free(port):
            found.append(port)
    return found


def _reserve(port: int) -> bool:
    """Whether no other process has this port in mind; from now on, this one has until it ends."""
    if sys.platform != "linux":
        return True
    mark = socket.socket(socket.AF_UNIX)
    try:
        # A name without a file, which is gone with the process.
        mark.bind(f"\0moorage-port-{port}")
    except OSError:
        mark.close()
        return False
    # Open from here on, and nobody's to close.
    mark.detach()
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
