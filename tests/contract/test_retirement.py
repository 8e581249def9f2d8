"""What verifiers see of the keys that the secrets function publishes and retires."""

from datetime import UTC, datetime, timedelta

import pytest

from moorage.adapters.dynamodb.secret_records import DynamoSecretRecords
from moorage.ports import PublicKey
from tests.unit.secret_fakes import MemorySecretRecords, Writes

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(params=["memory", "dynamo"])
def published(request):
    """The records, and a function that tells the published keys by their names as a verifier reads them."""
    if request.param == "memory":
        records = MemorySecretRecords(Writes())
        return records, lambda: {kid: key for kid, (key, _) in records.published.items()}
    table = request.getfixturevalue("dynamo_table")
    return (
        DynamoSecretRecords(table._table),
        lambda: {key.kid: key for key in table.verification_keys()},
    )


def test_published_key_has_no_end_and_cannot_be_published_over(published) -> None:
    records, seen = published
    records.publish_verification_key(PublicKey("k1", "pem", None), NOW)
    records.publish_verification_key(PublicKey("k1", "another", None), NOW + DAY)
    assert seen() == {"k1": PublicKey("k1", "pem", None)}


def test_retirement_never_moves_an_end_to_a_later_time_and_spares_the_current_and_the_young(
    published,
) -> None:
    records, seen = published
    for kid, created in (("old", NOW - 2 * DAY), ("edge", NOW), ("young", NOW + DAY), ("current", NOW - DAY)):
        records.publish_verification_key(PublicKey(kid, "pem", None), created)

    def retire(at: datetime) -> int:
        changed: int = records.retire_verification_keys(published_before=NOW, except_kid="current", at=at)
        return changed

    assert retire(NOW + 3 * DAY) == 2
    assert retire(NOW + DAY) == 2
    assert retire(NOW + DAY) == 0
    assert retire(NOW + 5 * DAY) == 0
    ends = {kid: key.not_after for kid, key in seen().items()}
    assert ends == {"old": NOW + DAY, "edge": NOW + DAY, "young": None, "current": None}


def test_more_keys_than_one_answer_can_list_are_retired(published) -> None:
    records, seen = published
    # About 1.2 MB: DynamoDB answers 1 MB at a time.
    for number in range(12):
        records.publish_verification_key(PublicKey(f"k{number:02}", "x" * 100_000, None), NOW)
    assert records.retire_verification_keys(published_before=NOW, except_kid="k11", at=NOW + DAY) == 11
    assert [key.not_after for key in seen().values()].count(NOW + DAY) == 11
