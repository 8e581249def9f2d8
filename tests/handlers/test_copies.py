"""Copies as Lambda makes them, over the emulators: the request, the worker and its messages, the sweeper."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote

import pytest

from local import aws
from local.emulators import Emulators
from moorage.adapters.dynamodb import DynamoTable, connect_table
from moorage.domain.digests import Digest
from moorage.domain.jobs import (
    LEASE,
    OVERDUE,
    CopyItem,
    CopyJob,
    CopyOrder,
    document_key,
    new_job_id,
)
from moorage.domain.names import Repository
from moorage.web.queue import MAX_DEFERRALS
from tests.contract.conftest import environment_of
from tests.handlers.conftest import Answer, Functions, event
from tests.handlers.prepared import COUNTING, Counted, basic, prepare

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
GENERATIONS = 5
READ, QUERY, UPDATE = (f"dynamodb.{name}" for name in ("GetItem", "Query", "UpdateItem"))
VISIBILITY = "sqs.ChangeMessageVisibility"
PUT_OBJECT = "s3.PutObject"


class Worked(Counted):
    """Functions with as much time as the queue and the schedule give them."""

    program: ClassVar[str] = COUNTING.replace("10_000", "900_000")


@dataclass
class Stack:
    """The functions, the stores below them, a queue, and a key for everything in ``demo``."""

    functions: Worked
    key: str
    bearer: dict[str, str]
    table: DynamoTable
    s3: Any
    sqs: Any
    queue_url: str

    def push(self, repository: str, *contents: bytes, tag: str, depth: int = 0) -> str:
        """An image of these blobs, in so many indexes, one in the other; the digest of the outermost."""
        described = []
        for content in contents:
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            path = f"/v2/{repository}/blobs/uploads/?digest={digest}"
            assert self._registry("POST", path, content).status == 201
            described.append({"mediaType": "x/y", "digest": digest, "size": len(content)})
        made = self._manifest(repository, MANIFEST, tag, config=described[0], layers=described[1:])
        for _ in range(depth):
            made = self._manifest(repository, INDEX, tag, manifests=[made])
        return str(made["digest"])

    def copy(self, reference: str, headers: dict[str, str] | None = None, **wish: Any) -> Answer:
        """The answer to a request for a copy."""
        return self.functions.http(
            "POST",
            f"/org/demo/image/{reference}/-copy",
            {"authorization": f"Bearer {self.key}", "content-type": "application/json"} | (headers or {}),
            json.dumps(wish).encode(),
            function="management",
        )

    def deliver(self, job_id: str, attempt: int = 1) -> list[str]:
        """The event of a job's document, through a real queue; ids of what failed."""
        told = event("sqs-job-events")
        record = told["Records"][0]
        body = json.loads(record["body"])
        body["Records"][0]["s3"]["object"]["key"] = document_key(job_id)
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=json.dumps(body))
        (message,) = self.sqs.receive_message(QueueUrl=self.queue_url)["Messages"]
        record |= {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
        }
        record["attributes"] |= {"ApproximateReceiveCount": str(attempt)}
        answer = self.functions.invoke("copy_worker", told)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def documents(self) -> list[str]:
        """The documents in the bucket, which are removed."""
        bucket = self.functions.settings["BUCKET_NAME"]
        found = self.s3.list_objects_v2(Bucket=bucket, Prefix="jobs/").get("Contents", ())
        for each in found:
            self.s3.delete_object(Bucket=bucket, Key=each["Key"])
        return [each["Key"] for each in found]

    def tag(self, repository: Repository, tag: str) -> str | None:
        found = self.table.find_tag(repository, tag)
        return None if found is None else str(found)

    def job(self, job_id: str) -> CopyJob:
        found = self.table.find_job(job_id, datetime.now(UTC))
        assert found is not None
        return found

    def _registry(self, method: str, path: str, body: bytes, **headers: str) -> Answer:
        return self.functions.http(method, path, self.bearer | headers, body)

    def _manifest(self, repository: str, media_type: str, tag: str, **content: Any) -> dict[str, Any]:
        body = json.dumps({"schemaVersion": 2, "mediaType": media_type, **content}).encode()
        path = f"/v2/{repository}/manifests/{tag}"
        put = self._registry("PUT", path, body, **{"content-type": media_type})
        assert put.status == 201, put.body
        return {"mediaType": media_type, "digest": put.headers["docker-content-digest"], "size": len(body)}


@pytest.fixture(scope="module")
def stack(functions: Functions, emulators: Emulators) -> Iterator[Stack]:
    keys = prepare(functions)
    sqs = aws.client(emulators, "sqs")
    url = sqs.create_queue(QueueName=f"h-{uuid.uuid4()}", Attributes={"VisibilityTimeout": "5400"})[
        "QueueUrl"
    ]
    worked = Worked(
        functions.settings | {"QUEUE_URL": url, "SLICE_SECONDS": "0", "S3_ADDRESSING_STYLE": "path"}
    )
    try:
        scope = quote("repository:demo/app:*")
        answer = worked.http("GET", f"/token?scope={scope}", basic(keys["demo"]), function="token")
        bearer = {"authorization": f"Bearer {answer.json()['token']}"}
        with environment_of(emulators):
            table = connect_table(functions.settings["TABLE_NAME"])
            table.find_repository(Repository("demo", "app"))
        s3 = aws.client(emulators, "s3")
        yield Stack(worked, keys["demo"], bearer, table, s3, sqs, url)
    finally:
        worked.stop()
        sqs.delete_queue(QueueUrl=url)


def test_event_of_the_folder_is_about_no_job_of_this_table(stack: Stack) -> None:
    assert stack.functions.invoke("copy_worker", event("sqs-job-events")) == {"batchItemFailures": []}
    # Its receipt is none of the queue's: the message is processed all the same, which is one question.
    assert stack.functions.sent == [VISIBILITY, READ]


def test_a_copy_goes_on_slice_by_slice_until_it_is_made(stack: Stack) -> None:
    digest = stack.push("demo/app", b"{}", b"layer", tag="v1", depth=GENERATIONS)
    answer = stack.copy("app:v1", destinationOrg="demo", destinationName="copied")
    assert answer.status == 202, answer.body
    job_id = answer.json()["id"]
    copied = Repository("demo", "copied")
    # A slice without time does one group of work: the blobs, and then a generation of manifests each.
    for number in range(1, 1 + GENERATIONS + 1):
        assert stack.documents() == [document_key(job_id)]
        assert stack.deliver(job_id) == []
        assert (stack.job(job_id).state, stack.job(job_id).rounds) == ("running", number)
        # The document is written again when the job is free.
        assert stack.functions.sent[-2:] == [UPDATE, PUT_OBJECT]
        assert not stack.job(job_id).is_taken(datetime.now(UTC))
        assert stack.tag(copied, "v1") is None
    for _ in range(3):
        if stack.job(job_id).state.is_open:
            stack.documents()
            assert stack.deliver(job_id) == []
    assert stack.job(job_id).state == "succeeded"
    assert stack.documents() == []
    assert stack.tag(copied, "v1") == digest
    # An event that comes once more finds nothing to do.
    assert stack.deliver(job_id) == []
    assert stack.functions.sent == [VISIBILITY, READ]


def test_a_message_is_kept_from_the_first_request_on(stack: Stack) -> None:
    stack.push("demo/app", b"{}", b"kept", tag="kept")
    job_id = stack.copy("app:kept", destinationOrg="demo", destinationName="kept").json()["id"]
    assert stack.deliver(job_id) == []
    assert stack.functions.sent[0] == VISIBILITY
    asked = ["ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessages"]
    counts = stack.sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=asked)["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == "0"


def _waiting(stack: Stack) -> CopyJob:
    """A job that nobody has begun."""
    now = datetime.now(UTC)
    app = Repository("demo", "app")
    order = CopyOrder("/org/demo/serviceaccount/robot", app, Repository("demo", "none"), "v1", 1)
    job = CopyJob(new_job_id(), order, now, now)
    return stack.table.create_job(job, [CopyItem(Digest.of(b"none"), "v1")], None)


def test_a_job_that_another_worker_has_is_deferred_and_in_the_end_let_go(stack: Stack) -> None:
    job = _waiting(stack)
    taken = stack.table.take_job(job, "another", datetime.now(UTC))
    assert taken is not None
    for attempt in range(1, MAX_DEFERRALS + 1):
        assert len(stack.deliver(job.id, attempt)) == 1
        assert stack.functions.sent.count(VISIBILITY) == 2
    assert stack.deliver(job.id, MAX_DEFERRALS + 1) == []
    assert stack.job(job.id) == taken
    # When that worker has been silent for the time of a lease, the job is the next one's.
    long_ago = datetime.now(UTC) - LEASE - timedelta(seconds=1)
    assert stack.table.save_progress(taken, taken.progress, long_ago) is not None
    assert stack.deliver(job.id) == []
    failed = stack.job(job.id)
    assert (failed.state, failed.rounds) == ("failed", 2)
    assert failed.reason is not None
    assert "deleted at the source" in failed.reason


def test_while_the_table_is_away_the_message_fails(stack: Stack) -> None:
    apart = Worked(stack.functions.settings | {"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1"})
    job = _waiting(stack)
    here, stack.functions = stack.functions, apart
    try:
        assert len(stack.deliver(job.id)) == 1
    finally:
        stack.functions = here
        apart.stop()
    assert stack.job(job.id) == job


def test_the_sweeper_begins_again_what_nobody_has_begun_for_a_while(stack: Stack) -> None:
    now = datetime.now(UTC)
    stack.documents()
    _waiting(stack)
    order = _waiting(stack).order
    before = now - OVERDUE - timedelta(seconds=1)
    lost = stack.table.create_job(
        CopyJob(new_job_id(), order, before, before), [CopyItem(Digest.of(b"none"), "v1")], None
    )
    told = stack.functions.invoke("sweeper", {"action": "dry-run"})
    assert (told["jobs"], stack.documents()) == (1, [])
    done = stack.functions.invoke("sweeper", event("schedule"))
    assert (done["jobs"], stack.documents()) == (1, [document_key(lost.id)])
    # The shards, the job as it is, and its document: nothing else that costs anything.
    assert stack.functions.sent[:18] == [*[QUERY] * 16, READ, PUT_OBJECT]
    assert stack.deliver(lost.id) == []
    assert stack.functions.invoke("sweeper", event("schedule"))["jobs"] == 0
