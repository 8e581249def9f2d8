"""Images one by one: found, labelled and deleted, by those who may."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from moorage.adapters.memory import MemoryTable
from moorage.domain.errors import (
    Denied,
    InvalidInput,
    NotFound,
    ResourceProtected,
    VersionMismatch,
    WriteConflict,
)
from moorage.domain.images import ImageRecord
from moorage.services.images import ImageAdministration, image_resource
from tests.contract.samples import APP, NOW, digest, point, push
from tests.protocol.world import Clock


@pytest.fixture
def clock():
    return Clock(NOW + timedelta(hours=1))


@pytest.fixture
def table():
    table = MemoryTable()
    push(table, APP, "a", "b")
    point(table, APP, "v1", digest("a"), NOW)
    return table


@pytest.fixture
def images(table, clock):
    return ImageAdministration(table, clock)


def anything(record: ImageRecord) -> None:
    """Permits it."""


def nothing(record: ImageRecord) -> None:
    raise Denied(f"not {record.name}")


def test_metadata_is_merged_and_none_removes(images, clock):
    before = images.find(APP, "v1")
    changed = images.change_tags(APP, "v1", {"env": "prod", "n": 1, "absent": None}, anything)
    assert changed == replace(before, tags={"env": "prod", "n": 1}, version=2, last_modified=clock())
    changed = images.change_tags(APP, "v1", {"env": None, "n": 2.5, "yes": True}, anything)
    assert changed.tags == {"n": 2.5, "yes": True}
    assert images.find(APP, "v1") == changed
    assert images.replace_tags(APP, "v1", {"only": ""}, anything).tags == {"only": ""}
    assert images.replace_tags(APP, "v1", None, anything).tags == {}


def test_edit_that_changes_nothing_makes_no_version(images, clock):
    images.change_tags(APP, "v1", {"a": 1, "b": "x"}, anything)
    before = images.find(APP, "v1")
    clock.advance(timedelta(hours=1))
    assert images.change_tags(APP, "v1", {}, anything) == before
    assert images.change_tags(APP, "v1", {"a": 1, "c": None}, anything) == before
    assert images.replace_tags(APP, "v1", {"b": "x", "a": 1}, anything) == before
    # To Python 1 is True.
    assert images.change_tags(APP, "v1", {"a": True}, anything).version == before.version + 1
    assert images.find(APP, "v1").tags["a"] is True


BAD: dict[str, dict[str, Any]] = {
    "no scalar": {"a": {"b": 1}},
    "a list": {"a": [1]},
    "not a number": {"a": float("nan")},
    "infinite": {"a": float("inf")},
    "too large": {"a": 2**60},
    "too long": {"a": "x" * 257},
    "long name": {"x" * 129: 1},
    "empty name": {"": 1},
    "control character": {"a": "\x00"},
    "too many": {f"k{number}": 1 for number in range(51)},
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_metadata_is_refused_and_nothing_written(images, bad):
    images.change_tags(APP, "v1", {"kept": 1}, anything)
    before = images.find(APP, "v1")
    for edit in (images.change_tags, images.replace_tags):
        with pytest.raises(InvalidInput):
            edit(APP, "v1", {"good": 1, **BAD[bad]}, anything)
        assert images.find(APP, "v1") == before


def test_too_much_metadata_one_after_the_other_is_refused(images):
    for number in range(50):
        images.change_tags(APP, "v1", {f"k{number}": 1}, anything)
    with pytest.raises(InvalidInput, match="at most 50"):
        images.change_tags(APP, "v1", {"k50": 1}, anything)
    images.change_tags(APP, "v1", {"k50": 1, "k0": None}, anything)


WRITES = {
    "change": lambda images, permit: images.change_tags(APP, "v1", {"a": 1}, permit),
    "replace": lambda images, permit: images.replace_tags(APP, "v1", {"a": 1}, permit),
    "delete": lambda images, permit: images.delete(APP, "v1", permit),
}


@pytest.mark.parametrize("write", WRITES)
def test_write_of_an_image_that_is_not_there_is_refused(images, table, write):
    table.delete_tag(APP, "v1")
    with pytest.raises(NotFound):
        WRITES[write](images, anything)


@pytest.mark.parametrize("write", WRITES)
def test_who_may_not_write_is_refused_and_nothing_written(images, write):
    before = images.find(APP, "v1")
    with pytest.raises(Denied, match="not team/app:v1"):
        WRITES[write](images, nothing)
    assert images.find(APP, "v1") == before


@pytest.mark.parametrize("write", WRITES)
def test_permission_is_asked_of_the_record_that_is_written(images, table, write):
    """By what it is labelled, an image may be withheld from the caller: the last look decides."""
    asked: list[int] = []

    def until_it_is_labelled(record: ImageRecord) -> None:
        asked.append(record.version)
        if record.tags:
            raise Denied("labelled")
        table.replace_metadata(record, {"secret": True}, NOW)

    with pytest.raises(Denied, match="labelled"):
        WRITES[write](images, until_it_is_labelled)
    assert asked == [1, 2]
    assert images.find(APP, "v1").tags == {"secret": True}


@pytest.mark.parametrize("write", WRITES)
def test_write_that_others_always_outrun_is_given_up(images, table, write):
    def outrun(record: ImageRecord) -> None:
        table.replace_metadata(record, {"n": record.version}, NOW)

    with pytest.raises(WriteConflict):
        WRITES[write](images, outrun)
    assert images.find(APP, "v1").tags == {"n": 5}


def test_version_that_is_outrun_is_refused_and_not_merged(images, table):
    def only_the_first(record: ImageRecord) -> None:
        if record.version != 1:
            raise VersionMismatch("it was changed")
        table.replace_metadata(record, {"theirs": 1}, NOW)

    with pytest.raises(VersionMismatch):
        images.change_tags(APP, "v1", {"ours": 1}, only_the_first)
    assert images.find(APP, "v1").tags == {"theirs": 1}
    assert images.change_tags(APP, "v1", {"ours": 1}, anything).tags == {"theirs": 1, "ours": 1}


def test_deleted_image_leaves_its_manifest(images, table):
    removed = images.delete(APP, "v1", anything)
    assert removed.name == "team/app:v1"
    assert images.find(APP, "v1") is None
    assert table.find_tag(APP, "v1") is None
    assert table.find_manifest(APP, digest("a")) is not None


@pytest.mark.parametrize("key", ["protected", "moorage/protected", "cpln/protected"])
@pytest.mark.parametrize("value", [True, "true"])
def test_protected_image_is_deleted_after_its_protection(images, key, value):
    images.change_tags(APP, "v1", {key: value}, anything)
    with pytest.raises(ResourceProtected):
        images.delete(APP, "v1", anything)
    images.change_tags(APP, "v1", {key: None}, anything)
    images.delete(APP, "v1", anything)


@pytest.mark.parametrize("tags", [{"moorage/protected": False}, {"protected": "no"}, {"unprotected": True}])
def test_image_that_is_not_protected_is_deleted(images, tags):
    images.replace_tags(APP, "v1", tags, anything)
    images.delete(APP, "v1", anything)
    assert images.find(APP, "v1") is None


def test_latest_is_the_last_pushed_that_the_caller_may_view(images, table):
    for number in range(2, 140):
        point(table, APP, f"v{number}", digest("a"), NOW + timedelta(minutes=number))
    images.change_tags(APP, "v1", {"a": 1}, anything)
    assert images.latest(APP, lambda _: True).tag == "v139"
    assert images.latest(APP, lambda record: record.tag in ("v40", "v50")).tag == "v50"
    # Of more than the last hundred nobody has to know.
    assert images.latest(APP, lambda record: record.tag == "v1") is None
    assert images.latest(APP, lambda _: False) is None


def test_policies_see_of_an_image_what_there_is_to_ask_for(images, table):
    point(table, APP, "v2", digest("b"), NOW, platforms=("linux/amd64",))
    resource = image_resource(images.change_tags(APP, "v2", {"env": "prod"}, anything))
    assert resource.repository == APP
    assert f"/org/demo/image/team/app@{digest('b')}" in resource.links
    assert resource.subject.tags == {"env": "prod"}
    properties = dict(resource.subject.properties)
    assert properties.pop("id")
    assert properties == {
        "name": "team/app:v2",
        "repository": "team/app",
        "tag": "v2",
        "digest": str(digest("b")),
        "version": 2,
        "created": NOW,
        "lastModified": NOW + timedelta(hours=1),
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "size": 1_234,
        "pushed": NOW,
        "pushedBy": "/org/demo/serviceaccount/robot",
        "platforms": ("linux/amd64",),
    }
    assert "platforms" not in image_resource(images.find(APP, "v1")).subject.properties
