from dataclasses import replace

import pytest

from moorage.adapters import keys
from moorage.domain.digests import Algorithm
from moorage.domain.errors import ManifestUnknown, NameUnknown
from moorage.domain.manifests import MAX_REFERENCES
from tests.contract.samples import (
    APP,
    LATER,
    NOW,
    OTHER_IMAGE,
    OTHER_ORG,
    digest,
    manifest,
    opened,
    point,
    push,
    put_manifest,
    referrer,
)

EVERY_FIELD = [
    manifest("inline", body=b"\x00\xff{ }"),
    manifest("empty", body=b"", size=0),
    manifest("stored", body=None, body_key="manifests/ab/cd", size=4 * 1024 * 1024),
    manifest("elsewhere", body=None, body_key="manifests/ab/ef", size=4 * 1024 * 1024, store="second"),
    manifest("refers", subject=digest("subject"), artifact_type="text/sbom"),
    manifest("typed", artifact_type="application/x"),
    manifest("sha512", digest=digest("sha512", Algorithm.SHA512), subject=digest(1, Algorithm.SHA512)),
    manifest("64k", body=b"\x7f" * 65536),
]


@pytest.mark.parametrize(
    "stored", EVERY_FIELD, ids=lambda stored: stored.media_type[-4:] + stored.digest.encoded[:4]
)
def test_manifest_is_found_as_it_was_put(table, stored):
    assert table.find_manifest(APP, stored.digest) is None
    put_manifest(table, APP, stored, uses=[], referrer=None)
    assert table.find_manifest(APP, stored.digest) == stored


def test_manifest_whose_row_names_no_store_is_in_the_default_one(dynamo_table, without_store):
    stored = manifest("stored", body=None, body_key="manifests/ab/cd", store="second")
    put_manifest(dynamo_table, APP, stored, uses=[], referrer=None)
    without_store(keys.manifest(APP, stored.digest))
    assert dynamo_table.find_manifest(APP, stored.digest) == replace(stored, store="default")


def test_manifest_is_unknown_in_every_other_repository(table):
    (pushed,) = push(table, APP, "a")
    assert table.find_manifest(OTHER_IMAGE, pushed) is None
    assert table.find_manifest(OTHER_ORG, pushed) is None
    assert table.find_manifests(OTHER_ORG, [pushed]) == {}


def test_manifests_are_found_without_their_content(table):
    inline, stored = EVERY_FIELD[0], EVERY_FIELD[2]
    for each in (inline, stored):
        put_manifest(table, APP, each, uses=[], referrer=None)
    found = table.find_manifests(APP, [inline.digest, stored.digest, digest("absent"), inline.digest])
    assert set(found) == {inline.digest, stored.digest}
    assert {(each.body, each.body_key) for each in found.values()} == {(None, None)}
    assert found[stored.digest].size == stored.size


def test_manifests_are_read_as_they_were_put(table):
    for each in EVERY_FIELD:
        put_manifest(table, APP, each, uses=[], referrer=None)
    wanted = [each.digest for each in EVERY_FIELD]
    found = table.read_manifests(APP, [*wanted, digest("absent"), wanted[0]])
    assert found == {each.digest: each for each in EVERY_FIELD}
    assert table.read_manifests(OTHER_ORG, wanted) == {}


def test_manifests_of_no_digests_are_none(table):
    assert table.find_manifests(APP, []) == table.read_manifests(APP, []) == {}


def test_more_manifests_than_one_batch_holds_are_all_found(table):
    pushed = push(table, APP, *range(103))
    assert set(table.find_manifests(APP, [*pushed, digest("absent")])) == set(pushed)
    assert set(table.read_manifests(APP, [*pushed, digest("absent")])) == set(pushed)


def test_manifest_put_again_keeps_its_first_time_and_its_tags(table):
    (pushed,) = push(table, APP, "a")
    point(table, APP, "v1", pushed, NOW)
    put_manifest(table, APP, manifest("a", pushed=LATER), uses=[], referrer=None)
    found = table.find_manifest(APP, pushed)
    assert found.pushed == NOW
    assert table.find_tag(APP, "v1") == pushed
    assert table.tags_of(APP, pushed) == ["v1"]
    assert table.delete_manifest(APP, pushed)
    assert table.find_tag(APP, "v1") is None


def test_manifest_put_again_with_its_content_elsewhere_has_it_in_one_place(table):
    put_manifest(table, APP, manifest("a"), uses=[], referrer=None)
    put_manifest(table, APP, manifest("a", body=None, body_key="manifests/a"), uses=[], referrer=None)
    found = table.find_manifest(APP, digest("a"))
    assert (found.body, found.body_key) == (None, "manifests/a")


def test_users_of_content_are_the_manifests_that_use_it(table):
    layers = [digest(f"layer {number}") for number in range(60)]
    put_manifest(table, APP, manifest("a"), uses=layers, referrer=None)
    put_manifest(table, APP, manifest("b"), uses=[layers[0], layers[0]], referrer=None)
    put_manifest(table, OTHER_IMAGE, manifest("c"), uses=layers[:1], referrer=None)
    assert set(table.users_of(APP, layers[0])) == {digest("a"), digest("b")}
    assert table.users_of(APP, layers[59]) == [digest("a")]
    assert table.users_of(APP, digest("unused")) == []
    assert table.delete_manifest(APP, digest("a"))
    assert table.users_of(APP, layers[0]) == [digest("b")]
    assert table.users_of(APP, layers[59]) == []


def test_manifest_that_uses_as_much_as_one_can_is_stored_and_deleted_whole(dynamo_table, rows):
    used = [digest(number, Algorithm.SHA512) for number in range(MAX_REFERENCES)]
    largest = manifest("a", body=b"x" * 65_536)
    opened(dynamo_table, APP)
    before = rows()
    put_manifest(dynamo_table, APP, largest, uses=used, referrer=None)
    assert dynamo_table.find_manifest(APP, digest("a")) == largest
    assert len(rows()) == len(before) + 1 + MAX_REFERENCES
    assert dynamo_table.delete_manifest(APP, digest("a"))
    assert rows() == before


def test_manifest_pushed_again_after_its_deletion_is_used_again(table):
    for _ in range(2):
        put_manifest(table, APP, manifest("a"), uses=[digest("layer")], referrer=None)
        assert table.users_of(APP, digest("layer")) == [digest("a")]
        assert table.delete_manifest(APP, digest("a"))
        assert table.users_of(APP, digest("layer")) == []


def test_deleted_manifest_is_gone_with_its_tags_and_its_referrer_row(table):
    subject = digest("subject")
    put_manifest(
        table, APP, manifest("a", subject=subject), uses=[], referrer=referrer(subject, "a", "text/sbom")
    )
    (kept,) = push(table, APP, "kept")
    for number in range(30):
        point(table, APP, f"v{number}", digest("a"), NOW)
    point(table, APP, "kept", kept, NOW)
    assert table.delete_manifest(APP, digest("a"))
    assert table.find_manifest(APP, digest("a")) is None
    assert table.tags_after(APP, None, 100) == ["kept"]
    assert table.referrers(APP, subject, artifact_type=None, after=None).referrers == []
    assert table.find_tag(APP, "kept") == kept


def test_manifest_that_is_not_there_is_not_deleted(table):
    (pushed,) = push(table, APP, "a")
    assert table.delete_manifest(APP, digest("b")) is False
    assert table.delete_manifest(OTHER_IMAGE, pushed) is False
    assert table.delete_manifest(APP, pushed) is True
    assert table.delete_manifest(APP, pushed) is False


def test_tag_of_a_deleted_manifest_cannot_be_put(table):
    (pushed,) = push(table, APP, "a")
    table.delete_manifest(APP, pushed)
    with pytest.raises(ManifestUnknown):
        point(table, APP, "v1", pushed, NOW)
    assert table.find_tag(APP, "v1") is None


def test_everything_about_manifests_leaves_no_row_behind(dynamo_table, rows):
    subject = digest("subject")
    record = manifest("a", subject=subject)
    opened(dynamo_table, APP)
    before = rows()
    for _ in range(2):
        put_manifest(dynamo_table, APP, record, uses=[digest(1), digest(2)], referrer=referrer(subject, "a"))
    push(dynamo_table, APP, "b")
    point(dynamo_table, APP, "v1", digest("a"), NOW)
    point(dynamo_table, APP, "v1", digest("b"), LATER)
    point(dynamo_table, APP, "v2", digest("a"), LATER)
    assert len(rows()) == len(before) + 9
    assert dynamo_table.delete_tag(APP, "v1")
    assert dynamo_table.delete_manifest(APP, digest("a"))
    assert dynamo_table.delete_manifest(APP, digest("b"))
    assert rows() == before


@pytest.mark.parametrize("repository", ["absent", "made anew", "ended"])
def test_manifest_of_a_repository_that_is_gone_is_refused_and_not_written(table, repository):
    if repository != "absent":
        assert opened(table, APP).id != "another-id"
    if repository == "ended":
        assert table.end_repositories(APP.org, 10) == 1
    record, subject = manifest("a", subject=digest("subject")), digest("subject")
    with pytest.raises(NameUnknown):
        table.put_manifest(
            APP, record, repository_id="another-id", uses=[digest("b")], referrer=referrer(subject, "a")
        )
    assert table.find_manifest(APP, digest("a")) is None
    assert table.referrers(APP, subject, artifact_type=None, after=None).referrers == []


def test_row_of_a_tag_lies_where_the_data_model_says(dynamo_table, rows):
    opened(dynamo_table, APP)
    before = rows()
    (pushed,) = push(dynamo_table, APP, "a")
    point(dynamo_table, APP, "v1", pushed, NOW)
    assert {keys.Key(row["pk"], row["sk"]): row["type"] for row in rows() if row not in before} == {
        keys.manifest(APP, pushed): "manifest",
        keys.tag(APP, "v1"): "tag",
        keys.digest_tag(APP, pushed, "v1"): "digest-tag",
    }
