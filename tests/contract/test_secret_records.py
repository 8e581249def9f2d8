"""The port ``SecretRecords``: later generations win, retired keys keep verifying until their end."""

from datetime import UTC, datetime, timedelta

import pytest

from moorage.adapters.dynamodb.secret_records import DynamoSecretRecords
from moorage.ports import PublicKey, SecretRecords, SecretState, VerificationKeys
from tests.unit.secret_fakes import MemorySecretRecords, Writes

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def records(request, table):
    """Both implementations: the fixture ``table`` says which."""
    if hasattr(table, "table"):
        return DynamoSecretRecords(table.table)
    return MemorySecretRecords(Writes())


def published(records: SecretRecords, table: VerificationKeys) -> dict[str, PublicKey]:
    """What a verifier sees."""
    if isinstance(records, MemorySecretRecords):
        return {kid: key for kid, (key, _) in records.published.items()}
    return {key.kid: key for key in table.verification_keys()}


def test_nothing_is_recorded_at_first(records: SecretRecords) -> None:
    assert records.find_state("signing-key") is None
    assert records.find_bootstrap() is None


def test_state_is_found_as_it_was_recorded(records: SecretRecords) -> None:
    state = SecretState("kid", version=3, generation=7, created=NOW)
    assert records.record_state("signing-key", state)
    assert records.find_state("signing-key") == state
    assert records.find_state("upload-key") is None


def test_later_generation_replaces_an_earlier_one_and_never_the_other_way(records: SecretRecords) -> None:
    first, second = (SecretState(kid, n, n, NOW) for n, kid in enumerate(("a", "b")))
    assert records.record_state("upload-key", first)
    assert records.record_state("upload-key", second)
    assert not records.record_state("upload-key", first)
    assert not records.record_state("upload-key", SecretState("c", 9, 1, NOW + DAY))
    assert records.find_state("upload-key") == second


def test_bootstrap_of_a_later_generation_replaces_an_earlier_one(records: SecretRecords) -> None:
    assert records.record_bootstrap("aa" * 32, 1, NOW)
    assert records.record_bootstrap("bb" * 32, 2, NOW)
    assert not records.record_bootstrap("cc" * 32, 2, NOW)
    assert not records.record_bootstrap("cc" * 32, 1, NOW)
    assert records.find_bootstrap() == "bb" * 32


def test_published_key_is_seen_by_verifiers_and_has_no_end(
    records: SecretRecords, table: VerificationKeys
) -> None:
    records.publish_verification_key(PublicKey("k1", "pem", None), NOW)
    records.publish_verification_key(PublicKey("k1", "another", None), NOW + DAY)
    assert published(records, table) == {"k1": PublicKey("k1", "pem", None)}


def test_retirement_ends_old_keys_once_and_spares_the_current_and_the_young(
    records: SecretRecords, table: VerificationKeys
) -> None:
    for kid, created in (("old", NOW - 2 * DAY), ("edge", NOW), ("young", NOW + DAY), ("current", NOW - DAY)):
        records.publish_verification_key(PublicKey(kid, "pem", None), created)

    def retire(at: datetime) -> int:
        return records.retire_verification_keys(published_before=NOW, except_kid="current", at=at)

    assert retire(NOW + DAY) == 2
    assert retire(NOW + 5 * DAY) == 0
    ends = {kid: key.not_after for kid, key in published(records, table).items()}
    assert ends == {"old": NOW + DAY, "edge": NOW + DAY, "young": None, "current": None}


def test_more_keys_than_one_answer_can_list_are_retired(
    records: SecretRecords, table: VerificationKeys
) -> None:
    # About 1.2 MB: DynamoDB answers 1 MB at a time.
    for number in range(12):
        records.publish_verification_key(PublicKey(f"k{number:02}", "x" * 100_000, None), NOW)
    assert records.retire_verification_keys(published_before=NOW, except_kid="k11", at=NOW + DAY) == 11
    ends = [key.not_after for key in published(records, table).values()]
    assert ends.count(NOW + DAY) == 11
