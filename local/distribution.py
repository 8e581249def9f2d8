"""A CloudFront distribution: behaviours, the origins that they lead to, and what these get to see."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNRESERVED_ESCAPE = re.compile(r"%(?:2[DdEe]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff]|7[Ee])")


@dataclass(frozen=True)
class Forwarding:
    """What an origin gets to see of a request, beside what every origin does."""

    headers: frozenset[str] | None = frozenset()
    """Names in lower case; None for all but `host`."""
    query: bool = False
    cookies: bool = False


@dataclass(frozen=True)
class Origin:
    """Where a behaviour's requests go."""

    domain: str
    path: str
    bucket: str | None
    """The bucket behind an origin access control, if it is one."""
    headers: tuple[tuple[str, str], ...]
    """What is set on every request, names in lower case."""
    read_seconds: float
    endpoint: str | None = None
    """The logical id of a web function's endpoint, if it is one. What is neither is the HTTP API."""


@dataclass(frozen=True)
class Caching:
    """How long answers are kept, and what beside the path tells them apart."""

    headers: tuple[str, ...]
    """Names in lower case."""
    least_seconds: float
    default_seconds: float
    """Where the origin does not say how long."""
    most_seconds: float


@dataclass(frozen=True)
class Behavior:
    """What is done with the requests of a path pattern."""

    pattern: str
    origin: Origin
    methods: frozenset[str]
    forwarding: Forwarding
    functions: Mapping[str, str]
    """ARNs by event type."""
    caching: Caching | None = None

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in self.pattern)
        return re.compile("/?" + "".join(parts).removeprefix("/"))

    def matches(self, path: str) -> bool:
        """Whether a path, without its query, is one of this behaviour."""
        return self._expression.fullmatch(_normalised(path)) is not None


@dataclass(frozen=True)
class FunctionDeclaration:
    """An edge function as it is declared."""

    logical_id: str
    code: str
    store_arn: str | None


@dataclass(frozen=True)
class Distribution:
    """Behaviours in the order in which they are tried, the default one last, and functions by ARN."""

    behaviors: Sequence[Behavior]
    functions: Mapping[str, FunctionDeclaration]

    def behavior(self, path: str) -> Behavior:
        """The first behaviour whose pattern matches."""
        return next(behavior for behavior in self.behaviors if behavior.matches(path))


def _normalised(path: str) -> str:
    """The path as patterns see it, by RFC 3986; the origin gets the one that came."""
    decoded = _UNRESERVED_ESCAPE.sub(lambda escape: unquote(escape[0]), path)
    segments: list[str] = []
    for segment in decoded.split("/")[1:]:
        if segment == "..":
            segments = segments[:-1]
        elif segment != ".":
            segments.append(segment)
    if decoded.endswith(("/.", "/..")):
        segments.append("")
    return "/" + "/".join(segments)
