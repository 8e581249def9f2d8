"""Wall time of a push, beside another registry's, the client's own share, and the bare bytes to the store."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3

from bench.cloud import Cloud, checked
from bench.figures import Figure, alternating, ratio
from bench.peers import docker_registry
from bench.sink import sink
from tests.clients import image
from tests.clients.containerd import containerd

PART = "push of 700 MB"
ROUNDS = 3
_LAYER_BYTES = 700_000_000
# Large enough for the parts, which have at least 5 MiB.
_WARMING_BYTES = 60_000_000
_PARTS = 8
_REPOSITORY = "demo/pushed"
_POLL_SECONDS = 0.1
_SECONDS = 300

OURS, DEBIAN = "ctr push to moorage", "ctr push to Debian's docker-registry"
SINK = "ctr push to a server that only reads"
ONE = "presigned: one PUT, linked"
STORED, LINKED = "presigned: 8 parts at once, stored", "presigned: 8 parts at once, linked"
RAW, FRONT = "raw PUT to SeaweedFS itself", "raw PUT through the S3 front"
ENTERED = "blobs that entered the function in a push by ctr"
_BOUNDS = {
    OURS: "SeaweedFS, one relaying process and ctr, on two processors",
    DEBIAN: "its own disk and SHA-256, and ctr",
    SINK: "what ctr itself does with the bytes",
    ONE: "the raw PUT through the S3 front, and SHA-256 of each byte in SeaweedFS",
    STORED: "the raw PUT through the S3 front",
    LINKED: "the same, and each byte once more out of SeaweedFS and through SHA-256",
    FRONT: "SeaweedFS and one relaying process, on two processors",
    RAW: "SeaweedFS",
}
_PAIRS = {
    **{(ours, RAW): "1 is no overhead; the aim is 1.2" for ours in (OURS, ONE, STORED, LINKED)},
    **{
        (ours, FRONT): "the same, without what the local cloud's relay costs"
        for ours in (OURS, ONE, STORED, LINKED)
    },
    (FRONT, RAW): "what the relay costs",
    (OURS, DEBIAN): "1 is as good; its store is one file",
}
WITHOUT_US = f"{OURS} / ({RAW} + {SINK})"


@dataclass(frozen=True)
class Piece:
    """A part of a blob, or all of it, and where it is PUT."""

    url: str
    headers: Mapping[str, str]
    offset: int
    size: int


def measure(cloud: Cloud, folder: Path, note: Callable[[str], None], rounds: int = ROUNDS) -> list[Figure]:
    """Pushes of one layer of noise, another one each time; nothing of it is left when the next begins."""
    note("warming")
    # The journal of what enters the function begins with the first request.
    checked(urllib3.request("GET", f"{cloud.endpoint}/v2/"), 401)
    alternating(Pushes(cloud, folder, _WARMING_BYTES).contestants(), 1, note)
    pushes = Pushes(cloud, folder, _LAYER_BYTES)
    runs = alternating(pushes.contestants(), rounds, note)
    return figures({**runs, STORED: tuple(pushes.stored)}, pushes.entered)


def figures(runs: Mapping[str, Sequence[float]], entered: Sequence[int]) -> list[Figure]:
    """The runs, what entered the function, and the ratios."""
    times = [Figure(PART, name, "s", tuple(runs[name]), bound) for name, bound in _BOUNDS.items()]
    bodies = Figure(PART, ENTERED, "bytes", tuple(entered), "0: they go past it")
    ratios = [
        ratio(PART, f"{one} / {other}", runs[one], runs[other], bound)
        for (one, other), bound in _PAIRS.items()
    ]
    apart = [raw + own for raw, own in zip(runs[RAW], runs[SINK], strict=True)]
    ours = ratio(PART, WITHOUT_US, runs[OURS], apart, "1 is store and client one after the other")
    return [*times, bodies, *ratios, ours]


def with_new_image(
    cloud: Cloud, folder: Path, size: int, push: Callable[[image.Image, Path], float]
) -> Callable[[], float]:
    """``push`` of another image with a layer of ``size`` bytes each time, of which nothing is left then."""

    def run() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            try:
                return push(image.build(Path(name), secrets.token_hex(8), [size]), Path(name))
            finally:
                cloud.drop_objects()

    return run


@dataclass
class Pushes:
    """The contestants; ``stored`` and ``entered`` are what is measured beside."""

    cloud: Cloud
    folder: Path
    size: int
    stored: list[float] = field(default_factory=list)
    entered: list[int] = field(default_factory=list)

    def contestants(self) -> dict[str, Callable[[], float]]:
        """By name; each makes an image, times its push, and clears the disk."""
        pushes: dict[str, Callable[[image.Image, Path], float]] = {
            OURS: self._to_moorage,
            DEBIAN: self._to_debian,
            SINK: self._to_sink,
            ONE: lambda made, _: self._presigned(made, 1),
            LINKED: lambda made, _: self._presigned(made, _PARTS),
            FRONT: lambda made, _: raw_put(self.cloud, layer(made), self.cloud.s3_front),
            RAW: lambda made, _: raw_put(self.cloud, layer(made), self.cloud.s3),
        }
        return {
            name: with_new_image(self.cloud, self.folder, self.size, push) for name, push in pushes.items()
        }

    def _to_moorage(self, made: image.Image, folder: Path) -> float:
        before = entered(self.cloud.state)
        host = self.cloud.endpoint.removeprefix("http://")
        taken = _ctr(made, folder, host, self.cloud.username, self.cloud.password)
        self.entered.append(entered(self.cloud.state) - before)
        return taken

    def _to_debian(self, made: image.Image, folder: Path) -> float:
        with docker_registry(folder) as host:
            return _ctr(made, folder, host)

    def _to_sink(self, made: image.Image, folder: Path) -> float:
        with sink() as server:
            taken = _ctr(made, folder, server.host)
            if server.received < self.size:
                raise RuntimeError(f"{server.received} bytes instead of {self.size}")
            return taken

    def _presigned(self, made: image.Image, parts: int) -> float:
        blob = layer(made)
        size = blob.stat().st_size
        asked = {"digest": f"sha256:{blob.name}", "size": size}
        if parts > 1:
            asked["partSize"] = -(-size // parts)
        os.sync()
        started = time.perf_counter()
        headers = {"Authorization": f"Bearer {self.cloud.token(_REPOSITORY)}"}
        uploads = f"{self.cloud.endpoint}/v2/{_REPOSITORY}/blobs/uploads/_presigned/"
        upload = checked(urllib3.request("POST", uploads, json=asked, headers=headers), 201).json()
        put(blob, pieces(upload))
        this = uploads + upload["id"]
        answer = checked(urllib3.request("POST", f"{this}/complete", headers=headers), 201, 202).json()
        if parts > 1:
            self.stored.append(time.perf_counter() - started)
        while answer["state"] == "verifying" and time.perf_counter() < started + _SECONDS:
            time.sleep(_POLL_SECONDS)
            answer = checked(urllib3.request("GET", this, headers=headers), 200).json()
        if answer["state"] != "linked":
            raise RuntimeError(f"not linked: {answer}")
        return time.perf_counter() - started


def _ctr(made: image.Image, folder: Path, host: str, username: str = "", password: str = "") -> float:
    """Push by a containerd that holds nothing else and is new to the registry."""
    reference = f"{host}/{_REPOSITORY}:{image.TAG}"
    words = ["images", "push", "--plain-http", *(["--user", f"{username}:{password}"] if username else [])]
    with containerd(folder, folder / "containerd.log", ()) as daemon:
        daemon.must("images", "import", "--no-unpack", made.oci_archive)
        daemon.must("images", "tag", f"local.invalid/{made.name}:{image.TAG}", reference)
        # What is still to be written to the disk is not written while the clock runs.
        os.sync()
        outcome = daemon.run(*words, reference, secret=password)
    if outcome.exit_code:
        raise RuntimeError(str(outcome))
    return outcome.seconds


def layer(made: image.Image) -> Path:
    """The layer's file, which is named for its digest."""
    return max((made.layout / "blobs" / "sha256").iterdir(), key=lambda file: file.stat().st_size)


def raw_put(cloud: Cloud, blob: Path, endpoint: str) -> float:
    """How long one presigned PUT of the file takes, in seconds."""
    client, bucket = cloud.bucket(endpoint)
    url = client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "raw"})
    os.sync()
    started = time.perf_counter()
    put(blob, [Piece(url, {}, 0, blob.stat().st_size)])
    return time.perf_counter() - started


def pieces(upload: Mapping[str, Any]) -> list[Piece]:
    """What an upload that was just begun asks for."""
    if put := upload.get("put"):
        return [Piece(put["url"], put["headers"], 0, upload["size"])]
    step = upload["partSize"]
    return [Piece(part["url"], {}, (part["number"] - 1) * step, part["size"]) for part in upload["parts"]]


def put(blob: Path, wanted: Sequence[Piece]) -> None:
    """PUT all pieces of a file at once; the kernel moves the bytes, so that the sender costs next to nothing.

    Raises:
        RuntimeError: one was not taken.
    """

    def one(piece: Piece) -> None:
        place = urlsplit(piece.url)
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=_SECONDS)
        with blob.open("rb") as file:
            connection.putrequest("PUT", f"{place.path}?{place.query}")
            for name, value in {**piece.headers, "Content-Length": str(piece.size)}.items():
                connection.putheader(name, value)
            connection.endheaders()
            connection.sock.sendfile(file, piece.offset, piece.size)
            with connection.getresponse() as answer:
                said = answer.read(500)
        connection.close()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{answer.status} {said!r}")

    with ThreadPoolExecutor(len(wanted)) as pool:
        list(pool.map(one, wanted))


def entered(state: Path) -> int:
    """How many bytes of bodies of uploads the registry function was given until now."""
    journal = state / "traffic" / "RegistryFunction.jsonl"
    events = map(json.loads, journal.read_text("utf-8").splitlines())
    return sum(event["body_bytes"] for event in events if "/blobs/uploads/" in event["path"])
