"""What the terms of queries compare: the values, and the operators over them.

Nothing here is converted silently into something else. A number and a string are equal when the string is the
number as JSON writes it; dates are compared as instants, numbers as numbers, all other strings by code point.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType

from moorage.domain.resources import Scalar

Held = Scalar | datetime | Sequence[str]
"""What a resource has under a name: a scalar, an instant, or several strings."""


class Operator(StrEnum):
    """The operators of terms. Those of two characters come first, for readers that look for prefixes."""

    NOT_EQUAL = "!="
    AT_LEAST = ">="
    AT_MOST = "<="
    REGULAR_EXPRESSION = "=~"
    EQUAL = "="
    MORE = ">"
    LESS = "<"
    LIKE = "~"
    CONTAINS = "contains"
    EXISTS = "exists"
    NOT_EXISTS = "!exists"


VALUELESS = frozenset({Operator.EXISTS, Operator.NOT_EXISTS})
ORDERING: Mapping[Operator, Callable[[float, float], bool]] = MappingProxyType(
    {
        Operator.MORE: operator.gt,
        Operator.AT_LEAST: operator.ge,
        Operator.LESS: operator.lt,
        Operator.AT_MOST: operator.le,
    }
)
TEXTUAL = frozenset({Operator.LIKE, Operator.REGULAR_EXPRESSION, Operator.CONTAINS})

_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,15})?")


def parse_instant(text: str) -> datetime | None:
    """The instant that an ISO 8601 date, or date and time, names: in UTC unless it says otherwise, to the
    millisecond, which is what answers show; None when ``text`` is none.
    """
    if not _DATE.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return _to_millisecond(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def parse_number(text: str) -> float | None:
    """The number that ``text`` is in plain decimal notation, or None."""
    return float(text) if _NUMBER.fullmatch(text) else None


def format_instant(moment: datetime) -> str:
    """As answers show it: ISO 8601 in UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text_of(held: Scalar | datetime) -> str:
    """A value as JSON writes it, without quotes."""
    if isinstance(held, bool):
        return "true" if held else "false"
    if isinstance(held, datetime):
        return format_instant(held)
    if isinstance(held, float):
        return str(int(held)) if held.is_integer() else repr(held)
    return str(held)


def holds(op: Operator, held: Held, value: Scalar) -> bool:
    """Whether a value that a resource has satisfies a term other than ``exists`` and ``!exists``.

    Of several strings, one has to; ``!=`` is the contrary of ``=`` and so asks all of them.
    """
    if op is Operator.NOT_EQUAL:
        return not holds(Operator.EQUAL, held, value)
    if isinstance(held, str | bool | int | float | datetime):
        return _holds(op, held, value)
    if op is Operator.CONTAINS:
        op = Operator.EQUAL
    return any(_holds(op, each, value) for each in held)


def _holds(op: Operator, held: Scalar | datetime, value: Scalar) -> bool:
    if op is Operator.EQUAL:
        return _equal(held, value)
    if op in ORDERING:
        return _ordered(op, held, value)
    text, wanted = text_of(held), text_of(value)
    if op is Operator.CONTAINS:
        return wanted in text
    if op is Operator.LIKE:
        return is_like(text, wanted)
    return _matches(text, wanted)


def _equal(held: Scalar | datetime, value: Scalar) -> bool:
    if isinstance(held, datetime):
        return isinstance(value, str) and parse_instant(value) == _to_millisecond(held)
    # As texts: 1 is not true here, 1.0 is 1, and true is "true".
    return text_of(held) == text_of(value)


def _ordered(op: Operator, held: Scalar | datetime, value: Scalar) -> bool:
    compare: Callable[..., bool] = ORDERING[op]
    if isinstance(held, bool) or isinstance(value, bool):
        return False
    if isinstance(held, str) and isinstance(value, str):
        instants = parse_instant(held), parse_instant(value)
        return compare(*(instants if None not in instants else (held, value)))
    if isinstance(held, datetime):
        instant = parse_instant(value) if isinstance(value, str) else None
        return instant is not None and compare(_to_millisecond(held), instant)
    numbers = _number(held), _number(value)
    return None not in numbers and compare(*numbers)


def _number(value: Scalar) -> float | None:
    return parse_number(value) if isinstance(value, str) else value


def _to_millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def is_like(text: str, pattern: str) -> bool:
    """The operator ``~``: whether ``pattern`` stands anywhere in ``text``, in whatever case, where each ``*``
    stands for any characters. Takes one pass over ``text`` per part between the asterisks.
    """
    folded, start = text.casefold(), 0
    for part in pattern.casefold().split("*"):
        found = folded.find(part, start)
        if found < 0:
            return False
        start = found + len(part)
    return True


def _matches(text: str, pattern: str) -> bool:
    # Loaded only by those who use it: most queries, and most cold starts, do without.
    from moorage.domain.patterns import compile_pattern  # noqa: PLC0415

    return compile_pattern(pattern).found_in(text)
