"""The HTTP client against a real server: retries, pages, refusals, foreign answers, and what it shows of itself."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest

from moorage_cli.api import Api, is_newer
from moorage_cli.endpoints import parse_endpoint
from moorage_cli.errors import (
    CliError,
    Conflict,
    Misused,
    NotAllowed,
    NotARegistry,
    NotFound,
    NotLoggedIn,
    Unreachable,
    VersionMismatch,
)
from tests.certificates import self_signed
from tests.cli.stand_in import Answer, StandIn, listed, refusal, resource
from tests.cli.terminal import KEY, Terminal
from tests.running_cloud import free_port

ORG = "/org/acme"
BUSY = refusal(503, "Unavailable", "try later", headers={"Retry-After": "2"})


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def traces() -> list[str]:
    return []


@pytest.fixture
def connect(waits):
    """Makes clients that note how long they would wait, and are closed."""
    made: list[Api] = []

    def make(endpoint: str, credential: str | None = KEY) -> Api:
        made.append(Api(endpoint, credential, sleep=waits.append))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def api(stand_in: StandIn, notes, traces):
    client = Api(stand_in.endpoint, KEY, note=notes.append, trace=traces.append, sleep=lambda _: None)
    yield client
    client.close()


def test_call_carries_the_key_and_gives_the_json(api: Api, stand_in: StandIn):
    stand_in.on("GET", ORG, {"kind": "org"})
    assert api.get(ORG) == {"kind": "org"}
    assert stand_in.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    assert stand_in.asked[0].headers["User-Agent"].startswith("moorage-cli/")


def test_call_without_a_key_is_not_even_sent(connect, stand_in: StandIn):
    with pytest.raises(NotLoggedIn, match="no key"):
        connect(stand_in.endpoint, None).get(ORG)
    assert stand_in.asked == []


def test_anonymous_call_carries_no_key(api: Api, stand_in: StandIn):
    stand_in.on("GET", "/discovery", {})
    api.get("/discovery", anonymous=True)
    assert "Authorization" not in stand_in.asked[0].headers


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_busy_registry_is_asked_again_after_the_seconds_that_it_says(
    connect, stand_in: StandIn, waits, method
):
    stand_in.on(method, ORG, BUSY, BUSY, Answer({"done": True}))
    assert connect(stand_in.endpoint).call(method, ORG) == {"done": True}
    assert waits == [2.0, 2.0]


def test_wait_that_nobody_would_sit_through_is_not_begun(connect, stand_in: StandIn, waits):
    stand_in.on("GET", ORG, refusal(429, "Throttled", "slow down", headers={"Retry-After": "3600"}))
    with pytest.raises(Unreachable, match="slow down"):
        connect(stand_in.endpoint).get(ORG)
    assert waits == []


def test_registry_that_stays_busy_is_given_up(api: Api, stand_in: StandIn):
    stand_in.on("GET", ORG, BUSY)
    with pytest.raises(Unreachable, match=r"try later \(request request-1\)"):
        api.get(ORG)
    assert len(stand_in.asked) == 4


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("answer", [BUSY, Answer(broken=True)])
def test_what_may_have_been_done_is_not_done_twice(api: Api, stand_in: StandIn, method, answer):
    stand_in.on(method, ORG, answer)
    with pytest.raises(Unreachable):
        api.call(method, ORG, {})
    assert len(stand_in.asked) == 1


def test_idempotency_key_lets_a_post_be_repeated(api: Api, stand_in: StandIn):
    stand_in.on("POST", ORG, Answer(broken=True), BUSY, {"kind": "job"})
    assert api.call("POST", ORG, {}, headers={"Idempotency-Key": "k"}) == {"kind": "job"}
    assert {each.headers["Idempotency-Key"] for each in stand_in.asked} == {"k"}


def test_throttled_post_was_not_begun_and_is_repeated(api: Api, stand_in: StandIn):
    stand_in.on("POST", ORG, refusal(429, "Throttled", "slow down"), {"kind": "job"})
    assert api.call("POST", ORG, {}) == {"kind": "job"}


def test_quota_that_is_used_up_is_not_asked_again(api: Api, stand_in: StandIn):
    stand_in.on("GET", ORG, refusal(429, "Throttled", "the quota of images is used up"))
    with pytest.raises(Unreachable, match="quota"):
        api.get(ORG)
    assert len(stand_in.asked) == 1


def test_connection_that_breaks_is_tried_again(api: Api, stand_in: StandIn):
    stand_in.on("GET", ORG, Answer(broken=True), {"kind": "org"})
    assert api.get(ORG) == {"kind": "org"}


@pytest.mark.parametrize(
    ("status", "code", "kind", "exit_code"),
    [
        (400, "InvalidInput", CliError, 1),
        (401, "CredentialsInvalid", NotLoggedIn, 4),
        (403, "Denied", NotAllowed, 4),
        (404, "NotFound", NotFound, 3),
        (409, "AlreadyExists", Conflict, 5),
        (409, "VersionMismatch", VersionMismatch, 5),
        (500, "Internal", Unreachable, 6),
    ],
)
def test_refusal_becomes_the_error_of_its_status(api: Api, stand_in: StandIn, status, code, kind, exit_code):
    stand_in.on("GET", ORG, refusal(status, code, "so it is", details={"version": 4}))
    with pytest.raises(CliError) as raised:
        api.get(ORG)
    assert type(raised.value) is kind
    assert raised.value.exit_code == exit_code
    assert (raised.value.status, raised.value.code, raised.value.request_id) == (status, code, "request-1")
    assert raised.value.details == {"version": 4}
    assert raised.value.message.startswith("so it is")


def test_problem_that_is_the_message_is_said_once(api: Api, stand_in: StandIn):
    problems = [{"at": "name", "problem": "no text"}, {"at": "", "problem": "too long"}]
    stand_in.on(
        "PATCH", ORG, refusal(400, "InvalidInput", "name: no text", details={"problems": problems[:1]})
    )
    with pytest.raises(CliError) as caught:
        api.call("PATCH", ORG, {})
    assert caught.value.message == "name: no text"
    stand_in.on("PATCH", ORG, refusal(400, "InvalidInput", "name: no text", details={"problems": problems}))
    with pytest.raises(CliError) as caught:
        api.call("PATCH", ORG, {})
    assert caught.value.message == "name: no text: too long"


def test_problems_of_a_body_are_named(api: Api, stand_in: StandIn):
    problems = [{"where": "bindings[0]", "problem": "no permissions"}]
    stand_in.on(
        "GET", ORG, refusal(400, "InvalidInput", "the body is wrong.", details={"problems": problems})
    )
    with pytest.raises(CliError, match=r"the body is wrong: bindings\[0\]: no permissions"):
        api.get(ORG)


def test_refusal_in_the_form_of_the_registry_protocol_is_understood(api: Api, stand_in: StandIn):
    body = {"errors": [{"code": "DENIED", "message": "not for you"}]}
    stand_in.on("GET", "/v2/acme/app/tags/list", Answer(body, 403))
    with pytest.raises(NotAllowed, match="not for you") as raised:
        api.get("/v2/acme/app/tags/list")
    assert raised.value.code == "DENIED"


HTML = {"Content-Type": "text/html"}


@pytest.mark.parametrize("status", [200, 403, 404, 502])
def test_page_of_a_proxy_is_no_registry(api: Api, stand_in: StandIn, status):
    stand_in.on("GET", ORG, Answer(b"<html>Sign in to the guest network</html>", status, HTML))
    with pytest.raises(NotARegistry, match="does not look like a moorage registry") as raised:
        api.get(ORG)
    assert "--endpoint" in raised.value.hint
    assert "guest" not in raised.value.line


def test_json_that_is_cut_off_is_no_registry(api: Api, stand_in: StandIn):
    stand_in.on("GET", ORG, Answer(b'{"kind": "or'))
    with pytest.raises(NotARegistry):
        api.get(ORG)


def test_body_in_an_encoding_that_it_does_not_have_is_no_registry(api: Api, stand_in: StandIn):
    stand_in.on("GET", ORG, Answer(b"plain", 200, {"Content-Encoding": "gzip"}))
    with pytest.raises(NotARegistry):
        api.get(ORG)


def test_redirect_is_not_followed(api: Api, stand_in: StandIn):
    stand_in.on("GET", ORG, Answer(None, 302, {"Location": "https://elsewhere.example/login?secret=abc"}))
    with pytest.raises(NotARegistry, match=r"redirects to https://elsewhere\.example") as raised:
        api.get(ORG)
    assert "abc" not in raised.value.line
    assert len(stand_in.asked) == 1


def test_nothing_that_listens_is_said_so_after_some_attempts(connect, waits):
    port = free_port()
    with pytest.raises(Unreachable, match=rf"no connection to 127\.0\.0\.1:{port}"):
        connect(f"http://127.0.0.1:{port}").get(ORG)
    assert len(waits) == 3


def test_host_that_does_not_exist_is_said_so_at_once(connect, waits, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match=r"the host registry\.example is not found"):
        connect("https://registry.example").get(ORG)
    assert waits == []


def test_server_without_tls_is_said_so(connect, stand_in: StandIn, waits):
    with pytest.raises(Unreachable, match="does not speak TLS"):
        connect(f"https://127.0.0.1:{stand_in.port}").get(ORG)
    assert waits == []


def test_server_that_says_nothing_is_said_so(connect):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        api = connect(f"http://127.0.0.1:{listening.getsockname()[1]}")
        api.http.timeout = 0.05
        with pytest.raises(Unreachable, match="does not answer in time"):
            api.get(ORG)


def test_certificate_that_nobody_vouches_for_is_refused(connect, tmp_path, waits):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_shake_hands, args=(listening, context))
        thread.start()
        with pytest.raises(Unreachable, match=r"the certificate of 127\.0\.0\.1:[0-9]+ is not accepted"):
            connect(f"https://127.0.0.1:{listening.getsockname()[1]}").get(ORG)
        thread.join()
    assert waits == []


def _shake_hands(listening: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listening.accept()
    with connection:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            return


def pages(stand_in: StandIn) -> None:
    path = f"{ORG}/policy"

    def page(asked):
        after = asked.query.get("after", ["0"])[0]
        start = int(after)
        items = [resource("policy", f"p{number}") for number in range(start, start + 3)]
        return Answer(listed("policy", items, f"{path}?after={start + 3}" if start < 6 else None))

    stand_in.on("GET", path, page)


@pytest.mark.parametrize(
    ("maximum", "found", "more", "requests"),
    [(0, 9, False, 3), (2, 2, True, 1), (3, 3, True, 1), (9, 9, False, 3)],
)
def test_list_is_followed_as_far_as_is_wanted(api: Api, stand_in: StandIn, maximum, found, more, requests):
    pages(stand_in)
    listing = api.items(f"{ORG}/policy", maximum)
    assert [each["name"] for each in listing.items] == [f"p{number}" for number in range(found)]
    assert listing.more is more
    assert len(stand_in.asked) == requests


def test_empty_page_in_the_middle_does_not_end_a_list(api: Api, stand_in: StandIn):
    path = f"{ORG}/policy"
    stand_in.on(
        "GET", path, listed("policy", [], f"{path}?after=1"), listed("policy", [resource("policy", "p")])
    )
    assert len(api.items(path, 50).items) == 1


def test_query_is_posted_once_and_goes_on_with_get(api: Api, stand_in: StandIn):
    path = f"{ORG}/policy/-query"
    stand_in.on("POST", path, BUSY, listed("policy", [resource("policy", "a")], f"{path}?q=x&after=1"))
    stand_in.on("GET", path, listed("policy", [resource("policy", "b")]))
    assert [each["name"] for each in api.items(path, 0, query={"kind": "policy"}).items] == ["a", "b"]
    assert stand_in.paths() == [f"POST {path}", f"POST {path}", f"GET {path}"]
    assert stand_in.asked[-1].query == {"q": ["x"], "after": ["1"]}


@pytest.mark.parametrize(
    "following",
    [
        "https://elsewhere.example/org/acme/policy",
        "x:http://other/",
        "x:/org/acme/policy",
        "//other/",
        "/\\t/other/",
        "http:/x",
        "http:x",
        "\\\\other\\x",
        "/\\other/x",
        "http://[",
        "ENDPOINT//other/",
        "ENDPOINT@other/",
        "ENDPOINT0/org/acme/policy",
        "org/acme/policy",
        "?after=1",
    ],
)
def test_list_that_leads_to_another_host_gets_no_key(api: Api, stand_in: StandIn, following: str):
    following = following.replace("ENDPOINT", stand_in.endpoint)
    stand_in.on("GET", f"{ORG}/policy", listed("policy", [], following))
    with pytest.raises(NotARegistry, match="to another host"):
        api.items(f"{ORG}/policy", 0)
    assert len(stand_in.asked) == 1


@pytest.mark.parametrize(
    "path", ["http://other/x", "//other/x", "x:http://other/", "x", "", "/\\other", "\\\\other"]
)
def test_path_that_is_none_is_not_even_sent(api: Api, stand_in: StandIn, path: str):
    with pytest.raises(NotARegistry, match="to another host"):
        api.get(path)
    assert stand_in.asked == []


@pytest.mark.parametrize("items", [[7], ["x"], [None], [resource("policy", "a"), []], {}, "x", None])
def test_list_of_something_else_is_no_list(api: Api, stand_in: StandIn, items):
    stand_in.on("GET", f"{ORG}/policy", {**listed("policy", []), "items": items})
    with pytest.raises(NotARegistry, match="does not answer with a list"):
        api.items(f"{ORG}/policy", 0)


@pytest.mark.parametrize(
    ("path", "said", "hint"),
    [
        ("/org/acme/image/no/such:image", "there is none: /org/acme/image/no/such:image", "image get"),
        ("/org/acme/image/app:v1/-explain", "there is none: /org/acme/image/app:v1", "image get"),
        ("/org/acme/gvc/g/identity/i", "there is none: /org/acme/gvc/g/identity/i", "identity get"),
        ("/org/acme/gvc/g", "there is none: /org/acme/gvc/g", "gvc get"),
        ("/org/acme", "there is none: /org/acme", "org get"),
        ("/v2/x/_direct/secret", "there is none.", ""),
    ],
)
def test_what_is_not_there_is_named(api: Api, stand_in: StandIn, path: str, said: str, hint: str):
    stand_in.on("GET", path, refusal(404, "NotFound", "there is none."))
    with pytest.raises(NotFound) as raised:
        api.get(path)
    assert raised.value.message == said
    assert hint in raised.value.hint
    assert bool(hint) is bool(raised.value.hint)


def test_list_that_leads_back_to_itself_ends(api: Api, stand_in: StandIn):
    stand_in.on("GET", f"{ORG}/policy", listed("policy", [], f"{ORG}/policy?after=1"))
    with pytest.raises(NotARegistry, match="leads back"):
        api.items(f"{ORG}/policy", 0)


def test_trace_has_neither_keys_nor_queries_nor_signed_paths(api: Api, stand_in: StandIn, traces):
    signed = "/v2/acme/app/blobs/uploads/_direct/k1/99/r/s/the-mac"
    stand_in.on("GET", ORG, Answer({}, 200, {"apigw-requestid": "abc"}))
    stand_in.on("PUT", signed, {})
    api.get(ORG, params={"X-Amz-Signature": "secret-query"})
    api.call("PUT", signed)
    assert traces[0].startswith(f"GET {ORG}?... 200 ")
    assert traces[0].endswith(" ms request abc")
    assert traces[1].startswith("PUT /v2/acme/app/blobs/uploads/_direct/... 200 ")
    assert not any(secret in line for line in traces for secret in (KEY, "secret-query", "the-mac"))


def test_newer_registry_is_hinted_at_once_and_understood(api: Api, stand_in: StandIn, notes):
    stand_in.on("GET", ORG, Answer({"kind": "org", "unheardOf": [1]}, 200, {"Moorage-Version": "7.1.0"}))
    assert api.get(ORG)["unheardOf"] == [1]
    api.get(ORG)
    assert len(notes) == 1
    assert "7.1.0" in notes[0]


@pytest.mark.parametrize(
    ("theirs", "newer"),
    [
        ("0.1.9", False),
        ("0.2.0", True),
        ("1.0.0", True),
        ("0.10.0", True),
        ("0.0.9", False),
        ("", False),
        ("x", False),
    ],
)
def test_versions_are_compared_by_major_and_minor(theirs, newer):
    assert is_newer(theirs, "0.1.0") is newer


@pytest.mark.parametrize(
    ("written", "endpoint"),
    [
        ("https://Registry.Example/", "https://registry.example"),
        ("registry.example", "https://registry.example"),
        ("registry.example:8443", "https://registry.example:8443"),
        ("https://registry.example:443", "https://registry.example"),
        ("localhost:5000", "http://localhost:5000"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_endpoint_has_one_spelling(written, endpoint):
    assert parse_endpoint(written) == endpoint


@pytest.mark.parametrize(
    "written",
    [
        "http://registry.example",
        "http://localhost.example",
        "http://10.0.0.1",
        "ftp://registry.example",
        "https://",
        "",
        "https://user:password@registry.example",
        "https://registry.example/org/acme",
        "https://registry.example?x=1",
        "https://registry.example:port",
        "https://a b",
        "http://[::1",
    ],
)
def test_what_is_no_safe_endpoint_is_refused(written):
    with pytest.raises(Misused) as raised:
        parse_endpoint(written)
    assert "password" not in raised.value.line


def test_insecure_allows_plain_http_elsewhere():
    assert parse_endpoint("http://registry.example", insecure=True) == "http://registry.example"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://user:secret@proxy.example:1"),
        ("HTTPS_PROXY", "foo://user:secret@proxy.example:1"),
        ("https_proxy", "http://user:secret@proxy.example:x"),
        ("SSL_CERT_FILE", "/nonexistent"),
        ("SSL_CERT_FILE", "/dev/null"),
    ],
)
def test_variable_that_cannot_be_used_is_named(signed_in: Terminal, name: str, value: str):
    outcome = signed_in.run(
        "policy", "get", "--endpoint", "https://registry.example", environment={name: value}
    )
    assert (outcome.code, outcome.err.count("\n")) == (6, 1)
    assert outcome.err.endswith(f" in {name}\n")
    assert "secret" not in outcome.err


@pytest.mark.parametrize("key", ["é", "\udcff"])
def test_header_that_cannot_be_sent_is_wrong_usage(api: Api, stand_in: StandIn, key: str):
    with pytest.raises(Misused, match="cannot be sent"):
        api.call("POST", ORG, {}, headers={"Idempotency-Key": key})
    assert stand_in.asked == []
