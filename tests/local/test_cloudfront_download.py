"""The template's own distribution in front of SeaweedFS, with edge pulls: a signed GET that becomes an object."""

import hashlib
import json
import os

import pytest
import urllib3

import local.__main__
from local import aws, service
from tests.edge.suite import REPOSITORY, object_of, signed, signed_download
from tests.local import served_stack
from tests.local.registry import Registry
from tests.running_cloud import ROOT, RunningCloud

CONTENT = bytes(range(256)) * 5000
HEX, LONG_HEX = hashlib.sha256(CONTENT).hexdigest(), hashlib.sha512(CONTENT).hexdigest()
STORED = object_of(shard=HEX[:2], encoded=HEX)
HIT, MISS = "Hit from cloudfront", "Miss from cloudfront"


class Edge:
    def __init__(self, port, state, client, bucket):
        self.cache = state / "edge-cache"
        self._url = f"http://127.0.0.1:{port}"
        self._client, self._bucket = client, bucket
        self._http = urllib3.PoolManager(retries=False, timeout=30)

    def get(self, path=None, method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._http.request(method, self._url + (path or signed_download(STORED)), headers=named)

    def store(self, key, content=CONTENT, **more):
        self._client.put_object(Bucket=self._bucket, Key=key, Body=content, **more)

    def remove(self, key):
        self._client.delete_object(Bucket=self._bucket, Key=key)


@pytest.fixture(scope="module")
def stack():
    return service.declared(ROOT, "", pulls="edge")


@pytest.fixture
def edge(background, stack, emulators, tmp_path):
    """Each test with a cache of its own."""
    served_stack.prepare(stack, emulators)
    with served_stack.serving(background, stack, emulators, tmp_path / "state") as port:
        edge = Edge(port, tmp_path / "state", aws.client(emulators, "s3"), stack.ref("Bucket"))
        edge.store(STORED, ContentType="text/html", CacheControl="max-age=1000")
        yield edge
    assert list(edge.cache.iterdir()) == []


def test_blob_is_answered_as_the_protocol_wants_and_then_out_of_the_cache(edge):
    for where in (MISS, HIT, HIT):
        answer = edge.get(Authorization="Bearer t")
        assert (answer.status, answer.data) == (200, CONTENT)
        assert answer.headers["Docker-Content-Digest"] == f"sha256:{HEX}"
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["X-Cache"] == where
        assert "Server" not in answer.headers
        assert not [
            name for name in answer.headers if name.lower().startswith("x-amz-") and "-cf-" not in name
        ]


def test_other_signatures_of_the_same_object_find_it_in_the_cache(edge):
    edge.get()
    for path in (
        signed_download(STORED, seconds=50),
        signed_download(STORED, name="other/copy"),
        signed_download(STORED, kid="b20"),
        signed_download(STORED) + "?digest=x",
    ):
        answer = edge.get(path)
        assert (answer.headers["X-Cache"], answer.data) == (HIT, CONTENT)


def test_what_is_cached_is_served_to_nobody_without_a_signature(edge):
    edge.get()
    for path in (
        signed_download(STORED, seconds=-1),
        signed_download(STORED, key="cd" * 32),
        signed_download(STORED).replace("/acme/", "/other/"),
        signed_download(STORED, method="PUT"),
        signed_download(STORED).replace("/direct/", "%2Fdirect/"),
        signed(),
    ):
        answer = edge.get(path)
        assert answer.status in (403, 404, 405)
        assert answer.headers["X-Cache"] == "FunctionGeneratedResponse from cloudfront"
        assert CONTENT[:100] not in answer.data
    # Nor under its own path, which is that of the cache: it leads to the API, of which there is none here.
    for headers in ({}, {"x_moorage_signed": "download"}):
        answer = edge.get(f"/{STORED}", **headers)
        assert (answer.status, answer.headers["X-Cache"]) == (502, "Error from cloudfront")


def test_longer_digest_is_told_and_another_object_is_another_answer(edge):
    longer = object_of("api", LONG_HEX[:2], encoded=LONG_HEX)
    other = object_of("presigned", HEX[:2], "4" * 32, HEX)
    edge.store(longer)
    edge.store(other, b"elsewhere")
    edge.get()
    assert edge.get(signed_download(longer)).headers["Docker-Content-Digest"] == f"sha512:{LONG_HEX}"
    answer = edge.get(signed_download(other))
    assert (answer.data, answer.headers["X-Cache"]) == (b"elsewhere", MISS)


def test_range_passes_to_the_bucket_and_is_cut_out_of_the_cache(edge):
    for where in (MISS, HIT):
        answer = edge.get(Range="bytes=1000-1999")
        assert (answer.status, answer.data) == (206, CONTENT[1000:2000])
        assert answer.headers["Content-Range"] == f"bytes 1000-1999/{len(CONTENT)}"
        assert answer.headers["Docker-Content-Digest"] == f"sha256:{HEX}"
        assert answer.headers["X-Cache"] == where
        edge.get()
    assert edge.get(Range=f"bytes={len(CONTENT)}-").status == 416


def test_head_needs_no_signature_of_its_own(edge):
    for where in (MISS, HIT):
        answer = edge.get(method="HEAD")
        assert (answer.status, answer.data) == (200, b"")
        assert int(answer.headers["Content-Length"]) == len(CONTENT)
        assert answer.headers["Docker-Content-Digest"] == f"sha256:{HEX}"
        assert answer.headers["X-Cache"] == where
        edge.get()


def test_blob_that_the_client_has_is_not_sent_again(edge):
    etag = edge.get().headers["ETag"]
    answer = edge.get(If_None_Match=etag)
    assert (answer.status, answer.data) == (304, b"")
    assert answer.headers["Docker-Content-Digest"] == f"sha256:{HEX}"


def test_nothing_is_written(edge):
    for method in ("PUT", "POST", "PATCH", "DELETE"):
        for path in (signed_download(STORED), signed_download(STORED, method=method)):
            assert edge.get(path, method).status == 403
    assert edge.get().data == CONTENT


def test_object_that_is_not_there_is_asked_for_each_time(edge):
    absent = object_of("api", HEX[:2], REPOSITORY, HEX, "9" * 32)
    for _ in range(2):
        answer = edge.get(signed_download(absent))
        assert (answer.status, answer.headers["X-Cache"]) == (404, "Error from cloudfront")
        assert "Docker-Content-Digest" not in answer.headers
    edge.store(absent)
    assert edge.get(signed_download(absent)).data == CONTENT


def test_removed_object_is_served_until_its_signature_ends_and_only_with_one(edge):
    edge.get()
    edge.remove(STORED)
    assert edge.get(signed_download(STORED, seconds=2)).data == CONTENT
    assert edge.get(signed_download(STORED, seconds=-1)).status == 403


def test_upload_path_goes_on_to_store(edge):
    answer = edge._http.request(
        "PUT", f"{edge._url}{signed(session='7' * 32)}?digest=sha256:{HEX}", body=CONTENT
    )
    assert answer.status == 201
    assert edge.get(signed_download(object_of(shard=HEX[:2], encoded=HEX, session="7" * 32))).data == CONTENT


def test_local_cloud_pulls_through_the_edge(tmp_path, monkeypatch):
    monkeypatch.setenv("PULLS", "edge")
    cloud = RunningCloud(tmp_path / "state")
    try:
        registry = Registry(cloud.await_ready())
        manifest = json.loads(registry.push("demo/app", "v1", CONTENT))
        digest = manifest["layers"][0]["digest"]
        for where in (MISS, HIT):
            location = registry.request("GET", "demo/app", f"blobs/{digest}").headers["Location"]
            assert location.startswith("/v2/demo/app/blobs/_edge/a1/")
            # Clients send their token along to the same host.
            answer = registry.http.request(
                "GET",
                registry.url + location,
                headers={"Authorization": f"Bearer {registry.token('demo/app')}"},
            )
            assert (answer.status, answer.data) == (200, CONTENT)
            assert (answer.headers["X-Cache"], answer.headers["Docker-Content-Digest"]) == (where, digest)
    finally:
        assert cloud.stop() == 0


def test_edge_pulls_need_the_front_door(monkeypatch, capsys):
    monkeypatch.setattr("os.environ", {**os.environ, "PULLS": "edge", "FRONT_DOOR": "off"})
    assert local.__main__.main() == 1
    assert "PULLS=edge needs FRONT_DOOR=on" in capsys.readouterr().err
