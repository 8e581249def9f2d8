"""What clients delete from repositories through ``/v2``: tags, manifests and blobs."""

from __future__ import annotations

from moorage.domain.digests import Digest
from moorage.domain.errors import BlobUnknown, ManifestUnknown
from moorage.domain.names import Repository
from moorage.ports import Blobs, Manifests
from moorage.services.protection import Protection
from moorage.services.settling import Settling


class Deletions:
    """Deletes what no protected image is made of."""

    def __init__(
        self, manifests: Manifests, blobs: Blobs, settling: Settling, protection: Protection
    ) -> None:
        self._manifests = manifests
        self._blobs = blobs
        self._settling = settling
        self._protection = protection

    def manifest(self, repository: Repository, reference: Digest | str) -> None:
        """Delete a tag, or a manifest with all its tags; gone for every reader when this returns.

        Raises:
            ManifestUnknown: there is none.
            ResourceProtected: the metadata of the tag, or of one of the manifest's tags, protects an image;
                or a protected image is made of the manifest.
        """
        if isinstance(reference, Digest):
            self._protection.refuse_part(repository, reference)
            deleted = self._manifests.delete_manifest(repository, reference)
        else:
            deleted = self._manifests.delete_tag(repository, reference)
        if not deleted:
            raise ManifestUnknown("this repository does not hold that manifest")

    def blob(self, repository: Repository, digest: Digest) -> None:
        """Take a blob out of this repository, at once; its object is left to the collector.

        Raises:
            BlobUnknown: this repository does not hold it.
            ResourceProtected: a protected image is made of it.
        """
        self._protection.refuse_part(repository, digest)
        held = self._blobs.remove_link(repository, digest) is not None
        # What other uploads of it have stored and not linked would come back with the next question for it.
        while self._settling.settle(repository, digest) is not None:
            held = self._blobs.remove_link(repository, digest) is not None or held
        if not held:
            raise BlobUnknown("this repository does not hold that blob")
