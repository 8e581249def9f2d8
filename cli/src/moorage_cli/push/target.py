"""Where an image goes: the repository and the tag that a person has written, or that the source knows."""

from __future__ import annotations

import re
from dataclasses import dataclass

from moorage_cli.errors import Misused
from moorage_cli.image_names import is_host
from moorage_cli.push.places import shown

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_NAME_MAX = 128
_DEFAULT_TAG = "latest"
_DIGEST = re.compile(r"sha(?:256|512):[0-9a-f]{64}")
_HUB = ("docker.io/library/", "docker.io/")


@dataclass(frozen=True, slots=True)
class Target:
    """A tag of a repository of an organisation."""

    org: str
    name: str
    tag: str

    @property
    def repository(self) -> str:
        """As paths and scopes have it."""
        return f"{self.org}/{self.name}"

    @property
    def link(self) -> str:
        """Of the image, in the management API."""
        return f"/org/{self.org}/image/{self.name}:{self.tag}"

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


def parse_target(text: str, org: str) -> Target:
    """What ``NAME[:TAG]`` means for an organisation; a link such as ``//image/NAME:TAG`` is the same. Without
    a tag it is ``latest``.

    Raises:
        Misused: it can be no name.
    """
    written = text.removeprefix("//image/").removeprefix(f"/org/{org}/image/")
    if "@" in written:
        raise Misused(f"{text!r} has a digest", "an image is pushed under a tag: write NAME:TAG")
    name, colon, tag = written.partition(":")
    if not _NAME.fullmatch(name) or len(name) > _NAME_MAX:
        raise Misused(
            f"{shown(name)!r} cannot be the name of an image",
            "take lower-case letters and digits, with single dots, hyphens, underscores and slashes between",
        )
    if colon and not _TAG.fullmatch(tag):
        raise Misused(
            f"{shown(tag)!r} cannot be a tag", "take up to 128 letters, digits, dots, hyphens, underscores"
        )
    return Target(org, name, tag or _DEFAULT_TAG)


def suggested(reference: str, org: str) -> str | None:
    """``NAME[:TAG]`` of an image that is called ``reference`` elsewhere; None if that names no repository."""
    written = reference.partition("@")[0]
    if _DIGEST.match(written) or ("/" not in written and ":" not in written):
        return None
    for prefix in _HUB:
        written = written.removeprefix(prefix)
    first, slash, rest = written.partition("/")
    if slash and is_host(first):
        written = rest
    return written.removeprefix(f"{org}/")
