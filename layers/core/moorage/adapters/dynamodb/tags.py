"""Tags, and the protocol that keeps them from pointing at nothing.

Two kinds of rows tell where tags point: the tag's own, and one per tag beside its manifest. They change
together, in transactions that also count ``tag_writes`` on the manifest that gains the tag and require it
to be there. Whoever deletes a manifest reads that count, then removes the tags it sees, then removes the
manifest on condition that the count is still the same. A tag that arrived in between changed the count, so
the deletion looks again; a tag that arrives afterwards finds no manifest and fails. A crash anywhere leaves
a manifest with fewer tags.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from moorage.adapters import keys
from moorage.adapters.dynamodb.rows import Row, resource, row
from moorage.adapters.dynamodb.table import Attempts, ConditionFailed, Table
from moorage.adapters.dynamodb.writes import ABSENT, PRESENT, Write, delete, put, update
from moorage.domain.digests import Digest
from moorage.domain.errors import ManifestUnknown, WriteConflict
from moorage.domain.names import Repository

POINTS_THERE = "#digest = :digest"

_MOVING = "the tag is being moved by others; try again in a moment"

# A transaction has at most 100 parts, and each tag takes two.
_TAGS_AT_ONCE = 25

# Where the manifest stands in the transaction of its tag.
_MANIFEST = 0


class DynamoTags:
    """The tags of the port ``Manifests``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find_tag(self, repository: Repository, tag: str) -> Digest | None:
        """What a tag points at: one strong read."""
        found = self._table.get(keys.tag(repository, tag), "digest")
        return Digest.parse(found["digest"]) if found else None

    def put_tag(self, repository: Repository, tag: str, digest: Digest, now: datetime) -> None:
        """Point a tag at a manifest."""
        attempts = Attempts()
        while True:
            # Read after the pause, though a refused transaction shows the row: by now it has moved on.
            standing = self._table.get(keys.tag(repository, tag), "digest")
            if standing and standing["digest"] == str(digest):
                return
            try:
                self._table.transact(*_pointing(repository, tag, digest, standing, now), attempts=attempts)
            except ConditionFailed as failed:
                if _MANIFEST in failed.rows:
                    raise ManifestUnknown("the manifest is not in this repository") from None
            else:
                return
            attempts.pause(WriteConflict(_MOVING))

    def delete_tag(self, repository: Repository, tag: str) -> bool:
        """Remove a tag."""
        attempts = Attempts()
        while True:
            standing = self._table.get(keys.tag(repository, tag), "digest")
            if standing is None:
                return False
            try:
                self._table.transact(
                    *_removing(repository, tag, Digest.parse(standing["digest"])), attempts=attempts
                )
            except ConditionFailed:
                attempts.pause(WriteConflict(_MOVING))
            else:
                return True

    def tags_after(self, repository: Repository, last: str | None, limit: int) -> Sequence[str]:
        """Tags in order."""
        everything = keys.tag(repository, "")
        first = everything if last is None else keys.tag_after(repository, last)
        found = self._table.query_all(first, "tag", limit=max(limit, 0), whole=everything.sk)
        return [each["tag"] for each in found]

    def tags_of(self, repository: Repository, digest: Digest) -> Sequence[str]:
        """The tags of a manifest."""
        found = self._table.query_all(keys.digest_tag(repository, digest, ""), "tag")
        return [each["tag"] for each in found]

    def remove_tags(self, repository: Repository, digest: Digest, attempts: Attempts) -> bool:
        """Remove the tags that point at a manifest; False when one of them moved meanwhile."""
        tags = self.tags_of(repository, digest)
        for start in range(0, len(tags), _TAGS_AT_ONCE):
            writes: list[Write] = []
            for tag in tags[start : start + _TAGS_AT_ONCE]:
                writes += _removing(repository, tag, digest)
            try:
                self._table.transact(*writes, attempts=attempts)
            except ConditionFailed:
                return False
        return True


def _pointing(
    repository: Repository, tag: str, digest: Digest, standing: Row | None, now: datetime
) -> list[Write]:
    """The transaction that moves a tag from where it stands."""
    writes = [update(keys.manifest(repository, digest), "ADD #tag_writes :one", PRESENT, one=1)]
    if standing is None:
        record = {**resource(str(uuid.uuid4()), now), "tag": tag, "digest": str(digest)}
        writes.append(put(row(keys.tag(repository, tag), "tag", record), ABSENT))
    else:
        before = Digest.parse(standing["digest"])
        writes.append(
            update(
                keys.tag(repository, tag),
                "SET #digest = :to, #last_modified = :now ADD #version :one",
                POINTS_THERE,
                to=str(digest),
                now=now.isoformat(),
                one=1,
                digest=str(before),
            )
        )
        writes.append(delete(keys.digest_tag(repository, before, tag)))
    there = {"tag": tag, "digest": str(digest)}
    writes.append(put(row(keys.digest_tag(repository, digest, tag), "digest-tag", there)))
    return writes


def _removing(repository: Repository, tag: str, digest: Digest) -> list[Write]:
    """The transaction that removes a tag from where it stands."""
    return [
        delete(keys.tag(repository, tag), POINTS_THERE, digest=str(digest)),
        delete(keys.digest_tag(repository, digest, tag)),
    ]
