"""The upload keys in a KeyValueStore: signed for all Regions, changed as it stands, and shown to nobody."""

from __future__ import annotations

import socket
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from local import aws, ports
from moorage.adapters.key_value_store import KeyValueStoreKeys, connect_key_value_store
from moorage.domain.errors import Throttled, Unavailable, WriteConflict
from moorage.ports import EdgeKeys
from tests.contract.counting import counted
from tests.contract.threads import together
from tests.unit.secret_fakes import MemoryEdgeKeys, Writes

SECRET = "5e" * 32


@pytest.fixture(autouse=True)
def _localhost_has_subdomains(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore puts the account before the endpoint's host; not every resolver knows such a name."""
    resolve = socket.getaddrinfo

    def resolved(host: Any, *arguments: Any, **named: Any) -> Any:
        local = isinstance(host, str) and host.endswith(".localhost")
        return resolve("127.0.0.1" if local else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


@pytest.fixture
def arn(emulators: Any) -> str:
    """A new store, which is empty."""
    made = aws.client(emulators, "cloudfront").create_key_value_store(Name=f"contract-{uuid.uuid4()}")
    found: str = made["KeyValueStore"]["ARN"]
    return found


@pytest.fixture
def keys(aws: Any, arn: str) -> KeyValueStoreKeys:
    return connect_key_value_store(arn)


@pytest.fixture
def values(emulators: Any, arn: str) -> Iterator[Any]:
    """What is in the store, as the front door sees it, as a function."""
    with urllib3.PoolManager(retries=False, timeout=10) as http:

        def read() -> dict[str, str]:
            answer = http.request(
                "GET", f"{emulators.aws_endpoint_url}/key-value-stores/{arn}/keys?MaxResults=50"
            )
            return {item["Key"]: item["Value"] for item in answer.json()["Items"]}

        yield read


@dataclass
class Store:
    """A store, and what is in it, as the front door sees it."""

    keys: EdgeKeys
    values: Callable[[], dict[str, str]]


@pytest.fixture(params=["memory", "real"])
def store(request: pytest.FixtureRequest) -> Store:
    """Both stores, one after the other."""
    if request.param == "memory":
        memory = MemoryEdgeKeys(Writes())
        return Store(memory, lambda: memory.keys)
    return Store(request.getfixturevalue("keys"), request.getfixturevalue("values"))


def test_a_store_that_was_just_made_is_empty(store: Store) -> None:
    assert list(store.keys.kids()) == []
    store.keys.withdraw(["a1"])
    store.keys.withdraw([])
    assert store.values() == {}


def test_what_is_published_is_in_the_store(store: Store) -> None:
    store.keys.publish("a1", SECRET)
    store.keys.publish("b1", SECRET[::-1])
    assert sorted(store.keys.kids()) == ["a1", "b1"]
    assert store.values() == {"a1": SECRET, "b1": SECRET[::-1]}


def test_what_is_published_again_is_replaced(store: Store) -> None:
    for key in (SECRET, SECRET, "other"):
        store.keys.publish("a1", key)
        assert store.values() == {"a1": key}


def test_what_is_withdrawn_is_gone_and_nothing_else(store: Store) -> None:
    for kid in ("a1", "a2", "b1", "b2"):
        store.keys.publish(kid, SECRET)
    for _ in range(2):
        store.keys.withdraw(["a1", "b1", "none"])
        assert set(store.values()) == {"a2", "b2"}
    store.keys.withdraw({"a2", "b2"})
    assert store.values() == {}


def test_withdrawing_what_is_not_there_changes_nothing(keys: KeyValueStoreKeys) -> None:
    keys.publish("a1", SECRET)
    with counted(keys._client()) as sent:
        keys.withdraw(["a9"])
    assert sent == ["ListKeys"]


def test_more_keys_than_a_page_holds_are_all_named(keys: KeyValueStoreKeys) -> None:
    kids = [f"a{number}" for number in range(23)]
    for kid in kids:
        keys.publish(kid, SECRET)
    with counted(keys._client()) as sent:
        assert sorted(keys.kids()) == sorted(kids)
    assert len(sent) > 1


def test_a_store_that_others_change_at_the_same_time_keeps_what_all_have_published(
    keys: KeyValueStoreKeys, values: Any
) -> None:
    kids = [f"a{number}" for number in range(4)]
    results = together(*[partial(keys.publish, kid, SECRET) for kid in kids])
    conflicts = [result for result in results if isinstance(result, WriteConflict)]
    assert all(result is None or isinstance(result, WriteConflict) for result in results)
    assert len(values()) == len(kids) - len(conflicts)
    assert len(values()) > 0


@pytest.mark.parametrize("times", [1, 4])
def test_a_change_between_reading_and_writing_is_noticed_and_the_change_is_made_again(
    keys: KeyValueStoreKeys, arn: str, values: Any, times: int
) -> None:
    """With the real ETags of the emulator."""
    client = keys._client()
    describe, left, rival = client.describe_key_value_store, [times], connect_key_value_store(arn)

    def overtaken(**request: Any) -> Any:
        answer = describe(**request)
        if left[0]:
            left[0] -= 1
            rival.publish(f"b{left[0]}", SECRET)
        return answer

    client.describe_key_value_store = overtaken
    with counted(client) as sent:
        keys.publish("a1", SECRET)
    assert set(values()) == {"a1", *(f"b{number}" for number in range(times))}
    assert sent.count("UpdateKeys") == times + 1


def test_a_store_that_never_stands_still_is_a_conflict(
    keys: KeyValueStoreKeys, arn: str, values: Any
) -> None:
    client = keys._client()
    describe, rival = client.describe_key_value_store, connect_key_value_store(arn)
    rivals: list[str] = []

    def overtaken(**request: Any) -> Any:
        answer = describe(**request)
        rivals.append(f"b{len(rivals)}")
        rival.publish(rivals[-1], SECRET)
        return answer

    client.describe_key_value_store = overtaken
    with pytest.raises(WriteConflict) as caught:
        keys.publish("a1", SECRET)
    assert "a1" not in values()
    assert len(rivals) == 5
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_requests_are_signed_for_all_regions(keys: KeyValueStoreKeys) -> None:
    seen: list[Any] = []
    keys._client().meta.events.register("before-send", lambda request, **_: seen.append(request.headers))
    keys.publish("a1", SECRET)
    assert seen
    for headers in seen:
        shown = {name: value if isinstance(value, str) else value.decode() for name, value in headers.items()}
        assert shown["Authorization"].startswith("AWS4-ECDSA-P256-SHA256 ")
        assert shown["X-Amz-Region-Set"] == "*"


@pytest.mark.usefixtures("aws")
def test_a_store_that_is_not_there_is_an_outage(arn: str) -> None:
    absent = connect_key_value_store(arn + "-none")
    for call in (absent.kids, partial(absent.publish, "a1", SECRET), partial(absent.withdraw, ["a1"])):
        with pytest.raises(Unavailable) as caught:
            call()
        assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("aws")
def test_a_store_that_cannot_be_reached_is_an_outage_that_shows_nothing(
    arn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (port,) = ports.free(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFRONT_KEYVALUESTORE", f"http://localhost:{port}")
    away = connect_key_value_store(arn)
    with pytest.raises(Unavailable):
        away.kids()
    with pytest.raises(Unavailable) as caught:
        away.publish("a1", SECRET)
    assert SECRET not in "".join(traceback.format_exception(caught.value)) + caplog.text


class Refusing:
    """A store that repeats in its error what it refused."""

    def __init__(self, code: str) -> None:
        self._code = code

    def describe_key_value_store(self, **_: Any) -> Any:
        return {"ETag": "x"}

    def update_keys(self, **request: Any) -> None:
        raise ClientError({"Error": {"Code": self._code, "Message": f"refused: {request}"}}, "UpdateKeys")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ValidationException", Unavailable),
        ("AccessDeniedException", Unavailable),
        ("ServiceQuotaExceededException", Unavailable),
        ("ThrottlingException", Throttled),
        ("ConflictException", WriteConflict),
        ("412", WriteConflict),
    ],
)
def test_a_change_that_is_refused_shows_no_key(
    code: str, error: type[Unavailable], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Unavailable) as caught:
        KeyValueStoreKeys(lambda: Refusing(code), "arn").publish("a1", SECRET)
    assert type(caught.value) is error
    assert SECRET not in "".join(traceback.format_exception(caught.value)) + caplog.text
