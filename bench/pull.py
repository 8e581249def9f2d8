"""Wall time of a pull, beside another registry's and beside the bare bytes from the same store."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3

from bench import image
from bench.cloud import Cloud
from bench.figures import Figure, alternating, ratio
from bench.peers import docker_registry

PART = "pull of 200 MB"
ROUNDS = 9
REPOSITORY = "demo/large"
TAG = "v1"
_LAYERS, _LAYER_BYTES = 4, 50_000_000
# As skopeo does.
_AT_ONCE = "6"
_SECONDS = 120

OURS, DEBIAN = "skopeo copy from moorage", "skopeo copy from Debian's docker-registry"
RAW, DIRECT = "raw GETs through the S3 front", "raw GETs from SeaweedFS itself"
CURL, FOLDER = "curl by way of moorage", "skopeo copy from a folder"
_BOUNDS = {
    OURS: "the store's bytes, and SHA-256 of each in skopeo",
    DEBIAN: "its own disk, and SHA-256 of each byte in skopeo",
    RAW: "SeaweedFS and one relaying process, on two processors",
    DIRECT: "SeaweedFS",
    CURL: "the raw GETs; before them a token, a manifest and a redirect for each blob",
    FOLDER: "what skopeo itself does with the bytes, without any network",
}


_RATIO = "1 is no overhead"


def measure(cloud: Cloud, folder: Path, note: Callable[[str], None], rounds: int = ROUNDS) -> list[Figure]:
    """Pulls by skopeo into a new folder, and GETs of the same objects by curl into files, as many at once."""
    made = image.build(_LAYERS, _LAYER_BYTES)
    note(f"pushing {made.size / 1e6:.0f} MB in chunks")
    cloud.push(REPOSITORY, made.blobs, made.manifest, image.MEDIA_TYPE, TAG)
    source = folder / "image"
    made.write(source)
    with docker_registry(folder) as other:
        _skopeo(f"dir:{source}", f"docker://{other}/large:{TAG}", "--dest-tls-verify=false")
        place = folder / "pulled"
        login = login_file(folder, cloud)
        ours = f"docker://{cloud.endpoint.removeprefix('http://')}/{REPOSITORY}:{TAG}"
        contestants: dict[str, Callable[[], float]] = {
            OURS: lambda: pull(ours, place, "--src-tls-verify=false", f"--src-authfile={login}"),
            DEBIAN: lambda: pull(f"docker://{other}/large:{TAG}", place, "--src-tls-verify=false"),
            RAW: lambda: get(urls(cloud, cloud.s3_front), place, made.size),
            DIRECT: lambda: get(urls(cloud, cloud.s3), place, made.size),
            CURL: lambda: get_by_redirects(cloud, folder, place, made.size),
            FOLDER: lambda: pull(f"dir:{source}", place),
        }
        for contestant in contestants.values():
            contestant()
        runs = alternating(contestants, rounds, note)
    figures = [Figure(PART, name, "s", runs[name], bound) for name, bound in _BOUNDS.items()]
    pairs = ((OURS, DEBIAN), (OURS, FOLDER), (OURS, RAW), (CURL, RAW))
    return figures + [ratio(PART, f"{one} / {other}", runs[one], runs[other], _RATIO) for one, other in pairs]


def pull(source: str, place: Path, *options: str) -> float:
    """How long skopeo takes to copy an image into a folder, in seconds."""
    with _new(place):
        started = time.perf_counter()
        _skopeo(source, f"dir:{place}", *options)
        return time.perf_counter() - started


def _skopeo(source: str, target: str, *options: str) -> None:
    # --insecure-policy: whose signatures are trusted is not the question here.
    subprocess.run(
        ["skopeo", "--insecure-policy", "copy", "--quiet", *options, source, target],
        check=True,
        timeout=_SECONDS,
        stdout=subprocess.DEVNULL,
    )


def get(objects: list[str], place: Path, size: int) -> float:
    """How long curl takes to get what these URLs lead to, in seconds."""
    with _new(place):
        started = time.perf_counter()
        _curl(objects, place, size)
        return time.perf_counter() - started


def get_by_redirects(cloud: Cloud, folder: Path, place: Path, size: int, tag: str = TAG) -> float:
    """How long a whole pull takes a client that does nothing with the bytes but keep them, in seconds."""
    repository = f"{cloud.endpoint}/v2/{REPOSITORY}"
    with _new(place):
        started = time.perf_counter()
        token = cloud.token(REPOSITORY)
        header = folder / "authorization"
        header.touch(mode=0o600)
        header.write_text(f"Authorization: Bearer {token}", "utf-8")
        url = f"{repository}/manifests/{tag}"
        manifest = urllib3.request("GET", url, headers={"Authorization": f"Bearer {token}"}).json()
        blobs = [manifest["config"], *manifest["layers"]]
        # curl keeps the header from the host that it is redirected to.
        blob_urls = [f"{repository}/blobs/{blob['digest']}" for blob in blobs]
        _curl(blob_urls, place, size, "--location", "--header", f"@{header}")
        return time.perf_counter() - started


def _curl(objects: list[str], place: Path, size: int, *options: str) -> None:
    """GET each into a file.

    Raises:
        RuntimeError: what came is not as long as it should be.
    """
    command = ["curl", "--silent", "--no-progress-meter", "--fail", "--parallel", "--parallel-max", _AT_ONCE]
    command += options
    for at, url in enumerate(objects):
        command += ["--output", str(place / str(at)), url]
    place.mkdir()
    subprocess.run(command, check=True, timeout=_SECONDS)
    found = sum(path.stat().st_size for path in place.iterdir())
    if found != size:
        raise RuntimeError(f"{found} bytes instead of {size}")


@contextmanager
def _new(place: Path) -> Iterator[None]:
    """Nothing is at the place before, nor left behind."""
    shutil.rmtree(place, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(place, ignore_errors=True)


def urls(cloud: Cloud, endpoint: str) -> list[str]:
    """Presigned URLs of all objects that the image's blobs are: the large ones, and its configuration."""
    client, bucket = cloud.bucket(endpoint)
    objects: list[Any] = client.list_objects_v2(Bucket=bucket, Prefix="api/")["Contents"]
    return [
        client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": each["Key"]})
        for each in objects
    ]


def login_file(folder: Path, cloud: Cloud) -> Path:
    """A file in this folder that logs skopeo in."""
    path = folder / "auth.json"
    path.touch(mode=0o600)
    host = cloud.endpoint.removeprefix("http://")
    path.write_text(json.dumps({"auths": {host: {"auth": cloud.basic}}}), "utf-8")
    return path
