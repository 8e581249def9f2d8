"""Resources as clients write and read them: which fields there are, and which of them may be written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from moorage.domain.errors import InvalidInput, VersionMismatch
from moorage.domain.links import parse_link
from moorage.domain.patches import DROP, PATCH, apply_patch
from moorage.domain.query_values import format_instant
from moorage.domain.resources import (
    Kind,
    ResourceRecord,
    Scalar,
    link_of,
    parse_description,
    parse_tags,
    reject_unknown,
)
from moorage.domain.specs import SPECS

READ_ONLY = frozenset(
    {
        *("kind", "id", "version", "created", "lastModified", "links", "origin", "warnings"),
        *("alias", "gvc", "org", "status", "email", "idp", "keys"),
    }
)
"""Fields that an answer may have and a request may repeat: they are ignored there, but that ``version`` and
``id`` say of which state of the resource a change was made."""

_COMMON = ("description", "tags")
_PATCH_OF_KEYS = f"{PATCH}keys"
_DROPS_OF_LINKS = (f"{DROP}memberLinks", f"{DROP}targetLinks")


@dataclass(frozen=True, slots=True)
class Lock:
    """The state of a resource that a change was made from, as far as the client says."""

    version: int | None = None
    id: str | None = None

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Lock:
        """The lock in a request's body.

        Raises:
            InvalidInput: a version or an id of the wrong type.
        """
        version, identifier = content.get("version"), content.get("id")
        if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
            raise InvalidInput("version is a whole number")
        if identifier is not None and not isinstance(identifier, str):
            raise InvalidInput("id is a string")
        return cls(version, identifier)

    def check(self, identifier: str, version: int) -> None:
        """Refuse a change that was made from another state than the present one.

        Raises:
            VersionMismatch: it was.
        """
        if self.id not in (None, identifier):
            raise VersionMismatch("the resource was deleted and made again; read it and repeat the change")
        if self.version not in (None, version):
            raise VersionMismatch(
                f"the resource has version {version} by now; read it and repeat the change",
                detail={"version": version},
            )


@dataclass(frozen=True, slots=True)
class Document:
    """What may be written of a resource, in canonical form."""

    description: str
    tags: Mapping[str, Scalar]
    spec: Mapping[str, Any]

    @classmethod
    def parse(
        cls, kind: Kind, org: str, content: Mapping[str, Any], before: ResourceRecord | None = None
    ) -> Document:
        """The document in a request's body, to be written into ``before`` if that is there; the name and the
        fields that are only read are left to the caller.

        Raises:
            InvalidInput: an unknown field, or a value that its field does not take.
        """
        spec = SPECS[kind]
        fields = writable(content)
        reject_unknown(fields, ("name", *_COMMON, *spec.fields), f"a resource of kind {kind}")
        return cls(
            parse_description(fields.get("description")),
            parse_tags(fields.get("tags")),
            spec.parse(org, fields, None if before is None else before.spec),
        )

    @classmethod
    def of(cls, record: ResourceRecord) -> Document:
        """What is written in a record."""
        return cls(record.description, record.tags, spec_of(record))

    @classmethod
    def patched(cls, record: ResourceRecord, patch: Mapping[str, Any]) -> Document:
        """The document in a record after a patch.

        Raises:
            InvalidInput: the patch cannot be applied, or what comes out is no such document.
        """
        if _PATCH_OF_KEYS in patch:
            raise InvalidInput(f"a key is not changed: end it with {DROP}keys, and make another")
        own = {key: value for key, value in spec_of(record).items() if key in SPECS[record.kind].fields}
        before = {"description": record.description, "tags": record.tags, **own}
        changes = _with_full_links(record.org, writable(patch))
        return cls.parse(record.kind, record.org, apply_patch(before, changes), record)

    def changes(self, record: ResourceRecord) -> bool:
        """Whether a record would differ after this was written into it."""
        return _text(self) != _text(Document.of(record))

    def written_into(self, record: ResourceRecord, now: datetime) -> ResourceRecord:
        """The record with this in it, one version on."""
        return replace(
            record,
            version=record.version + 1,
            last_modified=now,
            description=self.description,
            tags=self.tags,
            spec=self.spec,
        )


def _with_full_links(org: str, patch: Mapping[str, Any]) -> dict[str, Any]:
    """``patch`` with the links that it drops in full form, in which they are stored."""
    return {
        key: [str(parse_link(each, org)) for each in change]
        if key in _DROPS_OF_LINKS and isinstance(change, list)
        else change
        for key, change in patch.items()
    }


def _text(document: Document) -> str:
    # As text, for to Python 1 is True.
    return json.dumps([document.description, dict(document.tags), dict(document.spec)], sort_keys=True)


def writable(content: Mapping[str, Any]) -> dict[str, Any]:
    """``content`` without the fields that are only read."""
    return {key: value for key, value in content.items() if key not in READ_ONLY}


def show(record: ResourceRecord) -> dict[str, Any]:
    """A record as answers have it, without its links."""
    place: dict[str, Any] = {}
    if record.kind is Kind.IDENTITY:
        place["gvc"] = record.gvc
    if record.kind is Kind.USER:
        place["email"] = record.name
    return {
        "kind": record.kind.value,
        "id": record.id,
        "name": record.own,
        **place,
        "version": record.version,
        "description": record.description,
        "tags": dict(record.tags),
        "origin": record.origin.value,
        "created": format_instant(record.created),
        "lastModified": format_instant(record.last_modified),
        **spec_of(record),
    }


def spec_of(record: ResourceRecord) -> dict[str, Any]:
    """What only its kind has, with the defaults written out."""
    return {**SPECS[record.kind].defaults, **record.spec}


def links_of(record: ResourceRecord) -> list[dict[str, str]]:
    """Where a record is, and what it belongs to."""
    links = [{"rel": "self", "href": record.link}, {"rel": "org", "href": link_of(Kind.ORG, record.org, "")}]
    if record.kind is Kind.IDENTITY:
        links.append({"rel": "gvc", "href": link_of(Kind.GVC, record.org, record.gvc)})
    return links
