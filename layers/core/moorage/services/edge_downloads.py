"""Edge downloads: blobs that the front door serves itself, near the client and out of its cache."""

from __future__ import annotations

from moorage.domain.blobs import DEFAULT_STORE, BlobLink
from moorage.domain.edge_paths import download_path
from moorage.ports import Clock
from moorage.services.upload_keys import HeldUploadKey


class EdgeDownloads:
    """Makes the paths that blobs are pulled from."""

    def __init__(self, key: HeldUploadKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def location(self, blobs: str, link: BlobLink) -> str | None:
        """The path that serves the blob for a few minutes, None when only the store can; ``blobs`` is the
        path of its repository's blobs as the client calls it.

        Raises:
            Unavailable: the upload key cannot be read.
        """
        if link.store != DEFAULT_STORE:
            return None  # The front door leads to the stack's own bucket.
        now = self._clock()
        return download_path(blobs, link, self._key.at(now), now)
