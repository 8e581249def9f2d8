"""An organisation in a second store, as its clients see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from moorage.bootstrap import upload_finalizer
from moorage.domain.blobs import Way, object_key
from moorage.domain.digests import Digest
from moorage.domain.names import Repository
from moorage.domain.principals import SUPERUSERS
from moorage.ports import ObjectPlace
from moorage.services.finalizing import Outcome
from tests.contract.samples import policy
from tests.protocol.ingest import PROOF, begin, ingest, through_the_front_door
from tests.protocol.sample import (
    BLOB,
    DIGEST,
    IMAGE,
    LONG,
    announcement,
    image,
    push_blob,
    push_manifest,
    require_success,
    sha256,
)
from tests.protocol.world import HOST, SECOND, World, registry_in_memory
from tests.unit.test_user_agents import STREAMS, UNKNOWN, WHOLE

FAR = "far/app"
NEAR = "demo/app"
PART = 5 * 1024**2


def with_far(world: World) -> World:
    world.accounts.create_organisation("far", SECOND)
    world.add_account("far", "admin", SUPERUSERS)
    return world


@pytest.fixture
def world() -> Iterator[World]:
    with registry_in_memory(HOST, PROOF, ingest=True, edge_pulls=True) as world:
        yield with_far(world)


@pytest.fixture
def headers(world: World) -> dict[str, str]:
    return world.all_of("far/admin", FAR, "far/side")


def stored(world: World, store: str) -> list[str]:
    return list(world.stores[store].list_keys("", 10**6))


def require_only_there(world: World) -> None:
    assert stored(world, SECOND)
    assert stored(world, "default") == []


def pulled(world: World, headers: dict[str, str], digest: str = DIGEST) -> bytes:
    """What a pull through the front door leads to."""
    response = world.registry.get(f"/v2/{FAR}/blobs/{digest}", headers=headers | through_the_front_door())
    assert response.status_code == 307, response.text
    assert response.headers["Docker-Content-Digest"] == digest
    host, _, rest = response.headers["Location"].removeprefix("https://").partition("/")
    assert host == "second.invalid"
    return b"".join(world.stores[SECOND].read(rest.partition("?")[0]) or ())


# ------------------------------------------------------------------ pushes, and pulls of them
@pytest.mark.parametrize("digest", [DIGEST, LONG])
def test_a_blob_in_one_request(world, headers, digest):
    response = world.registry.post(f"/v2/{FAR}/blobs/uploads/?digest={digest}", headers=headers, content=BLOB)
    require_success(response, 201)
    assert pulled(world, headers, digest) == BLOB
    require_only_there(world)


def test_a_blob_in_chunks(world, headers):
    location = world.registry.post(f"/v2/{FAR}/blobs/uploads/", headers=headers).headers["Location"]
    for chunk in (BLOB[:1000], BLOB[1000:]):
        require_success(world.registry.patch(location, headers=headers, content=chunk), 202)
    assert len(stored(world, SECOND)) == 2
    require_only_there(world)
    require_success(world.registry.put(f"{location}?digest={DIGEST}", headers=headers), 201)
    assert pulled(world, headers) == BLOB
    assert len(stored(world, SECOND)) == 1
    require_only_there(world)


@pytest.mark.parametrize(
    ("in_parts", "by_event"),
    [(False, False), (False, True), (True, False)],
    ids=["one PUT", "one PUT, linked by its event", "parts"],
)
def test_a_presigned_blob(world, headers, in_parts, by_event):
    uploads = f"/v2/{FAR}/blobs/uploads/_presigned/"
    asked = announcement(BLOB, **({"partSize": PART} if in_parts else {}))
    begun = world.registry.post(uploads, headers=headers, content=asked)
    require_success(begun, 201)
    shown = begun.json()
    url = shown["parts"][0]["url"] if in_parts else shown["put"]["url"]
    assert url.startswith("https://second.invalid/presigned/")
    key = object_key(Way.PRESIGNED, world.repository(FAR).id, Digest.of(BLOB), shown["id"])
    if in_parts:
        ((held, upload_id),) = world.stores[SECOND].unfinished_uploads("")
        assert held == key
        world.stores[SECOND].put_part(key, upload_id, 1, BLOB)
    else:
        world.stores[SECOND].put(key, BLOB)
    location = begun.headers["Location"]
    if by_event:
        finalizing = upload_finalizer.assemble(world.table, world.stores, world.clock)
        assert finalizing.finalize(ObjectPlace(SECOND, key)) is Outcome.LINKED
        assert world.registry.get(location, headers=headers).json()["state"] == "linked"
    require_success(world.registry.post(f"{location}/complete", headers=headers), 201)
    assert pulled(world, headers) == BLOB
    require_only_there(world)


@pytest.mark.parametrize("user_agent", [*WHOLE, *STREAMS, *UNKNOWN], ids=ascii)
def test_whoever_comes_by_the_front_door_streams(world, headers, user_agent):
    given = begin(world, headers, FAR, user_agent)
    assert given.store == SECOND
    receipt = ingest(world, given)
    require_success(world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers), 201)
    assert pulled(world, headers) == BLOB
    require_only_there(world)


@pytest.mark.parametrize("name", [NEAR, FAR])
def test_a_chunk_after_a_streamed_one_lies_beside_it(world, name):
    store, headers = ("default" if name == NEAR else SECOND), world.all_of(f"{name[:-4]}/admin", name)
    given = begin(world, headers, name)
    receipt = ingest(world, given, BLOB[:1000], named="c-" + "0f" * 8)
    answer = world.registry.patch(receipt, headers=headers, content=BLOB[1000:])
    require_success(answer, 202)
    closed = world.registry.put(f"{answer.headers['Location']}?digest={DIGEST}", headers=headers)
    require_success(closed, 201)
    (key,) = stored(world, store)
    assert b"".join(world.stores[store].read(key)) == BLOB


@pytest.mark.parametrize("user_agent", [WHOLE[0], STREAMS[0], UNKNOWN[0]], ids=ascii)
def test_without_ingest_it_is_the_api(user_agent):
    with registry_in_memory(HOST, PROOF, edge_pulls=True) as world:
        headers = with_far(world).all_of("far/admin", FAR)
        sent = {**headers, **through_the_front_door(user_agent=user_agent)}
        begun = world.registry.post(f"/v2/{FAR}/blobs/uploads/", headers=sent)
        require_success(begun, 202)
        assert begun.headers["Location"] == f"/v2/{FAR}/blobs/uploads/{begun.headers['Docker-Upload-UUID']}"
        closed = world.registry.put(
            f"{begun.headers['Location']}?digest={DIGEST}", headers=headers, content=BLOB
        )
        require_success(closed, 201)
        require_only_there(world)
        assert pulled(world, headers) == BLOB


def test_in_the_default_store_the_ways_are_what_they_were(world):
    headers = world.all_of("demo/admin", NEAR)
    sent = {**headers, **through_the_front_door(user_agent=WHOLE[0])}
    begun = world.registry.post(f"/v2/{NEAR}/blobs/uploads/", headers=sent)
    assert begun.headers["Location"].startswith(f"/v2/{NEAR}/blobs/uploads/_direct/a1/")
    assert begin(world, headers, NEAR).store == "default"
    push_blob(world, headers)
    pull = world.registry.get(f"/v2/{NEAR}/blobs/{DIGEST}", headers=headers | through_the_front_door())
    assert pull.headers["Location"].startswith(f"/v2/{NEAR}/blobs/_edge/a1/")


def test_an_image_with_a_manifest_of_any_size(world, headers):
    push_blob(world, headers, name=FAR)
    for content in (IMAGE, image(annotations={"filling": "x" * 200_000})):
        push_manifest(world, headers, content, "v1", FAR)
        for reference in ("v1", sha256(content)):
            response = world.registry.get(f"/v2/{FAR}/manifests/{reference}", headers=headers)
            require_success(response, 200)
            assert response.content == content
    require_only_there(world)
    assert len([key for key in stored(world, SECOND) if key.startswith("manifests/")]) == 1


# ------------------------------------------------------------------ mounts
def mount(world, headers, target, source):
    path = f"/v2/{target}/blobs/uploads/?mount={DIGEST}" + (f"&from={source}" if source else "")
    return world.registry.post(path, headers=headers)


@pytest.mark.parametrize("source", [FAR, None])
def test_a_mount_within_the_organisation(world, headers, source):
    push_blob(world, headers, name=FAR)
    require_success(mount(world, headers, "far/side", source), 201)
    assert len(stored(world, SECOND)) == 1


@pytest.mark.parametrize(
    ("source", "target", "who"),
    [
        (NEAR, "far/side", "far/admin"),
        (FAR, "demo/side", "demo/admin"),
        ("other/app", "demo/side", "demo/admin"),
    ],
    ids=["into the second store", "into the default store", "within one store"],
)
def test_a_mount_from_another_organisation_goes_as_far_as_its_store(world, source, target, who):
    org = source.partition("/")[0]
    push_blob(world, world.all_of(f"{org}/admin", source), name=source)
    principal = f"/org/{who.replace('/', '/serviceaccount/')}"
    world.table.create(policy("guests", principal, org=org))
    headers = world.all_of(who, source, target)
    require_success(world.registry.head(f"/v2/{source}/blobs/{DIGEST}", headers=headers), 200)
    response = mount(world, headers, target, source)
    held = world.table.find_link(Repository.parse(target), Digest.parse(DIGEST))
    if org == "other":
        require_success(response, 201)
        assert held is not None
        return
    require_success(response, 202)
    assert held is None
    # It goes on as any upload does, into the store of the target.
    closed = world.registry.put(
        f"{response.headers['Location']}?digest={DIGEST}", headers=headers, content=BLOB
    )
    require_success(closed, 201)
    held = world.table.find_link(Repository.parse(target), Digest.parse(DIGEST))
    assert held is not None
    assert held.store == world.repository(target).store
    assert [len(stored(world, store)) for store in ("default", SECOND)] == [1, 1]


# ------------------------------------------------------------------ what a request costs
def costs(world: World, name: str, who: str) -> dict[str, list[str]]:
    """The calls that each request makes, to the table and to the store."""
    headers, calls = world.all_of(who, name), {}
    tagged = {"headers": headers, "content": IMAGE}
    requests: dict[str, tuple[str, str, dict[str, Any]]] = {
        "first push": ("POST", f"uploads/?digest={DIGEST}", {"headers": headers, "content": BLOB}),
        "push": ("POST", f"uploads/?digest={sha256(b'b')}", {"headers": headers, "content": b"b"}),
        "session": ("POST", "uploads/", {"headers": headers}),
        "presigned": ("POST", "uploads/_presigned/", {"headers": headers, "content": announcement(b"c")}),
        "head": ("HEAD", DIGEST, {"headers": headers}),
        "get": ("GET", DIGEST, {"headers": headers}),
        "mount": ("POST", f"uploads/?mount={DIGEST}&from={name}", {"headers": headers}),
        "manifest": ("PUT", "../manifests/v1", tagged),
        "large manifest": (
            "PUT",
            "../manifests/v1",
            {**tagged, "content": image(annotations={"x": "y" * 99_999})},
        ),
        "pull of it": ("GET", "../manifests/v1", {"headers": headers}),
    }
    for what, (method, path, sent) in requests.items():
        world.faults.calls.clear()
        where = f"/v2/{name}/{path[3:]}" if path.startswith("../") else f"/v2/{name}/blobs/{path}"
        response = world.registry.request(method, where, **sent)
        assert response.status_code < 400, (what, response.text)
        # Which are held between requests.
        calls[what] = [call for call in world.faults.calls if call != "verification_keys"]
    return calls


def test_no_request_costs_more_than_in_the_default_store_and_only_the_first_reads_the_organisation(world):
    near, far = costs(world, NEAR, "demo/admin"), costs(world, FAR, "far/admin")
    assert near == far
    first, again = near["first push"], near["push"]
    assert first == ["find_repository", "find", "create_repository", *again[1:]]
    assert json.dumps(near).count('"create_repository"') == 1
