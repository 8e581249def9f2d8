"""Image records: what a push, a move, an edit and a deletion make of them, and how they are listed."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from moorage.adapters.memory import MemoryTable
from moorage.domain.digests import Digest
from moorage.domain.errors import Denied, ManifestUnknown, ResourceProtected, TagImmutable, WriteConflict
from moorage.domain.image_lists import ImageSort, Order, Place, place_of
from moorage.domain.images import MAX_SIZE, ImageRecord
from moorage.domain.names import Repository
from moorage.domain.resources import Scalar
from moorage.ports import RepositoryRecord
from tests.contract.counting import counted
from tests.contract.samples import (
    APP,
    LATER,
    NOW,
    OTHER_IMAGE,
    OTHER_ORG,
    ROBOT,
    digest,
    make_organisation,
    manifest,
    point,
    push,
    pushed,
    put_manifest,
)

DAY = timedelta(days=1)
ORDERS = [Order(by, descending) for by in ImageSort for descending in (False, True)]
INDEX = "application/vnd.oci.image.index.v1+json"
METADATA: dict[str, Scalar] = {
    "env": "prod",
    "grüße": "\N{ANCHOR}",
    "yes": True,
    "no": False,
    "zero": 0,
    "count": -3,
    "large": 2**53 - 1,
    "fraction": 0.1,
    "empty": "",
    "a/b.c#d": "x",
}


def refuse(tag: str) -> None:
    raise TagImmutable(f"{tag} stays")


def found(table, tag: str = "v1", repository: Repository = APP) -> ImageRecord:
    record: ImageRecord | None = table.find_image(repository, tag)
    assert record is not None
    return record


def test_image_is_what_its_push_says(table):
    push(table, APP, "a")
    assert table.find_image(APP, "v1") is None
    point(table, APP, "v1", digest("a"), NOW, platforms=("linux/amd64", "linux/arm64/v8"), size=MAX_SIZE)
    record = found(table)
    assert record == ImageRecord(
        repository=APP,
        tag="v1",
        digest=digest("a"),
        id=record.id,
        version=1,
        created=NOW,
        last_modified=NOW,
        media_type=manifest("a").media_type,
        size=MAX_SIZE,
        pushed_by=ROBOT.link,
        pushed=NOW,
        platforms=("linux/amd64", "linux/arm64/v8"),
        tags={},
    )
    assert (record.name, record.link) == ("team/app:v1", "/org/demo/image/team/app:v1")
    assert len(record.id) == 36
    for repository, tag in [(APP, "V1"), (OTHER_IMAGE, "v1"), (OTHER_ORG, "v1")]:
        assert table.find_image(repository, tag) is None


def test_many_images_are_found_at_once(table):
    push(table, APP, "a")
    push(table, OTHER_ORG, "a")
    tags = [f"v{number}" for number in range(101)]
    for tag in tags:
        point(table, APP, tag, digest("a"), NOW)
    point(table, OTHER_ORG, "v0", digest("a"), NOW)
    wanted = {(APP, tag) for tag in tags} | {(OTHER_ORG, "v0"), (OTHER_ORG, "v1"), (OTHER_IMAGE, "v0")}
    images = table.find_images(wanted)
    names = sorted((each.repository, each.tag) for each in images)
    assert names == sorted({(APP, tag) for tag in tags} | {(OTHER_ORG, "v0")})
    assert [each for each in images if each.tag == "v1"] == [table.find_image(APP, "v1")]
    assert list(table.find_images(set())) == []


def test_image_that_is_pushed_again_as_it_is_changes_nothing(table):
    push(table, APP, "a")
    point(table, APP, "v1", digest("a"), NOW)
    before = found(table)
    point(table, APP, "v1", digest("a"), LATER, by="/org/demo/user/ada@example.com", size=5, media_type=INDEX)
    assert found(table) == before


def test_moved_image_keeps_its_id_creation_and_metadata(table):
    push(table, APP, "a", "b")
    point(table, APP, "v1", digest("a"), NOW)
    before = table.replace_metadata(found(table), METADATA, LATER)
    changes = {"by": "/org/demo/user/ada@example.com", "size": 5, "media_type": INDEX}
    point(table, APP, "v1", digest("b"), LATER + DAY, platforms=("linux/amd64",), **changes)
    moved = replace(
        before,
        digest=digest("b"),
        version=3,
        last_modified=LATER + DAY,
        pushed=LATER + DAY,
        pushed_by=changes["by"],
        size=5,
        media_type=INDEX,
        platforms=("linux/amd64",),
    )
    assert found(table) == moved
    point(table, APP, "v1", digest("a"), LATER + DAY)
    assert found(table).platforms is None
    assert found(table).version == 4
    assert found(table).tags == METADATA


def test_image_that_cannot_move_stays_as_it_is(table):
    push(table, APP, "a")
    point(table, APP, "v1", digest("a"), NOW)
    before = found(table)
    with pytest.raises(ManifestUnknown):
        point(table, APP, "v1", digest("absent"), LATER)
    assert found(table) == before


@pytest.mark.parametrize("how", ["tag", "manifest", "image"])
def test_image_that_is_made_anew_is_another(table, how):
    push(table, APP, "a")
    point(table, APP, "v1", digest("a"), NOW)
    before = table.replace_metadata(found(table), METADATA, LATER)
    if how == "tag":
        assert table.delete_tag(APP, "v1")
    elif how == "manifest":
        assert table.delete_manifest(APP, digest("a"))
    else:
        table.delete_image(before)
    assert table.find_image(APP, "v1") is None
    assert table.find_tag(APP, "v1") is None
    assert table.tags_of(APP, digest("a")) == []
    assert table.images_of("demo", Order(), None, 10).images == []
    push(table, APP, "a")
    point(table, APP, "v1", digest("a"), LATER)
    assert found(table).id != before.id
    assert (found(table).version, found(table).tags, found(table).created) == (1, {}, LATER)


# ------------------------------------------------------------------ metadata
def test_metadata_is_found_as_it_was_put(table):
    push(table, APP, "a")
    point(table, APP, "v1", digest("a"), NOW)
    before = found(table)
    edited = table.replace_metadata(before, METADATA, LATER)
    assert edited == found(table) == replace(before, tags=METADATA, version=2, last_modified=LATER)
    assert {key: type(value) for key, value in found(table).tags.items()} == {
        key: type(value) for key, value in METADATA.items()
    }
    assert table.replace_metadata(edited, {}, LATER) == found(table) == replace(edited, tags={}, version=3)
    assert [each.tags for each in table.images_of("demo", Order(), None, 10).images] == [{}]


def test_metadata_of_an_image_that_has_changed_is_not_replaced(table):
    push(table, APP, "a", "b")
    point(table, APP, "v1", digest("a"), NOW)
    first = found(table)
    point(table, APP, "v1", digest("b"), NOW)
    moved = found(table)
    with pytest.raises(WriteConflict):
        table.replace_metadata(first, METADATA, LATER)
    assert found(table) == moved
    with pytest.raises(WriteConflict):
        table.delete_image(first)
    assert found(table) == moved
    table.replace_metadata(moved, METADATA, LATER)
    with pytest.raises(WriteConflict):
        table.replace_metadata(moved, {}, LATER)
    assert found(table).tags == METADATA


def test_metadata_of_an_image_that_is_gone_or_another_is_not_replaced(table):
    push(table, APP, "a")
    point(table, APP, "v1", digest("a"), NOW)
    gone = found(table)
    table.delete_image(gone)
    for write in (lambda: table.replace_metadata(gone, {}, NOW), lambda: table.delete_image(gone)):
        with pytest.raises(WriteConflict):
            write()
    assert table.find_image(APP, "v1") is None
    # Of the same version, but not the same image.
    point(table, APP, "v1", digest("a"), NOW)
    for write in (lambda: table.replace_metadata(gone, {}, NOW), lambda: table.delete_image(gone)):
        with pytest.raises(WriteConflict):
            write()
    assert found(table).version == 1


# ------------------------------------------------------------------ what must stay
@pytest.fixture
def protected(table):
    push(table, APP, "a")
    for number in range(60):
        point(table, APP, f"v{number}", digest("a"), NOW)
    table.replace_metadata(found(table, "v59"), {"moorage/protected": True}, LATER)
    return table


def test_protected_image_is_deleted_by_no_way(protected):
    image = found(protected, "v59")
    for delete in (
        lambda: protected.delete_tag(APP, "v59"),
        lambda: protected.delete_manifest(APP, digest("a")),
        lambda: protected.delete_image(image),
    ):
        with pytest.raises(ResourceProtected, match=r"team/app:v59 is protected .* remove its metadata tag"):
            delete()
    # Not even the other tags, of which the manifest's deletion would have removed the first ones already.
    assert len(protected.tags_of(APP, digest("a"))) == 60
    assert protected.find_manifest(APP, digest("a")) is not None
    assert found(protected, "v59") == image


def test_protection_covers_one_image_and_ends_with_its_metadata(protected):
    assert protected.delete_tag(APP, "v1") is True
    protected.delete_image(found(protected, "v2"))
    protected.replace_metadata(found(protected, "v59"), {"moorage/protected": False}, LATER)
    assert protected.delete_manifest(APP, digest("a"))
    assert protected.tags_after(APP, None, 10) == []


def test_protected_image_may_move(table):
    push(table, APP, "a", "b")
    point(table, APP, "v1", digest("a"), NOW)
    table.replace_metadata(found(table), {"cpln/protected": "true"}, LATER)
    point(table, APP, "v1", digest("b"), LATER)
    assert table.delete_manifest(APP, digest("a"))
    with pytest.raises(ResourceProtected):
        table.delete_manifest(APP, digest("b"))


def test_tags_that_would_move_are_asked_about_before_any_does(table):
    push(table, APP, "a", "b")
    for tag, name in [("v1", "a"), ("v2", "b"), ("v3", "a")]:
        point(table, APP, tag, digest(name), NOW)
    asked: list[str] = []
    tags = ["new", "v1", "v2", "v3"]

    def refuse_third(tag: str) -> None:
        asked.append(tag)
        if tag == "v3":
            raise TagImmutable("it stays")

    with pytest.raises(TagImmutable):
        table.put_tags(APP, tags, pushed(digest("b"), LATER), refuse_third)
    assert asked == ["v1", "v3"]
    assert table.tags_of(APP, digest("a")) == ["v1", "v3"]
    assert table.find_tag(APP, "new") is None
    asked.clear()
    table.put_tags(APP, tags, pushed(digest("b"), LATER), asked.append)
    assert sorted(set(asked)) == ["v1", "v3"]
    assert table.tags_of(APP, digest("b")) == tags


def test_tags_that_do_not_move_are_not_asked_about(table):
    push(table, APP, "a")
    for _ in range(2):
        table.put_tags(APP, ["v1", "v2"], pushed(digest("a"), NOW), refuse)
        table.put_tags(APP, ["v3"], pushed(digest("a"), NOW), refuse)
        table.put_tags(APP, [], pushed(digest("a"), NOW), refuse)
    assert table.tags_of(APP, digest("a")) == ["v1", "v2", "v3"]


def test_refusal_of_one_tag_is_raised_as_it_is(table):
    push(table, APP, "a", "b")
    point(table, APP, "v1", digest("a"), NOW)
    with pytest.raises(Denied, match="v1 stays"):
        table.put_tags(APP, ["v1"], pushed(digest("b"), NOW), refuse)
    assert found(table).version == 1


# ------------------------------------------------------------------ lists
def make(table, *repositories: Repository) -> None:
    """Repositories, in organisations that are there."""
    make_organisation(table, *{repository.org for repository in repositories})
    for repository in repositories:
        table.create_repository(RepositoryRecord(repository, f"id of {repository}", NOW))


def spread(table) -> list[ImageRecord]:
    """Images whose orders differ, some of them of the same time; and others, of another organisation."""
    names = ["app", "app-x", "app/x", "app.y", "app_z", "apple", "b"]
    choose = random.Random(3)
    for org in ("demo", "acme"):
        for image in names:
            repository = Repository(org, image)
            push(table, repository, "a", "b")
            for tag in ("v1", "V1", "_", "1.0"):
                hour = timedelta(hours=choose.randrange(6))
                point(table, repository, tag, digest("a"), NOW + hour)
                if choose.random() < 0.5:
                    point(table, repository, tag, digest("b"), NOW + DAY + hour)
    return [
        found(table, tag, Repository("demo", image)) for image in names for tag in ("v1", "V1", "_", "1.0")
    ]


def listed(table, order: Order, size: int, org: str = "demo") -> list[ImageRecord]:
    visited: list[ImageRecord] = []
    place: Place | None = None
    while True:
        page = table.images_of(org, order, place, size)
        assert len(page.images) <= size
        visited += page.images
        if not page.more:
            return visited
        assert page.images
        place = place_of(page.images[-1], order.by)


KEYS = {
    ImageSort.NAME: lambda record: record.name,
    ImageSort.CREATED: lambda record: (record.created, record.name),
    ImageSort.LAST_MODIFIED: lambda record: (record.last_modified, record.name),
}


def test_images_of_an_organisation_are_listed_in_order_each_once_whatever_the_page(table):
    images = spread(table)
    assert len({each.created for each in images}) < len(images)
    for order in ORDERS:
        expected = sorted(images, key=KEYS[order.by], reverse=order.descending)
        for size in (1, 5, len(images), 1000):
            assert listed(table, order, size) == expected
    assert {each.repository.org for each in listed(table, Order(), 1000, "acme")} == {"acme"}
    assert listed(table, Order(), 10, "nobody") == []


def test_times_of_whole_seconds_are_sorted_among_the_others(table):
    push(table, APP, "a")
    second = NOW.replace(microsecond=0)
    times = [second + timedelta(microseconds=step) for step in (0, 1, 999_999, 1_000_000, 1_000_001)]
    for number, time in enumerate(times):
        point(table, APP, f"v{9 - number}", digest("a"), time)
    for by in (ImageSort.CREATED, ImageSort.LAST_MODIFIED):
        assert [each.created for each in listed(table, Order(by), 2)] == times


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: f"{order.by}-{order.descending}")
def test_list_goes_on_where_an_image_was_that_is_gone(table, order):
    images = sorted(spread(table), key=KEYS[order.by], reverse=order.descending)
    gone = images[9]
    table.delete_image(gone)
    page = table.images_of("demo", order, place_of(gone, order.by), 3)
    assert page.images == images[10:13]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: f"{order.by}-{order.descending}")
def test_place_in_another_organisation_shows_nothing_of_it(table, order):
    spread(table)
    foreign = Place(Repository("acme", "app"), "v1", None if order.by is ImageSort.NAME else NOW)
    page = table.images_of("demo", order, foreign, 100)
    assert {each.repository.org for each in page.images} <= {"demo"}


def test_list_follows_moves_edits_and_deletions(table):
    push(table, APP, "a", "b")
    for number, tag in enumerate(("v1", "v2", "v3")):
        point(table, APP, tag, digest("a"), NOW + number * DAY)

    def names(by: ImageSort) -> list[str]:
        return [each.tag for each in table.images_of("demo", Order(by, descending=True), None, 10).images]

    assert names(ImageSort.LAST_MODIFIED) == ["v3", "v2", "v1"]
    point(table, APP, "v1", digest("b"), NOW + 4 * DAY)
    assert names(ImageSort.LAST_MODIFIED) == ["v1", "v3", "v2"]
    table.replace_metadata(found(table, "v2"), {"a": 1}, NOW + 5 * DAY)
    assert names(ImageSort.LAST_MODIFIED) == ["v2", "v1", "v3"]
    assert names(ImageSort.CREATED) == ["v3", "v2", "v1"]
    table.delete_tag(APP, "v1")
    assert names(ImageSort.LAST_MODIFIED) == ["v2", "v3"]
    assert names(ImageSort.NAME) == ["v3", "v2"]


def test_images_of_a_repository_are_its_own_by_tag(table):
    images = [each for each in spread(table) if each.repository.image == "app"]
    repository = images[0].repository
    for descending in (False, True):
        expected = sorted(images, key=lambda each: each.tag, reverse=descending)
        for size in (1, 3, 10):
            visited: list[ImageRecord] = []
            place: Place | None = None
            while True:
                page = table.images_of_repository(repository, descending=descending, after=place, limit=size)
                visited += page.images
                if not page.more:
                    break
                place = place_of(page.images[-1], ImageSort.NAME)
            assert visited == expected
    empty = table.images_of_repository(APP, descending=False, after=None, limit=10)
    assert (list(empty.images), empty.more) == ([], False)


def test_newest_image_is_the_one_that_was_pushed_last(table):
    assert table.newest_images(APP, 5) == []
    push(table, APP, "a", "b")
    push(table, OTHER_IMAGE, "a")
    for number, tag in enumerate(("v9", "v5", "v7")):
        point(table, APP, tag, digest("a"), NOW + number * DAY)
    point(table, OTHER_IMAGE, "v1", digest("a"), NOW + 9 * DAY)

    def newest(limit: int = 10) -> list[str]:
        return [each.tag for each in table.newest_images(APP, limit)]

    assert newest() == ["v7", "v5", "v9"]
    table.replace_metadata(found(table, "v9"), {"a": 1}, NOW + 8 * DAY)
    assert newest(1) == ["v7"]
    point(table, APP, "v9", digest("b"), NOW + 3 * DAY)
    assert newest(2) == ["v9", "v7"]
    table.delete_tag(APP, "v9")
    assert newest() == ["v7", "v5"]


def test_organisation_has_images_as_long_as_one_is_there(table):
    make(table, APP, OTHER_IMAGE, OTHER_ORG)
    for repository in (APP, OTHER_IMAGE, OTHER_ORG):
        push(table, repository, "a")
    assert table.has_images("demo") is False
    point(table, OTHER_ORG, "v1", digest("a"), NOW)
    assert table.has_images("demo") is False
    assert table.has_images("acme") is True
    point(table, OTHER_IMAGE, "v1", digest("a"), NOW)
    assert table.has_images("demo") is True
    table.delete_manifest(OTHER_IMAGE, digest("a"))
    assert table.has_images("demo") is False


def test_image_that_the_index_does_not_know_yet_is_not_overlooked(dynamo_table, monkeypatch):
    make(dynamo_table, APP, OTHER_IMAGE)
    push(dynamo_table, OTHER_IMAGE, "a")
    point(dynamo_table, OTHER_IMAGE, "v1", digest("a"), NOW)
    client = dynamo_table._table.client()
    call = client.call

    def late(operation: str, request: Any) -> Any:
        return {"Items": []} if "IndexName" in request else call(operation, request)

    monkeypatch.setattr(client, "call", late)
    assert dynamo_table.has_images("demo") is True


# ------------------------------------------------------------------ what it costs
class Evaluated:
    """What DynamoDB says that it has looked at."""

    def __init__(self, client, patch) -> None:
        self.rows, call = 0, client.call

        def add_and_call(operation: str, request: Any) -> Any:
            answer = call(operation, request)
            self.rows += answer.get("ScannedCount", 0)
            return answer

        patch.setattr(client, "call", add_and_call)


def test_page_costs_one_request_and_its_own_rows_however_many_images_there_are(dynamo_table, monkeypatch):
    push(dynamo_table, APP, "a")
    client = dynamo_table._table.client()
    evaluated = Evaluated(client, monkeypatch)
    costs = []
    for number in range(300):
        point(dynamo_table, APP, f"v{number:03}", digest("a"), NOW + timedelta(seconds=number))
        if number not in (30, 299):
            continue
        image = found(dynamo_table, "v007")
        for order in ORDERS:
            for place in (None, place_of(image, order.by)):
                evaluated.rows = 0
                with counted(client) as sent:
                    dynamo_table.images_of("demo", order, place, 7)
                costs.append((evaluated.rows, sent))
        evaluated.rows = 0
        with counted(client) as sent:
            dynamo_table.newest_images(APP, 1)
        costs.append((evaluated.rows + 6, sent[:1]))
        assert sent[1:] == ["BatchGetItem"]
    assert costs == [(7, ["Query"])] * len(costs)


def test_page_in_memory_has_its_own_rows_at_a_hundred_thousand_images():
    table = MemoryTable()
    push(table, APP, "a")
    table.put_tags(APP, [f"v{number:05}" for number in range(100_000)], pushed(digest("a")), refuse)
    for order in ORDERS:
        place = place_of(found(table, "v50000"), order.by)
        page = table.images_of("demo", order, place, 7)
        step = -1 if order.descending else 1
        assert [each.tag for each in page.images] == [f"v{50000 + step * n:05}" for n in range(1, 8)]
        assert page.more


def test_rows_of_images_hold_what_lists_need_and_no_more(dynamo_table, rows):
    push(dynamo_table, APP, "a")
    point(dynamo_table, APP, "v1", digest("a"), NOW)
    (row,) = [row for row in rows() if row["type"] == "tag"]
    assert row.keys() == {
        *("pk", "sk", "type", "v", "tag", "digest", "id", "version", "created", "last_modified", "tags"),
        *("media_type", "size", "pushed_by", "pushed", "gsi2pk", "gsi2sk", "gsi3sk", "gsi4sk", "gsi5sk"),
    }
    assert len(str(row)) < 1200


def test_digest_of_another_algorithm_is_listed_as_it_is(table):
    strong = Digest.parse("sha512:" + "ab" * 64)
    put_manifest(table, APP, manifest("x", digest=strong), uses=[], referrer=None)
    point(table, APP, "v1", strong, NOW)
    assert [each.digest for each in table.images_of("demo", Order(), None, 5).images] == [strong]
