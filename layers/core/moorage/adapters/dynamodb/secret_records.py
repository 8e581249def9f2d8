"""What the table says about keys and the bootstrap credential: nothing in these rows is secret."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from moorage.adapters import keys
from moorage.adapters.aws import Patience
from moorage.adapters.dynamodb.rows import Row, row
from moorage.adapters.dynamodb.secret_states import DynamoSecretStates
from moorage.adapters.dynamodb.table import ConditionFailed, Table
from moorage.adapters.dynamodb.writes import ABSENT, PRESENT, put, update
from moorage.ports import PublicKey, SecretState

if TYPE_CHECKING:
    from moorage.adapters.dynamodb.writes import Write

_LATER_GENERATION_WINS = f"{ABSENT} OR #generation < :generation"
_ENDS_LATER = f"{PRESENT} AND (attribute_not_exists(#not_after) OR #not_after > :at)"


class DynamoSecretRecords(DynamoSecretStates):
    """The port ``SecretRecords``."""

    def record_state(self, secret: str, state: SecretState) -> bool:
        """Record what is in use, unless a later generation is."""
        attributes = {
            "kid": state.kid,
            "version": state.version,
            "generation": state.generation,
            "created": _epoch(state.created),
        }
        recorded = row(keys.secret_state(secret), "secret", attributes)
        return self._records(recorded)

    def publish_verification_key(self, key: PublicKey, created: datetime) -> None:
        """Publish a key under its ``kid``; again changes nothing."""
        attributes = {"kid": key.kid, "public_pem": key.pem, "created": _epoch(created)}
        self._holds(put(row(keys.signing_key(key.kid), "signing-key", attributes), ABSENT))

    def retire_verification_keys(self, *, published_before: datetime, except_kid: str, at: datetime) -> int:
        """Give each key that has none, or a later one, an end, after which its row goes too."""
        end = _epoch(at)
        published = self._table.query_all(keys.Key(keys.SIGNING_KEYS, ""), "kid", "created", "not_after")
        ending = [
            each["kid"]
            for each in published
            if each.get("not_after", end + 1) > end
            and each["kid"] != except_kid
            and each["created"] <= published_before.timestamp()
        ]
        change = "SET #not_after = :at, #ttl = :at"
        return sum(self._holds(update(keys.signing_key(kid), change, _ENDS_LATER, at=end)) for kid in ending)

    def find_bootstrap(self) -> str | None:
        """SHA-256 of the bootstrap credential."""
        found = self._table.get(keys.bootstrap(), "sha256")
        return None if found is None else str(found["sha256"])

    def record_bootstrap(self, sha256: str, generation: int, created: datetime) -> bool:
        """Record the verifier, unless a later one is."""
        attributes = {"sha256": sha256, "generation": generation, "created": _epoch(created)}
        recorded = row(keys.bootstrap(), "bootstrap", attributes)
        return self._records(recorded)

    def _records(self, recorded: Row) -> bool:
        """Write unless a later generation is there."""
        write = put(recorded, _LATER_GENERATION_WINS, generation=recorded["generation"])
        try:
            self._table.write(write)
        except ConditionFailed as failed:
            # The answer to this very write may have been lost, and the write repeated on the way.
            return failed.rows[0] == recorded
        return True

    def _holds(self, write: Write) -> bool:
        """Write; whether the condition held."""
        try:
            self._table.write(write)
        except ConditionFailed:
            return False
        return True


def connect_secret_records(table: str) -> DynamoSecretRecords:
    """The port on the table of that name; no request is sent before it is used."""
    return DynamoSecretRecords(Table(table, Patience()))


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())
