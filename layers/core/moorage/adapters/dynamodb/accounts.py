"""Organisations, service accounts, keys and groups in DynamoDB."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from moorage.adapters import keys
from moorage.adapters.dynamodb.rows import Row, resource, row
from moorage.adapters.dynamodb.table import ConditionFailed, Table
from moorage.adapters.dynamodb.writes import ABSENT, PRESENT, check, delete, put
from moorage.domain.errors import AlreadyExists, NotFound
from moorage.domain.principals import BUILT_IN_GROUPS, KeyRecord, ServiceAccount, group_link

OF_THAT_ID = "#id = :id"

# Where the parts of a transaction stand that needs its parent.
_PARENT = 0


class DynamoAccounts:
    """The port ``Accounts``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def create_organisation(self, org: str, now: datetime) -> None:
        """Make an organisation with its built-in groups."""
        writes = [put(row(keys.organisation(org), "organisation", _managed(org, now)), ABSENT)]
        writes += [
            put(row(keys.group(org, name), "group", {**_managed(name, now), "org": org}), ABSENT)
            for name in BUILT_IN_GROUPS
        ]
        try:
            self._table.transact(*writes)
        except ConditionFailed:
            raise AlreadyExists(f"the organisation {org} exists") from None

    def organisation_exists(self, org: str) -> bool:
        """Whether it does."""
        return self._table.get(keys.organisation(org), "id") is not None

    def create_service_account(self, account: ServiceAccount, description: str, now: datetime) -> None:
        """Make a service account."""
        attributes = {**_managed(account.name, now, description), "org": account.org}
        try:
            self._table.transact(
                check(keys.organisation(account.org), PRESENT),
                put(row(keys.service_account(account), "service-account", attributes), ABSENT),
            )
        except ConditionFailed as failed:
            if _PARENT in failed.rows:
                raise NotFound(f"there is no organisation {account.org}") from None
            raise AlreadyExists(f"the service account {account.name} exists") from None

    def service_accounts(self, org: str) -> Sequence[ServiceAccount]:
        """Those of an organisation."""
        found = self._table.query_all(keys.service_accounts(org), "name")
        return sorted(ServiceAccount(org, each["name"]) for each in found)

    def add_key(self, key: KeyRecord) -> None:
        """Store a key, by its public id and in its account."""
        attributes = {
            "id": key.id,
            "org": key.account.org,
            "account": key.account.name,
            "name": key.name,
            "sha256": key.sha256,
            "created": key.created.isoformat(),
            "description": key.description,
            "expires": key.expires.isoformat() if key.expires else None,
        }
        try:
            self._table.transact(
                check(keys.service_account(key.account), PRESENT),
                put(row(keys.account_key(key.account, key.name), "account-key", attributes), ABSENT),
                put(row(keys.key_by_id(key.id), "key", attributes), ABSENT),
            )
        except ConditionFailed as failed:
            if _PARENT in failed.rows:
                raise NotFound(f"there is no service account {key.account.name}") from None
            raise AlreadyExists(f"the service account has a key named {key.name}") from None

    def find_key(self, public_id: str) -> KeyRecord | None:
        """The key, or None: one strong read."""
        found = self._table.get(keys.key_by_id(public_id))
        return _key(found) if found else None

    def keys_of(self, account: ServiceAccount) -> Sequence[KeyRecord]:
        """The keys of an account."""
        found = self._table.query_all(keys.account_key(account, ""))
        return sorted((_key(each) for each in found), key=lambda key: key.name)

    def revoke_key(self, account: ServiceAccount, name: str) -> bool:
        """Remove a key, where it is looked up and in its account."""
        listed = keys.account_key(account, name)
        found = self._table.get(listed, "id")
        if found is None:
            return False
        try:
            self._table.transact(
                delete(listed, OF_THAT_ID, id=found["id"]), delete(keys.key_by_id(found["id"]))
            )
        except ConditionFailed:
            return False  # Revoked by somebody else at the same time.
        return True

    def add_member(self, org: str, group: str, principal: str) -> None:
        """Put a principal into a group."""
        link = group_link(org, group)
        attributes = {"principal": principal, "group": link}
        try:
            self._table.transact(
                check(keys.group(org, group), PRESENT),
                put(row(keys.membership(principal, link), "membership", attributes), ABSENT),
                put(row(keys.member(link, principal), "member", attributes), ABSENT),
            )
        except ConditionFailed as failed:
            if _PARENT in failed.rows:
                raise NotFound(f"there is no group {group}") from None

    def remove_member(self, org: str, group: str, principal: str) -> bool:
        """Take a principal out of a group."""
        link = group_link(org, group)
        try:
            self._table.transact(
                delete(keys.membership(principal, link), PRESENT), delete(keys.member(link, principal))
            )
        except ConditionFailed:
            return False
        return True

    def groups_of(self, principal: str) -> Sequence[str]:
        """The groups of a principal."""
        found = self._table.query_all(keys.memberships(principal), "group")
        return sorted(each["group"] for each in found)


def _managed(name: str, now: datetime, description: str = "") -> dict[str, object]:
    return {**resource(str(uuid.uuid4()), now, description), "name": name}


def _key(found: Row) -> KeyRecord:
    return KeyRecord(
        id=found["id"],
        account=ServiceAccount(found["org"], found["account"]),
        name=found["name"],
        sha256=found["sha256"],
        created=datetime.fromisoformat(found["created"]),
        description=found["description"],
        expires=datetime.fromisoformat(found["expires"]) if "expires" in found else None,
    )
