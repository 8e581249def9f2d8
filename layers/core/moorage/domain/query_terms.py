"""Terms: the conditions that a query is made of, as JSON, as values, and held against a resource.

What a subject does not tell is unknown, not absent: a term about it is neither true nor false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def parse_object(value: Any, where: str) -> Mapping[str, Any]:
    """``value``, when it is a JSON object.

    Raises:
        InvalidInput: it is not; the message begins with ``where``.
    """
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{where} is an object")
    return value


def parse_choice(choices: type[_Choice], value: Any, default: _Choice, where: str) -> _Choice:
    """The one of ``choices`` that ``value`` names, ``default`` where it is None.

    Raises:
        InvalidInput: it names none; the message begins with ``where``.
    """
    if value is None:
        return default
    for choice in choices:
        if isinstance(value, str) and value == choice.value:
            return choice
    raise InvalidInput(f"{where} is one of {', '.join(choices)}")


def parse_terms(value: Any, kind: Kind, where: str) -> tuple[Term, ...]:
    """The terms in a JSON list, about resources of ``kind``; None is none.

    Raises:
        InvalidInput: it is no such list, or over a bound; the message says where, from ``where`` on.
    """
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
    body = parse_object(value, where)
    reject_unknown(body, ("op", "property", "tag", "rel", "value"), where)
    op = parse_choice(Operator, body.get("op"), Operator.EQUAL, f"{where}.op")
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
