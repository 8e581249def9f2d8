"""Pulls: the ping, manifests, blobs and their ranges."""

import pytest

from moorage.domain.manifests import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.protocol.sample import (
    ABSENT,
    ABSENT_LONG,
    BLOB,
    DIGEST,
    EMPTY,
    EMPTY_LONG,
    IMAGE,
    IMAGE_DIGEST,
    IMAGE_LONG,
    INDEX,
    LONG,
    NAME,
    Row,
    fill,
    push_manifest,
    require_error,
    session,
    sha256,
)

UPPER = DIGEST[:7] + DIGEST[7:].upper()
MANIFEST_HEADERS = {
    "Content-Type": OCI_MANIFEST,
    "Content-Length": str(len(IMAGE)),
    "Docker-Content-Digest": IMAGE_DIGEST,
}
BLOB_HEADERS = {"Content-Length": str(len(BLOB)), "Docker-Content-Digest": DIGEST, "Accept-Ranges": "bytes"}

ROWS = [
    Row(
        "a caller with a token is welcome",
        "GET /v2/",
        200,
        {"Docker-Distribution-API-Version": "registry/2.0"},
    ),
    Row("also without the slash", "GET /v2", 200),
    Row("also when only the headers are asked for", "HEAD /v2/", 200),
    Row("a manifest by tag", "GET _/manifests/v1", 200, MANIFEST_HEADERS, body=IMAGE),
    Row("a manifest by digest", f"GET _/manifests/{IMAGE_DIGEST}", 200, MANIFEST_HEADERS, body=IMAGE),
    Row("the headers of a manifest by tag", "HEAD _/manifests/v1", 200, MANIFEST_HEADERS, body=b""),
    Row(
        "the headers of a manifest by digest",
        f"HEAD _/manifests/{IMAGE_DIGEST}",
        200,
        MANIFEST_HEADERS,
        body=b"",
    ),
    Row(
        "Accept is a hint",
        "GET _/manifests/v1",
        200,
        {"Content-Type": OCI_MANIFEST},
        sent={"Accept": OCI_INDEX},
        body=IMAGE,
    ),
    Row("no manifest of that tag", "GET _/manifests/v3", 404, code="MANIFEST_UNKNOWN"),
    Row("no headers of that tag", "HEAD _/manifests/v3", 404, code="MANIFEST_UNKNOWN"),
    Row("no manifest of that digest", f"GET _/manifests/{ABSENT}", 404, code="MANIFEST_UNKNOWN"),
    Row("no manifest of that sha512", f"GET _/manifests/{ABSENT_LONG}", 404, code="MANIFEST_UNKNOWN"),
    Row("pushed by sha256, not by sha512", f"GET _/manifests/{IMAGE_LONG}", 404, code="MANIFEST_UNKNOWN"),
    Row("a blob is no manifest", f"GET _/manifests/{DIGEST}", 404, code="MANIFEST_UNKNOWN"),
    Row("a manifest is no blob", f"GET _/blobs/{IMAGE_DIGEST}", 404, code="BLOB_UNKNOWN"),
    Row(
        "a malformed digest of a manifest",
        "GET _/manifests/sha256:baddigeststring",
        400,
        code="DIGEST_INVALID",
    ),
    Row("its headers", "HEAD _/manifests/sha256:baddigeststring", 400, code="DIGEST_INVALID"),
    Row("a tag outside the grammar", "GET _/manifests/.v1", 400, code="MANIFEST_INVALID"),
    Row("a tag of 129 characters", f"GET _/manifests/{'a' * 129}", 400, code="MANIFEST_INVALID"),
    Row(
        "a tag of 128 characters that is not there",
        f"GET _/manifests/{'a' * 128}",
        404,
        code="MANIFEST_UNKNOWN",
    ),
    Row("a tag with a newline", "GET _/manifests/v1%0A", 400, code="MANIFEST_INVALID"),
    Row("a tag with NUL", "GET _/manifests/v1%00", 400, code="MANIFEST_INVALID"),
    Row("a tag in another script", "GET _/manifests/%E6%97%A5", 400, code="MANIFEST_INVALID"),
    Row(
        "a manifest of a repository that is not there",
        "GET /v2/demo/none/manifests/v1",
        404,
        code="MANIFEST_UNKNOWN",
    ),
    Row(
        "a blob is a redirect",
        f"GET _/blobs/{DIGEST}",
        307,
        {"Docker-Content-Digest": DIGEST, "Content-Length": "0"},
    ),
    Row("a blob by sha512 is a redirect", f"GET _/blobs/{LONG}", 307, {"Docker-Content-Digest": LONG}),
    Row("the headers of a blob", f"HEAD _/blobs/{DIGEST}", 200, BLOB_HEADERS, body=b""),
    Row("of a blob by sha512", f"HEAD _/blobs/{LONG}", 200, BLOB_HEADERS | {"Docker-Content-Digest": LONG}),
    Row("no such blob", f"GET _/blobs/{ABSENT}", 404, {"Location": None}, code="BLOB_UNKNOWN"),
    Row("no headers of such a blob", f"HEAD _/blobs/{ABSENT}", 404, code="BLOB_UNKNOWN"),
    Row("no blob of that sha512", f"HEAD _/blobs/{ABSENT_LONG}", 404, code="BLOB_UNKNOWN"),
    Row(
        "a blob of a repository that is not there",
        f"GET /v2/demo/none/blobs/{DIGEST}",
        404,
        code="BLOB_UNKNOWN",
    ),
    Row("a truncated digest", f"GET _/blobs/{DIGEST[:-1]}", 400, code="DIGEST_INVALID"),
    Row("a truncated digest, headers only", f"HEAD _/blobs/{DIGEST[:-1]}", 400, code="DIGEST_INVALID"),
    Row("an upper-case digest", f"GET _/blobs/{UPPER}", 400, code="DIGEST_INVALID"),
    Row("a digest of another algorithm", f"GET _/blobs/sha1:{'0' * 40}", 400, code="DIGEST_INVALID"),
    Row("sha256 called sha512", f"GET _/blobs/sha512:{DIGEST[7:]}", 400, code="DIGEST_INVALID"),
    Row("sha512 called sha256", f"GET _/blobs/sha256:{LONG[7:]}", 400, code="DIGEST_INVALID"),
    Row(
        "a digest with its colon escaped is the same",
        f"HEAD _/blobs/{DIGEST.replace(':', '%3A')}",
        200,
        BLOB_HEADERS,
    ),
    Row("a proxy's hint is ignored", f"HEAD _/blobs/{DIGEST}?ns=docker.io", 200, BLOB_HEADERS),
]


@pytest.fixture
def headers(world):
    headers = world.all_of("demo/admin", NAME, "demo/none")
    fill(world, headers)
    return headers


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
def test_pulling(world, headers, row):
    row.check(world, headers)


# Of the 2048 bytes of BLOB.
SATISFIABLE = [
    "bytes=500-1499",
    "bytes=500-",
    "bytes=-500",
    "bytes=0-0",
    "bytes=2047-",
    "bytes=2000-5000",
    "bytes=-5000",
    "bytes=0-9999999999999999999999",
    "items=9-0",
    "bytes=0-1,5-6",
    "nonsense",
    "bytes=",
]
UNSATISFIABLE = [
    "bytes=500-0",
    "bytes=2048-",
    "bytes=2048-2048",
    "bytes=5000-10000",
    "bytes=-0",
    "bytes=99999999999999999999999999-",
    "bytes=1-0",
]


@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
@pytest.mark.parametrize("byte_range", SATISFIABLE)
def test_a_range_that_the_storage_answers_rightly_is_left_to_it(world, headers, byte_range, digest):
    response = world.registry.get(f"/v2/{NAME}/blobs/{digest}", headers=headers | {"Range": byte_range})
    assert response.status_code == 307
    assert response.headers["Location"].startswith("https://storage.invalid/")


@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
@pytest.mark.parametrize("byte_range", UNSATISFIABLE)
def test_a_range_that_no_byte_lies_in_is_refused_before_the_redirect(world, headers, byte_range, digest):
    response = world.registry.get(f"/v2/{NAME}/blobs/{digest}", headers=headers | {"Range": byte_range})
    require_error(response, 416)
    assert response.headers["Content-Range"] == "bytes */2048"
    assert "Location" not in response.headers


def test_an_unsatisfiable_range_of_an_absent_blob_is_404(world, headers):
    response = world.registry.get(f"/v2/{NAME}/blobs/{ABSENT}", headers=headers | {"Range": "bytes=1-0"})
    require_error(response, 404, "BLOB_UNKNOWN")


def test_the_redirect_leads_to_the_bytes_for_a_short_time_and_is_kept_by_nobody(world, headers):
    response = world.registry.get(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers)
    location = response.headers["Location"]
    key = location.partition("?")[0].removeprefix("https://storage.invalid/")
    assert b"".join(world.storage.read(key)) == BLOB
    assert "no-store" in response.headers["Cache-Control"]
    assert "Authorization" not in location
    assert headers["Authorization"].split()[1] not in location


def test_the_empty_blob_is_a_blob_of_zero_bytes(world, headers):
    for digest in (EMPTY, EMPTY_LONG):
        location = session(world, headers)
        response = world.registry.put(location, params={"digest": digest}, headers=headers)
        assert response.status_code == 201
        head = world.registry.head(f"/v2/{NAME}/blobs/{digest}", headers=headers)
        assert (head.status_code, head.headers["Content-Length"]) == (200, "0")
        assert world.registry.get(f"/v2/{NAME}/blobs/{digest}", headers=headers).status_code == 307


@pytest.mark.parametrize(("content", "media_type"), [(INDEX, OCI_INDEX), (IMAGE, DOCKER_MANIFEST)])
def test_the_type_is_the_pushed_one_without_parameters(world, headers, content, media_type):
    content = (
        content.replace(OCI_MANIFEST.encode(), media_type.encode())
        if media_type == DOCKER_MANIFEST
        else content
    )
    push_manifest(world, headers | {"Content-Type": f"{media_type}; charset=utf-8"}, content, "typed")
    for method in ("GET", "HEAD"):
        response = world.registry.request(method, f"/v2/{NAME}/manifests/typed", headers=headers)
        assert response.headers["Content-Type"] == media_type
        assert response.headers["Content-Length"] == str(len(content))
        assert response.headers["Docker-Content-Digest"] == sha256(content)
