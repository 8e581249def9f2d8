"""What only one kind of resource has: its fields, and their canonical form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moorage.domain import policies
from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.errors import InvalidInput
from moorage.domain.immutable_tags import ImmutableTags
from moorage.domain.links import parse_principal
from moorage.domain.principals import parse_resource_name
from moorage.domain.queries import Query
from moorage.domain.resources import Kind
from moorage.domain.trust import parse_trust

MEMBERS_MAX = 200
"""Members that a group names by link."""

_MEMBER_KINDS = (Kind.USER, Kind.SERVICE_ACCOUNT)

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spec:
    """The fields of a kind, and what brings them into canonical form: for an organisation, and with regard to
    what is stored before, if anything is.
    """

    fields: tuple[str, ...]
    parse: Callable[[str, Fields, Fields | None], dict[str, Any]]
    defaults: Fields = field(default_factory=dict)
    """What holds where a record says nothing."""


def _nothing(_: str, __: Fields, before: Fields | None) -> dict[str, Any]:
    return dict(before or {})


def _policy(org: str, fields: Fields, before: Fields | None) -> dict[str, Any]:
    current = None if before is None else Kind(before["targetKind"])
    return policies.validate_policy(org, fields, current)


def _group(org: str, fields: Fields, _: Fields | None) -> dict[str, Any]:
    if fields.get("identityMatcher") is not None:
        raise InvalidInput(
            "identityMatcher is not supported: name members in memberLinks, or choose users with memberQuery"
        )
    links = fields.get("memberLinks")
    if links is not None and not isinstance(links, list):
        raise InvalidInput("memberLinks is a list of links")
    members = list(
        dict.fromkeys(_member(link, org, f"memberLinks[{at}]") for at, link in enumerate(links or []))
    )
    if len(members) > MEMBERS_MAX:
        raise InvalidInput(f"a group has at most {MEMBERS_MAX} memberLinks")
    query = fields.get("memberQuery")
    return {"memberLinks": members, "memberQuery": None if query is None else _member_query(query)}


def _member(value: Any, org: str, where: str) -> str:
    try:
        link = parse_principal(value, org)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error.message}") from None
    if link.kind not in _MEMBER_KINDS:
        raise InvalidInput(f"{where}: members are users and service accounts; a {link.kind} is none")
    if link.org != org:
        raise InvalidInput(f"{where}: members are of the group's own organisation")
    return str(link)


def _member_query(value: Any) -> dict[str, Any]:
    query = Query.parse(value, Kind.USER, "memberQuery")
    if not query.terms:
        raise InvalidInput("memberQuery has no terms; it would make every user a member without saying so")
    return query.to_json()


def _identity(_: str, fields: Fields, __: Fields | None) -> dict[str, Any]:
    parse_trust(fields)
    return {"trust": fields.get("trust") or []}


def _organisation(_: str, fields: Fields, before: Fields | None) -> dict[str, Any]:
    pull = fields.get("identityPull")
    if pull is not None and not isinstance(pull, bool):
        raise InvalidInput("identityPull is true or false")
    return {
        "identityPull": pull is not False,
        "immutableTags": ImmutableTags.parse(fields.get("immutableTags")).to_json(),
        "store": _store(fields.get("store"), before),
    }


def _store(value: Any, before: Fields | None) -> str:
    """The store that an organisation lives in: of one that is there, always the same, for its blobs lie
    there.
    """
    standing: str = DEFAULT_STORE if before is None else before.get("store", DEFAULT_STORE)
    if value is None:
        return standing
    if not isinstance(value, str):
        raise InvalidInput("store is a string")
    if before is not None and value != standing:
        raise InvalidInput(f"store stays {standing}; make another organisation for {value!r:.80}")
    return parse_resource_name(value)


_ORGANISATION_DEFAULTS: Fields = {"identityPull": True, "immutableTags": [], "store": DEFAULT_STORE}

SPECS: Mapping[Kind, Spec] = {
    Kind.POLICY: Spec(policies.SPEC_FIELDS, _policy),
    Kind.ORG: Spec(("identityPull", "immutableTags", "store"), _organisation, _ORGANISATION_DEFAULTS),
    Kind.USER: Spec((), _nothing),
    Kind.GROUP: Spec(("memberLinks", "memberQuery", "identityMatcher"), _group),
    Kind.SERVICE_ACCOUNT: Spec((), _nothing),
    Kind.GVC: Spec((), _nothing),
    Kind.IDENTITY: Spec(("trust",), _identity),
}
