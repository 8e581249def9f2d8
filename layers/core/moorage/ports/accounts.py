"""Organisations and accounts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from moorage.domain.principals import KeyRecord, ServiceAccount


class Accounts(Protocol):
    """Organisations, service accounts, their keys and groups."""

    def create_organisation(self, org: str, now: datetime) -> None:
        """Make an organisation with its built-in groups.

        Raises:
            AlreadyExists: it is there.

        """

    def organisation_exists(self, org: str) -> bool:
        """Whether it does."""

    def create_service_account(self, account: ServiceAccount, description: str, now: datetime) -> None:
        """Make a service account.

        Raises:
            NotFound: the organisation is not there.
            AlreadyExists: the account is.

        """

    def service_accounts(self, org: str) -> Sequence[ServiceAccount]:
        """Those of an organisation, by name."""

    def add_key(self, key: KeyRecord) -> None:
        """Store a key.

        Raises:
            NotFound: the account is not there.
            AlreadyExists: the account has a key of that name.

        """

    def find_key(self, public_id: str) -> KeyRecord | None:
        """The key of that public id; strongly consistent."""

    def keys_of(self, account: ServiceAccount) -> Sequence[KeyRecord]:
        """The keys of an account, by name."""

    def revoke_key(self, account: ServiceAccount, name: str) -> bool:
        """Remove a key, so that the next use of it fails; whether it was there."""

    def add_member(self, org: str, group: str, principal: str) -> None:
        """Put a principal into a group; again changes nothing.

        Raises:
            NotFound: the group is not there.

        """

    def remove_member(self, org: str, group: str, principal: str) -> bool:
        """Take a principal out of a group; whether it was in."""

    def groups_of(self, principal: str) -> Sequence[str]:
        """Links of the groups that a principal is in; strongly consistent."""
