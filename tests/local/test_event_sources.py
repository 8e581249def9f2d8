"""From a queue to a function, as Lambda does it: what succeeded goes, what failed comes again, in the end it rests."""

import asyncio
import itertools
import json
import time
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from local import aws, event_sources
from local.event_sources import EventSource
from local.functions import Pool
from local.identities import Place
from local.intrinsics import TemplateError
from local.resources import Resources
from local.template import Stack
from local.traffic import Traffic
from tests import journal
from tests.local.conftest import DATA, toy_function
from tests.local.shapes import sample, shape

FUNCTION = toy_function(folder=DATA / "queue", timeout=2)
SECONDS = 40
NUMBERS = itertools.count()


class Case:
    """A stack with a queue, its dead-letter queue and a mapping to the toy function."""

    def __init__(self, emulators, folder, name, *, queue=None, mapping=None):
        place = Place(name, "us-east-1", "000000000000")
        redrive = {"deadLetterTargetArn": {"Fn::GetAtt": "Dead.Arn"}, "maxReceiveCount": 3}
        self.stack = Stack(place, {"Resources": resources(redrive, queue or {}, mapping or {})}, {})
        self.emulators = emulators
        self.log = folder / "log"
        self.traffic = folder / "traffic"
        for resource in self.stack:
            Resources(emulators, self.stack).ensure(resource)
        self.sqs = aws.client(emulators, "sqs")

    def send(self, *messages, **attributes):
        """The messages' ids."""
        return [
            self.sqs.send_message(
                QueueUrl=self.stack.ref("Queue"),
                MessageBody=json.dumps(message),
                MessageAttributes=attributes,
            )["MessageId"]
            for message in messages
        ]

    def count(self, queue="Queue"):
        """How many messages there are, seen and unseen."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.stack.ref(queue), AttributeNames=names)
        return tuple(int(found["Attributes"][name]) for name in names)

    @asynccontextmanager
    async def polling(self):
        pool = Pool(FUNCTION, self.log, 4, Traffic(self.traffic))
        source = EventSource(
            self.stack, self.stack.of_kind("AWS::Lambda::EventSourceMapping")[0], pools(pool)
        )
        try:
            async with event_sources.polling([source], self.emulators):
                yield
        finally:
            await pool.close()

    @property
    def events(self):
        return journal.entries(self.log, "event ")

    @property
    def started(self):
        """How many environments of the function there were."""
        return self.log.read_text("utf-8").split("\n").count("started") if self.log.exists() else 0

    @property
    def attempts(self):
        """How often the function got each message, by message id."""
        return Counter(record["messageId"] for event in self.events for record in event["Records"])

    def serve_until(self, condition):
        async def serve():
            async with self.polling():
                deadline = time.monotonic() + SECONDS
                while not await asyncio.to_thread(condition):
                    assert time.monotonic() < deadline, (self.events, self.count(), self.count("Dead"))
                    await asyncio.sleep(0.05)

        asyncio.run(serve())


def resources(redrive, queue, mapping):
    visible = {"VisibilityTimeout": 2, "RedrivePolicy": redrive, "SqsManagedSseEnabled": True}
    return {
        "Dead": {"Type": "AWS::SQS::Queue", "Properties": {"MessageRetentionPeriod": 1209600}},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": visible | queue},
        "Mapping": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "EventSourceArn": {"Fn::GetAtt": "Queue.Arn"},
                "FunctionName": FUNCTION.name,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            }
            | mapping,
        },
    }


def pools(pool):
    return {FUNCTION.arn: pool}


@pytest.fixture
def case(emulators, tmp_path):
    number = next(NUMBERS)
    return lambda **changes: Case(emulators, tmp_path, f"source-{number}", **changes)


def test_message_arrives_as_lambda_gives_it_and_is_gone(case):
    made = case()
    kind = {"DataType": "String", "StringValue": "one"}
    (identifier,) = made.send({"text": "äö"}, Kind=kind)
    made.serve_until(lambda: made.attempts and made.count() == (0, 0))
    (event,) = made.events
    (record,) = event["Records"]
    assert record["messageId"] == identifier
    assert record["body"] == json.dumps({"text": "äö"})
    assert record["eventSourceARN"] == made.stack.attribute("Queue", "Arn")
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert abs(int(record["attributes"]["SentTimestamp"]) / 1000 - time.time()) < SECONDS
    assert record["messageAttributes"]["Kind"] == {
        "stringValue": "one",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    }


def test_event_has_the_shape_of_the_sample(case):
    made = case()
    made.send({})
    made.serve_until(lambda: made.attempts)
    assert shape(made.events[0]) == shape(sample("sqs-s3-events"))


def test_only_what_failed_comes_again(case):
    made = case()
    good, bad, other = made.send({}, {"failures": 1}, {})
    made.serve_until(lambda: made.count() == (0, 0) and len(made.attempts) == 3)
    assert made.attempts == {good: 1, bad: 2, other: 1}
    assert made.count("Dead") == (0, 0)


def test_message_that_always_fails_ends_in_the_dead_letter_queue(case):
    made = case()
    good, bad = made.send({}, {"failures": 100})
    made.serve_until(lambda: made.count("Dead") == (1, 0))
    assert made.attempts == {good: 1, bad: 3}
    assert made.count() == (0, 0)
    received = made.sqs.receive_message(QueueUrl=made.stack.ref("Dead"))["Messages"]
    assert [message["MessageId"] for message in received] == [bad]


@pytest.mark.parametrize(
    "message",
    [
        {"raise": True},
        {"sleep": 60},
        {"answer": {"batchItemFailures": [{"itemIdentifier": "unknown"}]}},
        {"answer": {"batchItemFailures": [{"itemIdentifier": ""}]}},
        {"answer": {"batchItemFailures": [{"identifier": "wrong name"}]}},
        {"answer": {"batchItemFailures": "nonsense"}},
    ],
    ids=str,
)
def test_batch_that_went_wrong_as_a_whole_comes_again_as_a_whole(case, message):
    made = case(queue={"VisibilityTimeout": 3})
    identifiers = made.send({}, message)
    made.serve_until(lambda: set(made.attempts.values()) == {2})
    assert made.attempts == dict.fromkeys(identifiers, 2)
    assert sum(made.count()) == 2


@pytest.mark.parametrize(
    "answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}], ids=str
)
def test_answer_without_failures_is_success(case, answer):
    made = case()
    made.send({"answer": answer})
    made.serve_until(lambda: made.attempts and made.count() == (0, 0))


def test_function_that_reports_nothing_has_dealt_with_all(case):
    made = case(mapping={"FunctionResponseTypes": []})
    made.send({}, {"failures": 100})
    made.serve_until(lambda: len(made.attempts) == 2 and made.count() == (0, 0))
    assert set(made.attempts.values()) == {1}
    assert made.count("Dead") == (0, 0)


def test_error_of_the_function_stands_in_its_log_only(case, capfd):
    made = case()
    made.send({"raise": True})
    made.serve_until(lambda: made.attempts)
    assert "RuntimeError was raised" in made.log.read_text("utf-8")
    assert capfd.readouterr().err == ""


def test_batch_is_no_larger_than_it_may_be(case):
    made = case(mapping={"BatchSize": 2})
    made.send(*[{}] * 5)
    made.serve_until(lambda: len(made.attempts) == 5)
    assert max(len(event["Records"]) for event in made.events) == 2


def test_batching_window_waits_for_more(case):
    made = case(mapping={"BatchSize": 25, "MaximumBatchingWindowInSeconds": 1})
    made.send(*[{}] * 25)
    made.serve_until(lambda: len(made.attempts) == 25)
    assert [len(event["Records"]) for event in made.events] == [25]


@pytest.mark.parametrize("at_once", [2, None])
def test_batches_run_side_by_side_up_to_a_bound(case, at_once):
    scaling = {"ScalingConfig": {"MaximumConcurrency": at_once}} if at_once else {}
    made = case(queue={"VisibilityTimeout": 30}, mapping={"BatchSize": 1} | scaling)
    made.send(*[{"sleep": 0.6}] * 4)
    made.serve_until(lambda: len(made.attempts) == 4 and made.count() == (0, 0))
    started = [
        int(event["Records"][0]["attributes"]["ApproximateFirstReceiveTimestamp"]) for event in made.events
    ]
    # The last two of four wait for the first two, if two is the bound.
    assert (max(started) - min(started) > 500) == (at_once == 2)


def test_what_is_under_way_at_a_stop_comes_again_at_once(case):
    made = case(queue={"VisibilityTimeout": 3000})
    made.send({"sleep": 1.5})
    made.serve_until(lambda: made.attempts)
    assert made.count() == (1, 0)


def test_stop_takes_no_longer_than_a_poll(case):
    made = case()

    async def stop():
        async with made.polling():
            await asyncio.sleep(0.3)
            start = time.monotonic()
        return time.monotonic() - start

    assert asyncio.run(stop()) < 2


def test_mapping_that_is_switched_off_leaves_the_queue_alone(case):
    made = case(mapping={"Enabled": False})
    made.send({})

    async def wait():
        async with made.polling():
            await asyncio.sleep(1)

    asyncio.run(wait())
    assert made.count() == (1, 0)


def test_function_is_started_once_before_its_first_message(case):
    made = case()
    made.serve_until(lambda: made.started)
    assert made.started == 1
    made.send({})
    made.serve_until(lambda: made.attempts)
    # Once more for the second time of serving, not for the message.
    assert made.started == 2


def test_what_enters_the_function_is_counted(case):
    made = case()
    made.send({"text": "ä" * 1000})
    made.serve_until(lambda: made.attempts)
    (line,) = journal.entries(made.traffic)
    assert line["event"] == "aws:sqs"
    text = json.dumps(made.events[0], ensure_ascii=False, separators=(",", ":"))
    assert line["payload_bytes"] == len(text.encode())


@pytest.mark.parametrize(
    "mapping",
    [
        {"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:elsewhere"},
        {"EventSourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/1"},
        {"FunctionName": "stranger"},
        {"FunctionResponseTypes": ["Other"]},
        {"FilterCriteria": {"Filters": []}},
        {"BatchSize": 11},
    ],
    ids=str,
)
def test_mapping_that_is_not_understood_is_an_error(tmp_path, mapping):
    made = Stack(Place("wrong", "us-east-1", "000000000000"), {"Resources": resources({}, {}, mapping)}, {})
    (declared,) = made.of_kind("AWS::Lambda::EventSourceMapping")
    with pytest.raises(TemplateError, match="Mapping"):
        EventSource(made, declared, pools(Pool(FUNCTION, tmp_path / "log", 1)))


@pytest.mark.parametrize("function", [FUNCTION.name, FUNCTION.arn])
def test_function_is_named_or_given_by_its_arn(tmp_path, function):
    made = Stack(
        Place("named", "us-east-1", "000000000000"),
        {"Resources": resources({}, {}, {"FunctionName": function})},
        {},
    )
    (declared,) = made.of_kind("AWS::Lambda::EventSourceMapping")
    assert EventSource(made, declared, pools(Pool(FUNCTION, tmp_path / "log", 1))).enabled


def test_queue_is_made_as_declared_and_changed_in_place(emulators):
    place = Place("declared", "us-east-1", "000000000000")
    sqs = aws.client(emulators, "sqs")
    first = {"VisibilityTimeout": 60, "MessageRetentionPeriod": 600, "DelaySeconds": 1}
    redrive = {"deadLetterTargetArn": {"Fn::GetAtt": "Dead.Arn"}, "maxReceiveCount": 6}
    seen = []
    for properties in ({**first, "RedrivePolicy": redrive, "ReceiveMessageWaitTimeSeconds": 3}, {}):
        body = {
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": properties},
            "Dead": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "its-own-name"}},
        }
        made = Stack(place, {"Resources": body}, {})
        for resource in made:
            Resources(emulators, made).ensure(resource)
        url = made.ref("Queue")
        seen.append(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])
        sqs.send_message(QueueUrl=url, MessageBody="kept", DelaySeconds=0)
    assert url == "https://sqs.us-east-1.amazonaws.com/000000000000/declared-Queue"
    assert made.attribute("Queue", "QueueUrl") == url
    assert made.attribute("Dead", "QueueName") == "its-own-name"
    assert made.attribute("Dead", "Arn") == "arn:aws:sqs:us-east-1:000000000000:its-own-name"
    names = (*first, "ReceiveMessageWaitTimeSeconds")
    assert [seen[0][name] for name in names] == ["60", "600", "1", "3"]
    assert [seen[1][name] for name in names] == ["30", "345600", "0", "0"]
    assert json.loads(seen[0]["RedrivePolicy"]) == {
        "deadLetterTargetArn": made.attribute("Dead", "Arn"),
        "maxReceiveCount": 6,
    }
    assert "RedrivePolicy" not in seen[1]
    assert seen[0]["QueueArn"] == made.attribute("Queue", "Arn")
    assert seen[1]["ApproximateNumberOfMessages"] == "1"


def test_property_of_a_queue_that_is_not_known_is_an_error(emulators):
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": True}}
    made = Stack(Place("fifo", "us-east-1", "000000000000"), {"Resources": {"Queue": queue}}, {})
    with pytest.raises(TemplateError, match="FifoQueue"):
        Resources(emulators, made).ensure(next(iter(made)))
