"""Tags that stay where they are: rules of an organisation, by patterns of repositories and tags.

In a pattern ``*`` stands for any characters, slashes included, and ``?`` for one; everything else is itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.domain.errors import InvalidInput
from moorage.domain.resources import reject_unknown

RULES_MAX = 50
TAG_PATTERNS_MAX = 50
PATTERN_MAX = 128
# What names and tags are made of, and the two signs: no brackets, which would look like a class.
_PATTERN = re.compile(rf"[a-zA-Z0-9._/*?-]{{1,{PATTERN_MAX}}}")


@dataclass(frozen=True, slots=True)
class ImmutableTags:
    """The rules of one organisation."""

    rules: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def parse(cls, value: Any) -> ImmutableTags:
        """The rules that ``[{"repository": PATTERN, "tags": [PATTERN, ...]}]`` says; ``None`` is none.

        Raises:
            InvalidInput: something else, more than 50 rules or 50 patterns of tags in one, or a pattern that
                is longer than 128 characters or has others than names have.
        """
        if value is None:
            return cls()
        if not isinstance(value, list | tuple) or len(value) > RULES_MAX:
            raise InvalidInput(f"immutableTags is a list of at most {RULES_MAX} rules")
        return cls(tuple(_rule(each, f"immutableTags[{index}]") for index, each in enumerate(value)))

    def to_json(self) -> list[dict[str, Any]]:
        """The rules as they are stored and answered."""
        return [{"repository": repository, "tags": list(tags)} for repository, tags in self.rules]

    def is_immutable(self, repository: str, tag: str) -> bool:
        """Whether ``tag`` of the image name ``repository`` may not be moved once it exists."""
        return any(
            is_glob_match(name, repository) and any(is_glob_match(each, tag) for each in tags)
            for name, tags in self.rules
        )


def is_glob_match(pattern: str, text: str) -> bool:
    """Whether ``pattern`` describes the whole of ``text``.

    Only the latest asterisk is ever tried again, one character further on each time: an earlier one could
    give nothing that the latest cannot. So it takes at most ``len(pattern) * len(text)`` comparisons or so.
    """
    at = place = 0
    asterisk, resumed = -1, 0
    while at < len(text):
        sign = pattern[place : place + 1]
        if sign == "*":
            asterisk, resumed = place, at
            place += 1
        elif sign in ("?", text[at]):
            place, at = place + 1, at + 1
        elif asterisk >= 0:
            resumed += 1
            place, at = asterisk + 1, resumed
        else:
            return False
    return not pattern[place:].strip("*")


def _rule(value: Any, where: str) -> tuple[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{where} is an object with repository and tags")
    reject_unknown(value, ("repository", "tags"), where)
    tags = value.get("tags")
    if not isinstance(tags, list | tuple) or not 1 <= len(tags) <= TAG_PATTERNS_MAX:
        raise InvalidInput(f"{where}.tags is a list of 1 to {TAG_PATTERNS_MAX} patterns")
    return (
        _pattern(value.get("repository"), f"{where}.repository"),
        tuple(_pattern(each, f"{where}.tags[{index}]") for index, each in enumerate(tags)),
    )


def _pattern(value: Any, where: str) -> str:
    if not isinstance(value, str) or not _PATTERN.fullmatch(value):
        raise InvalidInput(
            f"{where} is a pattern of 1 to {PATTERN_MAX} letters, digits, and characters of . _ / - * ?"
        )
    return value
