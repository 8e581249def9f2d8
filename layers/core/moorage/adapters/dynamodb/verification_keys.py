"""The public halves of signing keys in DynamoDB."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from moorage.adapters import keys
from moorage.adapters.dynamodb.table import Table
from moorage.ports import PublicKey


class DynamoVerificationKeys:
    """The port ``VerificationKeys``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def verification_keys(self) -> Sequence[PublicKey]:
        """All that are published."""
        found = self._table.query_all(keys.Key(keys.SIGNING_KEYS, ""), "kid", "public_pem", "not_after")
        return [
            PublicKey(
                kid=each["kid"],
                pem=each["public_pem"],
                not_after=datetime.fromtimestamp(each["not_after"], UTC) if "not_after" in each else None,
            )
            for each in found
        ]
