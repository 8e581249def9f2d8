"""What a copy between organisations costs: time, bytes at the store, calls; beside one made by a client."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from bench.cli_push import COMMAND, spent
from bench.cloud import Cloud, checked
from bench.figures import Figure, alternating, ratio
from bench.functions import ROOT
from local.service import ADMIN_ENVIRONMENT, S3_TRAFFIC
from moorage.domain.jobs import DOCUMENT_PREFIX
from tests.clients import bucket, image
from tests.docs.organisation import Organisation, founded

PART = "copy of 2 GB in ten layers"
ROUNDS = 5
LAYERS = 10
MANIFESTS = (10, 100, 1_000)
_LAYER_BYTES = 200_000_000
_NAME, _HALF = "copied", "half"
_ORG = "demo"
_POLL_SECONDS = 0.01
_SECONDS = 300
_OPEN = ("queued", "running")

FIRST, OURS = "from the request to succeeded, first", "from the request to succeeded"
SKOPEO = "skopeo copy between the same repositories"
ASKED = "requests for blobs at the S3 front in a copy"
MOVED = "bytes in and out of SeaweedFS's S3 in a copy"
READS, WRITES = "reads of SeaweedFS's volumes in a copy", "writes of SeaweedFS's volumes in a copy"
MOVED_BY_SKOPEO = "bytes in and out of SeaweedFS's S3 in a copy by skopeo"
CALLS_OF_REQUEST, CALLS_OF_WORKER = "AWS calls of the request", "AWS calls of the worker"
FAR = "between two stores, half of the image lacking"
COPIED = "bytes copied between two stores / bytes that the destination lacked"
AGAIN = "bytes copied between two stores by a second copy"

# Where skopeo, run by root, keeps what it knows of blobs.
_KNOWN = "/var/lib/containers/cache"
# In a namespace of mounts of its own, whose end undoes them.
_FORGETFUL = f'mkdir -p {_KNOWN} && mount --bind "$0" {_KNOWN} && exec "$@"'

_READS = re.compile(r'^SeaweedFS_volumeServer_request_total\{.*type="(?:GET|HEAD)".*\} (\S+)$', re.MULTILINE)
_WRITES = re.compile(
    r'^SeaweedFS_volumeServer_request_total\{.*type="(?:POST|PUT|DELETE)".*\} (\S+)$', re.MULTILINE
)
_BYTES = re.compile(r"^SeaweedFS_s3_bucket_traffic_(?:received|sent)_bytes_total\{.*\} (\S+)$", re.MULTILINE)

Calls = Mapping[str, Mapping[str, int]]
"""Of the request and of the worker, each operation with how often it was called."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What was asked of the store until some time: ``requests`` at its front, but for documents of jobs;
    ``size`` is the bytes that went in and out behind it; ``reads`` and ``writes`` are of the volumes in which
    all content lies.
    """

    requests: int
    size: int
    reads: int
    writes: int

    @classmethod
    def by(cls, cloud: Cloud) -> Touched:
        """All until now."""
        journal = (cloud.state / "traffic" / S3_TRAFFIC).read_text("utf-8")
        counted = checked(urllib3.request("GET", f"{cloud.metrics}/metrics"), 200).data.decode()
        return cls.parse(journal, counted)

    @classmethod
    def parse(cls, journal: str, metrics: str) -> Touched:
        """What the journal of the front and SeaweedFS's own metrics say."""
        paths = (json.loads(line)["path"] for line in journal.splitlines())
        asked = sum(f"/{DOCUMENT_PREFIX}" not in path for path in paths)
        kinds = (_BYTES, _READS, _WRITES)
        return cls(asked, *(int(sum(map(float, kind.findall(metrics)))) for kind in kinds))

    def since(self, before: Touched) -> Touched:
        """What was asked after that."""
        return Touched(
            self.requests - before.requests,
            self.size - before.size,
            self.reads - before.reads,
            self.writes - before.writes,
        )


@dataclass(frozen=True, slots=True)
class Apart:
    """Copies between two stores: how long each took, and of what was lacking, how much was copied."""

    seconds: Sequence[float]
    copied: Sequence[float]
    lacking: Sequence[float]
    again: float


def measure(
    cloud: Cloud,
    folder: Path,
    note: Callable[[str], None],
    rounds: int = ROUNDS,
    layer_bytes: int = _LAYER_BYTES,
    manifests: Sequence[int] = MANIFESTS,
) -> list[Figure]:
    """Copies of one image, each into an organisation that is new."""
    note("making an image and pushing it")
    copies = Copies(cloud, folder, *_push(cloud, folder, layer_bytes))
    copies.require_counted()
    note("first copy")
    first = copies.by_moorage()
    copies.touched.clear()
    runs = alternating({OURS: copies.by_moorage, SKOPEO: copies.by_skopeo}, rounds, note)
    note("between two stores")
    apart = copies.apart()
    note("counting calls")
    calls = copies.calls(manifests)
    return figures({FIRST: (first,), **runs}, copies, apart, dict(zip((1, *manifests), calls, strict=True)))


def figures(
    runs: Mapping[str, Sequence[float]], copies: Copies, apart: Apart, calls: Mapping[int, Calls]
) -> list[Figure]:
    """The runs, what was asked of the store, and the calls by the number of manifests."""
    touched = copies.touched
    made = [
        Figure(PART, FIRST, "s", tuple(runs[FIRST]), "the worker's start, and the calls"),
        Figure(PART, OURS, "s", tuple(runs[OURS]), "the calls, most of them eight at a time; the aim is 1 s"),
        Figure(PART, SKOPEO, "s", tuple(runs[SKOPEO]), "each byte out of the store, through it and in again"),
        ratio(PART, f"{OURS} / {SKOPEO}", runs[OURS], runs[SKOPEO], "1 is as fast"),
        Figure(
            PART, ASKED, "", tuple(float(each.requests) for each in touched), "0: the table is all it takes"
        ),
        Figure(
            PART,
            MOVED,
            "bytes",
            tuple(float(each.size) for each in touched),
            "the document of the job, which calls the worker",
        ),
        Figure(PART, READS, "", tuple(float(each.reads) for each in touched), "0: nothing is read"),
        Figure(
            PART,
            WRITES,
            "",
            tuple(float(each.writes) for each in touched),
            "the same document, and what SeaweedFS now and then writes for itself",
        ),
        Figure(
            PART,
            MOVED_BY_SKOPEO,
            "MB",
            tuple(each.size / 1_000_000 for each in copies.touched_by_skopeo),
            "the image out of the store, and into it again",
        ),
        Figure(PART, FAR, "s", tuple(apart.seconds), "SeaweedFS, which copies and hashes each byte itself"),
        ratio(PART, COPIED, apart.copied, apart.lacking, "1 is what it takes"),
        Figure(PART, AGAIN, "bytes", (apart.again,), "0"),
    ]
    for count, each in calls.items():
        what = f"an index of {count:,} manifests" if count > 1 else "the image"
        for name, kind in ((CALLS_OF_REQUEST, "request"), (CALLS_OF_WORKER, "worker")):
            asked = each[kind]
            made.append(Figure(PART, f"{name}, {what}", "", (float(sum(asked.values())),), _listed(asked)))
    return made


def _listed(calls: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(calls.items(), key=lambda each: -each[1]))


Blobs = Mapping[str, int]
"""The sizes of blobs by their digests."""


@dataclass
class Copies:
    """The contestants; ``touched`` and ``touched_by_skopeo`` are what is measured beside. ``whole`` are the
    blobs of the image, ``half`` those of the one that has half of its layers.
    """

    cloud: Cloud
    folder: Path
    whole: Blobs = field(default_factory=dict)
    half: Blobs = field(default_factory=dict)
    touched: list[Touched] = field(default_factory=list)
    touched_by_skopeo: list[Touched] = field(default_factory=list)
    _made: int = 0

    def require_counted(self) -> None:
        """Make sure that nothing is 0 because it is not counted.

        Raises:
            RuntimeError: the push of the image was not seen.
        """
        pushed, size = Touched.by(self.cloud), sum(self.whole.values())
        if pushed.size < size or min(pushed.requests, pushed.writes) < len(self.whole):
            raise RuntimeError(f"a push of {len(self.whole)} blobs of {size} bytes was counted as {pushed}")

    def by_moorage(self) -> float:
        """How long a copy takes in one store, in seconds."""
        to = self._organisation()
        before = Touched.by(self.cloud)
        taken, job = self._copy(image.TAG, to)
        self.touched.append(Touched.by(self.cloud).since(before))
        _require(job, "copiedBytes", 0)
        return taken

    def by_skopeo(self) -> float:
        """The same by a client that has pushed and pulled nothing before; what it stores is removed again."""
        to, kept = self._organisation(), self.cloud.objects()
        host = self.cloud.endpoint.removeprefix("http://")
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            home, words = Path(name), ["skopeo", "--insecure-policy", "copy", "--quiet"]
            for side, org, key in (("src", _ORG, self.cloud.password), ("dest", to.name, to.key)):
                login = home / f"{side}.json"
                basic = base64.b64encode(f"<token>:{key}".encode()).decode()
                login.write_text(json.dumps({"auths": {f"{host}/{org}": {"auth": basic}}}), "utf-8")
                words += [f"--{side}-authfile", str(login), f"--{side}-tls-verify=false"]
            words += [f"docker://{host}/{org}/{_NAME}:{image.TAG}" for org in (_ORG, to.name)]
            # It would remember of blobs where they are, and not send them again.
            environment = {**os.environ, "HOME": name, "XDG_DATA_HOME": name}
            os.sync()
            before = Touched.by(self.cloud)
            taken = spent(
                ("unshare", "--mount", "--", "sh", "-c", _FORGETFUL, name, *words), environment
            ).wall
            self.touched_by_skopeo.append(Touched.by(self.cloud).since(before))
        self.cloud.drop_objects(kept)
        return taken

    def apart(self) -> Apart:
        """Copies of the half, the whole, and the whole once more, into an organisation of another store."""
        to, held = self._organisation(bucket.SECOND), dict[str, int]()
        seconds, copied, lacking = [], [], []
        for tag, blobs in ((_HALF, self.half), (image.TAG, self.whole)):
            lacking.append(float(sum(size for digest, size in blobs.items() if digest not in held)))
            held |= blobs
            taken, job = self._copy(tag, to)
            seconds.append(taken)
            copied.append(float(job["copiedBytes"]))
        stored = sum(bucket.sizes(self.cloud.state, "copy/", bucket.SECOND))
        if stored != sum(copied):
            raise RuntimeError(
                f"the job says that {sum(copied):.0f} bytes were copied, the store holds {stored}"
            )
        _, again = self._copy(image.TAG, to, destinationName="again")
        return Apart(seconds, copied, lacking, float(again["copiedBytes"]))

    def calls(self, manifests: Sequence[int]) -> list[Calls]:
        """What a copy of the image, and of indexes of so many manifests, asks of AWS."""
        environment = json.loads((self.cloud.state / ADMIN_ENVIRONMENT).read_text("utf-8"))
        words = [self._organisation().name, f"{_NAME}:{image.TAG}", *map(str, manifests)]
        counted = subprocess.run(
            [sys.executable, "-m", "bench.copy_calls", *words],
            cwd=ROOT,
            env={**os.environ, **environment, "S3_ADDRESSING_STYLE": "path"},
            capture_output=True,
            check=False,
        )
        if counted.returncode:
            raise RuntimeError(f"copy_calls: {counted.stderr[-2000:]!r}")
        found: list[Calls] = json.loads(counted.stdout)
        return found

    def _organisation(self, store: str = bucket.DEFAULT) -> Organisation:
        """One that nobody has copied to, which lets the superuser of ``demo`` do that."""
        self._made += 1
        made = founded(self.cloud.state, f"copies-{self._made}", self.folder, store)
        binding = {"permissions": ["create"], "principalLinks": [f"/org/{_ORG}/serviceaccount/admin"]}
        policy = {"name": "copies", "targetKind": "image", "target": "all", "bindings": [binding]}
        made.ok("PUT", "/policy", policy)
        return made

    def _copy(self, tag: str, to: Organisation, **wish: Any) -> tuple[float, Any]:
        """How long it took from the request until the job was seen to have succeeded, and the job.

        Raises:
            RuntimeError: it has not.
        """
        headers = {"Authorization": f"Bearer {self.cloud.password}", "Content-Type": "application/json"}
        body = {"destinationOrg": to.name, **wish}
        with urllib3.PoolManager(retries=False, timeout=60.0) as pool:
            started = time.perf_counter()
            url = f"{self.cloud.endpoint}/org/{_ORG}/image/{_NAME}:{tag}/-copy"
            answer = checked(pool.request("POST", url, json=body, headers=headers), 202)
            place = self.cloud.endpoint + answer.headers["Location"]
            while (job := answer.json())["state"] in _OPEN and time.perf_counter() < started + _SECONDS:
                time.sleep(_POLL_SECONDS)
                answer = checked(pool.request("GET", place, headers=headers), 200)
            taken = time.perf_counter() - started
        _require(job, "state", "succeeded")
        return taken, job


def _require(job: Any, name: str, value: object) -> None:
    if job[name] != value:
        raise RuntimeError(f"{name} of a copy is {job[name]!r}: {job.get('reason')}")


def _push(cloud: Cloud, folder: Path, layer_bytes: int) -> tuple[Blobs, Blobs]:
    """Push an image, and one that has every other of its layers; the blobs of both. Nothing else is left."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        layout = image.build(Path(name), _NAME, [layer_bytes] * LAYERS).layout
        environment = {
            **os.environ,
            "MOORAGE_HOME": str(Path(name) / "home"),
            "MOORAGE_ENDPOINT": cloud.endpoint,
            "MOORAGE_ORG": _ORG,
            "MOORAGE_TOKEN": cloud.password,
        }
        spent((*COMMAND, f"oci:{layout}", f"{_NAME}:{image.TAG}"), environment)
        whole = blobs_of(layout)
        halve(layout)
        spent((*COMMAND, f"oci:{layout}", f"{_NAME}:{_HALF}"), environment)
        return whole, blobs_of(layout)


def blobs_of(layout: Path) -> Blobs:
    """The blobs of the image in a layout."""
    _, manifest = _manifest(layout)
    return {each["digest"]: each["size"] for each in (manifest["config"], *manifest["layers"])}


def _manifest(layout: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The index of a layout, and the manifest that it names."""
    index = json.loads((layout / "index.json").read_bytes())
    place = layout / "blobs" / index["manifests"][0]["digest"].replace(":", "/")
    return index, json.loads(place.read_bytes())


def halve(layout: Path) -> None:
    """Leave the image every other layer."""
    index, manifest = _manifest(layout)
    manifest["layers"] = manifest["layers"][::2]
    body = json.dumps(manifest).encode()
    digest = image.digest(body)
    (layout / "blobs" / digest.replace(":", "/")).write_bytes(body)
    index["manifests"][0] |= {"digest": digest, "size": len(body)}
    (layout / "index.json").write_text(json.dumps(index), "utf-8")
