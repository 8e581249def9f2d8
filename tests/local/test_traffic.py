"""What enters a function is counted where it enters."""

import asyncio
import base64
import json
from contextlib import suppress

import pytest

from local.functions import EventTooLargeError, FunctionError, Pool
from local.limits import FUNCTION_PAYLOAD_BYTES
from local.traffic import Traffic, line
from tests.local.conftest import toy_function
from tests.local.shapes import sample


def counted(tmp_path, *events):
    """The lines that a pool writes when it is given these events; what they come to does not matter."""

    async def invoke_all():
        pool = Pool(toy_function(), tmp_path / "log", 1, Traffic(tmp_path / "traffic"))
        try:
            for event in events:
                with suppress(FunctionError):
                    await pool.invoke(event)
        finally:
            await pool.close()

    asyncio.run(invoke_all())
    return [json.loads(text) for text in (tmp_path / "traffic").read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({"body": base64.b64encode(bytes(1000)).decode(), "isBase64Encoded": True}, 1000),
        ({"body": "ä" * 10, "isBase64Encoded": False}, 20),
        ({"body": "", "isBase64Encoded": False}, 0),
    ],
)
def test_body_of_a_request_is_counted_as_it_was_sent(tmp_path, changes, size):
    event = sample("http-api-registry-put") | {"rawPath": "/echo"} | changes
    assert counted(tmp_path, event) == [{"method": "PUT", "path": "/echo", "body_bytes": size}]


def test_request_without_a_body_counts_as_nothing(tmp_path):
    event = sample("http-api-registry-get") | {"rawPath": "/echo"}
    assert "body" not in event
    assert counted(tmp_path, event) == [{"method": "GET", "path": "/echo", "body_bytes": 0}]


def test_every_event_that_was_sent_is_counted_even_if_it_failed(tmp_path):
    event = sample("http-api-registry-put")
    paths = ["/failure", "/crash", "/echo"]
    lines = counted(tmp_path, *(event | {"rawPath": path} for path in paths))
    assert [entry["path"] for entry in lines] == paths


def test_event_that_was_refused_is_not_counted(tmp_path):
    async def invoke():
        pool = Pool(toy_function(), tmp_path / "log", 1, Traffic(tmp_path / "traffic"))
        with pytest.raises(EventTooLargeError):
            await pool.invoke({"pad": "x" * FUNCTION_PAYLOAD_BYTES})

    asyncio.run(invoke())
    assert not (tmp_path / "traffic").exists()


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("sqs-s3-events", "aws:sqs"),
        ("s3-object-created", "aws:s3"),
        ("schedule", "aws.events"),
        ("cloudformation-create", "aws:cloudformation"),
    ],
)
def test_any_other_event_is_counted_as_a_whole(name, source):
    payload = json.dumps(sample(name)).encode()
    assert line(payload) == {"event": source, "payload_bytes": len(payload)}
