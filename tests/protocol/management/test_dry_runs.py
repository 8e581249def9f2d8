"""``?dryRun=true``: the same answer as that of the write, and nothing written."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest

from moorage.domain.resources import Kind
from moorage.web.management.route import DRY_RUN
from moorage.web.management.routing import routes_of
from tests.protocol.management.test_refusals import WRONG, arrange_things, at, body_of
from tests.protocol.management.world import BOOTSTRAP, Management, management_in_memory

ADMIN, VIEWER, STRANGER = "demo/admin", "demo/viewer", "other/admin"
CONTROL = {"description": "a\u0007b"}
DRY = "dryRun=true"
# Every route that has it, by its kind.
ITEMS = ["policy/thing", "group/thing", "serviceaccount/thing", "gvc/thing", "gvc/apps/identity/thing"]
COLLECTIONS = ["policy", "group", "serviceaccount", "gvc", "gvc/apps/identity"]
USER, IMAGE = "user/ann@example.com", "image/thing:latest"
EVERY = [*ITEMS, USER]

with management_in_memory() as _any:
    ROUTES = [(method, route) for route in routes_of(_any.api) for method in sorted(route.methods or ())]
TAKING = {
    (method, route.path)
    for method, route in ROUTES
    if DRY_RUN in (field.alias for field in route.dependant.query_params)
}
ENDS = {("POST", "/org"), ("DELETE", "/org/{org}")}
NOT_TAKING = [
    (method, route.path) for method, route in ROUTES if method != "GET" and (method, route.path) not in TAKING
]


@pytest.fixture(autouse=True)
def _things(management: Management) -> None:
    arrange_things(management)
    for owner in ("serviceaccount/thing", USER):
        management.ok(ADMIN, "POST", f"/org/demo/{owner}/-addKey", {"description": "x", "name": "spare"})
    management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": "guarded", "tags": {"protected": True}})
    # Whoever calls for the first time of a day is noted.
    for who in (ADMIN, VIEWER, STRANGER):
        management.call(who, "GET", "/org/demo")


def state(management: Management) -> dict[str, Any]:
    """All that the table holds."""
    held = {name: each for name, each in vars(management.world.table).items() if "lock" not in name}
    return copy.deepcopy(held)


def told(response: Any) -> Any:
    """An answer without what no two answers have alike: the id of the request, or of what was made."""
    body = response.json() if response.content else None
    if isinstance(body, dict):
        body.pop("id", None)
    return response.status_code, body, response.headers.get("location")


def same_as_the_write(
    management: Management, who: str, method: str, path: str, body: Any = None
) -> tuple[int, Any]:
    """What a dry run and then the write itself answer, which has to be the same."""
    before = state(management)
    dry = told(management.call(who, method, f"{path}{'&' if '?' in path else '?'}{DRY}", body))
    assert state(management) == before
    assert dry == told(management.call(who, method, path, body))
    return dry[0], dry[1]


def place(kind: str) -> tuple[str, dict[str, Any]]:
    """The collection of a kind, and a right body for it."""
    path = f"/org/demo/{kind}"
    return path, dict(body_of("POST", f"/org/{{org}}/{kind}") or {})


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_resource_is_not_made(management: Management, kind):
    path, body = place(kind)
    for method, name in (("POST", "new-one"), ("PUT", "new-two")):
        status, answer = same_as_the_write(management, ADMIN, method, path, {**body, "name": name})
        assert (status, answer["name"], answer["version"]) == (201, name, 1)


@pytest.mark.parametrize("who", [ADMIN, VIEWER, STRANGER])
@pytest.mark.parametrize("kind", COLLECTIONS)
def test_what_cannot_be_made_is_refused_alike(management: Management, kind, who):
    path, body = place(kind)
    refused: set[str] = set()
    changes: list[dict[str, Any]] = [
        {},
        WRONG[kind],
        CONTROL,
        {"name": "X"},
        {"name": 7},
        {"unknown": 1},
        {"tags": {"a": []}},
    ]
    for change in changes:
        for method in ("POST", "PUT"):
            sent = {**body, "name": "new-one", **change}
            if not change:
                # Of the admin's, the name is in the way, or the version.
                sent |= {"name": "thing", "version": 9, "description": "x"}
            status, answer = same_as_the_write(management, who, method, path, sent)
            assert status >= 400
            refused.add(answer["code"])
    assert "InvalidInput" in refused
    assert refused & ({"AlreadyExists", "VersionMismatch"} if who == ADMIN else {"Denied"})


@pytest.mark.parametrize("item", EVERY)
def test_resource_is_not_changed(management: Management, item):
    path = f"/org/demo/{item}"
    shown = management.ok(ADMIN, "GET", path)
    for method, body in (
        ("PATCH", {"description": "new", "tags": {"a": 1}}),
        ("PUT", {**shown, "version": None, "description": "other"}),
        ("PATCH", {}),
    ):
        status, answer = same_as_the_write(management, ADMIN, method, path, body)
        assert (status, "keys" in answer) == (200, "keys" in shown)
    assert answer["version"] == shown["version"] + 2


@pytest.mark.parametrize("item", [*EVERY, "policy/absent", "group/absent", "user/nobody@example.com"])
@pytest.mark.parametrize("who", [ADMIN, VIEWER, STRANGER])
def test_what_cannot_be_changed_is_refused_alike(management: Management, item, who):
    path = f"/org/demo/{item}"
    right = dict(body_of("PUT", f"/org/{{org}}/{item.rpartition('/')[0]}") or {})
    right = {key: value for key, value in right.items() if key != "name"}
    for change in (
        {"version": 9},
        {"id": "x"},
        CONTROL,
        {"tags": 7},
        {"unknown": 1},
        {"name": "another-one"},
    ):
        for method, body in (("PATCH", change), ("PUT", {**right, **change})):
            status, _ = same_as_the_write(management, who, method, path, body)
            assert status >= 400


@pytest.mark.parametrize("item", [*EVERY, "gvc/apps", "gvc/guarded", "gvc/absent", "group/superusers", IMAGE])
@pytest.mark.parametrize("who", [VIEWER, STRANGER, ADMIN])
def test_deletion_is_refused_alike_or_deletes_nothing(management: Management, item, who):
    named = {"memberLinks": ["//serviceaccount/admin", f"//{USER}", "//serviceaccount/thing"]}
    management.ok(ADMIN, "PATCH", "/org/demo/group/superusers", named)
    for force in ("?force=true",) if item.startswith("image") else ("", "?force=true"):
        status, _ = same_as_the_write(management, who, "DELETE", f"/org/demo/{item}{force}")
        if who != ADMIN:
            assert status == (404 if (who, item) == (VIEWER, "gvc/absent") else 403)
    deletable = item in (*EVERY, IMAGE)
    assert (management.call(ADMIN, "GET", f"/org/demo/{item}").status_code == 404) is (
        item == "gvc/absent" or (who == ADMIN and deletable)
    )


@pytest.mark.parametrize("owner", ["serviceaccount/thing", USER])
def test_keys_are_not_ended(management: Management, owner):
    path = f"/org/demo/{owner}"
    for body in ({"$drop/keys": ["absent"]}, {"$drop/keys": 7}, {"$drop/keys": ["spare"], "tags": 7}):
        assert same_as_the_write(management, ADMIN, "PATCH", path, body)[0] == 400
    status, answer = same_as_the_write(
        management, ADMIN, "PATCH", path, {"$drop/keys": ["spare"], "tags": {"a": 1}}
    )
    assert (status, answer["keys"], answer["tags"]) == (200, [], {"a": 1})


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PATCH", {"identityPull": False}),
        ("PATCH", {"identityPull": "no"}),
        ("PATCH", {"store": "elsewhere"}),
        ("PATCH", CONTROL),
        ("PUT", {"description": "ours", "immutableTags": [{"repository": "app", "tags": ["v*"]}]}),
        ("PUT", {"immutableTags": [{"repository": ""}]}),
        ("PUT", {"version": 9}),
    ],
)
@pytest.mark.parametrize("who", [ADMIN, VIEWER, STRANGER])
def test_organisation_is_not_changed(management: Management, who, method, body):
    status, _ = same_as_the_write(management, who, method, "/org/demo", body)
    assert status in ((200, 400, 409) if who == ADMIN else (400, 403))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", IMAGE, {"tags": {"a": 1}}),
        ("PATCH", IMAGE, {"tags": {"a": []}}),
        ("PATCH", IMAGE, {"tags": {"a": 1}, "version": 9}),
        ("PUT", IMAGE, {"tags": {"a": 1}}),
        ("PUT", IMAGE, {"digest": "x", "description": "y"}),
        ("PUT", "image", {"name": "thing:latest", "tags": {"b": "x"}}),
        ("PUT", "image", {"name": "thing:absent"}),
        ("PUT", "image/thing:absent", {"tags": {}}),
        ("POST", "image", {}),
    ],
)
@pytest.mark.parametrize("who", [ADMIN, VIEWER])
def test_image_is_not_changed(management: Management, who, method, path, body):
    status, answer = same_as_the_write(management, who, method, f"/org/demo/{path}", body)
    if who == ADMIN and status == 200:
        assert answer["version"] == 2
    if who == VIEWER:
        assert status in (400, 403, 404)


def test_superusers_keep_a_member_and_do_not_leave(management: Management):
    path = "/org/demo/group/superusers"
    for members in ([], ["//serviceaccount/ghost"], ["//serviceaccount/thing"]):
        status, answer = same_as_the_write(management, ADMIN, "PATCH", path, {"memberLinks": members})
        assert (status, answer["code"]) == (409, "Conflict")


def test_dry_run_warns_as_the_write_does(management: Management):
    path, body = place("policy")
    ghosts = [{"permissions": ["pull"], "principalLinks": ["//serviceaccount/ghost"]}]
    sent = {**body, "name": "ghosts", "bindings": ghosts}
    _, answer = same_as_the_write(management, ADMIN, "POST", path, sent)
    assert "/org/demo/serviceaccount/ghost" in answer["warnings"][0]
    _, answer = same_as_the_write(management, ADMIN, "POST", *place_of_ghost())
    assert "/org/demo/policy/ghosts" in answer["warnings"][0]


def place_of_ghost() -> tuple[str, dict[str, Any]]:
    return "/org/demo/serviceaccount", {"name": "ghost"}


def test_too_many_policies_of_a_principal_are_counted(management: Management, monkeypatch):
    monkeypatch.setattr("moorage.adapters.memory.resources.POLICIES_OF_A_PRINCIPAL", 1)
    path, body = place("policy")
    named = [{"permissions": ["pull"], "principalLinks": ["//serviceaccount/thing"]}]
    status, _ = same_as_the_write(management, ADMIN, "PUT", path, {**body, "name": "p1", "bindings": named})
    assert status == 201
    status, _ = same_as_the_write(management, ADMIN, "PUT", path, {**body, "name": "p2", "bindings": named})
    assert status == 400


def test_identity_in_a_gvc_that_is_not_there_is_refused_last(management: Management):
    path = "/org/demo/gvc/nowhere/identity"
    for body, status in (({"name": "web"}, 404), ({"name": "web", **CONTROL}, 400)):
        assert same_as_the_write(management, ADMIN, "PUT", path, body)[0] == status


def test_change_that_is_overtaken_is_looked_at_again(management: Management, monkeypatch):
    table, check = management.world.table, management.world.table.check_write

    def overtaken(before, after):
        monkeypatch.setattr(table, "check_write", check)
        management.ok(ADMIN, "PATCH", "/org/demo/group/thing", {"tags": {"theirs": 1}})
        return check(before, after)

    monkeypatch.setattr(table, "check_write", overtaken)
    answer = management.ok(ADMIN, "PATCH", f"/org/demo/group/thing?{DRY}", {"tags": {"mine": 1}})
    assert (answer["tags"], answer["version"]) == ({"theirs": 1, "mine": 1}, 3)


def test_every_kind_has_it_wherever_it_is_written():
    kinds = {path.split("/")[-2] for method, path in TAKING if method == "PATCH"}
    assert kinds == {*map(str, {*Kind} - {Kind.AUDIT_CONTEXT, Kind.QUOTA})}
    # What has none acts, or begins or ends an organisation.
    assert all("/-" in path or (method, path) in ENDS for method, path in NOT_TAKING)


@pytest.mark.parametrize(("method", "path"), NOT_TAKING)
def test_endpoint_that_has_none_refuses_to_write(management: Management, method, path):
    who = BOOTSTRAP if (method, path) == ("POST", "/org") else ADMIN
    before = state(management)
    body = {"name": "acme"} if who == BOOTSTRAP else body_of(method, path)
    response = management.call(who, method, f"{at(path)}?{DRY}", body)
    assert (response.status_code, response.json()["code"]) == (400, "InvalidInput")
    assert "no dry run" in response.json()["message"]
    assert state(management) == before


@pytest.mark.parametrize(
    "query",
    [
        "dryrun=true",
        "dry_run=1",
        "dry-run",
        "DryRun=true",
        "dryRun=true&dry-run=true",
        "dryRun=perhaps",
        "dryRun=",
    ],
)
def test_misspelt_dry_run_writes_nothing(management: Management, query):
    before = state(management)
    response = management.call(ADMIN, "DELETE", f"/org/demo/group/thing?{query}")
    assert response.status_code == 400
    assert state(management) == before


def test_dry_run_that_is_false_writes(management: Management):
    management.ok(ADMIN, "PATCH", "/org/demo/group/thing?dryRun=false", {"description": "new"})
    assert management.ok(ADMIN, "GET", "/org/demo/group/thing?dryRun=true")["description"] == "new"


def test_log_says_what_was_a_dry_run(management: Management, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    for query in ("dryRun=true", "dryRun=false"):
        management.ok(ADMIN, "PATCH", f"/org/demo/group/thing?{query}", {})
    said = [vars(each) for each in caplog.records if each.message == "request"]
    assert ["dry_run" in each for each in said] == [True, False]
