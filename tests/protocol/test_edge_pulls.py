"""Pulls that the front door serves itself: where a blob's redirect leads, for whom."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from moorage.domain.digests import Digest
from moorage.domain.edge_paths import download_path
from moorage.domain.names import Repository
from moorage.web.origin import HOST_HEADER, PROOF_HEADER
from tests.protocol.sample import ABSENT, BLOB, DIGEST, LONG, NAME, require_error
from tests.protocol.world import World, registry_in_memory

THROUGH = {PROOF_HEADER: "proof", HOST_HEADER: "registry.example"}


@pytest.fixture
def world() -> Iterator[World]:
    with registry_in_memory(front_door="proof", edge_pulls=True) as world:
        yield world


@pytest.fixture
def headers(world):
    headers = world.all_of("demo/admin", NAME)
    for digest in (DIGEST, LONG):
        push(world, headers, digest)
    return headers


def push(world, headers, digest=DIGEST, name=NAME):
    response = world.registry.post(
        f"/v2/{name}/blobs/uploads/", params={"digest": digest}, headers=headers, content=BLOB
    )
    assert response.status_code == 201, response.text


def location(world, headers, name=NAME, digest=DIGEST, **more):
    response = world.registry.get(f"/v2/{name}/blobs/{digest}", headers=headers | more)
    assert response.status_code == 307, response.text
    assert response.headers["Docker-Content-Digest"] == digest
    assert response.headers["Cache-Control"] == "private, no-store"
    return response.headers["Location"]


@pytest.mark.parametrize("digest", [DIGEST, LONG])
def test_a_client_of_the_front_door_is_sent_to_a_signed_path_of_the_same_host(world, headers, digest):
    link = world.table.find_link(Repository("demo", "app"), Digest.parse(digest))
    expected = download_path(f"/v2/{NAME}/blobs/", link, world.upload_keys.key, world.clock.now)
    assert location(world, headers | THROUGH, digest=digest) == expected
    assert f"/{digest.partition(':')[2]}/" in (expected or "")


def test_the_path_names_the_repository_as_the_client_does():
    with registry_in_memory("moorage.test", "proof", edge_pulls=True) as world:
        own = world.all_of("demo/admin", NAME) | THROUGH | {HOST_HEADER: "demo.moorage.test"}
        push(world, own, name="app")
        assert location(world, own, "app").startswith("/v2/app/blobs/_edge/")


@pytest.mark.parametrize("shown", [{}, THROUGH | {PROOF_HEADER: "guess"}, {HOST_HEADER: "registry.example"}])
def test_a_client_that_came_another_way_is_sent_to_the_store(world, headers, shown):
    assert re.match("https?://", location(world, headers | shown))
    assert world.upload_keys.reads == 0


def test_without_edge_pulls_clients_of_the_front_door_are_sent_to_the_store():
    with registry_in_memory(front_door="proof") as world:
        headers = world.all_of("demo/admin", NAME) | THROUGH
        push(world, headers)
        assert re.match("https?://", location(world, headers))


def test_a_blob_that_the_repository_does_not_hold_has_no_path(world, headers):
    both = world.all_of("demo/admin", NAME, "demo/side") | THROUGH
    push(world, both, name="demo/side")
    for name, digest in (("demo/side", LONG), (NAME, ABSENT)):
        response = world.registry.get(f"/v2/{name}/blobs/{digest}", headers=both)
        require_error(response, 404, "BLOB_UNKNOWN")
        assert "Location" not in response.headers


def test_a_deleted_blob_gets_no_new_path(world, headers):
    location(world, headers | THROUGH)
    assert world.registry.delete(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers).status_code == 202
    require_error(
        world.registry.get(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers | THROUGH), 404, "BLOB_UNKNOWN"
    )


def test_a_range_that_fits_no_byte_is_refused_before_the_redirect(world, headers):
    response = world.registry.get(
        f"/v2/{NAME}/blobs/{DIGEST}", headers=headers | THROUGH | {"Range": f"bytes={len(BLOB)}-"}
    )
    assert response.status_code == 416


def test_the_key_is_held_for_a_while_and_shared_with_uploads(world, headers):
    through = headers | THROUGH | {"User-Agent": "containerd/1.7"}
    opened = world.registry.post(f"/v2/{NAME}/blobs/uploads/", headers=through)
    assert "/_direct/a1/" in opened.headers["Location"]
    for _ in range(3):
        location(world, through)
    assert world.upload_keys.reads == 1
    world.clock.advance(timedelta(minutes=5))
    location(world, world.all_of("demo/admin", NAME) | THROUGH)
    assert world.upload_keys.reads == 2


def test_a_key_that_cannot_be_read_is_no_way_around_the_edge(world, headers):
    with world.faults.failing(named="upload_key"):
        response = world.registry.get(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers | THROUGH)
    assert response.status_code == 503
    assert "Location" not in response.headers
