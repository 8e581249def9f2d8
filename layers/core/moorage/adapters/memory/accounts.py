"""Organisations, service accounts, keys and groups in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from moorage.domain.errors import AlreadyExists, NotFound
from moorage.domain.principals import BUILT_IN_GROUPS, KeyRecord, ServiceAccount, group_link


class MemoryAccounts:
    """The port ``Accounts``."""

    def __init__(self) -> None:
        super().__init__()
        self._accounts_lock = threading.RLock()
        self._organisations: dict[str, datetime] = {}
        self._accounts: dict[ServiceAccount, tuple[str, datetime]] = {}
        self._keys: dict[str, KeyRecord] = {}
        self._groups: dict[str, set[str]] = {}

    def create_organisation(self, org: str, now: datetime) -> None:
        """Make an organisation."""
        with self._accounts_lock:
            if org in self._organisations:
                raise AlreadyExists(f"the organisation {org} exists")
            self._organisations[org] = now
            self._groups.update({group_link(org, name): set() for name in BUILT_IN_GROUPS})

    def organisation_exists(self, org: str) -> bool:
        """Whether it does."""
        return org in self._organisations

    def create_service_account(self, account: ServiceAccount, description: str, now: datetime) -> None:
        """Make a service account."""
        with self._accounts_lock:
            if account.org not in self._organisations:
                raise NotFound(f"there is no organisation {account.org}")
            if account in self._accounts:
                raise AlreadyExists(f"the service account {account.name} exists")
            self._accounts[account] = description, now

    def service_accounts(self, org: str) -> Sequence[ServiceAccount]:
        """Those of an organisation."""
        with self._accounts_lock:
            return sorted(account for account in self._accounts if account.org == org)

    def add_key(self, key: KeyRecord) -> None:
        """Store a key."""
        with self._accounts_lock:
            if key.account not in self._accounts:
                raise NotFound(f"there is no service account {key.account.name}")
            if key.id in self._keys or any(other.name == key.name for other in self.keys_of(key.account)):
                raise AlreadyExists(f"the service account has a key named {key.name}")
            self._keys[key.id] = key

    def find_key(self, public_id: str) -> KeyRecord | None:
        """The key, or None."""
        return self._keys.get(public_id)

    def keys_of(self, account: ServiceAccount) -> Sequence[KeyRecord]:
        """The keys of an account."""
        with self._accounts_lock:
            found = (key for key in self._keys.values() if key.account == account)
            return sorted(found, key=lambda key: key.name)

    def revoke_key(self, account: ServiceAccount, name: str) -> bool:
        """Remove a key."""
        with self._accounts_lock:
            for key in self.keys_of(account):
                if key.name == name:
                    del self._keys[key.id]
                    return True
            return False

    def add_member(self, org: str, group: str, principal: str) -> None:
        """Put a principal into a group."""
        with self._accounts_lock:
            members = self._groups.get(group_link(org, group))
            if members is None:
                raise NotFound(f"there is no group {group}")
            members.add(principal)

    def remove_member(self, org: str, group: str, principal: str) -> bool:
        """Take a principal out of a group."""
        with self._accounts_lock:
            members = self._groups.get(group_link(org, group), set())
            was_in = principal in members
            members.discard(principal)
            return was_in

    def groups_of(self, principal: str) -> Sequence[str]:
        """The groups of a principal."""
        with self._accounts_lock:
            return sorted(link for link, members in self._groups.items() if principal in members)
