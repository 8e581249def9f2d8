"""Every limit of the platform: the last size that passes, and the first that does not."""

import json
import socket
import time

import pytest

from local import limits
from tests.local import wire
from tests.local.conftest import FUNCTION_SECONDS

NOT_FOUND = b'{"message":"Not Found"}'
TOO_LARGE = b'{"message":"Request Entity Too Large"}'
FAILED = b'{"message":"Internal Server Error"}'


def test_numbers_are_those_of_the_platform():
    assert limits.GATEWAY_BODY_BYTES == 10_485_760
    assert limits.GATEWAY_HEAD_BYTES == 10_240
    assert limits.GATEWAY_SECONDS == 30
    assert limits.FUNCTION_PAYLOAD_BYTES == 6_291_456


@pytest.mark.parametrize(
    ("size", "status", "body"),
    [
        (limits.GATEWAY_HEAD_BYTES, 200, None),
        (limits.GATEWAY_HEAD_BYTES + 1, 431, b'{"message":"Request Header Fields Too Large"}'),
    ],
)
@pytest.mark.parametrize("where", ["header", "path"])
def test_request_line_and_headers_are_limited(toy, where, size, status, body):
    before, after = {
        "header": ("GET /echo HTTP/1.1\r\nHost: here\r\nX-Pad: ", ""),
        "path": ("GET /echo?", " HTTP/1.1\r\nHost: here"),
    }[where]
    rest = len(f"{before}{after}\r\nConnection: close\r\n")
    answer = wire.exchange(toy, f"{before}{'x' * (size - rest)}{after}")
    assert answer.status == status
    assert body is None or answer.body == body


# Nothing is routed here, so a body that the gateway takes is told from one that it does not.
@pytest.mark.parametrize(
    ("size", "status", "body"),
    [
        (limits.GATEWAY_BODY_BYTES, 404, NOT_FOUND),
        (limits.GATEWAY_BODY_BYTES + 1, 413, TOO_LARGE),
    ],
)
def test_request_body_of_known_length_is_limited(toy, size, status, body):
    answer = wire.exchange(toy, f"PUT / HTTP/1.1\r\nHost: here\r\nContent-Length: {size}", bytes(size))
    assert (answer.status, answer.body) == (status, body)


@pytest.mark.parametrize(
    ("size", "status", "body"),
    [
        (limits.GATEWAY_BODY_BYTES, 404, NOT_FOUND),
        (limits.GATEWAY_BODY_BYTES + 1, 413, TOO_LARGE),
    ],
)
def test_request_body_of_unknown_length_is_limited(toy, size, status, body):
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (size, bytes(size))
    answer = wire.exchange(toy, "PATCH / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked", chunks)
    assert (answer.status, answer.body) == (status, body)


def test_request_body_that_is_announced_too_large_is_refused_unread(toy):
    size = limits.GATEWAY_BODY_BYTES + 1
    with wire.connect(toy.host, toy.port) as connection:
        connection.sendall(f"PUT / HTTP/1.1\r\nHost: here\r\nContent-Length: {size}\r\n\r\n".encode())
        answer = wire.answer(connection)
    assert (answer.status, answer.body) == (413, TOO_LARGE)


def test_event_of_a_function_is_limited(toy):
    def measure(size):
        head = f"PUT /measure HTTP/1.1\r\nHost: here\r\nContent-Type: text/plain\r\nContent-Length: {size}"
        return wire.exchange(toy, head, b"x" * size)

    sample = 6_000_000
    largest = sample + limits.FUNCTION_PAYLOAD_BYTES - json.loads(measure(sample).body)["size"]
    answer = measure(largest)
    assert answer.status == 200
    assert json.loads(answer.body)["size"] == limits.FUNCTION_PAYLOAD_BYTES
    refused = measure(largest + 1)
    assert (refused.status, refused.body) == (413, TOO_LARGE)


def test_binary_body_reaches_its_limit_a_quarter_earlier(toy):
    def put(size):
        head = f"PUT /measure HTTP/1.1\r\nHost: here\r\nContent-Length: {size}"
        return wire.exchange(toy, head, bytes(size)).status

    assert put(4_500_000) == 200
    assert put(limits.FUNCTION_PAYLOAD_BYTES * 3 // 4) == 413


def test_answer_of_a_function_is_limited(toy):
    limit = limits.FUNCTION_PAYLOAD_BYTES
    answer = wire.exchange(toy, f"GET /sized?n={limit} HTTP/1.1\r\nHost: here")
    assert answer.status == 200
    assert len(answer.body) > limit - 200
    refused = wire.exchange(toy, f"GET /sized?n={limit + 1} HTTP/1.1\r\nHost: here")
    assert (refused.status, refused.body) == (500, FAILED)


def test_gateway_stops_waiting_for_a_function_that_goes_on(toy):
    # One second at this route, more for the function.
    answer = wire.exchange(toy, "GET /sleep?s=1.31 HTTP/1.1\r\nHost: here")
    assert (answer.status, answer.body) == (503, b'{"message":"Service Unavailable"}')
    deadline = time.monotonic() + 10
    while "slept 1.31" not in toy.log.read_text("utf-8"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_function_that_takes_too_long_is_stopped(toy):
    before = toy.log.read_bytes() if toy.log.exists() else b""
    answer = wire.exchange(
        toy, f"POST /sleep?s={FUNCTION_SECONDS + 3} HTTP/1.1\r\nHost: here\r\nContent-Length: 0"
    )
    assert (answer.status, answer.body) == (500, FAILED)
    assert wire.exchange(toy, "GET /echo HTTP/1.1\r\nHost: here").status == 200
    assert b"Traceback" not in toy.log.read_bytes()[len(before) :]


@pytest.mark.parametrize(
    "framing", ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
def test_request_that_breaks_off_never_reaches_the_function(toy, framing):
    with wire.connect(toy.host, toy.port) as connection:
        connection.sendall(f"PATCH /note?broken HTTP/1.1\r\nHost: here\r\n{framing}".encode())
    assert (
        wire.exchange(toy, "PATCH /note?whole HTTP/1.1\r\nHost: here\r\nContent-Length: 4", b"half").status
        == 200
    )
    printed = toy.log.read_text("utf-8")
    assert "noted whole" in printed
    assert "noted broken" not in printed


@pytest.mark.parametrize("way", ["crash", "leave", "failure"])
def test_function_that_fails_is_an_error_and_the_next_request_is_served(toy, way):
    for _ in range(4):
        answer = wire.exchange(toy, f"GET /{way} HTTP/1.1\r\nHost: here")
        assert (answer.status, answer.body) == (500, FAILED)
        assert answer.headers["content-type"] == "application/json"
    assert wire.exchange(toy, "GET /echo HTTP/1.1\r\nHost: here").status == 200


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": "many"},
        {"statusCode": 99},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"a": {"b": "c"}}},
        {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
        {"statusCode": 200, "headers": {"a": "\u4e16"}},
        {"statusCode": 200, "headers": {"a b": "c"}},
        {"statusCode": 200, "headers": {"": "c"}},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": "***", "isBase64Encoded": True},
    ],
    ids=str,
)
def test_answer_that_is_no_response_is_an_error(toy, answer):
    body = json.dumps(answer).encode()
    head = (
        f"POST /raw HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    refused = wire.exchange(toy, head, body)
    assert (refused.status, refused.body) == (500, FAILED)


def test_path_without_a_route_is_not_found(toy):
    answer = wire.exchange(toy, "GET / HTTP/1.1\r\nHost: here")
    assert (answer.status, answer.body) == (404, NOT_FOUND)


def test_head_has_the_length_that_the_function_gave_and_no_body(toy):
    answer = wire.exchange(toy, "HEAD /head HTTP/1.1\r\nHost: here")
    assert answer.status == 200
    assert answer.headers["content-length"] == "12345"
    assert answer.headers["x-kind"] == "blob"
    assert answer.body == b""
    assert wire.exchange(toy, "GET /head HTTP/1.1\r\nHost: here").headers["content-length"] == "0"


def test_head_without_a_length_from_the_function_has_that_of_the_body(toy):
    answer = wire.exchange(toy, "HEAD /binary HTTP/1.1\r\nHost: here")
    assert (answer.headers["content-length"], answer.body) == ("256", b"")


def test_tls_hello_is_answered_in_plain_http(toy):
    hello = bytes.fromhex("160301007a0100007603034f") + bytes(100)
    with wire.connect(toy.host, toy.port) as connection:
        connection.sendall(hello)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_port_is_open_on_the_loopback_interface_alone(toy):
    with socket.socket() as probe:
        # Binding another loopback address to the port would fail if it were open on all interfaces.
        probe.bind(("127.0.0.2", toy.port))
