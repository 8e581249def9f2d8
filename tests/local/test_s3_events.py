"""What is stored in SeaweedFS is told to the queues that the template names, in the words of S3."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

import pytest
import urllib3

from local import aws, emulators, ports, s3_events
from local.disturbance import Disturbance
from local.identities import Place
from local.intrinsics import TemplateError
from local.resources import Resources
from local.s3_bridge import Bridge, stored_object
from local.s3_events import StoredObject
from local.state import StateFolder
from local.template import Stack
from local.webhook import Webhook
from tests.local.shapes import sample, shape
from tests.running_cloud import ROOT

SECONDS = 20
QUIET_SECONDS = 0.7
"""In this time an event that is on its way has arrived."""


def stack(name, *configurations, **others):
    queue = {"Type": "AWS::SQS::Queue", "Properties": {}}
    # One bucket for all tests: SeaweedFS sets volumes aside for each.
    bucket = {
        "BucketName": "told",
        "NotificationConfiguration": {"QueueConfigurations": [*configurations]} | others,
    }
    body = {"Queue": queue, "Other": queue, "Bucket": {"Type": "AWS::S3::Bucket", "Properties": bucket}}
    return Stack(Place(name, "us-east-1", "000000000000"), {"Resources": body}, {})


def told(prefix=None, suffix=None, queue="Queue", event="s3:ObjectCreated:*"):
    """A configuration of a notification."""
    rules = [
        {"Name": name, "Value": value} for name, value in (("prefix", prefix), ("Suffix", suffix)) if value
    ]
    return {"Event": event, "Queue": {"Fn::GetAtt": [queue, "Arn"]}, "Filter": {"S3Key": {"Rules": rules}}}


class Hooked:
    """Emulators whose filer tells what was stored before anybody listened, and what is stored from then on."""

    def __init__(self, running, webhook):
        self.running = running
        self.webhook = webhook
        self.takers = []
        self.events = []

    def take(self, event):
        self.events.append(event)
        for taker in self.takers:
            taker(event)

    def await_told(self, paths, known=0):
        """Until there were events of all these paths, those that were known before left out."""
        deadline = time.monotonic() + SECONDS
        while paths - {event["key"] for event in self.events[known:]}:
            assert time.monotonic() < deadline, self.events
            time.sleep(0.02)


@pytest.fixture(scope="module")
def hooked(background, tmp_path_factory):
    with (
        Webhook() as webhook,
        emulators.running(tmp_path_factory.mktemp("hooked"), keep=False, webhook=webhook) as running,
    ):
        made = Hooked(running, webhook)
        s3 = aws.client(running, "s3")
        s3.create_bucket(Bucket="early")
        s3.put_object(Bucket="early", Key="bird", Body=b"")
        background.run(webhook.start(made.take))
        yield made
        background.run(webhook.close())


class Case:
    """A bucket that is bridged to a queue while the case is entered."""

    def __init__(self, hooked, background, made, disturbance=None):
        self._hooked = hooked
        self._background = background
        self._disturbance = disturbance or Disturbance()
        self.stack = made
        self.bucket = made.ref("Bucket")
        for resource in made:
            Resources(hooked.running, made).ensure(resource)
        self.s3 = aws.client(hooked.running, "s3")
        self.sqs = aws.client(hooked.running, "sqs")
        for entry in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", []):
            self.s3.delete_object(Bucket=self.bucket, Key=entry["Key"])

    def __enter__(self):
        self.bridge = Bridge(self.stack, self._hooked.running, self._disturbance)
        self._hooked.takers.append(self.bridge.take)
        return self

    def __exit__(self, *_):
        self._hooked.takers.remove(self.bridge.take)
        self._background.run(self.bridge.close())

    def put(self, *keys, body=b"content"):
        for key in keys:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def put_unheard(self, *keys):
        """Before the case is entered: until the store has told of all, so that nobody hears of them later."""
        known = len(self._hooked.events)
        self.put(*keys)
        self._hooked.await_told({f"/buckets/{self.bucket}/{key}" for key in keys}, known)

    def catch_up(self, is_processed):
        async def begin():
            self.bridge.catch_up(is_processed)

        self._background.run(begin())

    def received(self, count, queue="Queue"):
        """This many messages and no more, as JSON; those that come next if there were some before."""
        bodies: list[dict[str, Any]] = []
        deadline, url = time.monotonic() + SECONDS, self.stack.ref(queue)
        quiet_until = time.monotonic() + QUIET_SECONDS
        while len(bodies) < count or time.monotonic() < quiet_until:
            assert time.monotonic() < deadline, bodies
            found = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            for message in found:
                bodies.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                quiet_until = time.monotonic() + QUIET_SECONDS
            time.sleep(0.02)
        assert len(bodies) == count, bodies
        return bodies

    def keys(self, count, queue="Queue"):
        return sorted(record["s3"]["object"]["key"] for record in records(self.received(count, queue)))


def records(bodies):
    return [record for body in bodies for record in body["Records"]]


@pytest.fixture
def case(hooked, background, request):
    name = request.node.name.removeprefix("test_").replace("_", "-").split("[")[0][:50].strip("-")

    def make(*configurations, **disturbance):
        made = stack(name, *(configurations or [told("direct/")]))
        return Case(hooked, background, made, Disturbance(**disturbance))

    return make


def test_what_was_stored_before_anybody_listened_is_told(hooked):
    hooked.await_told({"/buckets/early/bird"})


def test_put_is_told_in_the_words_of_s3(case):
    with case() as made:
        before = datetime.now(UTC)
        made.put("direct/a")
        (body,) = made.received(1)
    (record,) = body["Records"]
    # A whole second is what the filer keeps of the time of an empty object; this one is exact.
    assert abs((datetime.fromisoformat(record["eventTime"]) - before).total_seconds()) < 2
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["awsRegion"] == "us-east-1"
    assert record["s3"]["bucket"]["name"] == made.bucket
    assert record["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{made.bucket}"
    stored = record["s3"]["object"]
    head = made.s3.head_object(Bucket=made.bucket, Key="direct/a")
    assert (stored["key"], stored["size"], f'"{stored["eTag"]}"') == ("direct/a", 7, head["ETag"])
    assert int(stored["sequencer"], 16) > 0
    assert shape(body) == shape(sample("s3-object-created"))


def test_messages_of_the_sample_hold_events_of_the_sample():
    for record in sample("sqs-s3-events")["Records"]:
        assert shape(json.loads(record["body"])) == shape(sample("s3-object-created"))
        assert hashlib.md5(record["body"].encode()).hexdigest() == record["md5OfBody"]


def test_object_that_is_written_again_is_told_again_and_later(case):
    with case() as made:
        made.put("direct/a")
        first = records(made.received(1))[0]["s3"]["object"]
        made.put("direct/a", body=b"something else")
        second = records(made.received(1))[0]["s3"]["object"]
    assert second["sequencer"] > first["sequencer"]
    assert (second["size"], second["eTag"] != first["eTag"]) == (14, True)


def test_upload_in_parts_is_told_once_when_it_is_complete(case):
    with case(told("parts/"), told("parts.part", queue="Other")) as made:
        place = {"Bucket": made.bucket, "Key": "parts/whole"}
        upload = place | {"UploadId": made.s3.create_multipart_upload(**place)["UploadId"]}
        etags = [
            made.s3.upload_part(**upload, PartNumber=number, Body=bytes(5 * 1024 * 1024))["ETag"]
            for number in (1, 2)
        ]
        made.received(0)
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        made.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        (record,) = records(made.received(1))
    assert record["eventName"] == "ObjectCreated:CompleteMultipartUpload"
    assert record["s3"]["object"]["size"] == 10 * 1024 * 1024
    assert record["s3"]["object"]["eTag"].endswith("-2")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("s3:ObjectCreated:*", [1, 1]),
        ("s3:ObjectCreated:Put", [1, 0]),
        ("s3:ObjectCreated:CompleteMultipartUpload", [0, 1]),
    ],
)
def test_only_the_event_that_is_named_is_told(event, expected):
    (notification,) = s3_events.notifications(stack("named", told(event=event)))
    stored = [StoredObject("told", "a", 1, etag, 0) for etag in ("00", "00-2")]
    assert [int(notification.wants(one)) for one in stored] == expected


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        ("direct/a b", "direct/a+b"),
        ("direct/a+b", "direct/a%2Bb"),
        ("direct/ü/日本", "direct/%C3%BC/%E6%97%A5%E6%9C%AC"),
        ("direct/100%/%20", "direct/100%25/%2520"),
        ("direct/a=b&c:d@e,(f)", "direct/a%3Db%26c%3Ad%40e%2C%28f%29"),
    ],
)
def test_key_is_encoded_as_in_a_form(case, key, encoded):
    with case() as made:
        made.put(key)
        assert made.keys(1) == [encoded]
    assert unquote_plus(encoded) == key


def test_two_buckets_tell_one_queue_and_each_of_its_own_objects(hooked, background):
    names = ("told", "told-too")
    kinds = {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {}},
        **{
            logical_id: {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "BucketName": name,
                    "NotificationConfiguration": {"QueueConfigurations": [told(prefix)]},
                },
            }
            for logical_id, name, prefix in zip(
                ("Bucket", "Second"), names, ("same/", "same/only/"), strict=True
            )
        },
    }
    made = Stack(Place("two-buckets", "us-east-1", "000000000000"), {"Resources": kinds}, {})
    with Case(hooked, background, made) as case:
        for name in names:
            for key in ("same/a", "same/only/a"):
                case.s3.put_object(Bucket=name, Key=key, Body=name.encode())

        def found():
            return sorted(
                (record["s3"]["bucket"]["name"], record["s3"]["object"]["key"])
                for record in records(case.received(3))
            )

        expected = [("told", "same/a"), ("told", "same/only/a"), ("told-too", "same/only/a")]
        assert found() == expected
        # And at the next start, of what nothing has come of.
        case.catch_up(lambda _: False)
        assert found() == expected


def test_queues_get_what_their_filters_let_through(case):
    configurations = [told("direct/"), told("presigned/", ".blob", queue="Other")]
    with case(*configurations) as made:
        made.put(
            "direct/a", "direct-a", "other/direct/a", "presigned/a.blob", "presigned/a", "a.blob", "direct/"
        )
        assert made.keys(1) == ["direct/a"]
        assert made.keys(1, "Other") == ["presigned/a.blob"]


def test_other_buckets_copies_of_nothing_and_tags_are_not_told(case):
    with case(told()) as made:
        made.s3.create_bucket(Bucket=f"{made.bucket}-2")
        made.s3.put_object(Bucket=f"{made.bucket}-2", Key="a", Body=b"a")
        made.put("folder/a", body=b"")
        assert made.keys(1) == ["folder/a"]
        made.s3.put_object_tagging(
            Bucket=made.bucket, Key="folder/a", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
        )
        made.s3.delete_object(Bucket=made.bucket, Key="folder/a")
        assert made.keys(0) == []


def test_many_objects_at_once_are_all_told(case):
    with case() as made:

        async def put_all():
            puts = (asyncio.to_thread(made.put, f"direct/{number:03}") for number in range(100))
            await asyncio.gather(*puts)

        asyncio.run(put_all())
        assert made.keys(100) == [f"direct/{number:03}" for number in range(100)]


def test_event_comes_soon(case):
    with case() as made:
        took = []
        for number in range(5):
            made.put(f"direct/{number}")
            start = time.monotonic()
            url = made.stack.ref("Queue")
            while not made.sqs.receive_message(QueueUrl=url).get("Messages"):
                assert time.monotonic() - start < SECONDS
            took.append(time.monotonic() - start)
    assert min(took) < 0.5


def test_start_tells_of_what_nothing_has_come_of(case):
    made = case(told("direct/"), told("presigned/", ".blob", queue="Other"))
    made.put_unheard(
        "direct/done", "direct/lost 1", "direct/lost 2", "elsewhere/a", "presigned/a", "presigned/a.blob"
    )
    with made:
        asked = []

        def is_processed(key):
            asked.append(key)
            return key.endswith("done")

        made.catch_up(is_processed)
        bodies = made.received(2)
        assert sorted(record["s3"]["object"]["key"] for record in records(bodies)) == [
            "direct/lost+1",
            "direct/lost+2",
        ]
        assert made.keys(1, "Other") == ["presigned/a.blob"]
    assert sorted(asked) == ["direct/done", "direct/lost 1", "direct/lost 2", "presigned/a.blob"]
    assert shape(bodies[0]) == shape(sample("s3-object-created"))
    stored = records(bodies)[0]["s3"]["object"]
    head = made.s3.head_object(Bucket=made.bucket, Key=unquote_plus(stored["key"]))
    assert (stored["size"], f'"{stored["eTag"]}"') == (head["ContentLength"], head["ETag"])


def test_start_that_cannot_ask_says_so_and_serves(case, capfd):
    def fail(key):
        raise RuntimeError("no table")

    made = case()
    made.put_unheard("direct/old")
    with made:
        made.catch_up(fail)
        made.received(0)
        made.put("direct/new")
        assert made.keys(1) == ["direct/new"]
    assert "no table" in capfd.readouterr().err


def test_test_event_is_sent_once_for_a_queue_and_again_after_a_change(case, tmp_path):
    with (
        StateFolder(tmp_path / "state") as state,
        case(told("a/"), told("b/"), told("c/", queue="Other")) as made,
    ):
        made.bridge.announce(state)
        (body,) = made.received(1)
        made.received(1, "Other")
        made.bridge.announce(state)
        made.received(0)
        with case(told("d/")) as changed:
            changed.bridge.announce(state)
            changed.received(1)
    assert (body["Event"], body["Bucket"]) == ("s3:TestEvent", made.bucket)
    assert shape(body) == shape(sample("s3-test-event"))


def test_delayed_event_waits(case):
    with case(delay=1.5) as made:
        made.put("direct/a")
        made.received(0)
        made.received(1)


def test_events_are_repeated_and_lost_as_planned(case):
    with case(duplicate=0.5, drop=0.25, seed=3) as made:
        keys = [f"direct/{number}" for number in range(12)]
        made.put(*keys)
        plan = Disturbance(duplicate=0.5, drop=0.25, seed=3)
        expected = sorted(key for key in keys for _ in plan.plan(f"{made.bucket}/{key}", 1))
        assert {expected.count(key) for key in keys} == {0, 1, 2}
        bodies = made.received(len(expected))
    assert sorted(record["s3"]["object"]["key"] for record in records(bodies)) == expected
    # A repeated event tells of the same moment.
    moments = {
        (record["s3"]["object"]["key"], record["s3"]["object"]["sequencer"]) for record in records(bodies)
    }
    assert len(moments) == len(set(expected))


def test_events_overtake_each_other(case):
    with case(reorder=True, seed=1) as made:
        made.put(*(f"direct/{number}" for number in range(8)))
        came = [record["s3"]["object"]["key"] for record in records(made.received(8))]
    assert came != sorted(came)


def plans(**settings):
    return [Disturbance(**settings).plan(f"key {number}", 1) for number in range(1000)]


def test_plan_depends_on_the_seed_alone():
    settings = {"delay": 1, "duplicate": 0.5, "reorder": True, "drop": 0.1}
    assert plans(**settings, seed=7) == plans(**settings, seed=7)
    assert plans(**settings, seed=7) != plans(**settings, seed=8)
    # The same in every process, on every machine.
    assert [len(plan) for plan in plans(**settings, seed=7)[:6]] == PLANNED
    plan = Disturbance(duplicate=0.5).plan
    assert len({len(plan("a key that comes again", time)) for time in range(20)}) == 2


PLANNED = [2, 1, 1, 1, 1, 2]


def test_plan_has_the_shares_that_were_asked_for():
    assert plans() == [[0.0]] * 1000
    assert plans(drop=1, duplicate=1) == [[]] * 1000
    assert plans(duplicate=1, delay=2) == [[2.0, 2.0]] * 1000
    assert 60 < sum(not plan for plan in plans(drop=0.1)) < 140
    assert 440 < sum(len(plan) == 2 for plan in plans(duplicate=0.5)) < 560
    delays = [plan[0] for plan in plans(reorder=True, delay=2)]
    assert 2 <= min(delays) < 2.1
    assert 2.9 < max(delays) <= 3


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {}),
        (
            "delay=2,duplicate=0.5,reorder,drop=0.1,seed=7",
            {"delay": 2.0, "duplicate": 0.5, "reorder": True, "drop": 0.1, "seed": 7},
        ),
        ("drop=1", {"drop": 1.0}),
    ],
)
def test_disturbance_is_read(text, settings):
    assert Disturbance.parse(text) == Disturbance(**settings)


@pytest.mark.parametrize(
    "text",
    [
        "delay",
        "delay=",
        "delay=-1",
        "delay=inf",
        "delay=nan",
        "drop=1.1",
        "duplicate=-0.1",
        "reorder=1",
        "seed=x",
        "seed=-1",
        "lose=0.1",
        "drop=0.1 delay=1",
        "drop=0.1,drop=0.2",
    ],
)
def test_disturbance_that_is_none_is_an_error(text):
    with pytest.raises(ValueError, match="S3_EVENTS"):
        Disturbance.parse(text)


def test_start_with_a_disturbance_that_is_none_says_so(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-m", "local"],
        cwd=ROOT,
        env={**os.environ, "PORT": "0", "STATE": str(tmp_path / "state"), "S3_EVENTS": "lose=all"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("moorage: S3_EVENTS cannot hold lose=all")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "configuration",
    [
        {"LambdaConfigurations": [{"Event": "s3:ObjectCreated:*", "Function": "arn"}]},
        {"TopicConfigurations": []},
        {"EventBridgeConfiguration": {}},
        {"QueueConfigurations": [told(event="s3:ObjectRemoved:*")]},
        {"QueueConfigurations": [told() | {"Queue": "arn:aws:sqs:us-east-1:000000000000:elsewhere"}]},
        {
            "QueueConfigurations": [
                told() | {"Filter": {"S3Key": {"Rules": [{"Name": "infix", "Value": "a"}]}}}
            ]
        },
        {"QueueConfigurations": [told() | {"Filter": {"Tags": []}}]},
        {"QueueConfigurations": [told("a/"), told("a/b/", queue="Other")]},
        {"QueueConfigurations": [told("a/", ".b"), told("a/")]},
    ],
    ids=str,
)
def test_notification_that_is_not_understood_is_an_error(configuration):
    made = stack("wrong", **({"QueueConfigurations": []} | configuration))
    with pytest.raises(TemplateError, match="told"):
        s3_events.notifications(made)


@pytest.mark.parametrize(
    "configurations",
    [
        [told("a/"), told("b/")],
        [told("a/", ".b"), told("a/", ".c")],
        [told(event="s3:ObjectCreated:Put"), told(event="s3:ObjectCreated:CompleteMultipartUpload")],
    ],
    ids=str,
)
def test_notifications_that_share_nothing_may_stand_side_by_side(configurations):
    assert len(s3_events.notifications(stack("right", *configurations))) == 2


def entry(**changes):
    attributes = {"file_size": 3, "mtime": 5, "md5": "x"}
    return {"name": "a", "attributes": attributes, "extended": {"Seaweed-X-Amz-ETag": "YWJj"}} | changes


@pytest.mark.parametrize(
    ("key", "entry_"),
    [
        ("/buckets/b", entry(is_directory=True)),
        ("/buckets/b/folder", entry(is_directory=True)),
        ("/buckets/b/.uploads/1/0001.part", entry()),
        ("/buckets/.system/owners/b", entry()),
        ("/etc/b/a", entry()),
    ],
)
def test_what_is_no_object_is_not_told(key, entry_):
    assert stored_object({"key": key, "message": {"new_entry": entry_}}) is None


def test_object_without_content_is_of_its_second():
    event = {"key": "/buckets/b/a/b", "message": {"new_entry": entry()}}
    assert stored_object(event) == StoredObject("b", "a/b", 3, "abc", 5_000_000_000)


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer wrong"])
def test_webhook_takes_nothing_from_strangers(hooked, token):
    http = urllib3.PoolManager(retries=False, timeout=10)
    url = f"http://127.0.0.1:{ports.number(hooked.webhook._listener)}/"
    forged = {"key": "/buckets/forged/a", "message": {}}
    answer = http.request("POST", url, json=forged, headers={"Authorization": token})
    assert answer.status == 403
    assert forged not in hooked.events
