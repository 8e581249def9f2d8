"""The stores as a function's environment tells them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from moorage.adapters.s3 import Bucket
from moorage.bootstrap import upload_finalizer
from moorage.bootstrap.stores import StoreSettings, other_buckets

OWN = {"BUCKET_NAME": "own"}


def test_without_others_there_is_the_stacks_own_bucket() -> None:
    for environ in (OWN, {**OWN, "STORES": ""}):
        settings = StoreSettings.read(environ)
        assert settings == StoreSettings({"default": Bucket("own")}, "auto")
        assert list(settings.connect().names()) == ["default"]


def test_others_have_names_and_perhaps_regions() -> None:
    environ = {**OWN, "STORES": "second=b.2,far-away=c-3@eu-west-3", "S3_ADDRESSING_STYLE": "path"}
    settings = StoreSettings.read(environ)
    buckets = {"default": Bucket("own"), "second": Bucket("b.2"), "far-away": Bucket("c-3", "eu-west-3")}
    assert settings == StoreSettings(buckets, "path")
    assert set(settings.connect().names()) == set(buckets)


@pytest.mark.parametrize(
    "text",
    [
        *(",", "second", "second=", "=b", "second=b,", ",second=b", "second=b,,third=c", " second=b"),
        *("second=b@", "second=b@r@r", "second=b=c", "Second=b", "s=b", "2nd=b", "second-=b", "a b=c"),
        *("second=b,second=c", "default=b", "x" * 65 + "=b", "second\n=b"),
    ],
)
def test_what_is_no_list_of_stores_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="STORES"):
        StoreSettings.read({**OWN, "STORES": text})
    with pytest.raises(ValueError, match="STORES"):
        other_buckets(text)


@pytest.mark.parametrize("text", ["second=own", "second=b,third=b", "second=b,third=b@eu-west-3"])
def test_one_bucket_is_not_that_of_two_stores(text: str) -> None:
    with pytest.raises(ValueError, match="bucket twice"):
        StoreSettings.read({**OWN, "STORES": text})


def test_without_a_bucket_of_the_stack_there_is_nothing() -> None:
    with pytest.raises(KeyError, match="BUCKET_NAME"):
        StoreSettings.read({"STORES": "second=b"})


def test_a_bucket_tells_its_store_and_one_that_is_not_known_is_named() -> None:
    settings = StoreSettings.read({**OWN, "STORES": "second=b@eu-west-3"})
    assert [settings.store_of(bucket) for bucket in ("own", "b")] == ["default", "second"]
    for bucket in ("somebody-elses", "second", ""):
        with pytest.raises(LookupError, match=repr(bucket)):
            settings.store_of(bucket)


def test_the_event_of_an_unknown_bucket_is_handed_back_and_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handed: list[str] = []
    queue = SimpleNamespace(hand_back=lambda receipt, _: handed.append(receipt))
    monkeypatch.setattr(upload_finalizer, "connect_queue", lambda _: queue)
    environ = {**OWN, "TABLE_NAME": "t", "QUEUE_URL": "https://sqs.invalid/q", "LOG_LEVEL": "INFO"}
    stored = {"bucket": {"name": "somebody-elses"}, "object": {"key": "presigned/ab/1/2/3"}}
    body = json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": stored}]})
    attributes = {"ApproximateReceiveCount": "1"}
    message = {"messageId": "m1", "receiptHandle": "r1", "body": body, "attributes": attributes}
    context = SimpleNamespace(
        function_name="f", memory_limit_in_mb=1, invoked_function_arn="arn", aws_request_id="id"
    )
    answer = upload_finalizer.create(environ)({"Records": [message]}, context)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert handed == ["r1"]
    assert "somebody-elses" in capsys.readouterr().out
