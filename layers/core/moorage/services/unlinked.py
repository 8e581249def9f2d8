"""Removes stored objects that nothing can link any more.

An object is linked by its open session, or through a row that says what it is. So when a strong read has
shown that its session is not open, and a later one that it has no row, nobody can come to link it: it may go.
"""

from __future__ import annotations

from collections.abc import Collection

from moorage.ports import Blobs, Stores


class UnlinkedObjects:
    """The objects of sessions that have ended. Who calls has seen, by a strong read, that they have."""

    def __init__(self, blobs: Blobs, stores: Stores) -> None:
        self._blobs = blobs
        self._stores = stores

    def remove(self, store: str, keys: Collection[str]) -> int:
        """Remove those of ``keys`` in a store that have no row; how many. One with a row is, or was, linked:
        the collector alone may remove it.
        """
        going = self.without_row(keys)
        self._stores[store].delete(going)
        return len(going)

    def without_row(self, keys: Collection[str]) -> list[str]:
        """Those of ``keys`` that ``remove`` would remove."""
        return [key for key in keys if self._blobs.find_object(key) is None]

    def remove_never_linked(self, store: str, keys: Collection[str]) -> int:
        """Remove objects of sessions that have expired, and so have never linked them; how many. One to which
        a reference leads is left to the collector, whatever that reference is worth.
        """
        going = self.never_linked(keys)
        for key in going:
            # The row before the object, which is found again by its key; a row would not be.
            self._blobs.remove_object(key)
        self._stores[store].delete(going)
        return len(going)

    def never_linked(self, keys: Collection[str]) -> list[str]:
        """Those of ``keys`` that ``remove_never_linked`` would remove."""
        return [
            key for key in keys if self._blobs.find_object(key) is None or not self._blobs.references(key, 1)
        ]
