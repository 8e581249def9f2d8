"""One execution environment of a function: runs in a process of its own, one event at a time.

Started as `python -I -S worker.py`, so that nothing of the project's environment is importable but what
stands on the path that the local cloud gives. Both directions of the socket carry frames: four bytes of
length, then that many bytes of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Any

_LENGTH_BYTES = 4


@dataclass(frozen=True)
class Context:
    """What Lambda passes to a handler beside the event."""

    aws_request_id: str
    invoked_function_arn: str
    deadline: float
    function_name: str = ""
    function_version: str = ""
    memory_limit_in_mb: str = ""
    log_group_name: str = ""
    log_stream_name: str = ""
    identity: None = None
    client_context: None = None

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is stopped."""
        return max(0, int((self.deadline - time.time()) * 1000))


def main() -> None:
    """Import the handler, say so, and answer events until the other side closes the socket."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    resolve_local_names()
    sys.path[:0] = json.loads(sys.argv[2])
    module, _, name = os.environ["_HANDLER"].rpartition(".")
    handler = getattr(importlib.import_module(module), name)
    _send(channel, b"{}")
    while (envelope := _receive(channel)) is not None:
        event = _receive(channel)
        if event is None:
            return
        header, payload = _invoke(handler, json.loads(envelope), json.loads(event))
        _send(channel, json.dumps(header).encode())
        _send(channel, payload)


def resolve_local_names() -> None:
    """Let every name below `localhost` be this machine, as RFC 6761 has it and plain Debian does not.

    SDKs put a name before the host of an endpoint that they were given.
    """
    resolve = socket.getaddrinfo

    def resolve_here(host: Any, *arguments: Any, **options: Any) -> Any:
        local = isinstance(host, str) and host.lower().rstrip(".").endswith(".localhost")
        return resolve("127.0.0.1" if local else host, *arguments, **options)

    socket.getaddrinfo = resolve_here


def _invoke(handler: Any, envelope: dict[str, Any], event: Any) -> tuple[dict[str, Any], bytes]:
    context = Context(
        **envelope,
        function_name=os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        function_version=os.environ["AWS_LAMBDA_FUNCTION_VERSION"],
        memory_limit_in_mb=os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
        log_group_name=os.environ["AWS_LAMBDA_LOG_GROUP_NAME"],
        log_stream_name=os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
    )
    try:
        answer = json.dumps(handler(event, context), ensure_ascii=False).encode()
    except Exception as error:  # noqa: BLE001 - whatever a handler raises is the answer, as in Lambda
        traceback.print_exc()
        failure = {"errorMessage": str(error), "errorType": type(error).__name__}
        return {"error": failure["errorType"]}, json.dumps(failure).encode()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return {"error": None}, answer


def _receive(channel: socket.socket) -> bytearray | None:
    head = _exactly(channel, _LENGTH_BYTES)
    return None if head is None else _exactly(channel, int.from_bytes(head, "big"))


def _exactly(channel: socket.socket, size: int) -> bytearray | None:
    """That many bytes, or None when the other side has closed the socket."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = channel.recv_into(view)
        if not count:
            return None
        view = view[count:]
    return data


def _send(channel: socket.socket, payload: bytes) -> None:
    channel.sendall(len(payload).to_bytes(_LENGTH_BYTES, "big"))
    channel.sendall(payload)


if __name__ == "__main__":
    main()
