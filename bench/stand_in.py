"""The network, replaced: sockets whose other end is this very process, answering as DynamoDB and SSM do.

All that runs in a function runs here too, down to the system calls that send and receive; only the wire, TLS
and the service behind them are missing. Answers are made once and kept, so that giving one costs little.
"""

from __future__ import annotations

import json
import re
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import urllib3.util.connection

ENDPOINT = "http://aws.invalid"

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *(\S+)", re.IGNORECASE)
_SET = re.compile(r"#(\w+) = (?:if_not_exists\(#\w+, )?(:\w+)")
_ADD = re.compile(r"ADD #(\w+) (:\w+)")

Answer = Callable[[str, bytes], bytes]
"""The body of the answer to a request, from the operation's name and the request's body."""


class ConversationSocket(socket.socket):
    """A connected socket; as soon as a whole request has been sent, its answer is there to be received."""

    def __init__(self, answer: Answer) -> None:
        near, far = socket.socketpair()
        super().__init__(near.family, near.type, near.proto, near.detach())
        self._far = far
        self._answer = answer
        self._sent = b""
        self._coming = memoryview(b"")

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Take a part of a request, and answer the request that it completes."""
        super().sendall(data, flags)
        # What was sent is taken out at the other end, as a server would.
        self._sent += self._far.recv(len(data), socket.MSG_WAITALL)
        head, end, body = self._sent.partition(_HEAD_END)
        length = _LENGTH.search(head)
        if not end or (length and len(body) < int(length[1])):
            return
        self._sent = b""
        target = _TARGET.search(head)
        operation = target[1].rpartition(b".")[2].decode() if target else head.partition(b" ")[0].decode()
        self._coming = memoryview(_response(self._answer(operation, body)))
        self._push()

    def recv(self, size: int, flags: int = 0) -> bytes:
        """A part of an answer."""
        self._push()
        return super().recv(size, flags)

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        """The same, into a buffer."""
        self._push()
        return super().recv_into(buffer, size, flags)

    def _push(self) -> None:
        """Send on what there is room for: an answer may be larger than what the system holds for a socket."""
        if self._coming:
            with suppress(BlockingIOError):
                self._coming = self._coming[self._far.send(self._coming, socket.MSG_DONTWAIT) :]

    def setsockopt(self, *_: Any) -> None:
        """Nothing: options of TCP, which this is not."""

    def close(self) -> None:
        """Close both ends."""
        self._far.close()
        super().close()


def _response(body: bytes) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT\r\n"
        "Content-Type: application/x-amz-json-1.0\r\n"
        f"Content-Length: {len(body)}\r\nConnection: keep-alive\r\n"
        "x-amzn-RequestId: 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEF\r\n"
        f"x-amz-crc32: {zlib.crc32(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def network(answer: Answer) -> Iterator[None]:
    """For a while all connections that urllib3 opens, for botocore too, are conversations with ``answer``."""
    connecting = urllib3.util.connection.create_connection

    def connect(*_: Any, **__: Any) -> socket.socket:
        return ConversationSocket(answer)

    urllib3.util.connection.create_connection = connect
    try:
        yield
    finally:
        urllib3.util.connection.create_connection = connecting


class Services:
    """One table and the parameters of SSM. While recording, writes are kept; their conditions always hold."""

    def __init__(self) -> None:
        self.parameters: dict[str, str] = {}
        self.recording = True
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self._answers: dict[bytes, bytes] = {}

    def stored(self) -> dict[str, Any]:
        """All that is stored, as JSON holds it."""
        return {"parameters": self.parameters, "rows": list(self._rows.values())}

    @classmethod
    def loaded(cls, stored: dict[str, Any]) -> Services:
        """Services with what others have stored; nothing more is recorded."""
        services = cls()
        services.parameters = stored["parameters"]
        services._rows = {_place(row): row for row in stored["rows"]}
        services.recording = False
        return services

    def __call__(self, operation: str, body: bytes) -> bytes:
        """The answer to a request; one that was given before, when nothing is recorded any more."""
        if self.recording:
            return self._act(operation, json.loads(body))
        known = self._answers.get(body)
        if known is None:
            known = self._act(operation, json.loads(body))
            if operation in {"GetItem", "BatchGetItem", "Query", "GetParameter"}:
                self._answers[body] = known
        return known

    def _act(self, operation: str, request: Any) -> bytes:
        answer: dict[str, Any] = {}
        match operation:
            case "GetItem":
                row = self._rows.get(_place(request["Key"]))
                answer = {} if row is None else {"Item": _projected(row, request)}
            case "BatchGetItem":
                ((table, batch),) = request["RequestItems"].items()
                found = [self._rows[place] for key in batch["Keys"] if (place := _place(key)) in self._rows]
                rows = [_projected(row, batch) for row in found]
                answer = {"Responses": {table: rows}, "UnprocessedKeys": {}}
            case "Query":
                rows = [_projected(row, request) for row in self._found(request)]
                answer = {"Items": rows, "Count": len(rows), "ScannedCount": len(rows)}
            case "TransactWriteItems":
                for write in request["TransactItems"]:
                    ((kind, parameters),) = write.items()
                    self._write(kind, parameters)
            case "BatchWriteItem":
                answer = {"UnprocessedItems": {}}
            case "GetParameter":
                answer = {"Parameter": {"Value": self.parameters[request["Name"]]}}
            case _:
                self._write(operation.removesuffix("Item"), request)
        return json.dumps(answer, separators=(",", ":")).encode()

    def _write(self, kind: str, parameters: Any) -> None:
        if not self.recording:
            return
        if kind == "Put":
            self._rows[_place(parameters["Item"])] = parameters["Item"]
        elif kind == "Update":
            row = self._rows.setdefault(_place(parameters["Key"]), dict(parameters["Key"]))
            names, values = parameters["ExpressionAttributeNames"], parameters["ExpressionAttributeValues"]
            for name, value in _SET.findall(parameters["UpdateExpression"]):
                row[names[f"#{name}"]] = values[value]
            for name, value in _ADD.findall(parameters["UpdateExpression"]):
                row[names[f"#{name}"]] = _sum(row.get(names[f"#{name}"]), values[value])

    def _found(self, request: Any) -> list[dict[str, Any]]:
        values = request["ExpressionAttributeValues"]
        wanted = values[":pk"]["S"]
        first = values.get(":first", {"S": ""})["S"]
        return [row for (pk, sk), row in sorted(self._rows.items()) if pk == wanted and sk.startswith(first)]


def _place(key: Any) -> tuple[str, str]:
    return key["pk"]["S"], key["sk"]["S"]


def _sum(before: Any, added: Any) -> Any:
    """What an update adds to: a set, or a number."""
    if before is None:
        return added
    if "N" in added:
        return {"N": str(int(before["N"]) + int(added["N"]))}
    return {"SS": sorted({*before["SS"], *added["SS"]})}


def _projected(row: dict[str, Any], request: Any) -> dict[str, Any]:
    projection = request.get("ProjectionExpression")
    if projection is None:
        return row
    names = {request["ExpressionAttributeNames"][name.strip()] for name in projection.split(",")}
    return {name: value for name, value in row.items() if name in names}
