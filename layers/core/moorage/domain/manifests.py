"""Manifests: read once into what the registry needs to know, kept byte for byte.

https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moorage.domain.digests import Digest
from moorage.domain.errors import DigestInvalid, ManifestInvalid, ManifestTooLarge
from moorage.domain.platforms import distinct_platforms

MAX_MANIFEST_SIZE = 4 * 1024 * 1024
MAX_REFERENCES = 2000

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

_MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
# Media types of layers that a client may leave where they are instead of pushing them.
_NOT_PUSHED = ("nondistributable", "foreign")
_SHOWN = 100
# Two names of at most 127 characters and the slash: https://www.rfc-editor.org/rfc/rfc6838#section-4.2
_MEDIA_TYPE_MAX = 255
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to content: what, how long, and of which type."""

    media_type: str
    digest: Digest
    size: int
    optional: bool = False
    """Whether the content need not be in the repository: a non-distributable layer, or a subject."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image manifest or an index, with the exact bytes that were pushed."""

    content: bytes
    media_type: str
    blobs: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Digest | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    platforms: tuple[str, ...] | None = None
    """Those that an index lists, as ``OS/ARCHITECTURE``; None for an image, whose config knows."""

    @classmethod
    def parse(cls, content: bytes, content_type: str | None) -> Manifest:
        """Read and check what a client pushed as ``content_type`` (parameters are ignored).

        Raises:
            ManifestTooLarge: over 4 MiB.
            ManifestInvalid: not JSON, not of the type it was sent as, or manifest and index at once.

        """
        if len(content) > MAX_MANIFEST_SIZE:
            raise ManifestTooLarge(
                f"a manifest has at most {MAX_MANIFEST_SIZE} bytes; this one has {len(content)}"
            )
        document = _load(content)
        media_type = _media_type(document, content_type)
        if media_type in _INDEXES:
            return _index(content, media_type, document)
        return _image(content, media_type, document)

    def descriptor(self, digest: Digest) -> dict[str, Any]:
        """How a referrers list describes this manifest.

        https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
        """
        described: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(digest),
            "size": len(self.content),
        }
        if self.artifact_type:
            described["artifactType"] = self.artifact_type
        if self.annotations:
            described["annotations"] = dict(self.annotations)
        return described


def compact_json(document: Any) -> bytes:
    """``document`` in as few bytes as JSON takes: never more than it had where it came from."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _load(content: bytes) -> dict[str, Any]:
    try:
        # Decoded here, for `json` would guess at UTF-16 and UTF-32, which no client reads.
        text = content.decode()
        document = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        if _HALF_CHARACTER.search(text):
            # Half of a surrogate pair can be written as an escape, and is no text that could be stored.
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ManifestInvalid("the manifest is not JSON") from None
    if not isinstance(document, dict):
        raise ManifestInvalid("the manifest is not a JSON object")
    if document.get("schemaVersion") != 2:  # noqa: PLR2004
        raise ManifestInvalid("the manifest's schemaVersion is not 2")
    return document


def _refuse(constant: str) -> None:
    # Python reads NaN and Infinity, which are not JSON and which no other client reads.
    raise ValueError(constant)


def _finite(number: str) -> float:
    # 1e999 is JSON, and no number that could be written again.
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)
    return value


def _media_type(document: dict[str, Any], content_type: str | None) -> str:
    declared = document.get("mediaType")
    sent = (content_type or "").partition(";")[0].strip().lower()
    if declared is not None and not isinstance(declared, str):
        raise ManifestInvalid("the manifest's mediaType is not a string")
    if declared and sent and declared != sent:
        raise ManifestInvalid(
            f"the manifest says mediaType {_shown(declared)} and was sent as {_shown(sent)}"
        )
    media_type = declared or sent or (OCI_INDEX if "manifests" in document else OCI_MANIFEST)
    if media_type not in _MANIFESTS | _INDEXES:
        raise ManifestInvalid(f"{_shown(media_type)} is not a manifest type that this registry stores")
    return media_type


def _shown(text: str) -> str:
    """Enough of a client's text for a message; the answer must not grow with it."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _fields(document: dict[str, Any]) -> frozenset[str]:
    """The fields as clients in Go see them: that decoder does not mind the case of a name."""
    return frozenset(name.casefold() for name in document)


def _image(content: bytes, media_type: str, document: dict[str, Any]) -> Manifest:
    # A document that is read as a manifest by one client and as an index by another: CVE-2021-41190.
    if "manifests" in _fields(document):
        raise ManifestInvalid("an image manifest must not have the field manifests of an index")
    if "config" not in document:
        raise ManifestInvalid("an image manifest has a config")
    config = _descriptor(document["config"], "config")
    layers = _descriptors(document, "layers")
    return Manifest(
        content=content,
        media_type=media_type,
        blobs=(config, *layers),
        subject=_subject(document),
        artifact_type=_artifact_type(document) or config.media_type,
        annotations=_annotations(document),
    )


def _index(content: bytes, media_type: str, document: dict[str, Any]) -> Manifest:
    for key in ("layers", "config"):
        if key in _fields(document):
            raise ManifestInvalid(f"an index must not have the field {key} of an image manifest")
    return Manifest(
        content=content,
        media_type=media_type,
        manifests=_descriptors(document, "manifests"),
        subject=_subject(document),
        artifact_type=_artifact_type(document),
        annotations=_annotations(document),
        platforms=distinct_platforms(item.get("platform") for item in document.get("manifests") or ()),
    )


def _descriptors(document: dict[str, Any], key: str) -> tuple[Descriptor, ...]:
    listed = document.get(key)
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise ManifestInvalid(f"{key} is not a list")
    if len(listed) > MAX_REFERENCES:
        raise ManifestInvalid(f"{key} has more than {MAX_REFERENCES} entries")
    return tuple(_descriptor(item, key) for item in listed)


def _descriptor(item: Any, where: str) -> Descriptor:
    if not isinstance(item, dict):
        raise ManifestInvalid(f"a descriptor in {where} is not an object")
    media_type, size = item.get("mediaType", ""), item.get("size")
    if not isinstance(media_type, str) or not media_type:
        raise ManifestInvalid(f"a descriptor in {where} has no mediaType")
    if len(media_type) > _MEDIA_TYPE_MAX:
        raise ManifestInvalid(f"the mediaType of a descriptor in {where} is too long")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ManifestInvalid(f"a descriptor in {where} has no size")
    try:
        digest = Digest.parse(str(item.get("digest")))
    except DigestInvalid as error:
        raise ManifestInvalid(f"a descriptor in {where}: {error.message}") from None
    return Descriptor(media_type, digest, size, optional=any(word in media_type for word in _NOT_PUSHED))


def _subject(document: dict[str, Any]) -> Digest | None:
    subject = document.get("subject")
    return None if subject is None else _descriptor(subject, "subject").digest


def _artifact_type(document: dict[str, Any]) -> str | None:
    declared = document.get("artifactType")
    if declared is not None and not isinstance(declared, str):
        raise ManifestInvalid("artifactType is not a string")
    if declared and len(declared) > _MEDIA_TYPE_MAX:
        raise ManifestInvalid("artifactType is too long")
    return declared or None


def _annotations(document: dict[str, Any]) -> dict[str, str]:
    annotations = document.get("annotations")
    if annotations is None:
        return {}
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise ManifestInvalid("annotations are not an object of strings")
    return annotations
