"""What answers look like: resources, lists, results of queries, permissions, keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import JSONResponse

from moorage.domain.documents import links_of, show
from moorage.domain.permissions import implied, permissions_of
from moorage.domain.principals import KeyRecord
from moorage.domain.queries import Fetch, Query
from moorage.domain.query_values import format_instant
from moorage.domain.resources import Kind, ResourceRecord, link_of
from moorage.services.keys import NewKey
from moorage.services.resource_writes import Written

Json = dict[str, Any]

NOTES: Mapping[Kind, str] = {
    Kind.POLICY: "Whoever holds create, edit or manage on policies can give any permission to anybody, "
    "themselves included.",
    Kind.GROUP: "Whoever holds edit or manage on a group can join it, and has what the group has.",
    Kind.SERVICE_ACCOUNT: "Whoever holds addKey or manage on a service account can act as it.",
    Kind.USER: "Whoever holds impersonate or manage on a user can act as it; edit changes the metadata by "
    "which groups may choose their members.",
    Kind.IDENTITY: "Whoever holds create, edit or manage on identities says whose tokens prove to be one, "
    "and any identity pulls every image of the organisation while its identityPull is on.",
}
"""What rights on a kind are worth beyond the resources themselves; access reports say so."""


def link(rel: str, href: str) -> dict[str, str]:
    """An entry of ``links``."""
    return {"rel": rel, "href": href}


def resource(record: ResourceRecord, warnings: Sequence[str] = ()) -> Json:
    """A resource as answers have it."""
    return {**show(record), **_warned(warnings), "links": links_of(record)}


def written(result: Written) -> JSONResponse:
    """The answer to a write: 201 with the place of what is new, else 200."""
    body = resource(result.record, result.warnings)
    if not result.created:
        return JSONResponse(body)
    return JSONResponse(body, 201, {"Location": quote(result.record.link, safe="/:@")})


def listed(kind: Kind, items: Iterable[Json], path: str, following: Mapping[str, str] | None) -> Json:
    """A page of a list at ``path``; ``following`` is what to ask there for the next one."""
    return {
        "kind": "list",
        "itemKind": kind.value,
        "items": list(items),
        "links": paging(path, {}, following),
    }


def query_result(
    query: Query,
    items: Iterable[Json],
    path: str,
    asked: Mapping[str, str],
    following: Mapping[str, str] | None,
) -> Json:
    """A page of what a query selects."""
    return {
        "kind": "queryresult",
        "itemKind": query.kind.value,
        "items": list(items),
        "links": paging(path, asked, following),
        "query": query.to_json(),
    }


def fetched(query: Query, item: Json) -> Json:
    """An item of a query's result: all of it, or where it is, as the query says."""
    if query.fetch is Fetch.ITEMS:
        return item
    return {"kind": item["kind"], "name": item["name"], "links": item["links"]}


def permissions(kind: Kind, org: str) -> Json:
    """The permissions that resources of a kind have."""
    steps = implied(kind)
    return {
        "kind": "permissions",
        "targetKind": kind.value,
        "items": [
            {"name": info.permission.value, "description": info.description} for info in permissions_of(kind)
        ],
        "implied": {name.value: sorted(steps[name]) for name in sorted(steps)},
        "links": [link("org", link_of(Kind.ORG, org, org))],
    }


def memberships(principal: str, policies: Iterable[ResourceRecord]) -> Json:
    """The policies that name a principal."""
    return {
        "kind": "policymembership",
        "policies": [
            {"link": each.link, "description": each.description, "targetKind": each.spec["targetKind"]}
            for each in policies
        ],
        "links": [link("self", f"{principal}/-policies"), link("principal", principal)],
    }


def key(record: KeyRecord) -> Json:
    """A key without its secret."""
    return {
        "name": record.name,
        "description": record.description,
        "created": format_instant(record.created),
        "expires": None if record.expires is None else format_instant(record.expires),
        "lastUsed": None if record.last_used is None else record.last_used.isoformat(),
    }


def new_key(made: NewKey) -> Json:
    """A key with its secret, which is shown this once."""
    return {**key(made.record), "key": made.secret}


def _warned(warnings: Sequence[str]) -> Json:
    return {"warnings": list(warnings)} if warnings else {}


def paging(path: str, asked: Mapping[str, str], following: Mapping[str, str] | None) -> list[dict[str, str]]:
    """The links of the page that ``asked`` gave at ``path``; ``following`` leads to the next one."""
    here = f"{path}?{urlencode(asked)}" if asked else path
    links = [link("self", here)]
    if following is not None:
        links.append(link("next", f"{path}?{urlencode({**asked, **following})}"))
    return links
