"""The local cloud in a process of its own, and an image in it that was pushed as clients push."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import botocore.session
import urllib3
from botocore.config import Config

from bench.functions import ROOT
from local import ports

_READY_SECONDS = 110
_STOP_SECONDS = 30
_CHUNK = 4 * 1024 * 1024


@dataclass(frozen=True)
class Cloud:
    """A running local cloud; ``dynamodb`` and ``s3`` are its emulators, ``s3_front`` what redirects lead to.

    Who has the access key gets at both; ``volumes`` is where SeaweedFS keeps account of its files, and
    ``metrics`` where it says what it was asked for.
    """

    state: Path
    endpoint: str
    username: str
    password: str
    dynamodb: str
    s3: str
    s3_front: str
    volumes: str
    access_key: str
    secret_key: str
    metrics: str = ""

    def client(self, service: str, endpoint: str, config: Any = None) -> Any:
        """A client of one of the emulators."""
        return botocore.session.Session().create_client(
            service,
            region_name="us-east-1",
            endpoint_url=endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=config,
        )

    def bucket(self, endpoint: str) -> tuple[Any, str]:
        """A client of the storage that signs for this endpoint, and the bucket of the default store."""
        config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
        client = self.client("s3", endpoint, config)
        environment = json.loads((self.state / "admin-environment.json").read_text("utf-8"))
        return client, environment["BUCKET_NAME"]

    def objects(self) -> set[str]:
        """The keys of what the bucket holds, of up to a thousand objects."""
        client, bucket = self.bucket(self.s3)
        return {each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents", ())}

    def drop_objects(self, keep: Collection[str] = ()) -> None:
        """Remove all that the bucket holds but these keys, and from the disk what was removed before."""
        client, bucket = self.bucket(self.s3)
        for key in self.objects().difference(keep):
            client.delete_object(Bucket=bucket, Key=key)
        checked(urllib3.request("GET", f"{self.volumes}/vol/vacuum?garbageThreshold=0.01"), 200)

    def token(self, repository: str) -> str:
        """A token for everything in a repository."""
        answer = urllib3.request(
            "GET",
            f"{self.endpoint}/token",
            fields={"service": "bench", "scope": f"repository:{repository}:pull,push"},
            headers={"Authorization": f"Basic {self.basic}"},
        )
        token: str = checked(answer, 200).json()["token"]
        return token

    @property
    def basic(self) -> str:
        """User name and password as Basic credentials and authentication files hold them."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def push(self, repository: str, blobs: list[bytes], manifest: bytes, media_type: str, tag: str) -> None:
        """Push an image: its blobs in chunks, then the manifest."""
        for blob in blobs:
            self._upload(repository, blob)
        headers = {"Authorization": f"Bearer {self.token(repository)}", "Content-Type": media_type}
        url = f"{self.endpoint}/v2/{repository}/manifests/{tag}"
        checked(urllib3.request("PUT", url, body=manifest, headers=headers), 201)

    def _upload(self, repository: str, blob: bytes) -> None:
        authorization = {"Authorization": f"Bearer {self.token(repository)}"}
        start = f"{self.endpoint}/v2/{repository}/blobs/uploads/"
        answer = checked(urllib3.request("POST", start, headers=authorization), 202)
        for offset in range(0, len(blob), _CHUNK):
            chunk = blob[offset : offset + _CHUNK]
            headers = {
                **authorization,
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{offset}-{offset + len(chunk) - 1}",
            }
            location = urljoin(start, answer.headers["Location"])
            answer = checked(urllib3.request("PATCH", location, body=chunk, headers=headers), 202)
        location = urljoin(start, answer.headers["Location"])
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        checked(urllib3.request("PUT", f"{location}?digest={digest}", headers=authorization), 201)


def checked(answer: urllib3.BaseHTTPResponse, *statuses: int) -> urllib3.BaseHTTPResponse:
    """The answer.

    Raises:
        RuntimeError: it has another status.
    """
    if answer.status not in statuses:
        raise RuntimeError(f"{answer.url}: {answer.status} {answer.data[:500]!r}")
    return answer


@contextmanager
def running(state: Path, **settings: str) -> Iterator[Cloud]:
    """A local cloud with its state in a folder that is new; it is stopped on the way out.

    ``settings`` are further variables of its environment.

    Raises:
        RuntimeError: it did not start; its output is beside the folder.
    """
    port, s3_port = ports.free(2)
    log = state.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local"],
            cwd=ROOT,
            env={**os.environ, "PORT": str(port), "S3_PORT": str(s3_port), "STATE": str(state), **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _await_ready(process, log)
        yield _found(state, s3_port)
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while "is ready at" not in log.read_text("utf-8"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the local cloud did not start: {log.read_text('utf-8')}")
        time.sleep(0.1)


def _found(state: Path, s3_port: int) -> Cloud:
    login: dict[str, Any] = json.loads((state / "credentials.json").read_text("utf-8"))
    key = json.loads((state / "emulators" / "access-key.json").read_text("utf-8"))
    gateway = _words(state, "ministack", "environ")
    options = _words(state, "seaweedfs", "cmdline")
    return Cloud(
        state=state,
        endpoint=login["endpoint"],
        username=login["username"],
        password=login["password"],
        dynamodb=f"http://{ports.LOOPBACK}:{_value(gateway, 'GATEWAY_PORT=')}",
        s3=f"http://{ports.LOOPBACK}:{_value(options, '-s3.port=')}",
        s3_front=f"http://{ports.LOOPBACK}:{s3_port}",
        volumes=f"http://{ports.LOOPBACK}:{_value(options, '-master.port=')}",
        metrics=f"http://{ports.LOOPBACK}:{_value(options, '-metricsPort=')}",
        access_key=key["id"],
        secret_key=key["secret"],
    )


def _words(state: Path, emulator: str, kind: str) -> list[str]:
    """What an emulator was started with: its port is another at each start, and written down nowhere else."""
    pid = json.loads((state / "emulators" / f"{emulator}.pid").read_text("utf-8"))["pid"]
    return Path(f"/proc/{pid}/{kind}").read_bytes().decode().split("\0")


def _value(words: list[str], prefix: str) -> str:
    return next(word.removeprefix(prefix) for word in words if word.startswith(prefix))
