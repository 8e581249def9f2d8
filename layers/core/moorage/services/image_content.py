"""What an image is made of, read when one is shown: its manifest and the platforms it is for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.domain.digests import Digest
from moorage.domain.errors import InvalidInput
from moorage.domain.images import ImageRecord
from moorage.domain.names import Repository
from moorage.domain.platforms import platform_in_config
from moorage.ports import Blobs, Manifests, Stores
from moorage.services.manifests import read_content

CONFIG_MAX = 1024 * 1024
"""The largest config, in bytes, that is read to find out an image's platform."""

_IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)


@dataclass(frozen=True, slots=True)
class ImageContent:
    """The manifest of an image as it was pushed, and its platforms, as far as they can be known."""

    manifest: Mapping[str, Any]
    platforms: tuple[str, ...]


class ImageContents:
    """Reads the content of images."""

    def __init__(self, manifests: Manifests, blobs: Blobs, stores: Stores) -> None:
        self._manifests = manifests
        self._blobs = blobs
        self._stores = stores

    def read(self, record: ImageRecord) -> ImageContent | None:
        """What an image is made of; None if it has been deleted since ``record`` was read."""
        manifest = self._manifests.find_manifest(record.repository, record.digest)
        content = read_content(self._stores, manifest) if manifest else None
        if content is None:
            return None
        document: dict[str, Any] = json.loads(content, parse_float=_number)
        platforms = record.platforms
        if platforms is None:
            platforms = self._platforms(record.repository, document.get("config"))
        return ImageContent(document, platforms)

    def _platforms(self, repository: Repository, config: Any) -> tuple[str, ...]:
        if not isinstance(config, Mapping) or config.get("mediaType") not in _IMAGE_CONFIGS:
            return ()
        try:
            digest = Digest.parse(str(config.get("digest")))
        except InvalidInput:
            return ()
        link = self._blobs.find_link(repository, digest)
        if link is None or link.size > CONFIG_MAX:
            return ()
        content = self._stores[link.store].read_range(link.key, 0, link.size) if link.size else b""
        platform = platform_in_config(content) if content else None
        return (platform,) if platform else ()


def _number(text: str) -> float | str:
    """A number; its text, if it is as large as 1e999: that would be infinite, which no answer can say."""
    value = float(text)
    return value if math.isfinite(value) else text
