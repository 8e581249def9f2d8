import hashlib
import os
import random
import tracemalloc
from functools import partial
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from moorage.adapters import aws
from moorage.adapters.s3 import connect_storage
from moorage.domain.errors import BlobUploadUnknown, DigestMismatch, Unavailable
from moorage.ports import ObjectHead
from tests.contract.counting import counted
from tests.contract.threads import together

KEY = "api/ab/11d3/abcdef/4f2a"
MEBIBYTE = 1024 * 1024


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def pieces(content: bytes, size: int):
    return (content[start : start + size] for start in range(0, len(content), size))


def content_of(storage, key=KEY):
    found = storage.read(key)
    return None if found is None else b"".join(found)


CONTENTS = [
    b"",
    b"a",
    b"\x00\xff" * 700,
    random.Random(1).randbytes(MEBIBYTE),
    random.Random(2).randbytes(2 * MEBIBYTE + 3),
]


@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_object_is_read_as_it_was_put(storage, content):
    assert storage.read(KEY) is None
    assert storage.head(KEY) is None
    storage.put(KEY, content)
    assert content_of(storage) == content
    assert storage.head(KEY) == ObjectHead(len(content), sha256(content))
    assert all(0 < len(piece) <= MEBIBYTE for piece in storage.read(KEY))


def test_object_put_again_is_replaced(storage):
    storage.put(KEY, b"one")
    storage.put(KEY, b"another")
    assert content_of(storage) == b"another"
    assert storage.head(KEY) == ObjectHead(7, sha256(b"another"))


@pytest.mark.parametrize("content", CONTENTS, ids=len)
@pytest.mark.parametrize("size", [65_536, 3 * MEBIBYTE])
def test_object_put_once_is_read_as_it_was_put(storage, content, size):
    assert storage.put_once(KEY, pieces(content, size), len(content), sha256(content)) is True
    assert content_of(storage) == content
    assert storage.head(KEY) == ObjectHead(len(content), sha256(content))


def test_empty_pieces_do_not_matter(storage):
    assert storage.put_once(KEY, [b"", b"ab", b"", b"", b"c", b""], 3, sha256(b"abc"))
    assert content_of(storage) == b"abc"


@pytest.mark.parametrize("content", [b"another", b"", b"first", b"x" * 6 * MEBIBYTE], ids=len)
def test_key_that_is_taken_is_left_as_it_is(storage, content):
    storage.put(KEY, b"first")
    assert storage.put_once(KEY, pieces(content, MEBIBYTE), len(content), sha256(content)) is False
    assert content_of(storage) == b"first"


def test_key_put_once_by_many_at_once_is_put_by_one(storage):
    contents = [f"content {number}".encode() for number in range(6)]
    results = together(
        *[partial(storage.put_once, KEY, [content], len(content), sha256(content)) for content in contents]
    )
    assert results.count(True) == 1
    assert content_of(storage) == contents[results.index(True)]


@pytest.mark.parametrize("received", [b"abd", b"ABC"])
def test_content_of_another_digest_is_not_stored(storage, received):
    with pytest.raises(DigestMismatch):
        storage.put_once(KEY, pieces(received, 1), 3, sha256(b"abc"))
    assert storage.head(KEY) is None


def test_empty_content_of_another_digest_is_not_stored(storage):
    with pytest.raises(DigestMismatch):
        storage.put_once(KEY, [], 0, sha256(b"abc"))
    assert storage.head(KEY) is None


@pytest.mark.parametrize("size", [0, 1, 5, 7, 4 * MEBIBYTE])
def test_content_of_another_length_is_not_stored(storage, size):
    with pytest.raises(Unavailable):
        storage.put_once(KEY, pieces(b"abcdef", 2), size, sha256(b"abcdef"))
    assert storage.head(KEY) is None
    assert storage.put_once(KEY, pieces(b"abcdef", 2), 6, sha256(b"abcdef"))


def test_content_that_breaks_off_is_not_stored_and_says_why(storage):
    def broken():
        yield b"abc"
        yield b"def"
        raise BlobUploadUnknown("a chunk is gone")

    with pytest.raises(BlobUploadUnknown, match="a chunk is gone"):
        storage.put_once(KEY, broken(), 9, sha256(b"abcdefghi"))
    assert storage.head(KEY) is None
    assert storage.put_once(KEY, [b"abc"], 3, sha256(b"abc"))


def test_store_checks_the_content_for_itself(s3_storage):
    """Past the adapter's own check, as if bytes had changed on the way."""
    with pytest.raises(DigestMismatch):
        s3_storage._send(KEY, iter([b"abd"]), 3, sha256(b"abc"))
    assert s3_storage.head(KEY) is None


def test_large_content_is_not_held_in_memory(s3_storage):
    piece, count = random.Random(3).randbytes(MEBIBYTE), 24
    digest = hashlib.sha256(piece * count).hexdigest()
    tracemalloc.start()
    try:
        assert s3_storage.put_once(
            KEY, (bytes(bytearray(piece)) for _ in range(count)), count * MEBIBYTE, digest
        )
        assert sum(map(len, s3_storage.read(KEY))) == count * MEBIBYTE
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MEBIBYTE


def test_checksum_of_parts_is_not_taken_for_that_of_the_content(s3_storage):
    client = s3_storage.client()
    bucket = s3_storage._bucket
    upload = client.create_multipart_upload(Bucket=bucket, Key=KEY, ChecksumAlgorithm="SHA256")
    parts = []
    for number, content in enumerate([b"x" * 5 * MEBIBYTE, b"y"], start=1):
        part = client.upload_part(
            Bucket=bucket,
            Key=KEY,
            UploadId=upload["UploadId"],
            PartNumber=number,
            Body=content,
            ChecksumAlgorithm="SHA256",
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]})
    client.complete_multipart_upload(
        Bucket=bucket, Key=KEY, UploadId=upload["UploadId"], MultipartUpload={"Parts": parts}
    )
    assert client.head_object(Bucket=bucket, Key=KEY, ChecksumMode="ENABLED")["ChecksumSHA256"].endswith("-2")
    assert s3_storage.head(KEY) == ObjectHead(5 * MEBIBYTE + 1, None)


def test_object_without_a_checksum_has_none(s3_storage):
    s3_storage.client().put_object(Bucket=s3_storage._bucket, Key=KEY, Body=b"abc")
    assert s3_storage.head(KEY) == ObjectHead(3, None)


def test_object_without_a_checksum_in_memory_has_none(memory_storage):
    memory_storage.put_without_checksum(KEY, b"abc")
    assert memory_storage.head(KEY) == ObjectHead(3, None)
    memory_storage.put(KEY, b"abc")
    assert memory_storage.head(KEY) == ObjectHead(3, sha256(b"abc"))


def test_keys_are_listed_by_prefix_in_order(storage):
    names = ["api/b/2", "api/a/1", "api/b/10", "api/b", "other", "api/ü"]
    for name in names:
        storage.put(name, b"x")
    assert storage.list_keys("api/b", 10) == ["api/b", "api/b/10", "api/b/2"]
    assert storage.list_keys("api/", 2) == ["api/a/1", "api/b"]
    assert storage.list_keys("", 100) == sorted(names)
    assert storage.list_keys("absent/", 10) == []
    assert storage.list_keys("", 0) == []


def test_deleted_objects_are_gone_and_absent_ones_do_not_matter(storage):
    for name in "abc":
        storage.put(f"chunks/{name}", b"x")
    storage.delete([])
    storage.delete(["chunks/a", "chunks/c", "chunks/absent", "chunks/a"])
    assert storage.list_keys("", 10) == ["chunks/b"]


def test_more_objects_than_one_batch_holds_are_all_listed_and_deleted(s3_storage, monkeypatch):
    monkeypatch.setattr("moorage.adapters.s3._BATCH", 3)
    names = [f"chunks/{number}" for number in range(8)]
    for name in names:
        s3_storage.put(name, b"x")
    assert s3_storage.list_keys("", 100) == names
    assert s3_storage.list_keys("", 7) == names[:7]
    with counted(s3_storage.client()) as sent:
        s3_storage.delete(names)
    assert sent == ["DeleteObjects"] * 3
    assert s3_storage.list_keys("", 10) == []


ODD_KEYS = [KEY, "api/a b/+&=%2f?#", "api/grüße/\N{ANCHOR}"]


@pytest.mark.parametrize("key", ODD_KEYS, ids=ascii)
def test_keys_of_any_characters_work_everywhere(storage, key):
    assert storage.put_once(key, [b"abc"], 3, sha256(b"abc"))
    assert content_of(storage, key) == b"abc"
    assert storage.list_keys("api/", 5) == [key]
    storage.delete([key])
    assert storage.head(key) is None


def test_url_names_the_object_and_ends_within_a_quarter_of_an_hour(storage):
    storage.put(KEY, b"abc")
    url = urlsplit(storage.presign_get(KEY))
    query = parse_qs(url.query)
    assert url.path.endswith(KEY)
    assert 60 <= int(query["X-Amz-Expires"][0]) <= 900
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert len(query["X-Amz-Signature"][0]) == 64


@pytest.mark.parametrize("key", ODD_KEYS, ids=ascii)
def test_url_serves_the_object_and_its_ranges_to_get_only(s3_storage, key):
    s3_storage.put(key, b"abcdef")
    url = s3_storage.presign_get(key)
    whole = urllib3.request("GET", url, retries=False)
    assert (whole.status, whole.data) == (200, b"abcdef")
    part = urllib3.request("GET", url, headers={"Range": "bytes=1-2"}, retries=False)
    assert (part.status, part.data) == (206, b"bc")
    for method in ("PUT", "DELETE"):
        assert urllib3.request(method, url, body=b"x", retries=False).status == 403
    assert content_of(s3_storage, key) == b"abcdef"


def test_url_serves_no_other_object(s3_storage):
    s3_storage.put(KEY, b"abc")
    s3_storage.put("api/other", b"secret")
    url = s3_storage.presign_get(KEY).replace(KEY, "api/other")
    assert urllib3.request("GET", url, retries=False).status == 403


@pytest.fixture
def aws_itself(monkeypatch):
    """An environment as in Lambda: no endpoint is named."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    aws._session.cache_clear()
    yield lambda region: monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    aws._session.cache_clear()


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_url_on_aws_is_on_the_host_of_the_region(aws_itself, region):
    aws_itself(region)
    hosts = {
        style: urlsplit(connect_storage("a-bucket", style).presign_get(KEY)).netloc
        for style in ("auto", "virtual", "path")
    }
    assert hosts == {
        "auto": f"a-bucket.s3.{region}.amazonaws.com",
        "virtual": f"a-bucket.s3.{region}.amazonaws.com",
        "path": f"s3.{region}.amazonaws.com",
    }
