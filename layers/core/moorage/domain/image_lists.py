"""Lists of images: in which order, and where a list goes on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from moorage.domain.images import ImageRecord, image_name
from moorage.domain.names import Repository


class ImageSort(StrEnum):
    """What a list of images can be sorted by. Images of the same time are sorted by name."""

    NAME = "name"
    CREATED = "created"
    LAST_MODIFIED = "lastModified"


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a list."""

    by: ImageSort = ImageSort.NAME
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list goes on: behind this image. ``time`` is what the list is sorted by, None by name."""

    repository: Repository
    tag: str
    time: datetime | None = None

    @property
    def position(self) -> str:
        """A text whose order is that of the list."""
        name = image_name(self.repository, self.tag)
        return name if self.time is None else f"{instant(self.time)}#{name}"


def instant(time: datetime) -> str:
    """A time as text of one length, so that the order of the texts is that of the times."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def place_of(record: ImageRecord, by: ImageSort) -> Place:
    """Where a record stands in a list."""
    times = {ImageSort.CREATED: record.created, ImageSort.LAST_MODIFIED: record.last_modified}
    return Place(record.repository, record.tag, times.get(by))


def parts_of(place: Place) -> tuple[str, str, str | None]:
    """A place as texts, without its organisation."""
    return place.repository.image, place.tag, None if place.time is None else instant(place.time)


def place_at(org: str, image: str, tag: str, time: str | None) -> Place:
    """The place in an organisation that ``parts_of`` gave these texts for."""
    return Place(Repository(org, image), tag, None if time is None else datetime.fromisoformat(time))
