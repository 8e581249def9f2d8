"""Image records in memory."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from moorage.adapters.memory.manifests import MemoryManifests
from moorage.domain.errors import WriteConflict
from moorage.domain.image_lists import ImageSort, Order, Place, place_of
from moorage.domain.images import ImageRecord, refuse_protected
from moorage.domain.names import Repository
from moorage.domain.resources import Scalar
from moorage.ports.images import ImagePage


class MemoryImages(MemoryManifests):
    """The port ``Images``."""

    def find_image(self, repository: Repository, tag: str) -> ImageRecord | None:
        """The record, or None."""
        return self._tags.get(repository, {}).get(tag)

    def find_images(self, wanted: Collection[tuple[Repository, str]]) -> Sequence[ImageRecord]:
        """Those that exist."""
        return [found for name in dict.fromkeys(wanted) if (found := self.find_image(*name))]

    def images_of(self, org: str, order: Order, after: Place | None, limit: int) -> ImagePage:
        """Images of an organisation."""
        with self._manifests_lock:
            return _page(self._of_organisation(org), order, after, limit)

    def images_of_repository(
        self, repository: Repository, *, descending: bool, after: Place | None, limit: int
    ) -> ImagePage:
        """Images of a repository, by tag."""
        with self._manifests_lock:
            found = self._tags.get(repository, {}).values()
            return _page(found, Order(ImageSort.NAME, descending), after, limit)

    def newest_images(self, repository: Repository, limit: int) -> Sequence[ImageRecord]:
        """The last ones that were pushed."""
        with self._manifests_lock:
            found = self._tags.get(repository, {}).values()
            return heapq.nlargest(limit, found, key=lambda each: (each.pushed, each.tag))

    def replace_metadata(self, record: ImageRecord, tags: Mapping[str, Scalar], now: datetime) -> ImageRecord:
        """Other metadata."""
        with self._manifests_lock:
            self._require_standing(record)
            edited = record.labelled(tags, now)
            self._tags[record.repository][record.tag] = edited
            return edited

    def delete_image(self, record: ImageRecord) -> None:
        """Remove a tag as it was read."""
        refuse_protected(record.repository, record.tag, record.tags)
        with self._manifests_lock:
            self._require_standing(record)
            del self._tags[record.repository][record.tag]

    def has_images(self, org: str) -> bool:
        """Whether there is any."""
        with self._manifests_lock:
            return any(self._of_organisation(org))

    def _of_organisation(self, org: str) -> list[ImageRecord]:
        return [
            record
            for repository, tags in self._tags.items()
            if repository.org == org
            for record in tags.values()
        ]

    def _require_standing(self, record: ImageRecord) -> None:
        standing = self.find_image(record.repository, record.tag)
        if standing is None or (standing.id, standing.version) != (record.id, record.version):
            raise WriteConflict("the image was changed by others; try again")


def _page(images: Iterable[ImageRecord], order: Order, after: Place | None, limit: int) -> ImagePage:
    placed = [(place_of(each, order.by).position, each) for each in images]
    if after is not None:
        last = after.position
        placed = [each for each in placed if (each[0] < last if order.descending else each[0] > last)]
    choose = heapq.nlargest if order.descending else heapq.nsmallest
    found = choose(limit, placed, key=lambda each: each[0])
    return ImagePage([record for _, record in found], more=len(found) < len(placed))
