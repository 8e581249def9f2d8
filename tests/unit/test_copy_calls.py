"""What a copy costs: no object is touched within one store, and calls grow with what is copied, not faster."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from moorage.domain.jobs import JobState
from moorage.domain.manifests import OCI_INDEX
from moorage.domain.names import Repository
from tests.unit.copy_world import FAR, NEAR, SOURCE, CopyWorld, described_blob, manifest_of
from tests.unit.faults import Faults

STORAGE = {
    "put_once",
    "read",
    "head",
    "list_keys",
    "delete",
    "read_range",
    "presign_get",
    "presign_put",
    "begin_multipart",
    "list_parts",
    "complete_multipart",
    "unfinished_uploads",
    "abort_multipart",
    "copy_object",
    "copy_part",
}


def counted(
    world: CopyWorld, faults: Faults, to: Repository, text: str = "app:v1", **more: object
) -> Counter[str]:
    """The calls of a whole copy, the request included."""
    faults.calls.clear()
    job = world.copy(text, to, **more)
    assert job.state is JobState.SUCCEEDED, job.reason
    return Counter(faults.calls)


def large_index(world: CopyWorld, count: int) -> None:
    """An index of so many manifests, of a layer each, with a shared config."""
    config = described_blob(world.blob(b"{}"), b"{}")
    children = []
    for number in range(count):
        layer = b"layer %d" % number
        content = manifest_of([config, described_blob(world.blob(layer), layer)])
        children.append(world.descriptor(world.push(content)))
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}
    world.push(json.dumps(document).encode(), "v1", media_type=OCI_INDEX)


def test_within_one_store_no_object_is_touched() -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap)
    world.whole_image()
    calls = counted(world, faults, NEAR)
    assert not STORAGE & calls.keys()
    # The one small object is the document that calls the worker.
    assert calls["put"] == 1
    assert world.copies() == []


def test_between_two_stores_each_blob_is_copied_and_proved_once() -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap)
    world.whole_image()
    blobs = len({link.digest for link in world.table._links.values()})
    calls = counted(world, faults, FAR)
    assert {name: count for name, count in calls.items() if name in STORAGE} == {
        "copy_object": blobs,
        "head": blobs,
    }
    assert not STORAGE & counted(world, faults, FAR).keys()


@pytest.mark.parametrize("to", [NEAR, FAR], ids=["one store", "two stores"])
def test_calls_grow_no_faster_than_the_manifests(to: Repository) -> None:
    per_manifest = []
    for count in (10, 100, 1000):
        faults = Faults()
        world = CopyWorld(faults.wrap)
        large_index(world, count)
        calls = counted(world, faults, to)
        print(f"{count} manifests of a layer each: {calls.total()} calls, {dict(sorted(calls.items()))}")
        per_manifest.append(calls.total() / count)
    assert per_manifest == sorted(per_manifest, reverse=True)
    assert per_manifest[-1] < 20


def test_a_copy_of_what_is_there_reads_and_writes_nothing_but_the_job() -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap)
    large_index(world, 100)
    counted(world, faults, NEAR)
    calls = counted(world, faults, NEAR)
    assert (
        not {"put_manifest", "put_link", "put_tags", "add_reference", "put_organisation_blob"} & calls.keys()
    )
    # The referrers of each are looked for; all else is read a hundred at a time.
    assert calls.total() - calls["referrers"] < 40


def test_an_image_of_ten_layers_takes_few_calls_one_after_the_other() -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap)
    world.image("a", "v1", layers=[b"layer %d" % number for number in range(9)])
    calls = counted(world, faults, NEAR)
    print(dict(sorted(calls.items())))
    # Six for each blob, eight blobs at a time; the rest comes one after the other.
    per_blob = ("find_organisation_blob", "find_object", "put_organisation_blob", "add_reference", "put_link")
    assert all(calls[name] in (11, 22) for name in per_blob)
    assert calls.total() - sum(calls[name] for name in per_blob) < 50


def test_many_tags_of_one_image_take_few_calls_each() -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap)
    digest = world.image("a")
    for number in range(500):
        world.push(
            world.services.manifests.content(world.services.manifests.find(SOURCE, digest)), f"v{number}"
        )
    calls = counted(world, faults, NEAR, "app", allTags=True)
    # One by one, because the lease is looked at before each.
    assert calls["put_tags"] == 500
    assert calls.total() - calls["put_tags"] < 300
    assert len(world.tags(NEAR)) == 500
