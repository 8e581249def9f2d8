"""The object stores of a deployment in memory."""

from __future__ import annotations

from collections.abc import Collection

from moorage.adapters.memory.storage import MemoryStorage
from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.errors import Unavailable
from moorage.ports import ObjectPlace, Part


class MemoryStores:
    """The port ``Stores``: the store that there always is, and others by name."""

    def __init__(self, *others: str) -> None:
        self._stores = {DEFAULT_STORE: MemoryStorage()}
        self._stores |= {name: MemoryStorage(f"{name}.invalid") for name in others}

    def __getitem__(self, name: str) -> MemoryStorage:
        """The store of that name."""
        storage = self._stores.get(name)
        if storage is None:
            raise Unavailable("the store of this content is not part of the registry at present")
        return storage

    def names(self) -> Collection[str]:
        """The names of all of them."""
        return self._stores.keys()

    def copy_object(self, source: ObjectPlace, target: ObjectPlace) -> bool:
        """Copy an object; of one without a checksum, the copy has none either."""
        return self[target.store].take_copy(target.key, self[source.store], source.key)

    def copy_part(
        self, source: ObjectPlace, target: ObjectPlace, upload_id: str, number: int, start: int, size: int
    ) -> Part | None:
        """Make a part of an object a part of an upload."""
        content = self[source.store].read_range(source.key, start, size)
        if content is None:
            return None
        return self[target.store].take_part(target.key, upload_id, number, content)
