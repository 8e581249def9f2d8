"""Docker Engine with its classic image store: a daemon of our own, with nothing of the machine's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.clients import daemon
from tests.clients.cloud import Account
from tests.clients.command import Outcome, run
from tests.clients.image import Image, MultiPlatform

# Another client of a newer version may stand before it on the PATH.
CLIENT = "/usr/bin/docker"
DAEMON = "/usr/sbin/dockerd"


@dataclass(frozen=True, slots=True)
class Engine:
    """A daemon, and its client with a login of its own."""

    socket: Path
    config: Path

    def run(self, *words: str | Path, secret: str = "") -> Outcome:
        return run(
            CLIENT,
            "--host",
            f"unix://{self.socket}",
            "--config",
            self.config,
            *words,
            home=self.config,
            secret=secret,
        )

    def must(self, *words: str | Path) -> Outcome:
        """Run what is no part of the test and has to work."""
        outcome = self.run(*words)
        if outcome.exit_code != 0:
            raise RuntimeError(str(outcome))
        return outcome


@contextmanager
def engine(config: Path, log: Path) -> Iterator[Engine]:
    """An engine with an empty store."""
    with daemon.folder() as folder:
        settings = {"deprecated-key-path": str(folder / "key.json")}
        (folder / "daemon.json").write_text(json.dumps(settings), "utf-8")
        this = Engine(folder / "sock", config)
        argv: list[str | Path] = [
            *(DAEMON, "--config-file", folder / "daemon.json", "--pidfile", folder / "pid"),
            *(
                "--host",
                f"unix://{this.socket}",
                "--data-root",
                folder / "data",
                "--exec-root",
                folder / "exec",
            ),
            # Nothing of the machine's network or keys is touched, and the store needs no kernel support.
            *("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"),
            "--storage-driver=vfs",
        ]
        with daemon.running(argv, folder, log, lambda: this.run("info").exit_code == 0):
            yield this


@dataclass(slots=True)
class Docker:
    """docker, pushing from one engine and pulling into a fresh one each time."""

    folder: Path
    log: Path
    _engines: ExitStack
    name: str = "docker"
    _pulls: count[int] = field(default_factory=count)
    _pushing: Engine | None = None

    def version(self) -> Outcome:
        return self._pusher().run("version", "--format", "{{.Server.Version}}")

    def help(self, *words: str) -> str:
        return self._pusher().run(*words, "--help").output

    def login(self, host: str, account: Account) -> Outcome:
        words = ("login", "--username", account.username, "--password-stdin", host)
        return self._pusher().run(*words, secret=account.password)

    def push(self, image: Image, reference: str) -> Outcome:
        pusher = self._pusher()
        loaded = pusher.must("load", "--quiet", "--input", image.docker_archive).output
        pusher.must("tag", loaded.removeprefix("Loaded image: "), reference)
        return pusher.run("push", reference)

    def pull(self, reference: str) -> tuple[Outcome, Path]:
        return self._pull(reference)

    def push_elsewhere(self, image: Image, source: str, target: str, account: Account) -> Outcome:
        login = self.login(target.partition("/")[0], account)
        return self.push(image, target) if login.exit_code == 0 else login

    def push_index(self, index: MultiPlatform, reference: str) -> Outcome:
        single = {architecture: f"{reference}-{architecture}" for architecture in index.images}
        for architecture, name in single.items():
            pushed = self.push(index.images[architecture], name)
            if pushed.exit_code != 0:
                return pushed
        # Written by the client itself, which does not share the engine's view of what may be plain HTTP.
        self._pusher().must("manifest", "create", "--insecure", reference, *single.values())
        return self._pusher().run("manifest", "push", "--insecure", reference)

    def pull_platform(self, reference: str, architecture: str) -> tuple[Outcome, Path]:
        return self._pull(reference, "--platform", f"linux/{architecture}")

    def _pull(self, reference: str, *options: str) -> tuple[Outcome, Path]:
        archive = self.folder / f"pull{next(self._pulls)}.tar"
        with engine(self.folder, self.log) as fresh:
            if held := fresh.must("images", "--all", "--quiet").output:
                raise RuntimeError(f"a fresh engine holds {held}")
            outcome = fresh.run("pull", *options, reference)
            if outcome.exit_code == 0:
                fresh.must("save", "--output", archive, reference)
        return outcome, archive

    def _pusher(self) -> Engine:
        if self._pushing is None:
            self._pushing = self._engines.enter_context(engine(self.folder, self.log))
        return self._pushing
