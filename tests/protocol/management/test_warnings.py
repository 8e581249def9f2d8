"""What is accepted and has no effect: said to who writes it, at a cost that is bounded, and to nobody else."""

from __future__ import annotations

import pytest

from tests.protocol.management.world import Management

ADMIN = "demo/admin"
POLICIES = "/org/demo/policy"


def policy(**changes):
    return {
        "name": "thing",
        "targetKind": "image",
        "target": "all",
        "bindings": [{"permissions": ["view"], "principalLinks": ["//group/viewers"]}],
        **changes,
    }


def many(principals: int, permission: str = "view"):
    """Bindings that name so many accounts, none of which is there."""
    links = [f"//serviceaccount/a{number:05}" for number in range(principals)]
    return [
        {"permissions": [permission], "principalLinks": links[start : start + 200]}
        for start in range(0, principals, 200)
    ]


def test_many_principals_that_are_not_there_are_named_in_part_and_counted(management: Management):
    made = management.ok(ADMIN, "POST", POLICIES, policy(bindings=many(1_000)))
    assert len(made["warnings"]) == 21
    assert "/org/demo/serviceaccount/a00000" in made["warnings"][0]
    assert "980 more" in made["warnings"][-1]
    group = {"name": "people", "memberLinks": [f"//serviceaccount/a{number}" for number in range(30)]}
    assert "10 more" in management.ok(ADMIN, "POST", "/org/demo/group", group)["warnings"][-1]


def test_targets_are_looked_up_together(management: Management):
    management.push("demo/app", "v0")
    digest = management.push("demo/app", "v1")
    links = [f"//image/app:v{number}" for number in range(196)]
    pins = [f"//image/app:v0@{digest}", f"//image/app:v0@sha256:{'0' * 64}", f"//image/app@{digest}"]
    body = policy(target=None, targetLinks=[*links, *pins])
    calls = management.world.faults.calls
    calls.clear()
    made = management.ok(ADMIN, "POST", POLICIES, body)
    assert calls.count("find_images") == 1
    assert "find_image" not in calls
    told = [warning for warning in made["warnings"] if "/org/demo/image/" in warning]
    assert len(told) == 20
    assert f"/org/demo/image/app:v0@sha256:{'0' * 64}" in told[0]
    assert not any(f"app:v{number};" in " ".join(told) for number in (0, 1))
    assert "175 more" in made["warnings"][-1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"targetKind": "quota"}, "no resources of kind quota"),
        ({"targetKind": "auditctx"}, "no resources of kind auditctx"),
        ({"targetKind": "org", "bindings": many(1, "create")}, "bootstrap credential"),
        (
            {
                "targetKind": "gvc",
                "target": None,
                "targetQuery": {"spec": {"terms": [{"property": "version", "value": 1}]}},
                "bindings": many(1, "create"),
            },
            "lets nobody make a gvc",
        ),
        (
            {
                "targetKind": "user",
                "target": None,
                "targetQuery": {"spec": {"terms": [{"tag": "team", "value": "blue"}]}},
                "bindings": many(1, "invite"),
            },
            "lets nobody invite people",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_can_never_grant_is_accepted_and_said(management: Management, changes, said):
    made = management.ok(ADMIN, "POST", POLICIES, policy(**changes))
    assert [said in warning for warning in made["warnings"]].count(True) == 1
    again = management.ok(ADMIN, "PUT", f"{POLICIES}/thing", policy(**changes))
    assert (again["version"], again["warnings"]) == (1, made["warnings"])


def test_who_reads_a_policy_pays_for_no_warnings(management: Management):
    management.ok(ADMIN, "POST", POLICIES, policy(bindings=many(1_000)))
    calls = management.world.faults.calls
    calls.clear()
    assert "warnings" not in management.ok(ADMIN, "GET", f"{POLICIES}/thing")
    assert len(calls) < 10


def test_member_query_on_what_nothing_sets_is_refused(management: Management):
    query = {"spec": {"terms": [{"property": "idp", "value": "x"}]}}
    refused = management.call(ADMIN, "POST", "/org/demo/group", {"name": "people", "memberQuery": query})
    assert (refused.status_code, "email" in refused.json()["message"]) == (400, True)


def test_members_that_a_patch_drops_by_id_are_dropped_by_address(management: Management):
    management.ok(ADMIN, "POST", "/org/demo/user/-invite", {"emails": ["ann@example.com"]})
    ann = management.ok(ADMIN, "GET", "/org/demo/user/ann@example.com")
    for link in (f"//user/{ann['id']}", f"/org/demo/user/{ann['id']}", "//user/Ann@Example.com"):
        members = ["//user/ann@example.com", "//serviceaccount/admin"]
        management.ok(ADMIN, "PUT", "/org/demo/group", {"name": "people", "memberLinks": members})
        left = management.ok(ADMIN, "PATCH", "/org/demo/group/people", {"$drop/memberLinks": [link]})
        assert left["memberLinks"] == ["/org/demo/serviceaccount/admin"]
    wrong: object
    for wrong in (
        ["//user/00000000-0000-0000-0000-000000000000"],
        ["people"],
        [5],
        "x",
        [ann["links"][0]["href"]],
    ):
        refused = management.call(ADMIN, "PATCH", "/org/demo/group/people", {"$drop/memberLinks": wrong})
        assert refused.status_code == 400, wrong


def test_document_names_the_operators_and_the_fields_of_trust_rules(management: Management):
    document = management.ok(None, "GET", "/discovery/openapi.json")
    schemas = document["components"]["schemas"]
    operator = schemas["Term"]["properties"]["op"]
    (reference,) = [each["$ref"] for each in operator.get("allOf", [operator])]
    assert {"=", "!=", "=~", "!exists"} <= set(schemas[reference.rpartition("/")[2]]["enum"])
    assert schemas["TrustRule"]["properties"].keys() == {"name", "issuer", "audience", "claims", "jwks"}
