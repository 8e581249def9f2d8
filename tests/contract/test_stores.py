"""Several stores beside each other, and what is copied from one to the other without its bytes passing here."""

from __future__ import annotations

import hashlib
import random
from urllib.parse import urlsplit

import pytest
import urllib3

from moorage.adapters import s3
from moorage.adapters.memory import MemoryStores
from moorage.adapters.s3 import Bucket
from moorage.adapters.stores import connect_stores
from moorage.domain.errors import Unavailable, WriteConflict
from moorage.ports import ObjectHead, ObjectPlace
from tests.contract.counting import counted
from tests.contract.test_access import LAMBDA
from tests.contract.test_access import environment as environment  # noqa: PLC0414 - a fixture
from tests.contract.test_storage import ODD_KEYS, content_of, sha256

MEBIBYTE = 1024 * 1024
# S3 takes no smaller part but the last.
LARGE = random.Random(4).randbytes(12 * MEBIBYTE + 7)
HERE, THERE = ObjectPlace("default", "api/ab/1/hex/session"), ObjectPlace("second", "copy/ab/2/hex/job")


def stored(stores, place):
    return content_of(stores[place.store], place.key)


# ------------------------------------------------------------------ each is a store of its own
def test_all_stores_are_named(stores):
    assert set(stores.names()) == {"default", "second"}


def test_what_one_store_holds_no_other_holds(stores):
    stores["default"].put("api/a", b"here")
    assert stores["second"].head("api/a") is None
    stores["second"].put("api/a", b"there")
    assert content_of(stores["default"], "api/a") == b"here"
    stores["second"].delete(["api/a"])
    assert stores["default"].list_keys("", 10) == ["api/a"]


@pytest.mark.parametrize("name", ["third", "", "Default", "default "])
def test_a_store_that_the_deployment_has_not_is_unavailable(stores, name):
    stores["default"].put(HERE.key, b"x")
    with pytest.raises(Unavailable):
        stores[name]
    for source, target in ((HERE, ObjectPlace(name, "a")), (ObjectPlace(name, "a"), THERE)):
        with pytest.raises(Unavailable):
            stores.copy_object(source, target)
        with pytest.raises(Unavailable):
            stores.copy_part(source, target, "upload", 1, 0, 1)
    assert stored(stores, THERE) is None


def test_permissions_are_of_the_store_that_gave_them(s3_stores):
    for name, content in (("default", b"here"), ("second", b"there")):
        given = s3_stores[name].presign_put("api/a", len(content), sha256(content))
        answer = urllib3.request("PUT", given.url, body=content, headers=dict(given.headers), retries=False)
        assert answer.status == 200, answer.data
    for name, content in (("default", b"here"), ("second", b"there")):
        assert urllib3.request("GET", s3_stores[name].presign_get("api/a"), retries=False).data == content


# ------------------------------------------------------------------ one copy
@pytest.mark.parametrize("content", [b"", b"a", LARGE], ids=len)
@pytest.mark.parametrize("target", [THERE, ObjectPlace("default", "copy/a")], ids=["another", "the same"])
def test_an_object_is_copied_as_it_is(stores, content, target):
    stores["default"].put(HERE.key, content)
    assert stores.copy_object(HERE, target) is True
    assert stored(stores, target) == stored(stores, HERE) == content
    assert stores[target.store].head(target.key) == ObjectHead(len(content), sha256(content))


@pytest.mark.parametrize("key", ODD_KEYS)
def test_every_key_is_copied_to_every_key(stores, key):
    stores["default"].put(key, b"odd")
    assert stores.copy_object(ObjectPlace("default", key), ObjectPlace("second", key)) is True
    assert stored(stores, ObjectPlace("second", key)) == b"odd"


def test_a_copy_replaces_what_is_there(stores):
    stores["second"].put(THERE.key, b"before")
    stores["default"].put(HERE.key, b"after")
    assert stores.copy_object(HERE, THERE) is True
    assert stored(stores, THERE) == b"after"


def test_what_is_not_there_is_not_copied_and_nothing_is_replaced(stores):
    stores["second"].put(THERE.key, b"before")
    stores["second"].put(HERE.key, b"the same key in another store")
    assert stores.copy_object(HERE, THERE) is False
    assert stored(stores, THERE) == b"before"


def test_of_an_object_without_a_checksum_the_copy_has_none_or_the_right_one(stores):
    upload_id = begin(stores, HERE)
    parts = [copied_part(stores, upload_id, 1, LARGE[:MEBIBYTE], HERE)]
    assert stores["default"].complete_multipart(HERE.key, upload_id, parts)
    assert stores["default"].head(HERE.key) == ObjectHead(MEBIBYTE, None)
    assert stores.copy_object(HERE, THERE) is True
    head = stores["second"].head(THERE.key)
    assert head.size == MEBIBYTE
    assert head.sha256 in (None, sha256(LARGE[:MEBIBYTE]))


def test_an_encoding_is_copied_and_so_is_seen(memory_stores):
    memory_stores["default"].put_encoded(HERE.key, b"x", "gzip")
    assert memory_stores.copy_object(HERE, THERE) is True
    assert memory_stores["second"].head(THERE.key).encoding == "gzip"


def test_an_encoding_on_the_store_is_copied_and_so_is_seen(s3_stores):
    client = s3_stores["default"].client()
    client.put_object(Bucket=s3_stores["default"]._bucket, Key=HERE.key, Body=b"x", ContentEncoding="gzip")
    assert s3_stores.copy_object(HERE, THERE) is True
    assert s3_stores["second"].head(THERE.key).encoding == "gzip"


# ------------------------------------------------------------------ in parts
def begin(stores, place):
    return stores[place.store].begin_multipart(place.key)


def copied_part(stores, upload_id, number, content, target=THERE):
    """A part that is all of an object of that content."""
    source = ObjectPlace("default", f"source/{hashlib.sha256(content).hexdigest()}")
    stores["default"].put(source.key, content)
    part = stores.copy_part(source, target, upload_id, number, 0, len(content))
    stores["default"].delete([source.key])
    return part


def test_parts_of_an_object_become_the_whole_again(stores):
    stores["default"].put(HERE.key, LARGE)
    upload_id, size = begin(stores, THERE), 5 * MEBIBYTE
    parts = [
        stores.copy_part(HERE, THERE, upload_id, number, start, min(size, len(LARGE) - start))
        for number, start in enumerate(range(0, len(LARGE), size), start=1)
    ]
    assert [(part.number, part.size) for part in parts] == [(1, size), (2, size), (3, len(LARGE) - 2 * size)]
    assert stores["second"].list_parts(THERE.key, upload_id) == parts
    assert stored(stores, THERE) is None
    assert stores["second"].complete_multipart(THERE.key, upload_id, parts) is True
    assert stored(stores, THERE) == LARGE
    assert stores["second"].head(THERE.key) == ObjectHead(len(LARGE), None)


def test_a_part_begins_and_ends_where_it_was_told_to(stores):
    stores["default"].put(HERE.key, b"0123456789")
    upload_id = begin(stores, THERE)
    part = stores.copy_part(HERE, THERE, upload_id, 1, 3, 4)
    assert stores["second"].complete_multipart(THERE.key, upload_id, [part]) is True
    assert stored(stores, THERE) == b"3456"


def test_a_part_of_what_is_not_there_is_none(stores):
    upload_id = begin(stores, THERE)
    assert stores.copy_part(HERE, THERE, upload_id, 1, 0, 1) is None
    assert stores["second"].list_parts(THERE.key, upload_id) == []


def test_a_part_of_an_upload_that_is_over_is_a_conflict(stores):
    stores["default"].put(HERE.key, b"0123456789")
    upload_id = begin(stores, THERE)
    with pytest.raises(WriteConflict):
        stores.copy_part(HERE, THERE, "no-such-upload", 1, 0, 1)
    stores["second"].abort_multipart(THERE.key, upload_id)
    with pytest.raises(WriteConflict):
        stores.copy_part(HERE, THERE, upload_id, 1, 0, 1)


def test_a_part_beyond_the_end_of_the_object_is_unavailable(stores):
    stores["default"].put(HERE.key, b"0123456789")
    upload_id = begin(stores, THERE)
    with pytest.raises(Unavailable):
        stores.copy_part(HERE, THERE, upload_id, 1, 0, 11)
    assert stores["second"].list_parts(THERE.key, upload_id) == []


# ------------------------------------------------------------------ on S3
def test_a_copy_is_one_request_and_moves_no_byte(s3_stores):
    s3_stores["default"].put(HERE.key, LARGE)
    copier = s3_stores._copiers["eu-west-3"]()
    clients = [s3_stores[name].client() for name in s3_stores.names()]
    upload_id = begin(s3_stores, THERE)
    with counted(copier) as sent, counted(clients[0]) as others, counted(clients[1]) as more:
        s3_stores.copy_object(HERE, THERE)
        s3_stores.copy_part(HERE, THERE, upload_id, 1, 0, 5 * MEBIBYTE)
    assert sent == ["CopyObject", "UploadPartCopy"]
    assert others == more == []


def test_stores_of_one_region_share_a_client_and_those_of_others_have_their_own(environment):
    environment(LAMBDA)
    buckets = {"default": Bucket("a"), "near": Bucket("b"), "far": Bucket("c", "ap-southeast-4")}
    stores = connect_stores(buckets)
    assert stores["default"].client() is stores["near"].client()
    assert stores["far"].client() is not stores["default"].client()
    assert stores["far"].client().meta.region_name == "ap-southeast-4"


@pytest.mark.parametrize("style", ["auto", "path"])
def test_a_url_leads_to_the_region_of_its_bucket(environment, style):
    environment(LAMBDA)
    stores = connect_stores({"default": Bucket("a-bucket"), "far": Bucket("b-bucket", "us-east-1")}, style)
    for name, region in (("default", "eu-central-1"), ("far", "us-east-1")):
        url = stores[name].presign_get("api/a")
        parameters = {"Bucket": stores[name]._bucket, "Key": "api/a"}
        theirs = stores[name].client().generate_presigned_url("get_object", Params=parameters)
        assert urlsplit(url)[:3] == urlsplit(theirs)[:3]
        assert f"s3.{region}.amazonaws.com" in urlsplit(url).netloc
        assert f"%2F{region}%2Fs3%2F" in url


def test_no_client_is_made_before_a_store_is_used(environment, monkeypatch):
    environment(LAMBDA)
    made = []
    monkeypatch.setattr(s3, "create_client", lambda *_: made.append("a client"))
    stores = connect_stores({"default": Bucket("a-bucket"), "far": Bucket("b-bucket", "us-east-1")})
    assert set(stores.names()) == {"default", "far"}
    assert stores["default"].presign_get("api/a")
    assert stores["far"].presign_get("api/a")
    assert made == []


def test_memory_has_the_store_that_there_always_is():
    assert list(MemoryStores().names()) == ["default"]
