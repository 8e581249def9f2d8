from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from moorage.adapters.dynamodb.secret_records import DynamoSecretRecords
from moorage.ports import PublicKey, SecretState
from tests.contract.threads import together
from tests.unit.secret_fakes import MemorySecretRecords, Writes

# The rows keep whole seconds: TTL and conditions compare numbers.
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
STATE = SecretState(kid="kid-1", version=3, generation=5, created=NOW)


@pytest.fixture(params=["memory", "dynamo"])
def records(request):
    if request.param == "memory":
        return MemorySecretRecords(Writes())
    return DynamoSecretRecords(request.getfixturevalue("dynamo_table")._table)


def test_state_that_was_never_recorded_is_none(records):
    assert records.find_state("signing") is None
    assert records.find_bootstrap() is None


def test_state_is_found_as_it_was_recorded(records):
    assert records.record_state("signing", STATE)
    assert records.find_state("signing") == STATE
    assert records.find_state("upload") is None


@pytest.mark.parametrize("generation", [4, 5])
def test_earlier_state_does_not_replace_a_later_one(records, generation):
    records.record_state("signing", STATE)
    assert not records.record_state("signing", replace(STATE, kid="old", generation=generation))
    assert records.find_state("signing") == STATE


def test_record_made_twice_is_made(records):
    """The network may repeat the write when its answer was lost; whoever wrote it then ends the old keys."""
    for _ in range(2):
        assert records.record_state("signing", STATE)
        assert records.record_bootstrap("a" * 64, 2, NOW)
    assert not records.record_bootstrap("b" * 64, 2, NOW)
    assert records.find_state("signing") == STATE
    assert records.find_bootstrap() == "a" * 64


def test_later_state_replaces_an_earlier_one(records):
    records.record_state("signing", STATE)
    later = replace(STATE, kid="kid-2", generation=6)
    assert records.record_state("signing", later)
    assert records.find_state("signing") == later


def test_states_recorded_at_once_leave_the_latest(records):
    states = [replace(STATE, kid=f"kid-{number}", generation=number) for number in range(8)]
    together(*[partial(records.record_state, "signing", state) for state in states])
    assert records.find_state("signing") == states[-1]


def test_bootstrap_is_replaced_by_a_later_generation_only(records):
    assert records.record_bootstrap("a" * 64, 2, NOW)
    assert not records.record_bootstrap("b" * 64, 1, NOW)
    assert records.find_bootstrap() == "a" * 64
    assert records.record_bootstrap("c" * 64, 3, NOW)
    assert records.find_bootstrap() == "c" * 64


def test_keys_get_one_end_and_only_those_published_long_ago(records):
    for number, kid in enumerate(["old", "current", "young"]):
        records.publish_verification_key(PublicKey(kid, kid, None), NOW + timedelta(hours=number))
    retire = {"published_before": NOW + timedelta(hours=1), "except_kid": "current"}
    assert records.retire_verification_keys(at=NOW + timedelta(days=1), **retire) == 1
    assert records.retire_verification_keys(at=NOW + timedelta(days=2), **retire) == 0
