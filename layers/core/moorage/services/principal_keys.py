"""Keys of service accounts, and the personal access tokens of users, as callers make and end them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from moorage.domain.documents import Lock, writable
from moorage.domain.errors import Denied, InvalidInput
from moorage.domain.permissions import Permission
from moorage.domain.principals import KeyRecord, is_identity
from moorage.domain.resources import Kind, ResourceRecord
from moorage.domain.targets import Resource
from moorage.ports import Clock, ResourceName
from moorage.services.access import Access, absent
from moorage.services.callers import Caller
from moorage.services.keys import KeyAdministration, NewKey
from moorage.services.resource_reads import ResourceReads
from moorage.services.resource_writes import ResourceWrites, Written

# The last moments that there are would overflow in whatever is reckoned with them.
_LATEST = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)


class PrincipalKeys:
    """Looks after keys for callers. Users look after their own whatever the policies say.

    ``rehearsal`` does what ``writes`` does without writing.
    """

    def __init__(
        self,
        keys: KeyAdministration,
        reads: ResourceReads,
        writes: ResourceWrites,
        rehearsal: ResourceWrites,
        access: Access,
        clock: Clock,
    ) -> None:
        self._keys = keys
        self._reads = reads
        self._writes = writes
        self._rehearsal = rehearsal
        self._access = access
        self._clock = clock

    def of(self, owner: ResourceRecord) -> Sequence[KeyRecord]:
        """The keys of a principal that the caller has been shown, by name, without their secrets."""
        return self._keys.list(owner.link)

    def add(
        self,
        caller: Caller,
        owner: ResourceName,
        name: str | None,
        *,
        description: str,
        expires: datetime | None,
    ) -> NewKey:
        """A new key, which is refused from ``expires`` on; for a user by the user itself, or by who may
        impersonate it. One that a principal makes for itself ends with the key that it was made with, if not
        before: a key that was given for a time must not become one for ever.

        Raises:
            NameInvalid, AlreadyExists.
            InvalidInput: ``expires`` has no time zone, is over or out of range, or the owner has as many keys
                as may be.
            Denied: the caller may not, or it has shown a token: that lives on for minutes after its key has
                ended, and must not become another key.
            NotFound: there is no such principal, and the caller could see it.
        """
        if not caller.by_key and not is_identity(caller.principal, caller.organisation):
            raise Denied("a key is made with a key; a token does not do")
        permission = Permission.ADD_KEY if owner.kind is Kind.SERVICE_ACCOUNT else Permission.IMPERSONATE
        record = self._owner(caller, owner, permission)
        life = None if expires is None else _moment(expires) - self._clock()
        until = caller.until if caller.principal == record.link else None
        return self._keys.add(record.link, name, description=description, life=life, until=until)

    def drop(
        self,
        caller: Caller,
        owner: ResourceName,
        names: Any,
        patch: Mapping[str, Any],
        *,
        dry_run: bool = False,
    ) -> Written:
        """The principal after a patch, with these of its keys ended at once; what tokens that were made with
        them may pull and push lives on for minutes. In a dry run, all stays.

        Raises:
            InvalidInput: ``names`` is no list of the names of keys, or the patch cannot be applied; nothing
                is changed.
            VersionMismatch: the patch was made from another state; nothing is changed.
            Denied: the caller may not.
            NotFound: there is no such principal, and the caller could see it.
        """
        record = self._owner(caller, owner, Permission.EDIT)
        known = {key.name for key in self.of(record)}
        if not isinstance(names, list) or any(
            not isinstance(each, str) or each not in known for each in names
        ):
            raise InvalidInput("$drop/keys is a list of names of keys that are there")
        Lock.parse(patch).check(record.id, record.version)
        changes = set(writable(patch)) - {"name"}
        writes = self._rehearsal if dry_run else self._writes
        result = writes.patch(caller, owner, patch) if changes else Written(record)
        for name in () if dry_run else dict.fromkeys(names):
            self._keys.revoke(record.link, name)
        return replace(result, ended_keys=frozenset(names))

    def _owner(self, caller: Caller, name: ResourceName, permission: Permission) -> ResourceRecord:
        record = self._reads.find(name)
        if record is None:
            raise self._access.absence(caller, permission, absent(name))
        if name.kind is not Kind.USER or not self._access.is_own(caller, record.link):
            self._access.require(caller, permission, Resource.of_record(record))
        return record


def _moment(expires: datetime) -> datetime:
    """``expires`` in UTC, with room behind it to reckon in.

    Raises:
        InvalidInput: it has no time zone, or there is no such moment in UTC.
    """
    if expires.tzinfo is None:
        raise InvalidInput("expires is a time with its time zone, such as 2030-01-31T00:00:00Z")
    try:
        moment = expires.astimezone(UTC)
    except OverflowError:
        raise InvalidInput("expires is out of range") from None
    if moment > _LATEST:
        raise InvalidInput("expires is out of range")
    return moment
