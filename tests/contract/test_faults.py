"""A dependency that fails is an ``Unavailable``, soon: never an absence, never data, never its own error."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
import socket
import threading
import time
import traceback
from typing import Any

import pytest

from moorage import ports
from moorage.adapters import aws
from moorage.adapters.aws import Patience
from moorage.adapters.dynamodb import connect_table
from moorage.adapters.dynamodb import table as dynamodb_table
from moorage.adapters.s3 import Bucket, connect_storage
from moorage.adapters.stores import connect_stores
from moorage.domain.errors import DigestMismatch, Throttled, Unavailable, WriteConflict
from moorage.domain.image_lists import Order
from moorage.domain.jobs import JobState, Progress
from moorage.domain.resources import Kind
from moorage.domain.sessions import Chunk
from moorage.ports import ObjectHead, ObjectPlace, Part, RepositoryRecord, ResourceName
from tests.contract.faults import (
    Answer,
    cancelled,
    dynamodb_answer,
    dynamodb_error,
    faulty_server,
    hang_until,
    s3_error,
)
from tests.contract.job_samples import item, job, request
from tests.contract.samples import (
    APP,
    NOW,
    ROBOT,
    account_key,
    digest,
    group,
    image,
    link,
    manifest,
    point,
    policy,
    record,
    referrer,
    session,
    stored,
)

ONCE = Patience(connect_seconds=0.6, read_seconds=0.6, attempts=1, upload_seconds=0.6)
D = digest("a")

TABLE_CALLS = {
    "find_repository": lambda t: t.find_repository(APP),
    "create_repository": lambda t: t.create_repository(RepositoryRecord(APP, "one", NOW)),
    "find_repository_by_id": lambda t: t.find_repository_by_id("one"),
    "find_manifest": lambda t: t.find_manifest(APP, D),
    "find_manifests": lambda t: t.find_manifests(APP, [D]),
    "read_manifests": lambda t: t.read_manifests(APP, [D]),
    "put_manifest": lambda t: t.put_manifest(
        APP, manifest("a", subject=D), repository_id="one", uses=[D], referrer=referrer(D, "a")
    ),
    "find_tag": lambda t: t.find_tag(APP, "v1"),
    "put_tags": lambda t: point(t, APP, "v1", D, NOW),
    "delete_tag": lambda t: t.delete_tag(APP, "v1"),
    "delete_manifest": lambda t: t.delete_manifest(APP, D),
    "tags_after": lambda t: t.tags_after(APP, None, 10),
    "tags_of": lambda t: t.tags_of(APP, D),
    "users_of": lambda t: t.users_of(APP, D),
    "referrers": lambda t: t.referrers(APP, D, artifact_type=None, after=None),
    "find_image": lambda t: t.find_image(APP, "v1"),
    "find_images": lambda t: t.find_images([(APP, "v1")]),
    "images_of": lambda t: t.images_of("demo", Order(), None, 10),
    "images_of_repository": lambda t: t.images_of_repository(APP, descending=False, after=None, limit=10),
    "newest_images": lambda t: t.newest_images(APP, 1),
    "replace_metadata": lambda t: t.replace_metadata(image("v1"), {}, NOW),
    "delete_image": lambda t: t.delete_image(image("v1")),
    "has_images": lambda t: t.has_images("demo"),
    "find_link": lambda t: t.find_link(APP, D),
    "find_links": lambda t: t.find_links(APP, [D]),
    "add_copy": lambda t: t.add_copy(stored("api/a"), "demo", digest("a"), instead_of=None),
    "add_object": lambda t: t.add_object(stored("api/a")),
    "find_object": lambda t: t.find_object("api/a"),
    "remove_object": lambda t: t.remove_object("api/a"),
    "add_reference": lambda t: t.add_reference("api/a", APP, D),
    "references": lambda t: t.references("api/a", 10),
    "put_link": lambda t: t.put_link(link("a"), repository_id="repository-id", closing=session()),
    "remove_link": lambda t: t.remove_link(APP, D),
    "find_organisation_blob": lambda t: t.find_organisation_blob("demo", D),
    "put_organisation_blob": lambda t: t.put_organisation_blob("demo", link("a")),
    "create_session": lambda t: t.create_session(session()),
    "find_session": lambda t: t.find_session(APP, "4f2a"),
    "append_chunk": lambda t: t.append_chunk(session(), Chunk("chunks/1", 1)),
    "delete_session": lambda t: t.delete_session(session()),
    "fail_session": lambda t: t.fail_session(session(), "another digest"),
    "expired_sessions": lambda t: t.expired_sessions(NOW, 10),
    "expire_session": lambda t: t.expire_session(session()),
    "remove_ended_session": lambda t: t.remove_ended_session(session()),
    "create_organisation": lambda t: t.create_organisation(
        record(Kind.ORG, "demo"), [group("viewers", ROBOT.link)]
    ),
    "find": lambda t: t.find(Kind.ORG, "demo", "demo"),
    "find_many": lambda t: t.find_many([ResourceName(Kind.GROUP, "demo", "viewers")]),
    "page": lambda t: t.page(Kind.GROUP, "demo", None, 10),
    "create": lambda t: t.create(policy("pullers", ROBOT.link)),
    "replace": lambda t: t.replace(policy("pullers", ROBOT.link), policy("pullers", version=2)),
    "delete": lambda t: t.delete(policy("pullers", ROBOT.link)),
    "check_write": lambda t: t.check_write(None, policy("pullers", ROBOT.link)),
    "group_hints": lambda t: t.group_hints(ROBOT.link),
    "query_group_hints": lambda t: t.query_group_hints("demo"),
    "policy_hints": lambda t: t.policy_hints([ROBOT.link], Kind.IMAGE, "demo"),
    "begin_removal": lambda t: t.begin_removal("demo", NOW),
    "end_removal": lambda t: t.end_removal("demo"),
    "end_repositories": lambda t: t.end_repositories("demo", 10),
    "ended_repositories": lambda t: t.ended_repositories("demo", None, 10),
    "remove_contents": lambda t: t.remove_contents(APP, 10),
    "remove_organisation_blobs": lambda t: t.remove_organisation_blobs("demo", 10),
    "forget_repository": lambda t: t.forget_repository(APP),
    "add_key": lambda t: t.add_key(account_key("one")),
    "find_key": lambda t: t.find_key("public"),
    "keys_of": lambda t: t.keys_of(ROBOT.link),
    "revoke_key": lambda t: t.revoke_key(ROBOT.link, "one"),
    "note_use": lambda t: t.note_use(account_key("one"), NOW.date()),
    "verification_keys": lambda t: t.verification_keys(),
    "find_state": lambda t: t.find_state("upload-key"),
    "create_job": lambda t: t.create_job(job(), [item()], request()),
    "find_job": lambda t: t.find_job(job().id, NOW),
    "find_request": lambda t: t.find_request(request(), NOW),
    "jobs_of": lambda t: t.jobs_of("demo", None, 10, NOW),
    "copy_items": lambda t: t.copy_items(job(), 0),
    "take_job": lambda t: t.take_job(job(), "worker", NOW),
    "save_progress": lambda t: t.save_progress(job(lease="worker"), Progress(), NOW),
    "release_job": lambda t: t.release_job(job(lease="worker"), NOW),
    "end_job": lambda t: t.end_job(job(lease="worker"), JobState.FAILED, NOW, "why"),
    "cancel_job": lambda t: t.cancel_job(job().id, NOW),
    "overdue_jobs": lambda t: t.overdue_jobs(NOW, 10),
}
SHA256 = hashlib.sha256(b"abc").hexdigest()
STORAGE_CALLS = {
    "put": lambda s: s.put("api/a", b"abc"),
    "put_once": lambda s: s.put_once("api/a", [b"a", b"bc"], 3, SHA256),
    "read": lambda s: b"".join(s.read("api/a")),
    "head": lambda s: s.head("api/a"),
    "read_range": lambda s: s.read_range("api/a", 0, 3),
    "list_keys": lambda s: s.list_keys("api/", 10),
    "delete": lambda s: s.delete(["api/a"]),
    "begin_multipart": lambda s: s.begin_multipart("presigned/a"),
    "list_parts": lambda s: s.list_parts("presigned/a", "upload"),
    "complete_multipart": lambda s: s.complete_multipart("presigned/a", "upload", [Part(1, 3, '"x"')]),
    "abort_multipart": lambda s: s.abort_multipart("presigned/a", "upload"),
    "unfinished_uploads": lambda s: s.unfinished_uploads("stream/"),
}
SOURCE, TARGET = ObjectPlace("default", "api/a"), ObjectPlace("second", "copy/a")
COPY_CALLS = {
    "copy_object": lambda s: s.copy_object(SOURCE, TARGET),
    "copy_part": lambda s: s.copy_part(SOURCE, TARGET, "upload", 1, 0, 5),
}
# One call for each operation of DynamoDB that is in use.
OPERATIONS = [
    "find_tag",
    "find_links",
    "tags_of",
    "add_reference",
    "delete_session",
    "put_link",
    "put_manifest",
]


def public_methods(*protocols: type) -> set[str]:
    return {
        name
        for protocol in protocols
        for name, _ in inspect.getmembers(protocol, inspect.isfunction)
        if not name.startswith("_")
    }


def test_every_method_of_every_port_is_tried():
    of_the_table = (
        ports.Repositories,
        ports.Manifests,
        ports.Images,
        ports.Blobs,
        ports.Sessions,
        ports.Accounts,
        ports.Resources,
        ports.OrganisationRemoval,
        ports.RepositoryRemoval,
        ports.VerificationKeys,
        ports.SecretStates,
        ports.Jobs,
    )
    assert set(TABLE_CALLS) == public_methods(*of_the_table)
    # Signing needs no request.
    signing = {"presign_get", "presign_put", "presign_part"}
    assert set(STORAGE_CALLS) == public_methods(ports.ObjectStore) - signing
    # Names are no request either.
    assert set(COPY_CALLS) == public_methods(ports.Stores) - {"names"}


@pytest.fixture(scope="module")
def faulty():
    with faulty_server() as server:
        yield server


@pytest.fixture
def fresh_session():
    """Credentials are read anew, now and afterwards."""
    aws._session.cache_clear()
    yield
    aws._session.cache_clear()


@pytest.fixture(scope="module")
def failing(faulty):
    """The real adapters, connected to the faulty server, without second attempts."""
    aws._session.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", faulty.url)
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "correct horse battery staple")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        table, storage = connect_table("a-table", ONCE), connect_storage("a-bucket", "path", ONCE)
        table._table.client()
        storage.client()
        buckets = {"default": Bucket("a-bucket"), "second": Bucket("b-bucket")}
        stores = connect_stores(buckets, "path", ONCE, ONCE)
        stores._copiers[None]()
    aws._session.cache_clear()
    return table, storage, stores


@pytest.fixture
def table(failing):
    return failing[0]


@pytest.fixture
def hasty(monkeypatch):
    """Writers give up as soon as they may."""
    monkeypatch.setattr(dynamodb_table, "RETRY_SECONDS", 0.05)


@pytest.fixture
def storage(failing):
    return failing[1]


@pytest.fixture
def stores(failing):
    return failing[2]


def raised(call) -> Unavailable:
    """What a call raises, which has to be soon and of the registry's own kind."""
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        call()
    assert time.monotonic() - started < 4
    return caught.value


HTML = Answer(200, b"<html><body>Welcome</body></html>", {"Content-Type": "text/html"})
TABLE_FAULTS = {
    "throttled": (dynamodb_error("ProvisionedThroughputExceededException"), Throttled),
    "throttled by the account": (dynamodb_error("RequestLimitExceeded"), Throttled),
    "broken inside": (dynamodb_error("InternalServerError", 500), Unavailable),
    "without rights": (dynamodb_error("AccessDeniedException"), Unavailable),
    "without the table": (dynamodb_error("ResourceNotFoundException"), Unavailable),
    "asked wrongly": (dynamodb_error("ValidationException"), Unavailable),
    "a page of HTML": (HTML, Unavailable),
    "an error page of HTML": (Answer(502, b"<html>Bad gateway</html>"), Unavailable),
    "empty": (Answer(200), Unavailable),
    "cut JSON": (Answer(200, b'{"Item": {"pk"'), Unavailable),
    "JSON of another kind": (Answer(200, b"[1]"), Unavailable),
    "closing the connection": (None, Unavailable),
    "stopping in the middle": (Answer(200, b'{"Item": {}', announced=500), Unavailable),
}


# What can differ from call to call; the other faults are seen where requests are sent.
BY_CALL = ["throttled", "without rights", "a page of HTML", "cut JSON", "closing the connection"]


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (call, fault)
        for call in TABLE_CALLS
        for fault in TABLE_FAULTS
        if fault in BY_CALL or call in OPERATIONS
    ],
)
def test_table_that_fails_is_unavailable(faulty, table, call, fault):
    answer, expected = TABLE_FAULTS[fault]
    faulty.answers = [answer]
    error = raised(lambda: TABLE_CALLS[call](table))
    assert type(error) is expected
    assert error.retry_after > 0


@pytest.mark.parametrize("call", OPERATIONS)
def test_table_that_does_not_answer_is_unavailable_in_time(faulty, table, call):
    let_go = threading.Event()
    faulty.answers = [hang_until(let_go)]
    try:
        assert type(raised(lambda: TABLE_CALLS[call](table))) is Unavailable
    finally:
        let_go.set()


@pytest.mark.parametrize("call", ["put_tags", "put_manifest", "create_session"])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (cancelled("None", "TransactionConflict"), WriteConflict),
        (dynamodb_error("TransactionConflictException"), WriteConflict),
        (dynamodb_error("TransactionInProgressException"), WriteConflict),
        (cancelled("ThrottlingError", "None"), Throttled),
        (cancelled("None", "ProvisionedThroughputExceeded"), Throttled),
        (cancelled("ValidationError", "None"), Unavailable),
    ],
    ids=["conflict", "conflict alone", "in progress", "throttled", "over the provision", "invalid"],
)
def test_write_that_is_always_refused_is_given_up(faulty, table, hasty, call, answer, expected):
    # What comes before the transaction: no such row, nothing left of a batch.
    faulty.answers = [answer]
    if call == "put_tags":
        faulty.answers = [dynamodb_answer({}), answer]
    if call == "put_manifest":
        faulty.answers = [dynamodb_answer({"UnprocessedItems": {}}), answer]
    assert type(raised(lambda: TABLE_CALLS[call](table))) is expected


def test_conflict_over_a_link_is_not_taken_for_a_reference_that_is_gone(faulty, table, hasty):
    faulty.answers = [cancelled("TransactionConflict", "None", "None")]
    assert (
        type(raised(lambda: table.put_link(link("a"), repository_id="repository-id", closing=session())))
        is WriteConflict
    )


def test_write_is_tried_again_while_others_write(faulty, table):
    conflict = cancelled("TransactionConflict", "None", "None")
    faulty.answers = [conflict, conflict, dynamodb_answer({})]
    before = len(faulty.requests)
    table.put_link(link("a"), repository_id="repository-id", closing=session())
    assert len(faulty.requests) == before + 3


def _requested(server, start: int, count: int) -> list[Any]:
    requests = server.requests[start : start + count]
    return [json.loads(body)["RequestItems"]["a-table"] for _, _, body in requests]


def test_rows_that_a_batch_left_out_are_asked_for_again(faulty, table):
    left = {"a-table": {"Keys": [{"pk": {"S": "p"}, "sk": {"S": "s"}}], "ConsistentRead": True}}
    faulty.answers = [
        dynamodb_answer({"Responses": {"a-table": []}, "UnprocessedKeys": left}),
        dynamodb_answer({"Responses": {"a-table": []}, "UnprocessedKeys": {}}),
    ]
    before = len(faulty.requests)
    assert table.find_links(APP, [D]) == {}
    assert _requested(faulty, before, 2)[1] == left["a-table"]


def test_rows_that_every_batch_leaves_out_are_throttling(faulty, table, hasty):
    left = {"a-table": {"Keys": [{"pk": {"S": "p"}, "sk": {"S": "s"}}]}}
    faulty.answers = [dynamodb_answer({"Responses": {}, "UnprocessedKeys": left})]
    assert type(raised(lambda: table.find_links(APP, [D]))) is Throttled


def test_rows_that_a_batch_did_not_write_are_written_again(faulty, table):
    left = [{"PutRequest": {"Item": {"pk": {"S": "p"}, "sk": {"S": "s"}}}}]
    faulty.answers = [
        dynamodb_answer({"UnprocessedItems": {"a-table": left}}),
        dynamodb_answer({"UnprocessedItems": {}}),
        dynamodb_answer({}),
    ]
    before = len(faulty.requests)
    table.put_manifest(APP, manifest("a"), repository_id="one", uses=[D], referrer=None)
    (first, again), last = _requested(faulty, before, 2), faulty.requests[before + 2]
    assert first != left
    assert again == left
    assert b"TransactItems" in last[2]


def test_rows_that_every_batch_does_not_write_are_throttling(faulty, table, hasty):
    left = [{"PutRequest": {"Item": {"pk": {"S": "p"}, "sk": {"S": "s"}}}}]
    faulty.answers = [dynamodb_answer({"UnprocessedItems": {"a-table": left}})]
    error = raised(
        lambda: table.put_manifest(APP, manifest("a"), repository_id="one", uses=[D], referrer=None)
    )
    assert type(error) is Throttled


STORAGE_FAULTS = {
    "throttled": (s3_error("SlowDown", 503), Throttled),
    "broken inside": (s3_error("InternalError", 500), Unavailable),
    "without rights": (s3_error("AccessDenied", 403), Unavailable),
    "a page of HTML": (HTML, Unavailable),
    "an error page of HTML": (Answer(502, b"<html>Bad gateway</html>"), Unavailable),
    "empty": (Answer(200), Unavailable),
    "closing the connection": (None, Unavailable),
    "stopping in the middle": (Answer(200, b"<?xml", {"ETag": '"x"'}, announced=500), Unavailable),
}


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (call, fault)
        for call in STORAGE_CALLS
        for fault in STORAGE_FAULTS
        # An answer to HEAD has no body that could stop.
        if (call, fault) != ("head", "stopping in the middle")
    ],
)
def test_store_that_fails_is_unavailable(faulty, storage, call, fault):
    answer, expected = STORAGE_FAULTS[fault]
    faulty.answers = [answer]
    assert type(raised(lambda: STORAGE_CALLS[call](storage))) is expected


def inside_200(code: str) -> Answer:
    """An error that S3 finds when it has begun to answer: the status is out, and some filling behind it."""
    answer = s3_error(code, 200)
    return Answer(200, answer.body.replace(b"?>", b"?>\n \n "), answer.headers)


COPY_FAULTS = {
    **STORAGE_FAULTS,
    "broken inside, found late": (inside_200("InternalError"), Unavailable),
    "throttled, found late": (inside_200("SlowDown"), Throttled),
    "without rights, found late": (inside_200("AccessDenied"), Unavailable),
    "without the bucket": (s3_error("NoSuchBucket", 404), Unavailable),
    "absent without a reason": (Answer(404), Unavailable),
    "an answer to something else": (
        Answer(200, b"<ListBucketResult><Name>a</Name></ListBucketResult>", {"Content-Type": "text/xml"}),
        Unavailable,
    ),
    "an answer without an ETag": (Answer(200, b"<CopyObjectResult></CopyObjectResult>"), Unavailable),
}


@pytest.mark.parametrize("call", COPY_CALLS)
@pytest.mark.parametrize("fault", COPY_FAULTS)
def test_copy_that_fails_is_unavailable(faulty, stores, call, fault):
    answer, expected = COPY_FAULTS[fault]
    faulty.answers = [answer]
    assert type(raised(lambda: COPY_CALLS[call](stores))) is expected


@pytest.mark.parametrize("call", COPY_CALLS)
def test_copy_that_does_not_answer_is_unavailable_in_time(faulty, stores, call):
    let_go = threading.Event()
    faulty.answers = [hang_until(let_go)]
    try:
        assert type(raised(lambda: COPY_CALLS[call](stores))) is Unavailable
    finally:
        let_go.set()


@pytest.mark.parametrize(
    "answer", [s3_error("NoSuchKey", 404), inside_200("NoSuchKey")], ids=["at once", "late"]
)
def test_copy_of_what_is_gone_is_none_whenever_that_is_found(faulty, stores, answer):
    faulty.answers = [answer]
    assert COPY_CALLS["copy_object"](stores) is False
    assert COPY_CALLS["copy_part"](stores) is None


def test_upload_that_is_gone_is_no_source_that_is_gone(faulty, stores):
    faulty.answers = [s3_error("NoSuchUpload", 404)]
    assert type(raised(lambda: COPY_CALLS["copy_part"](stores))) is WriteConflict
    assert type(raised(lambda: COPY_CALLS["copy_object"](stores))) is Unavailable


@pytest.mark.parametrize("call", STORAGE_CALLS)
def test_store_that_does_not_answer_is_unavailable_in_time(faulty, storage, call):
    let_go = threading.Event()
    faulty.answers = [hang_until(let_go)]
    try:
        assert type(raised(lambda: STORAGE_CALLS[call](storage))) is Unavailable
    finally:
        let_go.set()


@pytest.mark.parametrize("call", [call for call in STORAGE_CALLS if call != "head"])
def test_store_without_the_bucket_is_unavailable(faulty, storage, call):
    faulty.answers = [s3_error("NoSuchBucket", 404)]
    assert type(raised(lambda: STORAGE_CALLS[call](storage))) is Unavailable


def test_store_that_has_not_deleted_everything_is_unavailable(faulty, storage):
    body = b"<DeleteResult><Error><Key>api/a</Key><Code>InternalError</Code></Error></DeleteResult>"
    faulty.answers = [Answer(200, body, {"Content-Type": "application/xml"})]
    assert type(raised(lambda: storage.delete(["api/a"]))) is Unavailable


def test_content_that_stops_in_the_middle_is_unavailable_and_not_short(faulty, storage):
    faulty.answers = [Answer(200, b"x" * 1_500_000, {"ETag": '"x"'}, announced=3_000_000)]
    pieces = storage.read("api/a")
    assert len(next(pieces)) == 1024 * 1024
    assert type(raised(lambda: list(pieces))) is Unavailable


@pytest.mark.parametrize(
    ("checksum", "expected"),
    [
        ("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", SHA256),
        ("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=-2", None),
        ("ungWv48=", None),
        ("no base64", None),
        ("", None),
    ],
)
def test_only_a_whole_checksum_is_believed(faulty, storage, checksum, expected):
    headers = {"ETag": '"x"', "x-amz-checksum-sha256": checksum}
    faulty.answers = [Answer(200, b"abc", headers)]
    assert storage.head("api/a") == ObjectHead(3, expected)


def test_checksum_that_is_said_to_be_of_parts_is_not_believed(faulty, storage):
    headers = {
        "ETag": '"x"',
        "x-amz-checksum-sha256": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        "x-amz-checksum-type": "COMPOSITE",
    }
    faulty.answers = [Answer(200, b"abc", headers)]
    assert storage.head("api/a") == ObjectHead(3, None)


@pytest.mark.parametrize(
    ("code", "status"), [("PreconditionFailed", 412), ("ConditionalRequestConflict", 409)]
)
def test_key_that_another_writer_takes_before_or_meanwhile_is_taken(faulty, storage, code, status):
    faulty.answers = [s3_error(code, status)]
    assert STORAGE_CALLS["put_once"](storage) is False


def test_conflict_of_another_kind_is_not_taken_for_a_taken_key(faulty, storage):
    faulty.answers = [s3_error("OperationAborted", 409)]
    assert type(raised(lambda: STORAGE_CALLS["put_once"](storage))) is Unavailable


def test_digest_that_the_store_computes_differently_is_a_mismatch(faulty, storage):
    faulty.answers = [s3_error("BadDigest", 400)]
    with pytest.raises(DigestMismatch):
        STORAGE_CALLS["put_once"](storage)


def test_permission_in_a_url_is_in_no_message_and_no_log(faulty, storage, caplog):
    caplog.set_level(logging.DEBUG, logger="moorage")
    for answer in (None, s3_error("AccessDenied", 403), HTML):
        faulty.answers = [answer]
        error = raised(lambda: STORAGE_CALLS["put_once"](storage))
        shown = "".join(traceback.format_exception(error)) + repr(error.detail)
        assert "X-Amz" not in shown
        assert "PUT" not in shown
    _, path, _ = faulty.requests[-1]
    assert "X-Amz-Signature" in path
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("moorage")]
    assert logged
    assert not [line for line in logged if "X-Amz" in line or "api/a" in line]


def test_nothing_that_a_dependency_says_reaches_the_client(faulty, table):
    faulty.answers = [dynamodb_error("AccessDeniedException", message="User: arn:aws:sts::123456789012")]
    error = raised(lambda: table.find_tag(APP, "v1"))
    assert "arn" not in error.message
    assert error.detail is None


def test_dependency_that_is_down_is_unavailable_at_once(fresh_session, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        # With the patience of a deployed function.
        down_table, down_storage = connect_table("a-table"), connect_storage("a-bucket", "path")
        for name in OPERATIONS:
            assert type(raised(lambda name=name: TABLE_CALLS[name](down_table))) is Unavailable
        for name, call in STORAGE_CALLS.items():
            assert type(raised(lambda call=call: call(down_storage))) is Unavailable, name


def test_environment_without_region_or_credentials_is_unavailable(fresh_session, monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    raised(lambda: connect_table("a-table").find_tag(APP, "v1"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    raised(lambda: connect_table("a-table").find_tag(APP, "v1"))
    raised(lambda: connect_storage("a-bucket").presign_get("api/a"))


def test_patience_says_how_long_a_call_without_an_answer_takes(faulty, fresh_session, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patience = Patience(connect_seconds=0.3, read_seconds=0.3, attempts=2)
    asking = connect_table("a-table", patience)
    asking._table.client()
    let_go = threading.Event()
    faulty.answers = [hang_until(let_go)]
    before, started = len(faulty.requests), time.monotonic()
    try:
        raised(lambda: asking.find_tag(APP, "v1"))
    finally:
        let_go.set()
    assert 2 * patience.read_seconds <= time.monotonic() - started <= patience.longest_seconds
    assert len(faulty.requests) == before + 2


def test_patience_leaves_time_for_an_answer_of_the_function():
    patience = Patience()
    assert patience.longest_seconds < 20
    assert patience.upload_seconds < 25
