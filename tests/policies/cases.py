"""The cases: every route, with each permission of its kind bound to each kind of principal by each form of target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.policies.table import IMPLIED, NEW, REPOSITORY, ROUTES, Route

ORG = "acme"
DIGEST = f"sha256:{'a' * 64}"
NAMES = {
    "user": "jane@example.com",
    "org": ORG,
    "identity": "worker",
}


@dataclass(frozen=True)
class Principal:
    """Whom a binding names, who calls, and in which groups the caller is."""

    form: str
    bound: str
    caller: str
    groups: tuple[str, ...] = ()

    @property
    def links(self) -> set[str]:
        return {self.caller, *self.groups}


ROBOT, JANE = f"/org/{ORG}/serviceaccount/robot", f"/org/{ORG}/user/jane@example.com"
WORKER = f"/org/{ORG}/gvc/apps/identity/worker"
TEAM = f"/org/{ORG}/group/team"
PRINCIPALS = [
    Principal("user", JANE, JANE),
    Principal("user, short and in other case", "//user/Jane@Example.COM", JANE),
    Principal("service account", ROBOT, ROBOT),
    Principal("identity", "//gvc/apps/identity/worker", WORKER),
    Principal("group of a user", "//group/team", JANE, (TEAM,)),
    Principal("group of a service account", TEAM, ROBOT, (f"/org/{ORG}/group/others", TEAM)),
    Principal(
        "service account of another organisation",
        "/org/other/serviceaccount/robot",
        "/org/other/serviceaccount/robot",
    ),
    Principal(
        "namesake of another organisation", "//serviceaccount/robot", "/org/other/serviceaccount/robot"
    ),
    Principal("namesake of another kind", "//group/robot", ROBOT),
    Principal("group that the caller is not in", "//group/team", JANE, (f"/org/{ORG}/group/others",)),
]


def query(*terms: dict[str, Any], match: str = "all") -> dict[str, Any]:
    return {"targetLinks": [], "targetQuery": {"spec": {"match": match, "terms": list(terms)}}}


def prop(name: str, value: Any, op: str = "=") -> dict[str, Any]:
    return {"op": op, "property": name, "value": value}


def tag(name: str, value: Any, op: str = "=") -> dict[str, Any]:
    return {"op": op, "tag": name, "value": value}


IMAGE_TARGETS: dict[str, dict[str, Any]] = {
    "all": {"target": "all", "targetLinks": []},
    "link": {"targetLinks": ["//image/team/app:v1"]},
    "full link": {"targetLinks": [f"/org/{ORG}/image/team/app:v1"]},
    "encoded link": {"targetLinks": ["//image/other", "//image/team%2Fapp:v1"]},
    "link with pin": {"targetLinks": [f"//image/team/app:v1@{DIGEST}"]},
    "link by digest": {"targetLinks": [f"//image/team/app@{DIGEST}"]},
    "link to another tag": {"targetLinks": ["//image/team/app"]},
    "query repository": query(prop("repository", "team/app")),
    "query another repository": query(prop("repository", "team/apple")),
    "query not another repository": query(prop("repository", "team/apple", "!=")),
    "query like": query(prop("repository", "TEAM/*p", "~")),
    "query name": query(prop("name", "team/app:v1")),
    "query tag": query(prop("repository", "team/app"), prop("tag", "v1")),
    "query not another tag": query(prop("tag", "v2", "!=")),
    "query digest": query(prop("digest", DIGEST)),
    "query metadata": query(prop("repository", "team/app"), tag("env", "prod")),
    "query metadata, other": query(tag("env", "test")),
    "query without metadata": query({"op": "!exists", "tag": "absent"}),
    "query any": query(prop("repository", "team/app"), prop("tag", "v9"), match="any"),
    "query none": query(prop("repository", "other"), match="none"),
    "query none, of records": query(prop("tag", "v9"), match="none"),
    "query or link": {**query(prop("repository", "other")), "targetLinks": ["//image/team/app:v1"]},
}


def other_targets(kind: str) -> dict[str, dict[str, Any]]:
    name = NAMES.get(kind, "thing")
    link = {"org": f"/org/{ORG}", "identity": f"//gvc/apps/identity/{name}"}.get(kind, f"//{kind}/{name}")
    strange = {
        "org": f"/org/{ORG}",
        "identity": f"//gvc/apps/identity/{name}2",
        "user": "//user/x@example.com",
    }
    return {
        "all": {"target": "all"},
        "link": {"targetLinks": [link]},
        # There is one organisation in an organisation, so no link to another one.
        "link to another": query(prop("name", "x"))
        if kind == "org"
        else {"targetLinks": [strange.get(kind, f"//{kind}/things")]},
        "query name": query(prop("name", name)),
        "query metadata": query(tag("env", "prod")),
        "query another": query(prop("name", "thin")),
        "query version": query(prop("version", 1)),
        "query none": query(prop("version", 7), match="none"),
    }


def targets(kind: str) -> dict[str, dict[str, Any]]:
    return IMAGE_TARGETS if kind == "image" else other_targets(kind)


@dataclass(frozen=True)
class Case:
    """A request by somebody, where one policy binds one permission in one form."""

    route: Route
    permission: str
    principal: Principal
    target: str

    @property
    def policy(self) -> dict[str, Any]:
        binding = {"permissions": [self.permission], "principalLinks": [self.principal.bound]}
        kind = self.route.kind
        return {"targetKind": kind, **targets(kind)[self.target], "bindings": [binding]}


def resource(route: Route) -> dict[str, Any]:
    """What the request is about, as far as it is known."""
    tags: dict[str, Any] | None = {"env": "prod"}
    if route.kind == "image":
        known: dict[str, Any] = {"repository": "team/app"}
        if route.level == REPOSITORY:
            tags = None
        else:
            known |= {"name": "team/app:v1", "tag": "v1", "digest": DIGEST, "version": 1}
    else:
        known = {"name": NAMES.get(route.kind, "thing")}
        if route.kind == "identity":
            known["gvc"] = "apps"
        if route.level != NEW:
            known["version"] = 1
    return {"org": ORG, "kind": route.kind, "level": route.level, "properties": known, "tags": tags}


def cases(route: Route) -> Iterator[Case]:
    for permission in IMPLIED[route.kind]:
        for principal in PRINCIPALS:
            for target in targets(route.kind):
                yield Case(route, permission, principal, target)


ALL = [case for route in ROUTES for case in cases(route)]
