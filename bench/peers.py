"""Registries that a push or a pull is measured beside."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3

from local import ports

_READY_SECONDS = 120
_STOP_SECONDS = 10


@contextmanager
def docker_registry(folder: Path) -> Iterator[str]:
    """Debian's registry with its files in a folder; host and port. It is stopped on the way out."""
    (port,) = ports.free(1)
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "docker-registry")}},
        "http": {"addr": f"{ports.LOOPBACK}:{port}"},
    }
    path = folder / "docker-registry.yml"
    path.write_text(json.dumps(config), "utf-8")
    with (folder / "docker-registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", path], stdout=log, stderr=subprocess.STDOUT)
    try:
        _await_ready(f"http://{ports.LOOPBACK}:{port}/v2/")
        yield f"{ports.LOOPBACK}:{port}"
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _await_ready(url: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            if urllib3.request("GET", url, retries=False).status == 200:  # noqa: PLR2004
                return
        except urllib3.exceptions.HTTPError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
