"""Tags, and the protocol that keeps them from pointing at nothing.

Two kinds of rows tell where tags point: the tag's own, and one per tag beside its manifest. They change
together, in transactions that also count ``tag_writes`` on the manifest that gains the tag and require it
to be there. Whoever deletes a manifest reads that count, then removes the tags it sees, then removes the
manifest on condition that the count is still the same. A tag that arrived in between changed the count, so
the deletion looks again; a tag that arrives afterwards finds no manifest and fails. A crash anywhere leaves
a manifest with fewer tags.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from moorage.adapters import keys
from moorage.adapters.dynamodb.image_rows import (
    Standing,
    moved_image,
    new_image,
    removed_image,
    standing,
)
from moorage.adapters.dynamodb.rows import row
from moorage.adapters.dynamodb.table import Attempts, ConditionFailed, Table
from moorage.adapters.dynamodb.writes import ABSENT, PRESENT, Write, delete, put, update
from moorage.domain.digests import Digest
from moorage.domain.errors import ManifestUnknown, WriteConflict
from moorage.domain.images import Pushed, refuse_protected
from moorage.domain.names import Repository

_MOVING = "the tag is being changed by others; try again in a moment"

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

    def put_tags(
        self, repository: Repository, tags: Sequence[str], pushed: Pushed, may_move: Callable[[str], None]
    ) -> None:
        """Point tags at a manifest."""
        found = self._find(repository, tags)
        for tag in tags:
            if _moves(found.get(tag), pushed):
                may_move(tag)
        for tag in tags:
            self._point(repository, tag, pushed, found.get(tag), may_move)

    def _find(self, repository: Repository, tags: Sequence[str]) -> dict[str, Standing]:
        if len(tags) == 1:
            found = self._read(repository, tags[0])
            return {tags[0]: found} if found else {}
        rows = self._table.get_all([keys.tag(repository, tag) for tag in tags], "tag", *Standing._fields)
        return {each["tag"]: standing(each) for each in rows}

    def _read(self, repository: Repository, tag: str) -> Standing | None:
        found = self._table.get(keys.tag(repository, tag), *Standing._fields)
        return standing(found) if found else None

    def _point(
        self,
        repository: Repository,
        tag: str,
        pushed: Pushed,
        before: Standing | None,
        may_move: Callable[[str], None],
    ) -> None:
        """Point a tag, of which ``may_move`` has been asked if it stands elsewhere, at a manifest."""
        attempts = Attempts()
        while before is None or _moves(before, pushed):
            try:
                self._table.transact(*_pointing(repository, tag, pushed, before), attempts=attempts)
            except ConditionFailed as failed:
                if _MANIFEST in failed.rows:
                    raise ManifestUnknown("the manifest is not in this repository") from None
            else:
                return
            attempts.pause(WriteConflict(_MOVING))
            # Read after the pause, though a refused transaction shows the row: by now it has moved on.
            before = self._read(repository, tag)
            if _moves(before, pushed):
                may_move(tag)

    def delete_tag(self, repository: Repository, tag: str) -> bool:
        """Remove a tag."""
        attempts = Attempts()
        while True:
            before = self._read(repository, tag)
            if before is None:
                return False
            refuse_protected(repository, tag, before.tags)
            try:
                self._table.transact(*removed_image(repository, tag, before), attempts=attempts)
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
        """Remove the tags that point at a manifest; False when one of them changed meanwhile.

        Raises:
            ResourceProtected: one of them is protected; none was removed, unless that one was protected only
                meanwhile.
        """
        there = self._find(repository, self.tags_of(repository, digest))
        pointing = [(tag, each) for tag, each in there.items() if each.digest == digest]
        for tag, before in pointing:
            refuse_protected(repository, tag, before.tags)
        for start in range(0, len(pointing), _TAGS_AT_ONCE):
            writes: list[Write] = []
            for tag, before in pointing[start : start + _TAGS_AT_ONCE]:
                writes += removed_image(repository, tag, before)
            try:
                self._table.transact(*writes, attempts=attempts)
            except ConditionFailed:
                return False
        return True


def _moves(before: Standing | None, pushed: Pushed) -> bool:
    """Whether a tag stands, and elsewhere."""
    return before is not None and before.digest != pushed.digest


def _pointing(repository: Repository, tag: str, pushed: Pushed, before: Standing | None) -> list[Write]:
    """The transaction that lets a tag point at a manifest, from wherever it stands."""
    writes = [update(keys.manifest(repository, pushed.digest), "ADD #tag_writes :one", PRESENT, one=1)]
    if before is None:
        writes.append(put(new_image(repository, tag, pushed), ABSENT))
    else:
        writes.append(moved_image(repository, tag, before, pushed))
        writes.append(delete(keys.digest_tag(repository, before.digest, tag)))
    there = {"tag": tag, "digest": str(pushed.digest)}
    writes.append(put(row(keys.digest_tag(repository, pushed.digest, tag), "digest-tag", there)))
    return writes
