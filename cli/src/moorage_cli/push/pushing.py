"""A push: what is missing is sent, then the manifests, and the tag at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from moorage_cli.errors import CliError
from moorage_cli.push.blob_upload import BlobUpload, Way
from moorage_cli.push.image import Image
from moorage_cli.push.progress import Bars
from moorage_cli.push.repository import Repository
from moorage_cli.push.store import Store
from moorage_cli.push.unfinished import Unfinished
from moorage_cli.push.workers import Workers
from moorage_cli.signals import Terminated

# A manifest makes blobs of what was stored for it, but not of any number.
_MOST_BY_MANIFEST = 100
_LACKS_SOMETHING = "MANIFEST_BLOB_UNKNOWN"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a push did: blobs that were sent, and that were there; bytes that were sent; seconds."""

    sent: int
    there: int
    sent_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Pushing:
    """Pushes images to a repository, ``at_once`` pieces side by side. If a push is interrupted, ``left`` is
    told how many bytes the next one need not send, and how many there are in all.
    """

    repository: Repository
    store: Store
    unfinished: Unfinished
    bars: Bars
    at_once: int
    part_size: int | None = None
    left: Callable[[int, int], None] = lambda kept, size: None  # noqa: ARG005
    clock: Callable[[], float] = time.monotonic

    def push(self, image: Image, tag: str) -> Outcome:
        """Push an image under a tag. If it fails, what was stored stays, and the next push goes on from it.

        Raises:
            CliError: the source is not what it says, the registry or the store refuses, or is not reached.
        """
        started = self.clock()
        uploads = [] if self._is_there(image, tag) else self._send(image, tag)
        self.unfinished.forget(*image.blobs)
        # A blob that was lost on the way is sent twice, and is one.
        sent = len({upload.blob.digest for upload in uploads if not upload.was_there})
        sent_bytes = sum(upload.sent for upload in uploads)
        return Outcome(sent, len(image.blobs) - sent, sent_bytes, self.clock() - started)

    def _is_there(self, image: Image, tag: str) -> bool:
        """Whether all of an image is there already; the tag is put to it then."""
        if not self.repository.holds_manifest(image.digest):
            return False
        try:
            self.repository.put_manifest(image.manifests[-1], tag)
        except CliError as error:
            # Something that it names was deleted, and is pushed again.
            if error.code != _LACKS_SOMETHING:
                raise
            return False
        return True

    def _send(self, image: Image, tag: str) -> list[BlobUpload]:
        uploads = self._send_blobs(image)
        try:
            self._put_manifests(image, tag)
        except CliError as error:
            if error.code != _LACKS_SOMETHING:
                raise
            # Somebody else has removed a blob, or the registry has only just made one of what was stored.
            uploads += self._send_blobs(image)
            self._put_manifests(image, tag)
        return uploads

    def _put_manifests(self, image: Image, tag: str) -> None:
        for manifest in image.manifests[:-1]:
            self.repository.put_manifest(manifest, manifest.digest)
        self.repository.put_manifest(image.manifests[-1], tag)

    def _send_blobs(self, image: Image) -> list[BlobUpload]:
        workers = Workers(self.at_once, self.store.stop)
        way = Way(
            self.repository,
            self.store,
            self.unfinished,
            workers,
            self.part_size,
            complete=len(image.blobs) > _MOST_BY_MANIFEST,
        )
        # The largest first, so that none is left alone at the end.
        self.bars.clear()
        largest = sorted(image.blobs.values(), key=lambda blob: blob.size, reverse=True)
        uploads = [
            BlobUpload(blob, way, self.bars.bar(blob.digest, blob.size, "waiting")) for blob in largest
        ]
        try:
            workers.run([upload.start for upload in uploads])
        except (KeyboardInterrupt, Terminated):
            self.left(sum(upload.kept for upload in uploads), sum(blob.size for blob in largest))
            raise
        return uploads
