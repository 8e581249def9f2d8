"""What a client stores by permissions: one PUT of announced content, or parts that are joined."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from moorage.adapters.s3_multipart import S3Multipart
from moorage.domain.errors import Unavailable
from moorage.ports import ObjectHead, Part
from tests.contract.test_storage import KEY, ODD_KEYS, content_of, sha256
from tests.contract.threads import together

MEBIBYTE = 1024 * 1024
# S3 takes no smaller part but the last; SeaweedFS does not mind.
FIRST, LAST = random.Random(1).randbytes(5 * MEBIBYTE), b"last"


def put(url, content, headers=None):
    """What any HTTP client does with a permission."""
    return urllib3.request("PUT", url, body=content, headers=headers or {}, retries=False)


def put_part(storage, upload_id, number, content, key=KEY):
    url = storage.presign_part(key, upload_id, number, len(content))
    if hasattr(storage, "put_part"):
        storage.put_part(key, upload_id, number, content)
    else:
        answer = put(url, content)
        assert answer.status == 200, answer.data


@pytest.fixture
def upload_id(storage):
    """An upload under ``KEY``, given up at the end if it has not ended."""
    begun = storage.begin_multipart(KEY)
    yield begun
    storage.abort_multipart(KEY, begun)


def joined(storage, upload_id, key=KEY):
    return storage.complete_multipart(key, upload_id, storage.list_parts(key, upload_id))


# ------------------------------------------------------------------ parts
def test_parts_are_listed_by_number_with_their_sizes(storage, upload_id):
    assert storage.list_parts(KEY, upload_id) == []
    put_part(storage, upload_id, 2, LAST)
    put_part(storage, upload_id, 1, FIRST)
    put_part(storage, upload_id, 10, b"")
    parts = storage.list_parts(KEY, upload_id)
    assert [(part.number, part.size) for part in parts] == [(1, len(FIRST)), (2, len(LAST)), (10, 0)]
    assert len({part.etag for part in parts}) == 3
    assert storage.head(KEY) is None


def test_joined_parts_are_one_object_of_which_the_store_proves_nothing(storage, upload_id):
    for number, content in ((2, LAST), (1, FIRST)):
        put_part(storage, upload_id, number, content)
    assert joined(storage, upload_id) is True
    assert content_of(storage) == FIRST + LAST
    assert storage.head(KEY) == ObjectHead(len(FIRST) + len(LAST), None)


@pytest.mark.parametrize("content", [b"", b"x"])
def test_one_part_alone_may_be_small_or_empty(storage, upload_id, content):
    put_part(storage, upload_id, 1, content)
    assert joined(storage, upload_id) is True
    assert content_of(storage) == content
    assert storage.head(KEY) == ObjectHead(len(content), None)


@pytest.mark.parametrize("contents", [(b"one", b"another"), (b"another", b"one"), (b"one", b"two")])
def test_a_part_that_comes_again_replaces_the_first(storage, upload_id, contents):
    for content in contents:
        put_part(storage, upload_id, 1, content)
    assert joined(storage, upload_id) is True
    assert content_of(storage) == contents[-1]


def test_a_part_that_comes_again_is_listed_once(memory_storage):
    """Of S3, too; SeaweedFS lists both, and joins the one that came last, whichever was named."""
    upload_id = memory_storage.begin_multipart(KEY)
    put_part(memory_storage, upload_id, 1, b"one")
    (first,) = memory_storage.list_parts(KEY, upload_id)
    put_part(memory_storage, upload_id, 1, b"two")
    (second,) = memory_storage.list_parts(KEY, upload_id)
    assert second.etag != first.etag
    assert memory_storage.complete_multipart(KEY, upload_id, [first]) is False
    assert memory_storage.head(KEY) is None
    assert memory_storage.complete_multipart(KEY, upload_id, [second]) is True


def test_a_part_that_never_came_is_not_joined(storage, upload_id):
    put_part(storage, upload_id, 1, FIRST)
    (first,) = storage.list_parts(KEY, upload_id)
    absent = replace(first, number=2)
    assert storage.complete_multipart(KEY, upload_id, [first, absent]) is False
    assert storage.head(KEY) is None


def test_an_upload_that_was_joined_is_over(storage, upload_id):
    put_part(storage, upload_id, 1, b"one")
    listed = storage.list_parts(KEY, upload_id)
    assert storage.complete_multipart(KEY, upload_id, listed) is True
    assert storage.list_parts(KEY, upload_id) is None
    storage.abort_multipart(KEY, upload_id)
    assert content_of(storage) == b"one"


def test_an_upload_that_was_given_up_is_over(storage, upload_id):
    put_part(storage, upload_id, 1, b"one")
    listed = storage.list_parts(KEY, upload_id)
    for _ in range(2):
        storage.abort_multipart(KEY, upload_id)
        assert storage.list_parts(KEY, upload_id) is None
        assert storage.complete_multipart(KEY, upload_id, listed) is False
        assert storage.head(KEY) is None


def test_uploads_are_listed_until_they_are_over(storage):
    keys = ["stream/aa/one", "stream/aa/two", "stream/ab/other"]
    begun = {key: storage.begin_multipart(key) for key in keys}
    again = storage.begin_multipart(keys[0])
    expected = sorted([(keys[0], begun[keys[0]]), (keys[0], again), (keys[1], begun[keys[1]])])
    assert sorted(storage.unfinished_uploads("stream/aa/")) == expected
    assert storage.unfinished_uploads("stream/ab/") == [(keys[2], begun[keys[2]])]
    assert list(storage.unfinished_uploads("stream/ac/")) == []
    storage.abort_multipart(keys[0], again)
    storage.abort_multipart(keys[1], begun[keys[1]])
    assert storage.unfinished_uploads("stream/aa/") == [(keys[0], begun[keys[0]])]
    for key in keys:
        storage.abort_multipart(key, begun[key])
    assert list(storage.unfinished_uploads("stream/")) == []


@pytest.mark.parametrize("unknown", ["0" * 32, "x", "upload-99"])
def test_an_upload_that_never_was_is_none(storage, unknown):
    assert storage.list_parts(KEY, unknown) is None
    assert storage.complete_multipart(KEY, unknown, [Part(1, 1, '"x"')]) is False
    storage.abort_multipart(KEY, unknown)


def test_uploads_of_one_key_are_apart(storage, upload_id):
    other = storage.begin_multipart(KEY)
    assert other != upload_id
    put_part(storage, upload_id, 1, b"one")
    assert storage.list_parts(KEY, other) == []
    storage.abort_multipart(KEY, other)
    assert len(storage.list_parts(KEY, upload_id)) == 1


def test_an_upload_that_is_joined_by_many_at_once_is_one_object(storage, upload_id):
    put_part(storage, upload_id, 1, b"one")
    listed = storage.list_parts(KEY, upload_id)
    results = together(*[partial(storage.complete_multipart, KEY, upload_id, listed) for _ in range(4)])
    assert True in results
    assert set(results) <= {True, False}
    assert content_of(storage) == b"one"


@pytest.mark.parametrize("key", ODD_KEYS, ids=ascii)
def test_parts_of_any_key_are_joined(storage, key):
    upload_id = storage.begin_multipart(key)
    put_part(storage, upload_id, 1, b"abc", key)
    assert joined(storage, upload_id, key) is True
    assert content_of(storage, key) == b"abc"


# ------------------------------------------------------------------ URLs of parts, over HTTP
@pytest.mark.parametrize("ended", ["joined", "given up"])
def test_the_url_of_a_part_takes_nothing_after_the_end(s3_storage, ended):
    upload_id = s3_storage.begin_multipart(KEY)
    url = s3_storage.presign_part(KEY, upload_id, 1, 3)
    assert put(url, b"one").status == 200
    if ended == "joined":
        assert joined(s3_storage, upload_id)
    else:
        s3_storage.abort_multipart(KEY, upload_id)
    assert put(url, b"two").status == 404
    assert content_of(s3_storage) == (b"one" if ended == "joined" else None)


def test_the_url_of_a_part_is_for_that_part_that_upload_and_a_put(s3_storage):
    upload_id = s3_storage.begin_multipart(KEY)
    url = s3_storage.presign_part(KEY, upload_id, 1, 1)
    for changed in (
        url.replace("partNumber=1", "partNumber=2"),
        url.replace(upload_id, "0" * len(upload_id)),
        url.replace(KEY, "api/other"),
    ):
        assert changed != url
        assert put(changed, b"x").status == 403
    for method in ("GET", "DELETE", "POST"):
        assert urllib3.request(method, url, retries=False).status in (400, 403, 405)
    for content in (b"", b"xx"):
        assert put(url, content).status == 403
    assert s3_storage.list_parts(KEY, upload_id) == []
    s3_storage.abort_multipart(KEY, upload_id)


def test_urls_to_store_by_end_within_the_hour(s3_storage):
    for url in (s3_storage.presign_part(KEY, "id", 1, 1), s3_storage.presign_put(KEY, 1, sha256(b"x")).url):
        query = parse_qs(urlsplit(url).query)
        assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        assert 600 <= int(query["X-Amz-Expires"][0]) <= 3600


# ------------------------------------------------------------------ one PUT, over HTTP
@pytest.mark.parametrize("content", [b"", b"abc", FIRST], ids=len)
@pytest.mark.parametrize("key", ODD_KEYS, ids=ascii)
def test_a_permission_takes_the_announced_content_with_a_checksum_of_its_own(s3_storage, key, content):
    request = s3_storage.presign_put(key, len(content), sha256(content))
    answer = put(request.url, content, dict(request.headers))
    assert answer.status == 200, answer.data
    assert content_of(s3_storage, key) == content
    assert s3_storage.head(key) == ObjectHead(len(content), sha256(content))


@pytest.mark.parametrize(("content", "status"), [(b"abd", 400), (b"ABC", 400), (b"", 403), (b"abcd", 403)])
def test_a_permission_takes_no_other_content(s3_storage, content, status):
    request = s3_storage.presign_put(KEY, 3, sha256(b"abc"))
    headers = {**request.headers, "Content-Length": str(len(content))}
    assert put(request.url, content, headers).status == status
    assert s3_storage.head(KEY) is None


def test_a_permission_is_good_for_one_object(s3_storage):
    """What was linked is never replaced, not even by the same."""
    request = s3_storage.presign_put(KEY, 3, sha256(b"abc"))
    assert put(request.url, b"abc", dict(request.headers)).status == 200
    assert put(request.url, b"abc", dict(request.headers)).status == 412
    without = {name: value for name, value in request.headers.items() if name != "If-None-Match"}
    assert put(request.url, b"abc", without).status == 403
    assert content_of(s3_storage) == b"abc"


def test_a_permission_without_its_checksum_or_with_another_is_none(s3_storage):
    request = s3_storage.presign_put(KEY, 3, sha256(b"abc"))
    other = s3_storage.presign_put(KEY, 3, sha256(b"abd"))
    bare = {name: value for name, value in request.headers.items() if "checksum" not in name}
    for headers in ({}, bare, dict(other.headers), bare | {"x-amz-checksum-crc32": "AAAAAA=="}):
        assert put(request.url, b"abd", headers).status == 403
    assert s3_storage.head(KEY) is None


def test_a_permission_is_for_one_key_and_a_put(s3_storage):
    request = s3_storage.presign_put(KEY, 3, sha256(b"abc"))
    assert put(request.url.replace(KEY, "api/other"), b"abc", dict(request.headers)).status == 403
    for method in ("GET", "DELETE"):
        answer = urllib3.request(method, request.url, body=b"abc", headers=request.headers, retries=False)
        assert answer.status == 403
    assert s3_storage.list_keys("", 5) == []


def test_the_checksum_is_a_signed_header_and_not_in_the_query(storage):
    """S3 ignores it there."""
    request = storage.presign_put(KEY, 3, sha256(b"abc"))
    query = parse_qs(urlsplit(request.url).query)
    signed = query["X-Amz-SignedHeaders"][0].split(";")
    assert "x-amz-checksum-sha256" in signed
    assert not [name for name in query if "checksum-sha256" in name.lower()]
    # All that is signed is said, and nothing else.
    assert {name.lower() for name in request.headers} | {"host"} == set(signed)
    assert request.headers["Content-Length"] == "3"
    part = parse_qs(urlsplit(storage.presign_part(KEY, "id", 1, 3)).query)
    assert set(part["X-Amz-SignedHeaders"][0].split(";")) == {"host", "content-length"}


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "aws-chunked,gzip"])
def test_a_content_encoding_is_told(s3_storage, encoding):
    s3_storage.client().put_object(Bucket=s3_storage._bucket, Key=KEY, Body=b"abc", ContentEncoding=encoding)
    assert s3_storage.head(KEY) == ObjectHead(3, None, encoding)


# ------------------------------------------------------------------ ranges
CONTENT = random.Random(4).randbytes(3 * MEBIBYTE)


@pytest.mark.parametrize(
    ("start", "size"),
    [(0, 1), (0, 3 * MEBIBYTE), (1, 2), (2 * MEBIBYTE - 1, MEBIBYTE), (3 * MEBIBYTE - 1, 1)],
)
def test_a_range_is_read_as_it_was_stored(storage, start, size):
    storage.put(KEY, CONTENT)
    assert storage.read_range(KEY, start, size) == CONTENT[start : start + size]


def test_a_range_of_nothing_is_none(storage):
    assert storage.read_range(KEY, 0, 1) is None


@pytest.mark.parametrize(("start", "size"), [(0, 4), (1, 3), (2, 2), (3, 1), (10, 10)])
def test_a_range_beyond_the_end_is_an_outage_and_never_short(storage, start, size):
    """An object is written once: a shorter one than its head said is none that could be hashed."""
    storage.put(KEY, b"abc")
    with pytest.raises(Unavailable):
        storage.read_range(KEY, start, size)


def test_ranges_of_joined_parts_are_those_of_the_whole(storage, upload_id):
    put_part(storage, upload_id, 1, FIRST)
    put_part(storage, upload_id, 2, LAST)
    assert joined(storage, upload_id)
    whole, at = FIRST + LAST, len(FIRST) - 3
    assert storage.read_range(KEY, at, 6) == whole[at : at + 6]
    assert hashlib.sha256(b"".join(storage.read(KEY))).digest() == hashlib.sha256(whole).digest()


# ------------------------------------------------------------------ answers of S3 that come in pages
def answering(**operations) -> Any:
    """A bucket whose client answers as these functions do."""
    storage: Any = S3Multipart()
    storage._bucket, storage.client = "bucket", lambda: SimpleNamespace(**operations)
    return storage


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (2, 1), (3, 2), (9, 5)])
def test_all_pages_of_parts_are_listed(count, requests):
    asked: list[Any] = []

    def two_at_a_time(**request):
        asked.append(request)
        start = request.get("PartNumberMarker", 0)
        numbers = range(start + 1, min(start + 2, count) + 1)
        return {
            "UploadId": "id",
            "Parts": [{"PartNumber": number, "Size": number, "ETag": f'"{number}"'} for number in numbers],
            "IsTruncated": numbers.stop <= count,
            "NextPartNumberMarker": numbers.stop - 1,
        }

    parts = answering(list_parts=two_at_a_time).list_parts(KEY, "id")
    assert [part.number for part in parts] == list(range(1, count + 1))
    assert len(asked) == requests


def test_unfinished_uploads_are_listed_to_the_last_page():
    asked = []

    def one_at_a_time(**request):
        asked.append((request.get("KeyMarker"), request.get("UploadIdMarker")))
        number = len(asked)
        return {
            "Uploads": [{"Key": f"k{number}", "UploadId": f"u{number}"}],
            "IsTruncated": number < 3,
            "NextKeyMarker": f"k{number}",
            "NextUploadIdMarker": f"u{number}",
        }

    found = answering(list_multipart_uploads=one_at_a_time).unfinished_uploads("stream/")
    assert list(found) == [("k1", "u1"), ("k2", "u2"), ("k3", "u3")]
    assert asked == [(None, None), ("k1", "u1"), ("k2", "u2")]


def test_an_answer_that_is_none_is_an_outage():
    names = (
        *("list_parts", "create_multipart_upload", "complete_multipart_upload", "list_multipart_uploads"),
    )
    storage = answering(**dict.fromkeys(names, lambda **_: {}))
    for call in (
        lambda: storage.list_parts(KEY, "id"),
        lambda: storage.begin_multipart(KEY),
        lambda: storage.unfinished_uploads("stream/"),
        lambda: storage.complete_multipart(KEY, "id", []),
    ):
        with pytest.raises(Unavailable):
            call()
