"""oras, regctl and helm: programs that push more than images, and keep nothing but their login."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.clients.cloud import Account
from tests.clients.command import Outcome, run
from tests.clients.image import TAG, Image, MultiPlatform


@dataclass(slots=True)
class Oras:
    """oras, copying between a registry and an OCI layout."""

    folder: Path
    name: str = "oras"
    _pulls: count[int] = field(default_factory=count)

    def version(self) -> Outcome:
        return self._oras("version")

    def help(self, *words: str) -> str:
        return self._oras(*words, "--help").output

    def login(self, host: str, account: Account) -> Outcome:
        return self._log_in(self._login, host, account)

    def push(self, image: Image, reference: str) -> Outcome:
        return self._push(image.layout, reference)

    def pull(self, reference: str) -> tuple[Outcome, Path]:
        return self._pull(reference)

    def push_elsewhere(self, image: Image, source: str, target: str, account: Account) -> Outcome:
        # Each side of a copy may have an account of its own.
        other = self.folder / "target.json"
        login = self._log_in(other, target.partition("/")[0], account)
        copied = self._copy(source, target, other) if login.exit_code == 0 else login
        shutil.copy(other, self._login)
        return copied

    def push_index(self, index: MultiPlatform, reference: str) -> Outcome:
        return self._push(index.layout, reference)

    def pull_platform(self, reference: str, architecture: str) -> tuple[Outcome, Path]:
        return self._pull(reference, "--platform", f"linux/{architecture}")

    def attach(self, reference: str, file: Path, artifact_type: str) -> Outcome:
        shutil.copy(file, self.folder)
        return self._remote("attach", "--artifact-type", artifact_type, reference, file.name)

    def referrers(self, reference: str) -> Outcome:
        return self._remote("discover", "--format", "json", reference)

    def copy_with_referrers(self, source: str, target: str) -> Outcome:
        return self._copy(source, target, self._login, "--recursive")

    def tags(self, repository: str) -> Outcome:
        return self._remote("repo", "tags", repository)

    def delete(self, reference: str) -> Outcome:
        return self._remote("manifest", "delete", "--force", reference)

    def _log_in(self, file: Path, host: str, account: Account) -> Outcome:
        words = ("login", "--plain-http", "--registry-config", file)
        user = ("--username", account.username, "--password-stdin", host)
        return self._oras(*words, *user, secret=account.password)

    def _push(self, layout: Path, reference: str) -> Outcome:
        to = ("--to-plain-http", "--to-registry-config", self._login)
        return self._oras("cp", "--no-tty", "--from-oci-layout", *to, f"{layout}:{TAG}", reference)

    def _pull(self, reference: str, *options: str) -> tuple[Outcome, Path]:
        target = self.folder / f"pull{next(self._pulls)}"
        source = ("--from-plain-http", "--from-registry-config", self._login, reference)
        return self._oras("cp", "--no-tty", *options, *source, "--to-oci-layout", f"{target}:{TAG}"), target

    def _copy(self, source: str, target: str, target_login: Path, *options: str) -> Outcome:
        from_ = ("--from-plain-http", "--from-registry-config", self._login)
        to = ("--to-plain-http", "--to-registry-config", target_login)
        return self._oras("cp", "--no-tty", *options, *from_, *to, source, target)

    def _remote(self, *words: str | Path) -> Outcome:
        verbs = words[: 2 if words[0] in {"repo", "manifest"} else 1]
        options = ("--plain-http", "--registry-config", self._login)
        return self._oras(*verbs, *options, *words[len(verbs) :])

    def _oras(self, *words: str | Path, secret: str = "") -> Outcome:
        return run(os.environ["ORAS"], *words, home=self.folder, secret=secret)

    @property
    def _login(self) -> Path:
        return self.folder / "auth.json"


@dataclass(slots=True)
class Regctl:
    """regctl, copying between a registry and an OCI layout.

    It takes the user name ``<token>`` for what docker's credential helpers mean by it, and the password for an
    identity token, which it exchanges by ``grant_type=refresh_token``.
    """

    folder: Path
    name: str = "regctl"
    _pulls: count[int] = field(default_factory=count)

    def version(self) -> Outcome:
        return self._regctl("version", "--format", "{{.VCSTag}}")

    def help(self, *words: str) -> str:
        return self._regctl(*words, "--help").output

    def login(self, host: str, account: Account) -> Outcome:
        plain = self._regctl("registry", "set", "--tls", "disabled", "--skip-check", host)
        if plain.exit_code != 0:
            return plain
        words = ("registry", "login", host, "--user", account.username, "--pass-stdin")
        return self._regctl(*words, secret=account.password)

    def push(self, image: Image, reference: str) -> Outcome:
        return self._regctl("image", "copy", f"ocidir://{image.layout}:{TAG}", reference)

    def pull(self, reference: str) -> tuple[Outcome, Path]:
        return self._pull(reference)

    def push_elsewhere(self, image: Image, source: str, target: str, account: Account) -> Outcome:
        # It asks for a mount of every blob whose digest it knows, and names no repository.
        login = self.login(target.partition("/")[0], account)
        return self.push(image, target) if login.exit_code == 0 else login

    def push_index(self, index: MultiPlatform, reference: str) -> Outcome:
        return self._regctl("image", "copy", f"ocidir://{index.layout}:{TAG}", reference)

    def pull_platform(self, reference: str, architecture: str) -> tuple[Outcome, Path]:
        return self._pull(reference, "--platform", f"linux/{architecture}")

    def attach(self, reference: str, file: Path, artifact_type: str) -> Outcome:
        words = ("--artifact-type", artifact_type, "--subject", reference, "--file", file)
        return self._regctl("artifact", "put", *words)

    def referrers(self, reference: str) -> Outcome:
        return self._regctl("artifact", "list", reference)

    def copy_with_referrers(self, source: str, target: str) -> Outcome:
        return self._regctl("image", "copy", "--referrers", source, target)

    def tags(self, repository: str) -> Outcome:
        return self._regctl("tag", "ls", repository)

    def delete(self, reference: str) -> Outcome:
        return self._regctl("tag", "delete", reference)

    def _pull(self, reference: str, *options: str) -> tuple[Outcome, Path]:
        target = self.folder / f"pull{next(self._pulls)}"
        return self._regctl("image", "copy", *options, reference, f"ocidir://{target}:{TAG}"), target

    def _regctl(self, *words: str | Path, secret: str = "") -> Outcome:
        config = str(self.folder / "regctl.json")
        return run(os.environ["REGCTL"], *words, home=self.folder, secret=secret, REGCTL_CONFIG=config)
