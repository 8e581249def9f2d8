"""One plain test for each check whose other tests are tables: what the check is there for, at the HTTP face."""

from collections.abc import Iterator

import pytest

from moorage.domain.digests import Digest
from tests.protocol.world import World, registry_in_memory

BLOB = b"what demo/app holds"
DIGEST = Digest.of(BLOB)


@pytest.fixture
def world() -> Iterator[World]:
    with registry_in_memory() as world:
        yield world


def test_a_blob_of_another_repository_is_absent_here(world: World) -> None:
    holder = world.all_of("demo/admin", "demo/app")
    pushed = world.registry.post(f"/v2/demo/app/blobs/uploads/?digest={DIGEST}", headers=holder, content=BLOB)
    assert pushed.status_code == 201
    stranger = world.all_of("demo/admin", "demo/other")
    for method in ("GET", "HEAD", "DELETE"):
        assert (
            world.registry.request(method, f"/v2/demo/other/blobs/{DIGEST}", headers=stranger).status_code
            == 404
        )


def test_a_token_that_was_refused_does_nothing(world: World) -> None:
    viewer = world.all_of("demo/viewer", "demo/app")
    for method, path in [("GET", "tags/list"), ("POST", "blobs/uploads/"), ("DELETE", "manifests/v1")]:
        assert world.registry.request(method, f"/v2/demo/app/{path}", headers=viewer).status_code == 403
