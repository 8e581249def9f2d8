"""Manifests per second from the local cloud, beside what its table's emulator gives of the same reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import urllib3

from bench.cloud import Cloud
from bench.figures import Figure, alternating, ratio
from moorage.adapters import keys
from moorage.adapters.dynamodb.rows import to_item
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.names import Repository

PART = "local cloud"
ROUNDS = 5
REPOSITORY = "demo/small"
TAG = "v1"
_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
_MANIFEST = b'{"schemaVersion":2,"mediaType":"%s","manifests":[]}' % _MEDIA_TYPE.encode()
_SECONDS = 3.0
_REQUESTS = 300
_CLIENTS = (1, 4)
_BOUND = "the emulator's reads, two processors, and a process per request under way"


def measure(cloud: Cloud, note: Callable[[str], None], rounds: int = ROUNDS) -> list[Figure]:
    """GETs of a manifest by tag; pairs of the reads that each takes, sent again as they were signed once."""
    cloud.push(REPOSITORY, [], _MANIFEST, _MEDIA_TYPE, TAG)
    contestants: dict[str, Callable[[], float]] = {}
    for clients in _CLIENTS:
        contestants[_registry_name(clients)] = _rate(clients, lambda: _manifest_reader(cloud))
        contestants[_emulator_name(clients)] = _rate(clients, lambda: _row_reader(cloud))
    runs = alternating(contestants, rounds, note)
    figures = []
    for clients in _CLIENTS:
        registry, emulator = runs[_registry_name(clients)], runs[_emulator_name(clients)]
        figures += [
            Figure(PART, _registry_name(clients), "/s", registry, _BOUND),
            Figure(PART, _emulator_name(clients), "/s", emulator, "the emulator"),
            ratio(PART, f"the one by the other, {_of(clients)}", registry, emulator, "at most 1"),
        ]
    return figures


def _of(clients: int) -> str:
    return f"{clients} client{'s' if clients > 1 else ''}"


def _registry_name(clients: int) -> str:
    return f"manifest GET by tag, {_of(clients)}"


def _emulator_name(clients: int) -> str:
    return f"its two reads from the emulator, {_of(clients)}"


def _rate(clients: int, reader: Callable[[], Callable[[], None]]) -> Callable[[], float]:
    """How often per second all clients together do what a reader does, for a few seconds or hundred times."""

    def one(read: Callable[[], None], deadline: float) -> int:
        done = 0
        while done < _REQUESTS and time.perf_counter() < deadline:
            read()
            done += 1
        return done

    def run() -> float:
        readers = [reader() for _ in range(clients)]
        for read in readers:
            read()
        started = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            done = sum(pool.map(one, readers, [started + _SECONDS] * clients))
        return done / (time.perf_counter() - started)

    return run


def _manifest_reader(cloud: Cloud) -> Callable[[], None]:
    headers = {"Authorization": f"Bearer {cloud.token(REPOSITORY)}"}
    place = urlsplit(cloud.endpoint)
    pool = urllib3.HTTPConnectionPool(str(place.hostname), place.port)

    def read() -> None:
        _expect(pool.request("GET", f"/v2/{REPOSITORY}/manifests/{TAG}", headers=headers))

    return read


def _row_reader(cloud: Cloud) -> Callable[[], None]:
    place = urlsplit(cloud.dynamodb)
    pool = urllib3.HTTPConnectionPool(str(place.hostname), place.port)
    reads = _signed_reads(cloud)

    def read() -> None:
        for body, headers in reads:
            _expect(pool.request("POST", "/", body=body, headers=headers))

    return read


def _signed_reads(cloud: Cloud) -> list[tuple[bytes, Mapping[str, str]]]:
    """The two requests, whole: what signing costs is the client's part and not the emulator's."""
    client = cloud.client("dynamodb", cloud.dynamodb)
    sent: list[Any] = []
    client.meta.events.register("before-send", lambda request, **_: sent.append(request))
    (table,) = client.list_tables()["TableNames"]
    sent.clear()
    repository, digest = Repository.parse(REPOSITORY), Digest.of(_MANIFEST, Algorithm.SHA256)
    for key in (keys.tag(repository, TAG), keys.manifest(repository, digest)):
        answer = client.get_item(TableName=table, Key=to_item(key._asdict()), ConsistentRead=True)
        if "Item" not in answer:
            raise RuntimeError(f"there is no row {key}")
    return [(each.body, {name: _text(value) for name, value in each.headers.items()}) for each in sent]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _expect(answer: urllib3.BaseHTTPResponse) -> None:
    if answer.status != 200:  # noqa: PLR2004
        raise RuntimeError(f"{answer.status} {answer.data[:500]!r}")
