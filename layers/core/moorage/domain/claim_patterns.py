"""Patterns over the claims of a token.

Written as the token has its claims, so that a claim within a claim needs no path notation::

    {"sub": "repo:acme/*:ref:refs/heads/main", "kubernetes.io": {"namespace": ["shop", "shop-*"]}}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moorage.domain.errors import InvalidInput

PATTERN_MAX = 256
"""Characters of a pattern."""

_VALUE_MAX = 2048
_LIST_MAX = 100
_CLAIM_NAME_MAX = 128
_DEPTH_MAX = 4
CLAIMS_MAX = 20
"""Claims of which a trust rule says how they have to be."""

ALTERNATIVES_MAX = 20
"""Patterns for one claim."""

_PIECES = re.compile(r"\*+|[^*]")
_SEPARATORS = frozenset("/:")
# What the registry checks itself; a pattern for them could only be misread as more than that.
_REGISTERED = frozenset({"iss", "aud", "exp", "nbf", "iat"})


class Glob:
    """A pattern in which ``*`` is any run of characters but ``/`` and ``:``, and ``**`` any run at all.

    All else means itself, in its own case. Matching takes one step per character of the value: a set of
    positions in the pattern, held as the bits of a number, moves along it.
    """

    __slots__ = ("_any", "_end", "_literals", "_stars", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._literals: dict[str, int] = {}
        self._stars = self._any = 0
        pieces = _PIECES.findall(text)
        for place, piece in enumerate(pieces):
            if not piece.startswith("*"):
                self._literals[piece] = self._literals.get(piece, 0) | 1 << place
                continue
            self._stars |= 1 << place
            if len(piece) > 1:
                self._any |= 1 << place
        self._end = 1 << len(pieces)

    @classmethod
    def parse(cls, text: Any) -> Glob:
        """The pattern that ``text`` is.

        Raises:
            InvalidInput: not a string, empty, or too long.
        """
        if not isinstance(text, str) or not 0 < len(text) <= PATTERN_MAX:
            raise InvalidInput(f"a claim pattern is a string of 1 to {PATTERN_MAX} characters")
        return cls(text)

    @property
    def constrains(self) -> bool:
        """Whether there is anything in it beside wildcards."""
        return bool(self._literals)

    def matches(self, value: str) -> bool:
        """Whether all of ``value`` fits; one of more than 2,048 characters fits nothing."""
        if len(value) > _VALUE_MAX:
            return False
        places = self._skip_stars(1)
        for character in value:
            stay = self._any if character in _SEPARATORS else self._stars
            moved = (places & self._literals.get(character, 0)) << 1
            places = self._skip_stars(moved | places & stay)
            if not places:
                return False
        return bool(places & self._end)

    def _skip_stars(self, places: int) -> int:
        # No two wildcards stand side by side, so one step skips all there are.
        return places | (places & self._stars) << 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Glob) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Glob({self.text!r})"


@dataclass(frozen=True, slots=True)
class ClaimPattern:
    """A claim, by the names that lead to it, and the patterns of which one has to fit."""

    path: tuple[str, ...]
    alternatives: tuple[Glob, ...]

    @property
    def name(self) -> str:
        """What messages call the claim."""
        return " > ".join(self.path)

    @property
    def constrains(self) -> bool:
        """Whether no alternative consists of wildcards alone."""
        return all(glob.constrains for glob in self.alternatives)

    def matches(self, claims: Mapping[str, Any]) -> bool:
        """Whether the claim is there and fits; of a list of at most 100 values, whether one of them does."""
        value: Any = claims
        for name in self.path:
            if not isinstance(value, Mapping) or name not in value:
                return False
            value = value[name]
        values = value if isinstance(value, list) else [value]
        return len(values) <= _LIST_MAX and any(
            glob.matches(text)
            for each in values
            if (text := _text(each)) is not None
            for glob in self.alternatives
        )


def _text(value: Any) -> str | None:
    """A claim's value as patterns see it: numbers and truth values as JSON writes them."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            # The text of a longer one takes the square of its length to make, and no pattern fits it.
            return str(value) if value.bit_length() <= 128 else None  # noqa: PLR2004
        case _:
            return None


def parse_claim_patterns(claims: Any) -> tuple[ClaimPattern, ...]:
    """The patterns in ``claims``.

    Raises:
        InvalidInput: of another form, more than 20, nested deeper than 4, or for a claim that the registry
            checks itself.
    """
    if not isinstance(claims, Mapping):
        raise InvalidInput("claims is an object with a pattern for each claim")
    if taken := _REGISTERED & claims.keys():
        raise InvalidInput(f"claims cannot name {min(taken)}: the registry checks that claim itself")
    patterns = []
    for pattern in _walk(claims, ()):
        patterns.append(pattern)
        if len(patterns) > CLAIMS_MAX:
            raise InvalidInput(f"claims names at most {CLAIMS_MAX} claims")
    return tuple(patterns)


def _walk(claims: Mapping[Any, Any], above: tuple[str, ...]) -> Iterator[ClaimPattern]:
    if len(above) >= _DEPTH_MAX:
        raise InvalidInput(f"claims nest at most {_DEPTH_MAX} deep")
    if above and not claims:
        raise InvalidInput("a nested claim names at least one claim inside it")
    for name, wanted in claims.items():
        if not isinstance(name, str) or not 0 < len(name) <= _CLAIM_NAME_MAX:
            raise InvalidInput(f"the name of a claim has 1 to {_CLAIM_NAME_MAX} characters")
        path = (*above, name)
        if isinstance(wanted, Mapping):
            yield from _walk(wanted, path)
            continue
        alternatives = wanted if isinstance(wanted, list) else [wanted]
        if not 0 < len(alternatives) <= ALTERNATIVES_MAX:
            raise InvalidInput(f"a claim has 1 to {ALTERNATIVES_MAX} alternative patterns")
        yield ClaimPattern(path, tuple(Glob.parse(each) for each in alternatives))
