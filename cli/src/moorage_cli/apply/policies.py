"""What can be said against a policy or a query before the registry is given it."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from moorage_cli.errors import CliError, Misused
from moorage_cli.kinds import ORG
from moorage_cli.links import full_link, is_link_of
from moorage_cli.nouns import Json, checked_name
from moorage_cli.session import Session

_PRINCIPALS = ("user", "group", "serviceaccount", "identity")
_SUBJECTS = ("property", "tag", "rel")


class PolicyChecks:
    """Checks policies against the permissions that a registry has."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._permissions: dict[str, frozenset[str]] = {}

    def problems(self, body: Json) -> Iterator[str]:
        """What is wrong with a policy whose shape is right.

        Raises:
            Misused: there is no kind as the one that it is about.
            CliError: the registry refuses to say, or is not reached.
        """
        kind, org = body["targetKind"], self._session.org
        query = body.get("targetQuery") or {}
        if not (body.get("target") or body.get("targetLinks") or (query.get("spec") or {}).get("terms")):
            yield "it is about nothing: add target: all, targetLinks, or a targetQuery with terms"
        for index, link in enumerate(body.get("targetLinks") or ()):
            if not is_link_of(kind, full_link(org, link)):
                yield f"targetLinks[{index}] {link!r} is no link of kind {kind}"
        permissions = self._permissions_of(kind)
        for index, binding in enumerate(body.get("bindings") or ()):
            yield from _problems_of_binding(org, f"bindings[{index}]", binding, permissions)

    def _permissions_of(self, kind: str) -> frozenset[str]:
        if kind not in self._permissions:
            base = ORG.path(self._session, self._session.org, {})
            path = (
                f"{base}/-schema/permissions"
                if kind == "org"
                else f"{base}/{checked_name(kind)}/-schema/permissions"
            )
            try:
                schema = self._session.api.get(path)
            except CliError as error:
                if error.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
                    raise Misused(f"the targetKind {kind!r} is none: {error.message}") from error
                raise
            self._permissions[kind] = frozenset(each["name"] for each in schema["items"])
        return self._permissions[kind]


def problems_of_query(field: str, query: Any) -> Iterator[str]:
    """What is wrong with a query whose shape is right, in the field of that name."""
    spec = (query or {}).get("spec") or {}
    for index, term in enumerate(spec.get("terms") or ()):
        if sum(term.get(each) is not None for each in _SUBJECTS) != 1:
            yield f"{field}.spec.terms[{index}] is not about exactly one of {', '.join(_SUBJECTS)}"


def _problems_of_binding(org: str, where: str, binding: Json, permissions: frozenset[str]) -> Iterator[str]:
    for field in ("permissions", "principalLinks"):
        if not binding[field]:
            yield f"{where}.{field} is empty"
    for name in binding["permissions"]:
        if name not in permissions:
            yield f"{where} has the permission {name!r}; there are {', '.join(sorted(permissions))}"
    for link in binding["principalLinks"]:
        if not any(is_link_of(kind, full_link(org, link)) for kind in _PRINCIPALS):
            yield f"{where} has {link!r}, which is no link of a principal, such as //group/NAME"
