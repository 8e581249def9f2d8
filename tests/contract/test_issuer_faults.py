"""Issuers that answer wrongly, slowly, endlessly or not at all, and names that lead where nobody may go."""

from __future__ import annotations

import gzip
import json
import threading
import time
from datetime import timedelta

import pytest

from moorage.adapters.https_documents import HttpsDocuments, look_up
from moorage.adapters.issuers import HttpsIssuers, connect_issuers
from moorage.adapters.public_addresses import is_public
from moorage.domain.errors import Unavailable
from moorage.domain.issuers import HttpsUrl
from tests.contract.issuer_server import (
    CONFIGURATION,
    HOST,
    ISSUER,
    KEYS,
    KEYS_HOST,
    OTHER_HOST,
    Authority,
    http,
    issuer_server,
    trickling,
)
from tests.unit.token_issuer import public_jwk

# For what comes at once, and for what does not.
PATIENT, HASTY = 5.0, 0.8
METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
RIGHT = {"issuer": ISSUER, "jwks_uri": f"https://{KEYS_HOST}{KEYS}"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certified(authority):
    return authority.server(HOST, KEYS_HOST)


@pytest.fixture
def server(certified):
    with issuer_server(certified) as running:
        running.publish(keys={"keys": [public_jwk("P-256")]})
        yield running


class Client:
    """The real client; its names are those that a test gives, and it may connect to the test's server."""

    def __init__(self, authority, server, names=None, permitted=None, seconds=PATIENT):
        self.seconds = seconds
        self.asked: list[str] = []
        self.names = {HOST: [server.endpoint], KEYS_HOST: [server.endpoint], **(names or {})}
        documents = HttpsDocuments(
            self.look_up,
            permitted or (lambda address: address == server.endpoint[0] or is_public(address)),
            authority.client,
        )
        self.issuers = HttpsIssuers(documents, seconds)

    def look_up(self, host):
        self.asked.append(host)
        found = self.names[host]
        return found() if callable(found) else found

    def refusal(self, issuer=ISSUER):
        started = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            self.issuers.fetch_keys(issuer)
        assert time.monotonic() - started < self.seconds + 1
        assert "127.0.0.1" not in caught.value.message
        return caught.value.message


@pytest.fixture
def client(authority, server):
    return Client(authority, server)


def test_a_right_answer_is_taken(client, server):
    assert [key.kid for key in client.issuers.fetch_keys(ISSUER).keys] == ["k1"]
    assert client.asked == [HOST, KEYS_HOST]
    configuration, keys = server.requests
    assert configuration.startswith(f"GET {CONFIGURATION} HTTP/1.1\r\nHost: {HOST}\r\n".encode())
    assert keys.startswith(f"GET {KEYS} HTTP/1.1\r\nHost: {KEYS_HOST}\r\n".encode())
    for request in server.requests:
        assert b"accept-encoding: identity" in request.lower()
        assert b"authorization" not in request.lower()


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_a_chunked_answer_is_taken(client, server, chunk):
    body = json.dumps({"keys": [public_jwk("RSA")]}).encode()
    chunks = [body[start : start + chunk] for start in range(0, len(body), chunk)]
    encoded = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks) + b"0\r\n\r\n"
    server.answers[KEYS] = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/jwk-set+json; charset=utf-8\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + encoded
    )
    assert len(client.issuers.fetch_keys(ISSUER).keys) == 1


# ------------------------------------------------------------------ wrong answers
def padded(size: int) -> bytes:
    return json.dumps({**RIGHT, "keys": [], "padding": "x" * size}).encode()


WRONG = {
    **{f"redirect {status}": (http({}, status, Location=METADATA), "redirect") for status in (301, 302, 303, 307, 308)},
    "redirect to itself": (http({}, 302, Location=f"https://{HOST}{CONFIGURATION}"), "redirect"),
    **{f"status {status}": (http(RIGHT, status), str(status)) for status in (201, 204, 206, 400, 404, 500, 503)},
    "HTML": (http(b"<html></html>", kind="text/html"), "content type"),
    "JSON as text": (http(RIGHT, kind="text/plain"), "content type"),
    "JSON without a type": (http(RIGHT, kind=None), "content type"),
    "JSON as bytes": (http(RIGHT, kind="application/octet-stream"), "content type"),
    "a type that ends like it": (http(RIGHT, kind="text/x+json"), "content type"),
    "gzip": (http(gzip.compress(b"{}"), Content_Encoding="gzip"), "compressed"),
    "a gzip bomb": (http(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip"), "compressed"),
    "deflate, br": (http(b"{}", Content_Encoding="deflate, br"), "compressed"),
    "not JSON": (http(b"{"), "JSON"),
    "not UTF-8": (http(b'{"issuer": "\xff"}'), "JSON"),
    "empty": (http(b""), "JSON"),
    "a list": (http([RIGHT]), "JSON"),
    "a string": (http(ISSUER), "JSON"),
    "null": (http(None), "JSON"),
    "deeply nested": (http(b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}"), "JSON"),
    "a number without end": (http(b'{"a":' + b"9" * 20_000 + b"}"), "JSON"),
    "10 MB": (http(padded(10_000_000)), "too long"),
    "10 MB that are not announced": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + padded(10_000_000),
        "too long",
    ),
    "10 MB in one chunk": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"989680\r\n" + b" " * 10_000_000 + b"\r\n0\r\n\r\n",
        "too long",
    ),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"X-Y: " + b"z" * 1_000_000, ""),
    "a thousand headers": (b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 1000 + b"\r\n{}", "cannot be reached"),
    "interim answers without end": (b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000, "too long"),
    "not HTTP": (b"SSH-2.0-server\r\n\r\n", "cannot be reached"),
    "nothing": (b"", "cannot be reached"),
    "half": (http(padded(1000))[:-500], ""),
    "a false length": (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: x\r\n\r\n", "JSON"),
    "a negative chunk": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nxx",
        "",
    ),
    "a chunk of no size": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nxx",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("path", [CONFIGURATION, KEYS])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_gives_no_keys(client, server, name, path):
    answer, reason = WRONG[name]
    server.answers[path] = answer
    message = client.refusal()
    assert reason in message
    assert "169.254" not in message
    # Nobody has followed anything anywhere.
    assert client.asked == [HOST, KEYS_HOST][: 1 if path == CONFIGURATION else 2]
    assert server.connections == len(client.asked)


def test_a_configuration_and_a_key_set_have_their_own_limits(client, server):
    server.answers[CONFIGURATION] = http({**RIGHT, "padding": "x" * 60_000})
    server.answers[KEYS] = http({"keys": [], "padding": "x" * 250_000})
    assert client.issuers.fetch_keys(ISSUER).keys == ()
    server.answers[CONFIGURATION] = http({**RIGHT, "padding": "x" * 66_000})
    assert "configuration is refused: it is too long" in client.refusal()
    server.answers[CONFIGURATION] = http(RIGHT)
    server.answers[KEYS] = http({"keys": [], "padding": "x" * 263_000})
    assert "key set is refused: it is too long" in client.refusal()


@pytest.mark.parametrize(
    "issuer",
    [None, "", f"{ISSUER}/", ISSUER.upper(), f"https://{OTHER_HOST}", HOST, [ISSUER], {ISSUER: 1}, 1],
)
def test_a_configuration_of_another_issuer_is_refused(client, server, issuer):
    server.publish({**RIGHT, "issuer": issuer})
    assert "another issuer" in client.refusal()
    assert client.asked == [HOST]


@pytest.mark.parametrize(
    "source",
    [
        None,
        1,
        [f"https://{KEYS_HOST}{KEYS}"],
        "",
        KEYS,
        f"http://{KEYS_HOST}{KEYS}",
        METADATA,
        "https://169.254.169.254/keys",
        "https://[fd00:ec2::254]/keys",
        "https://127.0.0.1/keys",
        "https://2852039166/keys",
        "https://localhost/keys",
        "https://metadata.google.internal/keys",
        f"https://{KEYS_HOST}:8443{KEYS}",
        f"https://u:p@{KEYS_HOST}{KEYS}",
        f"https://{KEYS_HOST}@169.254.169.254/",
        f"https://{KEYS_HOST}{KEYS}#x",
        f"https://{KEYS_HOST}/\r\nHost: x",
        "file:///proc/self/environ",
        f"ftp://{KEYS_HOST}{KEYS}",
    ],
)
def test_a_key_set_elsewhere_than_at_a_public_name_is_refused(client, server, source):
    server.publish({**RIGHT, "jwks_uri": source})
    assert "configuration" in client.refusal()
    assert client.asked == [HOST]
    assert server.connections == 1


# ------------------------------------------------------------------ slow answers
SLOW = {
    "never an answer": lambda connection: time.sleep(3),
    "a status that trickles": trickling(b"HTTP/1.1 2", b"0"),
    "headers that trickle": trickling(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "a header that trickles": trickling(b"HTTP/1.1 200 OK\r\nX-Y: ", b"z"),
    "a body that trickles": trickling(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{", b" "
    ),
    "chunks that trickle": trickling(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
    ),
    "interim answers that trickle": trickling(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("path", [CONFIGURATION, KEYS])
@pytest.mark.parametrize("name", SLOW)
def test_a_slow_answer_is_given_up_in_time(authority, server, name, path):
    server.answers[path] = SLOW[name]
    assert "in time" in Client(authority, server, seconds=HASTY).refusal()


def test_both_documents_share_one_time(authority, server):
    def late(answer):
        def send(connection):
            time.sleep(HASTY * 0.6)
            connection.sendall(answer)

        return send

    server.answers[CONFIGURATION], server.answers[KEYS] = late(http(RIGHT)), late(http({"keys": []}))
    assert (
        "key set is refused: its server does not answer in time"
        in Client(authority, server, seconds=HASTY).refusal()
    )


def test_a_server_that_never_says_hello_is_given_up_in_time(authority):
    with issuer_server(None) as silent:
        assert "in time" in Client(authority, silent, seconds=HASTY).refusal()


def test_a_resolver_that_never_answers_is_given_up_in_time(authority, server):
    released = threading.Event()
    client = Client(authority, server, {HOST: lambda: released.wait(5) and []}, seconds=HASTY)
    assert "looked up in time" in client.refusal()
    released.set()
    assert server.connections == 0


# ------------------------------------------------------------------ names and addresses
FORBIDDEN = [
    "127.0.0.2",
    "169.254.169.254",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "fd00:ec2::254",
    "fd12::1",
    "fe80::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_a_name_for_an_address_that_is_not_public_is_refused_before_a_connection(authority, server, address):
    forbidden = (address, server.endpoint[1])
    for answer in ([forbidden], [server.endpoint, forbidden], [forbidden, server.endpoint]):
        client = Client(authority, server, {HOST: answer})
        message = client.refusal()
        assert "not public" in message
        assert address not in message
        assert server.connections == 0


def test_the_loopback_interface_is_refused_by_the_real_policy(authority, server):
    client = Client(authority, server, permitted=is_public)
    assert "not public" in client.refusal()
    assert server.connections == 0


def test_localhost_is_refused_with_everything_real():
    assert {address for address, _ in look_up("localhost")} <= {"127.0.0.1", "::1"}
    with pytest.raises(Exception, match="not public"):
        HttpsDocuments().fetch(HttpsUrl("localhost", "/"), most=1, deadline=time.monotonic() + 3)


def test_the_metadata_services_are_no_issuers_with_everything_real():
    for issuer in ("https://169.254.169.254", "https://metadata.google.internal", "https://localhost"):
        with pytest.raises(Unavailable, match="configuration is refused"):
            connect_issuers().fetch_keys(issuer)


def test_a_name_that_changes_its_address_between_the_documents_is_checked_again(authority, server):
    answers = iter([[server.endpoint], [("169.254.169.254", 443)]])
    client = Client(authority, server, {HOST: lambda: next(answers)})
    server.publish({**RIGHT, "jwks_uri": f"https://{HOST}{KEYS}"})
    assert "key set is refused: its host name stands for an address that is not public" in client.refusal()
    assert server.connections == 1


def test_a_name_is_looked_up_once_for_each_connection_so_that_a_change_has_no_effect(authority, server):
    answers = iter([[server.endpoint]])
    client = Client(authority, server, {HOST: lambda: next(answers)})
    client.issuers.fetch_keys(ISSUER)
    assert client.asked == [HOST, KEYS_HOST]


@pytest.mark.parametrize("found", [[], None])
def test_a_name_that_nobody_has_is_refused(authority, server, found):
    def missing():
        raise OSError

    client = Client(authority, server, {HOST: missing if found is None else found})
    assert "cannot be looked up" in client.refusal()


def test_the_next_address_is_tried_when_one_does_not_listen(authority, server):
    with issuer_server(None) as closed:
        gone = closed.endpoint
    client = Client(authority, server, {HOST: [("::1", gone[1]), gone, server.endpoint]}, lambda _: True)
    assert len(client.issuers.fetch_keys(ISSUER).keys) == 1


def test_an_address_where_nobody_listens_is_refused(authority, server):
    with issuer_server(None) as closed:
        gone = closed.endpoint
    assert "cannot be reached" in Client(authority, server, {HOST: [gone] * 10}).refusal()


# ------------------------------------------------------------------ certificates
def test_a_certificate_for_another_host_is_refused(authority):
    with issuer_server(authority.server(OTHER_HOST)) as server:
        server.publish()
        assert "no valid certificate" in Client(authority, server).refusal()
        assert server.requests == []


def test_each_host_needs_a_certificate_of_its_own(authority):
    with issuer_server(authority.server(HOST)) as server:
        server.publish()
        assert (
            "key set is refused: its server has no valid certificate" in Client(authority, server).refusal()
        )
        assert len(server.requests) == 1


def test_a_certificate_of_an_unknown_authority_is_refused(authority, tmp_path):
    with issuer_server(Authority(tmp_path).server(HOST, KEYS_HOST)) as server:
        server.publish()
        assert "no valid certificate" in Client(authority, server).refusal()
        assert server.requests == []


def test_a_certificate_that_has_expired_is_refused(authority):
    with issuer_server(authority.server(HOST, age=timedelta(days=2))) as server:
        server.publish()
        assert "no valid certificate" in Client(authority, server).refusal()


def test_the_authorities_of_the_world_do_not_include_a_test(server):
    documents = HttpsDocuments(lambda _: [server.endpoint], lambda _: True)
    with pytest.raises(Unavailable, match="no valid certificate"):
        HttpsIssuers(documents).fetch_keys(ISSUER)
