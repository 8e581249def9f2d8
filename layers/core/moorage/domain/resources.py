"""Resources of the management side: their kinds, what all of them have in common, and how that is checked."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from moorage.domain.errors import InvalidInput, ResourceProtected
from moorage.domain.principals import parse_email, parse_resource_name

DESCRIPTION_MAX = 250
TAGS_MAX = 50
TAG_KEY_MAX = 128
TAG_VALUE_MAX = 256
# The integers that every JSON reader keeps exactly.
NUMBER_MAX = 2**53 - 1

Scalar = str | bool | int | float

_PROTECTED = "protected"


class Kind(StrEnum):
    """What a resource can be. The order is that of the documentation."""

    IMAGE = "image"
    POLICY = "policy"
    ORG = "org"
    USER = "user"
    GROUP = "group"
    SERVICE_ACCOUNT = "serviceaccount"
    GVC = "gvc"
    IDENTITY = "identity"
    AUDIT_CONTEXT = "auditctx"
    QUOTA = "quota"

    @classmethod
    def parse(cls, value: Any, where: str = "kind") -> Kind:
        """The kind of that exact name; ``where`` says in the message which field it stood in.

        Raises:
            InvalidInput: it is none.
        """
        if isinstance(value, str) and value in _KIND_NAMES:
            return cls(value)
        raise InvalidInput(f"{where} is one of {', '.join(cls)}")


_KIND_NAMES = frozenset(kind.value for kind in Kind)


class Origin(StrEnum):
    """Who made a resource: somebody, or the registry itself, which then keeps it locked."""

    DEFAULT = "default"
    BUILT_IN = "builtin"


@dataclass(frozen=True, slots=True)
class ResourceRecord:
    """A resource as it is stored. ``spec`` holds what only its kind has, JSON values in canonical form.

    The name of an identity is ``GVC/NAME``, that of an organisation the organisation's own.
    """

    kind: Kind
    org: str
    name: str
    id: str
    version: int
    created: datetime
    last_modified: datetime
    description: str = ""
    tags: Mapping[str, Scalar] = field(default_factory=dict)
    origin: Origin = Origin.DEFAULT
    spec: Mapping[str, Any] = field(default_factory=dict)

    @property
    def link(self) -> str:
        """``/org/ORG/KIND/NAME``: how everything else names this resource."""
        return link_of(self.kind, self.org, self.name)

    @property
    def own(self) -> str:
        """What answers have as ``name``: that of an identity without its group of workloads."""
        return split_name(self.kind, self.name)[1]

    @property
    def gvc(self) -> str:
        """The group of workloads that an identity belongs to; empty for everything else."""
        return split_name(self.kind, self.name)[0]


def link_of(kind: Kind, org: str, name: str) -> str:
    """The full link of a resource; the parts are taken as they are."""
    if kind is Kind.ORG:
        return f"/org/{org}"
    if kind is Kind.IDENTITY:
        gvc, identity = split_name(kind, name)
        return f"/org/{org}/gvc/{gvc}/identity/{identity}"
    return f"/org/{org}/{kind}/{name}"


def split_name(kind: Kind, name: str) -> tuple[str, str]:
    """The group of workloads in a name, which is empty but for identities, and the rest of it."""
    if kind is not Kind.IDENTITY:
        return "", name
    gvc, _, own = name.partition("/")
    return gvc, own


def parse_name(kind: Kind, value: Any) -> str:
    """``value``, when it may name a resource of ``kind``; an e-mail address in its canonical form.

    Images are not made under a name, and have a grammar of their own: see ``links.ImageReference``.

    Raises:
        InvalidInput: it is no string.
        NameInvalid: it is outside the grammar.
    """
    if not isinstance(value, str):
        raise InvalidInput("name is a string")
    if kind is Kind.USER:
        return parse_email(value)
    if kind is Kind.IDENTITY:
        gvc, slash, identity = value.partition("/")
        if not slash:
            raise InvalidInput("the name of an identity has the form GVC/NAME")
        return f"{parse_resource_name(gvc)}/{parse_resource_name(identity)}"
    return parse_resource_name(value)


def parse_description(value: Any) -> str:
    """``value`` as a description; ``None`` is none.

    Raises:
        InvalidInput: no string, longer than 250 characters, or with control characters.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput("description is a string")
    if len(value) > DESCRIPTION_MAX:
        raise InvalidInput(f"a description has at most {DESCRIPTION_MAX} characters")
    if has_controls(value.replace("\n", " ")):
        raise InvalidInput("a description has no control characters but line ends")
    return value


def parse_tags(value: Any) -> dict[str, Scalar]:
    """``value`` as metadata: names with a string, number or boolean each; ``None`` is none.

    Raises:
        InvalidInput: something else, too many (50), or a name or value that is too long (128, 256).
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput("tags is an object of names and values")
    if len(value) > TAGS_MAX:
        raise InvalidInput(f"a resource has at most {TAGS_MAX} tags")
    return {parse_tag_key(key): _tag_value(key, each) for key, each in value.items()}


def parse_tag_key(key: Any) -> str:
    """``key``, when it may name a tag of metadata.

    Names that only look alike are kept apart by refusing all but the composed form (NFC) and invisible
    characters.

    Raises:
        InvalidInput: it may not.
    """
    if not isinstance(key, str) or not 1 <= len(key) <= TAG_KEY_MAX:
        raise InvalidInput(f"the name of a tag has 1 to {TAG_KEY_MAX} characters")
    if has_controls(key) or key != key.strip() or not unicodedata.is_normalized("NFC", key):
        raise InvalidInput(
            "the name of a tag has no control or invisible characters and no space at its ends, "
            "and letters with accents are single characters (NFC)"
        )
    return key


def _tag_value(key: str, value: Any) -> Scalar:
    scalar = parse_scalar(value, f"the tag {key!r}")
    if isinstance(scalar, str) and (len(scalar) > TAG_VALUE_MAX or has_controls(scalar)):
        raise InvalidInput(
            f"the tag {key!r} has a value of over {TAG_VALUE_MAX} characters, or control characters in it"
        )
    return scalar


def parse_scalar(value: Any, where: str) -> Scalar:
    """``value``, when it is a string, a boolean, or a finite number that JSON readers keep exactly.

    Raises:
        InvalidInput: it is something else; the message begins with ``where``.
    """
    if isinstance(value, str | bool):
        return value
    # Written so that NaN fails, too.
    if isinstance(value, int | float) and -NUMBER_MAX <= value <= NUMBER_MAX:
        return value
    raise InvalidInput(f"{where} has a string, a boolean, or a number of at most {NUMBER_MAX} as value")


def has_controls(text: str) -> bool:
    """Whether control, format, surrogate, private or unassigned characters are in ``text``."""
    return any(unicodedata.category(each)[0] == "C" for each in text)


def is_protected(tags: Mapping[str, Scalar]) -> bool:
    """Whether metadata keeps a resource from being deleted: ``protected`` or ``PREFIX/protected`` is true."""
    return any(
        (key == _PROTECTED or key.endswith(f"/{_PROTECTED}")) and (value is True or value == "true")
        for key, value in tags.items()
    )


def require_unprotected(tags: Mapping[str, Scalar], what: str = "it") -> None:
    """Refuse the deletion of what its metadata protects; the message calls it ``what``.

    Raises:
        ResourceProtected: it does.
    """
    if is_protected(tags):
        raise ResourceProtected(f"{what} is protected from deletion; remove its metadata tag protected first")


def reject_unknown(fields: Iterable[Any], known: Iterable[str], where: str) -> None:
    """Refuse what is no field of ``where``.

    Raises:
        InvalidInput: it names the fields that are unknown, and those that are known.
    """
    allowed = list(known)
    unknown = [each for each in fields if each not in allowed]
    if unknown:
        shown = ", ".join(repr(each)[:60] for each in unknown[:3])
        raise InvalidInput(f"{where} has no field {shown}; it has {', '.join(allowed)}")
