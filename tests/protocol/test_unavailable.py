"""A dependency that is down or throttles, at every call of every route: 503 or 429, and never access."""

import json
from typing import Any

import pytest

from moorage.domain.digests import Algorithm
from moorage.domain.errors import Throttled, Unavailable, WriteConflict
from moorage.domain.grants import Action
from moorage.web.registry import PATHS
from tests.protocol.ingest import PROOF, begin, ingest
from tests.protocol.sample import (
    ABSENT,
    BLOB,
    DIGEST,
    IMAGE,
    IMAGE_DIGEST,
    LONG,
    NAME,
    announcement,
    fill,
    image,
    presigned,
    push_manifest,
    require_error,
    session,
    sha256,
    subject_of,
)
from tests.protocol.world import HOST, registry_in_memory

LARGE = image(annotations={"large": "x" * 100_000})
SIGNED = image(**subject_of(LARGE))

# Endpoint → requests that reach every method of the ports that it can reach.
REQUESTS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("GET", "blob"): [{}, {"path": f"/v2/{NAME}/blobs/{ABSENT}"}],
    ("HEAD", "blob"): [{}, {"path": f"/v2/{NAME}/blobs/{ABSENT}"}],
    ("DELETE", "blob"): [{}, {"path": f"/v2/{NAME}/blobs/{ABSENT}"}],
    ("POST", "uploads"): [
        {},
        {"query": {"digest": sha256(b"new")}, "content": b"new"},
        {"query": {"digest": DIGEST}, "content": BLOB},
        {"query": {"mount": DIGEST, "from": "demo/side"}},
        {"query": {"mount": DIGEST}},
        {"query": {"mount": ABSENT}},
    ],
    ("POST", "presigned-uploads"): [
        {"content": announcement(b"new")},
        {"content": announcement(b"new", partSize=5 * 1024**2)},
        {"content": announcement(BLOB)},
    ],
    ("GET", "presigned-upload"): [{}, {"parts": True}],
    ("DELETE", "presigned-upload"): [{}, {"parts": True}],
    ("POST", "presigned-completion"): [{}, {"parts": True}],
    ("GET", "received-upload"): [{}],
    ("PATCH", "received-upload"): [{"content": b"more"}],
    ("PUT", "received-upload"): [
        {"query": {"digest": sha256(b"begun")}},
        {"query": {"digest": sha256(b"begun and ended")}, "content": b" and ended"},
        {"query": {"digest": sha256(BLOB)}, "received": BLOB},
    ],
    ("DELETE", "received-upload"): [{}],
    ("GET", "upload"): [{}],
    ("PATCH", "upload"): [{"content": b"more"}],
    ("PUT", "upload"): [
        {"query": {"digest": sha256(b"begun")}},
        {"query": {"digest": f"sha512:{Algorithm.SHA512.new().hexdigest()}"}, "fresh": True},
        {"query": {"digest": sha256(b"begun and ended")}, "content": b" and ended"},
    ],
    ("DELETE", "upload"): [{}],
    ("GET", "manifest"): [
        {},
        {"path": f"/v2/{NAME}/manifests/{IMAGE_DIGEST}"},
        {"path": f"/v2/{NAME}/manifests/large"},
    ],
    ("HEAD", "manifest"): [{}, {"path": f"/v2/{NAME}/manifests/{IMAGE_DIGEST}"}],
    ("PUT", "manifest"): [{"content": IMAGE}, {"content": SIGNED}, {"content": LARGE}],
    ("DELETE", "manifest"): [{}, {"path": f"/v2/{NAME}/manifests/{IMAGE_DIGEST}"}],
    ("GET", "tags"): [{}, {"path": "/v2/demo/none/tags/list"}],
    ("GET", "referrers"): [{}],
}
CASES = [
    pytest.param(path, endpoint, number, id=f"{endpoint.method} {path.name} {number}")
    for path in PATHS
    for endpoint in path.endpoints
    for number in range(len(REQUESTS[endpoint.method, path.name]))
]


@pytest.fixture
def world():
    with through_the_front_door() as world:
        yield world


def through_the_front_door():
    return registry_in_memory(HOST, PROOF, ingest=True)


def prepare(world):
    headers = world.all_of("demo/admin", NAME, "demo/side", "demo/none")
    fill(world, headers)
    fill(world, headers, "demo/side")
    push_manifest(world, headers, LARGE, "large")
    push_manifest(world, headers, SIGNED)
    return headers


def ask(world, headers, path, endpoint, number):
    request = REQUESTS[endpoint.method, path.name][number]
    chunks = () if request.get("fresh") else (b"begun",)
    location = session(world, headers, *chunks) if path.name == "upload" else ""
    if path.name in ("presigned-upload", "presigned-completion"):
        location = presigned(
            world, headers, b"%d" % len(world.table._sessions), in_parts=request.get("parts", False)
        )
    if path.name == "received-upload":
        url = ingest(world, begin(world, headers), request.get("received", b"begun"))
        return endpoint.method, url, request.get("query"), request.get("content")
    url = path.pattern.replace("{name:path}", NAME).format(
        digest=sha256(LARGE) if path.name == "referrers" else DIGEST,
        reference="v1",
        session=location.rpartition("/")[2],
    )
    return endpoint.method, request.get("path", url), request.get("query"), request.get("content")


@pytest.mark.parametrize(
    ("error", "status", "lost"),
    [
        (Unavailable, 503, False),
        (Unavailable, 503, True),
        (Throttled, 429, False),
        (WriteConflict, 503, False),
    ],
)
@pytest.mark.parametrize(("path", "endpoint", "number"), CASES)
def test_no_route_succeeds_while_a_dependency_fails(world, path, endpoint, number, error, status, lost):
    headers = prepare(world)
    at, reached = 0, None
    while True:
        method, url, query, content = ask(world, headers, path, endpoint, number)
        # As in a new environment of the function, the keys have to be read first.
        world.services.verification._loaded = None
        if world.services.streamed:
            world.services.streamed._keys._held.clear()
        with world.faults.failing(at=at, lost=lost, error=lambda: error("the inner message")):
            response = world.registry.request(method, url, params=query, headers=headers, content=content)
            if len(world.faults.calls) <= at:
                break
            reached = world.faults.calls[at]
        # Chunks that cannot be removed any more are left to the bucket's own rule: the upload is over.
        if not (reached == "delete" and response.status_code < 300):
            require_error(response, status, "TOOMANYREQUESTS")
            assert int(response.headers["Retry-After"]) > 0
            assert "Location" not in response.headers
        at += 1
        if lost:
            world = rebuilt(world)
            headers = prepare(world)
    assert at > 0
    assert response.status_code < 500


def rebuilt(world):
    """A fresh registry: what a lost answer has done must not be done before the next attempt."""
    with through_the_front_door() as fresh:
        return fresh


def test_every_endpoint_of_the_table_is_asked():
    assert {(endpoint.method, path.name) for path in PATHS for endpoint in path.endpoints} == set(REQUESTS)
    assert {endpoint.action for path in PATHS for endpoint in path.endpoints} == set(Action)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_ping_too(world, method):
    headers = world.auth("demo/admin")
    with world.faults.failing(named="verification_keys"):
        response = world.registry.request(method, "/v2/", headers=headers)
    require_error(response, 503)
    assert response.headers["Retry-After"] == "5"


@pytest.mark.parametrize("named", ["find_key", "find_many", "signing_key"])
@pytest.mark.parametrize(("error", "status"), [(Unavailable, 503), (Throttled, 429)])
@pytest.mark.parametrize("dialect", ["GET", "POST"])
def test_no_token_is_issued_while_a_dependency_fails(world, named, error, status, dialect):
    key = world.keys["demo/admin"]
    scope = f"repository:{NAME}:pull"
    with world.faults.failing(named=named, error=lambda: error("down")):
        if dialect == "GET":
            response = world.tokens.get("/token", params={"scope": scope}, auth=("<token>", key))
        else:
            form = {"grant_type": "password", "username": "<token>", "password": key, "scope": scope}
            response = world.tokens.post("/token", data=form)
    require_error(response, status, "TOOMANYREQUESTS")
    assert int(response.headers["Retry-After"]) > 0
    assert "token" not in json.loads(response.content)


def test_a_mount_is_neither_granted_nor_denied_while_the_rights_cannot_be_read(world):
    prepare(world)
    headers = world.auth("demo/admin", "repository:demo/target:pull,push")
    with world.faults.failing(named="find_many"):
        response = world.registry.post(
            "/v2/demo/target/blobs/uploads/", params={"mount": LONG, "from": NAME}, headers=headers
        )
    require_error(response, 503, "TOOMANYREQUESTS")
    head = world.registry.head(f"/v2/demo/target/blobs/{LONG}", headers=headers)
    require_error(head, 404)
