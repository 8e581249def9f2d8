"""Repositories in DynamoDB."""

from __future__ import annotations

from datetime import datetime

from moorage.adapters import keys
from moorage.adapters.dynamodb.resources import STANDING
from moorage.adapters.dynamodb.rows import Row, resource, row
from moorage.adapters.dynamodb.table import ConditionFailed, Table
from moorage.adapters.dynamodb.writes import ABSENT, check, put
from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.errors import NameUnknown, WriteConflict
from moorage.domain.names import Repository
from moorage.ports import RepositoryRecord

SAME_REPOSITORY = "#id = :id"

# Where the row by name and the organisation stand in the transaction.
_NAME, _ORGANISATION = 0, 2


class DynamoRepositories:
    """The port ``Repositories``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find_repository(self, repository: Repository) -> RepositoryRecord | None:
        """The record, or None: one strong read."""
        found = self._table.get(keys.repository(repository))
        # Without an id it has ended, with its organisation.
        return _record(found) if found and "id" in found else None

    def find_repository_by_id(self, repository_id: str) -> RepositoryRecord | None:
        """The record, or None: two strong reads, for the repository of that name may have been made anew."""
        if not repository_id.isascii():
            return None
        found = self._table.get(keys.repository_by_id(repository_id), "org", "image")
        record = self.find_repository(Repository(found["org"], found["image"])) if found else None
        return record if record is not None and record.id == repository_id else None

    def create_repository(self, record: RepositoryRecord) -> RepositoryRecord:
        """The record that stands."""
        name = record.repository
        attributes = {
            **resource(record.id, record.created),
            "org": name.org,
            "image": name.image,
            "store": record.store,
        }
        try:
            self._table.transact(
                put(row(keys.repository(name), "repository", attributes), ABSENT),
                put(
                    row(
                        keys.repository_by_id(record.id),
                        "repository-id",
                        {"org": name.org, "image": name.image},
                    ),
                    ABSENT,
                ),
                check(keys.organisation(name.org), STANDING),
            )
        except ConditionFailed as failed:
            if _ORGANISATION in failed.rows:
                raise NameUnknown(f"there is no organisation {name.org}") from None
            standing = failed.rows.get(_NAME)
            if standing is None:
                raise WriteConflict("a repository of that id exists") from None
            return _record(standing)
        return record


def _record(found: Row) -> RepositoryRecord:
    return RepositoryRecord(
        Repository(found["org"], found["image"]),
        found["id"],
        datetime.fromisoformat(found["created"]),
        found.get("store", DEFAULT_STORE),
    )
