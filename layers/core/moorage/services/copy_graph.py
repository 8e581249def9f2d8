"""What a copy consists of: manifests, found from the images that are copied, and the blobs that they name."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from moorage.domain.companions import companion_tags
from moorage.domain.digests import Digest
from moorage.domain.errors import ManifestInvalid, ManifestTooLarge
from moorage.domain.manifests import Manifest
from moorage.domain.names import Repository
from moorage.ports import Images, ManifestRecord, Manifests, Stores
from moorage.services.copy_lease import CopyFailed, CopyLease

MAX_MANIFESTS = 10_000
"""Manifests that belong to one image, at most, its referrers and theirs among them."""

MAX_REFERENCES = 100_000
"""Different digests that they name, at most."""

DAMAGED = "the source's content is damaged: {} is not what its digest says; push the image again"

_AT_ONCE = 100
# Of contents in memory at once: a manifest has up to four megabytes, and what is made of it many more.
_BYTES_AT_ONCE = 16 * 1024 * 1024


class TooManyManifests(CopyFailed):
    """More than are copied together; fewer images may do."""


@dataclass(frozen=True, slots=True)
class GraphManifest:
    """A manifest, as far as it matters for a copy. ``optional`` are blobs that need not be there."""

    children: tuple[Digest, ...]
    blobs: tuple[Digest, ...]
    optional: tuple[Digest, ...]
    media_type: str
    platforms: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class ManifestContent:
    """The bytes of a manifest. ``is_large`` ones are to be parsed one at a time: what is made of them takes
    many times their size.
    """

    digest: Digest
    media_type: str
    content: bytes
    is_large: bool

    def parsed(self) -> Manifest:
        """The manifest.

        Raises:
            CopyFailed: it is not what its digest says, or none that may be stored.
        """
        if not self.digest.matches(self.content):
            raise CopyFailed(DAMAGED.format(f"the manifest {self.digest}"))
        try:
            return Manifest.parse(self.content, self.media_type)
        except (ManifestInvalid, ManifestTooLarge) as error:
            raise CopyFailed(
                f"the manifest {self.digest} cannot be stored any more: {error.message}"
            ) from None


@dataclass(slots=True)
class CopyGraph:
    """All that belongs to some images. ``companions`` are tags that name content by the digest of other
    content, like signatures, and are copied with it.
    """

    manifests: dict[Digest, GraphManifest] = field(default_factory=dict)
    companions: dict[str, Digest] = field(default_factory=dict)
    digests: dict[Digest, Digest] = field(default_factory=dict)
    """Every digest that is named, once in memory however often."""

    def add(self, digest: Digest, manifest: Manifest) -> Sequence[Digest]:
        """Add a manifest; what it lists as manifests."""
        children = self._once(child.digest for child in manifest.manifests)
        self.manifests[digest] = GraphManifest(
            children,
            self._once(blob.digest for blob in manifest.blobs if not blob.optional),
            self._once(blob.digest for blob in manifest.blobs if blob.optional),
            manifest.media_type,
            manifest.platforms,
        )
        return children

    def _once(self, digests: Iterable[Digest]) -> tuple[Digest, ...]:
        return tuple(dict.fromkeys(self.digests.setdefault(digest, digest) for digest in digests))

    def blobs(self) -> dict[Digest, bool]:
        """The blobs, and whether each has to be there. What an index lists and is no manifest is one, too:
        caches are kept so.
        """
        wanted: dict[Digest, bool] = {}
        for manifest in self.manifests.values():
            for digest in manifest.optional:
                wanted.setdefault(digest, False)
            for digest in manifest.blobs:
                wanted[digest] = True
            for digest in manifest.children:
                if digest not in self.manifests:
                    wanted[digest] = True
        return wanted

    def generations(self) -> Iterator[Sequence[Digest]]:
        """The manifests, all that one names before itself; those that come together name none of each other.

        Raises:
            CopyFailed: manifests name each other in a circle.
        """
        users: dict[Digest, list[Digest]] = {}
        missing: dict[Digest, int] = {}
        for digest, manifest in self.manifests.items():
            children = {child for child in manifest.children if child in self.manifests}
            missing[digest] = len(children)
            for child in children:
                users.setdefault(child, []).append(digest)
        generation = [digest for digest, count in missing.items() if count == 0]
        left = len(missing)
        while generation:
            yield generation
            left -= len(generation)
            following: list[Digest] = []
            for digest in generation:
                for user in users.get(digest, ()):
                    missing[user] -= 1
                    if missing[user] == 0:
                        following.append(user)
            generation = following
        if left:
            raise CopyFailed("the source's content is damaged: manifests name each other in a circle")


class CopyGraphs:
    """Finds out what belongs to images."""

    def __init__(
        self, manifests: Manifests, images: Images, stores: Stores, max_manifests: int = MAX_MANIFESTS
    ) -> None:
        self._manifests = manifests
        self._images = images
        self._stores = stores
        self._max_manifests = max_manifests

    def walk(
        self, lease: CopyLease, source: Repository, roots: Collection[Digest], *, referrers: bool
    ) -> CopyGraph:
        """All that belongs to ``roots``; with ``referrers``, also what refers to any of it, and so on.

        Raises:
            CopyFailed: a root is gone, or content is damaged (``TooManyManifests``: there is too much).
            CopyStopped: see ``CopyLease``.
        """
        graph, seen, waiting = CopyGraph(), set(roots), deque(dict.fromkeys(roots))
        while waiting:
            batch = [waiting.popleft() for _ in range(min(_AT_ONCE, len(waiting)))]
            here, found = list[Digest](), list[Digest]()
            for contents in self.read(lease, source, batch):
                for each in contents:
                    found += graph.add(each.digest, each.parsed())
                    here.append(each.digest)
                    lease.keep()
            if referrers and here:
                found += self._referrers(lease, source, here)
                companions = self._companions(source, here)
                graph.companions |= companions
                found += companions.values()
            for digest in found:
                if digest not in seen:
                    seen.add(digest)
                    waiting.append(digest)
            self._require_size(graph)
            lease.keep()
        if gone := [digest for digest in roots if digest not in graph.manifests]:
            raise CopyFailed(f"the image {gone[0]} was deleted at the source; push it there again")
        # What a tag names, or a referrer row, may be gone by now.
        graph.companions = {tag: each for tag, each in graph.companions.items() if each in graph.manifests}
        return graph

    def read(
        self, lease: CopyLease, source: Repository, digests: Collection[Digest]
    ) -> Iterator[list[ManifestContent]]:
        """The contents of those of the manifests that the source has, as many at a time as there is room for
        in memory; whoever wants the next ones lets go of these.
        """
        records = self._manifests.read_manifests(source, digests).values()
        # What is not kept apart is small, and of a batch of rows there is not much.
        near = [
            ManifestContent(record.digest, record.media_type, record.body, is_large=False)
            for record in records
            if record.body is not None
        ]
        if near:
            yield near
        apart = [record for record in records if record.body is None]
        del records, near
        for group in _within(_BYTES_AT_ONCE, apart):
            read = lease.together([self._reader(record) for record in group])
            yield [each for each in read if each is not None]
            del read

    def _referrers(self, lease: CopyLease, source: Repository, digests: Sequence[Digest]) -> list[Digest]:
        def referrers_of(subject: Digest) -> Callable[[], list[Digest]]:
            return lambda: list(self._pages(source, subject))

        return [each for found in lease.together(list(map(referrers_of, digests))) for each in found]

    def _pages(self, source: Repository, subject: Digest) -> Iterator[Digest]:
        after: str | None = None
        while True:
            page = self._manifests.referrers(source, subject, artifact_type=None, after=after)
            yield from (referrer.digest for referrer in page.referrers)
            if page.next is None:
                return
            after = page.next

    def _companions(self, source: Repository, digests: Iterable[Digest]) -> Mapping[str, Digest]:
        wanted = [(source, tag) for digest in digests for tag in companion_tags(digest)]
        return {record.tag: record.digest for record in self._images.find_images(wanted)}

    def _reader(self, record: ManifestRecord) -> Callable[[], ManifestContent | None]:
        def read() -> ManifestContent | None:
            pieces = self._stores[record.store].read(record.body_key) if record.body_key else None
            if pieces is None:
                return None
            return ManifestContent(record.digest, record.media_type, b"".join(pieces), is_large=True)

        return read

    def _require_size(self, graph: CopyGraph) -> None:
        if len(graph.manifests) > self._max_manifests:
            raise TooManyManifests(
                f"more than {self._max_manifests} manifests belong to one image; copy parts of it by digest, "
                "or without referrers"
            )
        if len(graph.digests) > MAX_REFERENCES:
            raise TooManyManifests(
                f"the manifests of one image name more than {MAX_REFERENCES} digests; copy parts of it by "
                "digest"
            )


def _within(size: int, records: Iterable[ManifestRecord]) -> Iterator[list[ManifestRecord]]:
    """Groups of records whose contents have at most so many bytes together, or of one record."""
    group, left = list[ManifestRecord](), size
    for record in records:
        if group and record.size > left:
            yield group
            group, left = [], size
        group.append(record)
        left -= record.size
    if group:
        yield group
