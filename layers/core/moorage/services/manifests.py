"""Manifests and tags: pushed, pulled, listed.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import DigestMismatch, ManifestUnknown, NameUnknown, WriteConflict
from moorage.domain.images import Pushed
from moorage.domain.manifests import Manifest
from moorage.domain.names import Repository
from moorage.ports import Clock, ManifestRecord, Manifests, Repositories, Stores
from moorage.services.manifest_writes import ManifestWrites
from moorage.services.repositories import RepositoryOpening
from moorage.services.settling import Settling
from moorage.services.tag_rules import TagRules

_ATTEMPTS = 3
MAX_TAGS_PER_PAGE = 1000


@dataclass(frozen=True, slots=True)
class PushedManifest:
    """What came of a push."""

    digest: Digest
    subject: Digest | None
    tags: tuple[str, ...]


class ManifestAccess:
    """The manifests and tags of repositories."""

    def __init__(
        self,
        manifests: Manifests,
        repositories: Repositories,
        stores: Stores,
        settling: Settling,
        opening: RepositoryOpening,
        rules: TagRules,
        clock: Clock,
    ) -> None:
        self._manifests = manifests
        self._repositories = repositories
        self._stores = stores
        self._writes = ManifestWrites(manifests, stores, clock, settling.find_all)
        self._opening = opening
        self._rules = rules
        self._clock = clock

    def find(self, repository: Repository, reference: Digest | str) -> ManifestRecord:
        """The record of a manifest by digest (one read) or tag (two).

        Raises:
            ManifestUnknown: there is none.
        """
        if isinstance(reference, Digest):
            record = self._manifests.find_manifest(repository, reference)
        else:
            record = self._find_tagged(repository, reference)
        if record is None:
            raise _unknown()
        return record

    def content(self, record: ManifestRecord) -> bytes:
        """The bytes as they were pushed.

        Raises:
            ManifestUnknown: deleted since ``record`` was read.
        """
        content = read_content(self._stores, record)
        if content is None:
            raise _unknown()
        return content

    def push(
        self,
        repository: Repository,
        principal: str,
        content: bytes,
        content_type: str | None,
        reference: Digest | str,
        tags: Sequence[str] = (),
    ) -> PushedManifest:
        """Store a manifest and point its tags at it; tags move last, when all else is there. The images that
        they stand for are then known as pushed by ``principal``.

        Raises:
            ManifestTooLarge, ManifestInvalid: see ``Manifest.parse``.
            DigestMismatch: pushed under the digest of other content.
            ManifestBlobUnknown: it names blobs or manifests that the repository does not hold.
            BeingVerified: it names a blob that was uploaded, and that only the finalizer can prove.
            NameUnknown: the organisation is not there, or is being removed.
            TagImmutable: a tag names another manifest, and must not move; no tag has moved, unless that one
                was set only meanwhile.
        """
        manifest = Manifest.parse(content, content_type)
        if isinstance(reference, Digest):
            digest = reference
            if not digest.matches(content):
                raise DigestMismatch("the manifest does not have the digest it is pushed under")
        else:
            digest = Digest.of(content, Algorithm.SHA256)
            tags = (reference, *tags)
        size = self._writes.require_content(repository, manifest)
        tags = tuple(dict.fromkeys(tags))
        may_move = self._rules.of(repository)
        for _ in range(_ATTEMPTS):
            self._writes.put(self._opening.open(repository), digest, manifest, size)
            pushed = Pushed(digest, manifest.media_type, size, principal, self._clock(), manifest.platforms)
            try:
                self._manifests.put_tags(repository, tags, pushed, may_move)
            except ManifestUnknown:
                continue  # Deleted by somebody else since it was put.
            return PushedManifest(digest, manifest.subject, tags)
        raise WriteConflict("the manifest is being deleted at the same time; try again")

    def tags(self, repository: Repository, last: str | None, limit: int) -> tuple[Sequence[str], bool]:
        """Up to ``limit`` (at most 1000) tags after ``last``, and whether there are more.

        Raises:
            NameUnknown: there is no such repository.
        """
        limit = min(limit, MAX_TAGS_PER_PAGE)
        tags = self._manifests.tags_after(repository, last, limit + 1)
        if not tags and self._repositories.find_repository(repository) is None:
            raise NameUnknown("there is no such repository")
        return tags[:limit], len(tags) > limit

    def _find_tagged(self, repository: Repository, tag: str) -> ManifestRecord | None:
        digest = self._manifests.find_tag(repository, tag)
        while digest is not None:
            record = self._manifests.find_manifest(repository, digest)
            if record is not None:
                return record
            # Between the two reads the tag may have moved on and its old manifest may have been deleted.
            before, digest = digest, self._manifests.find_tag(repository, tag)
            if digest == before:
                return None
        return None


def read_content(stores: Stores, record: ManifestRecord) -> bytes | None:
    """The bytes of a manifest, None when it has been deleted since ``record`` was read."""
    if record.body is not None:
        return record.body
    pieces = stores[record.store].read(record.body_key) if record.body_key else None
    return None if pieces is None else b"".join(pieces)


def _unknown() -> ManifestUnknown:
    return ManifestUnknown("this repository does not hold that manifest")
