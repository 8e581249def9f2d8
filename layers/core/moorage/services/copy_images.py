"""Images, copied whole: first all that belongs to them, from the leaves up, and their tags last."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from moorage.domain.companions import is_companion_tag
from moorage.domain.digests import Digest
from moorage.domain.errors import ManifestBlobUnknown, WriteConflict
from moorage.domain.immutable_tags import is_glob_match
from moorage.domain.jobs import CopyItem, Progress
from moorage.ports import (
    Blobs,
    Clock,
    Images,
    Jobs,
    Manifests,
    Repositories,
    RepositoryRecord,
    Resources,
    Stores,
)
from moorage.services.copy_blobs import BlobPlan, CopyBlobs, groups
from moorage.services.copy_graph import CopyGraph, CopyGraphs, ManifestContent
from moorage.services.copy_lease import CopyFailed, CopyLease
from moorage.services.copy_tags import CopyTags, TagMove
from moorage.services.manifest_writes import ManifestWrites
from moorage.services.repositories import RepositoryOpening

# Of what is small; between groups the worker looks whether its time is over.
_AT_ONCE = 64
_READ_AT_ONCE = 1000


class CopyTable(Repositories, Manifests, Blobs, Images, Resources, Jobs, Protocol):
    """All that a copy reads and writes in the table."""


class CopyImages:
    """Copies images of one repository to another. What has been done before is found out and left as it is,
    so that whoever comes after a crash goes on.
    """

    def __init__(
        self,
        table: CopyTable,
        stores: Stores,
        graphs: CopyGraphs,
        blobs: CopyBlobs,
        tags: CopyTags,
        clock: Clock,
    ) -> None:
        self._table = table
        self._graphs = graphs
        self._blobs = blobs
        self._tags = tags
        self._opening = RepositoryOpening(table, table, clock)
        # What is not linked yet is missing: a copy settles no uploads.
        self._writes = ManifestWrites(table, stores, clock, table.find_links)

    def copy(self, lease: CopyLease, items: Sequence[CopyItem], has_time: Callable[[], bool]) -> bool:
        """Copy some images as far as there is time, but not without having done something; whether they are
        complete.

        Raises:
            CopyFailed: they cannot be copied. No tag of theirs has moved, unless another one was set at the
                destination at the same moment.
            TagImmutable, NameUnknown: likewise.
            CopyStopped: see ``CopyLease``.
        """
        order = lease.job.order
        graph = self._graphs.walk(
            lease, order.source, [item.digest for item in items], referrers=order.referrers
        )
        into = self._opening.open(order.destination)
        plan = self._blobs.plan(lease, order.source, into, graph.blobs())
        present = self._present(lease, into, graph.manifests.keys())
        self._count(lease, graph, plan, present)
        for _ in self._content(lease, into, graph, plan, present):
            if not has_time():
                return False
        self._move(lease, into, items, graph)
        return True

    def end_doubt(self, lease: CopyLease) -> None:
        """Find out whether the tags have moved that the last worker was moving when it was heard of last. If
        all of them have, their images are complete, whatever has happened since.
        """
        position, reached = lease.progress.position, lease.job.in_doubt
        if reached is None:
            return
        items: list[CopyItem] = []
        while position + len(items) < reached:
            items += self._table.copy_items(lease.job, position + len(items))
        destination = lease.job.order.destination
        wanted = {(destination, item.tag): item.digest for item in items[: reached - position] if item.tag}
        standing = {(each.repository, each.tag): each.digest for each in self._table.find_images(wanted)}
        if standing == wanted:
            self._complete(lease, reached)
        else:
            lease.end_doubt()

    def _present(self, lease: CopyLease, into: RepositoryRecord, digests: Collection[Digest]) -> set[Digest]:
        """The manifests that the destination has already."""
        present: set[Digest] = set()
        for wanted in groups(digests, _READ_AT_ONCE):
            present |= self._table.find_manifests(into.repository, wanted).keys()
            lease.keep()
        return present

    def _count(self, lease: CopyLease, graph: CopyGraph, plan: BlobPlan, present: Collection[Digest]) -> None:
        progress = lease.progress
        lease.keep(
            replace(
                progress,
                manifests=progress.earlier_manifests + len(present),
                manifests_total=progress.earlier_manifests + len(graph.manifests),
                size=progress.earlier_size + plan.held_size,
                size_total=progress.earlier_size + plan.size,
            )
        )

    def _content(
        self,
        lease: CopyLease,
        into: RepositoryRecord,
        graph: CopyGraph,
        plan: BlobPlan,
        present: Collection[Digest],
    ) -> Iterator[None]:
        """Bring all that the destination lacks, a group at each step."""
        for size in self._blobs.bring(lease, into, plan.lacking.values()):
            lease.keep(replace(lease.progress, size=lease.progress.size + size))
            yield
        for generation in graph.generations():
            for digests in groups((each for each in generation if each not in present), _AT_ONCE):
                self._blobs.require_standing(into)
                self._put(lease, into, digests)
                progress = lease.progress
                lease.keep(replace(progress, manifests=progress.manifests + len(digests)))
                yield

    def _put(self, lease: CopyLease, into: RepositoryRecord, digests: Sequence[Digest]) -> None:
        found: set[Digest] = set()
        for contents in self._graphs.read(lease, lease.job.order.source, digests):
            steps = [self._putter(lease, into, each) for each in contents]
            lease.together([step for step, each in zip(steps, contents, strict=True) if not each.is_large])
            for step, each in zip(steps, contents, strict=True):
                if each.is_large:
                    lease.together([step])
            found |= {each.digest for each in contents}
        if gone := [digest for digest in digests if digest not in found]:
            raise CopyFailed(
                f"the manifest {gone[0]} was deleted at the source while the copy was made; push it there "
                "again, and request the copy again"
            )

    def _putter(
        self, lease: CopyLease, into: RepositoryRecord, content: ManifestContent
    ) -> Callable[[], None]:
        def put() -> None:
            manifest = content.parsed()
            try:
                size = self._writes.require_content(into.repository, manifest)
            except ManifestBlobUnknown:
                raise WriteConflict("the destination's content is being deleted at the same time") from None
            self._writes.put(into, content.digest, manifest, size, name=lease.job.id)

        return put

    def _move(
        self, lease: CopyLease, into: RepositoryRecord, items: Sequence[CopyItem], graph: CopyGraph
    ) -> None:
        """Move the tags of images that are there as a whole: first those by which tools find what belongs to
        them.
        """
        order, reached = lease.job.order, lease.progress.position + len(items)
        asked = lease.job.created
        own = [
            TagMove(item.tag, item.digest, item.replaces, asked if item.replaces else None)
            for item in items
            if item.tag is not None
        ]
        named = {move.tag for move in own}
        companions = [
            TagMove(tag, digest, replaces_until=asked if order.replace else None)
            for tag, digest in graph.companions.items()
            # Those that the request selects are copied as they were then.
            if tag not in named and not is_glob_match(order.selection, tag)
        ]
        waiting = self._tags.waiting(order.destination, [*companions, *own])
        if not waiting:
            lease.keep(_at(lease.progress, reached))
            return
        self._blobs.require_standing(into)
        asked_for = [move for move in waiting if move.tag in named]
        phases = (
            [move for move in waiting if move.tag not in named],
            [move for move in asked_for if is_companion_tag(move.tag)],
            [move for move in asked_for if not is_companion_tag(move.tag)],
        )
        last = phases[2] or phases[1]
        for moves in filter(None, phases):
            # The items say which tags to look for if it ends here, so it is only with the last of theirs.
            lease.begin_moving(in_doubt=reached if moves is last else None)
            self._tags.move(lease, order.destination, moves, graph)
        self._complete(lease, reached)

    def _complete(self, lease: CopyLease, reached: int) -> None:
        lease.end_moving(_at(lease.progress, reached), last=reached >= lease.job.order.items)


def _at(progress: Progress, position: int) -> Progress:
    """Progress when all items up to a place on the list are complete."""
    return replace(
        progress,
        position=position,
        earlier_manifests=progress.manifests_total,
        earlier_size=progress.size_total,
    )
