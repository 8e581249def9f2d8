"""The events of an HTTP API, as a function gets them."""

import base64
import json
import re

import pytest

from local.front_door import FrontDoor
from local.http_api import Request, Response, Route, choose
from tests.local import wire

KEYS = (
    "$default",
    "ANY /v2",
    "ANY /v2/{proxy+}",
    "GET /v2/{proxy+}",
    "GET /a/{id}",
    "GET /a/b",
    "ANY /a/{x}/c",
)


@pytest.mark.parametrize(
    ("method", "target", "key", "parameters"),
    [
        ("GET", "/v2", "ANY /v2", {}),
        ("GET", "/v2/", "$default", {}),
        ("GET", "/", "$default", {}),
        ("PUT", "/v2/a/b%2Fc", "ANY /v2/{proxy+}", {"proxy": "a/b/c"}),
        ("GET", "/v2/a?b=c", "GET /v2/{proxy+}", {"proxy": "a"}),
        ("GET", "/v2/a%0Ab", "GET /v2/{proxy+}", {"proxy": "a\nb"}),
        ("GET", "/a/b", "GET /a/b", {}),
        ("GET", "/a/bc", "GET /a/{id}", {"id": "bc"}),
        ("PUT", "/a/b", "$default", {}),
        ("GET", "/a/b/c", "ANY /a/{x}/c", {"x": "b"}),
        ("GET", "/v2x", "$default", {}),
    ],
)
def test_most_specific_route_is_taken(method, target, key, parameters):
    request = Request(method, target, "HTTP/1.1", [], b"", "127.0.0.1", 5000, "id")
    chosen = choose([Route(key, "arn", 30) for key in KEYS], request)
    assert chosen is not None
    assert (chosen[0].key, chosen[1]) == (key, parameters)


def test_no_route_is_taken_without_a_match():
    request = Request("PUT", "/b", "HTTP/1.1", [], b"", "127.0.0.1", 5000, "id")
    assert choose([Route("GET /b", "arn", 30), Route("ANY /b/{c+}", "arn", 30)], request) is None


def echo(toy, head, body=b""):
    answer = wire.exchange(toy, head, body)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def test_event_is_that_of_payload_format_2(toy):
    event = echo(
        toy,
        "GET /echo?a=1&a=2&b=%2F&c HTTP/1.1\r\nHost: registry.example:5000\r\nUser-Agent: test/1\r\n"
        "Accept: x/y\r\nACCEPT: z/w\r\nCookie: k=v; l=w\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https",
    )
    context = event.pop("requestContext")
    trace = event["headers"].pop("x-amzn-trace-id")
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", trace)
    assert event == {
        "version": "2.0",
        "routeKey": "ANY /{action}",
        "rawPath": "/echo",
        "rawQueryString": "a=1&a=2&b=%2F&c",
        "cookies": ["k=v", "l=w"],
        "headers": {
            "accept": "x/y,z/w",
            "content-length": "0",
            "host": "registry.example:5000",
            "user-agent": "test/1",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-port": str(toy.port),
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"a": "1,2", "b": "/", "c": ""},
        "pathParameters": {"action": "echo"},
        "isBase64Encoded": False,
    }
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context.pop("time"))
    assert isinstance(context.pop("timeEpoch"), int)
    assert len(context.pop("requestId")) == 36
    assert context == {
        "accountId": "000000000000",
        "apiId": "abc123",
        "domainName": "registry.example",
        "domainPrefix": "registry",
        "http": {
            "method": "GET",
            "path": "/echo",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": "test/1",
        },
        "routeKey": "ANY /{action}",
        "stage": "$default",
    }


@pytest.mark.parametrize(
    ("headers", "body", "encoded"),
    [
        ("Content-Type: application/json", b'{"a": "\xc3\xa9"}', False),
        ("Content-Type: Text/Plain; charset=utf-8", b"text", False),
        ("Content-Type: application/octet-stream", b"text", True),
        ("Content-Type: application/vnd.oci.image.manifest.v1+json", b"{}", True),
        ("Content-Type: application/x-www-form-urlencoded", b"a=b", True),
        ("Content-Type: text/plain\r\nContent-Encoding: gzip", b"text", True),
        ("Content-Type: text/plain", b"\xff\x00", True),
        ("X-Kind: none", b"text", True),
    ],
)
def test_body_is_text_or_base64_by_its_type(toy, headers, body, encoded):
    head = f"PUT /echo HTTP/1.1\r\nHost: here\r\n{headers}\r\nContent-Length: {len(body)}"
    event = echo(toy, head, body)
    assert event["isBase64Encoded"] is encoded
    got = base64.b64decode(event["body"], validate=True) if encoded else event["body"].encode()
    assert got == body
    assert event["headers"]["content-length"] == str(len(body))


def test_body_of_unknown_length_arrives_whole_and_with_a_length(toy):
    head = "PATCH /echo HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked"
    event = echo(toy, head, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert base64.b64decode(event["body"]) == b"abcde"
    assert event["headers"]["content-length"] == "5"
    assert "transfer-encoding" not in event["headers"]


def test_request_without_a_body_gets_a_type_as_the_gateway_adds_one(toy):
    event = echo(toy, "POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 0")
    assert event["headers"]["content-type"] == "application/octet-stream"
    assert "body" not in event
    given = echo(toy, "POST /echo HTTP/1.1\r\nHost: here\r\nContent-Type: a/b\r\nContent-Length: 0")
    assert given["headers"]["content-type"] == "a/b"
    assert "content-type" not in echo(toy, "GET /echo HTTP/1.1\r\nHost: here")["headers"]


def test_path_arrives_decoded_and_the_query_as_it_was(toy):
    event = echo(toy, "GET /%65cho?d=sha256%3Aab%20c HTTP/1.1\r\nHost: here")
    assert event["rawPath"] == "/echo"
    assert event["rawQueryString"] == "d=sha256%3Aab%20c"
    assert event["queryStringParameters"] == {"d": "sha256:ab c"}


def test_escaped_question_mark_ends_the_path(toy):
    assert echo(toy, "GET /echo%3Fhidden=1 HTTP/1.1\r\nHost: here")["rawPath"] == "/echo"


@pytest.mark.parametrize("target", ["/echo?%00=%ff", "/echo?=&&=", "/echo?%zz=%"])
def test_ugly_query_is_passed_on(toy, target):
    assert echo(toy, f"GET {target} HTTP/1.1\r\nHost: here")["rawQueryString"] == target.partition("?")[2]


def raw(toy, answer, method="POST"):
    body = json.dumps(answer).encode()
    head = f"{method} /raw HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return wire.exchange(toy, head, body)


def test_response_has_status_headers_cookies_and_body(toy):
    answer = raw(
        toy,
        {
            "statusCode": "201",
            "headers": {
                "Location": "/a",
                "X-Number": 5,
                "X-Flag": True,
                "Connection": "upgrade",
                "Content-Length": "9",
            },
            "cookies": ["a=b"],
            "body": "\u00e9",
        },
    )
    assert answer.status == 201
    assert answer.body == "\u00e9".encode()
    kept = {
        name: answer.headers[name]
        for name in ("location", "x-number", "x-flag", "set-cookie", "content-length")
    }
    assert kept == {
        "location": "/a",
        "x-number": "5",
        "x-flag": "true",
        "set-cookie": "a=b",
        "content-length": "2",
    }
    assert answer.headers["connection"] == "close"
    assert answer.headers["apigw-requestid"]


def test_binary_response_is_decoded(toy):
    assert wire.exchange(toy, "GET /binary HTTP/1.1\r\nHost: here").body == bytes(range(256))


@pytest.mark.parametrize("value", ["text", {"a": 1}, [1], 5, None])
def test_answer_without_a_status_is_the_body_of_a_200(toy, value):
    answer = raw(toy, value)
    assert (answer.status, json.loads(answer.body)) == (200, value)


@pytest.mark.parametrize(
    ("host", "to", "location"),
    [
        ("127.0.0.1", "127.0.0.1:39999", "localhost:39999"),
        ("127.0.0.1:5000", "127.0.0.1:39999", "localhost:39999"),
        ("localhost:5000", "127.0.0.1:39999", "127.0.0.1:39999"),
        ("LOCALHOST", "127.0.0.1:39999", "127.0.0.1:39999"),
        ("registry.example", "127.0.0.1:39999", "127.0.0.1:39999"),
        ("[", "127.0.0.1:39999", "127.0.0.1:39999"),
        ("[::1]:5000", "127.0.0.1:39999", "127.0.0.1:39999"),
        ("127.0.0.1:", "127.0.0.1:39999", "localhost:39999"),
        # Redirects to anywhere else are the function's own.
        ("127.0.0.1:5000", "127.0.0.1:5000", "127.0.0.1:5000"),
        ("127.0.0.1:5000", "127.0.0.1:399991", "127.0.0.1:399991"),
    ],
)
def test_redirect_to_storage_changes_the_host_name_only_when_it_is_the_same(toy, host, to, location):
    answer = wire.exchange(toy, f"GET /away?to={to} HTTP/1.1\r\nHost: {host}")
    assert answer.headers["location"] == f"http://{location}/bucket/key?X-Amz-Signature=1"


@pytest.mark.parametrize(
    ("named", "sent_to"), [("127.0.0.1:5000", "localhost"), ("localhost:5000", "127.0.0.1")]
)
def test_behind_cloudfront_the_host_that_the_client_named_decides(named, sent_to):
    door = FrontDoor([], {}, {}, "127.0.0.1:39999", host_header="x-moorage-host")
    headers = [("host", "127.0.0.1"), ("x-moorage-host", named)]
    asked = Request("GET", "/", "HTTP/1.1", headers, b"", "127.0.0.1", 1, "id")
    answer = Response(307, [("location", "http://127.0.0.1:39999/b/k")], b"")
    assert door._away_from_here(asked, answer).headers == [("location", f"http://{sent_to}:39999/b/k")]
