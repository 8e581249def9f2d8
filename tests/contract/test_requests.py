"""How many requests to AWS the frequent calls cost, and what all rows have."""

import ast
from pathlib import Path

import pytest

from moorage.adapters import keys
from moorage.domain.digests import Algorithm
from moorage.domain.names import Repository
from moorage.domain.principals import VIEWERS
from moorage.ports import RepositoryRecord
from tests.contract.counting import counted
from tests.contract.samples import (
    APP,
    NOW,
    ROBOT,
    account_key,
    connect,
    digest,
    link,
    manifest,
    referrer,
    session,
    stored,
)

ADAPTERS = Path(keys.__file__).parent


@pytest.fixture
def filled(dynamo_table):
    dynamo_table.create_repository(RepositoryRecord(APP, session().repository_id, NOW))
    subject = digest("subject")
    dynamo_table.put_manifest(
        APP, manifest("a", subject=subject), uses=[digest("layer")], referrer=referrer(subject, "a")
    )
    dynamo_table.put_tag(APP, "v1", digest("a"), NOW)
    dynamo_table.create_session(session())
    dynamo_table.add_object(stored("api/layer"))
    connect(dynamo_table, link("layer"), session())
    dynamo_table.put_organisation_blob("demo", link("layer"))
    dynamo_table.create_organisation("demo", NOW)
    dynamo_table.create_service_account(ROBOT, "", NOW)
    dynamo_table.add_key(account_key("one"))
    dynamo_table.add_member("demo", VIEWERS, ROBOT.link)
    return dynamo_table


COSTS = {
    "find_repository": (lambda t: t.find_repository(APP), ["GetItem"]),
    "find_manifest": (lambda t: t.find_manifest(APP, digest("a")), ["GetItem"]),
    "find_tag": (lambda t: t.find_tag(APP, "v1"), ["GetItem"]),
    "find_link": (lambda t: t.find_link(APP, digest("layer")), ["GetItem"]),
    "find_links": (lambda t: t.find_links(APP, [digest(n) for n in range(100)]), ["BatchGetItem"]),
    "find_session": (lambda t: t.find_session(APP, "4f2a"), ["GetItem"]),
    "find_key": (lambda t: t.find_key("id-of-robot-one"), ["GetItem"]),
    "groups_of": (lambda t: t.groups_of(ROBOT.link), ["Query"]),
    "tags_after": (lambda t: t.tags_after(APP, None, 100), ["Query"]),
    "referrers": (lambda t: t.referrers(APP, digest("subject"), artifact_type=None, after=None), ["Query"]),
    "verification_keys": (lambda t: t.verification_keys(), ["Query"]),
    "put_tag that points there": (lambda t: t.put_tag(APP, "v1", digest("a"), NOW), ["GetItem"]),
    "put_tag that is new": (
        lambda t: t.put_tag(APP, "v2", digest("a"), NOW),
        ["GetItem", "TransactWriteItems"],
    ),
    "put_link": (lambda t: t.put_link(link("layer"), closing=None), ["TransactWriteItems"]),
    "create_repository that exists": (
        lambda t: t.create_repository(RepositoryRecord(APP, "two", NOW)),
        ["TransactWriteItems"],
    ),
}


@pytest.mark.parametrize("call", COSTS)
def test_call_costs_as_many_requests_as_it_needs(filled, call):
    act, expected = COSTS[call]
    with counted(filled._table.client()) as sent:
        act(filled)
    assert sent == expected


def test_object_is_read_and_looked_at_with_one_request_and_signed_with_none(s3_storage):
    s3_storage.put("api/a", b"abc")
    with counted(s3_storage.client()) as sent:
        s3_storage.presign_get("api/a")
        assert sent == []
        assert b"".join(s3_storage.read("api/a")) == b"abc"
        assert s3_storage.head("api/a") is not None
        assert s3_storage.list_keys("api/", 10) == ["api/a"]
    assert sent == ["GetObject", "HeadObject", "ListObjectsV2"]


def test_every_row_says_what_it_is(filled, rows):
    assert {(row["type"], row["v"]) for row in rows()} == {
        (kind, keys.VERSION)
        for kind in (
            "account-key",
            "blob",
            "digest-tag",
            "group",
            "key",
            "manifest",
            "member",
            "membership",
            "object",
            "organisation",
            "organisation-blob",
            "reference",
            "referrer",
            "repository",
            "repository-id",
            "service-account",
            "session",
            "tag",
            "use",
        )
    }


def test_keys_of_the_longest_names_fit_dynamodb():
    name = Repository("o" * 64, "i" * 128)
    longest, text = digest("a", Algorithm.SHA512), "t" * 128
    made = [
        keys.repository(name),
        keys.manifest(name, longest),
        keys.tag_after(name, "t" * 5000),
        keys.digest_tag(name, longest, text),
        keys.use(name, longest, longest),
        keys.link(name, longest),
        keys.referrer(name, longest, "\U0001f600" * 5000, longest),
        keys.reference(f"api/ab/{'r' * 36}/{longest.encoded}/{'s' * 32}", name, longest),
    ]
    assert max(len(key.pk.encode()) for key in made) <= 2048
    assert max(len(key.sk.encode()) for key in made) <= 1024


def test_adapters_never_scan_and_always_read_consistently():
    texts = {
        node.value
        for path in ADAPTERS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }
    assert {"GetItem", "Query", "BatchGetItem"} <= texts
    assert not {"Scan", "ExecuteStatement", "ParallelScan"} & texts
    source = (ADAPTERS / "dynamodb" / "table.py").read_text()
    assert source.count('"ConsistentRead": True') == 3
