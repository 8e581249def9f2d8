"""The roles of the functions allow what the adapters ask DynamoDB for, row by row."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from moorage.adapters.dynamodb.secret_records import DynamoSecretRecords
from moorage.domain.errors import NameUnknown, RegistryError
from moorage.ports import Jobs, PublicKey, RepositoryRecord, SecretState
from tests.contract.samples import (
    APP,
    LATER,
    NOW,
    account_key,
    connect,
    digest,
    link,
    make_account,
    manifest,
    point,
    put_manifest,
    referrer,
    stored,
)
from tests.contract.test_faults import TABLE_CALLS, public_methods
from tests.template.document import Template, load

IN_A_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
# Of the ports that only an administrator's own credentials serve.
BY_PEOPLE = {
    "create_organisation",
    "page",
    "create",
    "replace",
    "delete",
    "check_write",
    "begin_removal",
    "end_removal",
    "end_repositories",
    "ended_repositories",
    "remove_contents",
    "remove_organisation_blobs",
    "forget_repository",
    "add_key",
    "keys_of",
    "revoke_key",
}
DECIDING = {"find", "find_many", "group_hints", "query_group_hints", "policy_hints"}
BY_TOKEN = {"find_key", "note_use", "verification_keys"} | DECIDING
BY_SWEEPER = {
    "expired_sessions",
    "find_session",
    "expire_session",
    "remove_ended_session",
    "find_object",
    "references",
    "remove_object",
    "overdue_jobs",
    "find_job",
}
OF_JOBS = public_methods(Jobs)
BY_CALLERS_OF_JOBS = {"create_job", "find_job", "find_request", "jobs_of", "cancel_job"}
BY_COPY_WORKER = DECIDING | {
    "find_job",
    "take_job",
    "copy_items",
    "save_progress",
    "release_job",
    "end_job",
    "find_repository",
    "create_repository",
    "find_manifest",
    "find_manifests",
    "read_manifests",
    "put_manifest",
    "find_tag",
    "put_tags",
    "referrers",
    "find_images",
    "find_link",
    "find_links",
    "find_object",
    "add_copy",
    "add_object",
    "add_reference",
    "put_link",
    "find_organisation_blob",
    "put_organisation_blob",
}
BY_FINALIZER = {
    "find_repository_by_id",
    "find_session",
    "fail_session",
    "find_link",
    "find_object",
    "add_object",
    "add_reference",
    "put_link",
    "find_organisation_blob",
    "put_organisation_blob",
}
BY_MANAGEMENT = {
    "find_image",
    "images_of",
    "images_of_repository",
    "newest_images",
    "replace_metadata",
    "delete_image",
    "has_images",
}
BY_REGISTRY = (
    TABLE_CALLS.keys()
    - BY_PEOPLE
    - BY_MANAGEMENT
    - {"find_key", "note_use", "find_repository_by_id", "remove_object", "add_copy"}
    - {"expired_sessions", "expire_session", "remove_ended_session"}
    - {"read_manifests"}
    - OF_JOBS
)


def rows_of(operation: str, request: dict[str, Any]) -> list[tuple[str, str]]:
    """What IAM is asked: an action and a partition key for every row."""
    if operation == "TransactWriteItems":
        parts = [part for item in request["TransactItems"] for part in item.items()]
        return [(IN_A_TRANSACTION[kind], _partition_key(write)) for kind, write in parts]
    if operation == "BatchWriteItem":
        ((_, writes),) = request["RequestItems"].items()
        return [(operation, _partition_key(write["PutRequest"])) for write in writes]
    if operation == "BatchGetItem":
        ((_, reads),) = request["RequestItems"].items()
        return [(operation, key["pk"]["S"]) for key in reads["Keys"]]
    if operation == "Query":
        assert request["KeyConditionExpression"].startswith(("#pk = :pk", "#gsi1pk = :pk", "#gsi2pk = :pk"))
        return [(operation, request["ExpressionAttributeValues"][":pk"]["S"])]
    return [(operation, _partition_key(request))]


def _partition_key(write: dict[str, Any]) -> str:
    key: str = (write.get("Item") or write["Key"])["pk"]["S"]
    return key


@contextmanager
def asked(client):
    """The rows that a client asks for, as they come."""
    found: list[tuple[str, str]] = []
    call = client.call

    def note_and_call(operation, request):
        found.extend(rows_of(operation, request))
        return call(operation, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "call", note_and_call)
        yield found


@pytest.fixture
def filled(dynamo_table):
    """A table in which every call finds something to do."""
    make_account(dynamo_table)
    dynamo_table.create_repository(RepositoryRecord(APP, "one", NOW))
    dynamo_table.add_key(account_key("one"))
    subject = digest("a")
    put_manifest(
        dynamo_table, APP, manifest("a", subject=subject), uses=[digest("b")], referrer=referrer(subject, "a")
    )
    point(dynamo_table, APP, "v1", digest("a"), NOW)
    dynamo_table.add_object(stored("api/a"))
    dynamo_table.add_reference("api/a", APP, digest("a"))
    connect(dynamo_table, link("a", key="api/another"))
    return dynamo_table


@pytest.fixture(scope="module")
def template():
    return load()


@pytest.mark.parametrize(
    ("folder", "calls"),
    [
        ("registry", BY_REGISTRY),
        ("upload_finalizer", BY_FINALIZER),
        ("copy_worker", BY_COPY_WORKER),
        ("sweeper", BY_SWEEPER),
    ],
)
def test_function_may_do_what_its_ports_do(filled, template, folder, calls):
    used = set()
    assert filled.create_repository(RepositoryRecord(APP, "one", NOW)).id == "one"
    for name in sorted(calls, key=lambda name: ("remove" in name or "delete" in name, name)):
        # What a call finds in the end does not matter, for it has asked.
        with asked(filled._table.client()) as found, suppress(RegistryError):
            TABLE_CALLS[name](filled)
        assert found, name
        used.update(found)
        assert [each for each in found if not template.may(folder, *each)] == [], name
    if "put_link" in calls:
        # A link that takes the place of another removes the other's reference.
        filled.add_reference("api/a", APP, digest("a"))
        connect(filled, link("a", key="api/another"))
        with asked(filled._table.client()) as found:
            filled.put_link(link("a"), repository_id="one", closing=None)
            if folder != "upload_finalizer":
                # In a repository that is gone, the reference goes as well; uploads close their sessions.
                with suppress(NameUnknown):
                    filled.put_link(link("a"), repository_id="gone", closing=None)
        assert [each for each in found if not template.may(folder, *each)] == []
        used.update(found)
    assert_no_more_than(template, used, folder)


def test_token_may_do_what_its_ports_do(filled, template):
    with asked(filled._table.client()) as found:
        for name in BY_TOKEN:
            TABLE_CALLS[name](filled)
    assert [each for each in found if not template.may("token", *each)] == []
    assert_no_more_than(template, set(found), "token")


def test_secrets_may_do_what_its_port_does(dynamo_table, template):
    records = DynamoSecretRecords(dynamo_table._table)
    with asked(dynamo_table._table.client()) as found:
        for kid in "ab":
            records.publish_verification_key(PublicKey(kid, "pem", None), NOW)
        assert records.record_state("signing-key", SecretState("b", 1, 1, NOW))
        assert records.find_state("signing-key") is not None
        assert records.retire_verification_keys(published_before=LATER, except_kid="b", at=LATER) == 1
        assert records.record_bootstrap("0" * 64, 1, NOW)
        assert records.find_bootstrap() is not None
    assert [each for each in found if not template.may("secrets", *each)] == []
    assert_no_more_than(template, set(found), "secrets")


def test_management_may_do_what_images_take(filled, template):
    assert filled.create_repository(RepositoryRecord(APP, "one", NOW)).id == "one"
    calls = {
        **{name: TABLE_CALLS[name] for name in BY_MANAGEMENT},
        "has_images that knows of none": lambda table: table.has_images("acme"),
        "delete_image that stands": lambda table: table.delete_image(table.find_image(APP, "v1")),
    }
    for name, call in calls.items():
        with asked(filled._table.client()) as found, suppress(RegistryError):
            call(filled)
        assert found, name
        assert [each for each in found if not template.may("management", *each)] == [], name


def assert_no_more_than(template: Template, used: set[tuple[str, str]], folder: str) -> None:
    """Each action and each kind of rows in a statement is there because something needs it."""
    for statement in template.rights_on_rows(folder):
        actions, rows = defaultdict(set), set()
        for action, key in used:
            for pattern in statement.rows:
                if key.startswith(pattern.rstrip("*")):
                    actions[f"dynamodb:{action}"].add(key)
                    rows.add(pattern)
        assert set(statement.actions) <= actions.keys(), statement.sid
        assert rows == set(statement.rows), statement.sid
