"""A local cloud of our own: started on a free port with an empty state folder, stopped by its own pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 120.0
GONE_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Account:
    """What a person types into a login."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Cloud:
    """A moorage that answers."""

    endpoint: str
    org: str
    admin: Account
    state: Path
    log: Path
    """All that it has printed."""
    pid: int
    """Of its first process, whose descendants all others are."""

    @property
    def host(self) -> str:
        """The address in the form that an image name takes: host and port."""
        return self.endpoint.removeprefix("http://")


@contextmanager
def running(
    folder: Path, *, domain: str = "", front_door: bool = True, pulls: str = "s3", ingest: bool = True
) -> Iterator[Cloud]:
    """A local cloud with its state and its log below ``folder``, until the block ends; with a ``domain``, every
    organisation has a host below it; without a ``front_door``, all that clients send goes through the API; blobs
    come from S3, or from the ``edge``; without ``ingest``, which needs the front door, no layer is streamed. It keeps
    a journal of what enters its functions.
    """
    state = folder / "state"
    log = folder / "cloud.log"
    settings = {"PORT": "0", "STATE": str(state), "DOMAIN": domain, "TRAFFIC": "1"}
    settings |= {"FRONT_DOOR": "on" if front_door else "off", "PULLS": pulls}
    settings["INGEST"] = "on" if front_door and ingest else "off"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local"],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield _ready(process, state, log)
    finally:
        stop(process, GONE_WITHIN)


def stop(process: subprocess.Popen[bytes], within: float) -> None:
    """End a process by its pid; one that has to be killed is an error, because it leaves things behind."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def _ready(process: subprocess.Popen[bytes], state: Path, log: Path) -> Cloud:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the local cloud ended with {process.returncode}:\n{log.read_text('utf-8')}")
        cloud = _announced(process.pid, state, log)
        if cloud is not None and answers(f"{cloud.endpoint}/v2/"):
            return cloud
        time.sleep(0.2)
    raise TimeoutError(f"no local cloud after {READY_WITHIN} s:\n{log.read_text('utf-8')}")


def _announced(pid: int, state: Path, log: Path) -> Cloud | None:
    file = state / "credentials.json"
    if not file.exists():
        return None
    facts = json.loads(file.read_text("utf-8"))
    admin = Account(facts["username"], facts["password"])
    return Cloud(facts["endpoint"].rstrip("/"), facts["org"], admin, state, log, pid)


def answers(url: str) -> bool:
    """Whether something speaks HTTP there and does not call itself broken."""
    with urllib3.PoolManager(retries=False, timeout=10.0) as pool:
        try:
            status: int = pool.request("GET", url).status
        except urllib3.exceptions.HTTPError:
            return False
    return status < 500
