from functools import partial

import pytest

from moorage.adapters import keys
from moorage.adapters.dynamodb.writes import delete
from moorage.domain.errors import NameUnknown, WriteConflict
from moorage.domain.names import Repository
from moorage.ports import RepositoryRecord
from tests.contract.samples import APP, LATER, NOW, OTHER_IMAGE, OTHER_ORG, make_organisation
from tests.contract.threads import together


@pytest.fixture
def table(table):
    make_organisation(table, APP.org, OTHER_ORG.org)
    return table


@pytest.fixture
def dynamo_table(dynamo_table):
    make_organisation(dynamo_table, APP.org, OTHER_ORG.org)
    return dynamo_table


def test_repository_that_was_never_made_is_none(table):
    assert table.find_repository(APP) is None


def test_repository_is_found_as_it_was_made(table):
    record = RepositoryRecord(APP, "one", NOW)
    assert table.create_repository(record) == record
    assert table.find_repository(APP) == record


def test_repository_says_which_store_it_is_in(table):
    record = table.create_repository(RepositoryRecord(APP, "one", NOW, "second"))
    assert record.store == "second"
    assert table.find_repository(APP) == table.find_repository_by_id("one") == record
    other = table.create_repository(RepositoryRecord(APP, "two", LATER))
    assert other == record


def test_repository_whose_row_names_no_store_is_in_the_default_one(dynamo_table, without_store):
    record = dynamo_table.create_repository(RepositoryRecord(APP, "one", NOW, "second"))
    without_store(keys.repository(APP))
    assert dynamo_table.find_repository(APP) == RepositoryRecord(record.repository, record.id, NOW, "default")


def test_repositories_of_other_names_and_organisations_are_apart(table):
    records = [RepositoryRecord(name, name.name, NOW) for name in (APP, OTHER_IMAGE, OTHER_ORG)]
    for record in records:
        table.create_repository(record)
    assert [table.find_repository(record.repository) for record in records] == records


@pytest.mark.parametrize("organisation", ["absent", "being removed"])
def test_repository_of_an_organisation_that_is_not_there_is_not_made(table, organisation):
    if organisation == "being removed":
        make_organisation(table, "absent")
        assert table.begin_removal("absent", NOW) == NOW
    record = RepositoryRecord(Repository("absent", "app"), "one", NOW)
    with pytest.raises(NameUnknown):
        table.create_repository(record)
    assert table.find_repository(record.repository) is None
    assert table.find_repository_by_id("one") is None


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
    found = {keys.Key(row["pk"], row["sk"]) for row in rows() if "repository" in row["type"]}
    assert found == {keys.repository(APP), keys.repository_by_id("one")}


def test_repository_is_found_by_its_id(table):
    records = [RepositoryRecord(name, f"id-of-{name.name}", NOW) for name in (APP, OTHER_IMAGE, OTHER_ORG)]
    for record in records:
        table.create_repository(record)
    assert [table.find_repository_by_id(record.id) for record in records] == records


@pytest.mark.parametrize(
    "repository_id", ["", "two", "ONE", "one ", "é", "\ud800", "\0", "x" * 1500], ids=ascii
)
def test_repository_of_an_id_that_is_none_is_none(table, repository_id):
    table.create_repository(RepositoryRecord(APP, "one", NOW))
    assert table.find_repository_by_id(repository_id) is None


def test_loser_of_a_race_is_not_found_by_its_id(table):
    table.create_repository(RepositoryRecord(APP, "one", NOW))
    table.create_repository(RepositoryRecord(APP, "two", LATER))
    assert table.find_repository_by_id("two") is None


def test_repository_that_was_made_anew_is_not_found_by_the_id_it_had(dynamo_table):
    """The row by id of the old one may be there still."""
    dynamo_table.create_repository(RepositoryRecord(APP, "one", NOW))
    dynamo_table._table.write(delete(keys.repository(APP)))
    assert dynamo_table.find_repository_by_id("one") is None
    dynamo_table.create_repository(RepositoryRecord(APP, "two", LATER))
    assert dynamo_table.find_repository_by_id("one") is None
    assert dynamo_table.find_repository_by_id("two") == RepositoryRecord(APP, "two", LATER)
