from functools import partial

import pytest

from moorage.adapters import keys
from moorage.domain.errors import WriteConflict
from moorage.ports import RepositoryRecord
from tests.contract.samples import APP, LATER, NOW, OTHER_IMAGE, OTHER_ORG
from tests.contract.threads import together


def test_repository_that_was_never_made_is_none(table):
    assert table.find_repository(APP) is None


def test_repository_is_found_as_it_was_made(table):
    record = RepositoryRecord(APP, "one", NOW)
    assert table.create_repository(record) == record
    assert table.find_repository(APP) == record


def test_repositories_of_other_names_and_organisations_are_apart(table):
    records = [RepositoryRecord(name, name.name, NOW) for name in (APP, OTHER_IMAGE, OTHER_ORG)]
    for record in records:
        table.create_repository(record)
    assert [table.find_repository(record.repository) for record in records] == records


def test_repository_that_exists_stays_as_it_is(table):
    first = table.create_repository(RepositoryRecord(APP, "one", NOW))
    assert table.create_repository(RepositoryRecord(APP, "two", LATER)) == first
    assert table.find_repository(APP) == first


def test_repository_of_an_id_that_is_taken_is_not_made(table):
    table.create_repository(RepositoryRecord(APP, "one", NOW))
    with pytest.raises(WriteConflict):
        table.create_repository(RepositoryRecord(OTHER_IMAGE, "one", NOW))
    assert table.find_repository(OTHER_IMAGE) is None


def test_repository_made_by_many_at_once_is_one(table):
    records = [RepositoryRecord(APP, f"id-{number}", NOW) for number in range(12)]
    results = together(*[partial(table.create_repository, record) for record in records])
    assert set(results) == {table.find_repository(APP)}


def test_repository_is_also_found_by_id_and_a_loser_leaves_no_row(dynamo_table, rows):
    dynamo_table.create_repository(RepositoryRecord(APP, "one", NOW))
    dynamo_table.create_repository(RepositoryRecord(APP, "two", NOW))
    found = {keys.Key(row["pk"], row["sk"]) for row in rows()}
    assert found == {keys.repository(APP), keys.repository_by_id("one")}
