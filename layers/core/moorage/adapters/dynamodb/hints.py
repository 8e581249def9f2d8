"""Hints: rows by which groups and policies are found from the principals that they name.

At every moment, whatever crashed, each group and each policy that is stored has a hint at each principal that
it names; there may be hints besides, of what is gone or was never stored. So whoever reads hints reads the
records that they name, and goes by these.

A hint is taken away only in the transaction that stores a version of its record without the principal, or
after the record is gone. It carries the id of its record, so that a name that is used again never loses a
hint to the removal of what had the name before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from moorage.adapters import keys
from moorage.adapters.dynamodb.rows import row
from moorage.adapters.dynamodb.table import Attempts, ConditionFailed, Table
from moorage.adapters.dynamodb.writes import Write, delete, put, update
from moorage.adapters.references import group_members, policy_principals, uses_query
from moorage.domain.errors import InvalidInput
from moorage.domain.resources import Kind, ResourceRecord
from moorage.ports.resources import POLICIES_OF_A_PRINCIPAL, QUERY_GROUPS_OF_AN_ORGANISATION

ROOM = "attribute_not_exists(#names) OR size(#names) < :most OR contains(#names, :name)"

_SEPARATOR = "#"

# How many hints go into one transaction. It has at most 100 parts and 4 MB, and a row of hints of policies
# can have a hundred kilobytes.
_POLICY_HINTS_AT_ONCE = 30
_GROUP_HINTS_AT_ONCE = 95


@dataclass(frozen=True, slots=True)
class Hints:
    """What a write of a record changes about hints: the writes that add some, and those that remove some."""

    added: Sequence[Write] = ()
    removed: Sequence[Write] = ()
    at_once: int = _GROUP_HINTS_AT_ONCE


def changes(before: ResourceRecord | None, after: ResourceRecord | None) -> Hints:
    """The hints that change when ``after`` takes the place of ``before``; either may be None."""
    old, new = _places(before), _places(after)
    return Hints(
        added=[_adding(place) for place in sorted(new - old)],
        removed=[_removing(place) for place in sorted(old - new)],
        at_once=_POLICY_HINTS_AT_ONCE if _kind(before, after) is Kind.POLICY else _GROUP_HINTS_AT_ONCE,
    )


def write_with_hints(
    table: Table, decisive: Sequence[Write], hints: Hints, *, creates: str | None = None
) -> None:
    """Carry out the ``decisive`` writes of a record, all or none, and let the hints follow.

    All that fits is one transaction. Of more, what is added goes before, so that a crash leaves hints too
    many; removals for which there is no room are left out. What ``creates`` the record of an id, by the first
    of the decisive writes, takes its hints back when it is refused: no record ever had that id.

    Raises:
        ConditionFailed: a decisive write was refused; its places are those in ``decisive``.
        InvalidInput: there is no room for a hint; nothing was written but hints.
    """
    attempts = Attempts()
    before: list[Write] = []
    together = list(hints.added)
    if len(together) > hints.at_once:
        before, together = together, []
    try:
        for part in _parts(before, hints.at_once):
            _transact(table, part, 0, attempts)
        spare = hints.at_once - len(together)
        _transact(table, [*decisive, *together, *hints.removed[:spare]], len(decisive), attempts)
    except (ConditionFailed, InvalidInput) as refused:
        if creates is not None and not _stands(refused, creates):
            for part in _parts([_reverse(write) for write in before], hints.at_once):
                table.transact(*part, attempts=attempts)
        raise


def _stands(refused: Exception, record_id: str) -> bool:
    """Whether the record was refused because this very write had made it, and its answer was lost."""
    standing = refused.rows.get(0) if isinstance(refused, ConditionFailed) else None
    return standing is not None and standing["id"] == record_id


def require_room(table: Table, hints: Hints) -> None:
    """Refuse hints that ``write_with_hints`` would find no room for.

    Raises:
        InvalidInput: there is none for one of them; nothing was written.
    """
    limited = {_key(write): write for write in hints.added if "most" in write.values}
    for found in table.get_all(limited):
        write, names = limited[keys.Key(found["pk"], found["sk"])], found.get("names", ())
        if len(names) >= write.values["most"] and write.values["name"] not in names:
            raise InvalidInput(_refusal(write))


def remove_the_rest(table: Table, hints: Hints) -> None:
    """Remove the hints that did not fit, after their record is gone."""
    for part in _parts(hints.removed[hints.at_once :], hints.at_once):
        table.transact(*part)


def names_in(hinted: Collection[str]) -> list[str]:
    """The names of policies in a row of hints, in order."""
    return sorted({each.partition(_SEPARATOR)[0] for each in hinted})


def _transact(table: Table, writes: Sequence[Write], decisive: int, attempts: Attempts) -> None:
    try:
        table.transact(*writes, attempts=attempts)
    except ConditionFailed as failed:
        if failed.rows.keys() & set(range(decisive)):
            raise
        refused = writes[min(failed.rows)]
        raise InvalidInput(_refusal(refused)) from None


def _refusal(refused: Write) -> str:
    key = _key(refused)
    principal = key.pk.partition(_SEPARATOR)[2]
    if key == keys.query_groups(principal):
        return f"an organisation has at most {QUERY_GROUPS_OF_AN_ORGANISATION} groups with a query"
    return (
        f"{principal} is named by as many policies of one kind as can be, {POLICIES_OF_A_PRINCIPAL}: "
        "name a group, or let one policy select more resources"
    )


def _parts(writes: Sequence[Write], size: int) -> Iterator[Sequence[Write]]:
    for start in range(0, len(writes), size):
        yield writes[start : start + size]


# A place is where a hint lies, and in a row of several what it is there.
_Place = tuple[keys.Key, str]


def _kind(before: ResourceRecord | None, after: ResourceRecord | None) -> Kind | None:
    record = before or after
    return record.kind if record else None


def _places(record: ResourceRecord | None) -> set[_Place]:
    if record is None:
        return set()
    hint = f"{record.name}{_SEPARATOR}{record.id}"
    match record.kind:
        case Kind.POLICY:
            target, principals = policy_principals(record)
            return {(keys.policy_hints(each, target, record.org), hint) for each in principals}
        case Kind.GROUP:
            places = {(keys.group_hint(each, record.link, record.id), "") for each in group_members(record)}
            if uses_query(record):
                places.add((keys.query_groups(record.org), hint))
            return places
    return set()


def _adding(place: _Place) -> Write:
    key, hint = place
    if not hint:
        return put(row(key, "group-hint", {"group": key.sk.split(_SEPARATOR)[1]}))
    querying = key.sk == keys.query_groups("").sk
    return _change(
        key,
        hint,
        "ADD",
        ROOM,
        most=QUERY_GROUPS_OF_AN_ORGANISATION if querying else POLICIES_OF_A_PRINCIPAL,
        name=hint,
    )


def _removing(place: _Place) -> Write:
    key, hint = place
    return _change(key, hint, "DELETE") if hint else delete(key)


def _change(key: keys.Key, hint: str, action: str, condition: str = "", **values: object) -> Write:
    kind = "group-hints" if key.sk == keys.query_groups("").sk else "policy-hints"
    return update(
        key,
        f"SET #type = :type, #v = :v {action} #names :names",
        condition,
        type=kind,
        v=keys.VERSION,
        names=frozenset({hint}),
        **values,
    )


def _key(write: Write) -> keys.Key:
    target = write.target.get("Key") or write.target["Item"]
    return keys.Key(target["pk"]["S"], target["sk"]["S"])


def _reverse(added: Write) -> Write:
    """The write that takes back what ``added`` has added."""
    key = _key(added)
    (hint,) = added.values.get("names", frozenset({""}))
    return _removing((key, hint))
