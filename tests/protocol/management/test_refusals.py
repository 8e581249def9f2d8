"""Every route, taken from the application itself, refuses nobody's, strangers' and bad credentials."""

from __future__ import annotations

import re
from functools import cache

import pytest

from moorage.domain.names import Repository
from moorage.web.management.route import BootstrapRoute, ManagementRoute, SignedRoute
from moorage.web.management.routing import routes_of
from tests.contract.job_samples import item, job
from tests.protocol.management.world import BOOTSTRAP, Management, management_in_memory
from tests.protocol.world import Kept

with management_in_memory() as _any:
    ROUTES = [(method, route) for route in routes_of(_any.api) for method in sorted(route.methods or ())]

SIGNED = [(method, route.path) for method, route in ROUTES if isinstance(route, SignedRoute)]
IN_ORGANISATIONS = [(method, path) for method, path in SIGNED if "{org}" in path]
OPEN = [(method, route.path) for method, route in ROUTES if type(route) is ManagementRoute]
NAMES = {
    "org": "demo",
    "gvc": "apps",
    "name": "thing",
    "kind": "image",
    "email": "ann@example.com",
    "id": job().id,
}
ALL_KINDS = {"policy", "group", "serviceaccount", "gvc", "identity", "user", "image", "job"}


def at(path: str, **changes: str) -> str:
    names = {**NAMES, **changes}
    if "/user/" in path:
        names["name"] = names["email"]
    asked = "?principal=//group/viewers&permission=view" if path.endswith("-explain") else ""
    return re.sub(r"\{(\w+)(?::path)?\}", lambda part: names[part[1]], path) + asked


def body_of(method: str, path: str) -> dict[str, object] | None:
    """A body that is right, so that nothing but the refusal can be in the way."""
    if method not in ("POST", "PUT", "PATCH"):
        return None
    if path.endswith("-query") or method == "PATCH":
        return {}
    if path.endswith("-addKey"):
        return {"description": "for a test"}
    if path.endswith("-invite"):
        return {"emails": ["ann@example.com"]}
    if path.endswith("-copy"):
        return {"destinationOrg": "demo", "destinationName": "copied"}
    body: dict[str, object] = {"name": "thing"}
    if "/policy" in path:
        body |= {"targetKind": "image", "target": "all", "bindings": []}
    if path == "/org/{org}" or (method == "PUT" and path.endswith(("{name}", "{name:path}"))):
        del body["name"]
    return body


def test_the_list_of_routes_is_whole():
    assert len(SIGNED) > 90
    assert {path.split("/")[3] for _, path in IN_ORGANISATIONS if path.count("/") > 2} >= ALL_KINDS - {
        "identity"
    }
    assert {path for _, path in OPEN} == {"/discovery", "/about", "/discovery/openapi.json"}
    assert [(method, route.path) for method, route in ROUTES if isinstance(route, BootstrapRoute)] == [
        ("POST", "/org")
    ]
    assert all(isinstance(route, ManagementRoute) for _, route in ROUTES)


BAD = {
    "none": None,
    "empty": "",
    "scheme": "Bearer",
    "blank": "Bearer ",
    "basic": "Basic dXNlcjpwYXNz",
    "garbage": "Bearer nonsense",
    "unknown key": "mrg_aaaaaaaaaaaaaaaa_" + "a" * 52,
    "bootstrap": BOOTSTRAP,
}
# What the bootstrap credential is for.
BOOTSTRAPPED = [("POST", "/org"), ("DELETE", "/org/{org}")]


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        (*route, kind)
        for kind in BAD
        for route in [*SIGNED, ("POST", "/org")]
        if kind != "bootstrap" or route not in BOOTSTRAPPED
    ],
)
def test_without_valid_credentials_nothing_is_answered(management: Management, method, path, kind):
    authorization = BAD[kind]
    headers = {} if authorization is None else {"Authorization": authorization}
    response = management.call(None, method, at(path), body_of(method, path), headers=headers)
    assert response.status_code == 401, response.text
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json().keys() == {"status", "message", "code", "details", "id"}


@pytest.mark.parametrize(("method", "path"), IN_ORGANISATIONS)
def test_superuser_of_another_organisation_is_refused_whether_it_exists_or_not(management, method, path):
    told = []
    for org in ("demo", "absent"):
        response = management.call("other/admin", method, at(path, org=org), body_of(method, path))
        assert response.status_code == 403, response.text
        told.append({**response.json(), "id": ""})
    assert told[0] == told[1]


@pytest.mark.parametrize(("method", "path"), IN_ORGANISATIONS)
def test_who_has_no_rights_learns_nothing_about_what_is_there(management: Management, method, path):
    arrange_things(management)
    management.account("demo", "nobody")
    told = []
    for name, job_id in (("thing", NAMES["id"]), ("another", "0" * 32)):
        response = management.call(
            "demo/nobody", method, at(path, name=name, gvc="apps", id=job_id), body_of(method, path)
        )
        if response.status_code == 200:
            # Lists of one's own organisation are empty; that there are permissions is no secret.
            assert response.json().get("items", []) == [] or path.endswith("-schema/permissions")
        else:
            assert response.status_code == 403, response.text
        told.append((response.status_code, response.json().get("message")))
    assert told[0] == told[1]


def arrange_things(management: Management) -> None:
    """Something of every kind called `thing`, and nothing else."""
    management.world.put_back(_things())


@cache
def _things() -> Kept:
    """Making them takes longer than most tests."""
    with management_in_memory() as management:
        _make_things(management)
        return management.world.kept()


def _make_things(management: Management) -> None:
    who = "demo/admin"
    management.ok(who, "POST", "/org/demo/gvc", {"name": "apps"})
    management.ok(who, "POST", "/org/demo/gvc", {"name": "thing"})
    management.ok(who, "POST", "/org/demo/gvc/apps/identity", {"name": "thing"})
    for kind in ("group", "serviceaccount"):
        management.ok(who, "POST", f"/org/demo/{kind}", {"name": "thing"})
    management.ok(who, "POST", "/org/demo/policy", body_of("POST", "/org/{org}/policy"))
    management.ok(who, "POST", "/org/demo/user/-invite", {"emails": [NAMES["email"]]})
    management.push("demo/thing", "latest")
    thing = Repository("demo", "thing")
    made = job(source=thing, destination=thing, created=management.world.clock())
    management.world.table.create_job(made, [item("latest")], None)


NO_USER = "//user/00000000-0000-0000-0000-000000000000"
WRONG: dict[str, dict[str, object]] = {
    "policy": {"targetKind": "image", "target": "some", "bindings": []},
    "group": {"memberLinks": ["//image/app"]},
    "serviceaccount": {"tags": {"a": []}},
    "gvc": {"description": "x" * 300},
    "gvc/apps/identity": {"trust": [{"issuer": "http://x", "claims": {}}]},
}


@pytest.mark.parametrize("who", ["demo/nobody", "other/admin"])
@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("lock", [{}, {"version": "one"}, {"version": 7}, {"id": "x"}], ids=str)
def test_put_on_a_collection_does_not_tell_whether_the_name_is_taken(management: Management, who, kind, lock):
    arrange_things(management)
    management.account("demo", "nobody")
    right = body_of("PUT", f"/org/{{org}}/{kind}") or {}
    for content in (right, {**right, **WRONG[kind]}, {**right, "memberLinks": [NO_USER]}):
        told = set()
        for org, name in (("demo", "thing"), ("demo", "another"), ("absent", "thing")):
            body = {**content, "name": name, **lock}
            response = management.call(who, "PUT", f"/org/{org}/{kind}", body)
            assert response.status_code in (400, 403), response.text
            told.add((response.status_code, response.json()["message"]))
        assert len(told) == 1


@pytest.mark.parametrize("who", ["demo/nobody", "other/admin"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_users_are_not_looked_up_for_who_may_not_write(management: Management, who, method):
    arrange_things(management)
    management.account("demo", "nobody")
    calls = management.world.faults.calls
    bindings = [{"permissions": ["pull"], "principalLinks": [NO_USER]}]
    bodies = {
        "group": {"name": "thing", "memberLinks": [NO_USER]},
        "policy": {"name": "thing", "targetKind": "image", "target": "all", "bindings": bindings},
    }
    for kind, body in bodies.items():
        calls.clear()
        assert management.call(who, method, f"/org/demo/{kind}", body).status_code == 403
        assert "page" not in calls
        calls.clear()
        assert management.call("demo/admin", method, f"/org/demo/{kind}", body).status_code == 400
        assert "page" in calls


def test_key_of_another_organisation_opens_nothing_here(management: Management):
    management.ok("other/admin", "POST", "/org/other/user/-invite", {"emails": ["ann@example.com"]})
    management.ok(
        "demo/admin",
        "POST",
        "/org/demo/user/-invite",
        {"emails": ["ann@example.com"], "groupLink": "//group/superusers"},
    )
    key = management.ok(
        "other/admin", "POST", "/org/other/user/ann@example.com/-addKey", {"description": "x"}
    )
    assert management.call(key["key"], "GET", "/org/demo").status_code == 403


def test_revoked_key_is_refused_at_once_and_its_token_with_it(management: Management):
    management.account("demo", "robot", "superusers")
    token = management.world.token("demo/robot")
    assert management.call("demo/robot", "GET", "/org/demo").status_code == 200
    assert management.call(token, "GET", "/org/demo").status_code == 200
    management.ok("demo/admin", "PATCH", "/org/demo/serviceaccount/robot", {"$drop/keys": ["laptop"]})
    assert management.call("demo/robot", "GET", "/org/demo").status_code == 401
    assert management.call(token, "GET", "/org/demo").status_code == 401


def test_lost_membership_counts_for_the_next_request_with_the_same_token(management: Management):
    management.account("demo", "robot", "superusers")
    token = management.world.token("demo/robot")
    assert management.call(token, "GET", "/org/demo/policy").json()["items"]
    management.ok(
        "demo/admin",
        "PATCH",
        "/org/demo/group/superusers",
        {"$drop/memberLinks": ["/org/demo/serviceaccount/robot"]},
    )
    assert management.call(token, "GET", "/org/demo/policy").json()["items"] == []


def test_key_works_with_and_without_the_word_bearer(management: Management):
    key = management.world.keys["demo/admin"]
    for sent in (key, f"Bearer {key}", f"bearer {key}", f"Bearer  {key} "):
        assert management.call(None, "GET", "/org/demo", headers={"Authorization": sent}).status_code == 200
