"""Platforms, as the text that people write: ``linux/amd64``, ``linux/arm64/v8``.

https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

MAX_PLATFORMS = 32
"""How many platforms of an index are recorded."""

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,31}")
# BuildKit gives this platform to what it attaches to an image: a provenance, a list of packages.
_UNKNOWN = "unknown"


def platform_of(document: Any) -> str | None:
    """The platform that a descriptor's ``platform``, or an image's config, tells of; None if it tells none.

    What is malformed tells none: it is the client's own statement, and no reason to refuse its push.
    """
    if not isinstance(document, Mapping):
        return None
    parts = [document.get("os"), document.get("architecture")]
    if variant := document.get("variant"):
        parts.append(variant)
    if not all(isinstance(part, str) and _PART.fullmatch(part) for part in parts) or _UNKNOWN in parts:
        return None
    return "/".join(str(part) for part in parts)


def distinct_platforms(documents: Iterable[Any]) -> tuple[str, ...]:
    """The platforms of many documents, each once, in their order and up to ``MAX_PLATFORMS``."""
    found = (platform_of(document) for document in documents)
    return tuple(dict.fromkeys(platform for platform in found if platform))[:MAX_PLATFORMS]


def platform_in_config(content: bytes) -> str | None:
    """The platform that the content of an image's config tells of; None if it is of another kind."""
    try:
        return platform_of(json.loads(content.decode()))
    except (ValueError, RecursionError):
        return None
