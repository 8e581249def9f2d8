"""Who may do what on an image, and why or why not."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.access_reports import access_report, explain
from moorage.domain.digests import Digest
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission, permissions_of
from moorage.domain.policies import Allow, Policy, built_in_policies, decide, validate_policy
from moorage.domain.resources import Kind, ResourceRecord
from moorage.domain.targets import Resource

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROBOT, JANE = "/org/acme/serviceaccount/robot", "/org/acme/user/jane@example.com"
TEAM, WEB = "/org/acme/group/team", "/org/acme/gvc/apps/identity/web"
APP = Repository("acme", "app")
IMAGE = Resource.of_image(APP, "v1", Digest.of(b""), {}, {"env": "prod"})
GROUP = Resource.of_record(ResourceRecord(Kind.GROUP, "acme", "team", "id", 1, NOW, NOW))


def policy(name: str, permissions: list[str], who: list[str], kind: str = "image", **target: Any) -> Policy:
    body = {"targetKind": kind, **target, "bindings": [{"permissions": permissions, "principalLinks": who}]}
    spec = validate_policy("acme", body)
    return Policy.parse(ResourceRecord(Kind.POLICY, "acme", name, "id", 1, NOW, NOW, spec=spec))


def query(**term: Any) -> dict[str, Any]:
    return {"spec": {"terms": [term]}}


BY_LINK = policy("by-link", ["pull", "edit"], [ROBOT], targetLinks=["//image/app:v1"])
BY_QUERY = policy("by-query", ["create"], [TEAM, JANE], targetQuery=query(property="repository", value="app"))
BY_TAG = policy("by-tag", ["delete"], [JANE], targetQuery=query(tag="env", value="prod"))
ELSEWHERE = policy("elsewhere", ["manage"], [ROBOT], targetLinks=["//image/app:v2"])
GROUPS = policy("groups", ["view"], [ROBOT], kind="group", target="all")
HELD = [*built_in_policies("acme", Kind.IMAGE), BY_LINK, BY_QUERY, BY_TAG, ELSEWHERE, GROUPS]


def entry(
    principal: str, by: str, granted: list[str], match: str, registry: bool | None = None
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "principalLink": principal,
        "grantingPolicyLink": by,
        "grantedPermissions": granted,
        "match": match,
    }
    return made if registry is None else {**made, "authorizesRegistry": registry}


def test_a_binding_stands_under_every_permission_that_it_yields() -> None:
    report = access_report(IMAGE, HELD, identity_pull=True).to_json(NOW)
    assert {key: report[key] for key in ("kind", "created", "links")} == {
        "kind": "accessreport",
        "created": "2026-01-01T00:00:00.000Z",
        "links": [],
    }
    found = {each["name"]: each["bindings"] for each in report["permissions"]}
    assert [each["name"] for each in report["permissions"]] == [
        "create",
        "delete",
        "edit",
        "manage",
        "pull",
        "view",
    ]
    assert all(each["description"] for each in report["permissions"])
    super_, viewers = "/org/acme/group/superusers", "/org/acme/group/viewers"
    link = "/org/acme/policy/"

    def superusers(registry: bool | None = None) -> dict[str, Any]:
        return entry(super_, f"{link}superusers-image", ["manage"], "all", registry)

    assert found["create"] == [
        superusers(True),
        entry(TEAM, f"{link}by-query", ["create"], "query", True),
        entry(JANE, f"{link}by-query", ["create"], "query", True),
    ]
    assert found["delete"] == [superusers(True), entry(JANE, f"{link}by-tag", ["delete"], "query", False)]
    assert found["edit"] == [superusers(), entry(ROBOT, f"{link}by-link", ["edit", "pull"], "link")]
    assert found["manage"] == [superusers()]
    identities = "/org/acme/gvc/*/identity/*"
    assert found["pull"] == [
        superusers(True),
        entry(ROBOT, f"{link}by-link", ["edit", "pull"], "link", False),
        entry(TEAM, f"{link}by-query", ["create"], "query", True),
        entry(JANE, f"{link}by-query", ["create"], "query", True),
        entry(identities, "/org/acme", ["pull"], "all", True),
    ]
    assert found["view"] == [
        superusers(),
        entry(viewers, f"{link}viewers-image", ["view"], "all"),
        entry(ROBOT, f"{link}by-link", ["edit", "pull"], "link"),
        entry(TEAM, f"{link}by-query", ["create"], "query"),
        entry(JANE, f"{link}by-query", ["create"], "query"),
        entry(identities, "/org/acme", ["pull"], "all"),
    ]


def test_identities_are_shown_only_where_they_may() -> None:
    assert "identity/*" not in str(access_report(IMAGE, HELD).to_json(NOW))
    assert "identity/*" not in str(access_report(GROUP, HELD, identity_pull=True).to_json(NOW))
    assert access_report(GROUP, HELD).grants[Permission.VIEW][0].policy == GROUPS.link
    assert access_report(GROUP, HELD).grants[Permission.DELETE] == ()


def test_an_explanation_names_every_grant_and_how_it_comes() -> None:
    told = explain(Permission.CREATE, IMAGE, JANE, [TEAM], HELD).to_json()
    assert told == {
        "kind": "explanation",
        "permission": "create",
        "principalLink": JANE,
        "decidedFor": "repository",
        "allowed": True,
        "grants": [
            entry(JANE, BY_QUERY.link, ["create"], "query", True),
            entry(TEAM, BY_QUERY.link, ["create"], "query", True),
        ],
        "reason": "",
        "nearMisses": [],
        "links": [],
    }
    told = explain(Permission.DELETE, IMAGE, JANE, [], HELD).to_json()
    assert (told["allowed"], told["decidedFor"]) == (True, "image")
    assert told["grants"] == [entry(JANE, BY_TAG.link, ["delete"], "query", False)]


def test_an_explanation_names_what_is_missing() -> None:
    told = explain(Permission.PULL, IMAGE, ROBOT, [], HELD).to_json()
    assert (told["allowed"], told["grants"]) == (False, [])
    assert [miss["policy"] for miss in told["nearMisses"]] == ["by-link", "elsewhere"]
    assert told["reason"] == told["nearMisses"][0]["reason"]
    assert "a link never selects a repository" in told["reason"]
    nobody = explain(Permission.PULL, IMAGE, "/org/acme/serviceaccount/other", [], HELD)
    assert (nobody.allowed, nobody.misses) == (False, ())
    assert nobody.reason.startswith("no policy on image")


def test_an_identity_pulls_by_the_setting_of_its_organisation() -> None:
    told = explain(Permission.PULL, IMAGE, WEB, [], HELD, identity_pull=True)
    assert [grant.to_json() for grant in told.grants] == [entry(WEB, "/org/acme", ["pull"], "all", True)]
    assert not explain(Permission.PULL, IMAGE, WEB, [], HELD).allowed
    assert not explain(Permission.CREATE, IMAGE, WEB, [], HELD, identity_pull=True).allowed
    foreign = WEB.replace("acme", "other")
    assert not explain(Permission.PULL, IMAGE, foreign, [], HELD, identity_pull=True).allowed


principals = st.sampled_from([ROBOT, JANE, WEB, "/org/other/serviceaccount/robot"])
groups = st.sets(st.sampled_from([TEAM, "/org/acme/group/superusers", "/org/acme/group/viewers"]))


@given(
    st.sampled_from([info.permission for info in permissions_of(Kind.IMAGE)]),
    principals,
    groups,
    st.lists(st.sampled_from(HELD), unique=True),
    st.booleans(),
)
def test_report_and_explanation_say_what_is_decided(
    permission: Permission, principal: str, held_groups: set[str], held: list[Policy], identity_pull: bool
) -> None:
    names = frozenset({principal, *held_groups})
    decided_for = Resource.of_repository(APP) if permission in ("pull", "create") else IMAGE
    decision = decide(permission, decided_for, names, held, identity_pull=identity_pull)
    told = explain(permission, IMAGE, principal, held_groups, held, identity_pull=identity_pull)
    assert told.allowed == isinstance(decision, Allow)
    if not isinstance(decision, Allow):
        assert told.reason == decision.reason
    reported = access_report(IMAGE, held, identity_pull=identity_pull).grants[permission]
    named = {grant for grant in reported if grant.registry is not False or decided_for is IMAGE}
    anyone = identity_pull and principal == WEB and permission in ("pull", "view")
    assert told.allowed == (anyone or any(grant.principal in names for grant in named))
