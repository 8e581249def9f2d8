"""Blobs pushed in one request, in chunks, streamed; asked about, cancelled, and everything that is refused."""

import re

import pytest

from moorage.domain.sessions import MAX_BODY_SIZE, SESSION_LIFETIME
from tests.protocol.sample import (
    ABSENT,
    BLOB,
    DIGEST,
    EMPTY,
    LONG,
    NAME,
    Row,
    require_error,
    require_success,
    session,
    sha256,
    sha512,
)

OTHER = b"\0" * 3072
BAD_DIGESTS = {
    "truncated": DIGEST[:-1],
    "longer": DIGEST + "0",
    "upper case": DIGEST[:7] + DIGEST[7:].upper(),
    "upper-case algorithm": DIGEST.replace("sha256", "SHA256"),
    "of no algorithm": DIGEST[7:],
    "of another algorithm": "sha1:" + "0" * 40,
    "sha256 called sha512": "sha512:" + DIGEST[7:],
    "empty": "",
    "text": "sha256:baddigeststring",
    "with a newline": DIGEST + "\n",
    "with NUL": DIGEST[:-1] + "\0",
    "in other digits": "sha256:" + "\u0660" * 64,
    "a path": "sha256:../../" + DIGEST[13:],
    "of 8,000 characters": "sha256:" + "0" * 8000,
}


@pytest.fixture
def headers(world):
    return world.all_of("demo/admin", NAME)


def require_created(response, digest):
    require_success(response, 201)
    assert response.headers["Location"] == f"/v2/{NAME}/blobs/{digest}"
    assert response.headers["Docker-Content-Digest"] == digest
    assert response.content == b""


def require_open(world, headers, location, received):
    response = world.registry.get(location, headers=headers)
    require_success(response, 204)
    assert response.headers["Location"] == location
    assert response.headers["Range"] == f"0-{max(received - 1, 0)}"
    assert response.content == b""
    assert "Content-Length" not in response.headers


def require_held(world, headers, digest, content):
    response = world.registry.head(f"/v2/{NAME}/blobs/{digest}", headers=headers)
    assert response.status_code == 200
    assert response.headers["Content-Length"] == str(len(content))
    location = world.registry.get(f"/v2/{NAME}/blobs/{digest}", headers=headers).headers["Location"]
    key = location.partition("?")[0].removeprefix("https://storage.invalid/")
    assert b"".join(world.storage.read(key)) == content


def require_absent(world, headers, digest):
    require_error(world.registry.head(f"/v2/{NAME}/blobs/{digest}", headers=headers), 404)


# ------------------------------------------------------------------ opening
@pytest.mark.parametrize(
    "path", ["blobs/uploads/", "blobs/uploads", "blobs/uploads/?digest-algorithm=sha512"]
)
def test_an_upload_is_opened(world, headers, path):
    response = world.registry.post(f"/v2/{NAME}/{path}", headers=headers)
    require_success(response, 202)
    assert re.fullmatch(rf"/v2/{NAME}/blobs/uploads/[0-9a-f]{{32}}", response.headers["Location"])
    assert response.headers["Range"] == "0-0"
    assert response.headers["Docker-Upload-UUID"] == response.headers["Location"].rpartition("/")[2]
    assert response.headers["Content-Length"] == "0"
    assert "OCI-Chunk-Min-Length" not in response.headers


def test_no_two_uploads_have_the_same_location(world, headers):
    assert len({session(world, headers) for _ in range(20)}) == 20


@pytest.mark.parametrize("algorithm", ["sha384", "md5", "SHA256", "sha256,sha512"])
def test_an_algorithm_that_we_do_not_take_is_refused_at_once(world, headers, algorithm):
    response = world.registry.post(f"/v2/{NAME}/blobs/uploads/?digest-algorithm={algorithm}", headers=headers)
    require_error(response, 400, "DIGEST_INVALID")


# ------------------------------------------------------------------ whole
@pytest.mark.parametrize("content", [BLOB, b""], ids=["2048 bytes", "empty"])
@pytest.mark.parametrize("digest", [sha256, sha512])
def test_a_blob_in_the_opening_request(world, headers, content, digest):
    for _ in range(2):
        response = world.registry.post(
            f"/v2/{NAME}/blobs/uploads/", params={"digest": digest(content)}, headers=headers, content=content
        )
        require_created(response, digest(content))
        require_held(world, headers, digest(content), content)


@pytest.mark.parametrize("content", [BLOB, b""], ids=["2048 bytes", "empty"])
@pytest.mark.parametrize("digest", [sha256, sha512])
@pytest.mark.parametrize(
    "how", ["in the closing PUT", "in one PATCH", "in chunks", "the last one in the closing PUT"]
)
def test_a_blob_in_a_session(world, headers, content, digest, how):
    location, closing, ranged = session(world, headers), b"", {}
    if how == "in one PATCH":
        response = world.registry.patch(location, headers=headers, content=content)
        require_success(response, 202)
        assert response.headers["Range"] == f"0-{max(len(content) - 1, 0)}"
        location = response.headers["Location"]
    elif how == "in the closing PUT":
        closing = content
    else:
        for start in range(0, len(content), 700):
            chunk = content[start : start + 700]
            ranged = {"Content-Range": f"{start}-{start + len(chunk) - 1}"}
            if how.startswith("the last") and start + 700 >= len(content):
                closing = chunk
                break
            response = world.registry.patch(location, headers=headers | ranged, content=chunk)
            require_success(response, 202)
            assert response.headers["Range"] == f"0-{start + len(chunk) - 1}"
            require_open(world, headers, location, start + len(chunk))
    response = world.registry.put(
        location,
        params={"digest": digest(content)},
        headers=headers | (ranged if closing else {}),
        content=closing,
    )
    require_created(response, digest(content))
    require_held(world, headers, digest(content), content)
    require_error(world.registry.get(location, headers=headers), 404, "BLOB_UPLOAD_UNKNOWN")
    # The answer may have been lost: the same request again has the same answer.
    again = world.registry.put(location, params={"digest": digest(content)}, headers=headers, content=closing)
    require_created(again, digest(content))


def test_a_body_of_unknown_length_is_taken(world, headers):
    location = session(world, headers)
    response = world.registry.patch(location, headers=headers, content=iter([BLOB[:1000], BLOB[1000:]]))
    assert "content-length" not in response.request.headers
    require_success(response, 202)
    require_created(world.registry.put(location, params={"digest": DIGEST}, headers=headers), DIGEST)


# ------------------------------------------------------------------ bad digests
@pytest.mark.parametrize("bad", BAD_DIGESTS.values(), ids=list(BAD_DIGESTS))
def test_a_bad_digest_is_refused_wherever_it_comes(world, headers, bad):
    opening = world.registry.post(
        f"/v2/{NAME}/blobs/uploads/", params={"digest": bad}, headers=headers, content=BLOB
    )
    require_error(opening, 400, "DIGEST_INVALID")
    mount = world.registry.post(f"/v2/{NAME}/blobs/uploads/", params={"mount": bad}, headers=headers)
    require_error(mount, 400, "DIGEST_INVALID")
    location = session(world, headers, BLOB)
    closing = world.registry.put(location, params={"digest": bad}, headers=headers)
    require_error(closing, 400, "DIGEST_INVALID")
    require_open(world, headers, location, len(BLOB))
    require_absent(world, headers, DIGEST)


@pytest.mark.parametrize("digest", [sha256(OTHER), sha512(OTHER), EMPTY, ABSENT])
def test_content_of_another_digest_is_refused_however_it_comes(world, headers, digest):
    opening = world.registry.post(
        f"/v2/{NAME}/blobs/uploads/", params={"digest": digest}, headers=headers, content=BLOB
    )
    require_error(opening, 400, "DIGEST_INVALID")
    for chunks, closing in (((BLOB,), b""), ((), BLOB), ((BLOB[:9], BLOB[9:]), b""), ((BLOB[:9],), BLOB[9:])):
        location = session(world, headers, *chunks)
        response = world.registry.put(location, params={"digest": digest}, headers=headers, content=closing)
        require_error(response, 400, "DIGEST_INVALID")
        require_absent(world, headers, digest)
        require_open(world, headers, location, sum(map(len, chunks)))
        right = world.registry.put(location, params={"digest": LONG}, headers=headers, content=closing)
        require_created(right, LONG)


def test_a_digest_that_is_given_twice_must_be_the_same(world, headers):
    url = f"/v2/{NAME}/blobs/uploads/"
    twice = world.registry.post(f"{url}?digest={DIGEST}&digest={ABSENT}", headers=headers, content=BLOB)
    require_error(twice, 400, "DIGEST_INVALID")
    same = world.registry.post(f"{url}?digest={DIGEST}&digest={DIGEST}", headers=headers, content=BLOB)
    require_created(same, DIGEST)


def test_a_closing_without_digest_is_refused_and_the_upload_goes_on(world, headers):
    location = session(world, headers, BLOB)
    require_error(world.registry.put(location, headers=headers), 400, "DIGEST_INVALID")
    require_created(world.registry.put(location, params={"digest": DIGEST}, headers=headers), DIGEST)


# ------------------------------------------------------------------ chunks
# What comes after the bytes 0-1023 of 2048 have been received.
OUT_OF_ORDER = [
    "1025-1026",
    "0-1023",
    "0-0",
    "1023-1024",
    "512-1535",
    "2048-2049",
    "5000-5001",
    "999999999999999-999999999999999",
]


@pytest.mark.parametrize("content_range", OUT_OF_ORDER)
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_chunk_out_of_order_is_told_where_the_upload_stands(world, headers, method, content_range):
    location = session(world, headers, BLOB[:1024])
    first, last = map(int, content_range.split("-"))
    body = b"x" * min(last - first + 1, 1024)
    query = {"params": {"digest": DIGEST}} if method == "PUT" else {}
    response = world.registry.request(
        method, location, headers=headers | {"Content-Range": content_range}, content=body, **query
    )
    entry = require_error(response, 416, "BLOB_UPLOAD_INVALID")
    assert entry["detail"] == {"received": 1024}
    assert response.headers["Range"] == "0-1023"
    assert response.headers["Location"] == location
    require_open(world, headers, location, 1024)
    rest = world.registry.put(
        location,
        params={"digest": DIGEST},
        headers=headers | {"Content-Range": "1024-2047"},
        content=BLOB[1024:],
    )
    require_created(rest, DIGEST)


def test_the_first_chunk_out_of_order_leaves_an_empty_upload(world, headers):
    location = session(world, headers)
    response = world.registry.patch(
        location, headers=headers | {"Content-Range": "1024-2047"}, content=BLOB[1024:]
    )
    require_error(response, 416, "BLOB_UPLOAD_INVALID")
    assert response.headers["Range"] == "0-0"
    require_open(world, headers, location, 0)


def test_a_chunk_that_is_repeated_after_a_lost_answer_is_not_taken_twice(world, headers):
    location = session(world, headers)
    for _ in range(3):
        response = world.registry.patch(
            location, headers=headers | {"Content-Range": "0-1023"}, content=BLOB[:1024]
        )
    require_error(response, 416, "BLOB_UPLOAD_INVALID")
    response = world.registry.patch(
        location, headers=headers | {"Content-Range": "1024-2047"}, content=BLOB[1024:]
    )
    require_success(response, 202)
    require_created(world.registry.put(location, params={"digest": DIGEST}, headers=headers), DIGEST)


@pytest.mark.parametrize(
    ("content_range", "code"),
    [
        ("0-1022", "SIZE_INVALID"),
        ("0-1024", "SIZE_INVALID"),
        ("0-0", "SIZE_INVALID"),
        ("1023-0", "BLOB_UPLOAD_INVALID"),
        ("bytes 0-1023/2048", "BLOB_UPLOAD_INVALID"),
        ("bytes=0-1023", "BLOB_UPLOAD_INVALID"),
        ("0-", "BLOB_UPLOAD_INVALID"),
        ("-1023", "BLOB_UPLOAD_INVALID"),
        ("a-b", "BLOB_UPLOAD_INVALID"),
        ("0-1023, 0-1023", "BLOB_UPLOAD_INVALID"),
        ("0-" + "9" * 5000, "BLOB_UPLOAD_INVALID"),
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_range_that_does_not_fit_its_body_is_refused(world, headers, method, content_range, code):
    location = session(world, headers)
    query = {"params": {"digest": DIGEST}} if method == "PUT" else {}
    response = world.registry.request(
        method, location, headers=headers | {"Content-Range": content_range}, content=BLOB[:1024], **query
    )
    require_error(response, 400, code)
    require_open(world, headers, location, 0)


@pytest.mark.parametrize("announced", [len(BLOB) - 1, len(BLOB) + 1, 0, "-1", "x", "1e3"])
def test_a_body_that_is_not_as_long_as_announced_is_not_stored(world, headers, announced):
    location = session(world, headers)
    torn = headers | {"Content-Length": str(announced)}
    require_error(world.registry.patch(location, headers=torn, content=BLOB), 400, "SIZE_INVALID")
    closing = world.registry.put(location, params={"digest": DIGEST}, headers=torn, content=BLOB)
    require_error(closing, 400, "SIZE_INVALID")
    opening = world.registry.post(
        f"/v2/{NAME}/blobs/uploads/", params={"digest": DIGEST}, headers=torn, content=BLOB
    )
    require_error(opening, 400, "SIZE_INVALID")
    require_open(world, headers, location, 0)
    require_absent(world, headers, DIGEST)


# ------------------------------------------------------------------ sessions
def test_a_cancelled_upload_is_gone(world, headers):
    location = session(world, headers, BLOB)
    response = world.registry.delete(location, headers=headers)
    require_success(response, 204)
    assert response.content == b""
    require_ended(world, headers, location)
    require_absent(world, headers, DIGEST)


def test_an_upload_ends_a_day_after_it_began(world, headers):
    location = session(world, headers, BLOB)
    world.clock.advance(SESSION_LIFETIME)
    require_ended(world, world.all_of("demo/admin", NAME), location)


def require_ended(world, headers, location):
    for response in on(world, headers, location):
        require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")


def on(world, headers, location):
    """Every request that there is on an upload."""
    yield world.registry.get(location, headers=headers)
    yield world.registry.patch(location, headers=headers, content=b"more")
    yield world.registry.patch(location, headers=headers | {"Content-Range": "9-12"}, content=b"more")
    yield world.registry.put(location, params={"digest": DIGEST}, headers=headers)
    yield world.registry.put(location, params={"digest": DIGEST}, headers=headers, content=BLOB)
    yield world.registry.delete(location, headers=headers)


def test_an_upload_of_another_principal_is_unknown(world, headers):
    world.add_account("demo", "second", "superusers")
    location = session(world, headers, BLOB)
    require_ended(world, world.all_of("demo/second", NAME), location)
    require_open(world, headers, location, len(BLOB))


def test_an_upload_is_unknown_in_another_repository(world, headers):
    location = session(world, headers, BLOB)
    elsewhere = location.replace(NAME, "demo/side")
    require_ended(world, world.all_of("demo/admin", "demo/side"), elsewhere)
    foreign = location.replace(NAME, "other/app")
    require_ended(world, world.all_of("other/admin", "other/app"), foreign)
    require_open(world, headers, location, len(BLOB))


@pytest.mark.parametrize(
    "session_id",
    [
        "0" * 32,
        "x",
        "..",
        "%2e%2e",
        "%00",
        "%0d%0aX-Evil:%201",
        "%F0%9F%98%80",
        "%ff",
        "_direct",
        "a" * 5000,
        "%25",
        "a%3Fb",
        "*",
    ],
)
def test_an_upload_that_never_was_is_unknown_whatever_it_is_called(world, headers, session_id):
    session(world, headers)
    for response in on(world, headers, f"/v2/{NAME}/blobs/uploads/{session_id}"):
        require_error(response, 404)
        assert "Location" not in response.headers


def test_chunks_from_two_clients_do_not_mix(world, headers):
    location = session(world, headers)
    ranged = headers | {"Content-Range": "0-3"}
    assert world.registry.patch(location, headers=ranged, content=b"mine").status_code == 202
    require_error(world.registry.patch(location, headers=ranged, content=b"hers"), 416, "BLOB_UPLOAD_INVALID")
    response = world.registry.put(location, params={"digest": sha256(b"mine")}, headers=headers)
    require_created(response, sha256(b"mine"))


# ------------------------------------------------------------------ limits
def test_a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(world, headers):
    content = bytes(MAX_BODY_SIZE)
    digest, longer = sha256(content), sha256(content + b"\0")
    whole = world.registry.post(
        f"/v2/{NAME}/blobs/uploads/", params={"digest": digest}, headers=headers, content=content
    )
    require_created(whole, digest)
    opening = world.registry.post(
        f"/v2/{NAME}/blobs/uploads/", params={"digest": longer}, headers=headers, content=content + b"\0"
    )
    location = session(world, headers)
    chunk = world.registry.patch(location, headers=headers, content=content + b"\0")
    closing = world.registry.put(
        location, params={"digest": longer}, headers=headers, content=content + b"\0"
    )
    for response in (opening, chunk, closing):
        entry = require_error(response, 413, "UNSUPPORTED")
        assert "chunks" in entry["message"]
    require_open(world, headers, location, 0)
    require_success(world.registry.patch(location, headers=headers, content=content), 202)
    closing = world.registry.put(location, params={"digest": longer}, headers=headers, content=b"\0")
    require_created(closing, longer)


def test_a_blob_over_the_limit_of_all_chunks_is_refused_with_advice(world, headers, monkeypatch):
    monkeypatch.setattr("moorage.domain.sessions.MAX_CHUNKED_BLOB_SIZE", 2048)
    location = session(world, headers, BLOB[:1024])
    for response in (
        world.registry.patch(location, headers=headers, content=BLOB[1024:] + b"\0"),
        world.registry.put(location, params={"digest": DIGEST}, headers=headers, content=BLOB[1024:] + b"\0"),
    ):
        entry = require_error(response, 413, "UNSUPPORTED")
        assert "Split the layer" in entry["message"]
    closing = world.registry.put(location, params={"digest": DIGEST}, headers=headers, content=BLOB[1024:])
    require_created(closing, DIGEST)


def test_an_upload_has_a_limited_number_of_chunks(world, headers, monkeypatch):
    monkeypatch.setattr("moorage.domain.sessions.MAX_CHUNKS", 3)
    location = session(world, headers, b"a", b"b", b"c")
    require_error(world.registry.patch(location, headers=headers, content=b"d"), 400, "BLOB_UPLOAD_INVALID")
    closing = world.registry.put(location, params={"digest": sha256(b"abc")}, headers=headers)
    require_created(closing, sha256(b"abc"))


ROWS = [
    Row(
        "an upload cannot be asked for its headers",
        "HEAD _/blobs/uploads/x",
        405,
        {"Allow": "DELETE, GET, PATCH, PUT"},
        "UNSUPPORTED",
    ),
    Row("nor posted to", "POST _/blobs/uploads/x", 405, {"Allow": "DELETE, GET, PATCH, PUT"}, "UNSUPPORTED"),
    Row("uploads cannot be listed", "GET _/blobs/uploads/", 405, {"Allow": "POST"}, "UNSUPPORTED"),
    Row("nor put", "PUT _/blobs/uploads/", 405, {"Allow": "POST"}, "UNSUPPORTED"),
    Row("a blob is not put", f"PUT _/blobs/{DIGEST}", 405, {"Allow": "DELETE, GET, HEAD"}, "UNSUPPORTED"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
def test_methods_that_are_not_taken(world, headers, row):
    row.check(world, headers)
