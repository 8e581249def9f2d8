"""What dies in the middle of a streamed upload, be it `ingest`, the client or S3: there is no half blob, the next
try succeeds, and nothing is left that nobody comes for.
"""

import hashlib
import json
import os
import random
import signal
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from local import service
from moorage.adapters import aws
from moorage.adapters.dynamodb import connect_table
from moorage.bootstrap import sweeper
from moorage.bootstrap.stores import StoreSettings
from tests.clients import bucket
from tests.local import wire
from tests.local.registry import Registry
from tests.running_cloud import RunningCloud

# A client that sends a layer as one PATCH.
SKOPEO = {"User-Agent": "skopeo/1.9.3"}
SIZE, SENT = 30_000_000, 20_000_000
# Longer than any upload lives.
LATER = timedelta(hours=20)
WITHIN_SECONDS = 60


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    cloud = RunningCloud(tmp_path_factory.mktemp("kills") / "state", INGEST="on")
    try:
        yield cloud.await_ready()
    finally:
        cloud.stop()


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Layer:
    """Content, on its way into a repository of its own."""

    def __init__(self, cloud, name):
        self.cloud, self.repository = cloud, f"demo/{name}"
        self.content = random.Random(name).randbytes(SIZE)
        self.digest, self.half = digest_of(self.content), digest_of(self.content[:SENT])
        self.registry = Registry(cloud)
        self.location = self.begin()
        self.repository_id, self.session = self.location.split("/")[-3:-1]

    def begin(self):
        """The path of a new upload."""
        opened = self.registry.request("POST", self.repository, "blobs/uploads/", **SKOPEO)
        assert opened.status == 202, opened.data
        assert "/blobs/uploads/_stream/" in opened.headers["Location"]
        return opened.headers["Location"]

    @contextmanager
    def half_sent(self):
        """A connection with a PATCH in its middle, and parts of it in the bucket."""
        assert self.unfinished() == []
        with wire.connect("127.0.0.1", self.cloud.port) as connection:
            head = f"PATCH {self.location} HTTP/1.1\r\nHost: h\r\nContent-Length: {SIZE}\r\n\r\n"
            connection.sendall(head.encode() + self.content[:SENT])
            until(self.unfinished)
            yield connection

    def patch(self, content=None, **headers):
        url = f"{self.registry.url}{self.location}"
        body = self.content if content is None else content
        return self.registry.http.request("PATCH", url, body=body, headers={**SKOPEO, **headers})

    def upload(self):
        """All of it, and the closing request."""
        received = self.patch()
        assert received.status == 202, received.data
        self.close(received.headers["Location"])

    def close(self, location):
        closed = self.registry.http.request(
            "PUT",
            f"{self.registry.url}{location}?digest={self.digest}",
            headers={"Authorization": f"Bearer {self.registry.token(self.repository)}"},
        )
        assert closed.status == 201, closed.data

    def is_there(self):
        """Whether there is a blob of all of it, or of what was sent."""
        asked = [
            self.registry.request("HEAD", self.repository, f"blobs/{digest}").status
            for digest in (self.digest, self.half)
        ]
        return asked != [404, 404]

    def pulled(self):
        redirect = self.registry.request("GET", self.repository, f"blobs/{self.digest}")
        assert redirect.status == 307, redirect.data
        return self.registry.http.request("GET", redirect.headers["Location"]).data

    def stored(self):
        """The keys of what lies there of uploads to the repository."""
        keys = [key for prefix in ("stream/", "chunks/") for key in bucket.keys(self.cloud.state, prefix)]
        return [key for key in keys if self.repository_id in key]

    def unfinished(self):
        return [key for key in bucket.unfinished(self.cloud.state) if self.repository_id in key]


def until(holds):
    deadline = time.monotonic() + WITHIN_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def answered(connection):
    """The status that a client gets; None when the connection breaks."""
    try:
        line = connection.recv(1 << 16)
    except ConnectionError:
        return None
    return int(line.split()[1]) if line else None


@pytest.fixture
def sweep(monkeypatch):
    """Removes what the sweeper removes when all uploads are over."""

    def sweep(cloud):
        settings = json.loads((cloud.state / service.ADMIN_ENVIRONMENT).read_text("utf-8"))
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        # Found once for a process, which has talked to another cloud before.
        aws._session.cache_clear()
        table = connect_table(settings["TABLE_NAME"])
        stores = StoreSettings.read({**settings, "S3_ADDRESSING_STYLE": "path"}).connect()
        assert sweeper.assemble(table, stores, lambda: datetime.now(UTC) + LATER).sweep().failed == 0

    yield sweep
    aws._session.cache_clear()


def test_ingest_killed_in_the_middle(cloud, sweep):
    layer = Layer(cloud, "no-ingest")
    killed = cloud.children["IngestFunction"]
    with layer.half_sent() as connection:
        os.kill(killed, signal.SIGKILL)
        status = answered(connection)
    assert status is None or status >= 500
    assert not layer.is_there()
    until(lambda: cloud.children["IngestFunction"] != killed and layer.patch(b"").status == 202)
    assert layer.unfinished() != []
    layer.upload()
    assert layer.pulled() == layer.content
    sweep(cloud)
    (_,) = layer.stored()
    assert layer.unfinished() == []
    assert layer.pulled() == layer.content


def test_client_killed_in_the_middle(cloud, sweep):
    layer = Layer(cloud, "no-client")
    with layer.half_sent():
        pass
    until(lambda: not layer.unfinished())
    assert layer.stored() == []
    assert not layer.is_there()
    layer.upload()
    sweep(cloud)
    (_,) = layer.stored()
    assert layer.pulled() == layer.content


def test_client_killed_before_its_closing_request(cloud, sweep):
    layer = Layer(cloud, "not-closed")
    assert layer.patch().status == 202
    first = layer.session
    assert layer.patch(layer.content[:1000], **{"Content-Range": "0-999"}).status == 202
    assert {key.partition("/")[0] for key in layer.stored()} == {"stream", "chunks"}
    assert not layer.is_there()
    layer.location = layer.begin()
    layer.upload()
    sweep(cloud)
    (left,) = layer.stored()
    assert first not in left
    assert layer.pulled() == layer.content


def test_s3_stopped_for_a_while(cloud, sweep):
    layer = Layer(cloud, "slow-s3")
    with layer.half_sent() as connection:
        os.kill(cloud.children["seaweedfs"], signal.SIGSTOP)
        try:
            connection.sendall(layer.content[SENT:])
            time.sleep(2)
        finally:
            os.kill(cloud.children["seaweedfs"], signal.SIGCONT)
        received = wire.answer(connection)
    assert received.status == 202
    layer.close(received.headers["location"])
    sweep(cloud)
    (_,) = layer.stored()
    assert layer.unfinished() == []
    assert layer.pulled() == layer.content


def test_s3_killed_in_the_middle(tmp_path, sweep):
    first = RunningCloud(tmp_path / "state", INGEST="on")
    try:
        layer = Layer(first.await_ready(), "no-s3")
        with layer.half_sent() as connection:
            os.kill(first.children["seaweedfs"], signal.SIGKILL)
            status = answered(connection)
        assert status is None or status >= 500
        # It does without S3 as little as a Region does, and says so.
        assert first.process.wait(WITHIN_SECONDS) == 1
        assert "seaweedfs ended with status -9" in first.log.read_text("utf-8")
    finally:
        first.stop()
    second = RunningCloud(tmp_path / "state", first.port, INGEST="on")
    try:
        second.await_ready()
        assert not layer.is_there()
        layer.location = layer.begin()
        layer.upload()
        sweep(second)
        (_,) = layer.stored()
        assert layer.unfinished() == []
        assert layer.pulled() == layer.content
    finally:
        second.stop()
