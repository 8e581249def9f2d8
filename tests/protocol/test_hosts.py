"""Organisations with hosts of their own, beside the host that all share."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from moorage.domain.digests import Digest
from tests.protocol.world import World, registry_in_memory

DOMAIN = "registry.example"
BLOB = b"a layer"
DIGEST = str(Digest.of(BLOB))


@pytest.fixture
def world() -> Iterator[World]:
    with registry_in_memory(DOMAIN) as world:
        yield world


def at(org: str, headers: dict[str, str] | None = None) -> dict[str, str]:
    return {**(headers or {}), "Host": f"{org}.{DOMAIN}"}


def token_at(world: World, who: str, org: str, *scopes: str) -> dict[str, str]:
    """What the token service at an organisation's host gives."""
    response = world.tokens.get(
        "/token",
        params={"scope": scopes},
        auth=("<token>", world.keys[who]),
        headers={"Host": f"{org}.{DOMAIN}"},
    )
    assert response.status_code == 200, response.text
    return {"Authorization": f"Bearer {response.json()['token']}"}


def push(world: World, name: str, headers: dict[str, str]) -> str:
    """An image of one blob; its digest."""
    uploaded = world.registry.post(
        f"/v2/{name}/blobs/uploads/?digest={DIGEST}", headers=headers, content=BLOB
    )
    assert uploaded.status_code == 201, uploaded.text
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.example", "digest": DIGEST, "size": len(BLOB)},
        "layers": [],
    }
    pushed = world.registry.put(
        f"/v2/{name}/manifests/v1",
        headers={**headers, "Content-Type": manifest["mediaType"]},
        content=json.dumps(manifest).encode(),
    )
    assert pushed.status_code == 201, pushed.text
    return str(pushed.headers["Docker-Content-Digest"])


def test_the_challenge_names_the_host_that_was_asked_and_the_name_without_organisation(world):
    response = world.registry.get("/v2/team/app/tags/list", headers=at("demo"))
    assert response.headers["WWW-Authenticate"] == (
        'Bearer realm="https://demo.registry.example/token",service="demo.registry.example",'
        'scope="repository:team/app:pull"'
    )


def test_what_is_pushed_at_an_organisations_host_is_the_same_image_at_the_shared_one(world):
    own = at("demo", token_at(world, "demo/admin", "demo", "repository:app:pull,push"))
    digest = push(world, "app", own)
    shared = world.all_of("demo/admin", "demo/app")
    assert (
        world.registry.get("/v2/demo/app/manifests/v1", headers=shared).headers["Docker-Content-Digest"]
        == digest
    )


def test_locations_and_lists_use_the_name_that_the_client_uses(world):
    own = at("demo", token_at(world, "demo/admin", "demo", "repository:app:pull,push"))
    push(world, "app", own)
    opened = world.registry.post("/v2/app/blobs/uploads/", headers=own)
    assert opened.headers["Location"].startswith("/v2/app/blobs/uploads/")
    status = world.registry.get(opened.headers["Location"], headers=own)
    assert status.status_code == 204
    assert world.registry.get("/v2/app/tags/list", headers=own).json() == {"name": "app", "tags": ["v1"]}


def test_a_token_holds_the_canonical_name_whichever_host_gave_it(world):
    own = token_at(world, "demo/admin", "demo", "repository:app:pull,push")
    digest = push(world, "app", at("demo", own))
    assert world.registry.get(f"/v2/demo/app/manifests/{digest}", headers=own).status_code == 200


def test_a_token_from_one_organisations_host_is_not_asked_for_anything_at_anothers(world):
    own = token_at(world, "demo/admin", "demo", "repository:app:*")
    push(world, "app", at("demo", own))
    for method, path in [
        ("GET", "/v2/app/tags/list"),
        ("POST", "/v2/app/blobs/uploads/"),
        ("DELETE", "/v2/app/manifests/v1"),
    ]:
        response = world.registry.request(method, path, headers=at("other", own))
        assert response.status_code == 401
        assert 'service="other.registry.example"' in response.headers["WWW-Authenticate"]


def test_a_principal_gets_nothing_at_another_organisations_host(world):
    asked = token_at(world, "demo/admin", "other", "repository:app:*")
    response = world.registry.get("/v2/app/tags/list", headers=at("other", asked))
    assert response.status_code == 403
    assert response.json()["errors"][0]["code"] == "DENIED"


def test_an_upload_cannot_be_continued_at_another_organisations_host(world):
    own = token_at(world, "demo/admin", "demo", "repository:app:*")
    location = world.registry.post("/v2/app/blobs/uploads/", headers=at("demo", own)).headers["Location"]
    foreign = token_at(world, "other/admin", "other", "repository:app:*")
    assert world.registry.patch(location, headers=at("other", foreign), content=b"x").status_code == 404
    assert world.registry.patch(location, headers=at("demo", own), content=b"x").status_code == 202


def test_a_mount_source_is_named_as_the_host_names_it(world):
    own = token_at(world, "demo/admin", "demo", "repository:app:*", "repository:copy:*")
    push(world, "app", at("demo", own))
    mounted = world.registry.post(f"/v2/copy/blobs/uploads/?mount={DIGEST}&from=app", headers=at("demo", own))
    assert mounted.status_code == 201
    assert mounted.headers["Location"] == f"/v2/copy/blobs/{DIGEST}"


@pytest.mark.parametrize("source", ["app", "demo/app", "../demo/app"])
def test_a_mount_at_one_organisations_host_never_reaches_anothers_images(world, source):
    push(world, "app", at("demo", token_at(world, "demo/admin", "demo", "repository:app:*")))
    foreign = token_at(world, "other/admin", "other", "repository:copy:*")
    response = world.registry.post(
        "/v2/copy/blobs/uploads/", params={"mount": DIGEST, "from": source}, headers=at("other", foreign)
    )
    assert response.status_code == 202


@pytest.mark.parametrize("host", ["a.b.registry.example", "x.registry.example"])
def test_a_host_that_is_no_organisations_is_an_invalid_name(world, host):
    response = world.registry.get("/v2/app/tags/list", headers={"Host": host})
    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == "NAME_INVALID"


@pytest.mark.parametrize("host", ['x"y', "a b", "x,realm=z", "é.example"])
def test_a_host_that_is_no_host_name_is_never_repeated(world, host):
    response = world.registry.get("/v2/", headers={"Host": host.encode("latin-1")})
    assert response.status_code == 400
    assert "WWW-Authenticate" not in response.headers


def test_the_shared_host_needs_the_organisation_in_the_name(world):
    response = world.registry.get("/v2/app/tags/list", headers=world.auth("demo/admin"))
    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == "NAME_INVALID"
