import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters import keys
from moorage.adapters.memory import MemoryTable
from moorage.domain.errors import ManifestUnknown
from tests.contract.samples import (
    APP,
    LATER,
    NOW,
    OTHER_IMAGE,
    OTHER_ORG,
    digest,
    manifest,
    opened,
    point,
    push,
    pushed,
)

TAGS = ["0", "1.0", "1.0-a", "1.0.1", "A", "Z_", "_x", "a", "a-", "a.", "ab", "latest", "z" * 128, "z" * 127]


def test_tag_that_was_never_put_is_none(table):
    assert table.find_tag(APP, "v1") is None
    assert table.tags_after(APP, None, 10) == []
    assert table.delete_tag(APP, "v1") is False


def test_tag_points_where_it_was_put_in_its_repository_only(table):
    for repository in (APP, OTHER_IMAGE, OTHER_ORG):
        push(table, repository, "a")
    point(table, APP, "v1", digest("a"), NOW)
    assert table.find_tag(APP, "v1") == digest("a")
    assert table.find_tag(APP, "V1") is None
    assert table.find_tag(OTHER_IMAGE, "v1") is None
    assert table.tags_after(OTHER_IMAGE, None, 10) == []
    assert table.tags_of(OTHER_ORG, digest("a")) == []


def test_tag_of_a_manifest_of_another_repository_is_refused(table):
    push(table, OTHER_ORG, "a")
    with pytest.raises(ManifestUnknown):
        point(table, APP, "v1", digest("a"), NOW)
    assert table.tags_after(APP, None, 10) == []


def test_tag_that_cannot_move_stays(table):
    push(table, APP, "a")
    point(table, APP, "v1", digest("a"), NOW)
    with pytest.raises(ManifestUnknown):
        point(table, APP, "v1", digest("absent"), LATER)
    assert table.find_tag(APP, "v1") == digest("a")
    assert table.tags_of(APP, digest("a")) == ["v1"]
    assert table.tags_of(APP, digest("absent")) == []


def test_moved_tag_belongs_to_its_new_manifest_only(table):
    push(table, APP, "a", "b")
    for target in ("a", "b", "a", "a", "b"):
        point(table, APP, "v1", digest(target), NOW)
    assert table.find_tag(APP, "v1") == digest("b")
    assert table.tags_of(APP, digest("a")) == []
    assert table.tags_of(APP, digest("b")) == ["v1"]
    assert table.delete_manifest(APP, digest("a"))
    assert table.find_tag(APP, "v1") == digest("b")


def test_tag_is_deleted_once_and_leaves_its_manifest(table):
    push(table, APP, "a")
    point(table, APP, "v1", digest("a"), NOW)
    point(table, APP, "v2", digest("a"), NOW)
    assert table.delete_tag(APP, "v1") is True
    assert table.delete_tag(APP, "v1") is False
    assert table.tags_of(APP, digest("a")) == ["v2"]
    assert table.find_manifest(APP, digest("a")) is not None


def test_tags_come_in_ascii_order_and_each_once_whatever_the_page(table):
    push(table, APP, "a")
    shuffled = random.Random(7).sample(TAGS, len(TAGS))
    for tag in shuffled:
        point(table, APP, tag, digest("a"), NOW)
    assert table.tags_of(APP, digest("a")) == sorted(TAGS)
    for size in (1, 2, 5, len(TAGS), 1000):
        visited: list[str] = []
        last = None
        while page := table.tags_after(APP, last, size):
            assert len(page) <= size
            visited += page
            last = page[-1]
        assert visited == sorted(TAGS)


ODD_PLACES = [
    "",
    "a",
    "aa",
    "zzz",
    "é",
    "a\u00e9",
    "~",
    "\U0001f600",
    "A" * 5000,
    "z" * 128,
    "1.0#",
    "\x00",
    "\x7f",
]


def test_tags_after_any_text_are_those_greater_than_it(table):
    push(table, APP, "a")
    for tag in TAGS:
        point(table, APP, tag, digest("a"), NOW)
    found = {last: table.tags_after(APP, last, 100) for last in ODD_PLACES}
    assert found == {last: sorted(tag for tag in TAGS if tag > last) for last in ODD_PLACES}


@pytest.mark.parametrize("limit", [0, -1])
def test_tags_up_to_none_are_none(table, limit):
    push(table, APP, "a")
    point(table, APP, "v1", digest("a"), NOW)
    assert table.tags_after(APP, None, limit) == []


TAG = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True)


@given(st.sets(TAG, min_size=1), st.text())
def test_key_after_any_text_divides_tags_as_their_order_does(tags, last):
    place = keys.tag_after(APP, last).sk
    for tag in tags:
        assert (keys.tag(APP, tag).sk > place) == (tag > last)


@given(st.sets(TAG, max_size=40), st.integers(min_value=1, max_value=50))
def test_paging_through_any_tags_visits_each_once(tags, size):
    table = MemoryTable()
    push(table, APP, "a")
    for tag in tags:
        point(table, APP, tag, digest("a"), NOW)
    visited: list[str] = []
    last: str | None = None
    while page := table.tags_after(APP, last, size):
        visited += page
        last = page[-1]
    assert visited == sorted(tags)


def test_more_tags_than_a_query_returns_at_once_are_all_listed(dynamo_table):
    """A page of DynamoDB ends at 1 MB, whatever the limit."""
    everything = keys.tag(APP, "")
    large = {"type": "tag", "v": 1, "digest": str(digest("a")), "filling": "x" * 100_000}
    tags = [f"v{number:02}" for number in range(15)]
    dynamo_table._table.put_all(
        [{**everything._asdict(), **large, "sk": f"TAG#{tag}", "tag": tag} for tag in tags]
    )
    assert not dynamo_table._table.query(everything).rows[14:]
    assert dynamo_table.tags_after(APP, None, 100) == tags
    assert dynamo_table.tags_after(APP, "v03", 11) == tags[4:15]


@pytest.mark.parametrize("seed", range(2))
def test_both_tables_answer_alike_to_any_sequence_of_calls(dynamo_table, memory_table, seed):
    choose = random.Random(seed)
    repository_id, _ = (opened(table, APP).id for table in (dynamo_table, memory_table))
    for _ in range(25):
        name, tag = choose.choice("abc"), choose.choice(["v1", "v2", "latest"])
        stored = {"manifest": manifest(name), "repository_id": repository_id, "uses": [], "referrer": None}
        when = choose.choice([NOW, LATER])
        moving = {"tags": [tag], "pushed": pushed(digest(name), when), "may_move": lambda _: None}
        calls: list[tuple[str, dict[str, Any]]] = [
            ("put_manifest", stored),
            ("put_tags", moving),
            ("put_tags", moving),
            ("delete_tag", {"tag": tag}),
            ("delete_manifest", {"digest": digest(name)}),
        ]
        method, arguments = choose.choice(calls)
        outcomes: list[Any] = []
        for table in (memory_table, dynamo_table):
            try:
                outcomes.append(getattr(table, method)(repository=APP, **arguments))
            except ManifestUnknown:
                outcomes.append(ManifestUnknown)
            outcomes.append(table.tags_after(APP, None, 10))
            outcomes.append(table.find_tag(APP, tag))
            outcomes.append(table.tags_of(APP, digest(name)))
        half = len(outcomes) // 2
        assert outcomes[:half] == outcomes[half:]
