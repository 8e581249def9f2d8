"""Ports on the loopback interface."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import sys

LOOPBACK = "127.0.0.1"

# Below those that systems hand out to whoever asks for any.
_CHOSEN = range(15_000, 32_768)
_TRIES = 10_000
# By port, the file descriptor of the mark that this process has it in mind.
_marks: dict[int, int] = {}


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

    Neither the system nor, on Linux, a process that asks here gives them to others until they are given back,
    or this process ends.

    Raises:
        PortTakenError: there are not so many.
    """
    found: list[int] = []
    for _ in range(_TRIES):
        if len(found) == count:
            return found
        port = secrets.choice(_CHOSEN)
        if port in found or not _reserve(port):
            continue
        if _is_free(port):
            found.append(port)
        else:
            give_back(port)
    give_back(*found)
    raise PortTakenError(f"there are no {count} free ports from {_CHOSEN[0]} to {_CHOSEN[-1]}")


def give_back(*given: int) -> None:
    """Let others have ports of ``free``: they are in use by now, or never will be."""
    for port in given:
        if port in _marks:
            os.close(_marks.pop(port))


def _reserve(port: int) -> bool:
    """Whether nobody has this port in mind; from now on, this process has."""
    if sys.platform != "linux":
        return True
    mark = socket.socket(socket.AF_UNIX)
    try:
        # A name without a file, which is gone with the process.
        mark.bind(f"\0moorage-port-{port}")
    except OSError as error:
        mark.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    _marks[port] = mark.detach()
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            # The second of what a system keeps for itself.
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            return False
    return True
