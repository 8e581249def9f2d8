from datetime import UTC, datetime, timedelta

import pytest

from moorage.adapters.dynamodb.secret_records import DynamoSecretRecords
from moorage.ports import PublicKey
from tests.contract.samples import NOW

ENDS = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def publish(table):
    """How a test publishes a key, with an end or without."""

    def in_memory(kid: str, not_after: datetime | None) -> PublicKey:
        key = PublicKey(kid, f"-----BEGIN PUBLIC KEY-----\n{kid}\n", not_after)
        table.publish(key)
        return key

    def in_the_table(kid: str, not_after: datetime | None) -> PublicKey:
        key = PublicKey(kid, f"-----BEGIN PUBLIC KEY-----\n{kid}\n", not_after)
        records = DynamoSecretRecords(table._table)
        records.publish_verification_key(key, NOW)
        if not_after:
            retired = records.retire_verification_keys(
                published_before=NOW + timedelta(days=1), except_kid="", at=not_after
            )
            assert retired == 1
        return key

    return in_memory if hasattr(table, "publish") else in_the_table


def test_no_key_is_published_at_first(table):
    assert table.verification_keys() == []


def test_published_keys_are_all_listed_with_their_ends(table, publish):
    ending, current = publish("kid-1", ENDS), publish("kid-2", None)
    assert table.verification_keys() == [ending, current]
