"""The upload keys, held for a while: SSM allows few reads per second."""

from __future__ import annotations

from datetime import datetime, timedelta

from moorage.domain.upload_paths import UploadKey
from moorage.ports import UploadKeySource

# As long as a key that was replaced at once may still be used; see docs/operations.md.
_KEY_HELD = timedelta(minutes=5)
# Anybody can invent an id that no key has yet.
_ABSENCE_HELD = timedelta(seconds=5)
_HELD_AT_ONCE = 8


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


class HeldUploadKeys:
    """The keys that receipts may be signed with: the newest of each slot."""

    def __init__(self, source: UploadKeySource) -> None:
        self._source = source
        self._held: dict[str, tuple[UploadKey | None, datetime]] = {}

    def find(self, kid: str, now: datetime) -> UploadKey | None:
        """The key of that id; None if there is none, or if it was replaced in its slot.

        Raises:
            Unavailable: that cannot be known.
        """
        held = self._held.get(kid)
        if held and now - held[1] < (_KEY_HELD if held[0] else _ABSENCE_HELD):
            return held[0]
        key = self._source.find_upload_key(kid)
        if len(self._held) >= _HELD_AT_ONCE:
            self._held.clear()
        self._held[kid] = key, now
        return key
