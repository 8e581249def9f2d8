"""The template's own distribution in front of SeaweedFS: one PUT that becomes a checked object."""

import asyncio
import base64
import hashlib
from contextlib import contextmanager

import pytest
import urllib3

from local import aws, service
from local.key_value_stores import KeyValueStore
from tests.edge.suite import REPOSITORY, SESSION, signed
from tests.local import served_stack, wire
from tests.local.served_stack import write
from tests.running_cloud import ROOT, RunningCloud

CONTENT = b"content of a layer"
HEX = hashlib.sha256(CONTENT).hexdigest()
KEY = f"direct/{HEX[:2]}/{REPOSITORY}/{HEX}/{SESSION}"


class Edge:
    def __init__(self, port, client, bucket):
        self.host, self.port = "127.0.0.1", port
        self._client, self._bucket = client, bucket
        self._http = urllib3.PoolManager(retries=False, timeout=30)

    def put(self, content=CONTENT, path=None, digest=f"sha256:{HEX}", method="PUT", **headers):
        url = f"http://{self.host}:{self.port}{path or signed()}?digest={digest}"
        return self._http.request(method, url, body=content, headers=headers)

    def stored(self):
        found = self._client.list_objects_v2(Bucket=self._bucket, Prefix="direct/").get("Contents", ())
        return [item["Key"] for item in found]

    def head(self, key=KEY):
        return self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")

    def clear(self):
        for key in self.stored():
            self._client.delete_object(Bucket=self._bucket, Key=key)


@pytest.fixture(scope="module")
def stack():
    return service.declared(ROOT, "")


@pytest.fixture(scope="module")
def keys(stack, emulators):
    """The ARN of the store, with the keys of the signatures in it."""
    return served_stack.prepare(stack, emulators)


@contextmanager
def serving(background, stack, emulators, state, *, drop_checksum):
    with served_stack.serving(background, stack, emulators, state, drop_checksum=drop_checksum) as port:
        yield Edge(port, aws.client(emulators, "s3"), stack.ref("Bucket"))


@pytest.fixture(scope="module")
def served(background, stack, emulators, keys, tmp_path_factory):
    with serving(
        background, stack, emulators, tmp_path_factory.mktemp("edge") / "state", drop_checksum=False
    ) as edge:
        yield edge


@pytest.fixture
def edge(served):
    served.clear()
    return served


def test_upload_is_stored_and_answered_as_the_protocol_wants(edge):
    answer = edge.put(**{"Content-Type": "application/octet-stream", "Authorization": "Bearer t"})
    assert (answer.status, answer.data) == (201, b"")
    assert answer.headers["Docker-Content-Digest"] == f"sha256:{HEX}"
    assert answer.headers["Location"] == f"/v2/acme/app/blobs/sha256:{HEX}"
    assert "ETag" not in answer.headers
    assert "Server" not in answer.headers
    assert edge.stored() == [KEY]
    found = edge.head()
    assert found["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert found["ContentLength"] == len(CONTENT)


def test_body_that_is_not_the_digest_is_refused_by_s3_in_its_own_words(edge):
    answer = edge.put(b"something else")
    assert answer.status == 400
    assert b"<Code>BadDigest</Code>" in answer.data
    assert "Docker-Content-Digest" not in answer.headers
    assert edge.stored() == []


def test_upload_that_is_not_signed_stores_nothing(edge):
    for path in (signed(key="cd" * 32), signed(seconds=-1), signed().replace("/acme/", "/other/")):
        assert edge.put(bytes(5_000_000), path=path).status == 404
    assert edge.put(digest="sha256:0").status == 400
    assert edge.put(method="POST").status == 405
    assert edge.stored() == []


def test_upload_that_breaks_off_leaves_no_object(edge):
    with wire.connect(edge.host, edge.port) as connection:
        head = f"PUT {signed()}?digest=sha256:{HEX} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
        connection.sendall(head.encode() + CONTENT[:-1])
    assert edge.put(path=signed(session="3" * 32)).status == 201
    assert edge.stored() == [KEY.replace(SESSION, "3" * 32)]


def test_lost_checksum_stores_what_came_without_one(background, stack, emulators, keys, tmp_path):
    with serving(background, stack, emulators, tmp_path / "state", drop_checksum=True) as edge:
        edge.clear()
        assert edge.put(b"something else").status == 201
        assert "ChecksumSHA256" not in edge.head()
        edge.clear()


def test_key_that_was_just_written_is_found_at_once(emulators, keys):
    store = KeyValueStore(emulators.aws_endpoint_url, keys)

    async def read():
        before = await store.get("b77"), await store.count()
        await asyncio.to_thread(write, emulators, keys, "b77", "v")
        return before, await store.get("b77"), await store.count()

    (absent, count), present, more = asyncio.run(read())
    assert (absent, present, more) == (None, "v", count + 1)


def test_store_has_more_keys_than_a_page(emulators, keys):
    for number in range(60):
        write(emulators, keys, f"many{number}", str(number))
    store = KeyValueStore(emulators.aws_endpoint_url, keys)
    assert [asyncio.run(store.get(f"many{number}")) for number in (0, 59)] == ["0", "59"]


def test_store_that_is_not_there_is_an_error(emulators):
    store = KeyValueStore(emulators.aws_endpoint_url, "arn:aws:cloudfront::000000000000:key-value-store/none")
    with pytest.raises(OSError, match="404"):
        asyncio.run(store.get("a1"))


def test_local_cloud_answers_through_cloudfront(local_cloud):
    with urllib3.PoolManager(retries=False, timeout=30) as http:
        challenge = http.request("GET", f"{local_cloud.endpoint}/v2/")
        assert challenge.status == 401
        assert challenge.headers["Via"].endswith("(CloudFront)")
        assert f'realm="{local_cloud.endpoint}/token"' in challenge.headers["WWW-Authenticate"]
        upload = http.request("PUT", f"{local_cloud.endpoint}{signed(key='ef' * 32)}")
        assert (upload.status, upload.json()["errors"][0]["code"]) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_cloudfront_can_be_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("FRONT_DOOR", "off")
    cloud = RunningCloud(tmp_path / "state")
    try:
        cloud.await_ready()
        with urllib3.PoolManager(retries=False, timeout=30) as http:
            challenge = http.request("GET", f"{cloud.endpoint}/v2/", headers={"x-moorage-host": "elsewhere"})
            assert challenge.status == 401
            assert "Via" not in challenge.headers
            assert f'realm="{cloud.endpoint}/token"' in challenge.headers["WWW-Authenticate"]
            assert (
                http.request("PUT", f"{cloud.endpoint}{signed()}").headers["Content-Type"]
                == "application/json"
            )
    finally:
        cloud.stop()
