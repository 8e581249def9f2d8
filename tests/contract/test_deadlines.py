"""Contention ends in time: one call of a port has one deadline, in however many loops it tries again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage.adapters.aws import Patience
from moorage.adapters.dynamodb import connect_table
from moorage.adapters.dynamodb import table as dynamodb_table
from moorage.adapters.dynamodb.rows import to_item
from moorage.domain.errors import Throttled, WriteConflict
from tests.contract.faults import (
    Answer,
    FaultyServer,
    cancelled,
    dynamodb_answer,
    dynamodb_error,
    faulty_server,
)
from tests.contract.samples import APP, NOW, digest, link, manifest, point, session

# A function has 29 s, for several calls.
LONGEST = 6.0
REQUEST_SECONDS = 0.2
# Late enough that a second deadline, begun then, would end too late.
ALMOST = 4.0

D = digest("a")
ROW = to_item(
    {
        "pk": "p",
        "sk": "s",
        "org": APP.org,
        "image": APP.image,
        "digest": str(digest("standing")),
        "id": "id-of-the-tag",
        "version": 1,
        "tags": "{}",
        "key": "api/standing",
        "store": "s3",
        "size": 1,
        "created": NOW.isoformat(),
        "push": "an earlier one",
        "tag_writes": 1,
        "uses": [],
    }
)


class Watch:
    """Stands for the module ``time``: a pause takes no time, and only the watch shows it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.begun = self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds

    @property
    def elapsed(self) -> float:
        return self.now - self.begun


class Contended:
    """A table whose rows others write all the time. Once, after a long while, they let a call get further:
    a transaction finds its rows changed, a batch is carried out.
    """

    def __init__(self, server: FaultyServer, watch: Watch) -> None:
        self._server = server
        self._watch = watch
        self.relented = False

    def __call__(self) -> Answer:
        self._watch.now += REQUEST_SECONDS
        request = json.loads(self._server.requests[-1][2])
        relent = not self.relented and self._watch.elapsed > ALMOST
        if "TransactItems" in request:
            count = len(request["TransactItems"])
            self.relented = self.relented or relent
            return _refused(count) if relent else cancelled(*["TransactionConflict"] * count)
        if "RequestItems" in request:
            self.relented = self.relented or relent
            return _batch(request["RequestItems"], done=relent)
        if "KeyConditionExpression" in request:
            return dynamodb_answer({"Items": [], "Count": 0})
        if request.get("ConsistentRead"):
            return dynamodb_answer({"Item": ROW})
        return dynamodb_error("TransactionConflictException")


def _refused(count: int) -> Answer:
    # Of more than two writes the first is a check, or the update of a manifest, of something that is there.
    place = 1 if count > 2 else 0
    reasons: list[dict[str, Any]] = [{"Code": "None"}] * count
    reasons[place] = {"Code": "ConditionalCheckFailed", "Item": ROW}
    return dynamodb_error("TransactionCanceledException", CancellationReasons=reasons)


def _batch(asked: dict[str, Any], *, done: bool) -> Answer:
    left = {} if done else asked
    if isinstance(asked["a-table"], list):
        return dynamodb_answer({"UnprocessedItems": left})
    return dynamodb_answer({"Responses": {"a-table": []}, "UnprocessedKeys": left})


CALLS = {
    "put_tags": (lambda t: point(t, APP, "v1", D, NOW), WriteConflict),
    "delete_tag": (lambda t: t.delete_tag(APP, "v1"), WriteConflict),
    "delete_manifest": (lambda t: t.delete_manifest(APP, D), WriteConflict),
    "put_link": (
        lambda t: t.put_link(link("a"), repository_id=session().repository_id, closing=session()),
        WriteConflict,
    ),
    "remove_link": (lambda t: t.remove_link(APP, D), WriteConflict),
    "put_manifest": (
        lambda t: t.put_manifest(
            APP, manifest("a"), repository_id=session().repository_id, uses=[D], referrer=None
        ),
        WriteConflict,
    ),
    "put_manifest in batches": (
        lambda t: t.put_manifest(
            APP,
            manifest("a"),
            repository_id=session().repository_id,
            uses=map(digest, range(30)),
            referrer=None,
        ),
        Throttled,
    ),
    "find_links in batches": (lambda t: t.find_links(APP, [digest(n) for n in range(120)]), Throttled),
    "add_reference": (lambda t: t.add_reference("api/a", APP, D), WriteConflict),
}


@pytest.fixture
def watch(monkeypatch):
    watch = Watch()
    monkeypatch.setattr(dynamodb_table, "time", watch)
    return watch


@pytest.fixture
def server(monkeypatch):
    with faulty_server() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield running


@pytest.mark.parametrize("call", CALLS)
def test_call_that_others_keep_from_its_end_is_given_up_in_time(server, watch, call):
    act, expected = CALLS[call]
    contended = Contended(server, watch)
    server.answers = [contended]
    with pytest.raises(expected) as caught:
        act(connect_table("a-table", Patience(attempts=1)))
    assert type(caught.value) is expected
    assert ALMOST < watch.elapsed <= LONGEST
    # Tried again and again, and not in a hurry.
    assert 8 <= len(server.requests) <= LONGEST / REQUEST_SECONDS
    assert contended.relented == (call != "add_reference")
