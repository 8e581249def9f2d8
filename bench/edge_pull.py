"""Wall time of a pull from S3 and from the edge, beside the bare bytes, and what the edge's cache answers."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

import urllib3

from bench import image
from bench.cloud import Cloud, checked
from bench.figures import Figure, alternating, ratio
from bench.pull import REPOSITORY, TAG, get, get_by_redirects, login_file, pull, urls

PART = "pull of 200 MB by both ways"
ROUNDS = 5
_LAYERS, _LAYER_BYTES = 4, 50_000_000
_COUNTED_BYTES = 1_000_000
_OTHER_REPOSITORY = "demo/mounted"

RAW, DIRECT = "raw GETs through the S3 front", "raw GETs from SeaweedFS itself"
CURL_S3, CURL_MISS, CURL_HIT = "curl, from S3", "curl, from the edge, first", "curl, from the edge, again"
SKOPEO_S3, SKOPEO_MISS, SKOPEO_HIT = (
    "skopeo copy, from S3",
    "skopeo copy, from the edge, first",
    "skopeo copy, from the edge, again",
)
FOLDER = "skopeo copy from a folder"
_BOUNDS = {
    RAW: "SeaweedFS and one relaying process, on two processors",
    DIRECT: "SeaweedFS",
    CURL_S3: "the raw GETs; before them a token, a manifest and a redirect for each blob",
    CURL_MISS: "the same; the relaying process also writes what it passes on into its cache",
    CURL_HIT: "one process that sends files",
    SKOPEO_S3: "the store's bytes, and SHA-256 of each in skopeo",
    SKOPEO_MISS: "the same, and the cache that is filled",
    SKOPEO_HIT: "SHA-256 of each byte in skopeo",
    FOLDER: "what skopeo itself does with the bytes, without any network",
}
_AIM = "1 is no overhead; the aim is 1.2"
_PAIRS = {
    **{(ours, RAW): _AIM for ours in (CURL_S3, CURL_MISS, CURL_HIT, SKOPEO_S3, SKOPEO_MISS, SKOPEO_HIT)},
    **{(ours, FOLDER): "1 is the client alone" for ours in (SKOPEO_S3, SKOPEO_MISS, SKOPEO_HIT)},
}
_GETS = {
    "first": "0: nobody has asked for them before",
    "again": "all: they are kept",
    "by another signature": "all: what is kept does not depend on who asked, nor when",
    "in another repository that has them mounted": "all: they are the same objects",
}


def measure(
    from_s3: Cloud, from_edge: Cloud, folder: Path, note: Callable[[str], None], rounds: int = ROUNDS
) -> list[Figure]:
    """Pulls by skopeo and by curl from two clouds that differ in where they send pulls, all of one image;
    a first pull from the edge is of an image that is new.
    """
    counted = _counted(from_edge)
    made = image.build(_LAYERS, _LAYER_BYTES)
    note(f"pushing {made.size / 1e6:.0f} MB in chunks, twice")
    logins: dict[str, Path] = {}
    for cloud in (from_s3, from_edge):
        cloud.push(REPOSITORY, made.blobs, made.manifest, image.MEDIA_TYPE, TAG)
        place = folder / f"login-{len(logins)}"
        place.mkdir()
        logins[cloud.endpoint] = login_file(place, cloud)
    source = folder / "image"
    made.write(source)
    place = folder / "pulled"

    def by_skopeo(cloud: Cloud, tag: str = TAG) -> float:
        reference = f"docker://{cloud.endpoint.removeprefix('http://')}/{REPOSITORY}:{tag}"
        login = logins[cloud.endpoint]
        return pull(reference, place, "--src-tls-verify=false", f"--src-authfile={login}")

    def by_curl(cloud: Cloud, tag: str = TAG) -> float:
        return get_by_redirects(cloud, folder, place, made.size, tag)

    contestants: dict[str, Callable[[], float]] = {
        RAW: lambda: get(urls(from_s3, from_s3.s3_front), place, made.size),
        DIRECT: lambda: get(urls(from_s3, from_s3.s3), place, made.size),
        CURL_S3: lambda: by_curl(from_s3),
        CURL_MISS: lambda: by_curl(from_edge, _new_image(from_edge)),
        CURL_HIT: lambda: by_curl(from_edge),
        SKOPEO_S3: lambda: by_skopeo(from_s3),
        SKOPEO_MISS: lambda: by_skopeo(from_edge, _new_image(from_edge)),
        SKOPEO_HIT: lambda: by_skopeo(from_edge),
        FOLDER: lambda: pull(f"dir:{source}", place),
    }
    for contestant in contestants.values():
        contestant()
    runs = alternating(contestants, rounds, note)
    figures = [Figure(PART, name, "s", runs[name], bound) for name, bound in _BOUNDS.items()]
    ratios = [
        ratio(PART, f"{one} / {other}", runs[one], runs[other], bound)
        for (one, other), bound in _PAIRS.items()
    ]
    return [*figures, *ratios, *counted]


def _new_image(cloud: Cloud) -> str:
    """Push an image that nobody has pulled; its tag."""
    tag = secrets.token_hex(8)
    made = image.build(_LAYERS, _LAYER_BYTES, tag)
    cloud.push(REPOSITORY, made.blobs, made.manifest, image.MEDIA_TYPE, tag)
    return tag


def _counted(cloud: Cloud) -> list[Figure]:
    """How many of an image's blobs the edge's cache answers with, each time that they are asked for."""
    made = image.build(_LAYERS, _COUNTED_BYTES, "counted")
    cloud.push(REPOSITORY, made.blobs, made.manifest, image.MEDIA_TYPE, "counted")
    digests = [f"sha256:{hashlib.sha256(blob).hexdigest()}" for blob in made.blobs]
    first = redirects(cloud, REPOSITORY, digests)
    hits = [cache_hits(first), cache_hits(first)]
    # A signature is another one when the second is.
    time.sleep(1.1)
    later = redirects(cloud, REPOSITORY, digests)
    mount(cloud, REPOSITORY, _OTHER_REPOSITORY, digests)
    mounted = redirects(cloud, _OTHER_REPOSITORY, digests)
    if set(first) & {*later, *mounted}:
        raise RuntimeError("the same address again")
    hits += [cache_hits(later), cache_hits(mounted)]
    return [
        Figure(PART, f"edge: cache hits of {len(digests)} blobs, {which}", "", (float(found),), bound)
        for (which, bound), found in zip(_GETS.items(), hits, strict=True)
    ]


def redirects(cloud: Cloud, repository: str, digests: list[str]) -> list[str]:
    """Where a client with a token of its own is sent for these blobs.

    Raises:
        RuntimeError: elsewhere than to the edge.
    """
    headers = {"Authorization": f"Bearer {cloud.token(repository)}"}
    found = []
    for digest in digests:
        url = f"{cloud.endpoint}/v2/{repository}/blobs/{digest}"
        answer = checked(urllib3.request("GET", url, headers=headers, redirect=False), 302, 307)
        found.append(urljoin(url, answer.headers["Location"]))
    if elsewhere := [url for url in found if "/blobs/_edge/" not in url]:
        raise RuntimeError(f"not sent to the edge: {elsewhere[0]}")
    return found


def cache_hits(addresses: list[str]) -> int:
    """How many of these the edge answers from its cache."""
    answers = [checked(urllib3.request("GET", url), 200) for url in addresses]
    return sum(answer.headers["X-Cache"].startswith("Hit") for answer in answers)


def mount(cloud: Cloud, source: str, target: str, digests: list[str]) -> None:
    """Link blobs of one repository in another."""
    scopes = [f"repository:{source}:pull", f"repository:{target}:pull,push"]
    query = [("service", "bench"), *(("scope", scope) for scope in scopes)]
    token = checked(
        urllib3.request(
            "GET",
            f"{cloud.endpoint}/token",
            fields=query,
            headers={"Authorization": f"Basic {cloud.basic}"},
        ),
        200,
    ).json()["token"]
    for digest in digests:
        url = f"{cloud.endpoint}/v2/{target}/blobs/uploads/?mount={digest}&from={source}"
        checked(urllib3.request("POST", url, headers={"Authorization": f"Bearer {token}"}), 201)
