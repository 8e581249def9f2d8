"""Policies and groups: what they take, what they warn of, and what keeps an organisation from losing itself."""

from __future__ import annotations

import threading

import pytest

from tests.policies.documented import documented
from tests.protocol.management.world import Management

ADMIN = "demo/admin"
SUPERUSERS = "/org/demo/group/superusers"


def policy(**changes):
    return {
        "name": "thing",
        "targetKind": "image",
        "target": "all",
        "bindings": [{"permissions": ["pull"], "principalLinks": ["//group/viewers"]}],
        **changes,
    }


@pytest.fixture
def anybody(management: Management):
    management.account("demo", "robot")
    return management


def test_policy_of_the_documentation_is_applied_as_it_stands(anybody: Management):
    anybody.ok(ADMIN, "POST", "/org/demo/user/-invite", {"emails": ["ann@example.com"]})
    names = {"POLICY_NAME": "pull-app", "IMAGE_NAME": "app", "USER_EMAIL": "ann@example.com"}
    body = documented(**names, SERVICE_ACCOUNT_NAME="robot", ORG="demo")
    for status in (201, 200):
        applied = anybody.call(ADMIN, "PUT", "/org/demo/policy", body)
        assert applied.status_code == status
        assert "warnings" not in applied.json()
        assert applied.json()["version"] == 1
    anybody.push("demo/app", "v1")
    world = anybody.world
    pull = world.auth("demo/robot", "repository:demo/app:pull,push", "repository:demo/other:pull")
    assert world.registry.get("/v2/demo/app/manifests/v1", headers=pull).status_code == 200
    assert world.registry.post("/v2/demo/app/blobs/uploads/", headers=pull).status_code == 403
    assert world.registry.get("/v2/demo/other/manifests/v1", headers=pull).status_code == 403
    allowed = anybody.ok(
        ADMIN, "GET", "/org/demo/image/app:v1/-explain?principal=//user/Ann@example.com&permission=pull"
    )
    assert allowed["allowed"]
    assert [grant["grantingPolicyLink"] for grant in allowed["grants"]] == ["/org/demo/policy/pull-app"]
    # Taken away again, it ends with the next token.
    anybody.ok(ADMIN, "PATCH", "/org/demo/policy/pull-app", {"bindings": []})
    after = world.auth("demo/robot", "repository:demo/app:pull")
    assert world.registry.get("/v2/demo/app/manifests/v1", headers=after).status_code == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"targetKind": "images"},
        {"targetKind": None},
        {"target": "some"},
        {"target": None},
        {"targetLinks": ["//policy/x"]},
        {"targetLinks": ["/org/other/image/app:v1"]},
        {"targetLinks": ["image/app"]},
        {"targetLinks": "x"},
        {"targetLinks": [f"//image/app:v{number}" for number in range(201)]},
        {"targetQuery": {"kind": "policy"}},
        {"targetQuery": {"spec": {"terms": [{"op": "<>", "property": "tag", "value": "x"}]}}},
        {"targetQuery": {"spec": {"terms": [{"property": "tag", "tag": "b", "value": "x"}]}}},
        {"targetQuery": {"spec": {"terms": [{"property": "owner", "value": "x"}]}}},
        {"targetQuery": {"spec": {"terms": [{"property": "tag", "value": "x" * 2000}]}}},
        {"targetQuery": {"spec": {"terms": [{"property": "tag", "op": "=~", "value": "("}]}}},
        {"targetQuery": {"spec": {"terms": [{"property": "tag", "value": "x"}] * 101}}},
        {"bindings": {}},
        {"bindings": [{"permissions": ["pul"], "principalLinks": ["//group/viewers"]}]},
        {"bindings": [{"permissions": [], "principalLinks": ["//group/viewers"]}]},
        {"bindings": [{"permissions": ["pull"], "principalLinks": []}]},
        {"bindings": [{"permissions": ["pull"], "principalLinks": ["//identity/x"]}]},
        {"bindings": [{"permissions": ["pull"], "principalLinks": ["//image/app:v1"]}]},
        {
            "bindings": [
                {"permissions": ["pull"], "principalLinks": ["//user/00000000-0000-0000-0000-000000000000"]}
            ]
        },
        {"bindings": [{"permissions": ["pull"], "principalLinks": ["//group/viewers"]}] * 1000},
        {"bindings": [{"permissions": ["pull"], "principalLinks": ["//group/viewers"] * 201}]},
        {"bindings": [{"permissions": ["pull"], "principalLinks": ["//group/viewers"], "x": 1}]},
        {"binding": []},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_policy_that_is_wrong_is_refused_whole(management: Management, changes):
    refused = management.call(ADMIN, "POST", "/org/demo/policy", policy(**changes))
    assert refused.status_code == 400, refused.text
    assert management.call(ADMIN, "GET", "/org/demo/policy/thing").status_code == 404


def test_what_can_never_grant_is_said_in_the_answer(management: Management):
    answer = management.ok(
        ADMIN,
        "POST",
        "/org/demo/policy",
        policy(
            target=None,
            targetLinks=["//image/app:v1"],
            bindings=[
                {
                    "permissions": ["pull"],
                    "principalLinks": ["//serviceaccount/ghost", "/org/other/group/theirs"],
                }
            ],
        ),
    )
    text = " ".join(answer["warnings"])
    assert "/org/demo/serviceaccount/ghost" in text
    assert "/org/demo/image/app:v1" in text
    assert "never authorise" in text
    # Whether another organisation has such a principal is not ours to tell.
    assert "/org/other" not in text
    assert management.ok(ADMIN, "PATCH", "/org/demo/policy/thing", {})["warnings"] == answer["warnings"]


def test_new_principal_of_a_name_that_policies_name_already_is_made_with_a_warning(management: Management):
    management.policy("waiting", "image", "//serviceaccount/robot", "pull")
    made = management.ok(ADMIN, "POST", "/org/demo/serviceaccount", {"name": "robot"})
    assert ["/org/demo/policy/waiting" in warning for warning in made["warnings"]] == [True]


def test_new_principal_is_told_only_how_many_that_its_maker_may_not_see_name_it(management: Management):
    management.account("demo", "maker")
    for name in ("one", "two", "three"):
        management.policy(name, "image", "//serviceaccount/robot", "pull")
    management.ok(
        ADMIN, "POST", "/org/demo/group", {"name": "hidden", "memberLinks": ["//serviceaccount/robot"]}
    )
    management.policy("makes", "serviceaccount", "//serviceaccount/maker", "create")
    management.policy("sees", "policy", "//serviceaccount/maker", "view", targetLinks=["//policy/two"])
    made = management.ok("demo/maker", "POST", "/org/demo/serviceaccount", {"name": "robot"})
    shown, counted = made["warnings"]
    assert shown.startswith("/org/demo/policy/two names /org/demo/serviceaccount/robot already")
    assert "(3) name /org/demo/serviceaccount/robot already" in counted
    assert not {"/one", "/three", "/hidden"} & {
        word for word in ("/one", "/three", "/hidden") if word in counted
    }


def test_who_may_delete_a_principal_is_told_only_how_many_that_it_may_not_see_name_it(management: Management):
    management.account("demo", "janitor")
    management.account("demo", "robot", "viewers")
    for name in ("one", "two"):
        management.policy(name, "image", "//serviceaccount/robot", "pull")
    management.policy("deletes", "serviceaccount", "//serviceaccount/janitor", "delete")
    kept = management.call("demo/janitor", "DELETE", "/org/demo/serviceaccount/robot")
    assert (kept.status_code, kept.json()["code"]) == (409, "InUse")
    assert kept.json()["details"]["links"] == []
    assert kept.json()["message"].startswith("3 of")
    management.policy("sees", "policy", "//serviceaccount/janitor", "view", targetLinks=["//policy/two"])
    kept = management.call("demo/janitor", "DELETE", "/org/demo/serviceaccount/robot")
    assert kept.json()["details"]["links"] == [{"rel": "policy", "href": "/org/demo/policy/two"}]
    assert "/one" not in kept.text


def test_target_kind_of_a_policy_stays(management: Management):
    management.ok(ADMIN, "POST", "/org/demo/policy", policy())
    refused = management.call(
        ADMIN, "PATCH", "/org/demo/policy/thing", {"targetKind": "group", "bindings": []}
    )
    assert refused.status_code == 400


def test_users_may_be_named_by_id_and_stay_named_by_address(management: Management):
    management.ok(ADMIN, "POST", "/org/demo/user/-invite", {"emails": ["Ann@Example.com"]})
    ann = management.ok(ADMIN, "GET", "/org/demo/user/-for/email/ann@example.com")
    link = f"//user/{ann['id']}"
    bindings = [{"permissions": ["pull"], "principalLinks": [link, "//user/ann@example.com"]}]
    made = management.ok(ADMIN, "POST", "/org/demo/policy", policy(bindings=bindings))
    assert made["bindings"][0]["principalLinks"] == ["/org/demo/user/ann@example.com"]
    group = management.ok(ADMIN, "POST", "/org/demo/group", {"name": "people", "memberLinks": [link]})
    assert group["memberLinks"] == ["/org/demo/user/ann@example.com"]


@pytest.mark.parametrize("name", ["superusers-image", "viewers-policy"])
def test_built_in_policies_are_shown_and_locked(management: Management, name):
    shown = management.ok(ADMIN, "GET", f"/org/demo/policy/{name}")
    assert (shown["origin"], shown["target"]) == ("builtin", "all")
    path = f"/org/demo/policy/{name}"
    for method, place, body in (
        ("PATCH", path, {"bindings": []}),
        ("PUT", path, policy(name=name)),
        ("PUT", "/org/demo/policy", policy(name=name)),
        ("POST", "/org/demo/policy", policy(name=name)),
        ("DELETE", path, None),
    ):
        refused = management.call(ADMIN, method, place, body)
        assert (refused.status_code, refused.json()["code"]) == (403, "ResourceProtected"), (
            method,
            refused.text,
        )


@pytest.mark.parametrize("group", ["superusers", "viewers"])
def test_built_in_groups_are_not_deleted(management: Management, group):
    refused = management.call(ADMIN, "DELETE", f"/org/demo/group/{group}?force=true")
    assert (refused.status_code, refused.json()["code"]) == (403, "ResourceProtected")


@pytest.mark.parametrize(
    "body",
    [
        {"memberLinks": ["//group/thing"]},
        {"memberLinks": ["//group/viewers"]},
        {"memberLinks": ["//gvc/apps/identity/web"]},
        {"memberLinks": ["/org/other/serviceaccount/admin"]},
        {"memberLinks": [f"//serviceaccount/robot{number}" for number in range(201)]},
        {"memberLinks": [5]},
        {"memberLinks": {}},
        {"memberQuery": {"kind": "group"}},
        {"memberQuery": {}},
        {"identityMatcher": {"language": "jmespath", "expression": "x"}},
    ],
    ids=lambda body: str(body)[:50],
)
def test_group_that_is_wrong_is_refused(management: Management, body):
    refused = management.call(ADMIN, "POST", "/org/demo/group", {"name": "thing", **body})
    assert refused.status_code == 400, refused.text


def test_members_by_query_have_what_the_group_has(management: Management):
    management.ok(ADMIN, "POST", "/org/demo/user/-invite", {"emails": ["ann@example.com"]})
    key = management.ok(ADMIN, "POST", "/org/demo/user/ann@example.com/-addKey", {"description": "first"})[
        "key"
    ]
    query = {"spec": {"terms": [{"tag": "team", "value": "blue"}]}}
    management.ok(ADMIN, "POST", "/org/demo/group", {"name": "blue", "memberQuery": query})
    management.policy("blue-sees", "gvc", "//group/blue", "view")
    management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": "apps"})
    assert management.call(key, "GET", "/org/demo/gvc/apps").status_code == 403
    management.ok(ADMIN, "PATCH", "/org/demo/user/ann@example.com", {"tags": {"team": "blue"}})
    assert management.call(key, "GET", "/org/demo/gvc/apps").status_code == 200


def test_nobody_leaves_superusers_by_themselves_and_one_always_stays(management: Management):
    second = management.account("demo", "second", "superusers")
    for body in ({"memberLinks": [second]}, {"$drop/memberLinks": ["/org/demo/serviceaccount/admin"]}):
        refused = management.call(ADMIN, "PATCH", SUPERUSERS, body)
        assert (refused.status_code, refused.json()["code"]) == (409, "Conflict")
    management.ok("demo/second", "PATCH", SUPERUSERS, {"memberLinks": [second]})
    wrong: object
    for wrong in ({"memberLinks": []}, {"memberLinks": None}, {"memberLinks": ["//serviceaccount/ghost"]}):
        assert management.call("demo/second", "PATCH", SUPERUSERS, wrong).status_code == 409
    refused = management.call("demo/second", "DELETE", "/org/demo/serviceaccount/second?force=true")
    assert refused.status_code == 409
    assert management.ok("demo/second", "GET", SUPERUSERS)["memberLinks"] == [second]


def test_two_superusers_who_remove_each_other_at_once_leave_one(management: Management):
    links = {
        "demo/admin": "/org/demo/serviceaccount/admin",
        "demo/second": management.account("demo", "second", "superusers"),
    }
    for _ in range(10):
        statuses: list[int] = []

        def remove(who: str, whom: str, statuses: list[int] = statuses) -> None:
            statuses.append(
                management.call(who, "PATCH", SUPERUSERS, {"$drop/memberLinks": [links[whom]]}).status_code
            )

        pairs = [("demo/admin", "demo/second"), ("demo/second", "demo/admin")]
        threads = [threading.Thread(target=remove, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        table = management.world.table
        left = table.find("group", "demo", "superusers").spec["memberLinks"]  # type: ignore[arg-type, union-attr]
        assert len(left) == 1, statuses
        (stayed,) = [who for who, link in links.items() if link in left]
        management.ok(stayed, "PATCH", SUPERUSERS, {"memberLinks": list(links.values())})


@pytest.mark.parametrize(
    ("kind", "body"), [("serviceaccount", {}), ("group", {"memberLinks": ["//serviceaccount/admin"]})]
)
def test_what_policies_name_is_kept_unless_it_is_taken_out_of_them(management: Management, kind, body):
    management.ok(ADMIN, "POST", f"/org/demo/{kind}", {"name": "thing", **body})
    link = f"/org/demo/{kind}/thing"
    management.policy("only", "image", link, "pull")
    bindings = [
        {"permissions": ["view"], "principalLinks": [link, "//group/viewers"]},
        {"permissions": ["edit"], "principalLinks": [link]},
    ]
    management.ok(ADMIN, "POST", "/org/demo/policy", policy(name="both", targetKind="gvc", bindings=bindings))
    kept = management.call(ADMIN, "DELETE", link)
    assert (kept.status_code, kept.json()["code"]) == (409, "InUse")
    assert sorted(each["href"] for each in kept.json()["details"]["links"]) == [
        "/org/demo/policy/both",
        "/org/demo/policy/only",
    ]
    # Who may not change the policies cannot force it, and nothing is half done.
    management.account("demo", "janitor")
    management.policy("janitor", kind, "//serviceaccount/janitor", "delete")
    assert management.call("demo/janitor", "DELETE", f"{link}?force=true").status_code == 403
    assert management.ok(ADMIN, "GET", "/org/demo/policy/only")["bindings"]
    assert management.call(ADMIN, "DELETE", f"{link}?force=true").status_code == 204
    assert management.ok(ADMIN, "GET", "/org/demo/policy/only")["bindings"] == []
    both = management.ok(ADMIN, "GET", "/org/demo/policy/both")["bindings"]
    assert both == [{"permissions": ["view"], "principalLinks": ["/org/demo/group/viewers"]}]
    again = management.ok(ADMIN, "POST", f"/org/demo/{kind}", {"name": "thing", **body})
    assert "warnings" not in again


def test_policies_of_a_principal_are_those_that_the_caller_may_see(management: Management):
    management.account("demo", "robot")
    management.policy("images", "image", "//serviceaccount/robot", "pull")
    management.policy("groups", "group", "//serviceaccount/robot", "view")
    told = management.ok(ADMIN, "GET", "/org/demo/serviceaccount/robot/-policies")
    assert told["kind"] == "policymembership"
    assert [(each["link"], each["targetKind"]) for each in told["policies"]] == [
        ("/org/demo/policy/images", "image"),
        ("/org/demo/policy/groups", "group"),
    ]
    assert management.ok("demo/robot", "GET", "/org/demo/serviceaccount/robot/-policies")["policies"] == []


def test_reports_take_a_right_to_all_policies_and_say_what_policies_can_do(management: Management):
    management.account("demo", "robot")
    management.policy("some", "policy", "//serviceaccount/robot", "view", targetLinks=["//policy/some"])
    report = management.ok(ADMIN, "GET", "/org/demo/policy/some/-accessreport")
    assert "any permission" in report["note"]
    assert "can join it" in management.ok(ADMIN, "GET", f"{SUPERUSERS}/-accessreport")["note"]
    for name in ("gvc", "gvc/apps/identity"):
        management.ok(ADMIN, "POST", f"/org/demo/{name}", {"name": "apps"})
    note = management.ok(ADMIN, "GET", "/org/demo/gvc/apps/identity/apps/-accessreport")["note"]
    assert "create" in note
    assert "pulls every image" in note
    assert [each["name"] for each in report["permissions"]] == ["create", "delete", "edit", "manage", "view"]
    assert management.ok("demo/robot", "GET", "/org/demo/policy/some")["name"] == "some"
    for action in ("-accessreport", "-explain?principal=//serviceaccount/robot&permission=view"):
        assert management.call("demo/robot", "GET", f"/org/demo/policy/some/{action}").status_code == 403
    view = "/org/demo/policy/some/-explain?principal=//serviceaccount/{}&permission={}"
    assert management.ok(ADMIN, "GET", view.format("robot", "view"))["allowed"]
    denied = management.ok(ADMIN, "GET", view.format("robot", "edit"))
    assert (denied["allowed"], [miss["policy"] for miss in denied["nearMisses"]]) == (False, ["some"])
    assert "does not exist" in management.ok(ADMIN, "GET", view.format("ghost", "view"))["reason"]
    assert management.call(ADMIN, "GET", view.format("robot", "pull")).status_code == 400


def test_nothing_is_explained_of_principals_of_another_organisation(management: Management):
    management.account("other", "robot", "superusers")
    members = {"name": "secret", "memberLinks": ["//serviceaccount/robot"]}
    management.ok("other/admin", "POST", "/org/other/group", members)
    management.policy("by-group", "image", "/org/other/group/secret", "pull")
    management.policy("by-name", "image", "/org/other/serviceaccount/robot", "pull")
    management.push("demo/app", "v1")
    world = management.world
    told = set()
    for name in ("serviceaccount/robot", "serviceaccount/ghost", "group/secret", "user/ann@example.com"):
        for org in ("other", "absent"):
            asked = f"-explain?principal=/org/{org}/{name}&permission=pull"
            for place in ("/org/demo/image/app:v1", "/org/demo/image/new:v1"):
                world.faults.calls.clear()
                refused = management.call(ADMIN, "GET", f"{place}/{asked}")
                assert refused.status_code == 400
                assert "group_hints" not in world.faults.calls
                told.add(refused.json()["message"])
    assert len(told) == 1
    # Whom policies name is in the report, whoever it is.
    report = management.ok(ADMIN, "GET", "/org/demo/image/app:v1/-accessreport")
    (pull,) = [each["bindings"] for each in report["permissions"] if each["name"] == "pull"]
    named = {each["principalLink"] for each in pull}
    assert {"/org/other/group/secret", "/org/other/serviceaccount/robot"} <= named
