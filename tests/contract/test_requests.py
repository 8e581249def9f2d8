"""How many requests to AWS the frequent calls cost, and what all rows have."""

import ast
from pathlib import Path

import pytest

from moorage.adapters import keys
from moorage.domain.digests import Algorithm
from moorage.domain.image_lists import Order
from moorage.domain.names import Repository
from moorage.domain.principals import group_link
from moorage.domain.resources import Kind
from moorage.ports import RepositoryRecord, ResourceName
from tests.contract.counting import counted
from tests.contract.samples import (
    APP,
    NOW,
    ROBOT,
    account_key,
    connect,
    digest,
    group,
    link,
    make_account,
    manifest,
    point,
    policy,
    push,
    pushed,
    put_manifest,
    record,
    referrer,
    session,
    stored,
)

ADAPTERS = Path(keys.__file__).parent


@pytest.fixture
def filled(dynamo_table):
    make_account(dynamo_table)
    dynamo_table.create_repository(RepositoryRecord(APP, session().repository_id, NOW))
    subject = digest("subject")
    put_manifest(
        dynamo_table,
        APP,
        manifest("a", subject=subject),
        uses=[digest("layer")],
        referrer=referrer(subject, "a"),
    )
    push(dynamo_table, APP, "b")
    point(dynamo_table, APP, "v1", digest("a"), NOW)
    dynamo_table.create_session(session())
    dynamo_table.add_object(stored("api/layer"))
    connect(dynamo_table, link("layer"), session())
    dynamo_table.put_organisation_blob("demo", link("layer"))
    dynamo_table.add_key(account_key("one"))
    dynamo_table.create(group("team", ROBOT.link, query={}))
    dynamo_table.create(policy("pullers", ROBOT.link))
    return dynamo_table


COSTS = {
    "find_repository": (lambda t: t.find_repository(APP), ["GetItem"]),
    "find_manifest": (lambda t: t.find_manifest(APP, digest("a")), ["GetItem"]),
    "find_tag": (lambda t: t.find_tag(APP, "v1"), ["GetItem"]),
    "find_link": (lambda t: t.find_link(APP, digest("layer")), ["GetItem"]),
    "find_links": (lambda t: t.find_links(APP, [digest(n) for n in range(100)]), ["BatchGetItem"]),
    "find_session": (lambda t: t.find_session(APP, "4f2a"), ["GetItem"]),
    "find_key": (lambda t: t.find_key("id-of-robot-one"), ["GetItem"]),
    "keys_of": (lambda t: t.keys_of(ROBOT.link), ["Query", "BatchGetItem"]),
    "note_use": (lambda t: t.note_use(account_key("one"), NOW.date()), ["UpdateItem"]),
    "find": (lambda t: t.find(Kind.GROUP, "demo", "team"), ["GetItem"]),
    "find_many": (
        lambda t: t.find_many([ResourceName(Kind.POLICY, "demo", f"p-{number}") for number in range(100)]),
        ["BatchGetItem"],
    ),
    "page": (lambda t: t.page(Kind.GROUP, "demo", None, 100), ["Query"]),
    "check_write that names many": (
        lambda t: t.check_write(None, policy("new", *(f"{ROBOT.link}{number}" for number in range(100)))),
        ["BatchGetItem", "BatchGetItem"],
    ),
    "check_write that names nobody": (
        lambda t: t.check_write(None, record(Kind.GVC, "apps")),
        ["BatchGetItem"],
    ),
    "group_hints": (lambda t: t.group_hints(ROBOT.link), ["Query"]),
    "query_group_hints": (lambda t: t.query_group_hints("demo"), ["GetItem"]),
    "policy_hints": (
        lambda t: t.policy_hints([f"{ROBOT.link}{number}" for number in range(100)], Kind.IMAGE, "demo"),
        ["BatchGetItem"],
    ),
    "tags_after": (lambda t: t.tags_after(APP, None, 100), ["Query"]),
    "referrers": (lambda t: t.referrers(APP, digest("subject"), artifact_type=None, after=None), ["Query"]),
    "verification_keys": (lambda t: t.verification_keys(), ["Query"]),
    "put_tags that points there": (lambda t: point(t, APP, "v1", digest("a"), NOW), ["GetItem"]),
    "put_tags that is new": (
        lambda t: point(t, APP, "v2", digest("a"), NOW),
        ["GetItem", "TransactWriteItems"],
    ),
    "put_tags that moves it": (
        lambda t: t.put_tags(APP, ["v1"], pushed(digest("b")), lambda _: None),
        ["GetItem", "TransactWriteItems"],
    ),
    "put_tags of several": (
        lambda t: t.put_tags(APP, ["v1", "v2", "v3"], pushed(digest("a")), lambda _: None),
        ["BatchGetItem", "TransactWriteItems", "TransactWriteItems"],
    ),
    "delete_tag": (lambda t: t.delete_tag(APP, "v1"), ["GetItem", "TransactWriteItems"]),
    "find_image": (lambda t: t.find_image(APP, "v1"), ["GetItem"]),
    "images_of": (lambda t: t.images_of("demo", Order(), None, 1_000), ["Query"]),
    "images_of_repository": (
        lambda t: t.images_of_repository(APP, descending=True, after=None, limit=1_000),
        ["Query"],
    ),
    "newest_images": (lambda t: t.newest_images(APP, 1), ["Query", "BatchGetItem"]),
    "replace_metadata": (
        lambda t: t.replace_metadata(t.find_image(APP, "v1"), {"a": 1}, NOW),
        ["GetItem", "UpdateItem"],
    ),
    "delete_image": (
        lambda t: t.delete_image(t.find_image(APP, "v1")),
        ["GetItem", "TransactWriteItems"],
    ),
    "has_images that are there": (lambda t: t.has_images("demo"), ["Query"]),
    "put_link": (
        lambda t: t.put_link(link("layer"), repository_id=session().repository_id, closing=None),
        ["TransactWriteItems"],
    ),
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
            "blob",
            "digest-tag",
            "group",
            "group-hint",
            "group-hints",
            "key",
            "manifest",
            "object",
            "org",
            "organisation-blob",
            "owner-key",
            "policy",
            "policy-hints",
            "reference",
            "referrer",
            "repository",
            "repository-id",
            "serviceaccount",
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
        keys.owner_key(f"/org/{'o' * 64}/user/{'o' * 64}@{'d' * 189}", "k" * 64),
        keys.group_hint(f"/org/{'o' * 64}/user/{'e' * 254}", group_link("o" * 64, "g" * 64), "i" * 36),
        keys.policy_hints(f"/org/{'o' * 64}/user/{'e' * 254}", Kind.SERVICE_ACCOUNT, "o" * 64),
        keys.reference(f"api/ab/{'r' * 36}/{longest.encoded}/{'s' * 32}", name, longest),
    ]
    indexed = [keys.image_by_name(name, text), keys.image_by_change(name, text, NOW)]
    assert max(len(key.encode()) for each in indexed for key in each.values()) <= 1024
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
