"""Organisations, and the service accounts that machines act as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from moorage.domain.errors import InvalidInput, NotFound
from moorage.domain.names import parse_organisation
from moorage.domain.principals import (
    BUILT_IN_GROUPS,
    KeyRecord,
    ServiceAccount,
    generate_key,
    hash_key,
    parse_resource_name,
)
from moorage.ports import Accounts, Clock

_DESCRIPTION_MAX = 250


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. ``secret`` is shown this once: only its hash is stored."""

    record: KeyRecord
    secret: str


class AccountAdministration:
    """Makes and ends what can hold rights."""

    def __init__(self, accounts: Accounts, clock: Clock) -> None:
        self._accounts = accounts
        self._clock = clock

    def create_organisation(self, org: str) -> None:
        """An organisation with the groups ``superusers`` and ``viewers``, both empty.

        Raises:
            NameInvalid, AlreadyExists.
        """
        self._accounts.create_organisation(parse_organisation(org), self._clock())

    def create_service_account(
        self, org: str, name: str, *, description: str = "", groups: Sequence[str] = ()
    ) -> ServiceAccount:
        """A service account without keys, in the given groups.

        Raises:
            NameInvalid, AlreadyExists.
            InvalidInput: the description is longer than 250 characters.
            NotFound: no such organisation or group.
        """
        account = ServiceAccount.parse(org, name)
        # Before anything is written: a repeat with the right name must not find half of it.
        for group in groups:
            if group not in BUILT_IN_GROUPS:
                raise NotFound(f"there is no group {group}; there are {' and '.join(BUILT_IN_GROUPS)}")
        self._accounts.create_service_account(account, _description(description), self._clock())
        for group in groups:
            self.add_member(org, group, account)
        return account

    def add_key(
        self, account: ServiceAccount, name: str, *, description: str = "", life: timedelta | None = None
    ) -> NewKey:
        """A new key of that name, for ever or for ``life``.

        Raises:
            NameInvalid, AlreadyExists.
            InvalidInput: a life that is over already, or a description longer than 250 characters.
            NotFound: no such account.
        """
        if life is not None and life <= timedelta(0):
            raise InvalidInput("a key lives for more than no time")
        public, secret = generate_key()
        now = self._clock()
        record = KeyRecord(
            id=public,
            account=account,
            name=parse_resource_name(name),
            sha256=hash_key(secret),
            created=now,
            description=_description(description),
            expires=None if life is None else now + life,
        )
        self._accounts.add_key(record)
        return NewKey(record, secret)

    def keys(self, account: ServiceAccount) -> Sequence[KeyRecord]:
        """The account's keys, without their secrets."""
        return self._accounts.keys_of(account)

    def revoke_key(self, account: ServiceAccount, name: str) -> None:
        """End a key at once; tokens that were made with it live on for minutes.

        Raises:
            NotFound: the account has no key of that name.
        """
        if not self._accounts.revoke_key(account, name):
            raise NotFound(f"service account {account.name} has no key {name}")

    def add_member(self, org: str, group: str, account: ServiceAccount) -> None:
        """Put an account into a group of its own organisation.

        Raises:
            NameInvalid.
            NotFound: no such group or account, or one of another organisation.
        """
        if account not in self._accounts.service_accounts(parse_organisation(org)):
            raise NotFound(f"organisation {org} has no service account {account.name}")
        self._accounts.add_member(org, parse_resource_name(group), account.link)

    def remove_member(self, org: str, group: str, account: ServiceAccount) -> None:
        """Take an account out of a group; its next token lacks what the group gave.

        Raises:
            NotFound: it is not in the group.
        """
        if not self._accounts.remove_member(org, group, account.link):
            raise NotFound(f"service account {account.name} is not in group {group}")


def _description(text: str) -> str:
    if len(text) > _DESCRIPTION_MAX:
        raise InvalidInput(f"a description has at most {_DESCRIPTION_MAX} characters")
    return text
