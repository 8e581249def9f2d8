"""The table that lists are measured with gives the pages that DynamoDB gives, and counts them."""

import gc
import json

import pytest

from bench.functions import ENVIRONMENT
from bench.partitions import Cost, Partition, PartitionedServices, uncollected
from bench.stand_in import network
from moorage.adapters.dynamodb.rows import to_item
from moorage.adapters.dynamodb.table import Table
from moorage.adapters.keys import Key

ROWS = [{"pk": f"p{9 - number}", "sk": "s", "gsi2pk": "all", "gsi2sk": f"k{number}"} for number in range(10)]
KEYS = ("pk", "sk", "gsi2pk", "gsi2sk")


def partition(rows, order="gsi2sk", keys=KEYS):
    return Partition(order, keys, [(row[order], json.dumps(to_item(row))) for row in rows])


@pytest.fixture
def services():
    services = PartitionedServices()
    services.partitions["gsi2", "all"] = partition(reversed(ROWS))
    return services


@pytest.fixture
def table(services, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with network(services):
        yield Table("t")


def pages(table, limit, *, descending=False):
    """All pages of the index, as an adapter goes through them."""
    after = None
    while True:
        page = table.page_of_index("gsi2", {"gsi2pk": "all"}, after=after, limit=limit, descending=descending)
        yield page
        if not page.more:
            return
        after = {name: page.rows[-1][name] for name in KEYS}


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("limit", "sizes"), [(3, [3, 3, 3, 1]), (5, [5, 5, 0]), (10, [10, 0]), (11, [10])])
def test_pages_are_the_rows_in_order_and_the_last_one_may_be_empty(table, limit, sizes, descending):
    found = list(pages(table, limit, descending=descending))
    assert [len(page.rows) for page in found] == sizes
    rows = [row for page in found for row in page.rows]
    assert rows == (ROWS[::-1] if descending else ROWS)


def test_a_page_begins_after_a_row_that_is_gone(table):
    after = {**ROWS[0], "gsi2sk": "k4+"}
    page = table.page_of_index("gsi2", {"gsi2pk": "all"}, after=after, limit=2)
    assert [row["gsi2sk"] for row in page.rows] == ["k5", "k6"]
    page = table.page_of_index("gsi2", {"gsi2pk": "all"}, after=after, limit=2, descending=True)
    assert [row["gsi2sk"] for row in page.rows] == ["k4", "k3"]


def test_a_page_ends_at_a_megabyte(services, table):
    rows = [{**row, "more": "x" * 300_000} for row in ROWS]
    services.partitions["gsi2", "all"] = partition(rows)
    assert [len(page.rows) for page in pages(table, 100)] == [4, 4, 2]


def test_rows_of_the_table_are_found_by_how_their_keys_begin(services, table):
    rows = [{"pk": "p", "sk": sk} for sk in ("A#1", "B#1", "B#2", "C#1")]
    services.partitions["", "p"] = partition(rows, "sk", ("pk", "sk"))
    assert list(table.query_all(Key("p", "B#"))) == rows[1:3]
    assert list(table.query_all(Key("p", "B#1\0"), whole="B#")) == rows[2:3]
    assert table.query(Key("p", ""), limit=1).rows == rows[:1]
    assert table.query(Key("p", "B#"), after=Key("p", "B#1")).rows == rows[2:3]


def test_other_partitions_are_what_was_recorded(services, table):
    services.recording = True
    assert table.query(Key("other", "")).rows == []


def test_a_part_of_the_rows_is_refused(table):
    with pytest.raises(ValueError, match="whole rows"):
        table.page_of_index("gsi2", {"gsi2pk": "all"}, "pk", after=None, limit=1)


def test_calls_and_rows_are_counted_for_answers_that_are_kept_too(services, table):
    services.recording = False
    for _ in range(2):
        found, cost = services.counted(lambda: list(pages(table, 4)))
        assert (len(found), cost) == (3, Cost(calls=3, rows=10, evaluated=10))
    assert services.counted(lambda: table.get(Key("no", "row")))[1] == Cost(1, 0, 0)
    services.partitions.clear()
    assert len(list(pages(table, 4))) == 3
    services.forget()
    assert [page.rows for page in pages(table, 4)] == [[]]


def test_what_is_there_is_collected_again_afterwards():
    with uncollected():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
