"""Blobs of a copy: linked, and copied from store to store first where the destination has them not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from moorage.domain.blobs import BlobLink, ObjectState, StoredObject, copy_key
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.names import Repository
from moorage.ports import Blobs, Clock, ObjectPlace, ObjectStore, Part, RepositoryRecord, Stores
from moorage.services.copy_graph import DAMAGED
from moorage.services.copy_lease import CopyFailed, CopyLease
from moorage.services.hashing import content_of
from moorage.services.linking import Linking

SINGLE_COPY_MAX = 5 * 1024**3
"""The largest object, in bytes, that a store copies by one request."""

PART_SIZE = 512 * 1024**2
"""Bytes that one request copies of a larger one."""

_LINKS_READ = 1000
_NOTHING = Digest.of(b"").encoded


@dataclass(frozen=True, slots=True)
class BlobPlan:
    """The blobs of a copy: where those lie that the destination lacks; in bytes, what it holds, and all."""

    lacking: Mapping[Digest, BlobLink]
    held_size: int
    size: int


class CopyBlobs:
    """Brings blobs into repositories. Within one store it asks the table only, and touches no object."""

    def __init__(
        self,
        blobs: Blobs,
        stores: Stores,
        linking: Linking,
        clock: Clock,
        *,
        single_copy_max: int = SINGLE_COPY_MAX,
        part_size: int = PART_SIZE,
    ) -> None:
        self._blobs = blobs
        self._stores = stores
        self._linking = linking
        self._clock = clock
        self._single_copy_max = single_copy_max
        self._part_size = part_size
        # Each reads ahead, and takes memory for that.
        self._hashing = threading.Lock()

    def plan(
        self, lease: CopyLease, source: Repository, destination: Repository, wanted: Mapping[Digest, bool]
    ) -> BlobPlan:
        """Where the wanted blobs are. What need not be there is left out if neither side has it.

        Raises:
            CopyFailed: neither side has one that is needed.
        """
        held = self._links(lease, destination, wanted)
        lacking = self._links(lease, source, [digest for digest in wanted if digest not in held])
        for digest, needed in wanted.items():
            if needed and digest not in held and digest not in lacking:
                raise _gone(digest)
        held_size = sum(link.size for link in held.values())
        return BlobPlan(lacking, held_size, held_size + sum(link.size for link in lacking.values()))

    def bring(self, lease: CopyLease, into: RepositoryRecord, links: Sequence[BlobLink]) -> int:
        """Let a repository hold these blobs of the source, several at a time; how many bytes were copied.

        Raises:
            CopyFailed: one is gone at the source, or is not what its digest says.
            CopyStopped: see ``CopyLease``. What was being copied may be left; ``lease.copying`` names it.
        """
        linked = lease.together([self._linker(into, link) for link in links])
        apart = [link for link, done in zip(links, linked, strict=True) if not done]
        if not apart:
            return 0
        keys = {link.digest: copy_key(into.id, link.digest, lease.job.id) for link in apart}
        lease.begin_copies(keys.values())
        small = [link for link in apart if link.size <= self._single_copy_max]
        copied = lease.together([self._copier(lease, into, link, keys[link.digest]) for link in small])
        copied += [
            self._copy_large(lease, into, link, keys[link.digest])
            for link in apart
            if link.size > self._single_copy_max
        ]
        for key in keys.values():
            lease.end_copy(key)
        return sum(copied)

    def discard(self, store: str | None, keys: Collection[str]) -> None:
        """Remove those of the objects that are not recorded. Without ``store``, wherever they lie.

        Somebody may be copying one at this moment and must not record it when it is gone. So it is recorded
        first, as condemned; that row stays, for the collector.
        """
        for key in keys:
            stores = self._stores.names() if store is None else [store]
            for name in stores:
                empty = StoredObject(key, 0, _NOTHING, self._clock(), name, ObjectState.CONDEMNED)
                self._blobs.add_object(empty)
                standing = self._blobs.find_object(key)
                if standing is None or standing.state is ObjectState.CONDEMNED:
                    self._remove(self._stores[name], key)

    def _links(
        self, lease: CopyLease, repository: Repository, digests: Iterable[Digest]
    ) -> dict[Digest, BlobLink]:
        wanted, found = list(digests), dict[Digest, BlobLink]()
        for start in range(0, len(wanted), _LINKS_READ):
            found |= self._blobs.find_links(repository, wanted[start : start + _LINKS_READ])
            lease.keep()
        return found

    def _linker(self, into: RepositoryRecord, link: BlobLink) -> Callable[[], bool]:
        """Link what the store of the destination has; whether it has it."""

        def link_there() -> bool:
            key = self._blobs.find_organisation_blob(into.repository.org, link.digest)
            if key is not None and self._linking.link(into.repository, link.digest, key):
                return True
            if link.store != into.store:
                return False
            if self._linking.link_shared(into.repository, link.digest, link.key) is None:
                raise _gone(link.digest)
            return True

        return link_there

    def _copier(
        self, lease: CopyLease, into: RepositoryRecord, link: BlobLink, key: str
    ) -> Callable[[], int]:
        """Copy an object by one request and link the copy; how many bytes that moved."""

        def copy() -> int:
            moved = 0
            if self._blobs.find_object(key) is None:
                if not self._stores.copy_object(_place(link), ObjectPlace(into.store, key)):
                    raise _gone(link.digest)
                moved = link.size
                self._record(lease, into, link, key)
            self._link(into, link, key)
            return moved

        return copy

    def _copy_large(self, lease: CopyLease, into: RepositoryRecord, link: BlobLink, key: str) -> int:
        """Copy an object in parts, several at a time, from where an earlier worker has come to."""
        moved = 0
        if self._blobs.find_object(key) is None:
            moved = self._copy_parts(lease, into, link, key)
            lease.together([lambda: self._record(lease, into, link, key)])
        self._link(into, link, key)
        return moved

    def _copy_parts(self, lease: CopyLease, into: RepositoryRecord, link: BlobLink, key: str) -> int:
        store, target = self._stores[into.store], ObjectPlace(into.store, key)
        begun = [upload_id for name, upload_id in store.unfinished_uploads(key) if name == key]
        if not begun and store.head(key) is not None:
            return 0  # Put together already, and not recorded.
        upload_id = begun[0] if begun else store.begin_multipart(key)
        parts = {part.number: part for part in store.list_parts(key, upload_id) or ()}
        steps: list[Callable[[], Part | None]] = []
        for number, start in enumerate(range(0, link.size, self._part_size), start=1):
            size = min(self._part_size, link.size - start)
            if number not in parts or parts[number].size != size:
                steps.append(self._part_copier(_place(link), target, upload_id, number, start, size))
        fresh = [part for part in lease.together(steps) if part is not None]
        if len(fresh) < len(steps):
            raise _gone(link.digest)
        parts |= {part.number: part for part in fresh}
        complete = [parts[number] for number in sorted(parts)]
        if not store.complete_multipart(key, upload_id, complete) and store.head(key) is None:
            raise _gone(link.digest)
        return sum(part.size for part in fresh)

    def _part_copier(
        self, source: ObjectPlace, target: ObjectPlace, upload_id: str, number: int, start: int, size: int
    ) -> Callable[[], Part | None]:
        return lambda: self._stores.copy_part(source, target, upload_id, number, start, size)

    def _record(self, lease: CopyLease, into: RepositoryRecord, link: BlobLink, key: str) -> None:
        """Record a copy, if it is proved to have the digest."""
        sha256 = self._prove(lease, into.store, link, key)
        lease.require_held()
        self._blobs.add_object(StoredObject(key, link.size, sha256, self._clock(), into.store))

    def _prove(self, lease: CopyLease, store: str, link: BlobLink, key: str) -> str:
        """SHA-256 of a copy: the store's own, or else, of every byte, ours."""
        head, sha256 = self._stores[store].head(key), None
        if head is None:
            raise _gone(link.digest)
        if head.size == link.size and head.encoding is None:
            if link.digest.algorithm is Algorithm.SHA256 and head.sha256 is not None:
                sha256 = head.sha256 if head.sha256 == link.digest.encoded else None
            else:
                with self._hashing:
                    content = content_of(self._stores[store], key, head.size)
                    sha256 = link.digest.prove(lease.passing(content))
        if sha256 is None:
            raise CopyFailed(DAMAGED.format(f"the blob {link.digest}"))
        return sha256

    def _link(self, into: RepositoryRecord, link: BlobLink, key: str) -> None:
        if self._linking.link_shared(into.repository, link.digest, key) is None:
            raise CopyFailed(
                f"the copy of the blob {link.digest} is being removed from the destination; request the copy "
                "again"
            )

    def _remove(self, store: ObjectStore, key: str) -> None:
        for name, upload_id in store.unfinished_uploads(key):
            store.abort_multipart(name, upload_id)
        store.delete([key])


def _place(link: BlobLink) -> ObjectPlace:
    return ObjectPlace(link.store, link.key)


def _gone(digest: Digest) -> CopyFailed:
    return CopyFailed(f"the source does not hold {digest}, which the image names; push the image there again")
