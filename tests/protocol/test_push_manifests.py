"""Manifests pushed by tag and by digest, what they must name, and what is refused."""

import json

import pytest

from moorage.domain.manifests import DOCKER_LIST, DOCKER_MANIFEST, MAX_MANIFEST_SIZE, OCI_INDEX, OCI_MANIFEST
from moorage.web.manifest_routes import MAX_TAGS_PER_PUSH
from tests.protocol.sample import (
    ABSENT,
    ABSENT_LONG,
    DIGEST,
    IMAGE,
    IMAGE_DIGEST,
    IMAGE_LONG,
    INDEX,
    LONG,
    NAME,
    descriptor,
    fill,
    image,
    index,
    push_blob,
    push_manifest,
    require_error,
    require_success,
    sha256,
    sha512,
    subject_of,
)

PATH = f"/v2/{NAME}/manifests"


@pytest.fixture
def headers(world):
    headers = world.all_of("demo/admin", NAME, "demo/side")
    fill(world, headers)
    return headers


def put(world, headers, content, reference="new", media_type=None):
    sent = headers | ({"Content-Type": media_type} if media_type else {})
    return world.registry.put(f"{PATH}/{reference}", headers=sent, content=content)


def get(world, headers, reference):
    return world.registry.get(f"{PATH}/{reference}", headers=headers)


@pytest.mark.parametrize("content", [IMAGE, INDEX], ids=["image", "index"])
@pytest.mark.parametrize("kind", ["tag", "sha256", "sha512"])
def test_a_manifest_is_kept_byte_for_byte(world, headers, content, kind):
    digest = sha512(content) if kind == "sha512" else sha256(content)
    reference = "new" if kind == "tag" else digest
    for _ in range(2):
        response = put(world, headers, content, reference, json.loads(content)["mediaType"])
        require_success(response, 201)
        assert response.headers["Location"] == f"{PATH}/{digest}"
        assert response.headers["Docker-Content-Digest"] == digest
        assert response.headers.get("OCI-Tag") == ("new" if kind == "tag" else None)
        assert "OCI-Subject" not in response.headers
        assert response.content == b""
    for way in {reference, digest}:
        answer = get(world, headers, way)
        assert answer.content == content
        assert answer.headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize("digest", [sha256, sha512])
def test_a_manifest_by_digest_takes_tags_and_each_remembers_the_digest(world, headers, digest):
    tags = [f"t{number}" for number in range(10)]
    query = "&".join(f"tag={tag}" for tag in (*tags, "t0"))
    response = put(world, headers, IMAGE, f"{digest(IMAGE)}?{query}")
    require_success(response, 201)
    assert [tag.strip() for tag in response.headers["OCI-Tag"].split(",")] == tags
    for tag in tags:
        for method in ("GET", "HEAD"):
            answer = world.registry.request(method, f"{PATH}/{tag}", headers=headers)
            assert answer.headers["Docker-Content-Digest"] == digest(IMAGE)


def test_a_manifest_by_tag_takes_further_tags(world, headers):
    response = put(world, headers, IMAGE, "one?tag=two&tag=one")
    require_success(response, 201)
    assert response.headers["OCI-Tag"] == "one, two"


def test_as_many_tags_as_allowed_and_not_one_more(world, headers):
    tags = [f"tag=t{number}" for number in range(MAX_TAGS_PER_PUSH)]
    require_success(put(world, headers, IMAGE, f"{IMAGE_DIGEST}?{'&'.join(tags)}"), 201)
    response = put(world, headers, IMAGE, f"{IMAGE_DIGEST}?{'&'.join(tags)}&tag=another")
    require_error(response, 414, "MANIFEST_INVALID")
    require_error(get(world, headers, "another"), 404)


@pytest.mark.parametrize(
    "tag", ["", ".x", "a" * 129, "a%2Fb", "a%20b", "%C3%A9", "a%0A", "a%00", "a:b", "a,b"]
)
def test_a_bad_tag_refuses_the_whole_push(world, headers, tag):
    other = image(annotations={"other": "image"})
    response = put(world, headers, other, f"{sha256(other)}?tag=good&tag={tag}")
    require_error(response, 400, "MANIFEST_INVALID")
    require_error(get(world, headers, "good"), 404)
    require_error(get(world, headers, sha256(other)), 404)
    if tag:
        assert put(world, headers, other, tag).status_code in (400, 404)


def test_a_tag_moves(world, headers):
    other = image(annotations={"other": "image"})
    push_manifest(world, headers, other, "v1")
    assert get(world, headers, "v1").content == other
    assert get(world, headers, "v2").content == IMAGE
    assert get(world, headers, IMAGE_DIGEST).content == IMAGE


# ------------------------------------------------------------------ refused
@pytest.mark.parametrize(
    "digest",
    [
        ABSENT,
        ABSENT_LONG,
        sha256(IMAGE + b"  "),
        sha512(IMAGE + b"  "),
        IMAGE_DIGEST[:-1] + "x",
        IMAGE_DIGEST.upper(),
        "sha256:baddigeststring",
        "sha1:" + "0" * 40,
    ],
)
def test_another_digest_than_its_own_is_refused(world, headers, digest):
    require_error(put(world, headers, IMAGE, digest), 400, "DIGEST_INVALID")
    require_error(put(world, headers, IMAGE, f"{digest}?tag=new"), 400, "DIGEST_INVALID")
    require_error(get(world, headers, "new"), 404)


FRESH = image(annotations={"not": "pushed before"})
CONFUSED = {
    "not JSON": (b"{", OCI_MANIFEST),
    "nothing": (b"", OCI_MANIFEST),
    "a list": (b"[]", OCI_MANIFEST),
    "of schema 1": (image(schemaVersion=1), OCI_MANIFEST),
    "sent as an index": (FRESH, OCI_INDEX),
    "sent as Docker's type": (FRESH, DOCKER_MANIFEST),
    "an index sent as an image": (INDEX, OCI_MANIFEST),
    "an index sent as Docker's list": (INDEX, DOCKER_LIST),
    "of an unknown type": (image(mediaType="application/vnd.example"), "application/vnd.example"),
    "of JSON only": (image(mediaType=None), "application/json"),
    "of schema 1's type": (
        image(mediaType=None),
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ),
    "an index with layers": (index(IMAGE, layers=[descriptor()]), OCI_INDEX),
    "an index with no layers, listed": (index(IMAGE, layers=[]), OCI_INDEX),
    "an index with a config": (index(IMAGE, config=descriptor()), OCI_INDEX),
    "an image with manifests": (image(manifests=[]), OCI_MANIFEST),
    "an image with Manifests": (image(Manifests=[descriptor(IMAGE_DIGEST)]), OCI_MANIFEST),
    "without a config": (image(config=None), OCI_MANIFEST),
    "in UTF-16": (IMAGE.decode().encode("utf-16"), OCI_MANIFEST),
    "with a size of 1.5": (
        image(layers=[descriptor(size=1)]).replace(b'"size": 1', b'"size": 1.5'),
        OCI_MANIFEST,
    ),
    "with a negative size": (image(layers=[descriptor(size=-1)]), OCI_MANIFEST),
    "with a digest of another algorithm": (image(layers=[descriptor("md5:" + "0" * 32)]), OCI_MANIFEST),
    "with an upper-case digest": (image(layers=[descriptor(DIGEST.upper())]), OCI_MANIFEST),
    "with 2001 layers": (image(layers=[descriptor()] * 2001), OCI_MANIFEST),
    "nested without end": (b'{"schemaVersion": 2, "x": ' + b"[" * 100_000, OCI_MANIFEST),
    "with a subject that is none": (image(subject={}), OCI_MANIFEST),
    "with annotations that are numbers": (image(annotations={"a": 1}), OCI_MANIFEST),
}


@pytest.mark.parametrize(("content", "media_type"), CONFUSED.values(), ids=list(CONFUSED))
def test_a_confused_manifest_is_refused(world, headers, content, media_type):
    require_error(put(world, headers, content, "new", media_type), 400, "MANIFEST_INVALID")
    require_error(put(world, headers, content, sha256(content), media_type), 400, "MANIFEST_INVALID")
    require_error(get(world, headers, "new"), 404)
    require_error(get(world, headers, sha256(content)), 404)


def test_a_manifest_of_4_mib_is_taken_and_one_byte_more_is_not(world, headers):
    content = image(annotations={f"a{number}": "x" * 10_000 for number in range(390)})
    content += b" " * (MAX_MANIFEST_SIZE - len(content))
    assert len(content) == 4 * 1024 * 1024
    require_success(put(world, headers, content, "large"), 201)
    assert get(world, headers, "large").content == content
    head = world.registry.head(f"{PATH}/large", headers=headers)
    assert head.headers["Content-Length"] == str(len(content))
    require_error(put(world, headers, content + b" ", "larger"), 413, "MANIFEST_INVALID")
    require_error(get(world, headers, "larger"), 404)


@pytest.mark.parametrize("size", [64 * 1024, 64 * 1024 + 1])
def test_where_a_manifest_is_kept_does_not_show(world, headers, size):
    content = image(annotations={"long": ""})
    content = image(annotations={"long": "x" * (size - len(content))})
    assert len(content) == size
    push_manifest(world, headers, content, "new")
    assert get(world, headers, "new").content == content
    assert get(world, headers, sha256(content)).headers["Content-Length"] == str(size)


# ------------------------------------------------------------------ what it names
@pytest.mark.parametrize(
    ("content", "missing"),
    [
        (image(layers=[descriptor(), descriptor(ABSENT)]), [ABSENT]),
        (image(layers=[descriptor(ABSENT), descriptor(ABSENT_LONG)]), [ABSENT, ABSENT_LONG]),
        (image(config=descriptor(ABSENT), layers=[]), [ABSENT]),
        (image(layers=[descriptor(IMAGE_DIGEST)]), [IMAGE_DIGEST]),
        (index(b"absent"), [ABSENT]),
        (index(IMAGE, b"absent"), [ABSENT]),
        (json.dumps({**json.loads(INDEX), "manifests": [descriptor(IMAGE_LONG)]}).encode(), [IMAGE_LONG]),
    ],
)
def test_a_manifest_that_names_what_is_not_in_the_repository_is_refused(world, headers, content, missing):
    entry = require_error(put(world, headers, content, "new"), 400, "MANIFEST_BLOB_UNKNOWN")
    assert entry["detail"] == [{"digest": digest} for digest in missing]
    require_error(get(world, headers, "new"), 404)


def test_an_index_of_layers_is_taken_as_buildkit_keeps_its_cache(world, headers):
    layer = b"a layer of the cache"
    push_blob(world, headers, layer)
    cache = index(layer)
    require_success(put(world, headers, cache, "cache"), 201)
    assert get(world, headers, "cache").content == cache
    # A blob stays a blob: it is not to be had as a manifest.
    require_error(get(world, headers, sha256(layer)), 404, "MANIFEST_UNKNOWN")


def test_what_another_repository_holds_is_not_in_this_one(world, headers):
    response = world.registry.put("/v2/demo/side/manifests/v1", headers=headers, content=IMAGE)
    require_error(response, 400, "MANIFEST_BLOB_UNKNOWN")
    push_blob(world, headers, name="demo/side")
    push_manifest(world, headers, IMAGE, "v1", "demo/side")
    response = world.registry.put("/v2/demo/side/manifests/v2", headers=headers, content=INDEX)
    require_success(response, 201)


def test_an_error_names_few_of_many_missing(world, headers):
    content = image(layers=[descriptor(sha256(str(number).encode())) for number in range(1000)])
    entry = require_error(put(world, headers, content), 400, "MANIFEST_BLOB_UNKNOWN")
    assert 1 <= len(entry["detail"]) <= 20


@pytest.mark.parametrize(
    "content",
    [
        image(
            layers=[
                descriptor(),
                {
                    **descriptor(ABSENT, 5, "application/vnd.oci.image.layer.nondistributable.v1.tar"),
                    "urls": ["https://x.invalid/"],
                },
            ]
        ),
        image(layers=[]),
        image(layers=[{**descriptor(), "data": "AA==", "unknown": {"deep": [1, None]}}], unknown="field"),
        image(layers=[descriptor(), descriptor()]),
        image(layers=[descriptor(LONG)]),
        index(),
        index(IMAGE, INDEX),
        index(IMAGE, manifests=[{**descriptor(IMAGE_DIGEST, len(IMAGE), OCI_MANIFEST), "platform": None}]),
    ],
)
def test_unusual_manifests_are_taken(world, headers, content):
    push_manifest(world, headers, INDEX)
    require_success(put(world, headers, content, "new"), 201)
    assert get(world, headers, "new").content == content


# ------------------------------------------------------------------ subjects
@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("reference", ["tag", "sha256", "sha512"])
def test_a_subject_is_acknowledged_whether_it_is_there_or_not(world, headers, present, reference):
    content = image(**subject_of(IMAGE if present else b"absent"))
    by = {"tag": "signature", "sha256": sha256(content), "sha512": sha512(content)}[reference]
    response = put(world, headers, content, by)
    require_success(response, 201)
    assert response.headers["OCI-Subject"] == (IMAGE_DIGEST if present else ABSENT)
    assert response.headers["Docker-Content-Digest"] == (sha512 if reference == "sha512" else sha256)(content)
