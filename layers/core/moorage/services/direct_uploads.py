"""Direct uploads: one PUT of a whole blob to the front door, which lets it through to the store."""

from __future__ import annotations

from datetime import datetime, timedelta

from moorage.domain.sessions import UploadSession
from moorage.domain.upload_paths import UploadKey, signed_path
from moorage.ports import Clock, UploadKeySource

# As long as a key that was replaced at once may still be used; see docs/operations.md.
_KEY_HELD = timedelta(minutes=5)


class DirectUploads:
    """Makes the paths that direct uploads go to."""

    def __init__(self, source: UploadKeySource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._held: tuple[UploadKey, datetime] | None = None

    def location(self, uploads: str, session: UploadSession) -> str:
        """The path to which the client of ``session`` may PUT its blob, once it has added the digest;
        ``uploads`` is the path of its repository's uploads as the client calls it.

        Raises:
            Unavailable: the upload key cannot be read.
        """
        now = self._clock()
        return signed_path(uploads, session, self._key(now), now)

    def _key(self, now: datetime) -> UploadKey:
        if self._held is None or now - self._held[1] >= _KEY_HELD:
            self._held = self._source.upload_key(), now
        return self._held[0]
