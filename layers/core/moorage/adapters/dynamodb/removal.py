"""The end of an organisation's repositories in DynamoDB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from moorage.adapters import keys
from moorage.adapters.dynamodb.rows import Row
from moorage.adapters.dynamodb.table import ConditionFailed, Table
from moorage.adapters.dynamodb.writes import Write, delete, update
from moorage.domain.digests import Digest
from moorage.domain.names import Repository

OF_THAT_ID = "#id = :id"
AS_READ = "#key = :standing"
OF_THAT_PUSH = "#push = :push"
ENDED = "attribute_not_exists(#id)"

# What has to be known of a row to remove it and the rows elsewhere that go with it.
_SHOWN = ("pk", "sk", "type", "digest", "key", "push", "subject", "referrer")

_AT_ONCE = 100


class DynamoRepositoryRemoval:
    """The port ``RepositoryRemoval``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def end_repositories(self, org: str, limit: int) -> int:
        """Take the ids from repositories: whatever asks for one by its id, or links for it, misses it."""
        ended = 0
        for found in self._table.query_all(keys.repositories(org), "id", "image"):
            if ended >= limit:
                break
            if "id" not in found:
                continue
            ending = update(
                keys.repository(Repository(org, found["image"])), "REMOVE #id", OF_THAT_ID, id=found["id"]
            )
            try:
                self._table.transact(ending, delete(keys.repository_by_id(found["id"])))
            except ConditionFailed:
                continue  # By somebody who is at it, too.
            ended += 1
        return ended

    def ended_repositories(self, org: str, after: str | None, limit: int) -> Sequence[Repository]:
        """Repositories by name: one query."""
        place = None if after is None else keys.repository(Repository(org, after))
        page = self._table.query(keys.repositories(org), "id", "image", after=place, limit=limit)
        return [Repository(org, each["image"]) for each in page.rows if "id" not in each]

    def remove_contents(self, repository: Repository, limit: int) -> int:
        """Remove rows in transactions, each row with what goes with it."""
        found = list(self._table.query_all(keys.contents(repository), *_SHOWN, limit=limit))
        for writes in _together(_removals(repository, each) for each in found):
            with suppress(ConditionFailed):  # Changed meanwhile: the next slice finds what is left.
                self._table.transact(*writes)
        return len(found)

    def remove_organisation_blobs(self, org: str, limit: int) -> int:
        """Remove rows in transactions."""
        found = list(self._table.query_all(keys.organisation_blobs(org), "pk", "sk", limit=limit))
        for writes in _together([delete(keys.Key(each["pk"], each["sk"]))] for each in found):
            self._table.transact(*writes)
        return len(found)

    def forget_repository(self, repository: Repository) -> None:
        """Remove the row of a repository, if it has ended."""
        try:
            self._table.write(delete(keys.repository(repository), ENDED))
        except ConditionFailed:
            return  # It has not.


def _removals(repository: Repository, found: Row) -> list[Write]:
    """The writes that remove a row and what goes with it, together."""
    key = keys.Key(found["pk"], found["sk"])
    if found["type"] == "blob":
        digest = Digest.parse(found["digest"])
        reference = keys.reference(found["key"], repository, digest)
        return [delete(key, AS_READ, standing=found["key"]), delete(reference)]
    if found["type"] == "manifest" and "referrer" in found:
        subject = keys.referrers(repository, Digest.parse(found["subject"]), None)
        return [
            delete(key, OF_THAT_PUSH, push=found["push"]),
            delete(keys.Key(subject.pk, found["referrer"])),
        ]
    return [delete(key)]


def _together(groups: Iterable[list[Write]]) -> Iterator[list[Write]]:
    """Groups of writes, as many together as a transaction has room for."""
    together: list[Write] = []
    for group in groups:
        if len(together) + len(group) > _AT_ONCE:
            yield together
            together = []
        together += group
    if together:
        yield together
