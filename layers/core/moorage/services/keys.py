"""Keys of service accounts and users: who presents one is its owner."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from moorage.domain.errors import CredentialsInvalid, InvalidInput, NotFound, Unavailable
from moorage.domain.principals import (
    KeyRecord,
    generate_key,
    hash_key,
    parse_resource_name,
    public_id,
)
from moorage.domain.resources import Kind, ResourceRecord, parse_description
from moorage.ports import Accounts, Clock, Resources

_log = logging.getLogger("moorage.keys")


class KeyAuthentication:
    """Finds the key that somebody presents, and remembers on which day it was last used.

    A key is there only as long as its owner is, so one read is enough. Whether the owner's organisation is
    being removed is not looked at: its keys are about to go, and ``Authorization`` allows nothing there.
    """

    def __init__(self, accounts: Accounts, clock: Clock) -> None:
        self._accounts = accounts
        self._clock = clock

    def authenticate(self, secret: str) -> KeyRecord:
        """The key that ``secret`` is, whoever presents it.

        Raises:
            CredentialsInvalid: no such key, a wrong secret, or an expired key: all alike.
        """
        now = self._clock()
        key = self._accounts.find_key(public_id(secret))
        if key is None or not key.proves(secret, now):
            raise CredentialsInvalid("the key is unknown, revoked or expired")
        today = now.date()
        if key.last_used is None or key.last_used < today:
            try:
                self._accounts.note_use(key, today)
            except Unavailable as failure:
                # The next use of the key makes up for it.
                _log.warning("the use of a key is not noted", exc_info=failure)
        return key

    def is_alive(self, public_id: str, owner: str) -> bool:
        """Whether the key of that public id, which was presented before, is still there, and ``owner``'s, and
        has not expired.
        """
        return self.find_alive(public_id, owner) is not None

    def find_alive(self, public_id: str, owner: str) -> KeyRecord | None:
        """The key of that public id, which was presented before, if it is still there, and ``owner``'s, and
        has not expired.
        """
        key = self._accounts.find_key(public_id)
        if key is None or key.owner != owner or key.has_expired(self._clock()):
            return None
        return key


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. ``secret`` is shown this once: only its hash is stored."""

    record: KeyRecord
    secret: str


class KeyAdministration:
    """Makes and ends keys. Owners are named by their full links."""

    def __init__(self, resources: Resources, accounts: Accounts, clock: Clock) -> None:
        self._resources = resources
        self._accounts = accounts
        self._clock = clock

    def add(
        self,
        owner: str,
        name: str | None = None,
        *,
        description: str = "",
        life: timedelta | None = None,
        until: datetime | None = None,
    ) -> NewKey:
        """A new key of that name, or named after its public id; for ever or for ``life``, and not beyond
        ``until``.

        Raises:
            NameInvalid: it may not be called that.
            AlreadyExists: the owner has a key of that name.
            InvalidInput: a life that is over already, a description that is too long, or too many keys.
            NotFound: no such owner.
        """
        if life is not None and life <= timedelta(0):
            raise InvalidInput("a key lives for more than no time")
        public, secret = generate_key()
        now = self._clock()
        ends = [end for end in (until, None if life is None else now + life) if end is not None]
        record = KeyRecord(
            id=public,
            owner=owner,
            name=f"key-{public}" if name is None else parse_resource_name(name),
            sha256=hash_key(secret),
            created=now,
            description=parse_description(description),
            expires=min(ends, default=None),
        )
        self._accounts.add_key(record)
        return NewKey(record, secret)

    def list(self, owner: str) -> Sequence[KeyRecord]:
        """The owner's keys by name, without their secrets."""
        return self._accounts.keys_of(owner)

    def revoke(self, owner: str, name: str) -> None:
        """End a key at once; tokens that were made with it live on for minutes.

        Raises:
            NotFound: the owner has no key of that name.
        """
        if not self._accounts.revoke_key(owner, name):
            raise NotFound(f"{owner} has no key {name}")

    def delete_owner(self, record: ResourceRecord) -> None:
        """Remove a resource, its keys first. A crash leaves it with fewer keys.

        Raises:
            WriteConflict: ``record`` is not what stands there any more, or somebody added a key.
            InUse: others need it.
        """
        if record.kind in (Kind.SERVICE_ACCOUNT, Kind.USER):
            for key in self._accounts.keys_of(record.link):
                self._accounts.revoke_key(record.link, key.name)
        self._resources.delete(record)
