"""Deletes of tags, manifests and blobs: gone for the very next request, and gone for good."""

import pytest

from tests.protocol.sample import (
    ABSENT,
    ABSENT_LONG,
    BLOB,
    DIGEST,
    IMAGE,
    IMAGE_DIGEST,
    LONG,
    NAME,
    Row,
    fill,
    image,
    push_blob,
    push_manifest,
    require_error,
    require_success,
    session,
    sha512,
    subject_of,
)


@pytest.fixture
def headers(world):
    headers = world.all_of("demo/admin", NAME, "demo/side")
    fill(world, headers)
    return headers


ROWS = [
    Row("a manifest that never was", f"DELETE _/manifests/{ABSENT}", 404, code="MANIFEST_UNKNOWN"),
    Row("one by sha512", f"DELETE _/manifests/{ABSENT_LONG}", 404, code="MANIFEST_UNKNOWN"),
    Row("a tag that never was", "DELETE _/manifests/none", 404, code="MANIFEST_UNKNOWN"),
    Row("a bad digest", "DELETE _/manifests/sha256:bad", 400, code="DIGEST_INVALID"),
    Row("a bad tag", "DELETE _/manifests/-x", 400, code="MANIFEST_INVALID"),
    Row("a blob that never was", f"DELETE _/blobs/{ABSENT}", 404, code="BLOB_UNKNOWN"),
    Row("one by sha512 that never was", f"DELETE _/blobs/{ABSENT_LONG}", 404, code="BLOB_UNKNOWN"),
    Row("a blob by a bad digest", "DELETE _/blobs/sha256:bad", 400, code="DIGEST_INVALID"),
    Row("a blob as a manifest", f"DELETE _/manifests/{DIGEST}", 404, code="MANIFEST_UNKNOWN"),
    Row("a manifest as a blob", f"DELETE _/blobs/{IMAGE_DIGEST}", 404, code="BLOB_UNKNOWN"),
    Row("a tag", "DELETE _/manifests/v1", 202, {"Content-Length": "0"}, body=b""),
    Row("a manifest", f"DELETE _/manifests/{IMAGE_DIGEST}", 202, {"Content-Length": "0"}, body=b""),
    Row("a blob", f"DELETE _/blobs/{DIGEST}", 202, {"Content-Length": "0"}, body=b""),
    Row("a blob by sha512", f"DELETE _/blobs/{LONG}", 202, {"Content-Length": "0"}, body=b""),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
def test_deleting(world, headers, row):
    row.check(world, headers)
    if row.status == 202:
        path = row.request.partition(" ")[2].replace("_", f"/v2/{NAME}", 1)
        for method in ("HEAD", "GET", "DELETE"):
            require_error(world.registry.request(method, path, headers=headers), 404)


def test_a_deleted_tag_leaves_its_manifest_and_the_other_tags(world, headers):
    require_success(world.registry.delete(f"/v2/{NAME}/manifests/v1", headers=headers), 202)
    assert world.registry.get(f"/v2/{NAME}/manifests/v2", headers=headers).content == IMAGE
    assert world.registry.get(f"/v2/{NAME}/manifests/{IMAGE_DIGEST}", headers=headers).content == IMAGE
    assert world.registry.get(f"/v2/{NAME}/tags/list", headers=headers).json()["tags"] == ["v2"]


def test_a_deleted_manifest_takes_its_tags_along(world, headers):
    other = image(annotations={"other": "image"})
    push_manifest(world, headers, other, "kept")
    require_success(world.registry.delete(f"/v2/{NAME}/manifests/{IMAGE_DIGEST}", headers=headers), 202)
    for tag in ("v1", "v2"):
        require_error(world.registry.head(f"/v2/{NAME}/manifests/{tag}", headers=headers), 404)
    assert world.registry.get(f"/v2/{NAME}/tags/list", headers=headers).json()["tags"] == ["kept"]
    push_manifest(world, headers, IMAGE)
    require_error(world.registry.get(f"/v2/{NAME}/manifests/v1", headers=headers), 404)


def test_the_same_bytes_by_the_other_algorithm_are_another_manifest(world, headers):
    push_manifest(world, headers, IMAGE, sha512(IMAGE))
    require_success(world.registry.delete(f"/v2/{NAME}/manifests/{IMAGE_DIGEST}", headers=headers), 202)
    assert world.registry.get(f"/v2/{NAME}/manifests/{sha512(IMAGE)}", headers=headers).content == IMAGE
    require_success(world.registry.delete(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers), 202)
    assert world.registry.head(f"/v2/{NAME}/blobs/{LONG}", headers=headers).status_code == 200


def test_a_deleted_referrer_is_listed_no_more(world, headers):
    content = image(**subject_of(IMAGE))
    digest = push_manifest(world, headers, content).headers["Docker-Content-Digest"]
    url = f"/v2/{NAME}/referrers/{IMAGE_DIGEST}"
    assert [item["digest"] for item in world.registry.get(url, headers=headers).json()["manifests"]] == [
        digest
    ]
    require_success(world.registry.delete(f"/v2/{NAME}/manifests/{digest}", headers=headers), 202)
    assert world.registry.get(url, headers=headers).json()["manifests"] == []
    push_manifest(world, headers, content)
    require_success(world.registry.delete(f"/v2/{NAME}/manifests/{IMAGE_DIGEST}", headers=headers), 202)
    assert [item["digest"] for item in world.registry.get(url, headers=headers).json()["manifests"]] == [
        digest
    ]


def test_a_deleted_blob_stays_deleted_while_others_hold_it(world, headers):
    foreign = world.all_of("other/admin", "other/app")
    push_blob(world, headers, name="demo/side")
    push_blob(world, foreign, name="other/app")
    require_success(world.registry.delete(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers), 202)
    assert world.registry.head(f"/v2/demo/side/blobs/{DIGEST}", headers=headers).status_code == 200
    assert world.registry.head(f"/v2/other/app/blobs/{DIGEST}", headers=foreign).status_code == 200
    for method in ("HEAD", "GET"):
        require_error(world.registry.request(method, f"/v2/{NAME}/blobs/{DIGEST}", headers=headers), 404)
    response = world.registry.put(f"/v2/{NAME}/manifests/again", headers=headers, content=IMAGE)
    require_error(response, 400, "MANIFEST_BLOB_UNKNOWN")


def test_repeating_the_closing_put_does_not_bring_a_deleted_blob_back(world, headers):
    location = session(world, headers, b"once")
    digest = push_blob(world, headers, b"once")
    closing = {"params": {"digest": digest}, "headers": headers}
    require_success(world.registry.put(location, **closing), 201)
    require_success(world.registry.delete(f"/v2/{NAME}/blobs/{digest}", headers=headers), 202)
    require_error(world.registry.put(location, **closing), 404, "BLOB_UPLOAD_UNKNOWN")
    require_error(world.registry.head(f"/v2/{NAME}/blobs/{digest}", headers=headers), 404)


def test_pushed_and_deleted_again_and_again(world, headers):
    for content in (BLOB, b"", b"{}"):
        for _ in range(3):
            digest = push_blob(world, headers, content)
            assert world.registry.head(f"/v2/{NAME}/blobs/{digest}", headers=headers).status_code == 200
            require_success(world.registry.delete(f"/v2/{NAME}/blobs/{digest}", headers=headers), 202)
            require_error(world.registry.head(f"/v2/{NAME}/blobs/{digest}", headers=headers), 404)
