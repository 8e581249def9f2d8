"""Tags of a copy: the last thing that changes, and only from where they stood when the copy was asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from moorage.domain.digests import Digest
from moorage.domain.errors import ManifestUnknown, WriteConflict
from moorage.domain.images import ImageRecord, Pushed
from moorage.domain.names import Repository
from moorage.ports import Clock, Images, Manifests
from moorage.services.copy_graph import CopyGraph
from moorage.services.copy_lease import CopyFailed, CopyLease
from moorage.services.tag_rules import TagRules


@dataclass(frozen=True, slots=True)
class TagMove:
    """A tag that is to name a manifest. If it names another one, it moves only from what it has named since
    ``replaces_until`` or longer, and only from ``replaces``, if that is given.
    """

    tag: str
    digest: Digest
    replaces: Digest | None = None
    replaces_until: datetime | None = None

    def seen(self, standing: ImageRecord) -> TagMove:
        """The same move from where the tag stands, or, if it may not move from there, from nowhere. What it
        named at that time may have been put back since: that is another one's doing, and stays.
        """
        may = (
            self.replaces_until is not None
            and standing.pushed <= self.replaces_until
            and self.replaces in (None, standing.digest)
        )
        return replace(self, replaces=standing.digest if may else None)

    def require_allowed(self, standing: Digest | None) -> None:
        """Refuse to move the tag from the manifest ``standing``.

        Raises:
            CopyFailed: it must not move from there.
        """
        if standing in (None, self.digest, self.replaces):
            return
        raise CopyFailed(
            f"the tag {self.tag} at the destination names another image by now; if that is to be replaced, "
            "request the copy again with replaceTag"
        )


class CopyTags:
    """Moves tags at the destination."""

    def __init__(self, manifests: Manifests, images: Images, rules: TagRules, clock: Clock) -> None:
        self._manifests = manifests
        self._images = images
        self._rules = rules
        self._clock = clock

    def waiting(self, repository: Repository, moves: Collection[TagMove]) -> list[TagMove]:
        """Those of ``moves`` that are not done yet, from where their tags stand; all of them may be made, as
        things are now.

        Raises:
            CopyFailed: a tag stands where it must not move from.
            TagImmutable: by a rule of the organisation. No tag has moved in either case.
        """
        wanted = [(repository, move.tag) for move in moves]
        standing = {record.tag: record for record in self._images.find_images(wanted)}
        refuse_immutable = self._rules.of(repository)
        waiting: list[TagMove] = []
        for move in moves:
            record = standing.get(move.tag)
            if record is None:
                waiting.append(move)
            elif record.digest != move.digest:
                waiting.append(move.seen(record))
                waiting[-1].require_allowed(record.digest)
                refuse_immutable(move.tag)
        return waiting

    def move(
        self,
        lease: CopyLease,
        repository: Repository,
        moves: Iterable[TagMove],
        graph: CopyGraph,
    ) -> None:
        """Move tags, those of different manifests at the same time. They are known as pushed by who asked for
        the copy.

        Raises:
            CopyFailed, TagImmutable: as ``waiting``, of a tag that was set meanwhile.
            CopyStopped: see ``CopyLease``.
            WriteConflict: a manifest was deleted meanwhile at the destination.
        """
        by_digest: dict[Digest, dict[str, TagMove]] = {}
        for move in moves:
            by_digest.setdefault(move.digest, {})[move.tag] = move
        records = self._manifests.find_manifests(repository, by_digest.keys()) if by_digest else {}
        if len(records) < len(by_digest):
            raise _deleted()
        pushes = [
            Pushed(
                digest,
                record.media_type,
                record.total_size,
                lease.job.order.requester,
                self._clock(),
                graph.manifests[digest].platforms,
            )
            for digest, record in records.items()
        ]
        lease.together([self._mover(lease, repository, by_digest[each.digest], each) for each in pushes])

    def _mover(
        self, lease: CopyLease, repository: Repository, moves: Mapping[str, TagMove], pushed: Pushed
    ) -> Callable[[], None]:
        refuse_immutable = self._rules.of(repository)

        def may_move(tag: str) -> None:
            # What stands there now; if it is something else than the write is going to replace, the write is
            # refused, and this is asked again.
            moves[tag].require_allowed(self._manifests.find_tag(repository, tag))
            refuse_immutable(tag)
            lease.require_held()

        def put() -> None:
            for tag in moves:
                lease.require_held()
                try:
                    self._manifests.put_tags(repository, (tag,), pushed, may_move)
                except ManifestUnknown:
                    raise _deleted() from None

        return put


def _deleted() -> WriteConflict:
    return WriteConflict("the destination's content is being deleted at the same time")
