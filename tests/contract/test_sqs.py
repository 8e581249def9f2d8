"""A message that is handed back is seen again at once, or later, and never before."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from local import aws, ports
from moorage.adapters.sqs import SqsQueue, connect_queue
from moorage.domain.errors import Throttled, Unavailable
from tests.contract.faults import Answer, faulty_server

BODY = "{}"


class Real:
    """A queue of the emulator whose messages nobody sees for long after they were received."""

    def __init__(self, emulators: Any) -> None:
        self.client = aws.client(emulators, "sqs")
        made = self.client.create_queue(
            QueueName=f"contract-{uuid.uuid4()}", Attributes={"VisibilityTimeout": "600"}
        )
        self.url: str = made["QueueUrl"]

    def send(self) -> None:
        self.client.send_message(QueueUrl=self.url, MessageBody=BODY)

    def receive(self) -> dict[str, Any] | None:
        answer = self.client.receive_message(QueueUrl=self.url, AttributeNames=["ApproximateReceiveCount"])
        messages = answer.get("Messages", ())
        return messages[0] if messages else None


@pytest.fixture
def real(emulators: Any) -> Iterator[Real]:
    real = Real(emulators)
    yield real
    real.client.delete_queue(QueueUrl=real.url)


@pytest.fixture
def queue(aws: Any, real: Real) -> SqsQueue:
    return connect_queue(real.url)


def test_a_message_that_is_handed_back_is_there_at_once(real: Real, queue: SqsQueue) -> None:
    real.send()
    for attempt in range(1, 4):
        message = real.receive()
        assert message is not None
        assert message["Attributes"]["ApproximateReceiveCount"] == str(attempt)
        assert real.receive() is None
        queue.hand_back(message["ReceiptHandle"], 0)


def test_a_message_that_is_handed_back_for_later_is_there_later(real: Real, queue: SqsQueue) -> None:
    real.send()
    message = real.receive()
    assert message is not None
    handed_back = time.monotonic()
    queue.hand_back(message["ReceiptHandle"], 2)
    while (again := real.receive()) is None:
        assert time.monotonic() < handed_back + 30
        time.sleep(0.05)
    assert time.monotonic() >= handed_back + 1.9
    assert again["MessageId"] == message["MessageId"]


@pytest.mark.parametrize("receipt", ["", "x", "\N{ANCHOR}", "x" * 5000], ids=ascii)
def test_a_receipt_that_is_none_is_refused(queue: SqsQueue, receipt: str) -> None:
    with pytest.raises(Unavailable):
        queue.hand_back(receipt, 0)


@pytest.mark.usefixtures("aws")
def test_a_queue_that_is_not_there_is_an_outage(real: Real) -> None:
    with pytest.raises(Unavailable):
        connect_queue(real.url + "-none").hand_back("x", 0)


def at(url: str, monkeypatch: pytest.MonkeyPatch) -> SqsQueue:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", url)
    return connect_queue("https://sqs.eu-central-1.amazonaws.com/000000000000/queue")


@pytest.mark.usefixtures("aws")
def test_a_queue_that_cannot_be_reached_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = ports.free(1)
    with pytest.raises(Unavailable):
        at(f"http://127.0.0.1:{port}", monkeypatch).hand_back("receipt", 0)


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_sqs_answers_with_nothing_and_that_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html"""
    with faulty_server() as server:
        server.answers = [Answer(200, body, {"Content-Type": "application/x-amz-json-1.0"})]
        queue = at(server.url, monkeypatch)
        queue.hand_back("receipt", 30)
    ((method, _, sent),) = server.requests
    assert method == "POST"
    assert json.loads(sent) == {
        "QueueUrl": "https://sqs.eu-central-1.amazonaws.com/000000000000/queue",
        "ReceiptHandle": "receipt",
        "VisibilityTimeout": 30,
    }


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(200, b"<html>"), Unavailable),
        (Answer(200, b"", announced=7), Unavailable),
        (Answer(204), Unavailable),
        (Answer(302, b"", {"Location": "http://127.0.0.1:1/"}), Unavailable),
        (Answer(400, b'{"__type": "com.amazonaws.sqs#ReceiptHandleIsInvalid"}'), Unavailable),
        (Answer(400, b'{"__type": "com.amazonaws.sqs#RequestThrottled"}'), Throttled),
        (Answer(403, b""), Unavailable),
        (Answer(500, b""), Unavailable),
        (None, Unavailable),
    ],
    ids=["no JSON", "torn", "204", "a redirect", "refused", "throttled", "forbidden", "broken", "hung up"],
)
def test_anything_else_is_one(monkeypatch: pytest.MonkeyPatch, answer: Any, error: type[Exception]) -> None:
    with faulty_server() as server:
        server.answers = [answer]
        with pytest.raises(error):
            at(server.url, monkeypatch).hand_back("receipt", 30)
