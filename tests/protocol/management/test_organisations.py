"""Organisations: made with the bootstrap credential, set up, ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import jwt
import pytest

from moorage.domain.resources import Kind
from moorage.domain.tokens import make_claims
from tests.protocol.management.world import BOOTSTRAP, Management

ADMIN = "demo/admin"


@pytest.mark.parametrize(
    ("creator", "link"),
    [
        (None, "/org/fresh/serviceaccount/admin"),
        ({"serviceaccount": "boss"}, "/org/fresh/serviceaccount/boss"),
        ({"email": "Ann@Example.com"}, "/org/fresh/user/ann@example.com"),
    ],
)
def test_creator_is_a_superuser_with_a_key(management: Management, creator, link):
    body = {
        "name": "fresh",
        "description": "new",
        "tags": {"a": 1},
        **({"creator": creator} if creator else {}),
    }
    made = management.call(BOOTSTRAP, "POST", "/org", body)
    assert (made.status_code, made.headers["location"]) == (201, "/org/fresh")
    founded = made.json()
    assert (founded["creator"], founded["identityPull"], founded["immutableTags"]) == (link, True, [])
    key = founded["key"]["key"]
    assert management.ok(key, "GET", "/org/fresh/group/superusers")["memberLinks"] == [link]
    assert management.ok(key, "GET", "/org")["items"][0]["description"] == "new"
    assert management.call(key, "GET", "/org/demo").status_code == 403
    again = management.call(BOOTSTRAP, "POST", "/org", body)
    assert (again.status_code, again.json()["code"]) == (409, "AlreadyExists")


def test_organisation_whose_key_could_not_be_made_gets_it_from_a_repetition(
    management: Management, monkeypatch
):
    def fail(_):
        raise RuntimeError("the function ends")

    with monkeypatch.context() as patch:
        patch.setattr(management.world.table, "add_key", fail)
        assert management.call(BOOTSTRAP, "POST", "/org", {"name": "fresh"}).status_code == 500
    # Not for somebody else.
    assert (
        management.call(
            BOOTSTRAP, "POST", "/org", {"name": "fresh", "creator": {"email": "eve@example.com"}}
        ).status_code
        == 409
    )
    key = management.ok(BOOTSTRAP, "POST", "/org", {"name": "fresh"})["key"]["key"]
    assert management.call(key, "GET", "/org/fresh/policy").status_code == 200
    assert management.call(BOOTSTRAP, "POST", "/org", {"name": "fresh"}).status_code == 409


@pytest.mark.parametrize("end", ["revoked", "never made"])
def test_bootstrap_credential_gets_no_key_of_an_organisation_that_is_there(
    management: Management, monkeypatch, end
):
    def fail(_):
        raise RuntimeError("the function ends")

    with monkeypatch.context() as patch:
        if end == "never made":
            patch.setattr(management.world.table, "add_key", fail)
        made = management.call(BOOTSTRAP, "POST", "/org", {"name": "fresh"})
    if end == "revoked":
        key = made.json()["key"]
        admin = "/org/fresh/serviceaccount/admin"
        management.ok(key["key"], "PATCH", admin, {"$drop/keys": [key["name"]]})
    management.world.clock.advance(timedelta(minutes=15))
    refused = management.call(BOOTSTRAP, "POST", "/org", {"name": "fresh"})
    assert (refused.status_code, refused.json()["code"]) == (409, "AlreadyExists")
    assert "mrg_" not in refused.text


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"name": "X"},
        {"name": "fresh", "creator": "ann"},
        {"name": "fresh", "creator": {"email": "ann@example.com", "serviceaccount": "admin"}},
        {"name": "fresh", "creator": {"email": "ann"}},
        {"name": "fresh", "creator": {"user": "ann"}},
        {"name": "fresh", "immutableTags": [{}]},
        {"name": "fresh", "identityPull": "yes"},
        {"name": "fresh", "superusers": []},
        {"name": "fresh", "store": "third"},
        {"name": "fresh", "store": "Second"},
        {"name": "fresh", "store": ""},
        {"name": "fresh", "store": 2},
        {"name": "fresh", "store": ["second"]},
    ],
    ids=str,
)
def test_organisation_that_makes_no_sense_is_refused(management: Management, body):
    assert management.call(BOOTSTRAP, "POST", "/org", body).status_code == 400


@pytest.mark.parametrize(
    ("given", "store"), [({}, "default"), ({"store": None}, "default"), ({"store": "second"}, "second")]
)
def test_organisation_lives_in_the_store_that_it_was_made_in(management: Management, given, store):
    founded = management.ok(BOOTSTRAP, "POST", "/org", {"name": "fresh", **given})
    key = founded["key"]["key"]
    assert founded["store"] == management.ok(key, "GET", "/org/fresh")["store"] == store
    management.world.keys["fresh/admin"] = key
    management.push("fresh/app", "v1")
    assert management.world.repository("fresh/app").store == store
    assert management.world.stores[store].list_keys("api/", 1)


def test_store_that_the_deployment_has_not_is_refused_with_those_that_it_has(management: Management):
    refused = management.call(BOOTSTRAP, "POST", "/org", {"name": "fresh", "store": "third"})
    assert (refused.status_code, refused.json()["code"]) == (400, "InvalidInput")
    assert "default, second" in refused.json()["message"]
    assert management.ok(BOOTSTRAP, "POST", "/org", {"name": "fresh", "store": "second"})["store"] == "second"


def test_repetition_that_asks_for_another_store_is_another_request(management: Management, monkeypatch):
    def fail(_):
        raise RuntimeError("the function ends")

    body = {"name": "fresh", "store": "second"}
    with monkeypatch.context() as patch:
        patch.setattr(management.world.table, "add_key", fail)
        assert management.call(BOOTSTRAP, "POST", "/org", body).status_code == 500
    for other in ({"name": "fresh"}, {"name": "fresh", "store": "default"}):
        assert management.call(BOOTSTRAP, "POST", "/org", other).status_code == 409
    assert management.ok(BOOTSTRAP, "POST", "/org", body)["store"] == "second"


@pytest.mark.parametrize("store", ["default", "second"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_store_stays_whatever_is_changed(management: Management, store, method):
    key = management.ok(BOOTSTRAP, "POST", "/org", {"name": "fresh", "store": store})["key"]["key"]
    other = {"default": "second", "second": "default"}[store]
    for wrong in (other, "third", "", 7):
        refused = management.call(key, method, "/org/fresh", {"store": wrong, "description": "moved"})
        assert refused.status_code == 400, refused.text
    for right in ({}, {"store": store}, {"store": None}):
        changed = management.ok(key, method, "/org/fresh", {"description": f"still {right}", **right})
        assert (changed["store"], changed["description"]) == (store, f"still {right}")
    shown = management.ok(key, "GET", "/org/fresh")
    again = management.ok(key, method, "/org/fresh", shown if method == "PUT" else {"store": store})
    assert again["version"] == shown["version"]


def test_organisation_from_before_there_were_stores_is_in_the_default_one(management: Management):
    table = management.world.table
    before = table.find(Kind.ORG, "demo", "demo")
    assert before is not None
    spec = {name: value for name, value in before.spec.items() if name != "store"}
    table.replace(before, replace(before, version=before.version + 1, spec=spec))
    shown = management.ok(ADMIN, "GET", "/org/demo")
    assert shown["store"] == "default"
    assert management.ok(ADMIN, "PUT", "/org/demo", shown)["version"] == shown["version"]
    assert management.call(ADMIN, "PATCH", "/org/demo", {"store": "second"}).status_code == 400
    management.push("demo/app", "v1")
    assert management.world.repository("demo/app").store == "default"


def test_bootstrap_credential_does_nothing_else_and_nobody_makes_organisations_without_it(
    management: Management,
):
    assert management.call(ADMIN, "POST", "/org", {"name": "fresh"}).status_code == 401
    assert management.call(BOOTSTRAP + "x", "POST", "/org", {"name": "fresh"}).status_code == 401
    assert management.call(BOOTSTRAP, "GET", "/org/demo").status_code == 401
    assert management.call(BOOTSTRAP, "DELETE", "/org/demo?force=true").status_code == 403
    management.bootstrap.sha256 = None
    assert management.call(BOOTSTRAP, "POST", "/org", {"name": "fresh"}).status_code == 401


def test_settings_are_changed_and_count_at_once(management: Management):
    rules = [{"repository": "app", "tags": ["v*"]}]
    changed = management.ok(ADMIN, "PATCH", "/org/demo", {"identityPull": False, "immutableTags": rules})
    assert (changed["identityPull"], changed["immutableTags"]) == (False, rules)
    management.push("demo/app", "v1")
    with pytest.raises(AssertionError, match="immutable"):
        management.push("demo/app", "v1", annotations={"other": "content"})
    management.ok(ADMIN, "PATCH", "/org/demo", {"immutableTags": None})
    management.push("demo/app", "v1", annotations={"other": "content"})
    put = management.ok(ADMIN, "PUT", "/org/demo", {"description": "whole"})
    assert (put["identityPull"], put["description"]) == (True, "whole")
    wrong: object
    for wrong in (
        {"identityPull": 1},
        {"immutableTags": {}},
        {"immutableTags": [{"repository": "[a]", "tags": ["x"]}]},
        {"name": "other"},
        {"spec": {}},
    ):
        assert management.call(ADMIN, "PATCH", "/org/demo", wrong).status_code == 400


def test_identities_pull_without_a_policy_until_that_is_switched_off(management: Management):
    management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": "apps"})
    management.ok(ADMIN, "POST", "/org/demo/gvc/apps/identity", {"name": "web"})
    management.push("demo/app", "v1")
    path = "/org/demo/image/app:v1/-explain?principal=//gvc/apps/identity/web&permission=pull"
    allowed = management.ok(ADMIN, "GET", path)
    assert (allowed["allowed"], allowed["grants"][0]["grantingPolicyLink"]) == (True, "/org/demo")
    report = management.ok(ADMIN, "GET", "/org/demo/image/app:v1/-accessreport")
    pull = next(each for each in report["permissions"] if each["name"] == "pull")
    assert "/org/demo/gvc/*/identity/*" in [each["principalLink"] for each in pull["bindings"]]
    management.ok(ADMIN, "PATCH", "/org/demo", {"identityPull": False})
    assert not management.ok(ADMIN, "GET", path)["allowed"]


def test_organisation_with_images_ends_only_by_force_and_then_nothing_is_readable(management: Management):
    management.push("demo/app", "v1")
    pull = management.world.auth("demo/admin", "repository:demo/app:pull")
    kept = management.call(ADMIN, "DELETE", "/org/demo")
    assert (kept.status_code, kept.json()["code"]) == (409, "InUse")
    ended = management.call(ADMIN, "DELETE", "/org/demo?force=true")
    assert (ended.status_code, ended.json()["finished"]) == (202, False)
    assert management.call(ADMIN, "GET", "/org/demo").status_code in (401, 403)
    assert management.world.registry.get("/v2/demo/app/manifests/v1", headers=pull).status_code in (403, 404)
    assert management.call(BOOTSTRAP, "POST", "/org", {"name": "demo"}).status_code == 409
    management.world.clock.advance(timedelta(minutes=10))
    assert management.call(BOOTSTRAP, "DELETE", "/org/demo").status_code == 204
    assert management.call(BOOTSTRAP, "DELETE", "/org/demo").status_code == 404
    key = management.ok(BOOTSTRAP, "POST", "/org", {"name": "demo"})["key"]["key"]
    assert management.ok(key, "GET", "/org/demo/image")["items"] == []


@pytest.mark.parametrize("who", ["user", "service account", "identity"])
def test_nobody_reads_their_own_record_in_an_organisation_that_is_ending(
    management: Management, monkeypatch, who
):
    world = management.world
    for name in ("user/-invite", "gvc", "gvc/apps/identity"):
        body = {"emails": ["ann@example.com"]} if name.startswith("user") else {"name": "apps"}
        management.ok(ADMIN, "POST", f"/org/demo/{name}", body)
    link = {
        "user": "/org/demo/user/ann@example.com",
        "service account": "/org/demo/serviceaccount/viewer",
        "identity": "/org/demo/gvc/apps/identity/apps",
    }[who]
    if who == "identity":
        claims = make_claims(link, granted={}, refused={}, now=world.clock(), token_id="x")
        own = jwt.encode(claims, world.signing.private_pem, "ES256", {"kid": "first"})
    else:
        own = management.ok(ADMIN, "POST", f"{link}/-addKey", {"description": "x", "name": "own"})["key"]
    assert management.ok(own, "GET", link)["name"] == link.rpartition("/")[2]
    # It has begun to end, and nothing in it is removed yet.
    world.table.begin_removal("demo", world.clock())
    asked: list[tuple[str, str, object]] = [
        ("GET", link, None),
        ("GET", f"{link}/-policies", None),
        ("GET", "/org/demo/user/-for/email/ann@example.com", None),
        ("PATCH", link, {"$drop/keys": []}),
    ]
    if who != "identity":
        asked.append(("POST", f"{link}/-addKey", {"description": "x"}))
    for method, path, content in asked:
        refused = management.call(own, method, path, content)
        assert refused.status_code == 403, (method, path, refused.text)


def test_protected_organisation_is_kept(management: Management):
    management.ok(ADMIN, "PATCH", "/org/demo", {"tags": {"protected": True}})
    assert management.call(ADMIN, "DELETE", "/org/demo?force=true").status_code == 403


def test_reports_on_the_organisation(management: Management):
    report = management.ok(ADMIN, "GET", "/org/demo/-accessreport")
    assert {each["name"] for each in report["permissions"]} == {"create", "delete", "edit", "manage", "view"}
    told = management.ok(ADMIN, "GET", "/org/demo/-explain?principal=//serviceaccount/viewer&permission=view")
    assert told["allowed"]
    assert management.ok(ADMIN, "GET", "/org/demo/-schema/permissions")["targetKind"] == "org"
