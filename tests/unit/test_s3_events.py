"""S3's notifications: which objects they name, and everything that is none."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.web.s3_events import CreatedObject, created_objects

EVENTS = Path(__file__).parents[2] / "events"


def record(key: Any, name: Any = "ObjectCreated:Put") -> dict[str, Any]:
    return {"eventName": name, "s3": {"bucket": {"name": "b"}, "object": {"key": key, "size": 1}}}


def body(*records: Any) -> str:
    return json.dumps({"Records": records})


def created_keys(text: str) -> list[str]:
    return [each.key for each in created_objects(text)]


def test_the_event_of_an_upload_names_its_key() -> None:
    event = json.loads((EVENTS / "s3-object-created.json").read_text("utf-8"))
    (key,) = created_keys(json.dumps(event))
    assert key == event["Records"][0]["s3"]["object"]["key"]
    assert key.startswith(("direct/", "presigned/"))


def test_an_object_is_named_with_its_bucket() -> None:
    of_another = record("presigned/b")
    of_another["s3"]["bucket"]["name"] = "another"
    stored = created_objects(body(record("presigned/a"), of_another))
    assert stored == [CreatedObject("b", "presigned/a"), CreatedObject("another", "presigned/b")]


def test_the_events_that_come_through_the_queue_name_theirs() -> None:
    batch = json.loads((EVENTS / "sqs-s3-events.json").read_text("utf-8"))
    assert batch["Records"]
    for message in batch["Records"]:
        assert all(key.startswith(("direct/", "presigned/")) for key in created_keys(message["body"]))


def test_what_s3_sends_when_a_notification_is_set_up_names_nothing() -> None:
    assert created_keys((EVENTS / "s3-test-event.json").read_text("utf-8")) == []


@given(st.lists(st.text()))
def test_keys_are_decoded_as_they_were_encoded(keys: list[str]) -> None:
    keys = [key.encode(errors="ignore").decode() for key in keys]
    assert created_keys(body(*[record(quote_plus(key)) for key in keys])) == keys


def test_a_space_is_a_plus_and_a_plus_is_not() -> None:
    assert created_keys(body(record("a+b%2Bc%20d%25"))) == ["a b+c d%"]
    assert created_keys(body(record("%C3%BC%F0%9F%98%80%2F"))) == ["ü\N{GRINNING FACE}/"]
    # No UTF-8: some other key, which no upload has.
    (odd,) = created_keys(body(record("direct/%FF")))
    assert odd != "direct/"


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("ObjectCreated:Put", True),
        ("ObjectCreated:CompleteMultipartUpload", True),
        ("ObjectCreated:Copy", True),
        ("ObjectRemoved:Delete", False),
        ("ObjectRestore:Post", False),
        ("s3:TestEvent", False),
        ("", False),
        (None, False),
        (7, False),
    ],
)
def test_only_what_was_stored_is_taken(name: Any, taken: bool) -> None:
    assert created_keys(body(record("key", name), record("other"))) == (["key"] if taken else []) + ["other"]


def test_no_records_are_no_keys() -> None:
    assert created_keys('{"Records": []}') == []


ODD_KEYS: list[Any] = [None, 7, True, [], {}, ["key"]]
BAD = [
    "",
    "no JSON",
    "null",
    "7",
    "[]",
    '"Records"',
    "{}",
    '{"Records": null}',
    '{"Records": {}}',
    '{"Records": "x"}',
    '{"Event": "other"}',
    body(7),
    body(None),
    body("x"),
    body([]),
    body({}),
    body({"eventName": "ObjectCreated:Put"}),
    body({"eventName": "ObjectCreated:Put", "s3": None}),
    body({"eventName": "ObjectCreated:Put", "s3": {"object": []}}),
    body({"eventName": "ObjectCreated:Put", "s3": {"object": {}}}),
    body({"eventName": "ObjectCreated:Put", "s3": {"object": {"size": 1}}}),
    *(body(record(key)) for key in ODD_KEYS),
    body({"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "a"}}}),
    *(
        body({"eventName": "ObjectCreated:Put", "s3": {"bucket": bucket, "object": {"key": "a"}}})
        for bucket in (None, 7, "b", {}, {"name": None}, {"name": 7}, {"name": ["b"]})
    ),
    # One bad record and the whole message is none: no half of it is done.
    body(record("good"), record(None)),
]


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:60] or "empty")
def test_what_is_no_notification_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        created_keys(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "eventName": st.just("ObjectCreated:Put") | JSON,
        "s3": JSON | st.fixed_dictionaries({"object": JSON, "bucket": JSON}),
    },
)


@given(
    st.fixed_dictionaries({}, optional={"Records": st.lists(RECORD | JSON, max_size=3), "Event": JSON}) | JSON
)
def test_whatever_comes_it_is_keys_or_refused(content: Any) -> None:
    try:
        found = created_objects(json.dumps(content))
    except ValueError:
        return
    assert all(type(value) is str for each in found for value in (each.bucket, each.key))
