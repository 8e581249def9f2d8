"""Which secrets are in use, in DynamoDB: nothing of the secrets themselves."""

from __future__ import annotations

from datetime import UTC, datetime

from moorage.adapters import keys
from moorage.adapters.dynamodb.table import Table
from moorage.ports import SecretState


class DynamoSecretStates:
    """The port ``SecretStates``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find_state(self, secret: str) -> SecretState | None:
        """What is in use as ``secret``."""
        found = self._table.get(keys.secret_state(secret), "kid", "version", "generation", "created")
        if found is None:
            return None
        return SecretState(
            kid=found["kid"],
            version=found["version"],
            generation=found["generation"],
            created=datetime.fromtimestamp(found["created"], UTC),
        )
