"""Hints are never too few: whatever crashes, and whoever comes in between."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest

from moorage.adapters import keys
from moorage.adapters.dynamodb.hints import changes
from moorage.adapters.dynamodb.writes import update
from moorage.domain.errors import InvalidInput, Unavailable
from moorage.domain.resources import Kind
from moorage.ports import POLICIES_OF_A_PRINCIPAL
from tests.contract.samples import ROBOT, group, make_organisation, policy
from tests.unit.faults import Faults

# More than fits into the transaction of a record, so that hints are written before it.
MANY = [f"/org/demo/user/u{number:03}@example.com" for number in range(120)]
OTHERS = [f"/org/demo/user/v{number:03}@example.com" for number in range(120)]
FEW = MANY[:3]


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture
def table(dynamo_table, faults):
    make_organisation(dynamo_table, "demo")
    client = faults.wrap(dynamo_table._table.client())
    dynamo_table._table.client = lambda: client
    return dynamo_table


def named(record) -> set[str]:
    if record.kind is Kind.GROUP:
        return set(record.spec["memberLinks"])
    return {link for binding in record.spec["bindings"] for link in binding["principalLinks"]}


def hints(table, kind: Kind, principal: str) -> list[str]:
    if kind is Kind.GROUP:
        return [link.rpartition("/")[2] for link in table.group_hints(principal)]
    return list(table.policy_hints([principal], Kind.IMAGE, "demo"))


def missing(table, kind: Kind, name: str) -> set[str]:
    """Principals that the stored record names and that have no hint of it."""
    record = table.find(kind, "demo", name)
    return {each for each in named(record) if name not in hints(table, kind, each)} if record else set()


def too_many(table, kind: Kind, name: str) -> set[str]:
    """Principals with a hint of a record that does not name them."""
    record = table.find(kind, "demo", name)
    known = named(record) if record else set()
    return {each for each in {*MANY, *OTHERS} - known if name in hints(table, kind, each)}


MAKERS = {Kind.POLICY: policy, Kind.GROUP: group}
BEFORE_AND_AFTER: dict[str, list[tuple[list[str], list[str]]]] = {
    "create": [([], MANY), ([], FEW), ([], [])],
    "replace": [([], MANY), (FEW, MANY), (MANY, FEW), (MANY, OTHERS), (MANY, []), (FEW, OTHERS[:3])],
    "delete": [(MANY, []), (FEW, []), ([], [])],
}


def made(kind: Kind, *principals: str, version: int = 1, record_id: str = "first"):
    return MAKERS[kind]("one", *principals, version=version, id=record_id)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("lost", [False, True], ids=["fails", "answer is lost"])
@pytest.mark.parametrize("write", BEFORE_AND_AFTER)
def test_crash_anywhere_leaves_no_record_without_its_hints(table, faults, kind, lost, write):
    calls = 0
    for old, new in BEFORE_AND_AFTER[write]:
        before, after = made(kind, *old), made(kind, *new, version=2)
        act = {
            "create": partial(table.create, made(kind, *new)),
            "replace": partial(table.replace, before, after),
            "delete": partial(table.delete, before),
        }[write]
        for at in range(12):
            if write != "create":
                table.create(before)
            with faults.failing(at=at, lost=lost), suppress(Unavailable):
                act()
            made_it = len(faults.calls) <= at
            calls = max(calls, len(faults.calls))
            assert missing(table, kind, "one") == set()
            # Whoever comes afterwards finds nothing in the way.
            if standing := table.find(kind, "demo", "one"):
                table.delete(standing)
            table.create(made(kind, *MANY[:2], record_id=f"later-{at}"))
            assert missing(table, kind, "one") == set()
            table.delete(made(kind, *MANY[:2], record_id=f"later-{at}"))
            if made_it:
                break
        else:
            raise AssertionError("it takes more calls than were tried")
    assert calls >= 2


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("between", ["deleted", "deleted and made anew", "replaced"])
def test_hints_survive_whoever_comes_between_the_steps_of_a_creation(table, faults, kind, between):
    """What had the name before goes, with its hints, while those of the new one are being written."""
    old = made(kind, *MANY)
    table.create(old)

    def come_between():
        if between == "replaced":
            table.replace(old, made(kind, *FEW, version=2))
        else:
            table.delete(old)
        if between == "deleted and made anew":
            table.create(made(kind, *FEW, record_id="third"))

    for at in range(6):
        with faults.interrupted(at, come_between), suppress(Exception):
            table.create(made(kind, *MANY, record_id="second"))
        assert missing(table, kind, "one") == set(), at
        for _ in range(2):
            if standing := table.find(kind, "demo", "one"):
                table.delete(standing)
        table.create(old)


@pytest.mark.parametrize("kind", MAKERS)
def test_hints_survive_whoever_comes_between_the_steps_of_a_change(table, faults, kind):
    first = made(kind, *FEW)
    table.create(first)
    for at in range(6):
        second = made(kind, *MANY, version=2)
        # The other one names the same principals, and takes some away again.
        with faults.interrupted(at, partial(overtake, table, first, second)), suppress(Exception):
            table.replace(first, second)
        assert missing(table, kind, "one") == set(), at
        table.delete(table.find(kind, "demo", "one"))
        table.create(first)


def overtake(table, first, second) -> None:
    table.replace(first, second)
    table.replace(second, replace(second, version=3, spec=first.spec))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_refused_creation_takes_its_hints_back(table, kind):
    table.create(made(kind, *FEW))
    with pytest.raises(Exception, match="exists"):
        table.create(made(kind, *MANY, record_id="second"))
    assert too_many(table, kind, "one") == set()
    assert missing(table, kind, "one") == set()


@pytest.mark.parametrize("kind", MAKERS)
def test_a_deletion_leaves_no_hints_however_many_there_were(table, kind):
    table.create(made(kind, *MANY))
    assert missing(table, kind, "one") == set()
    table.delete(made(kind, *MANY))
    assert too_many(table, kind, "one") == set()


def test_a_creation_that_finds_no_room_leaves_nothing(table):
    hinted = frozenset(f"p-{number}#id" for number in range(POLICIES_OF_A_PRINCIPAL))
    key = keys.policy_hints(ROBOT.link, Kind.IMAGE, "demo")
    table._table.write(update(key, "ADD #names :names", names=hinted))
    for principals in ([*MANY, ROBOT.link], [ROBOT.link, *MANY], [ROBOT.link]):
        with pytest.raises(InvalidInput, match=ROBOT.link):
            table.create(policy("one", *principals))
        assert table.find(Kind.POLICY, "demo", "one") is None
        assert too_many(table, Kind.POLICY, "one") == set()


def test_rows_of_hints_are_small_enough_for_a_transaction():
    longest = changes(None, policy("p" * 64, ROBOT.link, id="i" * 36))
    (hint,) = longest.added[0].values["names"]
    # A set has the bytes of its elements, and some more for each.
    size = POLICIES_OF_A_PRINCIPAL * (len(hint) + 3)
    # Beside a record in a row of 400 KB, and under the 4 MB of a transaction.
    assert longest.at_once * size + 400_000 < 4_000_000
