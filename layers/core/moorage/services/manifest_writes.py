"""Manifests as they are stored, whoever brings them: a push, or a copy."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping

from moorage.domain.blobs import BlobLink
from moorage.domain.digests import Digest
from moorage.domain.errors import ManifestBlobUnknown
from moorage.domain.images import MAX_SIZE
from moorage.domain.manifests import Manifest, compact_json
from moorage.domain.names import Repository
from moorage.ports import Clock, ManifestRecord, Manifests, ObjectPlace, Referrer, RepositoryRecord, Stores

MANIFEST_PREFIX = "manifests/"

FindLinks = Callable[[Repository, Collection[Digest]], Mapping[Digest, BlobLink]]
"""The links of those of some blobs that a repository holds."""

# What is larger goes to the object store: a strong read of an item is paid by its size.
_INLINE_SIZE = 64 * 1024
_NAMED_IN_ERROR = 20


class ManifestWrites:
    """Stores manifests in repositories that hold all that they name."""

    def __init__(
        self,
        manifests: Manifests,
        stores: Stores,
        clock: Clock,
        find_links: FindLinks,
    ) -> None:
        self._manifests = manifests
        self._stores = stores
        self._clock = clock
        self._find_links = find_links

    def require_content(self, repository: Repository, manifest: Manifest) -> int:
        """Every blob and child manifest must be in this repository: knowing a digest gives nothing. The bytes
        of the manifest and of all that it names; what several manifests of an index share counts for each.

        Raises:
            ManifestBlobUnknown: it names blobs or manifests that the repository does not hold.
        """
        wanted = dict.fromkeys(blob.digest for blob in manifest.blobs if not blob.optional)
        links = dict(self._find_links(repository, wanted))
        children = dict.fromkeys(child.digest for child in manifest.manifests)
        stored = self._manifests.find_manifests(repository, children) if children else {}
        missing = [digest for digest in wanted if digest not in links]
        absent = [digest for digest in children if digest not in stored]
        # BuildKit keeps its cache in an index whose entries are layers.
        layers = dict(self._find_links(repository, absent))
        missing += [digest for digest in absent if digest not in layers]
        if missing:
            raise ManifestBlobUnknown(
                "the manifest names content that this repository does not hold; push that first",
                detail=[{"digest": str(digest)} for digest in missing[:_NAMED_IN_ERROR]],
            )
        size = len(manifest.content) + sum(link.size for link in (links | layers).values())
        return min(size + sum(child.total_size for child in stored.values()), MAX_SIZE)

    def put(
        self,
        into: RepositoryRecord,
        digest: Digest,
        manifest: Manifest,
        total_size: int,
        *,
        name: str | None = None,
    ) -> None:
        """Store a manifest, of which ``require_content`` has said how large it is with all that it names. The
        object of a large one is called ``name``, else at random.

        Raises:
            NameUnknown: the repository is gone, whatever has its name now.
        """
        place: ObjectPlace | None = None
        if len(manifest.content) > _INLINE_SIZE:
            place = self._store_large(into, digest, manifest.content, name or secrets.token_hex(8))
        stored = ManifestRecord(
            digest=digest,
            media_type=manifest.media_type,
            size=len(manifest.content),
            pushed=self._clock(),
            body=None if place else manifest.content,
            body_key=place.key if place else None,
            subject=manifest.subject,
            artifact_type=manifest.artifact_type,
            total_size=total_size,
            store=place.store if place else into.store,
        )
        uses = [reference.digest for reference in (*manifest.blobs, *manifest.manifests)]
        referrer = _referrer(digest, manifest)
        self._manifests.put_manifest(
            into.repository, stored, repository_id=into.id, uses=dict.fromkeys(uses), referrer=referrer
        )

    def _store_large(self, into: RepositoryRecord, digest: Digest, content: bytes, name: str) -> ObjectPlace:
        """The object that holds the content: that of an earlier push of the same manifest, or a new one."""
        standing = self._manifests.find_manifest(into.repository, digest)
        if standing is not None and standing.body_key is not None:
            return ObjectPlace(standing.store, standing.body_key)
        key = f"{MANIFEST_PREFIX}{digest.encoded[:2]}/{into.id}/{digest.encoded}/{name}"
        self._stores[into.store].put(key, content)
        return ObjectPlace(into.store, key)


def _referrer(digest: Digest, manifest: Manifest) -> Referrer | None:
    if manifest.subject is None:
        return None
    descriptor = manifest.descriptor(digest)
    fits = len(compact_json(descriptor)) <= _INLINE_SIZE
    return Referrer(manifest.subject, digest, manifest.artifact_type or "", descriptor if fits else None)
