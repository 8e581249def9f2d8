"""Blobs of a repository: pulled, and mounted from another repository."""

from __future__ import annotations

from moorage.domain.blobs import BlobLink
from moorage.domain.digests import Digest
from moorage.domain.errors import BlobUnknown, InvalidInput
from moorage.domain.grants import Action
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission
from moorage.domain.ranges import require_satisfiable
from moorage.domain.targets import Resource
from moorage.ports import Blobs, Stores
from moorage.services.authorization import Authorization
from moorage.services.edge_downloads import EdgeDownloads
from moorage.services.linking import Linking
from moorage.services.repositories import RepositoryOpening
from moorage.services.settling import Settling

_SOURCES = 50


class BlobAccess:
    """What a repository's clients can do with its blobs besides uploading them."""

    def __init__(
        self,
        blobs: Blobs,
        stores: Stores,
        linking: Linking,
        settling: Settling,
        opening: RepositoryOpening,
        authorization: Authorization,
        edge: EdgeDownloads | None = None,
    ) -> None:
        """With ``edge``, clients of the front door get blobs from there."""
        self._blobs = blobs
        self._stores = stores
        self._linking = linking
        self._settling = settling
        self._opening = opening
        self._authorization = authorization
        self._edge = edge

    def find(self, repository: Repository, digest: Digest) -> BlobLink:
        """The blob's link, with its size.

        Raises:
            BlobUnknown: this repository does not hold it, whoever else does.
            BeingVerified: it was uploaded, and only the finalizer can prove it.
        """
        link = self._settling.find(repository, digest)
        if link is None:
            raise _unknown()
        return link

    def location(
        self, repository: Repository, digest: Digest, byte_range: str | None, front_door: str | None = None
    ) -> str:
        """A URL that serves the blob's bytes for a few minutes: the store's, or a path of the front door, if
        the client came through it; ``front_door`` is the path of the repository's blobs as it calls it.

        Raises:
            Unavailable: the store or the front door's key cannot be reached.
            BlobUnknown: see ``find``.
            BlobRangeNotSatisfiable: ``byte_range`` (a ``Range`` header) fits no byte of the blob.
        """
        link = self.find(repository, digest)
        if byte_range is not None:
            require_satisfiable(byte_range, link.size)
        if self._edge and front_door is not None and (path := self._edge.location(front_door, link)):
            return path
        return self._stores[link.store].presign_get(link.key)

    def mount(
        self, repository: Repository, principal: str, digest: Digest, source: Repository | None
    ) -> BlobLink | None:
        """Link a blob that another repository holds, if ``principal`` may pull from there; else None.

        Without a source, any repository of the same organisation that the principal may pull from will do.
        A source that may not be read looks exactly like one that does not hold the blob.

        https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#mounting-a-blob-from-another-repository
        """
        held = (
            self._find_in(source, principal, digest)
            if source
            else self._find_any(repository, principal, digest)
        )
        if held is None:
            return None
        into = self._opening.open(repository)
        if held.store != into.store:
            return None  # What a repository links lies in its own store: the client uploads it.
        return self._linking.link(into, digest, held.key)

    def _find_in(self, source: Repository, principal: str, digest: Digest) -> BlobLink | None:
        if not self._authorization.allows(principal, Permission.PULL, Resource.of_repository(source)):
            return None
        return self._settling.find(source, digest)

    def _find_any(self, repository: Repository, principal: str, digest: Digest) -> BlobLink | None:
        key = self._blobs.find_organisation_blob(repository.org, digest)
        if key is None:
            return None
        sources = [source for source, linked in self._blobs.references(key, _SOURCES) if linked == digest]
        try:
            granted, _ = self._authorization.grant(
                principal, dict.fromkeys(sources, frozenset({Action.PULL}))
            )
        except InvalidInput:
            return None  # Too much to decide about: the client uploads it.
        for source in sources:
            # A REF row is written before its link and may outlive it: the link is what counts.
            if granted[source] and (link := self._blobs.find_link(source, digest)):
                return link
        return None


def _unknown() -> BlobUnknown:
    return BlobUnknown("this repository does not hold that blob")
