"""What a policy speaks about, and the resources as policies see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from moorage.domain.digests import Digest
from moorage.domain.errors import InvalidInput
from moorage.domain.links import ImageReference, parse_target
from moorage.domain.names import Repository
from moorage.domain.queries import Query
from moorage.domain.query_terms import Subject, Truth
from moorage.domain.query_values import Held
from moorage.domain.resources import Kind, ResourceRecord, Scalar, link_of

LINKS_MAX = 200
UNKNOWN_BEFORE_CREATION = ("id", "version", "created", "lastModified")
"""Properties of a resource that is not stored yet which nobody knows."""

ALL = "all"


@dataclass(frozen=True, slots=True)
class Resource:
    """What a decision is about: its kind and organisation, the links that name it, and what queries see.

    ``repository`` is set for images, and for a repository as a whole, which no link names.
    """

    kind: Kind
    org: str
    subject: Subject
    links: frozenset[str] = frozenset()
    repository: Repository | None = None

    @classmethod
    def of_repository(cls, repository: Repository) -> Resource:
        """The images of a repository as a push, a pull or a delete through ``/v2`` means them, whether it
        exists or not: of each of them only the property ``repository`` is known.
        """
        known = Subject({"repository": repository.image}, tags=None, rels=None, partial=True)
        return cls(Kind.IMAGE, repository.org, known, repository=repository)

    @classmethod
    def of_image(
        cls,
        repository: Repository,
        tag: str,
        digest: Digest,
        properties: Mapping[str, Held],
        tags: Mapping[str, Scalar],
    ) -> Resource:
        """The record of one image. ``properties`` are those of ``queries.PROPERTIES`` that the record has
        besides name, repository, tag and digest; ``tags`` its metadata.
        """
        pins = (ImageReference(repository, tag), ImageReference(repository, tag, digest))
        name = pins[0].name
        own = {"name": name, "repository": repository.image, "tag": tag, "digest": str(digest)}
        links = frozenset(pin.link for pin in (*pins, ImageReference(repository, None, digest)))
        return cls(Kind.IMAGE, repository.org, Subject({**properties, **own}, tags), links, repository)

    @classmethod
    def of_record(cls, record: ResourceRecord, *, stored: bool = True) -> Resource:
        """A resource of the management side; not ``stored`` yet, its id, version and times are unknown.

        Of ``record.spec`` those entries are properties that ``queries.PROPERTIES`` names.
        """
        properties: dict[str, Held] = {
            **{key: record.spec[key] for key in _SPEC_PROPERTIES if record.spec.get(key) is not None},
            "name": record.own,
            "description": record.description,
            "origin": record.origin.value,
        }
        if record.kind is Kind.IDENTITY:
            properties["gvc"] = record.gvc
        if record.kind is Kind.USER:
            properties["email"] = record.name
        if stored:
            properties |= {
                "id": record.id,
                "version": record.version,
                "created": record.created,
                "lastModified": record.last_modified,
            }
        rels = {"self": [record.link], "org": [link_of(Kind.ORG, record.org, record.org)]}
        subject = Subject(properties, record.tags, rels, partial=not stored)
        return cls(record.kind, record.org, subject, frozenset({record.link}))


_SPEC_PROPERTIES = ("targetKind", "target")


class Selection(StrEnum):
    """How a policy selects a resource: the most general way that does."""

    ALL = "all"
    QUERY = "query"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Target:
    """Which resources of its kind and organisation a policy speaks about: the union of three ways."""

    everything: bool = False
    links: frozenset[str] = frozenset()
    query: Query | None = None

    def selection(self, resource: Resource) -> Selection | None:
        """How this selects ``resource``, of which kind and organisation are right already; None if it does
        not, or not for certain.
        """
        if self.everything:
            return Selection.ALL
        if self._asked(resource) is True:
            return Selection.QUERY
        if not self.links.isdisjoint(resource.links):
            return Selection.LINK
        return None

    @property
    def expressions(self) -> int:
        """How many regular expressions ``selection`` looks at, at most."""
        return 0 if self.everything or self.query is None else self.query.expressions

    @property
    def effort(self) -> int:
        """How much work ``selection`` is at most, in comparisons of two values."""
        return 1 + (0 if self.everything or self.query is None else self.query.effort)

    def rests_on_record(self, resource: Resource) -> bool:
        """Whether the query selects ``resource`` or not by what only the record of one image tells."""
        return self._asked(resource) is None

    def names_image_of(self, repository: Repository) -> bool:
        """Whether a link names a single image of ``repository``."""
        prefix = link_of(Kind.IMAGE, repository.org, repository.image)
        return any(link.startswith((f"{prefix}:", f"{prefix}@")) for link in self.links)

    def _asked(self, resource: Resource) -> Truth:
        return False if self.query is None else self.query.evaluate(resource.subject)


def parse_target_fields(fields: Mapping[str, Any], kind: Kind, org: str) -> tuple[Target, dict[str, Any]]:
    """The target that ``target``, ``targetLinks`` and ``targetQuery`` of a policy say, and these fields in
    canonical form.

    Raises:
        InvalidInput: malformed, more than 200 links, or nothing that selects anything. A query without terms
            is refused, too: it means everything without saying so.
    """
    everything = fields.get("target")
    if everything not in (None, "", ALL):
        raise InvalidInput(f"target is {ALL!r} or absent")
    links = _links(fields.get("targetLinks"), kind, org)
    query = fields.get("targetQuery")
    parsed = None if query is None else Query.parse(query, kind, "targetQuery")
    if parsed is not None and not parsed.terms:
        raise InvalidInput(f"targetQuery has no terms; to select everything, say target: {ALL}")
    if not (everything or links or parsed):
        raise InvalidInput(
            f"the policy selects nothing: it needs target: {ALL}, targetLinks or a targetQuery with terms"
        )
    canonical: dict[str, Any] = {"targetLinks": list(links)}
    if everything:
        canonical["target"] = ALL
    if parsed:
        canonical["targetQuery"] = parsed.to_json()
    return Target(bool(everything), frozenset(links), parsed), canonical


def read_target(spec: Mapping[str, Any], kind: Kind) -> Target:
    """The target in a stored policy, whose fields are canonical."""
    query = spec.get("targetQuery")
    return Target(
        spec.get("target") == ALL,
        frozenset(spec.get("targetLinks", ())),
        None if query is None else Query.parse(query, kind, "targetQuery"),
    )


def _links(value: Any, kind: Kind, org: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise InvalidInput("targetLinks is a list of links")
    if len(value) > LINKS_MAX:
        raise InvalidInput(f"a policy has at most {LINKS_MAX} targetLinks")
    # Each once, in the order in which they came.
    return tuple(dict.fromkeys(str(parse_target(kind, each, org)) for each in value))
