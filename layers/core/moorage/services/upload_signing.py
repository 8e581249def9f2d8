"""Signs the addresses of uploads that leave the API: direct ones, and those that are streamed."""

from __future__ import annotations

from moorage.domain.sessions import UploadSession
from moorage.domain.upload_paths import signed_path
from moorage.ports import Clock
from moorage.services.upload_keys import HeldUploadKey


class UploadSigning:
    """Makes the paths that uploads go to, by the way that their session was opened for."""

    def __init__(self, key: HeldUploadKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def location(self, uploads: str, session: UploadSession) -> str:
        """The path to which the client of ``session`` may send its blob; ``uploads`` is the path of its
        repository's uploads as the client calls it.

        Raises:
            Unavailable: the upload key cannot be read.
        """
        now = self._clock()
        return signed_path(uploads, session, self._key.at(now), now)
