"""The upload key, held for a while: SSM allows few reads per second."""

from __future__ import annotations

from datetime import datetime, timedelta

from moorage.domain.upload_paths import UploadKey
from moorage.ports import UploadKeySource

# As long as a key that was replaced at once may still be used; see docs/operations.md.
_KEY_HELD = timedelta(minutes=5)


class HeldUploadKey:
    """The key that paths are signed with."""

    def __init__(self, source: UploadKeySource) -> None:
        self._source = source
        self._held: tuple[UploadKey, datetime] | None = None

    def at(self, now: datetime) -> UploadKey:
        """The key, read again when it was held for long enough.

        Raises:
            Unavailable: it cannot be read.
        """
        if self._held is None or now - self._held[1] >= _KEY_HELD:
            self._held = self._source.upload_key(), now
        return self._held[0]
