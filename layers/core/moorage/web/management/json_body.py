"""JSON as it comes from outside, taken strictly.

Two readers of one document must not see two things, so what parsers differ in is refused: keys that are given
twice, numbers that are none, text that is no Unicode.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from moorage.domain.errors import InvalidInput

MAX_DEPTH = 32


def parse_json(content: bytes) -> Any:
    """The value that ``content`` is.

    Raises:
        InvalidInput: not JSON in UTF-8, nested deeper than 32 levels, with a key given twice, a number that
            no other reader would take, or half a surrogate pair.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise InvalidInput("the body is not UTF-8") from None
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        raise InvalidInput(f"the body is not JSON: line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise InvalidInput(f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError:
        # Digits beyond what an integer is converted from.
        raise InvalidInput("a number in the body is too long") from None
    _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidInput("an object in the body has a key twice")
    return result


def _refuse_constant(_: str) -> Any:
    raise InvalidInput("the body has a number that is not finite")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidInput("the body has a number that is not finite")
    return number


def _check(value: Any) -> None:
    """Look at every text and every depth without recursion: the depth is what is asked about."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [inner for each in level for inner in _inside(each)]
    if level:
        raise InvalidInput(f"the body is nested deeper than {MAX_DEPTH} levels")


def _inside(value: Any) -> Iterable[Any]:
    match value:
        case str():
            _check_text(value)
        case dict():
            yield from value
            yield from value.values()
        case list():
            yield from value


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput("a text in the body has half a surrogate pair") from None
