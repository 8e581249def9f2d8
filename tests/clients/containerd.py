"""containerd, driven by its own ``ctr``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.clients import daemon, newer
from tests.clients.cloud import Account
from tests.clients.command import Outcome, run
from tests.clients.image import Image, MultiPlatform

DAEMON = "/usr/bin/containerd"
CLIENT = "/usr/bin/ctr"
# What only Kubernetes needs, and what would write outside of the daemon's folder.
_DISABLED = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
# The snapshotter that needs no kernel support.
_SNAPSHOTS = "native"


@dataclass(frozen=True, slots=True)
class Containerd:
    """A daemon and its client."""

    socket: Path
    home: Path
    before: tuple[str, ...]
    """What goes before the words of its programs."""

    def run(self, *words: str | Path, secret: str = "") -> Outcome:
        return run(*self.before, CLIENT, "--address", self.socket, *words, home=self.home, secret=secret)

    def must(self, *words: str | Path) -> Outcome:
        """Run what is no part of the test and has to work."""
        outcome = self.run(*words)
        if outcome.exit_code != 0:
            raise RuntimeError(str(outcome))
        return outcome


@contextmanager
def containerd(home: Path, log: Path, before: tuple[str, ...]) -> Iterator[Containerd]:
    """A containerd with an empty store."""
    with daemon.folder() as folder:
        this = Containerd(folder / "sock", home, before)
        (folder / "config.toml").write_text(
            "version = 2\n"
            f"root = {json.dumps(str(folder / 'root'))}\n"
            f"state = {json.dumps(str(folder / 'state'))}\n"
            f"disabled_plugins = {json.dumps(_DISABLED)}\n"
            f"[grpc]\naddress = {json.dumps(str(this.socket))}\n",
            "utf-8",
        )
        argv: list[str | Path] = [*before, DAEMON, "--config", folder / "config.toml"]
        with daemon.running(argv, folder, log, lambda: this.run("version").exit_code == 0):
            yield this


@dataclass(slots=True)
class Ctr:
    """ctr, pushing from one containerd and pulling into a fresh one each time. It has no login: each call carries it."""

    folder: Path
    log: Path
    _daemons: ExitStack
    name: str = "ctr"
    _before: Callable[[], tuple[str, ...]] = tuple
    _account: Account = field(default=Account("", ""))
    _pulls: count[int] = field(default_factory=count)
    _pushing: Containerd | None = None

    def version(self) -> Outcome:
        return self._pusher().run("--version")

    def help(self, *words: str) -> str:
        return run(*self._before(), CLIENT, *words, "--help", home=self.folder).output

    def login(self, host: str, account: Account) -> Outcome:
        self._account = account
        return Outcome(f"(ctr, as {account.username} at {host})", 0, "", 0.0)

    def push(self, image: Image, reference: str) -> Outcome:
        return self._push(image.oci_archive, reference)

    def pull(self, reference: str) -> tuple[Outcome, Path]:
        return self._pull(reference)

    def push_elsewhere(self, image: Image, source: str, target: str, account: Account) -> Outcome:
        # Only what it has pulled is known to come from somewhere.
        with self._fresh() as fresh:
            words = ("--plain-http", "--snapshotter", _SNAPSHOTS)
            pulled = self._as_account(fresh, "pull", *words, source)
            if pulled.exit_code != 0:
                return pulled
            fresh.must("images", "tag", source, target)
            self.login(target.partition("/")[0], account)
            return self._as_account(fresh, "push", "--plain-http", target)

    def push_index(self, index: MultiPlatform, reference: str) -> Outcome:
        return self._push(index.oci_archive, reference, "--all-platforms")

    def pull_platform(self, reference: str, architecture: str) -> tuple[Outcome, Path]:
        return self._pull(reference, "--platform", f"linux/{architecture}")

    def _push(self, archive: Path, reference: str, *options: str) -> Outcome:
        pusher = self._pusher()
        pusher.must("images", "import", "--no-unpack", *options, archive)
        imported = next(name for name in self._images(pusher) if name.startswith("local.invalid/"))
        pusher.must("images", "tag", "--force", imported, reference)
        pusher.must("images", "rm", imported)
        return self._as_account(pusher, "push", "--plain-http", reference)

    def _pull(self, reference: str, *platform: str) -> tuple[Outcome, Path]:
        archive = self.folder / f"pull{next(self._pulls)}.tar"
        with self._fresh() as fresh:
            if held := self._images(fresh):
                raise RuntimeError(f"a fresh containerd holds {held}")
            words = ("--plain-http", "--snapshotter", _SNAPSHOTS, *platform, reference)
            outcome = self._as_account(fresh, "pull", *words)
            if outcome.exit_code == 0:
                fresh.must("images", "export", *platform, archive, reference)
        return outcome, archive

    def _as_account(self, daemon_: Containerd, verb: str, *words: str) -> Outcome:
        user = f"{self._account.username}:{self._account.password}"
        return daemon_.run("images", verb, "--user", user, *words, secret=self._account.password)

    @staticmethod
    def _images(daemon_: Containerd) -> list[str]:
        return daemon_.must("images", "list", "--quiet").output.split()

    def _pusher(self) -> Containerd:
        if self._pushing is None:
            self._pushing = self._daemons.enter_context(self._fresh())
        return self._pushing

    def _fresh(self) -> AbstractContextManager[Containerd]:
        return containerd(self.folder, self.log, self._before())


@dataclass(slots=True)
class NewerCtr(Ctr):
    """The ctr of the containerd that the newer docker has."""

    name: str = "ctr-1.7"
    _before: Callable[[], tuple[str, ...]] = newer.inside
