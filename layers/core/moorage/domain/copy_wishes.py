"""What somebody asks for who wants images copied."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.domain.errors import InvalidInput, RegistryError
from moorage.domain.immutable_tags import PATTERN_MAX, is_glob_match
from moorage.domain.links import ImageReference
from moorage.domain.manifests import compact_json
from moorage.domain.names import Repository, parse_organisation, parse_tag
from moorage.domain.resources import reject_unknown

KEY_MAX = 128
"""Characters of an idempotency key, at most."""

ALL_TAGS = "*"
"""The pattern that every tag matches."""

_FIELDS = (
    "destinationOrg",
    "destinationName",
    "destinationTag",
    "referrers",
    "replaceTag",
    "allTags",
    "tagPattern",
)
# What tags are made of, and the two signs.
_PATTERN = re.compile(rf"[a-zA-Z0-9._*?-]{{1,{PATTERN_MAX}}}")
_KEY = re.compile(rf"[!-~]{{1,{KEY_MAX}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CopyWish:
    """Where to copy to, and what. The names at the destination are those at the source unless they are given.

    ``tag_pattern`` asks for all tags of the repository that match; in a pattern ``*`` stands for any
    characters and ``?`` for one.
    """

    destination_org: str
    destination_name: str | None = None
    destination_tag: str | None = None
    referrers: bool = True
    replace_tag: bool = False
    tag_pattern: str | None = None

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> CopyWish:
        """The wish that the JSON object ``body`` says; a null is an absent field.

        Raises:
            InvalidInput: an unknown field, one of the wrong type, or several that exclude each other
                (``NameInvalid``, ``TagInvalid``: a malformed name).
        """
        reject_unknown(body, _FIELDS, "a copy")
        org, name, tag = (_text(body, field) for field in _FIELDS[:3])
        if org is None:
            raise InvalidInput("destinationOrg names the organisation to copy to, and is required")
        pattern, everything = _text(body, "tagPattern"), _flag(body, "allTags", default=False)
        if everything and pattern is not None:
            raise InvalidInput("allTags copies every tag, tagPattern those that match: give one of them")
        if pattern is not None and not _PATTERN.fullmatch(pattern):
            raise InvalidInput(
                f"tagPattern has 1 to {PATTERN_MAX} letters, digits, and characters of . _ - * ?"
            )
        if tag is not None and (everything or pattern is not None):
            raise InvalidInput("destinationTag is for the copy of one image; many tags keep their names")
        parse_organisation(org)
        return cls(
            org,
            None if name is None else Repository.parse(f"{org}/{name}").image,
            None if tag is None else parse_tag(tag),
            _flag(body, "referrers", default=True),
            _flag(body, "replaceTag", default=False),
            ALL_TAGS if everything else pattern,
        )

    def source(self, org: str, text: str) -> ImageReference:
        """The image that ``text`` names in ``org``; where the wish is for many tags, the repository: a
        reference without tag and digest.

        Raises:
            InvalidInput: malformed, or the wish is for many tags and the text names one image.
        """
        if self.tag_pattern is None:
            return ImageReference.parse(org, text)
        try:
            return ImageReference(Repository.parse(f"{org}/{text}"), None)
        except RegistryError:
            raise InvalidInput(
                "with allTags or tagPattern the path has the NAME of a repository, without tag and digest"
            ) from None

    def destination(self, source: Repository) -> Repository:
        """The repository to copy to."""
        return Repository(self.destination_org, self.destination_name or source.image)

    def selects(self, tag: str) -> bool:
        """Whether a copy of many tags copies ``tag``."""
        return self.tag_pattern is not None and is_glob_match(self.tag_pattern, tag)

    def fingerprint(self, source: ImageReference) -> str:
        """SHA-256, in hexadecimal, of all that is asked for: the same for the same request only."""
        destination = self.destination(source.repository)
        asked = [
            source.link,
            destination.name,
            self.destination_tag or source.tag,
            self.referrers,
            self.replace_tag,
            self.tag_pattern,
        ]
        return hashlib.sha256(compact_json(asked)).hexdigest()


def parse_idempotency_key(text: str) -> str:
    """``text``, when it may be the key by which a request is known when it comes again.

    Raises:
        InvalidInput: it may not.
    """
    if not _KEY.fullmatch(text):
        raise InvalidInput(
            f"an idempotency key has 1 to {KEY_MAX} visible ASCII characters, and no space among them"
        )
    return text


def _text(body: Mapping[str, Any], field: str) -> str | None:
    value = body.get(field)
    if value is not None and not isinstance(value, str):
        raise InvalidInput(f"{field} is a string")
    return value


def _flag(body: Mapping[str, Any], field: str, *, default: bool) -> bool:
    value = body.get(field)
    if value is not None and not isinstance(value, bool):
        raise InvalidInput(f"{field} is true or false")
    return default if value is None else value
