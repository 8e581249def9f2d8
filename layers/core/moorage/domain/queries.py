"""Queries: which resources of a kind somebody means, as JSON, as a value, and as a decision per resource.

What a subject does not tell is unknown, not absent, and logic has three values: a term about something
unknown is neither true nor false, and a query selects only what it would select whatever the unknown turned
out to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from moorage.domain.errors import InvalidInput
from moorage.domain.query_values import (
    ORDERING,
    TEXTUAL,
    VALUELESS,
    Held,
    Operator,
    holds,
    parse_instant,
    parse_number,
    text_of,
)
from moorage.domain.resources import Kind, Scalar, parse_scalar, parse_tag_key, reject_unknown

TERMS_MAX = 100
VALUE_MAX = 1024
REGULAR_EXPRESSIONS_MAX = 2
EXPRESSIONS_OF_A_DECISION = 100
"""Terms with ``=~`` that a decision looks at, in all queries that it is about."""

# A search for an expression takes up to a thousand times as long as a comparison.
_EXPRESSION_EFFORT = 1_000

Truth = bool | None
"""True, false, or None: it rests on something unknown."""


class Type(StrEnum):
    """What a property holds."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    LIST = "list of texts"


_COMMON = {
    "id": Type.TEXT,
    "name": Type.TEXT,
    "version": Type.NUMBER,
    "description": Type.TEXT,
    "created": Type.DATE,
    "lastModified": Type.DATE,
}
_OWN: Mapping[Kind, Mapping[str, Type]] = {
    Kind.POLICY: {"origin": Type.TEXT, "targetKind": Type.TEXT, "target": Type.TEXT},
    Kind.USER: {"email": Type.TEXT},
    Kind.GROUP: {"origin": Type.TEXT},
    Kind.SERVICE_ACCOUNT: {"origin": Type.TEXT},
    Kind.IDENTITY: {"gvc": Type.TEXT},
}
PROPERTIES: Mapping[Kind, Mapping[str, Type]] = MappingProxyType(
    {
        **{kind: {**_COMMON, **_OWN.get(kind, {})} for kind in Kind},
        # Images have no description.
        Kind.IMAGE: {
            "id": Type.TEXT,
            "name": Type.TEXT,
            "version": Type.NUMBER,
            "created": Type.DATE,
            "lastModified": Type.DATE,
            "repository": Type.TEXT,
            "tag": Type.TEXT,
            "digest": Type.TEXT,
            "mediaType": Type.TEXT,
            "size": Type.NUMBER,
            "platforms": Type.LIST,
            "pushed": Type.DATE,
            "pushedBy": Type.TEXT,
        },
    }
)
"""The properties that terms may ask for, by kind."""

_Choice = TypeVar("_Choice", bound=StrEnum)
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


class Scope(StrEnum):
    """Where a term looks: the fields of a resource, its metadata, or what its links lead to."""

    PROPERTY = "property"
    TAG = "tag"
    REL = "rel"


@dataclass(frozen=True, slots=True)
class Subject:
    """A resource as queries see it.

    With ``partial``, what is not in ``properties`` is unknown; otherwise the resource lacks it. ``tags`` or
    ``rels`` that are None are unknown altogether.
    """

    properties: Mapping[str, Held]
    tags: Mapping[str, Scalar] | None = field(default_factory=dict)
    rels: Mapping[str, Sequence[str]] | None = field(default_factory=dict)
    partial: bool = False

    def find(self, scope: Scope, name: str) -> tuple[bool, Held | None]:
        """Whether it is known what stands under ``name``, and if so what does, None for nothing."""
        if scope is Scope.PROPERTY:
            held = self.properties.get(name)
            return held is not None or not self.partial, held
        mapping: Mapping[str, Held] | None = self.tags if scope is Scope.TAG else self.rels
        return (False, None) if mapping is None else (True, mapping.get(name))


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. ``value`` is None exactly with ``exists`` and ``!exists``."""

    op: Operator
    scope: Scope
    name: str
    value: Scalar | None = None

    def evaluate(self, subject: Subject) -> Truth:
        """Whether it holds for ``subject``. What is absent equals nothing, and is unlike any value."""
        known, held = subject.find(self.scope, self.name)
        if not known:
            return None
        if self.op is Operator.EXISTS:
            return held is not None
        if self.op is Operator.NOT_EXISTS:
            return held is None
        if held is None or self.value is None:
            return self.op is Operator.NOT_EQUAL
        return holds(self.op, held, self.value)

    @property
    def effort(self) -> int:
        """How much work it is at most, in comparisons of two values."""
        if self.op is Operator.REGULAR_EXPRESSION:
            return _EXPRESSION_EFFORT
        return 1 + str(self.value).count("*") if self.op is Operator.LIKE else 1

    def to_json(self) -> dict[str, Any]:
        """The term as a query's JSON has it."""
        value = {} if self.value is None else {"value": self.value}
        return {"op": self.op.value, self.scope.value: self.name, **value}


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
        body = _object(value, where or "the query")
        reject_unknown(body, ("kind", "context", "fetch", "spec"), where or "the query")
        if body.get("kind") is not None and Kind.parse(body["kind"], f"{prefix}kind") is not kind:
            raise InvalidInput(f"{prefix}kind is {body['kind']}, and the query is about {kind}")
        fetch = _choice(Fetch, body.get("fetch"), Fetch.ITEMS, f"{prefix}fetch")
        spec = {} if body.get("spec") is None else _object(body["spec"], f"{prefix}spec")
        reject_unknown(spec, ("match", "terms", "sort"), f"{prefix}spec")
        return cls(
            kind,
            _terms(spec.get("terms"), kind, f"{prefix}spec.terms"),
            _choice(Match, spec.get("match"), Match.ALL, f"{prefix}spec.match"),
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


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{where} is an object")
    return value


def _choice(choices: type[_Choice], value: Any, default: _Choice, where: str) -> _Choice:
    if value is None:
        return default
    for choice in choices:
        if isinstance(value, str) and value == choice.value:
            return choice
    raise InvalidInput(f"{where} is one of {', '.join(choices)}")


def _terms(value: Any, kind: Kind, where: str) -> tuple[Term, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise InvalidInput(f"{where} is a list")
    if len(value) > TERMS_MAX:
        raise InvalidInput(f"{where} has at most {TERMS_MAX} terms")
    terms = tuple(_term(each, kind, f"{where}[{index}]") for index, each in enumerate(value))
    if sum(term.op is Operator.REGULAR_EXPRESSION for term in terms) > REGULAR_EXPRESSIONS_MAX:
        raise InvalidInput(f"{where} has at most {REGULAR_EXPRESSIONS_MAX} terms with =~")
    return terms


def _term(value: Any, kind: Kind, where: str) -> Term:
    body = _object(value, where)
    reject_unknown(body, ("op", "property", "tag", "rel", "value"), where)
    op = _choice(Operator, body.get("op"), Operator.EQUAL, f"{where}.op")
    scopes = [scope for scope in Scope if body.get(scope) is not None]
    if len(scopes) != 1:
        raise InvalidInput(f"{where} has exactly one of property, tag and rel")
    scope, name = scopes[0], body[scopes[0]]
    kept = _check_name(scope, name, kind, op, where)
    return Term(op, scope, name, _value(op, body.get("value"), kept, where))


def _check_name(scope: Scope, name: Any, kind: Kind, op: Operator, where: str) -> Type | None:
    """What stands under ``name``, None when it may be any scalar."""
    if scope is Scope.PROPERTY:
        properties = PROPERTIES[kind]
        if not isinstance(name, str) or name not in properties:
            raise InvalidInput(f"{where}.property is one of {', '.join(properties)}")
        kept: Type | None = properties[name]
    elif scope is Scope.TAG:
        try:
            parse_tag_key(name)
        except InvalidInput as error:
            raise InvalidInput(f"{where}.tag: {error.message}") from None
        kept = None
    else:
        if kind is Kind.IMAGE:
            raise InvalidInput(f"{where}.rel: images have no rel to ask for")
        if not isinstance(name, str) or not 1 <= len(name) <= VALUE_MAX:
            raise InvalidInput(f"{where}.rel is a string of at most {VALUE_MAX} characters")
        kept = Type.LIST
    if kept is Type.LIST and op in ORDERING:
        raise InvalidInput(f"{where}: {name} is a {kept}, which {op} cannot order")
    return kept


def _value(op: Operator, value: Any, kept: Type | None, where: str) -> Scalar | None:
    if op in VALUELESS:
        if value is not None:
            raise InvalidInput(f"{where}: {op} takes no value")
        return None
    if value is None:
        raise InvalidInput(f"{where}: {op} needs a value")
    scalar = parse_scalar(value, where)
    if isinstance(scalar, str) and len(scalar) > VALUE_MAX:
        raise InvalidInput(f"{where}.value has at most {VALUE_MAX} characters")
    if op in TEXTUAL:
        return _pattern(op, text_of(scalar), where)
    if op in ORDERING and isinstance(scalar, bool):
        raise InvalidInput(f"{where}: {op} cannot order true and false")
    if kept is Type.NUMBER:
        return _as_number(scalar, where)
    if kept is Type.DATE and (not isinstance(scalar, str) or parse_instant(scalar) is None):
        raise InvalidInput(f"{where}.value is a date such as 2026-01-31 or 2026-01-31T09:30:00.000Z")
    return scalar


def _pattern(op: Operator, text: str, where: str) -> str:
    if not text:
        raise InvalidInput(
            f"{where}: {op} with nothing would match everything; ask whether it exists instead"
        )
    if op is Operator.REGULAR_EXPRESSION:
        from moorage.domain.patterns import compile_pattern  # noqa: PLC0415 - loaded only by those who use it

        try:
            compile_pattern(text)
        except InvalidInput as error:
            raise InvalidInput(f"{where}.value: {error.message}") from None
    return text


def _as_number(scalar: Scalar, where: str) -> Scalar:
    if isinstance(scalar, bool) or (isinstance(scalar, str) and parse_number(scalar) is None):
        raise InvalidInput(f"{where}.value is a number")
    if isinstance(scalar, str):
        number = float(scalar)
        return int(number) if number.is_integer() else number
    return scalar


def _sort(value: Any, kind: Kind, where: str) -> Sort | None:
    if value is None:
        return None
    body = _object(value, where)
    reject_unknown(body, ("by", "order"), where)
    properties = _sortable(kind)
    by = body.get("by")
    if not isinstance(by, str) or by not in properties:
        raise InvalidInput(f"{where}.by is one of {', '.join(properties)}")
    return Sort(by, _choice(Order, body.get("order"), Order.ASCENDING, f"{where}.order"))


def _sortable(kind: Kind) -> Sequence[str]:
    """Images by what is indexed; of the others there are few enough to be sorted by anything."""
    if kind is Kind.IMAGE:
        return _SORTED_IMAGES
    return [name for name, kept in PROPERTIES[kind].items() if kept is not Type.LIST]
