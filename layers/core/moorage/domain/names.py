"""Organisations, repositories and tags.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from moorage.domain.digests import Digest
from moorage.domain.errors import NameInvalid, TagInvalid

_ORGANISATION = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])")
_ORGANISATION_MAX = 64
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_IMAGE_MAX = 128
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


def parse_organisation(text: str) -> str:
    """``text``, when it is a well-formed organisation name.

    Raises:
        NameInvalid: it is not.

    """
    if len(text) > _ORGANISATION_MAX or not _ORGANISATION.fullmatch(text):
        raise NameInvalid(
            "an organisation name has 2 to 64 lower-case letters, digits and hyphens and begins with a letter"
        )
    return text


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """One image name of one organisation; the canonical form, whatever host or path a client used."""

    org: str
    image: str

    @classmethod
    def parse(cls, name: str) -> Repository:
        """The repository that ``ORG/IMAGE`` names.

        Raises:
            NameInvalid: outside the grammar, too long, or without an organisation.

        """
        org, slash, image = name.partition("/")
        if not slash:
            raise NameInvalid("a repository name has the form ORGANISATION/IMAGE")
        parse_organisation(org)
        if len(image) > _IMAGE_MAX or not _IMAGE.fullmatch(image):
            raise NameInvalid(
                f"an image name has at most {_IMAGE_MAX} lower-case letters, digits, "
                "separators (. _ __ -) and slashes"
            )
        return cls(org, image)

    @property
    def name(self) -> str:
        """``ORG/IMAGE``."""
        return f"{self.org}/{self.image}"

    def __str__(self) -> str:
        return self.name


def parse_tag(text: str) -> str:
    """``text``, when it is a well-formed tag.

    Raises:
        TagInvalid: it is not.

    """
    if not _TAG.fullmatch(text):
        raise TagInvalid("a tag has 1 to 128 letters, digits, dots, underscores and hyphens")
    return text


def parse_reference(text: str) -> Digest | str:
    """A digest when ``text`` holds a colon, which no tag can, else a tag.

    Raises:
        DigestInvalid: a malformed digest.
        TagInvalid: a malformed tag.

    """
    return Digest.parse(text) if ":" in text else parse_tag(text)
