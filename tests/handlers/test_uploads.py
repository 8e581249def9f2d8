"""Uploads past the functions, over the emulators: signed paths, presigned URLs, the store's events, the sweep."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote, quote_plus

import pytest
import urllib3

from local import aws
from local.emulators import Emulators
from moorage.adapters.dynamodb import DynamoTable, connect_table
from moorage.domain.blobs import Way
from moorage.domain.digests import Digest
from moorage.domain.names import Repository
from moorage.domain.sessions import SESSION_LIFETIME, UploadSession
from tests.contract.conftest import environment_of
from tests.handlers.conftest import Answer, Functions, event
from tests.handlers.prepared import COUNTING, HOST, Counted, basic, prepare

APP = Repository("demo", "app")
V2 = "/v2/demo/app"
PROOF = "the-front-doors-own-secret"
FRONT_DOOR = {
    "x-moorage-front-door": PROOF,
    "x-moorage-host": "registry.example",
    "user-agent": "containerd/2.1.9",
}
READ, QUERY, WRITE, TRANSACT = (
    f"dynamodb.{name}" for name in ("GetItem", "Query", "PutItem", "TransactWriteItems")
)
LIST, S3_HEAD = "s3.ListObjectsV2", "s3.HeadObject"
MEBIBYTE = 1024 * 1024


class Patient(Counted):
    """Functions with as much time as those that the queue and the schedule call."""

    program: ClassVar[str] = COUNTING.replace("10_000", "900_000")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Stack:
    """Functions behind a front door, the stores below them, and a token for everything in ``demo/app``."""

    functions: Patient
    emulators: Emulators
    queue_url: str
    bearer: dict[str, str]
    table: DynamoTable
    s3: Any
    sqs: Any
    bucket: str = field(init=False)

    def __post_init__(self) -> None:
        self.bucket = self.functions.settings["BUCKET_NAME"]

    def __call__(self, method: str, target: str, body: bytes = b"", /, **headers: str) -> Answer:
        return self.functions.http(method, target, self.bearer | headers, body)

    def json(self, method: str, target: str, status: int, **asked: Any) -> Any:
        answer = self(method, target, json.dumps(asked).encode())
        assert answer.status == status, answer.body
        return answer.json()

    def held(self, content: bytes) -> bool:
        """Whether the repository has the blob linked: a question that settles nothing."""
        return self.table.find_link(APP, Digest.of(content)) is not None

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [each["Key"] for each in found.get("Contents", ())]

    def open_direct(self) -> str:
        """An upload that goes to the front door; its session."""
        answer = self("POST", f"{V2}/blobs/uploads/", b"", **FRONT_DOOR)
        assert answer.status == 202, answer.body
        location = answer.headers["location"]
        assert location.startswith(f"{V2}/blobs/uploads/_direct/")
        return str(location.split("/")[-2])

    def put_direct(self, session_id: str, content: bytes, named: bytes | None = None) -> str:
        """What the front door makes of a PUT to a signed path; the key."""
        digest = sha256(content if named is None else named)
        record = self.table.find_repository(APP)
        assert record is not None
        key = f"direct/{digest[:2]}/{record.id}/{digest}/{session_id}"
        proof = {"ChecksumSHA256": base64.b64encode(bytes.fromhex(digest)).decode()} if named is None else {}
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content, **proof)
        return key

    def deliver(self, *bodies: str) -> list[str]:
        """Messages with these bodies through the real queue, given to the finalizer; ids of what failed."""
        records = []
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)
            (message,) = self.sqs.receive_message(QueueUrl=self.queue_url)["Messages"]
            record = event("sqs-s3-events")["Records"][0]
            record |= {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
            }
            record["attributes"] |= {"ApproximateReceiveCount": "1"}
            records.append(record)
        answer = self.functions.invoke("upload_finalizer", {"Records": records})
        assert answer.keys() == {"batchItemFailures"}
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        return [record["body"] for record in records if record["messageId"] in failed]

    def stored(self, key: str) -> str:
        """S3's event about an object."""
        told = self.ours(event("s3-object-created"))
        told["Records"][0]["s3"]["object"]["key"] = quote_plus(key)
        return json.dumps(told)

    def ours(self, told: Any) -> Any:
        """An event of the folder, about this bucket."""
        theirs = event("s3-object-created")["Records"][0]["s3"]["bucket"]["name"]
        return json.loads(json.dumps(told).replace(theirs, self.bucket))

    def waiting(self) -> int:
        """How many messages would be received now."""
        asked = ["ApproximateNumberOfMessages"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=asked)
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])


@pytest.fixture(scope="module")
def stack(functions: Functions, emulators: Emulators) -> Iterator[Stack]:
    keys = prepare(functions)
    sqs = aws.client(emulators, "sqs")
    url = sqs.create_queue(QueueName=f"h-{uuid.uuid4()}", Attributes={"VisibilityTimeout": "900"})["QueueUrl"]
    patient = Patient(
        functions.settings | {"FRONT_DOOR": PROOF, "QUEUE_URL": url, "S3_ADDRESSING_STYLE": "path"}
    )
    try:
        answer = patient.http(
            "GET", f"/token?scope={quote('repository:demo/app:*')}", basic(keys["demo"]), function="token"
        )
        bearer = {"authorization": f"Bearer {answer.json()['token']}"}
        with environment_of(emulators):
            table = connect_table(functions.settings["TABLE_NAME"])
            table.find_repository(APP)
        s3 = aws.client(emulators, "s3")
        yield Stack(patient, emulators, url, bearer, table, s3, sqs)
    finally:
        patient.stop()
        sqs.delete_queue(QueueUrl=url)


# ------------------------------------------------------------------ what a request costs
def test_opening_a_direct_upload_reads_the_key_once(stack: Stack) -> None:
    stack("POST", f"{V2}/blobs/uploads/")
    # This environment has verified a token, made the repository and signed nothing so far.
    stack.open_direct()
    assert stack.functions.sent == [READ, WRITE, READ, "ssm.GetParameter"]
    for _ in range(2):
        stack.open_direct()
        assert stack.functions.sent == [READ, WRITE]


def test_looking_for_an_absent_blob_asks_once_for_each_way(stack: Stack) -> None:
    stack("POST", f"{V2}/blobs/uploads/")
    answer = stack("HEAD", f"{V2}/blobs/sha256:{sha256(b'absent')}")
    assert answer.status == 404
    assert stack.functions.sent == [READ, READ, *[LIST] * 3, READ]


def test_finalizing_one_event_costs_this(stack: Stack) -> None:
    key = stack.put_direct(stack.open_direct(), b"one event")
    assert stack.deliver(stack.stored(key)) == []
    linking = [READ, WRITE, WRITE, READ, TRANSACT, WRITE]
    # The repository by its id and its name, the session, the object; then what the organisation has of it.
    assert stack.functions.sent == [READ, READ, READ, S3_HEAD, *linking]
    assert stack.deliver(stack.stored(key)) == []
    assert stack.functions.sent == [READ, READ, READ, READ]


# ------------------------------------------------------------------ events
def test_what_went_straight_to_the_store_is_a_blob_after_its_event(stack: Stack) -> None:
    content = b"straight to the store"
    key = stack.put_direct(stack.open_direct(), content)
    assert not stack.held(content)
    assert stack.deliver(stack.stored(key)) == []
    assert stack.held(content)
    head = stack("HEAD", f"{V2}/blobs/sha256:{sha256(content)}")
    assert (head.status, head.headers["content-length"]) == (200, str(len(content)))
    assert stack.functions.sent == [READ]


def test_a_client_may_be_faster_than_the_event(stack: Stack) -> None:
    content = b"faster than the event"
    key = stack.put_direct(stack.open_direct(), content)
    assert stack("HEAD", f"{V2}/blobs/sha256:{sha256(content)}").status == 200
    assert stack.deliver(stack.stored(key), stack.stored(key)) == []
    assert stack.keys(key) == [key]
    assert stack.held(content)


def test_one_presigned_put_from_beginning_to_end(stack: Stack) -> None:
    content = b"one presigned PUT"
    digest = f"sha256:{sha256(content)}"
    begun = stack.json("POST", f"{V2}/blobs/uploads/_presigned/", 201, digest=digest, size=len(content))
    location = f"{V2}/blobs/uploads/_presigned/{begun['id']}"
    wrong = urllib3.request(
        "PUT", begun["put"]["url"], body=b"x" * len(content), headers=begun["put"]["headers"]
    )
    assert wrong.status == 400
    assert urllib3.request("PUT", begun["put"]["url"], body=content).status == 403
    put = urllib3.request("PUT", begun["put"]["url"], body=content, headers=begun["put"]["headers"])
    assert put.status == 200
    (key,) = stack.keys(f"presigned/{digest[7:9]}/")
    assert stack.deliver(stack.stored(key)) == []
    assert stack.json("GET", location, 200)["state"] == "linked"
    assert stack.json("POST", f"{location}/complete", 201)["state"] == "linked"


@pytest.mark.parametrize("right", [True, False])
def test_presigned_parts_from_beginning_to_end(stack: Stack, right: bool) -> None:
    content = b"%d" % right + b"a" * 5 * MEBIBYTE + b"b"
    digest = f"sha256:{sha256(content)}"
    begun = stack.json(
        "POST",
        f"{V2}/blobs/uploads/_presigned/",
        201,
        digest=digest,
        size=len(content),
        partSize=5 * MEBIBYTE,
    )
    location = f"{V2}/blobs/uploads/_presigned/{begun['id']}"
    assert [part["number"] for part in begun["parts"]] == [1, 2]
    sent = content if right else content[:-1] + b"c"
    for part in begun["parts"]:
        start = (part["number"] - 1) * begun["partSize"]
        answer = urllib3.request("PUT", part["url"], body=sent[start : start + part["size"]])
        assert answer.status == 200, answer.data
    resumed = stack.json("GET", location, 200)
    assert [part["stored"] for part in resumed["parts"]] == [True, True]
    completed = stack("POST", f"{location}/complete")
    (key,) = stack.keys(f"presigned/{digest[7:9]}/")
    if right:
        assert completed.status == 201, completed.body
        assert stack.deliver(stack.stored(key)) == []
        assert stack.held(content)
    else:
        assert (completed.status, completed.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")
        assert stack.deliver(stack.stored(key)) == []
        assert stack.keys(key) == []
        assert stack.json("GET", location, 200)["state"] == "failed"


def test_what_the_store_has_no_proof_of_is_read_by_the_finalizer(stack: Stack) -> None:
    content = b"without a checksum"
    key = stack.put_direct(stack.open_direct(), content, named=content)
    assert stack.deliver(stack.stored(key)) == []
    assert stack.held(content)
    assert "s3.GetObject" in stack.functions.sent


def test_other_content_is_removed(stack: Stack) -> None:
    session_id = stack.open_direct()
    key = stack.put_direct(session_id, b"other content", named=b"announced content")
    assert stack.deliver(stack.stored(key)) == []
    assert stack.keys(key) == []
    assert not stack.held(b"announced content")
    session = stack.table.find_session(APP, session_id)
    assert session is not None
    assert session.state == "failed"


def test_what_comes_after_a_cancellation_is_removed(stack: Stack) -> None:
    session_id = stack.open_direct()
    assert stack("DELETE", f"{V2}/blobs/uploads/{session_id}").status == 204
    key = stack.put_direct(session_id, b"after the cancellation")
    assert stack.deliver(stack.stored(key)) == []
    assert stack.keys(key) == []


def test_the_events_of_the_folder_are_of_nobodys_objects_and_the_test_event_is_of_none(stack: Stack) -> None:
    told = json.dumps(event("s3-test-event"))
    assert stack.deliver(told) == []
    assert stack.functions.sent == []
    assert stack.deliver(json.dumps(stack.ours(event("s3-object-created")))) == []
    foreign = stack.stored("manifests/ab/x/y")
    assert stack.deliver(foreign) == []
    assert stack.functions.sent == []
    batch = stack.ours(event("sqs-s3-events"))
    assert stack.functions.invoke("upload_finalizer", batch) == {"batchItemFailures": []}


def test_an_event_of_a_bucket_that_belongs_to_no_store_fails_and_touches_nothing(stack: Stack) -> None:
    theirs = json.dumps(event("s3-object-created"))
    assert stack.deliver(theirs) == [theirs]
    assert stack.functions.sent == ["sqs.ChangeMessageVisibility"]


def test_messages_that_fail_are_named_and_handed_back_and_the_others_are_done(stack: Stack) -> None:
    content = b"beside a bad message"
    key = stack.put_direct(stack.open_direct(), content)
    before = stack.waiting()
    assert stack.deliver("no event", stack.stored(key), '{"Records": [{}]}') == [
        "no event",
        '{"Records": [{}]}',
    ]
    assert stack.functions.sent.count("sqs.ChangeMessageVisibility") == 2
    assert stack.held(content)
    # They come back after a pause.
    assert stack.waiting() == before


def test_while_the_table_is_away_the_message_fails_and_the_object_stays(stack: Stack) -> None:
    key = stack.put_direct(stack.open_direct(), b"while the table is away")
    apart = Patient(stack.functions.settings | {"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1"})
    here, stack.functions = stack.functions, apart
    try:
        assert stack.deliver(stack.stored(key)) == [stack.stored(key)]
    finally:
        stack.functions = here
        apart.stop()
    assert stack.keys(key) == [key]
    assert stack.deliver(stack.stored(key)) == []
    assert stack.held(b"while the table is away")


# ------------------------------------------------------------------ the sweep
def expired(stack: Stack, way: Way, repository: Repository = APP) -> UploadSession:
    """A session whose time is over, as it was opened the day before."""
    record = stack.table.find_repository(repository)
    assert record is not None
    opened = datetime.now(UTC) - timedelta(days=1)
    session = UploadSession(
        uuid.uuid4().hex,
        repository,
        record.id,
        "/org/demo/serviceaccount/robot",
        opened,
        opened + SESSION_LIFETIME,
        way=way,
    )
    stack.table.create_session(session)
    return session


def test_a_sweep_ends_what_is_over_and_a_dry_run_tells_what_it_would_do(stack: Stack) -> None:
    content = b"left behind"
    stack("POST", f"{V2}/blobs/uploads/")
    direct, api = expired(stack, Way.DIRECT), expired(stack, Way.API)
    key = stack.put_direct(direct.id, content)
    chunk = f"chunks/{api.repository_id}/{api.id}/000000000000-1"
    stack.s3.put_object(Bucket=stack.bucket, Key=chunk, Body=b"chunk")
    kept = stack.put_direct(stack.open_direct(), b"of an upload that goes on")
    told = stack.functions.invoke("sweeper", {"action": "dry-run"})
    assert told == {"sessions": 2, "objects": 2, "failed": 0, "jobs": 0, "dryRun": True}
    assert not {"dynamodb.UpdateItem", "dynamodb.DeleteItem", "s3.DeleteObjects"} & set(stack.functions.sent)
    assert stack.keys(key) == [key]
    done = stack.functions.invoke("sweeper", event("schedule"))
    assert done == told | {"dryRun": False}
    assert stack.keys(key) + stack.keys(chunk) == []
    assert [stack.table.find_session(APP, session.id) for session in (direct, api)] == [None, None]
    assert stack.keys(kept) == [kept]
    assert stack.functions.invoke("sweeper", event("schedule")) == {
        "sessions": 0,
        "objects": 0,
        "failed": 0,
        "jobs": 0,
        "dryRun": False,
    }
    # One question for each shard of the jobs and of the sessions, and none about objects.
    assert stack.functions.sent == [QUERY] * 32


def test_a_blob_that_was_linked_is_not_swept(stack: Stack) -> None:
    content = b"linked at the last moment"
    session = expired(stack, Way.DIRECT)
    key = stack.put_direct(session.id, content)
    assert stack.deliver(stack.stored(key)) == []
    assert stack.functions.invoke("sweeper", event("schedule"))["sessions"] == 0
    assert stack.held(content)
    assert stack.keys(key) == [key]


def test_the_host_that_the_front_door_names_is_in_the_challenge(stack: Stack) -> None:
    named = stack.functions.http("GET", "/v2/", FRONT_DOOR).headers["www-authenticate"]
    assert 'service="registry.example"' in named
    forged = stack.functions.http("GET", "/v2/", FRONT_DOOR | {"x-moorage-front-door": "x"})
    assert f'service="{HOST}"' in forged.headers["www-authenticate"]
