"""Image records in DynamoDB."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from moorage.adapters import keys
from moorage.adapters.dynamodb.image_rows import edited_image, image, removed_image, standing_of
from moorage.adapters.dynamodb.table import ConditionFailed, Page, Table
from moorage.domain.errors import WriteConflict
from moorage.domain.image_lists import Order, Place
from moorage.domain.images import ImageRecord, refuse_protected
from moorage.domain.names import Repository
from moorage.domain.resources import Scalar
from moorage.ports.images import ImagePage

_CHANGED = "the image was changed by others; try again"


class DynamoImages:
    """The port ``Images``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find_image(self, repository: Repository, tag: str) -> ImageRecord | None:
        """The record, or None."""
        found = self._table.get(keys.tag(repository, tag))
        return image(repository.org, found) if found else None

    def find_images(self, wanted: Collection[tuple[Repository, str]]) -> Sequence[ImageRecord]:
        """Those that exist."""
        orgs = {keys.tag(repository, tag): repository.org for repository, tag in wanted}
        return [image(orgs[keys.Key(row["pk"], row["sk"])], row) for row in self._table.get_all(orgs)]

    def images_of(self, org: str, order: Order, after: Place | None, limit: int) -> ImagePage:
        """Images of an organisation."""
        index = keys.IMAGE_INDEXES[order.by]
        partition = {"gsi2pk": keys.images(org)}
        start = None
        if after is not None:
            key = keys.tag(after.repository, after.tag)
            start = {**key._asdict(), **partition, index.attribute: after.position}
        page = self._table.page_of_index(
            index.name, partition, after=start, limit=limit, descending=order.descending
        )
        return _images(org, page)

    def images_of_repository(
        self, repository: Repository, *, descending: bool, after: Place | None, limit: int
    ) -> ImagePage:
        """Images of a repository, by tag."""
        first = keys.tag(repository, "")
        start = keys.tag(repository, after.tag) if after else None
        page = self._table.query(first, after=start, limit=limit, descending=descending)
        return _images(repository.org, page)

    def newest_images(self, repository: Repository, limit: int) -> Sequence[ImageRecord]:
        """The last ones that were pushed."""
        partition = {"pk": keys.tag(repository, "").pk}
        page = self._table.page_of_index(
            "gsi5", partition, "pk", "sk", after=None, limit=limit, descending=True
        )
        rows = self._table.get_all([keys.Key(row["pk"], row["sk"]) for row in page.rows])
        found = [image(repository.org, row) for row in rows]
        return sorted(found, key=lambda each: (each.pushed, each.tag), reverse=True)

    def replace_metadata(self, record: ImageRecord, tags: Mapping[str, Scalar], now: datetime) -> ImageRecord:
        """Other metadata."""
        try:
            self._table.write(edited_image(record, tags, now))
        except ConditionFailed:
            raise WriteConflict(_CHANGED) from None
        return record.labelled(tags, now)

    def delete_image(self, record: ImageRecord) -> None:
        """Remove a tag as it was read."""
        refuse_protected(record.repository, record.tag, record.tags)
        try:
            self._table.transact(*removed_image(record.repository, record.tag, standing_of(record)))
        except ConditionFailed:
            raise WriteConflict(_CHANGED) from None

    def has_images(self, org: str) -> bool:
        """Whether there is any: the index may know of one, and only the repositories know of none."""
        partition = {"gsi2pk": keys.images(org)}
        if self._table.page_of_index("gsi2", partition, "pk", after=None, limit=1).rows:
            return True
        for row in self._table.query_all(keys.repositories(org), "image"):
            first = keys.tag(Repository(org, row["image"]), "")
            if self._table.query(first, "pk", limit=1).rows:
                return True
        return False


def _images(org: str, page: Page) -> ImagePage:
    return ImagePage([image(org, row) for row in page.rows], page.more)
