"""Images as they are managed: a record for each tag, which stays when the tag moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from moorage.domain.digests import Digest
from moorage.domain.names import Repository
from moorage.domain.resources import Scalar, require_unprotected

if TYPE_CHECKING:
    from moorage.domain.query_values import Held

MAX_SIZE = 2**53 - 1
"""The largest size that is recorded, in bytes: what every JSON reader keeps exactly."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push says of the image that its tags name from then on.

    ``size`` is in bytes: of the manifest and of all that it names, as far as the repository holds it.
    ``by`` is the link of a principal.
    """

    digest: Digest
    media_type: str
    size: int
    by: str
    at: datetime
    platforms: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image: what a tag names, and what is known about it.

    ``version`` grows by one with each change, ``pushed`` and ``pushed_by`` change when the tag moves, and
    ``tags`` is metadata. ``platforms`` is None for an image of a single platform: its config knows.
    """

    repository: Repository
    tag: str
    digest: Digest
    id: str
    version: int
    created: datetime
    last_modified: datetime
    media_type: str
    size: int
    pushed_by: str
    pushed: datetime
    platforms: tuple[str, ...] | None = None
    tags: Mapping[str, Scalar] = field(default_factory=dict)

    def labelled(self, tags: Mapping[str, Scalar], now: datetime) -> ImageRecord:
        """The record with other metadata, one version on."""
        return replace(self, tags=dict(tags), last_modified=now, version=self.version + 1)

    @property
    def name(self) -> str:
        """``REPOSITORY:TAG``, which no other image of the organisation has."""
        return image_name(self.repository, self.tag)

    @property
    def link(self) -> str:
        """``/org/ORG/image/REPOSITORY:TAG``."""
        return f"/org/{self.repository.org}/image/{self.name}"

    @property
    def properties(self) -> Mapping[str, Held]:
        """What queries may ask for, besides the parts of the name and the digest."""
        held: dict[str, Held] = {
            "id": self.id,
            "version": self.version,
            "created": self.created,
            "lastModified": self.last_modified,
            "mediaType": self.media_type,
            "size": self.size,
            "pushed": self.pushed,
            "pushedBy": self.pushed_by,
        }
        return held if self.platforms is None else {**held, "platforms": self.platforms}


def image_name(repository: Repository, tag: str) -> str:
    """What an image is called inside its organisation."""
    return f"{repository.image}:{tag}"


def refuse_protected(repository: Repository, tag: str, tags: Mapping[str, Scalar]) -> None:
    """Refuse to delete an image whose metadata protects it.

    Raises:
        ResourceProtected: it does.
    """
    require_unprotected(tags, f"the image {image_name(repository, tag)}")
