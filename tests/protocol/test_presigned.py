"""The API of presigned uploads: every state as its client sees it, and every body that is none."""

import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.bootstrap import upload_finalizer
from moorage.domain.blobs import DEFAULT_STORE, Way, object_key
from moorage.domain.digests import Digest
from moorage.domain.errors import Throttled, Unavailable
from moorage.domain.sessions import SESSION_LIFETIME
from moorage.ports import ObjectPlace
from moorage.services.settling import HASHED_IN_A_REQUEST
from tests.protocol.sample import (
    ABSENT,
    BLOB,
    DIGEST,
    LONG,
    NAME,
    announcement,
    image,
    presigned,
    push_blob,
    push_manifest,
    require_error,
    require_success,
    sha512,
)
from tests.protocol.world import registry_in_memory

UPLOADS = f"/v2/{NAME}/blobs/uploads/_presigned/"
GIB = 1024**3
PART = 5 * 1024**2


@pytest.fixture
def headers(world):
    return world.all_of("demo/admin", NAME)


def begin(world, headers, body=None, **more):
    content = announcement(BLOB, **more) if body is None else json.dumps(body).encode()
    response = world.registry.post(UPLOADS, headers=headers, content=content)
    require_success(response, 201)
    assert response.headers["Cache-Control"] == "no-store"
    shown = response.json()
    assert response.headers["Location"] == UPLOADS + shown["id"]
    assert shown["state"] == "open"
    return response.headers["Location"], shown


def show(world, headers, location):
    response = world.registry.get(location, headers=headers)
    require_success(response, 200)
    assert response.headers["Cache-Control"] == "no-store"
    return response.json()


def complete(world, headers, location):
    return world.registry.post(f"{location}/complete", headers=headers)


def key_of(world, shown):
    return object_key(Way.PRESIGNED, world.repository(NAME).id, Digest.parse(shown["digest"]), shown["id"])


def put_parts(world, shown, content, *numbers):
    """What a client does with the URLs of the parts."""
    for part in shown["parts"]:
        if "url" in part and (not numbers or part["number"] in numbers):
            query = parse_qs(urlsplit(part["url"]).query)
            assert query["partNumber"] == [str(part["number"])]
            start = (part["number"] - 1) * shown["partSize"]
            world.storage.put_part(
                key_of(world, shown),
                query["uploadId"][0],
                part["number"],
                content[start : start + part["size"]],
            )


def finalize(world, shown):
    finalizing = upload_finalizer.assemble(world.table, world.stores, world.clock)
    return finalizing.finalize(ObjectPlace(DEFAULT_STORE, key_of(world, shown)))


def require_linked(response, digest=DIGEST):
    require_success(response, 201)
    assert response.headers["Location"] == f"/v2/{NAME}/blobs/{digest}"
    assert response.headers["Docker-Content-Digest"] == digest
    assert response.json()["state"] == "linked"


# ------------------------------------------------------------------ the ways to go
def test_one_put_from_beginning_to_end(world, headers):
    location, shown = begin(world, headers)
    assert set(shown) == {"id", "state", "digest", "size", "expires", "put"}
    assert (shown["digest"], shown["size"]) == (DIGEST, len(BLOB))
    assert datetime.fromisoformat(shown["expires"]) == world.clock() + SESSION_LIFETIME
    url = urlsplit(shown["put"]["url"])
    signed = parse_qs(url.query)["X-Amz-SignedHeaders"][0].split(";")
    # S3 ignores a checksum in the query: it has to be a header, and a signed one.
    assert {name.lower() for name in shown["put"]["headers"]} | {"host"} == set(signed)
    assert "x-amz-checksum-sha256" in signed
    assert key_of(world, shown) in url.path
    world.storage.put(key_of(world, shown), BLOB)
    for _ in range(3):
        require_linked(complete(world, headers, location))
    assert show(world, headers, location) == {
        name: value for name, value in shown.items() if name != "put"
    } | {"state": "linked"}
    head = world.registry.head(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers)
    assert head.headers["Content-Length"] == str(len(BLOB))


@pytest.mark.parametrize("hashing", ["sha256", "sha512"])
def test_parts_from_beginning_to_end(world, headers, hashing):
    content = b"a" * PART + b"b" * PART + b"c"
    digest = str(Digest.of(content)) if hashing == "sha256" else sha512(content)
    location, shown = begin(world, headers, {"digest": digest, "size": len(content), "partSize": PART})
    assert "put" not in shown
    assert shown["partSize"] == PART
    assert [(part["number"], part["size"], part["stored"]) for part in shown["parts"]] == [
        (1, PART, False),
        (2, PART, False),
        (3, 1, False),
    ]
    put_parts(world, shown, content, 2)
    resumed = show(world, headers, location)
    assert [part["stored"] for part in resumed["parts"]] == [False, True, False]
    assert ["url" in part for part in resumed["parts"]] == [True, False, True]
    entry = require_error(complete(world, headers, location), 400, "BLOB_UPLOAD_INVALID")
    assert entry["detail"] == {"parts": [1, 3]}
    put_parts(world, resumed, content)
    require_linked(complete(world, headers, location), digest)
    require_linked(complete(world, headers, location), digest)


def test_a_blob_that_the_repository_holds_needs_no_upload(world, headers):
    push_blob(world, headers)
    response = world.registry.post(UPLOADS, headers=headers, content=announcement(BLOB))
    require_success(response, 200)
    assert response.json() == {"state": "linked", "digest": DIGEST, "size": len(BLOB)}
    assert response.headers["Location"] == f"/v2/{NAME}/blobs/{DIGEST}"
    # Another repository of the organisation holds nothing by that.
    headers = world.all_of("demo/admin", "demo/side")
    response = world.registry.post(
        UPLOADS.replace(NAME, "demo/side"), headers=headers, content=announcement(BLOB)
    )
    require_success(response, 201)


@pytest.mark.parametrize("path", [UPLOADS, UPLOADS.rstrip("/")])
def test_the_slash_at_the_end_does_not_matter(world, headers, path):
    require_success(world.registry.post(path, headers=headers, content=announcement(BLOB)), 201)


def test_sha512_comes_in_parts(world, headers):
    _, shown = begin(world, headers, {"digest": LONG, "size": len(BLOB)})
    assert "put" not in shown
    assert [part["size"] for part in shown["parts"]] == [len(BLOB)]


@pytest.mark.parametrize("size", [0, 5 * GIB])
def test_the_largest_and_the_smallest_single_put(world, headers, size):
    _, shown = begin(world, headers, {"digest": ABSENT, "size": size})
    assert "put" in shown


@pytest.mark.parametrize(("size", "count"), [(5 * GIB + 1, 41), (20 * GIB, 160)])
def test_the_largest_come_in_parts_and_their_urls_fit_into_an_answer(world, headers, size, count):
    _, shown = begin(world, headers, {"digest": ABSENT, "size": size})
    assert len(shown["parts"]) == count
    _, shown = begin(world, headers, {"digest": ABSENT, "size": PART * 1000, "partSize": PART})
    assert len(shown["parts"]) == 1000
    # A presigned URL of S3's with a session token has some 2,000 characters.
    assert len(json.dumps(shown)) + 1000 * 2000 < 6 * 1024 * 1024


@pytest.mark.parametrize("right", [True, False])
def test_what_is_long_is_being_verified_until_the_finalizer_tells(world, headers, right):
    content = bytes(HASHED_IN_A_REQUEST + 1)
    digest = str(Digest.of(content))
    location, shown = begin(world, headers, {"digest": digest, "size": len(content), "partSize": GIB})
    put_parts(world, shown, content if right else content[:-1] + b"\1")
    for _ in range(2):
        response = complete(world, headers, location)
        require_success(response, 202)
        assert response.headers["Location"] == location
        assert int(response.headers["Retry-After"]) > 0
        assert response.json()["state"] == "verifying"
        again = show(world, headers, location)
        assert again["state"] == "verifying"
        assert "parts" not in again
    # So far it is no blob, and whoever asks for it is told to wait.
    waiting = world.registry.get(f"/v2/{NAME}/blobs/{digest}", headers=headers)
    require_error(waiting, 503, "TOOMANYREQUESTS")
    assert int(waiting.headers["Retry-After"]) > 0
    finalize(world, shown)
    if right:
        assert show(world, headers, location)["state"] == "linked"
        require_linked(complete(world, headers, location), digest)
    else:
        failed = show(world, headers, location)
        assert failed["state"] == "failed"
        assert "digest" in failed["failure"]
        entry = require_error(complete(world, headers, location), 400, "DIGEST_INVALID")
        assert entry["message"] == failed["failure"]


def test_other_content_fails_the_upload(world, headers):
    location = presigned(world, headers, b"right", in_parts=True)
    world.storage._uploads[next(iter(world.storage._uploads))][1] = b"wrong"
    for _ in range(2):
        require_error(complete(world, headers, location), 400, "DIGEST_INVALID")
    assert show(world, headers, location)["state"] == "failed"
    require_error(world.registry.delete(location, headers=headers), 404, "BLOB_UPLOAD_UNKNOWN")
    require_error(world.registry.head(f"/v2/{NAME}/blobs/{Digest.of(b'right')}", headers=headers), 404)


def test_a_completion_before_the_put_says_what_is_missing(world, headers):
    location, _ = begin(world, headers)
    entry = require_error(complete(world, headers, location), 400, "BLOB_UPLOAD_INVALID")
    assert "PUT the content" in entry["message"]


def test_a_completion_of_content_of_another_length(world, headers):
    location, shown = begin(world, headers, {"digest": DIGEST, "size": len(BLOB) + 1})
    world.storage.put(key_of(world, shown), BLOB)
    require_error(complete(world, headers, location), 400, "SIZE_INVALID")


def test_a_manifest_may_come_instead_of_the_completion(world, headers):
    location = presigned(world, headers, BLOB)
    push_manifest(world, headers, image(), "v1")
    assert show(world, headers, location)["state"] == "linked"
    require_linked(complete(world, headers, location))


def test_an_upload_is_aborted_once(world, headers):
    for in_parts in (False, True):
        content = b"%d" % in_parts
        location = presigned(world, headers, content, in_parts=in_parts)
        require_success(world.registry.delete(location, headers=headers), 204)
        for method, path in (("DELETE", ""), ("GET", ""), ("POST", "/complete")):
            response = world.registry.request(method, location + path, headers=headers)
            require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")
        require_error(world.registry.head(f"/v2/{NAME}/blobs/{Digest.of(content)}", headers=headers), 404)
    assert not world.storage._uploads


def test_an_upload_ends_with_its_time(world, headers):
    location = presigned(world, headers, BLOB)
    world.clock.advance(SESSION_LIFETIME)
    headers = world.all_of("demo/admin", NAME)
    for method, path in (("GET", ""), ("POST", "/complete"), ("DELETE", "")):
        response = world.registry.request(method, location + path, headers=headers)
        require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("in_parts", [False, True])
def test_an_upload_of_another_principal_looks_like_none(world, headers, in_parts):
    world.add_account("demo", "second", "superusers")
    location = presigned(world, headers, BLOB, in_parts=in_parts)
    second = world.all_of("demo/second", NAME)
    for method, path in (("GET", ""), ("POST", "/complete"), ("DELETE", "")):
        theirs = world.registry.request(method, location + path, headers=second)
        entry = require_error(theirs, 404, "BLOB_UPLOAD_UNKNOWN")
        nobodys = world.registry.request(method, UPLOADS + "0" * 32 + path, headers=second)
        assert nobodys.json()["errors"] == [entry]
    require_linked(complete(world, headers, location))


# ------------------------------------------------------------------ beside the protocol's own uploads
@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("linked", [False, True])
def test_at_the_ordinary_path_it_is_unknown(world, headers, in_parts, linked):
    location = presigned(world, headers, BLOB, in_parts=in_parts)
    if linked:
        require_linked(complete(world, headers, location))
    ordinary = location.replace("_presigned/", "")
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        for content in (b"", BLOB):
            response = world.registry.request(
                method, ordinary, params={"digest": DIGEST}, headers=headers, content=content
            )
            require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")
    require_linked(complete(world, headers, location))


def test_an_ordinary_upload_is_none_of_these(world, headers):
    ordinary = world.registry.post(f"/v2/{NAME}/blobs/uploads/", headers=headers).headers["Location"]
    location = UPLOADS + ordinary.rpartition("/")[2]
    for method, path in (("GET", ""), ("POST", "/complete"), ("DELETE", "")):
        response = world.registry.request(method, location + path, headers=headers)
        require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")
    require_success(world.registry.get(ordinary, headers=headers), 204)


@pytest.mark.parametrize(
    "session",
    ["x", "%00", "A" * 32, "0" * 31, "0" * 33, "0" * 5000, "%F0%9F%98%80", "..", "%0d%0aX-Evil:1", "é"],
)
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/complete"), ("DELETE", "")])
def test_a_session_that_is_no_session_is_unknown(world, headers, session, method, path):
    begin(world, headers)
    response = world.registry.request(method, UPLOADS + session + path, headers=headers)
    assert response.status_code in (404, 405)
    require_error(response, response.status_code)
    assert "x-evil" not in response.headers


# ------------------------------------------------------------------ bodies that are none
def announced(**changes):
    return {"digest": DIGEST, "size": 7, **changes}


ODD_SIZES: list[Any] = [True, False, 7.0, -1, "7", None, [7], {}, 1e30]
ODD_DIGESTS: list[Any] = [None, 7, True, [DIGEST], {"sha256": "x"}]
ODD_PART_SIZES: list[Any] = [True, False, -1, 5e6, str(PART), [PART], {}]
BODIES: dict[str, Any] = {
    "nothing": b"",
    "no JSON": b"digest=sha256",
    "half of it": json.dumps(announced()).encode()[:-1],
    "two of them": json.dumps(announced()).encode() * 2,
    "no UTF-8": b'{"digest": "\xff"}',
    "in UTF-7": b"+AHs-",
    "null": None,
    "a list": [announced()],
    "a string": json.dumps(announced()),
    "a number": 1,
    "an empty object": {},
    "deep": b"[" * 200_000,
    "deep inside": b'{"digest":' * 100_000,
    "a long number": b'{"digest":"x","size":' + b"9" * 5000 + b"}",
    "no digest": {"size": 7},
    "no size": {"digest": DIGEST},
    "an unknown field": announced(partsize=PART),
    "an unknown field of odd name": announced(**{"\ud800\n\"'": 1}),
    "an unknown long field": announced(**{"x" * 100_000: 1}),
    **{f"size {value!r}": announced(size=value) for value in ODD_SIZES},
    "size NaN": b'{"digest": "%s", "size": NaN}' % DIGEST.encode(),
    "size Infinity": b'{"digest": "%s", "size": Infinity}' % DIGEST.encode(),
    "size 1e5": b'{"digest": "%s", "size": 1e5}' % DIGEST.encode(),
    **{f"digest {value!r}": announced(digest=value) for value in ODD_DIGESTS},
    **{f"part size {value!r}": announced(partSize=value) for value in ODD_PART_SIZES},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_a_body_that_is_none_is_refused(world, headers, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = world.registry.post(UPLOADS, headers=headers, content=content)
    require_error(response, 400, "BLOB_UPLOAD_INVALID")
    assert not world.table._sessions
    assert not world.storage._uploads


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"digest": DIGEST[:-1]}, 400, "DIGEST_INVALID"),
        ({"digest": "md5:" + "0" * 32}, 400, "DIGEST_INVALID"),
        ({"digest": ""}, 400, "DIGEST_INVALID"),
        ({"digest": "\ud800"}, 400, "DIGEST_INVALID"),
        ({"digest": "x" * 100_000}, 400, "DIGEST_INVALID"),
        ({"partSize": 0}, 400, "SIZE_INVALID"),
        ({"partSize": PART - 1}, 400, "SIZE_INVALID"),
        ({"partSize": 5 * GIB + 1}, 400, "SIZE_INVALID"),
        ({"partSize": 10**400}, 400, "SIZE_INVALID"),
        ({"size": PART * 1000 + 1, "partSize": PART}, 400, "SIZE_INVALID"),
        ({"size": 20 * GIB + 1}, 413, "UNSUPPORTED"),
        ({"size": 10**400}, 413, "UNSUPPORTED"),
    ],
)
def test_what_no_upload_can_be_is_refused(world, headers, changes, status, code):
    response = world.registry.post(UPLOADS, headers=headers, content=json.dumps(announced(**changes)))
    require_error(response, status, code)
    assert not world.table._sessions
    assert not world.storage._uploads


def test_a_part_size_of_null_is_none(world, headers):
    _, shown = begin(world, headers, announced(partSize=None))
    assert "put" in shown


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ANNOUNCED = st.fixed_dictionaries(
    {},
    optional={
        "digest": st.just(DIGEST) | JSON,
        "size": st.integers(-1, 10**12) | JSON,
        "partSize": st.integers(0, 10**10) | JSON,
        "more": JSON,
    },
)


@settings(max_examples=150)
@given(ANNOUNCED | JSON | st.binary())
def test_whatever_the_body_is_it_is_an_upload_or_an_error_of_the_table(body):
    with registry_in_memory() as world:
        headers = world.all_of("demo/admin", NAME)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = world.registry.post(UPLOADS, headers=headers, content=content)
        if response.status_code == 201:
            shown = response.json()
            assert shown["digest"] == DIGEST
            assert shown["size"] == body["size"]
            assert ("put" in shown) != ("parts" in shown)
        else:
            require_error(
                response,
                response.status_code,
                *{400: ("BLOB_UPLOAD_INVALID", "DIGEST_INVALID", "SIZE_INVALID"), 413: ("UNSUPPORTED",)}[
                    response.status_code
                ],
            )
            assert not world.table._sessions


@settings(max_examples=40)
@given(st.binary(max_size=50))
def test_the_body_of_the_other_requests_does_not_matter(content):
    with registry_in_memory() as world:
        headers = world.all_of("demo/admin", NAME)
        location = presigned(world, headers, BLOB)
        response = world.registry.request("GET", location, headers=headers, content=content)
        require_success(response, 200)
        require_linked(world.registry.post(f"{location}/complete", headers=headers, content=content))


# ------------------------------------------------------------------ what an error shows
@pytest.mark.parametrize("error", [Unavailable, Throttled])
@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/complete"), ("DELETE", "")])
def test_no_failure_shows_a_key_or_a_url(world, headers, error, in_parts, method, path):
    at, failed = 0, 0
    while True:
        location = presigned(world, headers, b"%d" % at, in_parts=in_parts)
        with world.faults.failing(at=at, error=lambda: error("the inner message")):
            response = world.registry.request(method, location + path, headers=headers)
            if len(world.faults.calls) <= at:
                break
        if response.status_code >= 400:
            require_error(response, 503 if error is Unavailable else 429, "TOOMANYREQUESTS")
            failed += 1
            for secret in (
                world.repository(NAME).id,
                "upload-",
                "storage.invalid",
            ):
                assert secret not in response.text
        at += 1
    assert failed > 0


def test_refusals_show_no_key(world, headers):
    location, shown = begin(world, headers, partSize=PART)
    put_parts(world, shown, b"")
    key = key_of(world, shown)
    refused = [
        complete(world, headers, location),
        world.registry.post(UPLOADS, headers=headers, content=b"{}"),
        world.registry.patch(location.replace("_presigned/", ""), headers=headers, content=b"x"),
        world.registry.get(UPLOADS + "0" * 32, headers=headers),
    ]
    for response in refused:
        require_error(response, response.status_code)
        for secret in (key, world.repository(NAME).id, "upload-1", "storage.invalid", "X-Amz"):
            assert secret not in response.text


def test_urls_are_made_anew_with_each_question(world, headers):
    """One that has ended costs a client a question, not the upload."""
    location, _ = begin(world, headers)
    world.clock.advance(timedelta(hours=5))
    again = show(world, world.all_of("demo/admin", NAME), location)
    assert urlsplit(again["put"]["url"]).query
