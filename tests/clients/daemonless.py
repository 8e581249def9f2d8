"""skopeo and crane: programs that keep nothing but their login."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.clients.cloud import Account
from tests.clients.command import Outcome, run
from tests.clients.image import TAG, Image


@dataclass(slots=True)
class Skopeo:
    """skopeo, copying between a registry and an OCI layout."""

    folder: Path
    name: str = "skopeo"
    _pulls: count[int] = field(default_factory=count)

    def version(self) -> Outcome:
        return run("skopeo", "--version", home=self.folder)

    def login(self, host: str, account: Account) -> Outcome:
        return run(
            *("skopeo", "login", "--tls-verify=false", "--authfile", self._login),
            *("--username", account.username, "--password-stdin", host),
            home=self.folder,
            secret=account.password,
        )

    def push(self, image: Image, reference: str) -> Outcome:
        return run(
            *(
                "skopeo",
                "--insecure-policy",
                "copy",
                "--dest-tls-verify=false",
                "--dest-authfile",
                self._login,
            ),
            *(f"oci:{image.layout}:{TAG}", f"docker://{reference}"),
            home=self.folder,
        )

    def pull(self, reference: str) -> tuple[Outcome, Path]:
        target = self.folder / f"pull{next(self._pulls)}"
        outcome = run(
            *("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--src-authfile", self._login),
            *(f"docker://{reference}", f"oci:{target}:{TAG}"),
            home=self.folder,
        )
        return outcome, target

    @property
    def _login(self) -> Path:
        return self.folder / "auth.json"


@dataclass(slots=True)
class Crane:
    """crane, pushing an OCI layout and pulling an archive."""

    folder: Path
    name: str = "crane"
    _pulls: count[int] = field(default_factory=count)

    def version(self) -> Outcome:
        return self._crane("version")

    def login(self, host: str, account: Account) -> Outcome:
        words = ("auth", "login", host, "--username", account.username, "--password-stdin")
        return self._crane(*words, secret=account.password)

    def push(self, image: Image, reference: str) -> Outcome:
        return self._crane("push", image.layout, reference)

    def pull(self, reference: str) -> tuple[Outcome, Path]:
        target = self.folder / f"pull{next(self._pulls)}.tar"
        return self._crane("pull", reference, target), target

    def _crane(self, *words: str | Path, secret: str = "") -> Outcome:
        program = os.environ["CRANE"]
        return run(program, *words, home=self.folder, secret=secret, DOCKER_CONFIG=str(self.folder))
