"""skopeo and crane: programs that keep nothing but their login."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.clients.cloud import Account
from tests.clients.command import Outcome, run
from tests.clients.image import TAG, Image, MultiPlatform


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

    def help(self, *words: str) -> str:
        return run("skopeo", *words, "--help", home=self.folder).output

    def push(self, image: Image, reference: str) -> Outcome:
        return self._push(image.layout, reference)

    def pull(self, reference: str) -> tuple[Outcome, Path]:
        return self._pull(reference)

    def push_elsewhere(self, image: Image, source: str, target: str, account: Account) -> Outcome:
        login = self.login(target.partition("/")[0], account)
        return self.push(image, target) if login.exit_code == 0 else login

    def push_index(self, index: MultiPlatform, reference: str) -> Outcome:
        return self._push(index.layout, reference, "--all")

    def pull_platform(self, reference: str, architecture: str) -> tuple[Outcome, Path]:
        return self._pull(reference, "--override-arch", architecture)

    def tags(self, repository: str) -> Outcome:
        return self._remote("list-tags", repository)

    def delete(self, reference: str) -> Outcome:
        return self._remote("delete", reference)

    def _push(self, layout: Path, reference: str, *options: str) -> Outcome:
        login = ("--dest-tls-verify=false", "--dest-authfile", self._login)
        words: tuple[str | Path, ...] = (
            "copy",
            *options,
            *login,
            f"oci:{layout}:{TAG}",
            f"docker://{reference}",
        )
        return run("skopeo", "--insecure-policy", *words, home=self.folder)

    def _pull(self, reference: str, *options: str) -> tuple[Outcome, Path]:
        target = self.folder / f"pull{next(self._pulls)}"
        login = ("--src-tls-verify=false", "--src-authfile", self._login)
        words: tuple[str | Path, ...] = (
            *options,
            "copy",
            *login,
            f"docker://{reference}",
            f"oci:{target}:{TAG}",
        )
        return run("skopeo", "--insecure-policy", *words, home=self.folder), target

    def _remote(self, verb: str, reference: str) -> Outcome:
        login = ("--tls-verify=false", "--authfile", self._login)
        return run("skopeo", verb, *login, f"docker://{reference}", home=self.folder)

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

    def help(self, *words: str) -> str:
        return self._crane(*words, "--help").output

    def push(self, image: Image, reference: str) -> Outcome:
        return self._crane("push", image.layout, reference)

    def pull(self, reference: str) -> tuple[Outcome, Path]:
        return self._pull(reference)

    def push_elsewhere(self, image: Image, source: str, target: str, account: Account) -> Outcome:
        # It mounts what it copies. A login for a repository goes before one for the registry.
        file = self.folder / "config.json"
        before = json.loads(file.read_text("utf-8"))
        host = target.partition("/")[0]
        login = self.login(host, account)
        if login.exit_code != 0:
            return login
        after = json.loads(file.read_text("utf-8"))
        repository = source.rpartition(":")[0]
        both = {**after["auths"], repository: before["auths"][host]}
        file.write_text(json.dumps({"auths": both}), "utf-8")
        copied = self._crane("copy", source, target)
        file.write_text(json.dumps(after), "utf-8")
        return copied

    def push_index(self, index: MultiPlatform, reference: str) -> Outcome:
        return self._crane("push", index.layout, reference)

    def pull_platform(self, reference: str, architecture: str) -> tuple[Outcome, Path]:
        return self._pull(reference, "--platform", f"linux/{architecture}")

    def tags(self, repository: str) -> Outcome:
        return self._crane("ls", repository)

    def delete(self, reference: str) -> Outcome:
        return self._crane("delete", reference)

    def _pull(self, reference: str, *options: str) -> tuple[Outcome, Path]:
        target = self.folder / f"pull{next(self._pulls)}.tar"
        return self._crane("pull", *options, reference, target), target

    def _crane(self, *words: str | Path, secret: str = "") -> Outcome:
        program = os.environ["CRANE"]
        return run(program, *words, home=self.folder, secret=secret, DOCKER_CONFIG=str(self.folder))
