r"""Regular expressions in linear time: what ``=~`` in a query means.

The text is read once from left to right, and for each character the set of all places in the expression is
kept that could be reached by then (Thompson's simulation). Nothing is ever tried again: a search takes at
most as many steps as the expression has instructions, for each character of the text, whatever both are,
after a preparation of at most the square of the instructions. Sets are bits of one integer, and transitions
that were worked out once are remembered.

Syntax: literals, ``.``, ``[a-z]`` and ``[^a-z]``, ``\d \w \s`` and their capitals (ASCII), ``\t \n \r``, an
escaped punctuation mark, ``^`` and ``$`` (the ends of the text), ``( )`` and ``(?: )``, ``|``, and
``* + ? {n} {n,} {n,m}``. There are no back-references and no look-around, which no linear engine has, and no
flags. A match may lie anywhere in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from moorage.domain.errors import InvalidInput

PATTERN_MAX = 256
INSTRUCTIONS_MAX = 128
REPEAT_MAX = 100
_DEPTH_MAX = 30
# For each expression; 128 expressions are remembered at once.
_REMEMBERED_MAX = 500

Predicate = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class _Consume:
    """Go on if the next character is one of these."""

    takes: Predicate


@dataclass(frozen=True, slots=True)
class _Fork:
    """Go on at any of these places, counted from here, without reading."""

    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Assert:
    """Go on only at that end of the text."""

    at_start: bool


_Instruction = _Consume | _Fork | _Assert
_Program = list[_Instruction]
_JUMP = 1


@dataclass(slots=True)
class Pattern:
    """A compiled expression. ``steps`` counts the instructions that searches have worked off so far."""

    program: tuple[_Instruction, ...]
    steps: int = 0
    _takers: dict[str, int] = field(default_factory=dict)
    _followed: dict[tuple[int, str], int] = field(default_factory=dict)
    _closures: dict[tuple[int, bool, bool], int] = field(default_factory=dict)

    def found_in(self, text: str) -> bool:
        """Whether a match lies anywhere in ``text``."""
        accepting = 1 << len(self.program)
        reached = self._closure(0, at_start=True, at_end=not text)
        last = len(text) - 1
        for index, character in enumerate(text):
            if reached & accepting:
                return True
            if index < last:
                reached = self._follow(reached, character)
            else:
                reached = self._advance(reached, character, at_end=True)
        return bool(reached & accepting)

    def _follow(self, reached: int, character: str) -> int:
        """The places after one more character that is not the last, from memory if it is there."""
        known = self._followed.get((reached, character))
        if known is None:
            known = self._advance(reached, character, at_end=False)
            if len(self._followed) < _REMEMBERED_MAX:
                self._followed[reached, character] = known
        return known

    def _advance(self, reached: int, character: str, *, at_end: bool) -> int:
        going = reached & self._taking(character)
        # A match may begin after any character.
        onward = self._closure(0, at_start=False, at_end=at_end)
        while going:
            lowest = going & -going
            self.steps += 1
            onward |= self._closure(lowest.bit_length(), at_start=False, at_end=at_end)
            going ^= lowest
        return onward

    def _taking(self, character: str) -> int:
        """The instructions that take ``character``."""
        known = self._takers.get(character)
        if known is None:
            self.steps += len(self.program)
            known = sum(
                1 << place
                for place, each in enumerate(self.program)
                if isinstance(each, _Consume) and each.takes(character)
            )
            if len(self._takers) < _REMEMBERED_MAX:
                self._takers[character] = known
        return known

    def _closure(self, start: int, *, at_start: bool, at_end: bool) -> int:
        """All places that are reached from ``start`` without reading."""
        key = (start, at_start, at_end)
        if key not in self._closures:
            self._closures[key] = self._reach(start, at_start=at_start, at_end=at_end)
        return self._closures[key]

    def _reach(self, start: int, *, at_start: bool, at_end: bool) -> int:
        seen, waiting = 0, [start]
        while waiting:
            place = waiting.pop()
            if seen >> place & 1:
                continue
            seen |= 1 << place
            self.steps += 1
            match self.program[place] if place < len(self.program) else None:
                case _Fork(offsets):
                    waiting += [place + offset for offset in offsets]
                case _Assert(needs_start) if at_start if needs_start else at_end:
                    waiting.append(place + _JUMP)
                case _:
                    pass
        return seen


@lru_cache(maxsize=128)
def compile_pattern(text: str) -> Pattern:
    """The expression that ``text`` spells.

    Raises:
        InvalidInput: malformed, longer than 256 characters, over 128 instructions once its repetitions are
            written out, or of a kind that no linear engine has; the message says what and where.
    """
    if len(text) > PATTERN_MAX:
        raise InvalidInput(f"a regular expression has at most {PATTERN_MAX} characters")
    return Pattern(tuple(_Parser(text).parse()))


_DIGITS = frozenset("0123456789")
_WORDS = _DIGITS | frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_SPACES = frozenset(" \t\n\r\f\v")
_CLASSES = {"d": _DIGITS, "w": _WORDS, "s": _SPACES}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r"}
_QUANTIFIERS = frozenset("*+?{")


class _Parser:
    """Reads an expression by recursive descent and writes its program."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def parse(self) -> _Program:
        program = self._alternatives()
        if self._at < len(self._text):
            raise self._error("this ) closes no group")
        return program

    def _alternatives(self) -> _Program:
        """Branches divided by ``|``."""
        program = self._sequence()
        while self._take("|"):
            other = self._sequence()
            program = [
                _Fork((_JUMP, len(program) + 2)),
                *program,
                _Fork((len(other) + 1,)),
                *other,
            ]
            self._bound(program)
        return program

    def _sequence(self) -> _Program:
        program: _Program = []
        while self._peek() not in ("", "|", ")"):
            program += self._repeated()
            self._bound(program)
        return program

    def _repeated(self) -> _Program:
        """One thing, with the quantifier that may follow it."""
        if self._peek() in _QUANTIFIERS:
            raise self._error("there is nothing to repeat here")
        program = self._one()
        if self._peek() not in _QUANTIFIERS:
            return program
        least, most = self._quantifier()
        # Whether as many or as few as possible are taken makes no difference to whether there is a match.
        self._take("?")
        if self._peek() in _QUANTIFIERS:
            raise self._error("a repetition is not repeated; use a group")
        return self._times(program, least, most)

    def _times(self, program: _Program, least: int, most: int | None) -> _Program:
        self._bound_length(len(program) * max(least, most or 0) + 2)
        written = program * least
        if most is None:
            loop = [_Fork((_JUMP, len(program) + 2)), *program, _Fork((-len(program) - 1,))]
            return [*written, *loop]
        for _ in range(most - least):
            written += [_Fork((_JUMP, len(program) + 1)), *program]
        return written

    def _quantifier(self) -> tuple[int, int | None]:
        sign = self._next()
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        least = self._number()
        most: int | None = least
        if self._take(","):
            most = None if self._peek() == "}" else self._number()
        if not self._take("}"):
            raise self._error("a repetition has the form {n}, {n,} or {n,m}")
        if most is not None and most < least:
            raise self._error("a repetition has its smaller number first")
        return least, most

    def _number(self) -> int:
        begin = self._at
        while self._peek() in _DIGITS:
            self._at += 1
        digits = self._text[begin : self._at]
        # Long numbers are not even read.
        if not 1 <= len(digits) <= len(str(REPEAT_MAX)) or int(digits) > REPEAT_MAX:
            raise self._error(f"a repetition has a number of at most {REPEAT_MAX}; a brace itself is \\{{")
        return int(digits)

    def _one(self) -> _Program:
        """A character, a class, an end of the text or a group."""
        sign = self._next()
        match sign:
            case "(":
                return self._group()
            case "[":
                return [_Consume(self._class())]
            case ".":
                return [_Consume(_any)]
            case "^" | "$":
                return [_Assert(sign == "^")]
            case "\\":
                return [_Consume(self._escaped())]
            case _:
                return [_Consume(_among(frozenset(sign)))]

    def _group(self) -> _Program:
        if self._take("?") and not self._take(":"):
            raise self._error("of the groups that begin with (? there is only (?: here")
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise self._error(f"groups stand at most {_DEPTH_MAX} deep")
        program = self._alternatives()
        if not self._take(")"):
            raise self._error("a group is not closed")
        self._depth -= 1
        return program

    def _escaped(self) -> Predicate:
        sign = self._next()
        if sign.lower() in _CLASSES:
            predicate = _among(_CLASSES[sign.lower()])
            return predicate if sign.islower() else _not(predicate)
        return _among(frozenset(self._literal(sign)))

    def _literal(self, sign: str) -> str:
        if sign in _CONTROLS:
            return _CONTROLS[sign]
        if not sign or sign in _WORDS or not sign.isascii():
            raise self._error(
                "there is no such escape here: no back-references, and no classes but \\d \\w \\s"
            )
        return sign

    def _class(self) -> Predicate:
        """What stands between brackets."""
        negated = self._take("^")
        predicates: list[Predicate] = []
        while not predicates or self._peek() != "]":
            predicates.append(self._class_part())
        self._at += 1
        either = _either(predicates)
        return _not(either) if negated else either

    def _class_part(self) -> Predicate:
        sign = self._next()
        if not sign:
            raise self._error("a class is not closed")
        if sign == "[" and self._peek() in (":", "=", "."):
            raise self._error("there are no named classes")
        if sign == "\\":
            sign = self._next()
            if sign.lower() in _CLASSES:
                predicate = _among(_CLASSES[sign.lower()])
                return predicate if sign.islower() else _not(predicate)
            sign = self._literal(sign)
        if self._text[self._at : self._at + 1] == "-" and self._text[self._at + 1 : self._at + 2] not in (
            "]",
            "",
        ):
            self._at += 1
            last = self._next()
            if last == "\\":
                last = self._literal(self._next())
            if last < sign:
                raise self._error("a range begins with the smaller character")
            return _between(sign, last)
        return _among(frozenset(sign))

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        sign = self._peek()
        self._at += 1
        return sign

    def _take(self, sign: str) -> bool:
        if self._peek() != sign:
            return False
        self._at += 1
        return True

    def _bound(self, program: _Program) -> None:
        self._bound_length(len(program))

    def _bound_length(self, length: int) -> None:
        if length > INSTRUCTIONS_MAX:
            raise self._error(f"the regular expression is too large: over {INSTRUCTIONS_MAX} instructions")

    def _error(self, reason: str) -> InvalidInput:
        return InvalidInput(
            f"{reason} (in the regular expression, at character {min(self._at, len(self._text))})"
        )


def _any(_: str) -> bool:
    return True


def _among(characters: frozenset[str]) -> Predicate:
    return characters.__contains__


def _between(first: str, last: str) -> Predicate:
    return lambda character: first <= character <= last


def _not(predicate: Predicate) -> Predicate:
    return lambda character: not predicate(character)


def _either(predicates: Iterable[Predicate]) -> Predicate:
    held = tuple(predicates)
    return lambda character: any(predicate(character) for predicate in held)
