"""The keys by which service accounts and users prove who they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from moorage.domain.principals import KeyRecord

KEYS_OF_AN_OWNER = 100
"""How many keys a service account or a user may have."""


class Accounts(Protocol):
    """The keys of principals. A key is there only as long as its owner is."""

    def add_key(self, key: KeyRecord) -> None:
        """Store a key.

        Raises:
            NotFound: the owner is not there, or its organisation is being removed.
            AlreadyExists: the owner has a key of that name.
            InvalidInput: the owner has as many keys as it may have.

        """

    def find_key(self, public_id: str) -> KeyRecord | None:
        """The key of that public id; strongly consistent."""

    def keys_of(self, owner: str) -> Sequence[KeyRecord]:
        """The keys of a principal, by name; strongly consistent."""

    def revoke_key(self, owner: str, name: str) -> bool:
        """Remove a key, so that the next use of it fails; whether it was there."""

    def note_use(self, key: KeyRecord, day: date) -> None:
        """Remember that a key was used on ``day``. A key that is gone stays gone."""
