"""podman and buildah: the same options, and image stores of their own without a daemon."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.clients.cloud import Account
from tests.clients.command import Outcome, run
from tests.clients.image import TAG, Image, MultiPlatform


@dataclass(slots=True)
class Store:
    """One of both, on an image store in a folder; it logs in with a file that may be another's."""

    program: str
    folder: Path
    login_file: Path

    def run(self, *words: str | Path, secret: str = "") -> Outcome:
        storage = (
            "--storage-driver",
            "vfs",
            "--root",
            self.folder / "root",
            "--runroot",
            self.folder / "run",
        )
        self.folder.mkdir(exist_ok=True)
        return run(self.program, *storage, *words, home=self.folder, secret=secret)

    def remote(self, *words: str | Path) -> Outcome:
        """Run a command that talks to a registry; the command's own words are the first of ``words``."""
        verbs = words[: 2 if words[0] == "manifest" else 1]
        options = ("--tls-verify=false", "--authfile", self.login_file)
        return self.run(*verbs, *options, *words[len(verbs) :])

    def must(self, *words: str | Path) -> Outcome:
        """Run what is no part of the test and has to work."""
        outcome = self.run(*words)
        if outcome.exit_code != 0:
            raise RuntimeError(str(outcome))
        return outcome


@dataclass(slots=True)
class Buildah:
    """buildah, pushing from one store and pulling into a fresh one each time."""

    folder: Path
    name: str = "buildah"
    _stores: count[int] = field(default_factory=count)
    _pushing: Store = field(init=False)

    def __post_init__(self) -> None:
        self._pushing = self._store()

    def version(self) -> Outcome:
        return self._pushing.run("--version")

    def help(self, *words: str) -> str:
        return self._pushing.run(*words, "--help").output

    def login(self, host: str, account: Account) -> Outcome:
        return self._pushing.run(
            *("login", "--tls-verify=false", "--authfile", self._login),
            *("--username", account.username, "--password-stdin", host),
            secret=account.password,
        )

    def push(self, image: Image, reference: str) -> Outcome:
        loaded = self._pushing.must("pull", "--quiet", f"oci:{image.layout}:{TAG}").output.split()[-1]
        return self._pushing.remote("push", loaded, f"docker://{reference}")

    def pull(self, reference: str) -> tuple[Outcome, Path]:
        return self._pull(reference)

    def push_elsewhere(self, image: Image, source: str, target: str, account: Account) -> Outcome:
        login = self.login(target.partition("/")[0], account)
        return self.push(image, target) if login.exit_code == 0 else login

    def push_index(self, index: MultiPlatform, reference: str) -> Outcome:
        name = f"list{next(self._stores)}"
        self._pushing.must("manifest", "create", name)
        self._pushing.must("manifest", "add", "--all", name, f"oci:{index.layout}:{TAG}")
        return self._pushing.remote("manifest", "push", "--all", name, f"docker://{reference}")

    def pull_platform(self, reference: str, architecture: str) -> tuple[Outcome, Path]:
        return self._pull(reference, "--arch", architecture)

    def _pull(self, reference: str, *options: str) -> tuple[Outcome, Path]:
        fresh = self._store()
        if held := fresh.must("images", "--all", "--quiet").output:
            raise RuntimeError(f"a fresh store holds {held}")
        outcome = fresh.remote("pull", *options, f"docker://{reference}")
        archive = fresh.folder / "pulled.tar"
        if outcome.exit_code == 0:
            pulled = fresh.must("images", "--quiet").output.split()[-1]
            fresh.must("push", pulled, f"oci-archive:{archive}")
        return outcome, archive

    def _store(self) -> Store:
        return Store(self.name, self.folder / f"store{next(self._stores)}", self._login)

    @property
    def _login(self) -> Path:
        return self.folder / "auth.json"


@dataclass(slots=True)
class Podman(Buildah):
    """podman, which can list tags as well."""

    name: str = "podman"

    def tags(self, repository: str) -> Outcome:
        return self._pushing.remote("search", "--list-tags", repository)
