"""Calls of JSON services: tried again where that helps, and only there."""

import json
import random
import ssl
import threading
import time

import pytest
import urllib3
from botocore.exceptions import ClientError

from moorage.adapters import json_service
from moorage.adapters.access import Access
from moorage.adapters.aws import Patience
from moorage.adapters.dynamodb import Table
from moorage.adapters.dynamodb.writes import put
from moorage.adapters.json_service import JsonService, NoAnswerError
from moorage.adapters.signing import StaticKeys
from tests.certificates import self_signed
from tests.contract.faults import Answer, dynamodb_answer, dynamodb_error, faulty_server

KEYS = StaticKeys("AKIDEXAMPLE", "secret", None)
PASSING = {
    "closed": None,
    "broken inside": dynamodb_error("InternalServerError", 500),
    "broken on the way": Answer(502, b"<html>Bad gateway</html>"),
    "not there": Answer(503),
    "too late": dynamodb_error("RequestTimeout"),
    "throttled": dynamodb_error("ProvisionedThroughputExceededException"),
    "throttled on the way": Answer(429),
    "no JSON": Answer(200, b"<html>"),
    "cut": Answer(200, b'{"Item": {}}', announced=500),
}
LASTING = {
    "asked wrongly": dynamodb_error("ValidationException"),
    "without rights": dynamodb_error("AccessDeniedException"),
    "condition": dynamodb_error("ConditionalCheckFailedException"),
    "unknown": Answer(404, b"[]"),
}


@pytest.fixture(scope="module")
def server():
    with faulty_server() as running:
        yield running


@pytest.fixture
def service(server, monkeypatch):
    """Three attempts, and hardly a pause between them."""
    monkeypatch.setattr(json_service, "_PAUSE", 0.001)
    monkeypatch.setattr(json_service, "_THROTTLED_PAUSE", 0.001)
    server.requests.clear()
    return connected(server)


def connected(server, attempts=3, keys=lambda: KEYS, seconds=5.0):
    access = Access("dynamodb", server.url, "us-east-1", keys)
    patience = Patience(connect_seconds=seconds, read_seconds=seconds, attempts=attempts)
    return JsonService(access, patience, api="DynamoDB_20120810", version="1.0")


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_tried_again_and_the_same_is_sent(server, service, fault):
    server.answers = [PASSING[fault], PASSING[fault], dynamodb_answer({"Item": {}})]
    assert service.call("GetItem", {"Key": "k"}) == {"Item": {}}
    assert [body for _, _, body in server.requests] == [b'{"Key":"k"}'] * 3


@pytest.mark.parametrize("fault", PASSING)
def test_what_does_not_pass_is_given_up_after_the_last_attempt(server, service, fault):
    server.answers = [PASSING[fault]]
    with pytest.raises((ClientError, NoAnswerError)):
        service.call("GetItem", {})
    assert len(server.requests) == 3


@pytest.mark.parametrize("fault", LASTING)
def test_what_will_not_pass_is_not_tried_again(server, service, fault):
    server.answers = [LASTING[fault], dynamodb_answer({})]
    with pytest.raises(ClientError):
        service.call("GetItem", {})
    assert len(server.requests) == 1


def test_single_attempt_is_the_only_one(server):
    server.requests.clear()
    server.answers = [None]
    with pytest.raises(NoAnswerError):
        connected(server, attempts=1).call("GetItem", {})
    assert len(server.requests) == 1


def test_refusal_has_the_code_and_all_that_was_said(server, service):
    server.answers = [dynamodb_error("TransactionCanceledException", CancellationReasons=[{"Code": "None"}])]
    with pytest.raises(ClientError) as caught:
        service.call("TransactWriteItems", {})
    response = caught.value.response
    assert response["Error"] == {"Code": "TransactionCanceledException", "Message": "as told"}
    assert response["CancellationReasons"] == [{"Code": "None"}]


def test_pauses_grow_and_throttling_waits_longer(server, monkeypatch):
    longest = []

    def at_once(least, most):
        longest.append(most)
        return least

    monkeypatch.setattr(random, "uniform", at_once)
    for answer in (dynamodb_error("InternalServerError", 500), dynamodb_error("ThrottlingException")):
        server.answers = [answer]
        with pytest.raises(ClientError):
            connected(server).call("GetItem", {})
    assert longest == [0.025, 0.05, 1.0, 2.0]


def test_service_that_says_nothing_is_given_up_in_time(server):
    let_go = threading.Event()
    server.answers = [lambda: let_go.wait(5) and None]
    started = time.monotonic()
    with pytest.raises(NoAnswerError):
        connected(server, attempts=2, seconds=0.3).call("GetItem", {})
    let_go.set()
    assert time.monotonic() - started < 4


def test_each_request_is_signed_with_the_keys_of_now(server, service, monkeypatch):
    turns = iter(["first", "second"])
    rotating = connected(server, keys=lambda: StaticKeys(next(turns), "secret", None))
    sent = []
    urlopen = urllib3.HTTPConnectionPool.urlopen

    def noting(pool, method, url, **options):
        sent.append(options["headers"]["authorization"])
        return urlopen(pool, method, url, **options)

    monkeypatch.setattr(urllib3.HTTPConnectionPool, "urlopen", noting)
    server.answers = [dynamodb_answer({})]
    rotating.call("GetItem", {})
    rotating.call("GetItem", {})
    assert ["Credential=first/" in sent[0], "Credential=second/" in sent[1]] == [True, True]


def test_transaction_sent_twice_has_one_token_and_another_one_next_time(server, service):
    table = Table("a-table")
    table.client = lambda: service
    server.answers = [None, dynamodb_answer({})]
    table.transact(put({"pk": "p", "sk": "s"}))
    table.transact(put({"pk": "p", "sk": "s"}))
    tokens = [json.loads(body)["ClientRequestToken"] for _, _, body in server.requests]
    assert tokens[0] == tokens[1] != tokens[2]


def test_bytes_come_back_as_they_were_written():
    from moorage.adapters.dynamodb.rows import from_item, to_item  # noqa: PLC0415

    row = {"body": bytes(range(256)), "parts": [b"", b"a"], "n": 5, "yes": True, "map": {"deep": b"\0"}}
    assert from_item(json.loads(json.dumps(to_item(row)))) == row


ITSELF = "https://dynamodb.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("variables", "endpoint", "proxied"),
    [
        ({}, ITSELF, False),
        ({"https_proxy": "http://127.0.0.1:9"}, ITSELF, True),
        ({"https_proxy": "http://127.0.0.1:9", "no_proxy": ".amazonaws.com"}, ITSELF, False),
        ({"http_proxy": "http://127.0.0.1:9"}, "http://127.0.0.1:4566", False),
    ],
    ids=["none", "a proxy", "one that is bypassed", "an emulator"],
)
def test_proxy_of_the_environment_is_used(monkeypatch, variables, endpoint, proxied):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    pool = json_service._pool(endpoint, Patience())
    assert (pool.proxy is not None) is proxied
    assert isinstance(pool, urllib3.HTTPSConnectionPool) is (endpoint == ITSELF)


@pytest.mark.parametrize("trusted", [True, False])
def test_only_a_server_with_a_trusted_certificate_is_asked(tmp_path, monkeypatch, trusted):
    certificate = self_signed(tmp_path)
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    if trusted:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with faulty_server(context) as secure:
        secure.answers = [dynamodb_answer({})]
        access = Access("dynamodb", secure.url, "us-east-1", lambda: KEYS)
        patience = Patience(connect_seconds=1, read_seconds=1, attempts=1)
        service = JsonService(access, patience, api="DynamoDB_20120810", version="1.0")
        if trusted:
            assert service.call("GetItem", {}) == {}
        else:
            with pytest.raises(NoAnswerError):
                service.call("GetItem", {})
            assert secure.requests == []
