"""Lists of images: bounded work for each call, and a cursor to go on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from moorage.domain.errors import InvalidInput
from moorage.domain.image_lists import ImageSort, Order, Place, parts_of, place_at, place_of
from moorage.domain.images import ImageRecord
from moorage.domain.names import Repository, parse_tag
from moorage.domain.queries import Order as Direction
from moorage.domain.queries import Query
from moorage.domain.resources import Kind
from moorage.ports import ImagePage, Images
from moorage.services.authorization import EFFORT_MAX
from moorage.services.cursors import Cursors
from moorage.services.images import image_resource

MayView = Callable[[ImageRecord], bool]
Effort = Callable[[], int]

ALL = Query(Kind.IMAGE)
"""The query for all images of an organisation, by name."""

PAGE = 50
"""Images on a page, unless more or fewer are asked for."""

PAGE_MAX = 1_000
ROWS_PER_CALL = 1_000
"""Images that one call looks at, however many it finds."""

# A request brings at most 1 MB of rows; images with a lot of metadata are not more work than others.
_REQUESTS_PER_CALL = 10
_SUMMARY = "summary"


def _none() -> int:
    return 0


@dataclass(frozen=True, slots=True)
class ImageList:
    """A part of a list: perhaps few images or none although it goes on. ``next`` is the cursor of what comes
    then, None at the end; ``evaluated`` is how many images were looked at.
    """

    images: Sequence[ImageRecord]
    next: str | None
    evaluated: int


@dataclass(frozen=True, slots=True)
class RepositorySummary:
    """How many images a repository has, of those that the caller may view."""

    repository: Repository
    tags: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A part of the list of repositories, to be read as ``ImageList``."""

    repositories: Sequence[RepositorySummary]
    next: str | None
    evaluated: int


class ImageLists:
    """The images of organisations, for callers who may view some of them.

    A list ends its page early when looking at images has become much work: ``effort`` tells what
    ``may_view`` has taken so far, in comparisons of two values.
    """

    def __init__(self, images: Images, cursors: Cursors) -> None:
        self._images = images
        self._cursors = cursors

    def search(
        self,
        org: str,
        query: Query,
        may_view: MayView,
        *,
        effort: Effort = _none,
        cursor: str | None = None,
        limit: int = PAGE,
    ) -> ImageList:
        """Up to ``limit`` (at most 1,000) images that a query selects; one without terms selects all.

        Where the query names a repository, and is not sorted by time, what it finds is strongly consistent.

        Raises:
            QueryInvalid: the cursor is none of this list.
        """
        order = _order(query)
        listed = json.dumps(query.to_json(), sort_keys=True)
        after, _ = self._place(cursor, org, listed)
        limit = max(1, min(limit, PAGE_MAX))
        rows = _Rows(self._source(org, query, order), order.by, after, limit)
        found: list[ImageRecord] = []
        for number, record in enumerate(rows, start=1):
            if query.selects(image_resource(record).subject) and may_view(record):
                found.append(record)
                if len(found) == limit:
                    break
            if effort() + number * query.effort >= EFFORT_MAX:
                break
        return ImageList(found, self._cursor(rows, org, listed), rows.evaluated)

    def summary(
        self, org: str, may_view: MayView, *, effort: Effort = _none, cursor: str | None = None
    ) -> Summary:
        """The repositories that have images, with how many, by name. A repository is in the part of the list
        in which its count is complete.

        Raises:
            QueryInvalid: the cursor is none of this list.
        """
        after, counted = self._place(cursor, org, _SUMMARY)
        counts = {after.repository: counted} if after else {}

        def read(place: Place | None, limit: int) -> ImagePage:
            return self._images.images_of(org, Order(), place, limit)

        rows = _Rows(read, ImageSort.NAME, after, ROWS_PER_CALL)
        for record in rows:
            counts[record.repository] = counts.get(record.repository, 0) + may_view(record)
            if effort() >= EFFORT_MAX:
                break
        carried = 0 if rows.ended or rows.place is None else counts.pop(rows.place.repository)
        return Summary(
            [RepositorySummary(repository, tags) for repository, tags in counts.items() if tags],
            self._cursor(rows, org, _SUMMARY, carried),
            rows.evaluated,
        )

    def _cursor(self, rows: _Rows, org: str, of: str, count: int = 0) -> str | None:
        """Where the list goes on, if it does, with a count to go on with."""
        if rows.ended or rows.place is None:
            return None
        return self._cursors.write(org, of, [*parts_of(rows.place), count])

    def _place(self, cursor: str | None, org: str, of: str) -> tuple[Place | None, int]:
        """The place and the count in a cursor."""
        if not cursor:
            return None, 0
        image, tag, time, count = cast(
            "tuple[str, str, str | None, int]", self._cursors.read(cursor, org, of)
        )
        return place_at(org, image, tag, time), count

    def _source(self, org: str, query: Query, order: Order) -> _Source:
        """Where the images of a query are read: as few as it names."""
        if (name := query.required("name")) is not None:
            return self._one(org, *name.rpartition(":")[::2])
        if (image := query.required("repository")) is not None and order.by is ImageSort.NAME:
            return self._of_repository(org, image, query.required("tag"), order)
        return lambda after, limit: self._images.images_of(org, order, after, limit)

    def _of_repository(self, org: str, image: str, tag: str | None, order: Order) -> _Source:
        if tag is not None:
            return self._one(org, image, tag)
        repository = _repository(org, image)
        if repository is None:
            return _nothing
        return lambda after, limit: self._images.images_of_repository(
            repository, descending=order.descending, after=after, limit=limit
        )

    def _one(self, org: str, image: str, tag: str) -> _Source:
        repository = _repository(org, image)
        if repository is None or not _is_tag(tag):
            return _nothing

        def read(after: Place | None, _: int) -> ImagePage:
            found = None if after else self._images.find_image(repository, tag)
            return ImagePage([found] if found else [], more=False)

        return read


_Source = Callable[[Place | None, int], ImagePage]


class _Rows:
    """The rows of a list, one after the other, up to what one call may cost. ``place`` is that of the last
    one; ``ended`` says that there are no more.
    """

    def __init__(self, read: _Source, by: ImageSort, after: Place | None, first: int) -> None:
        self._read = read
        self._by = by
        self._first = first
        self.place = after
        self.ended = False
        self.evaluated = 0

    def __iter__(self) -> Iterator[ImageRecord]:
        limit = self._first
        for _ in range(_REQUESTS_PER_CALL):
            page = self._read(self.place, limit)
            self.evaluated += len(page.images)
            self.ended = not page.images
            for number, record in enumerate(page.images, start=1):
                self.place = place_of(record, self._by)
                self.ended = number == len(page.images) and not page.more
                yield record
            limit = ROWS_PER_CALL - self.evaluated
            if self.ended or limit <= 0:
                return


def _order(query: Query) -> Order:
    if query.sort is None:
        return Order()
    return Order(ImageSort(query.sort.by), query.sort.order is Direction.DESCENDING)


def _repository(org: str, image: str) -> Repository | None:
    """The repository of that name, None when none can have it."""
    try:
        return Repository.parse(f"{org}/{image}")
    except InvalidInput:
        return None


def _nothing(*_: object) -> ImagePage:
    return ImagePage([], more=False)


def _is_tag(text: str) -> bool:
    try:
        parse_tag(text)
    except InvalidInput:
        return False
    return True
