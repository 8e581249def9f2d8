"""One blob on its way into the repository: begun or resumed, sent in one piece or several, and completed."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus

from moorage_cli.errors import CliError, Misused, NotAllowed, NotARegistry, Unreachable
from moorage_cli.push.image import Blob
from moorage_cli.push.progress import Bar
from moorage_cli.push.repository import Piece, Repository, Upload
from moorage_cli.push.store import Answer, Broken, Interrupted, Store
from moorage_cli.push.unfinished import Unfinished
from moorage_cli.push.workers import Workers

# Beyond that a blob comes in parts, so that a break costs a part of it. The registry has to read all of what
# came in parts once more, so that most layers are better off without.
LARGEST_PUT = 1024**3
PART_SIZE = 128 * 1024**2
MAX_PARTS = 1000
_ATTEMPTS = 6
_RENEWALS = 3
_FIRST_WAIT = 0.5
_POLL_SECONDS = 2.0
# As long as one invocation may take to verify a blob, and some more.
_VERIFIED_WITHIN = 20 * 60
_CHECK = "check the proxies in between"
# Addresses live for an hour.
_ADDRESS_SECONDS = 50 * 60


class _Verdict(Enum):
    STORED = auto()
    AGAIN = auto()
    RENEW = auto()
    OTHER_CONTENT = auto()
    REFUSED = auto()


# What the store says, and what that means. 412: an attempt whose answer was lost has stored it.
_BY_STATUS: dict[int, _Verdict] = {
    HTTPStatus.OK: _Verdict.STORED,
    HTTPStatus.PRECONDITION_FAILED: _Verdict.STORED,
    HTTPStatus.FORBIDDEN: _Verdict.RENEW,
    HTTPStatus.NOT_FOUND: _Verdict.RENEW,
    **dict.fromkeys(
        (
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.CONFLICT,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.INTERNAL_SERVER_ERROR,
            HTTPStatus.BAD_GATEWAY,
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.GATEWAY_TIMEOUT,
        ),
        _Verdict.AGAIN,
    ),
}
_BY_CODE = {
    "BadDigest": _Verdict.OTHER_CONTENT,
    "InvalidDigest": _Verdict.OTHER_CONTENT,
    "XAmzContentChecksumMismatch": _Verdict.OTHER_CONTENT,
    "XAmzContentSHA256Mismatch": _Verdict.OTHER_CONTENT,
    "RequestTimeout": _Verdict.AGAIN,
}


@dataclass(frozen=True, slots=True)
class Way:
    """What all blobs of a push go through. ``complete`` says that no manifest does it for them in time."""

    repository: Repository
    store: Store
    unfinished: Unfinished
    workers: Workers
    part_size: int | None
    complete: bool


class BlobUpload:
    """A blob on its way. ``start`` is the first task; it adds what else is to do to the workers."""

    def __init__(self, blob: Blob, way: Way, bar: Bar) -> None:
        self.blob = blob
        self.sent = 0
        """How many bytes were sent and stored in this run."""
        self.was_there = True
        """Whether nothing of it had to be sent."""
        self._linked = False
        self._stored_bytes = 0
        self._way = way
        self._bar = bar
        self._lock = threading.Lock()
        self._renewing = threading.Lock()
        self._upload = Upload("", "")
        self._pieces: dict[int, Piece] = {}
        self._asked = 0.0
        self._left = 0

    @property
    def kept(self) -> int:
        """How many bytes of it another push of the same command would not send again."""
        if self._linked:
            return self.blob.size
        return self._stored_bytes if self._way.unfinished.find(self.blob.digest) else 0

    def start(self) -> None:
        """Find out what is missing, and have it sent.

        Raises:
            CliError: the registry refuses, or is not reached.
        """
        self._bar.say("")
        upload = self._resumed()
        if upload is None:
            upload = self._way.repository.begin(self.blob.digest, self.blob.size, self._part_size())
            if upload is None:
                self._end("there")
                return
            self._way.unfinished.keep(self.blob.digest, self.blob.size, upload.id)
        self._take(upload)
        if upload.state != "open":
            self._stored_bytes = self.blob.size
            self._settle(upload)
            return
        missing = [piece for piece in upload.pieces if piece.url is not None]
        self._stored_bytes = self.blob.size - sum(piece.size for piece in missing)
        self._bar.advance(self._stored_bytes)
        self._left = len(missing)
        if not missing:
            self._finish()
        for piece in reversed(missing):
            self._way.workers.add(lambda number=piece.number: self._send(number))  # type: ignore[misc]

    def _part_size(self) -> int | None:
        size = self.blob.size
        if size <= (self._way.part_size or LARGEST_PUT):
            return None
        return max(self._way.part_size or PART_SIZE, -(-size // MAX_PARTS))

    def _resumed(self) -> Upload | None:
        """The upload that an earlier push has begun, if it can go on."""
        known = self._way.unfinished.find(self.blob.digest)
        if known is None:
            return None
        upload_id, stored = known
        try:
            upload = (
                self._way.repository.complete(upload_id) if stored else self._way.repository.find(upload_id)
            )
        except CliError as error:
            if error.status != HTTPStatus.BAD_REQUEST:
                raise
            upload = None
        return None if upload is None or upload.state == "failed" else upload

    def _take(self, upload: Upload) -> None:
        """Know an upload and its addresses from now on."""
        sizes = [(piece.offset, piece.size) for piece in upload.pieces]
        if upload.state == "open" and not _covers(sizes, self.blob.size):
            raise NotARegistry("the registry asks for other bytes than the blob has", "tell its operator")
        self._upload = upload
        self._pieces = {piece.number: piece for piece in upload.pieces}
        self._asked = time.monotonic()

    def _send(self, number: int) -> None:
        """Send a piece, and again if need be.

        Raises:
            CliError: the store does not take it.
        """
        renewed = 0
        said = ""
        verdict = _Verdict.AGAIN
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._wait_before(attempt, verdict)
            piece = self._piece(number)
            if piece is None:
                self._stored()
                return
            self.was_there = False
            verdict, said = self._tried(piece)
            if verdict is _Verdict.STORED:
                self._stored(piece.size)
                return
            if verdict is _Verdict.OTHER_CONTENT:
                self._way.unfinished.forget(self.blob.digest)
                raise self._other_content()
            if verdict is _Verdict.REFUSED or (verdict is _Verdict.RENEW and renewed >= _RENEWALS):
                raise NotAllowed(f"the store does not take {self.blob.digest}: {said}", "push it again later")
            if verdict is _Verdict.RENEW:
                renewed += 1
                self._renew(number, piece)
        raise Unreachable(f"the store does not take {self.blob.digest}: {said}", "push it again later")

    def _tried(self, piece: Piece) -> tuple[_Verdict, str]:
        """What it means that a piece was sent, and how that is said."""
        try:
            answer = self._put(piece)
        except Broken as broken:
            if broken.final:
                raise Unreachable(f"the store cannot be reached: {broken.reason}", _CHECK) from broken
            return _Verdict.AGAIN, broken.reason
        verdict = _BY_CODE.get(answer.code) or _BY_STATUS.get(answer.status, _Verdict.REFUSED)
        return verdict, f"it answers {answer.status} {answer.code}".rstrip()

    def _wait_before(self, attempt: int, verdict: _Verdict) -> None:
        """Leave the store alone for a while, unless it has refused nothing but an address."""
        if verdict is _Verdict.AGAIN:
            self._bar.say("retrying")
            self._wait(_FIRST_WAIT * 2 ** (attempt - 1) * (1 + random.random()) / 2)  # noqa: S311

    def _put(self, piece: Piece) -> Answer:
        counted = 0

        def sent(count: int) -> None:
            nonlocal counted
            counted += count
            self._bar.advance(count)

        self._bar.say("")
        stored = False
        try:
            answer = self._way.store.put(
                piece.url or "", piece.headers, self.blob.content, piece.offset, piece.size, sent
            )
            stored = _BY_STATUS.get(answer.status) is _Verdict.STORED
        finally:
            if not stored:
                self._bar.advance(-counted)
        return answer

    def _piece(self, number: int) -> Piece | None:
        """A piece with an address that is still good; None if it is stored."""
        if time.monotonic() - self._asked > _ADDRESS_SECONDS:
            self._renew(number)
        piece = self._pieces.get(number)
        return None if piece is None or piece.url is None else piece

    def _renew(self, number: int, refused: Piece | None = None) -> None:
        """Have new addresses, unless another thread has just got them."""
        with self._renewing:
            old = time.monotonic() - self._asked > _ADDRESS_SECONDS
            if not old and self._pieces.get(number) is not refused:
                return
            upload = self._way.repository.find(self._upload.id)
            if upload is None or upload.state == "failed":
                self._way.unfinished.forget(self.blob.digest)
                raise CliError(f"the upload of {self.blob.digest} has ended meanwhile", "push it again")
            self._take(upload)

    def _stored(self, size: int = 0) -> None:
        with self._lock:
            self.sent += size
            self._stored_bytes += size
            self._left -= 1
            left = self._left
        if not left:
            self._finish()

    def _finish(self) -> None:
        """All is stored; where no manifest does that, the registry is told."""
        self._way.unfinished.keep(self.blob.digest, self.blob.size, self._upload.id, stored=True)
        if not (self._upload.in_parts or self._way.complete):
            self._bar.end("done")
            return
        try:
            upload = self._way.repository.complete(self._upload.id)
        except CliError as error:
            self._way.unfinished.forget(self.blob.digest)
            if error.code == "DIGEST_INVALID":
                raise self._other_content() from error
            raise
        self._settle(upload)

    def _settle(self, upload: Upload | None) -> None:
        """Wait until a blob that is stored is verified."""
        until = time.monotonic() + _VERIFIED_WITHIN
        while upload is not None and upload.state == "verifying" and time.monotonic() < until:
            self._bar.say("verifying")
            self._wait(_POLL_SECONDS)
            upload = self._way.repository.find(self._upload.id)
        if upload is not None and upload.state == "linked":
            self._end("done")
            return
        if upload is not None and upload.state == "verifying":
            raise Unreachable(f"{self.blob.digest} is still being verified", "push it again later")
        self._way.unfinished.forget(self.blob.digest)
        if upload is not None and upload.state == "failed":
            raise self._other_content()
        raise CliError(f"the upload of {self.blob.digest} has ended meanwhile", "push it again")

    def _end(self, said: str) -> None:
        """The repository holds it."""
        self._linked = True
        self._bar.end(said)

    def _wait(self, seconds: float) -> None:
        if self._way.workers.stopped.wait(seconds):
            raise Interrupted

    def _other_content(self) -> Misused:
        return Misused(f"the source holds other content than {self.blob.digest}", "make the image anew")


def _covers(pieces: list[tuple[int, int]], size: int) -> bool:
    """Whether pieces that follow each other make up so many bytes."""
    at = 0
    for offset, length in sorted(pieces):
        if offset != at or length < 0:
            return False
        at += length
    return at == size and bool(pieces)
