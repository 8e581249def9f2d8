"""The keys of principals in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from moorage.adapters.memory.resources import MemoryResources
from moorage.domain.errors import AlreadyExists, InvalidInput, NotFound, WriteConflict
from moorage.domain.links import parse_principal
from moorage.domain.principals import KeyRecord, organisation_of
from moorage.domain.resources import ResourceRecord
from moorage.ports.accounts import KEYS_OF_AN_OWNER


class MemoryAccounts(MemoryResources):
    """The port ``Accounts``: beside the resources, for a key is there only as long as its owner."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[str, KeyRecord] = {}

    def add_key(self, key: KeyRecord) -> None:
        """Store a key."""
        owner = parse_principal(key.owner, organisation_of(key.owner))
        with self._resources_lock:
            if self.find(owner.kind, owner.org, owner.name) is None or not self.organisation_stands(
                owner.org
            ):
                raise NotFound(f"there is no {key.owner}")
            others = self.keys_of(key.owner)
            if key.id in self._keys or any(other.name == key.name for other in others):
                raise AlreadyExists(f"{key.owner} has a key named {key.name}")
            if len(others) >= KEYS_OF_AN_OWNER:
                raise InvalidInput(f"{key.owner} has {KEYS_OF_AN_OWNER} keys, and may not have more")
            self._keys[key.id] = key

    def find_key(self, public_id: str) -> KeyRecord | None:
        """The key, or None."""
        return self._keys.get(public_id)

    def keys_of(self, owner: str) -> Sequence[KeyRecord]:
        """The keys of a principal."""
        with self._resources_lock:
            found = (key for key in self._keys.values() if key.owner == owner)
            return sorted(found, key=lambda key: key.name)

    def revoke_key(self, owner: str, name: str) -> bool:
        """Remove a key."""
        with self._resources_lock:
            for key in self.keys_of(owner):
                if key.name == name:
                    del self._keys[key.id]
                    return True
            return False

    def note_use(self, key: KeyRecord, day: date) -> None:
        """Remember the day of a key that is there."""
        with self._resources_lock:
            if key.id in self._keys:
                self._keys[key.id] = replace(self._keys[key.id], last_used=day)

    def delete(self, record: ResourceRecord) -> None:
        """Remove a resource that has no keys."""
        with self._resources_lock:
            if self.keys_of(record.link):
                raise WriteConflict(f"the {record.kind} {record.name} has keys")
            super().delete(record)
