"""What a push, a retag and a delete through the protocol do to the records of images, and what they may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from moorage.domain.images import ImageRecord
from moorage.domain.manifests import OCI_INDEX
from moorage.domain.names import Repository
from moorage.domain.resources import Kind, Scalar
from tests.protocol.sample import (
    BLOB,
    DIGEST,
    IMAGE,
    IMAGE_DIGEST,
    INDEX,
    NAME,
    fill,
    image,
    index,
    push_manifest,
    require_error,
    require_success,
    sha256,
)

OTHER = image(annotations={"number": "2"})
APP = Repository.parse(NAME)


@pytest.fixture
def headers(world):
    headers = world.all_of("demo/admin", NAME)
    fill(world, headers)
    return headers


def record(world, tag: str = "v1") -> ImageRecord:
    found: ImageRecord | None = world.table.find_image(APP, tag)
    assert found is not None
    return found


def label(world, tags: Mapping[str, Scalar]) -> None:
    world.table.replace_metadata(record(world), tags, world.clock())


def rule(world, *tags: str) -> None:
    organisation = world.table.find(Kind.ORG, "demo", "demo")
    assert organisation is not None
    spec = {**organisation.spec, "immutableTags": [{"repository": "*", "tags": list(tags)}]}
    world.table.replace(organisation, replace(organisation, spec=spec, version=organisation.version + 1))


def test_pushed_image_is_recorded_with_the_principal_of_the_token(world, headers):
    found = record(world)
    assert found.pushed_by == "/org/demo/serviceaccount/admin"
    assert (found.pushed, found.created, found.version) == (world.clock(), world.clock(), 1)
    assert found.size == len(IMAGE) + len(BLOB)


def test_index_is_recorded_as_one(world, headers):
    listed = index(IMAGE)
    push_manifest(world, headers, listed, "multi")
    found = record(world, "multi")
    assert (found.media_type, found.platforms) == (OCI_INDEX, ())
    assert found.size == len(listed) + record(world).size


def test_retag_keeps_the_record_and_its_labels(world, headers):
    before = record(world)
    label(world, {"env": "prod"})
    world.clock.advance(timedelta(hours=1))
    other = world.all_of("demo/admin", NAME)
    require_success(world.registry.put(f"/v2/{NAME}/manifests/v1", headers=other, content=IMAGE), 201)
    assert record(world).version == 2
    push_manifest(world, other, OTHER, "v1")
    after = record(world)
    assert (after.id, after.created, after.version) == (before.id, before.created, 3)
    assert (after.tags, after.pushed) == ({"env": "prod"}, world.clock())


def test_immutable_tag_is_pushed_over_by_no_request(world, headers):
    rule(world, "v?")
    before = record(world)
    for path in (
        f"/v2/{NAME}/manifests/v1",
        f"/v2/{NAME}/manifests/latest?tag=v1",
        f"/v2/{NAME}/manifests/{sha256(OTHER)}?tag=latest&tag=v1",
    ):
        response = world.registry.put(path, headers=headers, content=OTHER)
        entry = require_error(response, 403, "DENIED")
        assert "the tag v1 is immutable" in entry["message"]
        assert "push under another tag" in entry["message"]
    assert record(world) == before
    assert world.table.find_image(APP, "latest") is None
    tagged = world.registry.get(f"/v2/{NAME}/manifests/v1", headers=headers)
    assert tagged.headers["Docker-Content-Digest"] == IMAGE_DIGEST


def test_immutable_tag_takes_the_same_image_and_others_take_any(world, headers):
    rule(world, "v1")
    push_manifest(world, headers, IMAGE, "v1")
    push_manifest(world, headers, OTHER, "v2")
    push_manifest(world, headers, OTHER, "v3")
    assert record(world, "v2").version == 2
    response = world.registry.delete(f"/v2/{NAME}/manifests/v1", headers=headers)
    require_success(response, 202)
    push_manifest(world, headers, OTHER, "v1")


@pytest.mark.parametrize("reference", ["v1", IMAGE_DIGEST])
def test_protected_image_is_deleted_only_after_its_protection(world, headers, reference):
    label(world, {"moorage/protected": True})
    before = record(world)
    path = f"/v2/{NAME}/manifests/{reference}"
    entry = require_error(world.registry.delete(path, headers=headers), 403, "DENIED")
    assert "app:v1 is protected" in entry["message"]
    assert record(world) == before
    assert record(world, "v2").digest == before.digest
    label(world, {})
    require_success(world.registry.delete(path, headers=headers), 202)
    assert world.table.find_image(APP, "v1") is None


def test_who_may_not_push_learns_nothing_of_immutable_tags(world, headers):
    rule(world, "v1")
    viewer = world.all_of("demo/viewer", NAME)
    response = world.registry.put(f"/v2/{NAME}/manifests/v1", headers=viewer, content=OTHER)
    assert "immutable" not in response.text
    assert response.status_code in (401, 403)


@pytest.mark.parametrize("part", [f"manifests/{IMAGE_DIGEST}", f"blobs/{DIGEST}"])
def test_what_a_protected_index_is_made_of_is_kept(world, headers, part):
    for tag in ("v1", "v2"):
        require_success(world.registry.delete(f"/v2/{NAME}/manifests/{tag}", headers=headers), 202)
    push_manifest(world, headers, INDEX, "v1")
    label(world, {"moorage/protected": True})
    entry = require_error(world.registry.delete(f"/v2/{NAME}/{part}", headers=headers), 403, "DENIED")
    assert "app:v1 is protected" in entry["message"]
    assert world.registry.get(f"/v2/{NAME}/{part}", headers=headers).status_code in (200, 307)
    label(world, {})
    require_success(world.registry.delete(f"/v2/{NAME}/{part}", headers=headers), 202)
