"""All clients by name, and which version each says that it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.clients.artifacts import Oras, Regctl
from tests.clients.command import Outcome
from tests.clients.containerd import Ctr, NewerCtr
from tests.clients.daemonless import Crane, Skopeo
from tests.clients.docker import Docker, DockerContainerd
from tests.clients.drivers import Driver
from tests.clients.helm import Helm
from tests.clients.libpod import Buildah, Podman

# A folder of the client's own, a log for its daemons, and what ends them.
Maker = Callable[[Path, Path, ExitStack], Driver]

MAKERS: dict[str, Maker] = {
    "docker": Docker,
    "docker-containerd": DockerContainerd,
    "ctr": Ctr,
    "ctr-1.7": NewerCtr,
    "skopeo": lambda folder, _log, _stack: Skopeo(folder),
    "podman": lambda folder, _log, _stack: Podman(folder),
    "buildah": lambda folder, _log, _stack: Buildah(folder),
    "crane": lambda folder, _log, _stack: Crane(folder),
    "oras": lambda folder, _log, _stack: Oras(folder),
    "regctl": lambda folder, _log, _stack: Regctl(folder),
    "helm": lambda folder, _log, _stack: Helm(folder),
}
# They send a blob as one PUT, which S3 takes. All others send a PATCH, which S3 has not, and which is streamed.
ONE_PUT = ("docker-containerd", "ctr", "ctr-1.7", "oras", "regctl", "helm")


def way(client: str) -> str:
    """By which way a client's blobs come past the API."""
    return "direct" if client in ONE_PUT else "stream"


_VERSION = re.compile(r"v?\d+(\.\d+)+[\w.+~-]*")


def parsed_version(version: Outcome) -> str:
    """The first version in what a client prints."""
    found = _VERSION.search(version.output)
    assert version.exit_code == 0, version
    assert found, version
    return found[0]
