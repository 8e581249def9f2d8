"""CloudFront's rules, with a toy distribution and origins that tell what they were asked."""

import json
import socket
import time
from contextlib import closing
from dataclasses import dataclass

import pytest

from local import limits, ports
from local.cloudfront import CloudFront
from local.distribution import Behavior, Caching, Distribution, Forwarding, Origin
from local.edge import EdgeFunction
from local.edge_cache import EdgeCache
from local.s3_origin import S3Origin
from tests.local import wire
from tests.local.origin import BODY, SIZES, FakeOrigin

ALL = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"})
READ = frozenset({"GET", "HEAD"})
EVERYTHING = Forwarding(headers=None, query=True, cookies=True)
READ_SECONDS = 1.0

FUNCTIONS = {
    "answers": "return {statusCode: 418, statusDescription: 'Teapot', headers: {'x-a': {value: 'b'}}, body: 'no'}",
    "rewrites": "e.request.uri = '/new'; e.request.querystring = {a: {value: 'b'}}; "
    "e.request.headers['x-set'] = {value: 's'}; delete e.request.headers['x-drop']; e.request.cookies = {}; "
    "return e.request",
    "cookies": "e.request.cookies.more = {value: '1'}; return e.request",
    "shows": "return {statusCode: 200, headers: {}, body: JSON.stringify([e, e.request.rawQueryString()])}",
    "throws": "throw new Error('no')",
    "rejects": "return Promise.reject('no')",
    "hangs": "return new Promise(function () {})",
    "nothing": "return undefined",
    "method": "e.request.method = 'POST'; return e.request",
    "host": "e.request.headers.host = {value: 'other'}; return e.request",
    "length": "e.request.headers['content-length'] = {value: '3'}; return e.request",
    "via": "e.request.headers.via = {value: 'me'}; return e.request",
    "encoding": "e.request.headers['transfer-encoding'] = {value: 'chunked'}; return e.request",
    "connection": "e.request.headers.connection = {value: 'close'}; return e.request",
    "edge": "e.request.headers['x-edge-a'] = {value: 'a'}; return e.request",
    "upper": "e.request.headers['X-Upper'] = {value: 'a'}; return e.request",
    "line": "e.request.headers['x-a'] = {value: 'a\\r\\nb: c'}; return e.request",
    "space": "e.request.uri = '/a b'; return e.request",
    "relative": "e.request.uri = 'a'; return e.request",
    "number": "return {statusCode: 99, headers: {}}",
    "moves": "if (e.request.headers['x-no']) { return {statusCode: 403, headers: {}}; } "
    "e.request.uri = '/kept' + e.request.uri.slice(6, 8); return e.request",
    "huge": "return {statusCode: 200, headers: {}, body: 'x'.repeat(50000)}",
}
ANSWER_FUNCTIONS = {
    "created": "e.response.statusCode = 201; e.response.statusDescription = 'Made'; "
    "e.response.headers['x-uri'] = {value: e.request.uri}; delete e.response.headers['x-own']; return e.response",
    "fails": "throw new Error('no')",
    "shortens": "e.response.headers['content-length'] = {value: '1'}; return e.response",
    "warns": "e.response.headers.warning = {value: '1'}; return e.response",
    "dresses": "e.response.headers['x-dress'] = {value: String(e.response.statusCode)}; return e.response",
    "speaks": "e.response.body = 'b'; return e.response",
}


@dataclass(frozen=True)
class Toy:
    host: str
    port: int
    origin: FakeOrigin
    listener: object

    def __call__(self, line, *headers, body=b""):
        head = "\r\n".join([f"{line} HTTP/1.1", "Host: viewer.example", *headers])
        if body:
            head += f"\r\nContent-Length: {len(body)}"
        return wire.exchange(self, head, body)

    def asked(self, line, *headers, body=b""):
        """What the origin was asked."""
        answer = self(line, *headers, body=body)
        assert answer.status == 200, answer
        told = json.loads(answer.body)
        pairs = [tuple(pair) for pair in told["headers"]]
        assert len(dict(pairs)) == len(pairs)
        return told | {"headers": dict(pairs)}


def behavior(pattern, origin, methods=ALL, forwarding=EVERYTHING, caching=None, **functions):
    named = {name.replace("_", "-"): arn for name, arn in functions.items()}
    return Behavior(pattern, origin, methods, forwarding, named, caching)


@pytest.fixture(scope="module")
def toy(background, tmp_path_factory):
    origin = FakeOrigin()
    port = background.run(origin.start())
    custom = (("x-secret", "s"),)
    api = Origin("api.example", "", None, custom, READ_SECONDS)
    bucket = Origin("b.s3.example", "/under", "b", custom, READ_SECONDS)
    listed = Forwarding(headers=frozenset({"x-amz-checksum-sha256", "x-listed"}))
    behaviors = [
        *(behavior(f"/{name}", api, viewer_request=name) for name in FUNCTIONS),
        *(behavior(f"/{name}/*", api, viewer_response=name) for name in ANSWER_FUNCTIONS),
        behavior("/a?c/*.x", api, READ),
        behavior("/a*", api, READ | {"OPTIONS"}),
        behavior("/s3/*", bucket, forwarding=listed),
        behavior("/bare/*", api, forwarding=Forwarding()),
        behavior("/cookies-only/*", api, forwarding=Forwarding(cookies=True)),
        behavior("/kept/*", api, READ, Forwarding(), Caching(("x-key",), 0, 60, 3600)),
        behavior("/briefly/*", api, READ, Forwarding(), Caching((), 0, 1, 3600)),
        behavior("/moved/*", api, READ, Forwarding(), Caching((), 0, 60, 3600), viewer_request="moves"),
        behavior("/dressed/*", api, READ, Forwarding(), Caching((), 0, 60, 3600), viewer_response="dresses"),
        behavior("*", api),
    ]
    code = {**FUNCTIONS, **ANSWER_FUNCTIONS}
    functions = {
        name: EdgeFunction(name, f"function handler(e) {{ {body}; }}") for name, body in code.items()
    }
    storage = S3Origin(f"127.0.0.1:{port}", "id", "secret", "us-east-1")
    with ports.listen(0) as listener:
        cache = EdgeCache(tmp_path_factory.mktemp("cache"), most_bytes=20_000_000)
        server = CloudFront(
            listener, Distribution(behaviors, {}), functions, api_port=port, storage=storage, cache=cache
        )
        background.run(server.start())
        yield Toy("127.0.0.1", ports.number(listener), origin, listener)
        background.run(server.close())
    background.run(origin.stop())


def page(answer, refusal):
    assert (answer.status, answer.body) == (refusal.status, refusal.body)
    assert answer.headers["content-type"] == "text/html"


# ------------------------------------------------------------------ behaviours


@pytest.mark.parametrize(
    ("path", "post"),
    [
        ("/abc/1.x", False),
        ("/abc/1/2.x", False),
        ("/ac/1.x", True),
        ("/abbc/1.x", True),
        ("/Abc/1.x", None),
        ("/", None),
        ("/b/../abc/1.x", False),
        ("/./abc/./1.x", False),
        ("/%61bc/1.x", False),
        ("/abc/1.x?y", False),
        ("/b?/abc/1.x", None),
    ],
)
def test_first_pattern_that_matches_is_taken(toy, path, post):
    # The first pattern takes GET, the second OPTIONS too, the last everything.
    statuses = {method: toy(f"{method} {path}").status for method in ("GET", "OPTIONS", "POST")}
    expected = {None: (200, 200, 200), True: (200, 200, 403), False: (200, 403, 403)}[post]
    assert tuple(statuses.values()) == expected


def test_method_that_is_not_allowed_is_refused(toy):
    page(toy("POST /abc"), limits.CDN_METHOD)
    page(toy("PUT /abc", body=b"body"), limits.CDN_METHOD)
    page(toy("TRACE /"), limits.CDN_METHOD)


def test_get_with_a_body_is_refused(toy):
    page(toy("GET /", body=b"body"), limits.CDN_BODY_OF_GET)


@pytest.mark.parametrize(("more", "refused"), [(0, False), (1, True)])
def test_request_head_is_limited(toy, more, refused):
    fixed = len("GET / HTTP/1.1\r\nHost: viewer.example\r\nX-Pad: \r\nConnection: close\r\n\r\n")
    answer = toy("GET /", f"X-Pad: {'x' * (limits.CDN_HEAD_BYTES - fixed + more)}")
    assert answer.status == (413 if refused else 200)


@pytest.mark.parametrize(("more", "refused"), [(0, False), (1, True)])
def test_url_is_limited(toy, more, refused):
    fixed = len("https://viewer.example/?")
    answer = toy(f"GET /?{'x' * (limits.CDN_URL_BYTES - fixed + more)}")
    assert answer.status == (413 if refused else 200)


# ------------------------------------------------------------------ what the origin gets to see


def test_api_gets_everything_under_its_own_name(toy):
    told = toy.asked(
        "POST /%41/b%20c?x=%2f&y", "X-Own: 1", "Cookie: c=1", "Authorization: Bearer t", body=b"content"
    )
    assert (told["method"], told["target"], told["body"]) == ("POST", "/%41/b%20c?x=%2f&y", 7)
    headers = told["headers"]
    assert headers["host"] == "api.example"
    assert headers["x-own"] == "1"
    assert headers["cookie"] == "c=1"
    assert headers["authorization"] == "Bearer t"
    assert headers["user-agent"] == "Amazon CloudFront"
    assert headers["via"].endswith("(CloudFront)")
    assert headers["x-amz-cf-id"]


def test_header_of_the_origin_overwrites_the_clients(toy):
    assert toy.asked("GET /", "X-Secret: guess")["headers"]["x-secret"] == "s"


@pytest.mark.parametrize(
    ("target", "path"), [("http://other.example/b?x=1", "/b"), ("http://other.example", "/")]
)
def test_client_that_takes_it_for_a_proxy_names_the_host_in_the_target(toy, target, path):
    assert toy.asked(f"POST {target}")["target"].partition("?")[0] == path
    shown, _ = json.loads(toy(f"GET {target.partition('?')[0].rstrip('b').rstrip('/')}/shows").body)
    assert shown["request"]["headers"]["host"] == {"value": "other.example"}


def test_headers_of_the_connection_stay_here(toy):
    headers = toy.asked("GET /", "Keep-Alive: 5", "TE: trailers", "Upgrade: h2c", "Proxy-Connection: a")[
        "headers"
    ]
    assert not headers.keys() & {"keep-alive", "te", "upgrade", "proxy-connection", "expect"}


def test_without_a_policy_only_what_belongs_to_the_body_passes(toy):
    told = toy.asked(
        "PUT /bare/x?q=1", "X-Own: 1", "Cookie: c=1", "User-Agent: me", "Content-Type: a/b", body=b"12"
    )
    assert told["target"] == "/bare/x"
    assert told["headers"].keys() == {
        *("content-type", "content-length", "host", "user-agent", "via", "x-amz-cf-id"),
        *("x-forwarded-for", "x-secret", "connection"),
    }
    assert told["headers"]["user-agent"] == "Amazon CloudFront"


def test_cookies_pass_by_the_policy(toy):
    assert toy.asked("GET /cookies-only/x", "Cookie: c=1")["headers"]["cookie"] == "c=1"


def test_chunks_pass_as_chunks(toy):
    head = "PATCH / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked"
    answer = wire.exchange(toy, head, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert json.loads(answer.body)["body"] == 5


# ------------------------------------------------------------------ S3


def test_bucket_gets_signed_requests(toy):
    told = toy.asked(
        "PUT /s3/a/b?digest=x",
        "X-Amz-Checksum-Sha256: c",
        "X-Amz-Acl: public-read",
        "X-Listed: l",
        "Authorization: Bearer t",
        body=b"12345",
    )
    headers = told["headers"]
    assert told["target"] == "/b/under/s3/a/b"
    assert told["body"] == 5
    assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert headers["x-amz-checksum-sha256"] == "c"
    assert headers["x-listed"] == "l"
    assert "x-amz-acl" not in headers
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=id/")
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert set(signed) == {"host", *(name for name in headers if name.startswith("x-amz-"))}


def test_bucket_refuses_a_body_without_a_length(toy):
    answer = wire.exchange(toy, "PUT /s3/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked", b"0\r\n\r\n")
    assert answer.status == 411
    assert b"<Code>MissingContentLength</Code>" in answer.body


def test_bucket_refuses_a_body_of_more_than_five_gigabytes(toy):
    with wire.connect(toy.host, toy.port) as connection:
        size = limits.OBJECT_BYTES + 1
        connection.sendall(f"PUT /s3/x HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n".encode())
        answer = wire.answer(connection)
    assert answer.status == 400
    assert b"<Code>EntityTooLarge</Code>" in answer.body


# ------------------------------------------------------------------ the cache


def origin_asked(toy, *lines, headers=()):
    """What the origin was asked for these requests, and where the answers came from."""
    before = len(toy.origin.paths)
    found = [toy(line, *headers).headers["x-cache"].partition(" ")[0] for line in lines]
    return toy.origin.paths[before:], found


def test_answer_is_kept_and_given_again_with_its_age(toy):
    first = toy("GET /kept/1?x", "X-Other: 1")
    assert "age" not in first.headers
    paths, found = origin_asked(toy, "GET /kept/1?y")
    assert (paths, found) == ([], ["Hit"])
    again = toy("GET /kept/1", "Authorization: Bearer other")
    assert again.body == first.body
    assert again.headers["x-own"] == "o"
    assert again.headers["content-length"] == first.headers["content-length"]
    assert 0 <= int(again.headers["age"]) < 30


def test_answers_are_told_apart_by_path_and_listed_headers_alone(toy):
    assert origin_asked(toy, "GET /kept/2", "GET /kept/2/", "GET /kept/%32") == (
        ["/kept/2", "/kept/2/", "/kept/%32"],
        ["Miss"] * 3,
    )
    for value in ("a", "b"):
        paths, found = origin_asked(toy, "GET /kept/2", "GET /kept/2", headers=(f"X-Key: {value}",))
        assert (paths, found) == (["/kept/2"], ["Miss", "Hit"])


def test_answer_is_kept_under_the_path_that_the_function_left(toy):
    assert origin_asked(toy, "GET /moved/3/by/one", "GET /moved/3/by/another") == (
        ["/kept/3"],
        ["Miss", "Hit"],
    )


def test_what_the_function_refuses_is_not_looked_for_in_the_cache(toy):
    toy("GET /moved/3/x")
    refused = toy("GET /moved/3/x", "X-No: 1")
    assert (refused.status, refused.headers["x-cache"]) == (403, "FunctionGeneratedResponse from cloudfront")


def test_other_behaviours_keep_nothing_and_find_nothing(toy):
    assert origin_asked(toy, "GET /x4", "GET /x4", "GET /answers") == (
        ["/x4", "/x4"],
        ["Miss", "Miss", "FunctionGeneratedResponse"],
    )
    with_body = toy("POST /kept/4", body=b"12")
    page(with_body, limits.CDN_METHOD)
    assert with_body.headers["x-cache"] == "Error from cloudfront"


@pytest.mark.parametrize("status", [204, 302, 400, 403, 404, 500, 503])
def test_no_other_answer_than_a_whole_200_is_kept(toy, status):
    path = f"/kept/5/{status}"
    paths, found = origin_asked(toy, f"GET {path}", f"GET {path}")
    assert paths == [path, path]
    assert found == ["Error" if status >= 400 else "Miss"] * 2


@pytest.mark.parametrize("name", ["chunked", "rest", "half", "private", "no-store", "no-cache", "max-age=0"])
def test_answer_of_unknown_length_or_that_must_not_be_kept_is_not(toy, name):
    before = len(toy.origin.paths)
    for _ in range(2):
        with wire.connect(toy.host, toy.port) as connection, connection.makefile("rb") as stream:
            connection.sendall(
                f"GET /kept/6/{name} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
            )
            assert b"x-cache: Miss" in stream.read()
    assert len(toy.origin.paths) == before + 2


def test_client_that_goes_away_leaves_nothing_half_kept(toy):
    with closing(wire.connect(toy.host, toy.port)) as connection:
        connection.sendall(b"GET /kept/7/huge HTTP/1.1\r\nHost: h\r\n\r\n")
        connection.recv(10)
    assert origin_asked(toy, "GET /kept/7/huge")[1] == ["Miss"]


def test_larger_answer_than_the_cache_passes_by(toy):
    assert origin_asked(toy, "GET /kept/8/larger", "GET /kept/8/larger")[1] == ["Miss", "Miss"]
    assert len(toy("GET /kept/8/larger").body) == SIZES["larger"]


def test_answer_is_forgotten_when_its_time_is_over(toy):
    assert origin_asked(toy, "GET /briefly/9", "GET /briefly/9")[1] == ["Miss", "Hit"]
    time.sleep(1.1)
    assert origin_asked(toy, "GET /briefly/9")[1] == ["Miss"]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("0-0", 0, 1), ("2-5", 2, 6), ("3-", 3, None), ("-4", -4, None), ("0-", 0, None), ("5-999999", 5, None)],
)
def test_range_is_cut_out_of_what_is_kept(toy, asked, start, end):
    whole = toy("GET /kept/10").body
    for method in ("GET", "HEAD"):
        answer = toy(f"{method} /kept/10", f"Range: bytes={asked}")
        first, last, _ = slice(start, end).indices(len(whole))
        assert answer.status == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last - 1}/{len(whole)}"
        assert int(answer.headers["content-length"]) == last - first
        assert answer.headers["x-cache"] == "Hit from cloudfront"
        assert answer.body == (whole[start:end] if method == "GET" else b"")


@pytest.mark.parametrize(
    "header",
    [
        *(
            "Range: bytes=0-1,3-4",
            "Range: bytes=5-2",
            "Range: bytes=999999-",
            "Range: bytes=-",
            "Range: bytes=-0",
        ),
        *("Range: lines=1-2", "If-None-Match: *", "If-Modified-Since: x", 'If-Range: "e"', "If-Match: *"),
    ],
)
def test_origin_answers_what_only_it_can_answer(toy, header):
    toy("GET /kept/11")
    told = toy.asked("GET /kept/11", header)
    name, _, value = header.lower().partition(": ")
    assert told["headers"][name] == value


def test_range_of_what_is_not_kept_goes_to_the_origin(toy):
    told = toy.asked("GET /kept/12", "Range: bytes=1-2")
    assert told["headers"]["range"] == "bytes=1-2"
    assert toy("GET /kept/12/206", "Range: bytes=1-2").headers["x-cache"] == "Miss from cloudfront"
    assert origin_asked(toy, "GET /kept/12/206")[1] == ["Miss"]


def test_head_is_answered_from_what_is_kept_and_keeps_nothing(toy):
    assert origin_asked(toy, "HEAD /kept/13", "HEAD /kept/13", "GET /kept/13", "HEAD /kept/13")[1] == [
        *("Miss", "Miss", "Miss", "Hit")
    ]
    answer = toy("HEAD /kept/13")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) == len(toy("GET /kept/13").body)


def test_function_changes_each_answer_out_of_the_cache(toy):
    for headers, dress in (((), "200"), ((), "200"), (("Range: bytes=0-0",), "206")):
        assert toy("GET /dressed/14", *headers).headers["x-dress"] == dress


def test_connection_goes_on_after_an_answer_out_of_the_cache(toy):
    size = len(toy("GET /kept/15").body)
    with wire.connect(toy.host, toy.port) as connection, connection.makefile("rb") as stream:
        for line in ("GET /kept/15", "HEAD /kept/15", "GET /kept/15"):
            connection.sendall(f"{line} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            head = b"".join(iter(stream.readline, b"\r\n"))
            assert b"x-cache: Hit" in head
            assert len(stream.read(0 if line.startswith("HEAD") else size)) in (0, size)


# ------------------------------------------------------------------ functions


def test_function_answers_by_itself(toy):
    before = len(toy.origin.paths)
    answer = toy("GET /answers")
    assert (answer.status, answer.body, answer.headers["x-a"]) == (418, b"no", "b")
    assert len(toy.origin.paths) == before


def test_answer_of_a_function_to_head_has_no_body(toy):
    answer = toy("HEAD /answers")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (418, b"", "2")


def test_body_that_nobody_wanted_is_no_next_request(toy):
    smuggled = b"GET /shows HTTP/1.1\r\nHost: h\r\n\r\n"
    head = f"PUT /answers HTTP/1.1\r\nHost: h\r\nContent-Length: {len(smuggled)}\r\n\r\n"
    with wire.connect(toy.host, toy.port) as connection, connection.makefile("rb") as stream:
        connection.sendall(head.encode() + smuggled)
        connection.shutdown(socket.SHUT_WR)
        assert stream.read().count(b"HTTP/1.1 ") == 1


def test_answer_of_a_function_reaches_a_client_that_still_sends(toy):
    answer = toy("PUT /answers", body=bytes(20_000_000))
    assert (answer.status, answer.body) == (418, b"no")


def test_answer_of_a_function_comes_before_the_body_of_a_client_that_waits(toy):
    with wire.connect(toy.host, toy.port) as connection:
        connection.sendall(
            b"PUT /answers HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        )
        assert wire.answer(connection).status == 418


def test_client_that_waits_is_told_to_go_on(toy):
    with wire.connect(toy.host, toy.port) as connection:
        connection.sendall(b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        with connection.makefile("rb") as stream:
            assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
            assert stream.readline() == b"\r\n"
            connection.sendall(b"123456789")
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"


def test_function_rewrites_a_request(toy):
    told = toy.asked("PUT /rewrites?old=1", "X-Drop: 1", "Cookie: a=b", "X-Twice: 1", body=b"12")
    assert told["target"] == "/new?a=b"
    assert told["headers"]["x-set"] == "s"
    assert told["headers"]["x-twice"] == "1"
    assert not told["headers"].keys() & {"x-drop", "cookie"}
    assert told["body"] == 2


def test_function_adds_a_cookie(toy):
    assert toy.asked("GET /cookies", "Cookie: a=b; c=d")["headers"]["cookie"] == "a=b; c=d; more=1"


def test_function_is_shown_what_the_documents_say(toy):
    answer = toy(
        "GET /shows?a=1&b=%2F&a=2&c",
        *(
            "X-Upper: U",
            "X-Twice: 1",
            "x-twice: 2",
            "Cookie: k=v",
            "Keep-Alive: 5",
            "X-Forwarded-Proto: http",
        ),
    )
    event, raw = json.loads(answer.body)
    assert raw == "a=1&b=%2F&a=2&c"
    assert event["version"] == "1.0"
    assert event["context"]["eventType"] == "viewer-request"
    assert event["context"]["requestId"] == answer.headers["x-amz-cf-id"]
    assert event["viewer"] == {"ip": "127.0.0.1"}
    assert event["request"] == {
        "method": "GET",
        "uri": "/shows",
        "querystring": {
            "a": {"value": "1", "multiValue": [{"value": "1"}, {"value": "2"}]},
            "b": {"value": "%2F"},
            "c": {"value": ""},
        },
        "headers": {
            "host": {"value": "viewer.example"},
            "x-upper": {"value": "U"},
            "x-twice": {"value": "1", "multiValue": [{"value": "1"}, {"value": "2"}]},
        },
        "cookies": {"k": {"value": "v"}},
    }


@pytest.mark.parametrize(("target", "raw"), [("/shows", None), ("/shows?", "")])
def test_raw_query_is_undefined_without_a_question_mark(toy, target, raw):
    assert json.loads(toy(f"GET {target}").body)[1] == raw


@pytest.mark.parametrize("name", ["throws", "rejects", "hangs"])
def test_function_that_fails_is_a_503(toy, name):
    page(toy(f"GET /{name}"), limits.CDN_FUNCTION_FAILED)
    page(toy(f"PUT /{name}", body=bytes(5_000_000)), limits.CDN_FUNCTION_FAILED)


@pytest.mark.parametrize(
    "name",
    [
        *("nothing", "method", "host", "length", "via", "encoding", "connection", "edge", "upper"),
        *("line", "space", "relative", "number", "huge"),
    ],
)
def test_function_that_changes_what_it_must_not_is_a_502(toy, name):
    page(toy(f"GET /{name}"), limits.CDN_FUNCTION_INVALID)


def test_function_changes_a_response(toy):
    answer = toy("PUT /created/x?y", body=b"12")
    assert (answer.status, answer.headers["x-uri"]) == (201, "/created/x")
    assert "x-own" not in answer.headers
    assert json.loads(answer.body)["body"] == 2


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
def test_function_is_not_run_for_an_error(toy, status):
    for name in ("created", "fails"):
        answer = toy(f"PUT /{name}/{status}", body=b"12")
        assert answer.status == status
        assert answer.headers["x-own"] == "o"


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("fails", limits.CDN_FUNCTION_FAILED),
        ("shortens", limits.CDN_FUNCTION_INVALID),
        ("warns", limits.CDN_FUNCTION_INVALID),
        ("speaks", limits.CDN_FUNCTION_INVALID),
    ],
)
def test_response_that_a_function_spoils_is_an_error(toy, name, refusal):
    page(toy(f"GET /{name}/x"), refusal)


# ------------------------------------------------------------------ connections


def test_answer_names_cloudfront(toy):
    for answer in (toy("GET /"), toy("TRACE /"), toy("GET /answers")):
        assert answer.headers["via"].endswith("(CloudFront)")
        assert answer.headers["x-amz-cf-id"]


def test_one_connection_serves_many_requests(toy):
    with wire.connect(toy.host, toy.port) as connection, connection.makefile("rb") as stream:
        for line, status in (("GET /", 200), ("GET /answers", 418), ("HEAD /", 200), ("GET /chunked", 200)):
            connection.sendall(f"{line} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert int(stream.readline().split()[1]) == status
            headers = dict(
                pair.decode().strip().lower().split(": ", 1) for pair in iter(stream.readline, b"\r\n")
            )
            if line == "GET /chunked":
                assert stream.read(15) == b"5\r\nhello\r\n0\r\n\r\n"
            elif not line.startswith("HEAD"):
                stream.read(int(headers["content-length"]))
        connection.sendall(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab")
        assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
        assert json.loads(stream.read().rpartition(b"\r\n\r\n")[2])["body"] == 2


def test_answer_without_framing_ends_with_the_connection(toy):
    with wire.connect(toy.host, toy.port) as connection, connection.makefile("rb") as stream:
        connection.sendall(b"GET /rest HTTP/1.1\r\nHost: h\r\n\r\n")
        head, _, body = stream.read().partition(b"\r\n\r\n")
        assert b"connection: close" in head
        assert body == BODY


def test_head_has_no_body(toy):
    answer = toy("HEAD /")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / FTP\r\n\r\n",
        b"GET x HTTP/1.1\r\nno colon\r\n\r\n",
    ],
)
def test_nonsense_is_answered_in_http(toy, nonsense):
    with wire.connect(toy.host, toy.port) as connection:
        connection.sendall(nonsense)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            assert stream.read().startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_tls_handshake_is_answered_before_the_client_has_said_more(toy):
    with wire.connect(toy.host, toy.port) as connection:
        connection.sendall(b"\x16")
        assert connection.recv(9) == b"HTTP/1.1 "


def test_origin_that_refuses_early_is_heard_by_a_client_that_still_sends(toy):
    answer = toy("PUT /early", body=bytes(20_000_000))
    assert (answer.status, answer.body) == (400, b"early")


@pytest.mark.parametrize("path", ["/die", "/nonsense"])
@pytest.mark.parametrize("size", [0, 20_000_000])
def test_origin_that_dies_is_a_502(toy, path, size):
    page(toy(f"PUT {path}", body=bytes(size)), limits.CDN_ORIGIN_UNREACHABLE)


def test_origin_that_is_not_there_is_a_502(toy, background, tmp_path):
    (port,) = ports.free(1)
    origin = Origin("api.example", "", None, (), READ_SECONDS)
    with ports.listen(0) as listener:
        server = CloudFront(
            listener,
            Distribution([behavior("*", origin)], {}),
            {},
            api_port=port,
            storage=S3Origin("127.0.0.1:1", "", "", ""),
            cache=EdgeCache(tmp_path),
        )
        background.run(server.start())
        alone = Toy("127.0.0.1", ports.number(listener), toy.origin, listener)
        page(alone("GET /"), limits.CDN_ORIGIN_UNREACHABLE)
        page(alone("PUT /", body=bytes(5_000_000)), limits.CDN_ORIGIN_UNREACHABLE)
        background.run(server.close())


def test_origin_that_breaks_off_its_answer_breaks_off_the_clients(toy):
    with wire.connect(toy.host, toy.port) as connection, connection.makefile("rb") as stream:
        connection.sendall(b"GET /half HTTP/1.1\r\nHost: h\r\n\r\n")
        head, _, body = stream.read().partition(b"\r\n\r\n")
        assert b"content-length: 100" in head
        assert body == BODY


def test_origin_that_is_slow_is_a_504(toy):
    started = time.monotonic()
    page(toy("GET /slow"), limits.CDN_ORIGIN_TIMEOUT)
    assert READ_SECONDS <= time.monotonic() - started < 5


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_client_that_goes_away_ends_the_upload(toy, framing):
    before = toy.origin.broken_off
    with closing(wire.connect(toy.host, toy.port)) as connection:
        connection.sendall(f"PUT /x HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n1f4\r\n".encode())
    deadline = time.monotonic() + 5
    while toy.origin.broken_off == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_chunk_that_is_none_is_the_clients_mistake(toy):
    with wire.connect(toy.host, toy.port) as connection, connection.makefile("rb") as stream:
        connection.sendall(b"PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert stream.readline() == b"HTTP/1.1 400 Bad Request\r\n"


def test_upload_may_take_longer_than_an_answer(toy):
    with wire.connect(toy.host, toy.port) as connection:
        connection.sendall(b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n")
        for byte in (b"a", b"b", b"c"):
            time.sleep(READ_SECONDS * 0.5)
            connection.sendall(byte)
        assert wire.answer(connection).status == 200
