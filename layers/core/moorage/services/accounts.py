"""Organisations and the service accounts that machines act as, as who runs the deployment makes them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta

from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.errors import InvalidInput, NotFound, WriteConflict
from moorage.domain.names import parse_organisation
from moorage.domain.principals import BUILT_IN_GROUPS, KeyRecord, ServiceAccount, parse_resource_name
from moorage.domain.resources import Kind, ResourceRecord, parse_description
from moorage.domain.specs import MEMBERS_MAX
from moorage.ports import Clock
from moorage.services.keys import KeyAdministration, NewKey
from moorage.services.organisations import Organisations, OrganisationTable, Removed

_ATTEMPTS = 5


class AccountAdministration:
    """Makes and ends what can hold rights; ``stores`` are the names of those of the deployment."""

    def __init__(
        self, table: OrganisationTable, clock: Clock, stores: Collection[str] = (DEFAULT_STORE,)
    ) -> None:
        self._table = table
        self._organisations = Organisations(table, clock, stores)
        self._keys = KeyAdministration(table, table, clock)
        self._clock = clock

    def create_organisation(self, org: str, store: str = DEFAULT_STORE) -> None:
        """An organisation that lives in that store, with the groups ``superusers`` and ``viewers``, both
        empty.

        Raises:
            NameInvalid, AlreadyExists.
            InvalidInput: there is no such store.
        """
        self._organisations.create(parse_organisation(org), spec={"store": store})

    def remove_organisation(
        self, org: str, *, force: bool = False, has_time: Callable[[], bool] = lambda: True
    ) -> Removed:
        """Remove an organisation as far as there is time; see ``Organisations.remove``.

        Raises:
            NameInvalid, NotFound.
            InUse: it has images, and the removal is not forced.
        """
        return self._organisations.remove(parse_organisation(org), force=force, has_time=has_time)

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
        now = self._clock()
        self._table.create(
            ResourceRecord(
                Kind.SERVICE_ACCOUNT,
                org,
                name,
                str(uuid.uuid4()),
                1,
                now,
                now,
                parse_description(description),
            )
        )
        for group in groups:
            self.add_member(org, group, account)
        return account

    def add_key(
        self, account: ServiceAccount, name: str, *, description: str = "", life: timedelta | None = None
    ) -> NewKey:
        """A new key of that name, for ever or for ``life``.

        Raises:
            NameInvalid, AlreadyExists.
            InvalidInput: a life that is over already, a description longer than 250 characters, or one key
                too many.
            NotFound: no such account.
        """
        return self._keys.add(account.link, name, description=description, life=life)

    def keys(self, account: ServiceAccount) -> Sequence[KeyRecord]:
        """The account's keys, without their secrets."""
        return self._keys.list(account.link)

    def revoke_key(self, account: ServiceAccount, name: str) -> None:
        """End a key at once; tokens that were made with it live on for minutes.

        Raises:
            NotFound: the account has no key of that name.
        """
        self._keys.revoke(account.link, name)

    def add_member(self, org: str, group: str, account: ServiceAccount) -> None:
        """Put an account into a group of its own organisation; again changes nothing.

        Raises:
            NameInvalid.
            NotFound: no such group or account, or one of another organisation.
            InvalidInput: the group is full.
            WriteConflict: too many others are changing the group.
        """
        parse_organisation(org)
        if account.org != org or self._table.find(Kind.SERVICE_ACCOUNT, org, account.name) is None:
            raise NotFound(f"organisation {org} has no service account {account.name}")

        def join(members: list[str]) -> list[str]:
            if account.link not in members and len(members) >= MEMBERS_MAX:
                raise InvalidInput(f"the group {group} has {MEMBERS_MAX} members, and may not have more")
            return [*members, *({account.link} - set(members))]

        self._change_members(org, group, join)

    def remove_member(self, org: str, group: str, account: ServiceAccount) -> None:
        """Take an account out of a group; its next token lacks what the group gave.

        Raises:
            NotFound: it is not in the group.
            WriteConflict: too many others are changing the group.
        """

        def leave(members: list[str]) -> list[str]:
            if account.link not in members:
                raise NotFound(f"service account {account.name} is not in group {group}")
            return [member for member in members if member != account.link]

        self._change_members(org, group, leave)

    def _change_members(self, org: str, group: str, change: Callable[[list[str]], list[str]]) -> None:
        for attempt in range(_ATTEMPTS):
            before = self._table.find(Kind.GROUP, org, parse_resource_name(group))
            if before is None or self._table.find(Kind.ORG, org, org) is None:
                raise NotFound(f"there is no group {group}")
            members = list(before.spec["memberLinks"])
            changed = change(members)
            if changed == members:
                return
            after = replace(
                before,
                version=before.version + 1,
                last_modified=self._clock(),
                spec={**before.spec, "memberLinks": changed},
            )
            try:
                self._table.replace(before, after)
            except WriteConflict:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return
