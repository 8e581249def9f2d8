"""Docker Engine with either of its image stores: a daemon of our own, with nothing of the machine's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.clients import daemon, newer
from tests.clients.cloud import Account
from tests.clients.command import Outcome, run
from tests.clients.containerd import Containerd
from tests.clients.image import Image, MultiPlatform

# Another client of a newer version may stand before it on the PATH.
CLIENT = "/usr/bin/docker"
DAEMON = "/usr/sbin/dockerd"


@dataclass(frozen=True, slots=True)
class Store:
    """Where an engine keeps images: what goes before the words of its programs, and settings of its own."""

    before: Callable[[], tuple[str, ...]]
    driver: str
    settings: dict[str, Any]


# Neither needs kernel support. The machine's engine has the first alone; the second is the default of new ones.
CLASSIC = Store(tuple, "vfs", {})
CONTAINERD = Store(newer.inside, "native", {"features": {"containerd-snapshotter": True}})


@dataclass(frozen=True, slots=True)
class Engine:
    """A daemon, and its client with a login of its own."""

    socket: Path
    config: Path
    store: Store

    @property
    def exec_root(self) -> Path:
        return self.socket.with_name("exec")

    def run(self, *words: str | Path, secret: str = "") -> Outcome:
        return run(
            *self.store.before(),
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
def engine(config: Path, log: Path, store: Store = CLASSIC) -> Iterator[Engine]:
    """An engine with an empty store."""
    with daemon.folder() as folder:
        settings = {**store.settings, "deprecated-key-path": str(folder / "key.json")}
        (folder / "daemon.json").write_text(json.dumps(settings), "utf-8")
        this = Engine(folder / "sock", config, store)
        argv: list[str | Path] = [
            *store.before(),
            *(DAEMON, "--config-file", folder / "daemon.json", "--pidfile", folder / "pid"),
            *(
                "--host",
                f"unix://{this.socket}",
                "--data-root",
                folder / "data",
                "--exec-root",
                this.exec_root,
            ),
            # Nothing of the machine's network or keys is touched.
            *("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"),
            f"--storage-driver={store.driver}",
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
    store: Store = CLASSIC
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
        return self._push(image.docker_archive, reference)

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
        return self._pull(reference, f"linux/{architecture}")

    def _push(self, archive: Path, reference: str) -> Outcome:
        pusher = self._pusher()
        loaded = pusher.must("load", "--quiet", "--input", archive).output
        pusher.must("tag", loaded.removeprefix("Loaded image: "), reference)
        return pusher.run("push", reference)

    def _pull(self, reference: str, platform: str = "") -> tuple[Outcome, Path]:
        archive = self.folder / f"pull{next(self._pulls)}.tar"
        with engine(self.folder, self.log, self.store) as fresh:
            if held := fresh.must("images", "--all", "--quiet").output:
                raise RuntimeError(f"a fresh engine holds {held}")
            outcome = fresh.run("pull", *(("--platform", platform) if platform else ()), reference)
            if outcome.exit_code == 0:
                save = self._save_platform if platform else self._save
                save(fresh, archive, reference, platform)
        return outcome, archive

    def _save(self, fresh: Engine, archive: Path, reference: str, _platform: str) -> None:
        fresh.must("save", "--output", archive, reference)

    _save_platform = _save

    def _pusher(self) -> Engine:
        if self._pushing is None:
            self._pushing = self._engines.enter_context(engine(self.folder, self.log, self.store))
        return self._pushing


@dataclass(slots=True)
class DockerContainerd(Docker):
    """docker whose engine keeps images as containerd does: as they came, indexes and all."""

    name: str = "docker-containerd"
    store: Store = CONTAINERD

    def push(self, image: Image, reference: str) -> Outcome:
        return self._push(image.oci_archive, reference)

    def push_index(self, index: MultiPlatform, reference: str) -> Outcome:
        return self._push(index.oci_archive, reference)

    def _save_platform(self, fresh: Engine, archive: Path, reference: str, platform: str) -> None:
        # The engine saves no index of which it has a part only; the containerd within it does.
        within = Containerd(
            fresh.exec_root / "containerd" / "containerd.sock", self.folder, self.store.before()
        )
        within.must("--namespace", "moby", "images", "export", "--platform", platform, archive, reference)
