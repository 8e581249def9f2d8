"""An image as it is pushed: its manifests, children first, and the blobs that they name."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moorage_cli.errors import Misused
from moorage_cli.push.content import Content, digest_of, has_digest, parse_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPES = (OCI_MANIFEST, OCI_INDEX, _DOCKER_MANIFEST, _DOCKER_LIST)
_INDEXES = frozenset({OCI_INDEX, _DOCKER_LIST})
# Layers that may stay where they are, and that most sources leave out.
_NOT_PUSHED = ("nondistributable", "foreign")
# More no registry takes; and no index that anybody makes is deeper.
MAX_MANIFEST = 4 * 1024 * 1024
_MAX_DEPTH = 8
_MAX_MANIFESTS = 2000

Json = Mapping[str, Any]
Find = Callable[[str], Content | None]


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer, a configuration, or whatever else a manifest names that is no manifest."""

    digest: str
    content: Content

    @property
    def size(self) -> int:
        """In bytes."""
        return self.content.size


@dataclass(frozen=True, slots=True)
class Manifest:
    """The exact bytes of a manifest or an index."""

    digest: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Image:
    """Manifests, children before their parents, so that the last is the one that gets the tag; and blobs by
    digest, each once. ``names`` is what the source calls it, ``note`` what a person should know of it.
    """

    manifests: tuple[Manifest, ...]
    blobs: Mapping[str, Blob]
    names: tuple[str, ...] = ()
    note: str = ""

    @property
    def digest(self) -> str:
        """Of the manifest that gets the tag."""
        return self.manifests[-1].digest


@dataclass(slots=True)
class Gathering:
    """Follows an image from its descriptor to all that it is made of, and checks each manifest on the way.

    ``source`` is what a person calls the place, ``find`` gives content by digest.
    """

    source: str
    find: Find
    manifests: dict[str, Manifest] = field(default_factory=dict)
    blobs: dict[str, Blob] = field(default_factory=dict)

    def image(self, descriptor: Json) -> Image:
        """The image of a descriptor.

        Raises:
            Misused: something is missing, is not what it says, or cannot be pushed.
        """
        self._add(descriptor, 0)
        return Image(tuple(self.manifests.values()), self.blobs)

    def manifest(self, descriptor: Json) -> tuple[Manifest, dict[str, Any]]:
        """The manifest of a descriptor, and what it says.

        Raises:
            Misused: see ``image``.
        """
        digest = parse_digest(descriptor.get("digest"))
        content = self._content(descriptor, digest)
        if content is None:
            raise Misused(f"{self.source} lacks the manifest {digest}", "it may be cut off: save it again")
        data = content.read(MAX_MANIFEST, f"the manifest {digest}")
        if not has_digest(data, digest):
            raise Misused(f"{self.source} holds other content than the manifest {digest}", "save it again")
        document = parse_object(data, f"the manifest {digest}")
        media_type = document.get("mediaType") or descriptor.get("mediaType")
        if media_type is None:
            media_type = OCI_INDEX if "manifests" in document else OCI_MANIFEST
        if media_type not in MANIFEST_TYPES:
            raise Misused(f"{digest} is a {str(media_type)[:100]}, which is no manifest that is pushed")
        return Manifest(digest, str(media_type), data), document

    def _add(self, descriptor: Json, depth: int) -> None:
        if descriptor.get("digest") in self.manifests:
            return
        if depth > _MAX_DEPTH or len(self.manifests) > _MAX_MANIFESTS:
            raise Misused(f"the index in {self.source} leads too deep or to too many manifests")
        manifest, document = self.manifest(descriptor)
        if is_index(manifest.media_type):
            for child in descriptors(document, "manifests"):
                self._add(child, depth + 1)
        else:
            config = document.get("config")
            parts = [config] if isinstance(config, dict) else []
            for part in [*parts, *descriptors(document, "layers")]:
                self._add_blob(part)
        self.manifests[manifest.digest] = manifest

    def _add_blob(self, descriptor: Json) -> None:
        digest = parse_digest(descriptor.get("digest"))
        if digest in self.blobs:
            return
        content = self._content(descriptor, digest)
        if content is not None:
            self.blobs[digest] = Blob(digest, content)
        elif not any(word in str(descriptor.get("mediaType")) for word in _NOT_PUSHED):
            raise Misused(f"{self.source} lacks the blob {digest}", "it may be cut off: save it again")

    def _content(self, descriptor: Json, digest: str) -> Content | None:
        content = self.find(digest) or _embedded(descriptor, digest)
        size = descriptor.get("size")
        if content is not None and content.size != size:
            raise Misused(
                f"{digest} in {self.source} has {content.size} bytes,"
                f" and not {str(size)[:30]} as its manifest says",
                "save it again",
            )
        return content


def made_image(config: bytes, layers: list[tuple[str, Blob]], names: tuple[str, ...]) -> Image:
    """An image of a configuration and layers with their media types, with a manifest of our making."""
    blobs = [Blob(digest_of(config), Content.of(config)), *(blob for _, blob in layers)]
    types = [OCI_CONFIG, *(media_type for media_type, _ in layers)]
    described = [
        {"mediaType": media_type, "digest": blob.digest, "size": blob.size}
        for media_type, blob in zip(types, blobs, strict=True)
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described[0],
        "layers": described[1:],
    }
    content = json.dumps(document, separators=(",", ":")).encode()
    manifest = Manifest(digest_of(content), OCI_MANIFEST, content)
    return Image((manifest,), {blob.digest: blob for blob in blobs}, names)


def is_index(media_type: str) -> bool:
    """Whether manifests of that type list others."""
    return media_type in _INDEXES


def descriptors(document: Json, name: str) -> list[dict[str, Any]]:
    """The descriptors that a manifest lists under ``name``.

    Raises:
        Misused: what stands there is no list of them.
    """
    listed = document.get(name) or []
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise Misused(f"{name} is no list of descriptors")
    return listed


def parse_object(data: bytes, what: str) -> dict[str, Any]:
    """The JSON object that these bytes are.

    Raises:
        Misused: they are none.
    """
    try:
        document = json.loads(data.decode())
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Misused(f"{what} is no JSON object")
    return document


def _embedded(descriptor: Json, digest: str) -> Content | None:
    """What a descriptor carries itself.

    https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#properties
    """
    data = descriptor.get("data")
    if not isinstance(data, str) or len(data) > MAX_MANIFEST:
        return None
    try:
        content = base64.b64decode(data, validate=True)
    except binascii.Error:
        return None
    return Content.of(content) if has_digest(content, digest) else None
