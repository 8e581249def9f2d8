"""Blobs of a copy: linked, and copied from store to store first where the destination has them not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeVar

from moorage.domain.blobs import BlobLink, ObjectState, StoredObject, copy_key
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import WriteConflict
from moorage.domain.names import Repository
from moorage.ports import (
    Blobs,
    Clock,
    ObjectPlace,
    ObjectStore,
    Part,
    Repositories,
    RepositoryRecord,
    Stores,
)
from moorage.services.copy_graph import DAMAGED
from moorage.services.copy_lease import SIDE_BY_SIDE, CopyFailed, CopyLease
from moorage.services.hashing import content_of
from moorage.services.linking import Linking
from moorage.services.repositories import is_standing

SINGLE_COPY_MAX = 5 * 1024**3
"""The largest object, in bytes, that a store copies by one request."""

PART_SIZE = 512 * 1024**2
"""Bytes that one request copies of a larger one."""

HASHED_MAX = 64 * 1024**3
"""The largest object, in bytes, that is hashed here: more takes longer than a function may run."""

DESTINATION_GONE = "the destination was deleted while the copy was made"

_LINKS_READ = 1000
_LINKED_AT_ONCE = 64
_NOTHING = Digest.of(b"").encoded
_ATTEMPTS = 3

Each = TypeVar("Each")


@dataclass(frozen=True, slots=True)
class BlobPlan:
    """The blobs of a copy: where those lie that the destination lacks; in bytes, what it holds, and all."""

    lacking: Mapping[Digest, BlobLink]
    held_size: int
    size: int


class _Copied(NamedTuple):
    """How many bytes a copy has moved, and whether it, and not that of another job, is what is linked."""

    moved: int
    is_linked: bool


class CopyBlobs:
    """Brings blobs into repositories. Within one store it asks the table only, and touches no object."""

    def __init__(
        self,
        blobs: Blobs,
        repositories: Repositories,
        stores: Stores,
        clock: Clock,
        *,
        single_copy_max: int = SINGLE_COPY_MAX,
        part_size: int = PART_SIZE,
        hashed_max: int = HASHED_MAX,
    ) -> None:
        self._blobs = blobs
        self._repositories = repositories
        self._stores = stores
        self._linking = Linking(blobs, clock)
        self._clock = clock
        self._single_copy_max = single_copy_max
        self._part_size = part_size
        self._hashed_max = hashed_max
        # Each reads ahead, and takes memory for that.
        self._hashing = threading.Lock()

    def plan(
        self, lease: CopyLease, source: Repository, into: RepositoryRecord, wanted: Mapping[Digest, bool]
    ) -> BlobPlan:
        """Where the wanted blobs are. What need not be there is left out if neither side has it.

        Raises:
            CopyFailed: neither side has one that is needed, or one is too large to be copied from store to
                store.
        """
        held = self._links(lease, into.repository, wanted)
        lacking = self._links(lease, source, [digest for digest in wanted if digest not in held])
        for digest, needed in wanted.items():
            if needed and digest not in held and digest not in lacking:
                raise _gone(digest)
        for link in lacking.values():
            if link.store != into.store:
                self._refuse_unprovable(into, link)
        held_size = sum(link.size for link in held.values())
        return BlobPlan(lacking, held_size, held_size + sum(link.size for link in lacking.values()))

    def bring(self, lease: CopyLease, into: RepositoryRecord, links: Collection[BlobLink]) -> Iterator[int]:
        """Let a repository hold these blobs of the source, some at each step: how many bytes they have. Those
        that are copied in parts take several steps.

        Raises:
            CopyFailed: one is gone at the source, or is not what its digest says; or the destination is gone.
            CopyStopped: see ``CopyLease``. What was being copied may be left; ``lease.copying`` names it.
        """
        apart = any(link.store != into.store for link in links)
        for group in groups(links, SIDE_BY_SIDE if apart else _LINKED_AT_ONCE):
            self.require_standing(into)
            linked = lease.together([self._linker(into, link) for link in group])
            left = [link for link, done in zip(group, linked, strict=True) if not done]
            large = [link for link in left if link.size > self._single_copy_max]
            self._copy(lease, into, [link for link in left if link.size <= self._single_copy_max])
            if len(large) < len(group):
                yield sum(link.size for link in group) - sum(link.size for link in large)
            for link in large:
                yield from self._copy_large(lease, into, link)

    def require_standing(self, into: RepositoryRecord) -> None:
        """Make nothing in what is no more: the removal of an organisation may have passed here already.

        Raises:
            CopyFailed: the repository is gone.
        """
        if not is_standing(self._repositories, into):
            raise CopyFailed(DESTINATION_GONE)

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
        found: dict[Digest, BlobLink] = {}
        for wanted in groups(digests, _LINKS_READ):
            found |= self._blobs.find_links(repository, wanted)
            lease.keep()
        return found

    def _refuse_unprovable(self, into: RepositoryRecord, link: BlobLink) -> None:
        """Refuse what only a hash can prove, if that takes too long; what is there need not be copied."""
        hashed = link.size > self._single_copy_max or link.digest.algorithm is not Algorithm.SHA256
        if not hashed or link.size <= self._hashed_max:
            return
        if self._blobs.find_organisation_blob(into.repository.org, link.digest) is None:
            raise CopyFailed(
                f"the blob {link.digest} has more than {self._hashed_max} bytes, too many to verify a copy "
                "in another store; split it, or push the image to the destination"
            )

    def _linker(self, into: RepositoryRecord, link: BlobLink) -> Callable[[], bool]:
        """Link what the store of the destination has; whether it has it."""

        def link_there() -> bool:
            key = self._blobs.find_organisation_blob(into.repository.org, link.digest)
            if key is not None and self._linking.link(into, link.digest, key):
                return True
            if link.store != into.store:
                return False
            if self._linking.link_shared(into, link.digest, link.key) is None:
                raise _gone(link.digest)
            return True

        return link_there

    def _copy(self, lease: CopyLease, into: RepositoryRecord, links: Sequence[BlobLink]) -> None:
        """Copy objects by a request each, several at a time."""
        if not links:
            return
        keys = [copy_key(into.id, link.digest, lease.job.id) for link in links]
        lease.begin_copies(keys, into.store)
        steps = [self._copier(lease, into, link, key) for link, key in zip(links, keys, strict=True)]
        copies = lease.together(steps, lambda copied: lease.count_copied(copied.moved))
        for key, copied in zip(keys, copies, strict=True):
            if copied.is_linked:
                lease.end_copy(key)

    def _copier(
        self, lease: CopyLease, into: RepositoryRecord, link: BlobLink, key: str
    ) -> Callable[[], _Copied]:
        """Copy an object by one request, and link the copy."""

        def copy() -> _Copied:
            moved = 0
            if self._blobs.find_object(key) is None:
                if not self._stores.copy_object(_place(link), ObjectPlace(into.store, key)):
                    raise _gone(link.digest)
                moved = link.size
                if not self._record(lease, into, link, key):
                    return _Copied(moved, is_linked=False)
            self._link(into, link, key)
            return _Copied(moved, is_linked=True)

        return copy

    def _copy_large(self, lease: CopyLease, into: RepositoryRecord, link: BlobLink) -> Iterator[int]:
        """Copy an object in parts, several at each step, from where an earlier worker has come to."""
        key = copy_key(into.id, link.digest, lease.job.id)
        lease.begin_copies([key], into.store)
        if self._blobs.find_object(key) is None:
            for _ in self._copy_parts(lease, into, link, key):
                yield 0
                self.require_standing(into)
            if lease.together([lambda: self._record(lease, into, link, key)]) == [False]:
                yield link.size
                return
        lease.together([lambda: self._link(into, link, key)])
        lease.end_copy(key)
        yield link.size

    def _copy_parts(
        self, lease: CopyLease, into: RepositoryRecord, link: BlobLink, key: str
    ) -> Iterator[None]:
        store = self._stores[into.store]
        ((upload_id, found),) = lease.together([lambda: _begun(store, key)])
        if upload_id is None:
            return  # Put together already, and not recorded.
        parts = {part.number: part for part in found}
        steps: list[Callable[[], Part]] = []
        for number, start in enumerate(range(0, link.size, self._part_size), start=1):
            size = min(self._part_size, link.size - start)
            if number not in parts or parts[number].size != size:
                steps.append(self._part_copier(link, into.store, key, upload_id, number, start, size))
        for group in groups(steps, SIDE_BY_SIDE):
            copied = lease.together(group, lambda part: lease.count_copied(part.size))
            parts |= {part.number: part for part in copied}
            yield
        complete = [parts[number] for number in sorted(parts)]
        lease.together([lambda: self._put_together(store, key, upload_id, complete)])

    def _part_copier(
        self, link: BlobLink, store: str, key: str, upload_id: str, number: int, start: int, size: int
    ) -> Callable[[], Part]:
        def copy() -> Part:
            place = ObjectPlace(store, key)
            part = self._stores.copy_part(_place(link), place, upload_id, number, start, size)
            if part is None:
                raise _gone(link.digest)
            return part

        return copy

    def _put_together(self, store: ObjectStore, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        if not store.complete_multipart(key, upload_id, parts) and store.head(key) is None:
            raise WriteConflict("somebody else has ended the upload; try again")

    def _record(self, lease: CopyLease, into: RepositoryRecord, link: BlobLink, key: str) -> bool:
        """Record a copy, if it is proved to have the digest; whether it is recorded. It is not where another
        job was quicker: then that one's is linked, and ours is given up.
        """
        org, sha256 = into.repository.org, None
        for _ in range(_ATTEMPTS):
            known = self._blobs.find_organisation_blob(org, link.digest)
            if known is not None and self._linking.link(into, link.digest, known):
                return False
            sha256 = sha256 or self._prove(lease, into.store, link, key)
            self.require_standing(into)
            lease.require_held()
            copied = StoredObject(key, link.size, sha256, self._clock(), into.store)
            if self._blobs.add_copy(copied, org, link.digest, instead_of=known):
                return True
        raise WriteConflict("others are storing the same blob; try again")

    def _prove(self, lease: CopyLease, store: str, link: BlobLink, key: str) -> str:
        """SHA-256 of a copy: the store's own, or else, of every byte, ours."""
        head, sha256 = self._stores[store].head(key), None
        if head is None:
            raise _taken_away(link.digest)
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
        if self._linking.link(into, link.digest, key) is None:
            raise _taken_away(link.digest)

    def _remove(self, store: ObjectStore, key: str) -> None:
        for name, upload_id in store.unfinished_uploads(key):
            store.abort_multipart(name, upload_id)
        store.delete([key])


def _begun(store: ObjectStore, key: str) -> tuple[str | None, Sequence[Part]]:
    """The upload of an object in parts, begun now if it was not, and the parts that are there; None if they
    have been put together.
    """
    begun = [upload_id for name, upload_id in store.unfinished_uploads(key) if name == key]
    if begun:
        return begun[0], store.list_parts(key, begun[0]) or ()
    return (None, ()) if store.head(key) is not None else (store.begin_multipart(key), ())


def groups(each: Iterable[Each], size: int) -> Iterator[list[Each]]:
    """The same in groups of that size; the last one may have fewer."""
    coming = iter(each)
    while group := list(islice(coming, size)):
        yield group


def _place(link: BlobLink) -> ObjectPlace:
    return ObjectPlace(link.store, link.key)


def _gone(digest: Digest) -> CopyFailed:
    return CopyFailed(f"the source does not hold {digest}, which the image names; push the image there again")


def _taken_away(digest: Digest) -> CopyFailed:
    return CopyFailed(
        f"the copy of the blob {digest} is being removed from the destination; request the copy again"
    )
