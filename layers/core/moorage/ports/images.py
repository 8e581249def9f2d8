"""Images as records: found, listed, edited and deleted one by one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from moorage.domain.image_lists import Order, Place
from moorage.domain.images import ImageRecord
from moorage.domain.names import Repository
from moorage.domain.resources import Scalar


@dataclass(frozen=True, slots=True)
class ImagePage:
    """Images one after the other in a list, all that were read, and whether there may be more."""

    images: Sequence[ImageRecord]
    more: bool


class ImageRecords(Protocol):
    """The records behind tags, one by one: each tag has one, which the port ``Manifests`` makes and moves."""

    def find_image(self, repository: Repository, tag: str) -> ImageRecord | None:
        """The record, or None: one strong read."""

    def newest_images(self, repository: Repository, limit: int) -> Sequence[ImageRecord]:
        """Of the last ``limit`` images that were pushed to a repository, those that are there, newest first.
        What was pushed a moment ago may be missing.
        """

    def replace_metadata(self, record: ImageRecord, tags: Mapping[str, Scalar], now: datetime) -> ImageRecord:
        """Give an image other metadata; the new record.

        Raises:
            WriteConflict: ``record`` is not what stands there any more; nothing was written.

        """

    def delete_image(self, record: ImageRecord) -> None:
        """Remove an image, that is its tag; the manifest stays.

        Raises:
            ResourceProtected: its metadata protects it.
            WriteConflict: ``record`` is not what stands there any more; nothing was removed.

        """


class Images(ImageRecords, Protocol):
    """The same records, also many at a time.

    Lists of an organisation lag behind writes for moments; all else is strongly consistent.
    """

    def find_images(self, wanted: Collection[tuple[Repository, str]]) -> Sequence[ImageRecord]:
        """Those of the images, named by repository and tag, that exist; one read for each hundred."""

    def images_of(self, org: str, order: Order, after: Place | None, limit: int) -> ImagePage:
        """Up to ``limit`` images of an organisation behind ``after``, read with one request whose cost does
        not depend on how many there are.
        """

    def images_of_repository(
        self, repository: Repository, *, descending: bool, after: Place | None, limit: int
    ) -> ImagePage:
        """The same of one repository, by tag."""

    def has_images(self, org: str) -> bool:
        """Whether an organisation has any image; strongly consistent. To say no, it looks into each of its
        repositories.
        """
