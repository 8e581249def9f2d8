"""Wall time of a push by the clients that send a PATCH of unknown length, and the memory of what takes it."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.cloud import Cloud
from bench.figures import Figure, alternating, ratio
from bench.peers import docker_registry
from bench.push import layer, raw_put, with_new_image
from bench.sink import sink
from bench.streaming import Memory, stream
from tests.clients import docker, image
from tests.clients.cloud import Account
from tests.clients.command import Outcome
from tests.clients.daemonless import Skopeo

PART = "streamed push of 700 MB"
ROUNDS = 3
_LAYER_BYTES = 700_000_000
_WARMING_BYTES = 60_000_000
AT_ONCE = 8
_AT_ONCE_BYTES = 200_000_000
_REPOSITORY = "demo/streamed"

CLIENTS = ("skopeo", "docker")
ONE = "one PATCH of a client that costs nothing, linked"
RAW, FRONT = "raw PUT to SeaweedFS itself", "raw PUT through the S3 front"
PUSHES_PEAK = "ingest: peak memory in one push"
EIGHT_PEAK = f"ingest: peak memory, {AT_ONCE} uploads of 200 MB at once"
EIGHT_RATE = f"ingest: {AT_ONCE} uploads of 200 MB at once, all together"


def ours(client: str) -> str:
    """Name of a client's push to the registry."""
    return f"{client} push to moorage"


def debian(client: str) -> str:
    """Name of a client's push to the other registry."""
    return f"{client} push to Debian's docker-registry"


def sunk(client: str) -> str:
    """Name of a client's push to nothing."""
    return f"{client} push to a server that only reads"


_ALONE = {
    "skopeo": "what skopeo itself does with the bytes",
    "docker": "what docker itself does: it compresses the layer while it sends it",
}
_BOUNDS = {
    ours("skopeo"): "SeaweedFS, one relaying process, ingest and skopeo, on two processors",
    ours("docker"): "docker's gzip, and beside it SeaweedFS, one relaying process and ingest",
    **{debian(client): "its own disk and SHA-256, and the client" for client in CLIENTS},
    **{sunk(client): bound for client, bound in _ALONE.items()},
    ONE: "SeaweedFS, one relaying process and ingest, on two processors",
    FRONT: "SeaweedFS and one relaying process, on two processors",
    RAW: "SeaweedFS",
}
# Of an image, in a folder, to a host, as somebody or without a login.
_Push = Callable[[image.Image, Path, str, Account | None], float]
_AIM = "1 is no overhead; the aim is 1.3"


def measure(cloud: Cloud, folder: Path, note: Callable[[str], None], rounds: int = ROUNDS) -> list[Figure]:
    """Pushes of one layer of noise, another one each time; then eight uploads at once."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as home,
        docker.engine(Path(home), folder / "docker.log") as engine,
    ):
        note("warming")
        alternating(Pushes(cloud, folder, engine, _WARMING_BYTES).contestants(), 1, note)
        pushes = Pushes(cloud, folder, engine, _LAYER_BYTES)
        runs = alternating(pushes.contestants(), rounds, note)
    note(f"{AT_ONCE} uploads at once")
    eight = [at_once(cloud, folder) for _ in range(rounds)]
    return figures(runs, pushes.peaks, eight)


def figures(
    runs: Mapping[str, Sequence[float]], peaks: Sequence[float], eight: Sequence[tuple[float, float]]
) -> list[Figure]:
    """The runs, the ratios, and the function's own; ``eight`` are MB per second and peaks."""
    times = [Figure(PART, name, "s", tuple(runs[name]), bound) for name, bound in _BOUNDS.items()]
    ratios = [_ratio(runs, name, RAW, _AIM) for name in (ONE, *map(ours, CLIENTS))]
    for client in CLIENTS:
        apart = [raw + own for raw, own in zip(runs[RAW], runs[sunk(client)], strict=True)]
        name = f"{ours(client)} / ({RAW} + {sunk(client)})"
        ratios += [
            _ratio(runs, ours(client), FRONT, "the same, without what the local cloud's relay costs"),
            _ratio(runs, ours(client), sunk(client), "1 is the client alone"),
            ratio(PART, name, runs[ours(client)], apart, "1 is store and client one after the other"),
            _ratio(runs, ours(client), debian(client), "1 is as good; its store is one file"),
        ]
    rates, at_most = zip(*eight, strict=True)
    return [
        *times,
        *ratios,
        Figure(PART, EIGHT_RATE, "MB/s", tuple(rates), "SeaweedFS, on two processors"),
        Figure(PART, PUSHES_PEAK, "MB", tuple(peaks), "Node.js itself has 60; buffers for parts have 42"),
        Figure(PART, EIGHT_PEAK, "MB", tuple(at_most), "the aim is 200: the buffers are shared"),
    ]


def _ratio(runs: Mapping[str, Sequence[float]], one: str, other: str, bound: str) -> Figure:
    return ratio(PART, f"{one} / {other}", runs[one], runs[other], bound)


@dataclass
class Pushes:
    """The contestants; ``peaks`` are those of the function in each push to the registry."""

    cloud: Cloud
    folder: Path
    engine: docker.Engine
    size: int
    peaks: list[float] = field(default_factory=list)

    def contestants(self) -> dict[str, Callable[[], float]]:
        """By name; each makes an image, times its push, and clears the disk."""
        pushes: dict[str, Callable[[image.Image, Path], float]] = {}
        for client, push in (("skopeo", self._by_skopeo), ("docker", self._by_docker)):
            pushes[ours(client)] = partial(self._to_moorage, push)
            pushes[debian(client)] = partial(self._to_debian, push)
            pushes[sunk(client)] = partial(self._to_sink, push)
        pushes[ONE] = lambda made, _: self._noting_peak(lambda: self._streamed(made))
        pushes[FRONT] = lambda made, _: raw_put(self.cloud, layer(made), self.cloud.s3_front)
        pushes[RAW] = lambda made, _: raw_put(self.cloud, layer(made), self.cloud.s3)
        return {
            name: with_new_image(self.cloud, self.folder, self.size, push) for name, push in pushes.items()
        }

    def _noting_peak(self, push: Callable[[], float]) -> float:
        memory = Memory.of_the_function(self.cloud.state)
        memory.reset()
        taken = push()
        self.peaks.append(memory.peak_megabytes())
        return taken

    def _to_moorage(self, push: _Push, made: image.Image, folder: Path) -> float:
        account = Account(self.cloud.username, self.cloud.password)
        host = self.cloud.endpoint.removeprefix("http://")
        return self._noting_peak(lambda: push(made, folder, host, account))

    def _to_debian(self, push: _Push, made: image.Image, folder: Path) -> float:
        with docker_registry(folder) as host:
            return push(made, folder, host, None)

    def _to_sink(self, push: _Push, made: image.Image, folder: Path) -> float:
        with sink() as server:
            taken = push(made, folder, server.host, None)
            if server.received < self.size:
                raise RuntimeError(f"{server.received} bytes instead of {self.size}")
            return taken

    def _streamed(self, made: image.Image) -> float:
        blob = layer(made)
        os.sync()
        started = time.perf_counter()
        stream(self.cloud, _REPOSITORY, blob, f"sha256:{blob.name}")
        return time.perf_counter() - started

    def _by_skopeo(self, made: image.Image, folder: Path, host: str, account: Account | None) -> float:
        skopeo = Skopeo(folder)
        (folder / "auth.json").write_text("{}", "utf-8")
        if account:
            _checked(skopeo.login(host, account))
        os.sync()
        return _checked(skopeo.push(made, f"{host}/{_REPOSITORY}:{image.TAG}"))

    def _by_docker(self, made: image.Image, _: Path, host: str, account: Account | None) -> float:
        reference = f"{host}/{_REPOSITORY}:{image.TAG}"
        if account:
            words = ("login", "--username", account.username, "--password-stdin", host)
            _checked(self.engine.run(*words, secret=account.password))
        archive = made.docker_archive
        name = self.engine.must("load", "--quiet", "--input", archive).output.removeprefix("Loaded image: ")
        archive.unlink()
        self.engine.must("tag", name, reference)
        os.sync()
        try:
            return _checked(self.engine.run("push", reference))
        finally:
            self.engine.must("rmi", name, reference)


def at_once(cloud: Cloud, folder: Path, size: int = _AT_ONCE_BYTES) -> tuple[float, float]:
    """So many uploads at once: MB per second of all together, and the function's peak in MB."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        blobs = [
            layer(image.build(Path(name) / str(number), secrets.token_hex(8), [size]))
            for number in range(AT_ONCE)
        ]
        memory = Memory.of_the_function(cloud.state)
        memory.reset()
        os.sync()
        started = time.perf_counter()
        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda blob: stream(cloud, _REPOSITORY, blob, f"sha256:{blob.name}"), blobs))
            taken = time.perf_counter() - started
            return AT_ONCE * size / 1e6 / taken, memory.peak_megabytes()
        finally:
            cloud.drop_objects()


def _checked(outcome: Outcome) -> float:
    """How long it took, in seconds.

    Raises:
        RuntimeError: it failed.
    """
    if outcome.exit_code:
        raise RuntimeError(str(outcome))
    return outcome.seconds
