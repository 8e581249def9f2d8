"""The keys of principals in DynamoDB.

A key has two rows: one by its public id, where it is looked up, and one by its owner. The row of the owner
has the names of all its keys; it cannot be removed as long as there is one, and no key can be added once it
is gone. So a key that is found by its public id has an owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from moorage.adapters import keys
from moorage.adapters.dynamodb.resources import STANDING
from moorage.adapters.dynamodb.rows import Row, row
from moorage.adapters.dynamodb.table import ConditionFailed, Table
from moorage.adapters.dynamodb.writes import ABSENT, PRESENT, check, delete, put, update
from moorage.domain.errors import AlreadyExists, InvalidInput, NotFound
from moorage.domain.links import parse_principal
from moorage.domain.principals import KeyRecord, organisation_of
from moorage.ports.accounts import KEYS_OF_AN_OWNER

OF_THAT_ID = "#id = :id"
ROOM = "attribute_exists(#pk) AND (attribute_not_exists(#key_names) OR size(#key_names) < :most)"

# Where the parts of the transaction stand that adds a key.
_OWNER, _ORGANISATION = 0, 1


class DynamoAccounts:
    """The port ``Accounts``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add_key(self, key: KeyRecord) -> None:
        """Store a key, by its public id and by its owner."""
        attributes = {
            "id": key.id,
            "owner": key.owner,
            "name": key.name,
            "sha256": key.sha256,
            "created": key.created.isoformat(),
            "description": key.description,
            "expires": key.expires.isoformat() if key.expires else None,
            "last_used": key.last_used.isoformat() if key.last_used else None,
        }
        listed = {"id": key.id, "owner": key.owner, "name": key.name}
        try:
            self._table.transact(
                update(
                    _owner(key.owner),
                    "ADD #key_names :names",
                    ROOM,
                    names=frozenset({key.name}),
                    most=KEYS_OF_AN_OWNER,
                ),
                check(keys.organisation(organisation_of(key.owner)), STANDING),
                put(row(keys.owner_key(key.owner, key.name), "owner-key", listed), ABSENT),
                put(row(keys.key_by_id(key.id), "key", attributes), ABSENT),
            )
        except ConditionFailed as failed:
            if _ORGANISATION in failed.rows or failed.rows.get(_OWNER, {}) is None:
                raise NotFound(f"there is no {key.owner}") from None
            if failed.rows.keys() - {_OWNER}:
                raise AlreadyExists(f"{key.owner} has a key named {key.name}") from None
            raise InvalidInput(f"{key.owner} has {KEYS_OF_AN_OWNER} keys, and may not have more") from None

    def find_key(self, public_id: str) -> KeyRecord | None:
        """The key, or None: one strong read."""
        found = self._table.get(keys.key_by_id(public_id))
        return _key(found) if found else None

    def keys_of(self, owner: str) -> Sequence[KeyRecord]:
        """The keys of a principal: one query and one read."""
        listed = self._table.query_all(keys.owner_key(owner, ""), "id")
        found = self._table.get_all(keys.key_by_id(each["id"]) for each in listed)
        return sorted((_key(each) for each in found), key=lambda key: key.name)

    def revoke_key(self, owner: str, name: str) -> bool:
        """Remove a key, where it is looked up and at its owner."""
        listed = keys.owner_key(owner, name)
        found = self._table.get(listed, "id")
        if found is None:
            return False
        try:
            self._table.transact(
                delete(listed, OF_THAT_ID, id=found["id"]),
                delete(keys.key_by_id(found["id"])),
                update(_owner(owner), "DELETE #key_names :names", PRESENT, names=frozenset({name})),
            )
        except ConditionFailed:
            return False  # Revoked by somebody else at the same time.
        return True

    def note_use(self, key: KeyRecord, day: date) -> None:
        """Write the day to the row by which the key is looked up, if it is there."""
        noting = update(keys.key_by_id(key.id), "SET #last_used = :day", PRESENT, day=day.isoformat())
        try:
            self._table.write(noting)
        except ConditionFailed:
            return  # Revoked meanwhile.


def _owner(link: str) -> keys.Key:
    principal = parse_principal(link, organisation_of(link))
    return keys.resource(principal.kind, principal.org, principal.name)


def _key(found: Row) -> KeyRecord:
    return KeyRecord(
        id=found["id"],
        owner=found["owner"],
        name=found["name"],
        sha256=found["sha256"],
        created=datetime.fromisoformat(found["created"]),
        description=found["description"],
        expires=datetime.fromisoformat(found["expires"]) if "expires" in found else None,
        last_used=date.fromisoformat(found["last_used"]) if "last_used" in found else None,
    )
