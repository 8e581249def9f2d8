"""A batch of a queue: each message for itself, what failed is named, and comes back neither at once nor never."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.errors import Throttled, Unavailable
from moorage.web.queue import KEPT_SECONDS, MAX_DEFERRALS, Deferred, Message, QueueConsumer, pause

EVENTS = Path(__file__).parents[2] / "events"


class Queue:
    """What was handed back; fails if a test says so."""

    def __init__(self, error: Exception | None = None) -> None:
        self.handed_back: list[tuple[str, int]] = []
        self._error = error

    def hand_back(self, receipt: str, seconds: int) -> None:
        if self._error is not None:
            raise self._error
        self.handed_back.append((receipt, seconds))


class Log:
    """Powertools' logger, as far as it is used."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda message, **fields: self.lines.append((level, message, fields))


def messages(*bodies: str, attempt: int = 1) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"id-{body}",
                "receiptHandle": f"receipt-{body}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": str(attempt)},
            }
            for body in bodies
        ]
    }


class Run:
    """A consumer whose bodies say what becomes of them."""

    def __init__(self, queue_error: Exception | None = None) -> None:
        self.queue, self.log = Queue(queue_error), Log()
        self.processed: list[str] = []
        self.seconds = 0.0
        self.consumer = QueueConsumer(self.process, self.queue, self.log, lambda: self.seconds)  # type: ignore[arg-type]

    def process(self, message: Message) -> None:
        body = message.body
        errors = {
            "down": Unavailable("down"),
            "slow": Throttled("slow"),
            "bad": ValueError("secret"),
            "odd": KeyError(),
            "taken": Deferred(70),
            "long and down": Unavailable("down"),
        }
        if body.startswith("long"):
            # As often as a worker says that it is there.
            for _ in range(301):
                message.keep()
                self.seconds += 1
        if body in errors:
            raise errors[body]
        self.processed.append(body)

    def failures(self, event: dict[str, Any]) -> list[str]:
        answer = self.consumer.handle(event, None)
        assert answer.keys() == {"batchItemFailures"}
        assert all(failure.keys() == {"itemIdentifier"} for failure in answer["batchItemFailures"])
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_what_was_processed_is_not_named() -> None:
    run = Run()
    assert run.failures(messages("a", "b", "c")) == []
    assert run.processed == ["a", "b", "c"]
    assert (run.queue.handed_back, run.log.lines) == ([], [])


@pytest.mark.parametrize("bad", ["down", "slow", "bad", "odd"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_message_that_fails_does_not_stop_the_others(bad: str, place: int) -> None:
    run, bodies = Run(), ["a", "b"]
    bodies.insert(place, bad)
    assert run.failures(messages(*bodies)) == [f"id-{bad}"]
    assert run.processed == ["a", "b"]
    assert run.queue.handed_back == [(f"receipt-{bad}", 30)]


def test_all_that_fail_are_named() -> None:
    run = Run()
    assert run.failures(messages("bad", "a", "down")) == ["id-bad", "id-down"]
    assert [receipt for receipt, _ in run.queue.handed_back] == ["receipt-bad", "receipt-down"]


def test_an_empty_batch_is_nothing() -> None:
    assert Run().failures({"Records": []}) == []


# ------------------------------------------------------------------ pauses
def test_pauses_grow_to_hours_and_no_further() -> None:
    assert [pause(attempt) for attempt in range(1, 8)] == [30, 120, 480, 1920, 7200, 7200, 7200]
    # SQS takes at most 12 hours.
    assert max(pause(attempt) for attempt in range(2000)) <= 43_200


@given(st.integers(-5, 10**9))
def test_every_pause_is_one_that_the_queue_takes(attempt: int) -> None:
    assert 30 <= pause(attempt) <= pause(attempt + 1) <= 7200


@pytest.mark.parametrize("attempt", [1, 2, 3, 10, 1000])
def test_a_message_comes_back_after_a_pause_that_grows_with_each_attempt(attempt: int) -> None:
    run = Run()
    run.failures(messages("down", attempt=attempt))
    assert run.queue.handed_back == [("receipt-down", pause(attempt))]


def test_a_message_that_cannot_be_handed_back_is_named_all_the_same() -> None:
    run = Run(Unavailable("SQS is down"))
    assert run.failures(messages("down", "a", "bad")) == ["id-down", "id-bad"]
    assert run.processed == ["a"]
    assert [message for _, message, _ in run.log.lines].count("message not handed back") == 2


# ------------------------------------------------------------------ what is logged
def test_an_outage_is_a_warning_and_anything_else_an_error_with_its_trace() -> None:
    run = Run()
    run.failures(messages("down", "bad", attempt=4))
    assert run.log.lines == [
        ("warning", "message failed", {"message_id": "id-down", "attempt": 4, "error": "Unavailable"}),
        ("exception", "message failed", {"message_id": "id-bad", "attempt": 4, "error": "ValueError"}),
    ]


def test_the_event_that_sqs_sends_is_read() -> None:
    event = json.loads((EVENTS / "sqs-s3-events.json").read_text("utf-8"))
    bodies: list[str] = []

    def process(message: Message) -> None:
        bodies.append(message.body)
        raise Unavailable("down")

    queue = Queue()
    answer = QueueConsumer(process, queue, Log()).handle(event, None)  # type: ignore[arg-type]
    assert bodies == [message["body"] for message in event["Records"]]
    assert answer["batchItemFailures"] == [
        {"itemIdentifier": message["messageId"]} for message in event["Records"]
    ]
    assert [receipt for receipt, _ in queue.handed_back] == [
        message["receiptHandle"] for message in event["Records"]
    ]


# ------------------------------------------------------------------ what somebody else is at
def test_a_message_whose_matter_is_in_other_hands_comes_again_when_they_ought_to_be_done() -> None:
    for attempt in range(1, MAX_DEFERRALS + 1):
        run = Run()
        assert run.failures(messages("taken", "a", attempt=attempt)) == ["id-taken"]
        assert run.queue.handed_back == [("receipt-taken", 70)]
        assert run.processed == ["a"]


@pytest.mark.parametrize("attempt", [MAX_DEFERRALS + 1, MAX_DEFERRALS + 2, 1000])
def test_it_does_not_come_again_for_ever_and_never_ends_among_those_that_failed(attempt: int) -> None:
    run = Run()
    assert run.failures(messages("taken", attempt=attempt)) == []
    assert run.queue.handed_back == []


def test_it_is_no_failure_in_the_log() -> None:
    run = Run()
    run.failures(messages("taken"))
    assert [level for level, _, _ in run.log.lines] == ["info"]


# ------------------------------------------------------------------ while a message is processed
def test_a_message_that_is_kept_is_seen_by_nobody_else_for_a_span_that_is_prolonged_now_and_then() -> None:
    run = Run()
    assert run.failures(messages("a", "long")) == []
    assert run.queue.handed_back == [("receipt-long", KEPT_SECONDS)] * 8
    assert run.seconds == 301


def test_a_failure_is_handed_back_after_the_last_span() -> None:
    run = Run()
    assert run.failures(messages("long and down")) == ["id-long and down"]
    assert [seconds for _, seconds in run.queue.handed_back] == [*[KEPT_SECONDS] * 8, pause(1)]


def test_what_cannot_be_kept_from_others_is_processed_all_the_same() -> None:
    run = Run(Unavailable("SQS is down"))
    assert run.failures(messages("long")) == []
    assert run.processed == ["long"]
    assert [message for _, message, _ in run.log.lines] == ["message not handed back"] * 8


def test_each_message_is_kept_for_itself() -> None:
    run = Run()
    told = messages("long", "long")
    told["Records"][1]["receiptHandle"] = "other"
    run.failures(told)
    assert [receipt for receipt, _ in run.queue.handed_back] == ["receipt-long"] * 8 + ["other"] * 8
