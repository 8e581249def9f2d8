"""Every route takes the permission that the table says: with it one may, with what does not imply it one may not.

The routes are held to those of the application in ``tests/policies/test_routes.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.policies.oracle import implies
from tests.policies.table import (
    DROPPING,
    FOR_NOBODY,
    FOR_READERS_OF_POLICIES,
    FREE,
    IMPLIED,
    MANAGEMENT,
    NEW,
    Route,
)
from tests.protocol.management.test_refusals import NAMES, arrange_things, at, body_of
from tests.protocol.management.world import Management
from tests.unit.token_issuer import TokenIssuer

ADMIN = "demo/admin"
ROBOT = "/org/demo/serviceaccount/robot"
CLUSTER = TokenIssuer("https://issuer.example.com/cluster")
TRUST = [{"issuer": CLUSTER.url, "claims": {"sub": "system:serviceaccount:shop:web"}}]

by_route = pytest.mark.parametrize("route", MANAGEMENT, ids=lambda route: route.name)
REPORTS = [route for route in MANAGEMENT if route.policies and route.kind != "policy"]


@pytest.fixture(autouse=True)
def _things(management: Management) -> None:
    """Something of every kind, with a key that can be dropped; and identities are given nothing for free."""
    arrange_things(management)
    for owner in ("serviceaccount/thing", f"user/{NAMES['email']}"):
        key = {"description": "to be dropped", "name": "spare"}
        management.ok(ADMIN, "POST", f"/org/demo/{owner}/-addKey", key)
    management.ok(ADMIN, "PATCH", "/org/demo", {"identityPull": False})


def content(route: Route) -> dict[str, object] | None:
    """A body with which nothing but a refusal can be in the way."""
    if route.variant == DROPPING:
        return {"$drop/keys": ["spare"]}
    if route.path.endswith("-invite"):
        return {"emails": ["fresh@example.com"]}
    body = body_of(route.method, route.path)
    if route.method == "PATCH":
        return {"tags": {"seen": True}}
    if body is not None and "name" in body:
        body["name"] = name_of(route)
    return body


def call(management: Management, who: str, route: Route) -> bool:
    """Whether somebody may: what is refused is refused in one way, and lists just leave out what it is."""
    path = at(route.path) + ("?force=true" if (route.method, route.path) == ("DELETE", "/org/{org}") else "")
    response = management.call(who, route.method, path, content(route))
    if response.status_code == 403:
        refusal = response.json()
        assert refusal["code"] == "Denied"
        assert route.needs in refusal["message"].split()
        return False
    assert response.status_code in (200, 201, 202, 204), response.text
    answer = response.json() if response.content else {}
    if answer.get("kind") in ("list", "queryresult", "imagesummary"):
        return bool(answer.get("items", answer.get("repositories")))
    return True


def name_of(route: Route) -> str:
    """The property `name` of what a route is about."""
    if route.level == NEW:
        return "fresh@example.com" if route.kind == "user" else "fresh"
    return {"org": "demo", "user": NAMES["email"], "image": "thing:latest"}.get(route.kind, "thing")


def link_to(kind: str, name: str) -> str:
    return {"org": "/org/demo", "identity": f"//gvc/apps/identity/{name}"}.get(kind, f"//{kind}/{name}")


def named(name: str) -> dict[str, Any]:
    terms = [{"op": "=", "property": "name", "value": name}]
    return {"targetLinks": [], "targetQuery": {"spec": {"match": "all", "terms": terms}}}


def give(management: Management, route: Route, principal: str, permission: str, **target: Any) -> None:
    """A policy with one permission, and for reports another one to read policies with."""
    management.policy("given", route.kind, principal, permission, **target)
    if route in REPORTS:
        management.policy("reading", "policy", principal, "view")


@pytest.mark.parametrize(
    ("route", "permission"),
    [(route, permission) for route in MANAGEMENT for permission in IMPLIED[route.kind]],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_route_is_open_to_exactly_the_permissions_that_imply_its_own(
    management: Management, route: Route, permission: str
) -> None:
    management.account("demo", "robot")
    give(management, route, ROBOT, permission)
    assert call(management, "demo/robot", route) == implies(route.kind, permission, route.needs)


@pytest.mark.parametrize("permission", IMPLIED["policy"])
@pytest.mark.parametrize("route", REPORTS, ids=lambda route: route.name)
def test_report_takes_a_view_of_the_policies_too(
    management: Management, route: Route, permission: str
) -> None:
    management.account("demo", "robot")
    management.policy("given", route.kind, ROBOT, route.needs)
    management.policy("reading", "policy", ROBOT, permission)
    assert call(management, "demo/robot", route) == implies("policy", permission, "view")


@pytest.mark.parametrize("route", REPORTS, ids=lambda route: route.name)
def test_report_takes_more_than_a_view_of_some_policies(management: Management, route: Route) -> None:
    management.account("demo", "robot")
    management.policy("given", route.kind, ROBOT, "manage")
    management.policy(
        "reading", "policy", ROBOT, "manage", targetLinks=["//policy/given", "//policy/reading"]
    )
    assert not call(management, "demo/robot", route)


def user(management: Management) -> tuple[str, str]:
    management.ok(ADMIN, "POST", "/org/demo/user/-invite", {"emails": ["bob@example.com"]})
    key = management.ok(ADMIN, "POST", "/org/demo/user/bob@example.com/-addKey", {"description": "his"})
    return key["key"], "//user/bob@example.com"


def member(management: Management) -> tuple[str, str]:
    management.account("demo", "robot")
    management.ok(ADMIN, "POST", "/org/demo/group", {"name": "team", "memberLinks": [ROBOT]})
    return "demo/robot", "//group/team"


def identity(management: Management) -> tuple[str, str]:
    body = {"name": "worker", "trust": TRUST}
    link = management.ok(ADMIN, "POST", "/org/demo/gvc/apps/identity", body)["links"][0]["href"]
    world = management.world
    world.issuers.publish(CLUSTER.url, CLUSTER.jwks())
    issued = world.tokens.get("/token", auth=(link, CLUSTER.token(world.clock())))
    assert issued.status_code == 200, issued.text
    return issued.json()["token"], link


@by_route
@pytest.mark.parametrize("principal", [user, member, identity], ids=lambda make: make.__name__)
def test_route_is_open_to_every_kind_of_principal_once_a_policy_names_it(
    management: Management, route: Route, principal: Callable[[Management], tuple[str, str]]
) -> None:
    caller, link = principal(management)
    assert not call(management, caller, route)
    give(management, route, link, route.needs)
    assert call(management, caller, route)


@by_route
@pytest.mark.parametrize("form", ["link", "query"])
def test_route_is_open_for_what_a_policy_targets_and_for_nothing_else(
    management: Management, route: Route, form: str
) -> None:
    management.account("demo", "robot")
    own, another = (
        {"targetLinks": [link_to(route.kind, name)]} if form == "link" else named(name)
        for name in (name_of(route), "another@example.com" if route.kind == "user" else "another")
    )
    if route.kind != "org" or form == "query":
        # There is one organisation in an organisation, so no link to another one.
        give(management, route, ROBOT, route.needs, **another)
        assert not call(management, "demo/robot", route)
        management.ok(ADMIN, "DELETE", "/org/demo/policy/given")
        if route in REPORTS:
            management.ok(ADMIN, "DELETE", "/org/demo/policy/reading")
    give(management, route, ROBOT, route.needs, **own)
    # A report takes a view of all policies, and so does one about a policy.
    assert call(management, "demo/robot", route) == (not route.policies or route.kind != "policy")


@pytest.mark.parametrize("permission", IMPLIED["group"])
def test_what_also_changes_a_group_takes_an_edit_of_it(management: Management, permission: str) -> None:
    management.account("demo", "robot")
    management.ok(
        ADMIN, "POST", "/org/demo/group", {"name": "team", "memberLinks": ["//serviceaccount/thing"]}
    )
    management.policy("inviting", "user", ROBOT, "invite")
    management.policy("deleting", "serviceaccount", ROBOT, "delete")
    management.policy("given", "group", ROBOT, permission)
    body = {"emails": ["fresh@example.com"], "groupLink": "//group/team"}
    invited = management.call("demo/robot", "POST", "/org/demo/user/-invite", body)
    deleted = management.call("demo/robot", "DELETE", "/org/demo/serviceaccount/thing?force=true")
    expected = (200, 204) if implies("group", permission, "edit") else (403, 403)
    assert (invited.status_code, deleted.status_code) == expected
    # Who is refused has done nothing by halves.
    links = [f"/org/demo/{each}" for each in ("user/fresh@example.com", "serviceaccount/thing")]
    found = [management.call(ADMIN, "GET", link).status_code == 200 for link in links]
    assert found == [expected[0] == 200, expected[1] == 403]


@pytest.mark.parametrize(("method", "path"), sorted(FREE))
def test_permissions_of_a_kind_are_no_secret(management: Management, method: str, path: str) -> None:
    management.account("demo", "robot")
    assert management.ok("demo/robot", method, at(path))["items"]


@pytest.mark.parametrize(("method", "path"), sorted(FOR_NOBODY))
def test_some_routes_are_open_to_nobody(management: Management, method: str, path: str) -> None:
    body = {"name": "fresh:v1", "tags": {}}
    assert management.call(ADMIN, method, at(path), body).status_code == 403


@pytest.mark.parametrize("permission", IMPLIED["policy"])
@pytest.mark.parametrize(("method", "path"), sorted(FOR_READERS_OF_POLICIES))
def test_explanation_of_an_image_takes_a_view_of_the_policies_and_nothing_else(
    management: Management, method: str, path: str, permission: str
) -> None:
    management.account("demo", "robot")
    management.policy("image", "image", ROBOT, "manage")
    assert management.call("demo/robot", method, at(path)).status_code == 403
    management.ok(ADMIN, "DELETE", "/org/demo/policy/image")
    management.policy("given", "policy", ROBOT, permission)
    allowed = management.call("demo/robot", method, at(path)).status_code == 200
    assert allowed == implies("policy", permission, "view")
