"""Writers that refuse what the table would refuse, and write nothing.

The use cases that write take them in the place of the table: so a dry run is the write itself, up to the very
last step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from moorage.domain.images import ImageRecord, refuse_protected
from moorage.domain.names import Repository
from moorage.domain.resources import ResourceRecord, Scalar
from moorage.ports import ImageRecords, Resources


class DryResources:
    """The port ``ResourceWriter``."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def create(self, record: ResourceRecord) -> None:
        """Nothing, if it could be made."""
        self._resources.check_write(None, record)

    def replace(self, before: ResourceRecord, after: ResourceRecord) -> None:
        """Nothing, if it could be stored."""
        self._resources.check_write(before, after)

    def delete(self, record: ResourceRecord) -> None:
        """Nothing, if it could be removed after its keys."""
        self._resources.check_write(record, None)


class DryImages:
    """The port ``ImageRecords``."""

    def __init__(self, images: ImageRecords) -> None:
        self._images = images

    def find_image(self, repository: Repository, tag: str) -> ImageRecord | None:
        """The record, as it is."""
        return self._images.find_image(repository, tag)

    def newest_images(self, repository: Repository, limit: int) -> Sequence[ImageRecord]:
        """The records, as they are."""
        return self._images.newest_images(repository, limit)

    def replace_metadata(self, record: ImageRecord, tags: Mapping[str, Scalar], now: datetime) -> ImageRecord:
        """The record as it would be."""
        return record.labelled(tags, now)

    def delete_image(self, record: ImageRecord) -> None:
        """Nothing, if its metadata does not protect it."""
        refuse_protected(record.repository, record.tag, record.tags)
