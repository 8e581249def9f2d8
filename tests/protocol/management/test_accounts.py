"""Keys, users and their personal access tokens, and identities."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.protocol.management.world import Management

ADMIN = "demo/admin"
ROBOT = "/org/demo/serviceaccount/robot"
ANN = "/org/demo/user/ann@example.com"


@pytest.fixture(autouse=True)
def _robot(management: Management):
    management.ok(ADMIN, "POST", "/org/demo/serviceaccount", {"name": "robot"})
    management.ok(ADMIN, "POST", "/org/demo/user/-invite", {"emails": ["ann@example.com"]})


def test_key_is_shown_once_works_and_is_listed_without_its_secret(management: Management):
    made = management.call(ADMIN, "POST", f"{ROBOT}/-addKey", {"description": "for ci", "name": "ci"})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key = made.json()
    assert (key["name"], key["description"], key["expires"]) == ("ci", "for ci", None)
    shown = management.call(key["key"], "GET", ROBOT)
    assert shown.status_code == 200
    secret = key["key"].rpartition("_")[2]
    assert secret not in shown.text
    (listed,) = shown.json()["keys"]
    assert listed == {
        **{name: key[name] for name in ("name", "description", "created", "expires")},
        "lastUsed": "2026-05-04",
    }
    taken = management.call(ADMIN, "POST", f"{ROBOT}/-addKey", {"description": "x", "name": "ci"})
    assert (taken.status_code, taken.json()["code"]) == (409, "AlreadyExists")
    unnamed = management.ok(ADMIN, "POST", f"{ROBOT}/-addKey", {"description": "x"})
    assert unnamed["key"].rpartition("_")[2] not in unnamed["name"]


def test_key_expires(management: Management):
    until = "2026-05-04T04:00:00Z"
    key = management.ok(ADMIN, "POST", f"{ROBOT}/-addKey", {"description": "short", "expires": until})
    assert key["expires"] == "2026-05-04T04:00:00.000Z"
    assert management.call(key["key"], "GET", ROBOT).status_code == 200
    management.world.clock.advance(timedelta(hours=1))
    assert management.call(key["key"], "GET", ROBOT).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"description": ""},
        {"description": "x" * 251},
        {"description": 5},
        {"description": "x", "name": "A"},
        {"description": "x", "expires": "2020-01-01T00:00:00Z"},
        {"description": "x", "expires": "2030-01-01T00:00:00"},
        {"description": "x", "expires": "soon"},
        {"description": "x", "expires": 1e300},
        {"description": "x", "key": "mine"},
    ],
    ids=str,
)
def test_key_that_makes_no_sense_is_refused(management: Management, body):
    assert management.call(ADMIN, "POST", f"{ROBOT}/-addKey", body).status_code == 400
    assert management.ok(ADMIN, "GET", ROBOT)["keys"] == []


def test_keys_are_dropped_by_name_and_only_if_all_are_there(management: Management):
    keys = {
        name: management.ok(ADMIN, "POST", f"{ROBOT}/-addKey", {"description": name, "name": name})["key"]
        for name in ("one", "two", "ci-3")
    }
    names: object
    for names in (["one", "absent"], "one", [1], {}):
        refused = management.call(ADMIN, "PATCH", ROBOT, {"$drop/keys": names})
        assert refused.status_code == 400
    assert management.call(keys["one"], "GET", ROBOT).status_code == 200
    late = management.call(ADMIN, "PATCH", ROBOT, {"$drop/keys": ["one"], "version": 7})
    assert late.status_code == 409
    left = management.ok(ADMIN, "PATCH", ROBOT, {"$drop/keys": ["one", "two"], "description": "fewer"})
    assert [key["name"] for key in left["keys"]] == ["ci-3"]
    assert left["description"] == "fewer"
    assert [management.call(key, "GET", ROBOT).status_code for key in keys.values()] == [401, 401, 200]


def test_deleted_account_takes_its_keys_along(management: Management):
    key = management.ok(ADMIN, "POST", f"{ROBOT}/-addKey", {"description": "x"})["key"]
    assert management.call(ADMIN, "DELETE", ROBOT).status_code == 204
    management.ok(ADMIN, "POST", "/org/demo/serviceaccount", {"name": "robot"})
    assert management.call(key, "GET", ROBOT).status_code == 401
    assert management.ok(ADMIN, "GET", ROBOT)["keys"] == []


def test_key_takes_a_right_to_make_it_and_a_key_to_ask_with(management: Management):
    management.account("demo", "helper")
    assert management.call("demo/helper", "POST", f"{ROBOT}/-addKey", {"description": "x"}).status_code == 403
    management.policy(
        "helper",
        "serviceaccount",
        "//serviceaccount/helper",
        "addKey",
        targetLinks=["//serviceaccount/robot"],
    )
    assert management.call("demo/helper", "POST", f"{ROBOT}/-addKey", {"description": "x"}).status_code == 201
    # A token outlives its key by minutes: it must not become another key.
    token = management.world.token("demo/helper")
    assert management.call(token, "POST", f"{ROBOT}/-addKey", {"description": "x"}).status_code == 403
    assert (
        management.call(
            "demo/helper", "POST", "/org/demo/serviceaccount/admin/-addKey", {"description": "x"}
        ).status_code
        == 403
    )


def test_user_makes_and_ends_personal_access_tokens_of_their_own(management: Management):
    first = management.ok(ADMIN, "POST", f"{ANN}/-addKey", {"description": "welcome", "name": "welcome"})[
        "key"
    ]
    assert management.ok(first, "GET", ANN)["email"] == "ann@example.com"
    second = management.ok(first, "POST", f"{ANN}/-addKey", {"description": "laptop", "name": "laptop"})[
        "key"
    ]
    left = management.ok(second, "PATCH", ANN, {"$drop/keys": ["welcome"]})
    assert [key["name"] for key in left["keys"]] == ["laptop"]
    assert management.call(first, "GET", ANN).status_code == 401
    # Their own keys, and nothing else of their own or of others.
    assert management.call(second, "PATCH", ANN, {"tags": {"team": "admins"}}).status_code == 403
    management.ok(ADMIN, "POST", "/org/demo/user/-invite", {"emails": ["bob@example.com"]})
    bob = "/org/demo/user/bob@example.com"
    assert management.call(second, "POST", f"{bob}/-addKey", {"description": "x"}).status_code == 403
    assert management.call(second, "GET", bob).status_code == 403


def at(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_key_that_a_principal_makes_for_itself_ends_with_the_one_that_it_was_made_with(
    management: Management,
):
    day = timedelta(days=1)
    until = management.world.clock.now.replace(microsecond=0) + day
    first = management.ok(
        ADMIN, "POST", f"{ANN}/-addKey", {"description": "for a day", "expires": at(until)}
    )["key"]
    for asked, given in ((None, until), (at(until + day), until), (at(until - day / 2), until - day / 2)):
        body = {"description": "more", **({} if asked is None else {"expires": asked})}
        made = management.ok(first, "POST", f"{ANN}/-addKey", body)
        assert made["expires"] == at(given)
    # Nor does one that was made so make others that live longer.
    again = management.ok(made["key"], "POST", f"{ANN}/-addKey", {"description": "again"})
    assert again["expires"] == made["expires"]
    management.world.clock.now = until
    assert management.call(first, "GET", ANN).status_code == 401
    assert management.call(again["key"], "GET", ANN).status_code == 401
    # Somebody who may make keys of it gives what it was asked for.
    assert management.ok(ADMIN, "POST", f"{ANN}/-addKey", {"description": "for ever"})["expires"] is None


def test_service_account_that_makes_its_own_keys_does_not_outlive_the_first(management: Management):
    until = management.world.clock.now.replace(microsecond=0) + timedelta(days=1)
    management.policy("self", "serviceaccount", "//serviceaccount/robot", "addKey")
    management.ok(ADMIN, "POST", "/org/demo/serviceaccount", {"name": "second"})
    key = management.ok(ADMIN, "POST", f"{ROBOT}/-addKey", {"description": "x", "expires": at(until)})["key"]
    assert management.ok(key, "POST", f"{ROBOT}/-addKey", {"description": "x"})["expires"] == at(until)
    # What a policy gives on others is given whole.
    second = "/org/demo/serviceaccount/second"
    assert management.ok(key, "POST", f"{second}/-addKey", {"description": "x"})["expires"] is None


def test_personal_access_token_works_for_pulls(management: Management):
    key = management.ok(ADMIN, "POST", f"{ANN}/-addKey", {"description": "x"})["key"]
    management.push("demo/app", "v1")
    management.policy("ann", "image", "//user/ann@example.com", "pull")
    management.world.keys["ann"] = key
    pull = management.world.auth("ann", "repository:demo/app:pull")
    assert management.world.registry.get("/v2/demo/app/manifests/v1", headers=pull).status_code == 200


def test_invitations_are_made_one_by_one_and_can_be_repeated(management: Management):
    body = {"emails": ["Bob@Example.com", "no address", "ann@example.com"], "groupLink": "//group/viewers"}
    for _ in range(2):
        told = management.ok(ADMIN, "POST", "/org/demo/user/-invite", body)
        assert told["invitations"] == {
            "Bob@Example.com": "/org/demo/user/bob@example.com",
            "ann@example.com": ANN,
        }
        assert told["errors"].keys() == {"no address"}
    members = management.ok(ADMIN, "GET", "/org/demo/group/viewers")["memberLinks"]
    assert members[-2:] == [ANN, "/org/demo/user/bob@example.com"]
    assert management.ok(ADMIN, "GET", ANN)["version"] == 1
    for group in ("//group/absent", "//user/ann@example.com", "/org/other/group/viewers", "x"):
        refused = management.call(
            ADMIN,
            "POST",
            "/org/demo/user/-invite",
            {**body, "emails": ["eve@example.com"], "groupLink": group},
        )
        assert refused.status_code in (400, 404)
    assert management.call(ADMIN, "GET", "/org/demo/user/eve@example.com").status_code == 404


def test_invitation_into_a_group_takes_a_right_to_the_group(management: Management):
    management.account("demo", "host")
    management.policy("host", "user", "//serviceaccount/host", "invite")
    body = {"emails": ["eve@example.com"], "groupLink": "//group/superusers"}
    assert management.call("demo/host", "POST", "/org/demo/user/-invite", body).status_code == 403
    assert management.call(ADMIN, "GET", "/org/demo/user/eve@example.com").status_code == 404
    assert (
        management.call(
            "demo/host", "POST", "/org/demo/user/-invite", {"emails": ["eve@example.com"]}
        ).status_code
        == 200
    )


def test_users_are_not_made_by_name(management: Management):
    for method in ("POST", "PUT"):
        refused = management.call(ADMIN, method, "/org/demo/user", {"name": "eve@example.com"})
        assert refused.status_code == 405
        assert "GET" in refused.headers["allow"]


@pytest.mark.parametrize(
    "email",
    [
        "ann",
        "ann@",
        "@example.com",
        "ann@exa mple.com",
        "änn@example.com",
        "ann@example.com/x",
        "a" * 300 + "@example.com",
    ],
)
def test_no_address_is_no_user(management: Management, email):
    assert management.ok(ADMIN, "POST", "/org/demo/user/-invite", {"emails": [email]})["errors"].keys() == {
        email
    }


RULE = {"issuer": "https://token.actions.githubusercontent.com", "claims": {"sub": "repo:acme/app:*"}}


def test_identity_keeps_its_trust_rules_and_refuses_those_that_trust_everybody(management: Management):
    management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": "apps"})
    path = "/org/demo/gvc/apps/identity"
    made = management.ok(ADMIN, "POST", path, {"name": "web", "trust": [RULE]})
    assert (made["kind"], made["gvc"], made["name"], made["trust"]) == ("identity", "apps", "web", [RULE])
    trust: object
    for trust in (
        [{"issuer": RULE["issuer"], "claims": {"sub": "*"}}],
        [{"issuer": "http://10.0.0.1", "claims": {"sub": "x"}}],
        [{"issuer": "https://169.254.169.254/", "claims": {"sub": "x"}}],
        [{"claims": {}}],
        [RULE] * 11,
        {},
        ["x"],
    ):
        for method, place in (("PATCH", f"{path}/web"), ("PUT", path)):
            assert (
                management.call(ADMIN, method, place, {"name": "web", "trust": trust}).status_code == 400
            ), trust
    assert management.ok(ADMIN, "GET", f"{path}/web") == made


def test_trust_rules_are_changed_and_removed_by_name(management: Management):
    management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": "apps"})
    main, release = {"name": "main", **RULE}, {"name": "release", **RULE, "audience": "x"}
    management.ok(
        ADMIN, "POST", "/org/demo/gvc/apps/identity", {"name": "web", "trust": [main, release, RULE]}
    )
    path = "/org/demo/gvc/apps/identity/web"
    change = {"name": "release", "audience": None, "claims": {"sub": "repo:acme/app:ref:refs/tags/*"}}
    changed = management.ok(ADMIN, "PATCH", path, {"$patch/trust": [change]})
    assert changed["trust"] == [main, {"name": "release", **RULE, "claims": change["claims"]}, RULE]
    wrong: object
    for wrong in (
        {"$patch/trust": [{"name": "absent", "audience": "x"}]},
        {"$patch/trust": [{"audience": "x"}]},
        {"$patch/trust": [{"name": "main", "claims": {"sub": None}}]},
        {"$patch/trust": [{"name": "main", "issuers": "x"}]},
        {"$drop/trust": ["absent"]},
        {"trust": [main, main]},
        {"trust": [{**RULE, "name": "No Name"}]},
    ):
        assert management.call(ADMIN, "PATCH", path, wrong).status_code == 400, wrong
    assert management.ok(ADMIN, "GET", path) == changed
    assert management.ok(ADMIN, "PATCH", path, {"$drop/trust": ["main"]})["trust"] == changed["trust"][1:]


@pytest.mark.parametrize("path", ["/org/demo/serviceaccount/admin", "/org/demo/serviceaccount/viewer"])
def test_key_is_not_changed_and_the_refusal_says_what_to_do(management: Management, path):
    keys = management.ok(ADMIN, "GET", path)["keys"]
    change = {"$patch/keys": [{"name": keys[0]["name"], "description": "other"}]}
    refused = management.call(ADMIN, "PATCH", path, change)
    assert refused.status_code == 400
    assert "$drop/keys" in refused.json()["message"]
    assert management.ok(ADMIN, "GET", path)["keys"][0]["description"] == keys[0]["description"]
