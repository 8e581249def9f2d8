"""The local cloud with `ingest`: layers of any length through CloudFront, block by block."""

import hashlib
import json
import os
import secrets
import signal
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
import urllib3

from moorage.domain.upload_paths import UploadKey, mac
from tests.local import wire
from tests.running_cloud import RunningCloud

MIB = 1024 * 1024
BLOCK = os.urandom(MIB)
NODE_MEMORY = 200 * MIB


@dataclass
class Stage:
    cloud: RunningCloud
    kid: str
    key: str
    environment: dict[str, str]

    host = "127.0.0.1"

    @property
    def port(self):
        return self.cloud.port

    def path(self, session=None, **changed):
        """A permission as the registry writes it."""
        parts = {"kid": self.kid, "expires": int(time.time()) + 600, "repository": "1" * 32} | changed
        session = session or secrets.token_hex(16)
        path = f"/v2/demo/app/blobs/uploads/_stream/{parts['kid']}/{parts['expires']}/{parts['repository']}/{session}"
        key = UploadKey(self.kid, self.key)
        return f"{path}/{mac('PATCH', path, key)}"

    def client(self, service):
        given = self.environment
        return boto3.client(
            service,
            endpoint_url=given.get(f"AWS_ENDPOINT_URL_{service.upper()}", given["AWS_ENDPOINT_URL"]),
            region_name=given["AWS_REGION"],
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        )

    def stored(self, session):
        s3, bucket = self.client("s3"), self.environment["BUCKET_NAME"]
        found = s3.list_objects_v2(Bucket=bucket, Prefix=f"stream/{session[:2]}/{'1' * 32}/{session}/")
        return [
            s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in found.get("Contents", ())
        ]

    @contextmanager
    def patch(self, path, *headers):
        """A connection that has sent the head of a chunked PATCH."""
        with wire.connect(self.host, self.port) as connection:
            lines = [
                f"PATCH {path} HTTP/1.1",
                "Host: registry.example",
                "Transfer-Encoding: chunked",
                *headers,
            ]
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            yield connection

    def send(self, path, blocks, block=BLOCK):
        """The answer to a chunked PATCH of so many blocks."""
        with self.patch(path) as connection:
            for _ in range(blocks):
                connection.sendall(chunk(block))
            connection.sendall(b"0\r\n\r\n")
            return wire.answer(connection)


def chunk(content):
    return b"%x\r\n%b\r\n" % (len(content), content)


def found_environment(cloud):
    return json.loads((cloud.state / "admin-environment.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    cloud = RunningCloud(tmp_path_factory.mktemp("ingest") / "state", INGEST="on")
    try:
        cloud.await_ready()
        stage = Stage(cloud, "", "", found_environment(cloud))
        parameter = stage.client("ssm").get_parameter(
            Name="/moorage/moorage-local/upload-key/a", WithDecryption=True
        )["Parameter"]
        stage.kid, stage.key = f"a{parameter['Version']}", json.loads(parameter["Value"])["key"]
        yield stage
    finally:
        children = cloud.children
        assert cloud.stop() == 0
        assert not [pid for pid in children.values() if Path(f"/proc/{pid}").exists()]


def test_streamed_body_is_stored_and_its_receipt_given(stage):
    session = secrets.token_hex(16)
    content = BLOCK * 20
    answer = stage.send(stage.path(session), 20)
    assert (answer.status, answer.headers["range"]) == (202, f"0-{len(content) - 1}")
    location = answer.headers["location"]
    assert location.startswith("/v2/demo/app/blobs/uploads/_received/")
    assert f"/{len(content)}/{hashlib.sha256(content).hexdigest()}/" in location
    assert stage.stored(session) == [content]


def test_body_of_known_length_and_one_that_asks_first(stage):
    with urllib3.PoolManager(retries=False, timeout=30) as http:
        for headers in ({}, {"Expect": "100-continue"}):
            session = secrets.token_hex(16)
            url = f"http://{stage.host}:{stage.port}{stage.path(session)}"
            answer = http.request("PATCH", url, body=BLOCK, headers=headers)
            assert (answer.status, stage.stored(session)) == (202, [BLOCK])


def test_whole_put_is_closed_at_the_registry_in_the_clients_name(stage):
    """Of a session that it does not know: what is asked is who may, and under which host."""
    digest = f"sha256:{hashlib.sha256(BLOCK).hexdigest()}"
    with urllib3.PoolManager(retries=False, timeout=30) as http:
        for method, more in (("PUT", f"?digest={digest}"), ("DELETE", ""), ("GET", "")):
            url = f"http://{stage.host}:{stage.port}{stage.path()}{more}"
            body = BLOCK if method == "PUT" else None
            answer = http.request(method, url, body=body, headers={"Host": "registry.example:5000"})
            assert answer.status == 401, method
            assert 'realm="http://registry.example:5000/token"' in answer.headers["WWW-Authenticate"]


def test_nobody_reaches_it_past_cloudfront(stage):
    lines = (stage.cloud.state / "logs" / "IngestFunction.log").read_text("utf-8").splitlines()
    port = json.loads(lines[0])["port"]
    with urllib3.PoolManager(retries=False, timeout=30) as http:
        for shown in ({}, {"x-moorage-front-door": "guess"}):
            answer = http.request("PATCH", f"http://127.0.0.1:{port}{stage.path()}", body=b"x", headers=shown)
            assert (answer.status, answer.json()["errors"][0]["code"]) == (403, "DENIED")
    # What a client says of itself does not pass the front door.
    for header in ("x-moorage-front-door: guess", "X-Moorage-Host: elsewhere"):
        with stage.patch(stage.path(), header) as connection:
            connection.sendall(b"0\r\n\r\n")
            assert wire.answer(connection).status == 202


def test_path_that_was_not_signed_is_refused_after_the_body(stage):
    forged = stage.path()[:-64] + "ab" * 32
    answer = stage.send(forged, 8)
    assert (answer.status, json.loads(answer.body)["errors"][0]["code"]) == (404, "BLOB_UPLOAD_UNKNOWN")
    # Longer than anybody listens to who may not upload: an answer, or the end of the connection.
    with suppress(OSError, IndexError):
        assert stage.send(forged, 300).status in {404, 502}
    assert stage.send(stage.path(), 1).status == 202


@pytest.mark.parametrize(("size", "status"), [(19_500, 202), (20_480, 413)])
def test_head_passes_up_to_what_cloudfront_takes(stage, size, status):
    with stage.patch(stage.path(), f"X-Long: {'x' * size}") as connection:
        connection.sendall(b"0\r\n\r\n")
        assert wire.answer(connection).status == status


def test_long_body_is_nowhere_kept(stage):
    before = memory(stage.cloud.process.pid, "VmRSS")
    assert stage.send(stage.path(), 400).status == 202
    assert memory(stage.cloud.process.pid, "VmHWM") - before < 64 * MIB
    assert stage.cloud.peak_bytes("IngestFunction") < NODE_MEMORY


def memory(pid, kind):
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(status.partition(f"{kind}:")[2].split()[0]) * 1024


def test_client_waits_for_ingest(stage):
    """While nobody takes its bytes, only what the sockets hold leaves the client."""
    session = secrets.token_hex(16)
    pid = stage.cloud.children["IngestFunction"]
    content = BLOCK * 200
    with stage.patch(stage.path(session)) as connection:
        body = memoryview(chunk(content))
        connection.sendall(body[:MIB])
        os.kill(pid, signal.SIGSTOP)
        try:
            taken = MIB + sent_within(connection, body[MIB:], 1)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert taken < 40 * MIB
        connection.settimeout(wire.SECONDS)
        connection.sendall(body[taken:])
        connection.sendall(b"0\r\n\r\n")
        assert wire.answer(connection).status == 202
    assert stage.stored(session) == [content]


def sent_within(connection, content, seconds):
    """How many bytes are taken before nothing is, for so long."""
    connection.settimeout(seconds)
    sent = 0
    with suppress(TimeoutError):
        while sent < len(content):
            sent += connection.send(content[sent:])
    return sent


def test_client_that_goes_away_leaves_nothing(stage):
    session = secrets.token_hex(16)
    with stage.patch(stage.path(session)) as connection:
        for _ in range(20):
            connection.sendall(chunk(BLOCK))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    deadline = time.monotonic() + 10
    while uploads(stage) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (uploads(stage), stage.stored(session)) == ([], [])


def uploads(stage):
    bucket = stage.environment["BUCKET_NAME"]
    return stage.client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", [])


def test_ingest_that_is_killed_is_a_502_and_comes_back(stage):
    session = secrets.token_hex(16)
    first = stage.cloud.children["IngestFunction"]
    with stage.patch(stage.path(session)) as connection:
        for _ in range(20):
            connection.sendall(chunk(BLOCK))
        os.kill(first, signal.SIGKILL)
        answer = wire.answer(connection)
    assert answer.status in {502, 504}
    assert stage.stored(session) == []
    deadline = time.monotonic() + 20
    while (answer := stage.send(stage.path(session), 20)).status == 502 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answer.status == 202
    assert stage.cloud.children["IngestFunction"] != first
    assert stage.stored(session) == [BLOCK * 20]


def test_log_has_no_path_key_or_secret(stage):
    log = (stage.cloud.state / "logs" / "IngestFunction.log").read_text("utf-8")
    assert log.count('"message":"request"') > 8
    for secret in (stage.key, "_stream", "_received", "Bearer"):
        assert secret not in log


def test_ingest_without_cloudfront_is_an_error(tmp_path):
    cloud = RunningCloud(tmp_path / "state", INGEST="on", FRONT_DOOR="off")
    assert cloud.process.wait(30) == 1
    assert "INGEST=on needs FRONT_DOOR=on" in cloud.log.read_text("utf-8")
