"""Queries: which resources of a kind somebody means, as JSON, as a value, and as a decision per resource.

What a subject does not tell is unknown, not absent, and logic has three values: a term about something
unknown is neither true nor false, and a query selects only what it would select whatever the unknown turned
out to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from moorage.domain.errors import InvalidInput
from moorage.domain.query_terms import (
    PROPERTIES,
    Scope,
    Subject,
    Term,
    Truth,
    Type,
    parse_choice,
    parse_object,
    parse_terms,
)
from moorage.domain.query_values import Operator, text_of
from moorage.domain.resources import Kind, reject_unknown

EXPRESSIONS_OF_A_DECISION = 100
"""Terms with ``=~`` that a decision looks at, in all queries that it is about."""

_SORTED_IMAGES = ("name", "created", "lastModified")


class Match(StrEnum):
    """How many of the terms have to hold."""

    ALL = "all"
    ANY = "any"
    NONE = "none"


class Fetch(StrEnum):
    """What an answer has: whole resources, or their links."""

    ITEMS = "items"
    LINKS = "links"


class Order(StrEnum):
    """Which end comes first."""

    ASCENDING = "asc"
    DESCENDING = "desc"


@dataclass(frozen=True, slots=True)
class Sort:
    """In which order an answer comes."""

    by: str
    order: Order = Order.ASCENDING


@dataclass(frozen=True, slots=True)
class Query:
    """Terms over the resources of a kind. Without terms it means all of them."""

    kind: Kind
    terms: tuple[Term, ...] = ()
    match: Match = Match.ALL
    fetch: Fetch = Fetch.ITEMS
    sort: Sort | None = None

    @classmethod
    def parse(cls, value: Any, kind: Kind, where: str = "") -> Query:
        """The query that a JSON value says, about ``kind``; ``None`` is the query for all.

        Raises:
            InvalidInput: it is no query, of another kind, over a bound (100 terms, values of 1,024
                characters, 2 regular expressions), or asks for what the kind does not have. The message
                says where, in a path that begins with ``where``.
        """
        prefix = f"{where}." if where else ""
        if value is None:
            return cls(kind)
        body = parse_object(value, where or "the query")
        reject_unknown(body, ("kind", "context", "fetch", "spec"), where or "the query")
        if body.get("kind") is not None and Kind.parse(body["kind"], f"{prefix}kind") is not kind:
            raise InvalidInput(f"{prefix}kind is {body['kind']}, and the query is about {kind}")
        fetch = parse_choice(Fetch, body.get("fetch"), Fetch.ITEMS, f"{prefix}fetch")
        spec = {} if body.get("spec") is None else parse_object(body["spec"], f"{prefix}spec")
        reject_unknown(spec, ("match", "terms", "sort"), f"{prefix}spec")
        return cls(
            kind,
            parse_terms(spec.get("terms"), kind, f"{prefix}spec.terms"),
            parse_choice(Match, spec.get("match"), Match.ALL, f"{prefix}spec.match"),
            fetch,
            _sort(spec.get("sort"), kind, f"{prefix}spec.sort"),
        )

    def evaluate(self, subject: Subject) -> Truth:
        """Whether the query selects ``subject``: None when that rests on what is unknown of it."""
        if not self.terms:
            return True
        truths = (term.evaluate(subject) for term in self.terms)
        match self.match:
            case Match.ALL:
                return _every(truths)
            case Match.ANY:
                return _some(truths)
            case Match.NONE:
                return _not(_some(truths))

    def selects(self, subject: Subject) -> bool:
        """Whether it selects ``subject`` for certain."""
        return self.evaluate(subject) is True

    @property
    def expressions(self) -> int:
        """How many of its terms are regular expressions."""
        return sum(term.op is Operator.REGULAR_EXPRESSION for term in self.terms)

    @property
    def effort(self) -> int:
        """How much work a look at one subject is at most, in comparisons of two values."""
        return sum(term.effort for term in self.terms)

    def required(self, name: str) -> str | None:
        """The one text that property ``name`` has in everything that this query selects, if it says so."""
        if self.match is Match.ALL or (self.match is Match.ANY and len(self.terms) == 1):
            for term in self.terms:
                if (term.scope, term.name, term.op) == (Scope.PROPERTY, name, Operator.EQUAL):
                    return None if term.value is None else text_of(term.value)
        return None

    def to_json(self) -> dict[str, Any]:
        """The query in its canonical form, with every default written out."""
        spec: dict[str, Any] = {"match": self.match.value, "terms": [term.to_json() for term in self.terms]}
        if self.sort:
            spec["sort"] = {"by": self.sort.by, "order": self.sort.order.value}
        return {"kind": self.kind.value, "fetch": self.fetch.value, "spec": spec}


class ExpressionBudget:
    """How many terms with ``=~`` are still looked at. It does not depend on the subject, so what a decision
    comes to for one subject does not rest on what was asked before.
    """

    def __init__(self) -> None:
        self._left = EXPRESSIONS_OF_A_DECISION

    def admits(self, expressions: int) -> bool:
        """Whether a query with so many of them is looked at, which then counts; one without always is."""
        self._left -= expressions
        return expressions == 0 or self._left >= 0


def _every(truths: Iterable[Truth]) -> Truth:
    result: Truth = True
    for truth in truths:
        if truth is False:
            return False
        if truth is None:
            result = None
    return result


def _some(truths: Iterable[Truth]) -> Truth:
    return _not(_every(_not(truth) for truth in truths))


def _not(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _sort(value: Any, kind: Kind, where: str) -> Sort | None:
    if value is None:
        return None
    body = parse_object(value, where)
    reject_unknown(body, ("by", "order"), where)
    properties = _sortable(kind)
    by = body.get("by")
    if not isinstance(by, str) or by not in properties:
        raise InvalidInput(f"{where}.by is one of {', '.join(properties)}")
    return Sort(by, parse_choice(Order, body.get("order"), Order.ASCENDING, f"{where}.order"))


def _sortable(kind: Kind) -> Sequence[str]:
    """Images by what is indexed; of the others there are few enough to be sorted by anything."""
    if kind is Kind.IMAGE:
        return _SORTED_IMAGES
    return [name for name, kept in PROPERTIES[kind].items() if kept is not Type.LIST]
