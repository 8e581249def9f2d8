"""Upload sessions: what has been received of a blob, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from moorage.domain.blobs import DEFAULT_STORE, Origin, Way
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import BlobTooLarge, BlobUploadInvalid, BodyTooLarge, ChunkOutOfOrder, SizeInvalid
from moorage.domain.names import Repository
from moorage.domain.ranges import ChunkRange

# When it is over, the sweeper takes what was stored: every signature must have ended before, and the longest
# upload that was begun with one.
SESSION_LIFETIME = timedelta(hours=18)
# A Lambda invocation carries 6 MiB of JSON and a binary body is base64 in it; the rest is headers.
MAX_BODY_SIZE = 4_500_000
MAX_CHUNKED_BLOB_SIZE = 256 * 1024 * 1024
# All chunks stand in the session's row, which has to stay small.
MAX_CHUNKS = 1024


class SessionState(StrEnum):
    """Only what an ``open`` session has stored can be linked.

    ``closed``: the blob is linked. ``failed``: what was stored is something else than was announced.
    ``expired``: nobody came back in time; the sweeper is removing what was stored.
    """

    OPEN = "open"
    CLOSED = "closed"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that were received in one request and lie in an object of their own."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a client that asks for presigned URLs says beforehand, and how it was told to upload it: in one
    PUT, or in the parts of a multipart upload.
    """

    digest: Digest
    size: int
    part_size: int | None = None
    upload_id: str | None = None


@dataclass(frozen=True, slots=True)
class UploadSession:
    """One upload: bound to the repository and the principal that opened it."""

    id: str
    repository: Repository
    repository_id: str
    principal: str
    created: datetime
    expires: datetime
    algorithm: Algorithm = Algorithm.SHA256
    way: Way = Way.API
    store: str = DEFAULT_STORE
    """Where its repository's objects lie."""
    state: SessionState = SessionState.OPEN
    chunks: tuple[Chunk, ...] = ()
    digest: Digest | None = None
    """What the session was closed with."""
    announced: Announcement | None = None
    """Of the presigned way only."""
    failure: str | None = None
    """Why it failed, for the person at the client."""

    @property
    def offset(self) -> int:
        """How many bytes have been received."""
        return sum(chunk.size for chunk in self.chunks)

    def vouches_for(self, origin: Origin) -> bool:
        """Whether an object of this origin was stored by this session, in the way that it was opened for, and
        as what it was opened for, if that was said.
        """
        return (origin.session_id, origin.repository_id, origin.way) == (
            self.id,
            self.repository_id,
            self.way,
        ) and (self.announced is None or self.announced.digest == origin.digest)

    def leaves_behind(self, key: str) -> bool:
        """Whether an object of this session may lie there when it is closed with the one under ``key``: what
        is stored past the API is not known to whoever links something else, and of a streamed upload each
        attempt stores one.
        """
        return self.way is Way.STREAM or (self.way is not Way.API and not key.endswith(f"/{self.id}"))

    def accepts(self, size: int, content_range: ChunkRange | None) -> None:
        """Check that a body of ``size`` bytes may follow what has been received.

        Raises:
            SizeInvalid: the body is not as long as its range says.
            ChunkOutOfOrder: the range does not begin at ``offset``.
            BodyTooLarge, BlobTooLarge: over what one request, or all of them, can carry.
            BlobUploadInvalid: too many chunks.

        """
        if content_range is not None:
            # Where it belongs comes first: a client that lost an answer repeats a chunk and must learn
            # the offset, whatever else is wrong.
            if content_range.first != self.offset:
                raise ChunkOutOfOrder(f"the next byte of this upload is {self.offset}", offset=self.offset)
            if content_range.size != size:
                raise SizeInvalid(f"Content-Range announces {content_range.size} bytes; the body has {size}")
        require_body_size(size)
        if self.offset + size > MAX_CHUNKED_BLOB_SIZE:
            raise BlobTooLarge(
                f"a blob that is sent through the API has at most {MAX_CHUNKED_BLOB_SIZE} bytes. "
                "Split the layer into smaller ones"
            )
        if size and len(self.chunks) >= MAX_CHUNKS:
            raise BlobUploadInvalid(f"an upload has at most {MAX_CHUNKS} chunks; send larger ones")


def require_body_size(size: int) -> None:
    """Refuse a body of more than one request's bytes.

    Raises:
        BodyTooLarge: it is.
    """
    if size > MAX_BODY_SIZE:
        raise BodyTooLarge(
            f"one request carries at most {MAX_BODY_SIZE} bytes; this body has {size}. "
            "Larger layers go straight to the store: let docker keep its images in the containerd store, or "
            "push with docker buildx build --push, or upload with presigned URLs. Or send the blob in chunks "
            "with Content-Range"
        )
