"""Manifests and tags: pushed, pulled, listed.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import (
    DigestMismatch,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    WriteConflict,
)
from moorage.domain.images import MAX_SIZE, Pushed
from moorage.domain.manifests import Manifest, compact_json
from moorage.domain.names import Repository
from moorage.ports import (
    Clock,
    ManifestRecord,
    Manifests,
    Referrer,
    Repositories,
    RepositoryRecord,
    Storage,
)
from moorage.services.repositories import RepositoryOpening
from moorage.services.settling import Settling
from moorage.services.tag_rules import TagRules

MANIFEST_PREFIX = "manifests/"
# What is larger goes to the object store: a strong read of an item is paid by its size.
_INLINE_SIZE = 64 * 1024
_NAMED_IN_ERROR = 20
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
        storage: Storage,
        settling: Settling,
        opening: RepositoryOpening,
        rules: TagRules,
        clock: Clock,
    ) -> None:
        self._manifests = manifests
        self._repositories = repositories
        self._storage = storage
        self._settling = settling
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
        content = read_content(self._storage, record)
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
        size = self._require_content(repository, manifest)
        tags = tuple(dict.fromkeys(tags))
        may_move = self._rules.of(repository)
        for _ in range(_ATTEMPTS):
            self._put(repository, digest, manifest, size)
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

    def _require_content(self, repository: Repository, manifest: Manifest) -> int:
        """Every blob and child manifest must be in this repository: knowing a digest gives nothing. The bytes
        of the manifest and of all that it names; what several manifests of an index share counts for each.
        """
        wanted = dict.fromkeys(blob.digest for blob in manifest.blobs if not blob.optional)
        links = dict(self._settling.find_all(repository, wanted))
        children = dict.fromkeys(child.digest for child in manifest.manifests)
        stored = self._manifests.find_manifests(repository, children) if children else {}
        missing = [digest for digest in wanted if digest not in links]
        absent = [digest for digest in children if digest not in stored]
        # BuildKit keeps its cache in an index whose entries are layers.
        layers = dict(self._settling.find_all(repository, absent))
        missing += [digest for digest in absent if digest not in layers]
        if missing:
            raise ManifestBlobUnknown(
                "the manifest names content that this repository does not hold; push that first",
                detail=[{"digest": str(digest)} for digest in missing[:_NAMED_IN_ERROR]],
            )
        size = len(manifest.content) + sum(link.size for link in (links | layers).values())
        return min(size + sum(child.total_size for child in stored.values()), MAX_SIZE)

    def _put(self, repository: Repository, digest: Digest, manifest: Manifest, total_size: int) -> None:
        record = self._opening.open(repository)
        body: bytes | None = manifest.content
        body_key: str | None = None
        if len(manifest.content) > _INLINE_SIZE:
            body, body_key = None, self._store_large(record, digest, manifest.content)
        stored = ManifestRecord(
            digest=digest,
            media_type=manifest.media_type,
            size=len(manifest.content),
            pushed=self._clock(),
            body=body,
            body_key=body_key,
            subject=manifest.subject,
            artifact_type=manifest.artifact_type,
            total_size=total_size,
        )
        uses = [reference.digest for reference in (*manifest.blobs, *manifest.manifests)]
        referrer = _referrer(digest, manifest)
        self._manifests.put_manifest(repository, stored, uses=dict.fromkeys(uses), referrer=referrer)

    def _store_large(self, repository: RepositoryRecord, digest: Digest, content: bytes) -> str:
        """The object that holds the content: that of an earlier push of the same manifest, or a new one."""
        standing = self._manifests.find_manifest(repository.repository, digest)
        if standing is not None and standing.body_key is not None:
            return standing.body_key
        name = f"{digest.encoded[:2]}/{repository.id}/{digest.encoded}/{secrets.token_hex(8)}"
        self._storage.put(MANIFEST_PREFIX + name, content)
        return MANIFEST_PREFIX + name

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


def read_content(storage: Storage, record: ManifestRecord) -> bytes | None:
    """The bytes of a manifest, None when it has been deleted since ``record`` was read."""
    if record.body is not None:
        return record.body
    pieces = storage.read(record.body_key) if record.body_key else None
    return None if pieces is None else b"".join(pieces)


def _referrer(digest: Digest, manifest: Manifest) -> Referrer | None:
    if manifest.subject is None:
        return None
    descriptor = manifest.descriptor(digest)
    fits = len(compact_json(descriptor)) <= _INLINE_SIZE
    return Referrer(manifest.subject, digest, manifest.artifact_type or "", descriptor if fits else None)


def _unknown() -> ManifestUnknown:
    return ManifestUnknown("this repository does not hold that manifest")
