"""Policies: what is one, who makes which, and what a refusal says."""

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage.domain.digests import Digest
from moorage.domain.errors import InvalidInput
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission, implied, parse_permission, permissions_of
from moorage.domain.policies import (
    IDENTITY_PULL,
    Allow,
    Binding,
    Decision,
    Deny,
    Policy,
    built_in_policies,
    built_in_record,
    decide,
    is_built_in,
    validate_policy,
)
from moorage.domain.policy_warnings import absent_principal, absent_target, first_of, warnings_of
from moorage.domain.resources import Kind, Origin, ResourceRecord
from moorage.domain.targets import Resource, Selection, Target
from tests.policies.documented import documented

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = Digest.of(b"")
ROBOT, TEAM = "/org/acme/serviceaccount/robot", "/org/acme/group/team"
APP = Resource.of_repository(Repository("acme", "app"))
BINDING = {"permissions": ["pull"], "principalLinks": ["//serviceaccount/robot"]}


def by_repository(*terms: dict[str, Any], match: str = "all") -> dict[str, Any]:
    return {"spec": {"match": match, "terms": list(terms) or [{"property": "repository", "value": "app"}]}}


def body(**fields: Any) -> dict[str, Any]:
    return {"targetKind": "image", "target": "all", "bindings": [BINDING], **fields}


def policy(name: str = "one", **fields: Any) -> Policy:
    spec = validate_policy("acme", body(**fields))
    return Policy.parse(ResourceRecord(Kind.POLICY, "acme", name, "id", 1, NOW, NOW, spec=spec))


def image(tag: str = "v1", **tags: str) -> Resource:
    return Resource.of_image(Repository("acme", "app"), tag, DIGEST, {"version": 1}, tags)


def test_the_policy_of_the_documentation_is_taken_as_it_stands() -> None:
    names = {"POLICY_NAME": "pullers", "IMAGE_NAME": "app", "USER_EMAIL": "Jane@example.com"}
    sent = documented(**names, SERVICE_ACCOUNT_NAME="robot", ORG="acme")
    sent["bindings"][0]["principalLinks"][1] = "//serviceaccount/robot"
    spec = validate_policy("acme", sent)
    assert spec == {
        "targetKind": "image",
        "targetLinks": [],
        "targetQuery": sent["targetQuery"],
        "bindings": [{"permissions": ["pull"], "principalLinks": ["/org/acme/user/jane@example.com", ROBOT]}],
    }
    assert validate_policy("acme", spec, Kind.IMAGE) == spec
    read = Policy.parse(ResourceRecord(Kind.POLICY, "acme", "pullers", "id", 1, NOW, NOW, spec=spec))
    assert read.link == "/org/acme/policy/pullers"
    assert read.principals == {"/org/acme/user/jane@example.com", ROBOT}
    assert warnings_of(read) == ()
    for permission, repository, may in [
        ("pull", "app", True),
        ("view", "app", True),
        ("create", "app", False),
        ("delete", "app", False),
        ("pull", "apps", False),
        ("pull", "app/app", False),
    ]:
        resource = Resource.of_repository(Repository("acme", repository))
        decision = decide(Permission(permission), resource, frozenset({ROBOT}), [read])
        assert decision == Allow("pullers", 0) if may else isinstance(decision, Deny)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"targetKind": None}, "targetKind is one of"),
    ({"targetKind": "images"}, "targetKind is one of"),
    ({"targetKind": ["image"]}, "targetKind is one of"),
    ({"target": "some"}, "target is 'all' or absent"),
    ({"target": True}, "target is 'all' or absent"),
    ({"target": ["all"]}, "target is 'all' or absent"),
    ({"target": None}, "selects nothing"),
    ({"target": None, "targetLinks": []}, "selects nothing"),
    ({"target": None, "targetQuery": {}}, "has no terms"),
    ({"targetQuery": {"spec": {"terms": []}}}, "has no terms"),
    ({"targetQuery": []}, "targetQuery is an object"),
    ({"targetQuery": {"kind": "group", **by_repository()}}, "the query is about image"),
    (
        {"targetQuery": by_repository({"property": "repo", "value": "x"})},
        "targetQuery.spec.terms[0].property",
    ),
    ({"targetLinks": "//image/app:v1"}, "targetLinks is a list"),
    ({"targetLinks": {"a": 1}}, "targetLinks is a list"),
    ({"targetLinks": ["//image/app:v1"] * 201}, "at most 200"),
    ({"targetLinks": ["//image/App:v1"]}, "'//image/App:v1' has not the form"),
    ({"targetLinks": ["//group/app"]}, "kind group, not image"),
    ({"targetLinks": ["/org/other/image/app:v1"]}, "leads out of"),
    ({"targetLinks": [None]}, "a link is a string"),
    ({"bindings": {}}, "bindings is a list"),
    ({"bindings": "x"}, "bindings is a list"),
    ({"bindings": [BINDING] * 51}, "at most 50"),
    ({"bindings": [BINDING] * 1000}, "at most 50"),
    ({"bindings": [BINDING, None]}, "bindings[1] is an object"),
    ({"bindings": [{**BINDING, "roles": []}]}, "bindings[0] has no field 'roles'"),
    ({"bindings": [{"principalLinks": [ROBOT]}]}, "at least one permission"),
    ({"bindings": [{**BINDING, "permissions": []}]}, "at least one permission"),
    ({"bindings": [{**BINDING, "permissions": "pull"}]}, "at least one permission"),
    (
        {"bindings": [{**BINDING, "permissions": ["pull", "push"]}]},
        "permissions[1] is no permission on image",
    ),
    ({"bindings": [{**BINDING, "permissions": ["Pull"]}]}, "create, delete, edit, manage, pull, view"),
    ({"bindings": [{**BINDING, "permissions": [None]}]}, "is no permission"),
    ({"bindings": [{**BINDING, "permissions": [["pull"]]}]}, "is no permission"),
    ({"bindings": [{**BINDING, "permissions": ["addKey"]}]}, "is no permission on image"),
    ({"bindings": [{"permissions": ["pull"]}]}, "list of 1 to 200 links"),
    ({"bindings": [{**BINDING, "principalLinks": []}]}, "list of 1 to 200 links"),
    ({"bindings": [{**BINDING, "principalLinks": ROBOT}]}, "list of 1 to 200 links"),
    ({"bindings": [{**BINDING, "principalLinks": [ROBOT] * 201}]}, "list of 1 to 200 links"),
    ({"bindings": [{**BINDING, "principalLinks": [ROBOT, "*"]}]}, "bindings[0].principalLinks[1]"),
    ({"bindings": [{**BINDING, "principalLinks": ["//image/app"]}]}, "names no principal"),
    ({"bindings": [{**BINDING, "principalLinks": ["//identity/web"]}]}, "gvc/GVC/identity/NAME"),
]


@pytest.mark.parametrize(("fields", "reason"), REFUSED)
def test_what_is_no_policy_is_refused_and_said_why(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_policy("acme", body(**fields))
    assert reason in caught.value.message
    assert len(caught.value.message) < 600


def test_limits_are_taken_and_repetitions_are_not_kept() -> None:
    links = [f"//image/app:v{number}" for number in range(200)]
    names = [f"//serviceaccount/robot-{number}" for number in range(200)]
    bindings = [{"permissions": ["pull", "view", "pull"], "principalLinks": names}] * 50
    spec = validate_policy("acme", body(targetLinks=links, bindings=bindings))
    assert (len(spec["targetLinks"]), len(spec["bindings"])) == (200, 50)
    assert spec["bindings"][0]["permissions"] == ["pull", "view"]
    twice = body(targetLinks=["//image/app", "/org/acme/image/app:latest"])
    assert validate_policy("acme", twice)["targetLinks"] == ["/org/acme/image/app:latest"]
    assert validate_policy("acme", body(bindings=None))["bindings"] == []


def test_a_policy_keeps_its_kind() -> None:
    assert validate_policy("acme", body(), Kind.IMAGE)["targetKind"] == "image"
    with pytest.raises(InvalidInput, match="targetKind stays group"):
        validate_policy("acme", body(), Kind.GROUP)


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_has_its_permissions(kind: Kind) -> None:
    for info in permissions_of(kind):
        assert parse_permission(kind, info.permission.value, "it") is info.permission
        assert implied(kind).get(info.permission, frozenset()) == info.implies
    for name in ("pull", "addKey", "invite", "readAudit"):
        if name not in [info.permission.value for info in permissions_of(kind)]:
            with pytest.raises(InvalidInput, match=f"it is no permission on {kind}"):
                parse_permission(kind, name, "it")


@pytest.mark.parametrize("kind", Kind)
def test_superusers_may_do_all_and_viewers_may_look(kind: Kind) -> None:
    held = built_in_policies("acme", kind)
    resource = Resource.of_record(ResourceRecord(kind, "acme", "x", "id", 1, NOW, NOW))
    foreign = Resource.of_record(ResourceRecord(kind, "other", "x", "id", 1, NOW, NOW))
    for info in permissions_of(kind):
        view = info.permission is Permission.VIEW
        for group, may in (("superusers", True), ("viewers", view), ("others", False)):
            who = frozenset({f"/org/acme/group/{group}"})
            decision = decide(info.permission, resource, who, held)
            assert decision == Allow(f"{group}-{kind}", 0) if may else isinstance(decision, Deny)
            assert isinstance(decide(info.permission, foreign, who, held), Deny)
            stranger = frozenset({f"/org/other/group/{group}"})
            assert isinstance(decide(info.permission, resource, stranger, held), Deny)


@pytest.mark.parametrize("kind", Kind)
def test_built_in_policies_are_records_that_nobody_stores(kind: Kind) -> None:
    ids = set()
    for made in built_in_policies("acme", kind):
        record = built_in_record("acme", made.name, NOW)
        assert record is not None
        assert Policy.parse(record) == made
        assert validate_policy("acme", record.spec) == record.spec
        assert (record.origin, record.version) == (Origin.BUILT_IN, 1)
        assert is_built_in(made.name)
        assert record == built_in_record("acme", made.name, NOW)
        ids |= {record.id, getattr(built_in_record("other", made.name, NOW), "id", None)}
    assert len(ids) == 4


@pytest.mark.parametrize(
    "name", ["superusers", "superusers-", "superusers-images", "viewer-image", "x-image", "viewers-image-2"]
)
def test_other_names_are_free(name: str) -> None:
    assert not is_built_in(name)
    assert built_in_record("acme", name, NOW) is None


def test_without_policies_or_principals_nothing_is_allowed() -> None:
    everything = policy(bindings=[{"permissions": ["manage"], "principalLinks": [TEAM]}])
    for info in permissions_of(Kind.IMAGE):
        assert decide(info.permission, APP, frozenset({TEAM}), [everything]) == Allow("one", 0)
        assert isinstance(decide(info.permission, APP, frozenset({TEAM}), ()), Deny)
        assert isinstance(decide(info.permission, APP, frozenset(), [everything]), Deny)


def test_the_binding_that_allows_is_named() -> None:
    bindings = [
        BINDING,
        {"permissions": ["view"], "principalLinks": [TEAM]},
        {"permissions": ["edit"], "principalLinks": [TEAM]},
    ]
    held = [
        policy("other", targetKind="group", bindings=[{**BINDING, "permissions": ["view"]}]),
        policy(bindings=bindings),
    ]
    assert decide(Permission.VIEW, APP, frozenset({TEAM}), held) == Allow("one", 1)
    assert decide(Permission.EDIT, APP, frozenset({ROBOT, TEAM}), held) == Allow("one", 2)
    assert decide(Permission.VIEW, APP, frozenset({ROBOT, TEAM}), held) == Allow("one", 0)


@pytest.mark.parametrize(
    ("who", "permission", "switched_on", "decision"),
    [
        ("/org/acme/gvc/apps/identity/web", Permission.PULL, True, Allow(IDENTITY_PULL)),
        ("/org/acme/gvc/apps/identity/web", Permission.VIEW, True, Allow(IDENTITY_PULL)),
        ("/org/acme/gvc/apps/identity/web", Permission.PULL, False, None),
        ("/org/acme/gvc/apps/identity/web", Permission.CREATE, True, None),
        ("/org/acme/gvc/apps/identity/web", Permission.DELETE, True, None),
        ("/org/other/gvc/apps/identity/web", Permission.PULL, True, None),
        ("/org/acme2/gvc/apps/identity/web", Permission.PULL, True, None),
        ("/org/acme/gvc/apps", Permission.PULL, True, None),
        (ROBOT, Permission.PULL, True, None),
        ("/org/acme/group/identity", Permission.PULL, True, None),
    ],
)
def test_identities_pull_without_a_policy(
    who: str, permission: Permission, switched_on: bool, decision: Decision | None
) -> None:
    for resource in (APP, image()):
        made = decide(permission, resource, frozenset({who}), (), identity_pull=switched_on)
        assert made == decision if decision else isinstance(made, Deny)
    group = Resource.of_record(ResourceRecord(Kind.GROUP, "acme", "x1", "id", 1, NOW, NOW))
    assert isinstance(decide(Permission.VIEW, group, frozenset({who}), (), identity_pull=True), Deny)


@pytest.mark.parametrize(
    ("fields", "permission", "resource", "reason"),
    [
        ({"bindings": []}, "pull", APP, "no policy on image that could give pull names the caller"),
        (
            {"targetKind": "group", "bindings": [{**BINDING, "permissions": ["manage"]}]},
            "pull",
            APP,
            "no policy on image",
        ),
        ({}, "create", APP, "policy one selects this repository and gives pull, view but not create"),
        ({}, "edit", image(), "policy one selects this image and gives pull, view but not edit"),
        (
            {"target": None, "targetLinks": ["//image/app:v1"]},
            "pull",
            APP,
            "policy one gives pull only on images that its targetLinks name, and a link never selects",
        ),
        ({"target": None, "targetLinks": [f"//image/app@{DIGEST}"]}, "pull", APP, "a link never selects"),
        (
            {"target": None, "targetLinks": ["//image/app2:v1", "//image/app/x"]},
            "pull",
            APP,
            "policy one gives pull, but it selects other images",
        ),
        (
            {"target": None, "targetQuery": by_repository({"property": "tag", "value": "v1"})},
            "pull",
            APP,
            "policy one gives pull by a query that asks for more of a repository, of which the registry knows",
        ),
        (
            {"target": None, "targetQuery": by_repository({"property": "repository", "value": "app2"})},
            "pull",
            APP,
            "policy one gives pull, but it selects other images",
        ),
        (
            {"target": None, "targetQuery": by_repository({"property": "repository", "value": "app2"})},
            "delete",
            APP,
            "policy one does not select this repository, and gives pull, view but not delete",
        ),
        ({"target": None, "targetLinks": ["//image/app:v2"]}, "view", image(), "it selects other images"),
        (
            {
                "targetKind": "group",
                "target": None,
                "targetQuery": {"spec": {"terms": [{"property": "version", "value": 1}]}},
                "bindings": [{**BINDING, "permissions": ["create"]}],
            },
            "create",
            Resource.of_record(ResourceRecord(Kind.GROUP, "acme", "x1", "id", 1, NOW, NOW), stored=False),
            "policy one gives create by a query that asks for more of a group, which is not made yet",
        ),
        (
            {
                "targetKind": "group",
                "target": None,
                "targetLinks": ["//group/x2"],
                "bindings": [{**BINDING, "permissions": ["view"]}],
            },
            "view",
            Resource.of_record(ResourceRecord(Kind.GROUP, "acme", "x1", "id", 1, NOW, NOW)),
            "policy one gives view, but it selects other resources of kind group",
        ),
    ],
)
def test_a_refusal_says_what_is_missing(
    fields: dict[str, Any], permission: str, resource: Resource, reason: str
) -> None:
    decision = decide(Permission(permission), resource, frozenset({ROBOT}), [policy(**fields)])
    assert isinstance(decision, Deny)
    assert reason in decision.reason


def test_a_refusal_names_the_policy_that_came_nearest() -> None:
    far = policy("far", target=None, targetQuery=by_repository({"property": "repository", "value": "x"}))
    nearer = policy("nearer", target=None, targetQuery=by_repository({"tag": "env", "value": "x"}))
    nearest = policy("nearest", target=None, targetLinks=["//image/app:v1"])
    lacking = policy("lacking", bindings=[{**BINDING, "permissions": ["view"]}])
    for held, name in [
        ([far], "far"),
        ([far, lacking], "lacking"),
        ([far, lacking, nearer], "nearer"),
        ([far, nearest, lacking, nearer], "nearest"),
    ]:
        for order in (held, held[::-1]):
            decision = decide(Permission.PULL, APP, frozenset({ROBOT}), order)
            assert isinstance(decision, Deny)
            assert decision.reason.startswith(f"policy {name} ")


def test_a_target_is_a_union_and_shows_its_widest_way() -> None:
    links, query = ["//image/app:v1"], by_repository({"property": "tag", "value": "v1"})
    assert policy(targetLinks=links, targetQuery=query).selection(image()) is Selection.ALL
    assert policy(target=None, targetLinks=links, targetQuery=query).selection(image()) is Selection.QUERY
    both = policy(target=None, targetLinks=["//image/app:v2"], targetQuery=query)
    assert both.selection(image("v1")) is Selection.QUERY
    assert both.selection(image("v2")) is Selection.LINK
    assert both.selection(image("v3")) is None
    assert both.selection(APP) is None
    assert Target().selection(APP) is None


PUSHING = {"permissions": ["create"], "principalLinks": [ROBOT]}


def holds(permission: str) -> dict[str, Any]:
    return {"permissions": [permission], "principalLinks": [ROBOT]}


def of(kind: str, permission: str, *terms: dict[str, Any], match: str = "all") -> dict[str, Any]:
    """A policy on what a query selects of a kind."""
    query = {"spec": {"match": match, "terms": list(terms)}}
    return {"targetKind": kind, "target": None, "targetQuery": query, "bindings": [holds(permission)]}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, []),
        ({"targetKind": "quota", "bindings": [holds("view")]}, ["no resources of kind quota"]),
        ({"targetKind": "auditctx", "bindings": [holds("readAudit")]}, ["no resources of kind auditctx"]),
        ({"targetKind": "org", "bindings": [holds("create")]}, ["bootstrap credential"]),
        ({"targetKind": "org", "bindings": [holds("manage")]}, []),
        ({"targetKind": "user", "bindings": [holds("create")]}, ["permission invite"]),
        ({"targetKind": "user", "bindings": [holds("invite")]}, []),
        (of("group", "create", {"property": "id", "op": "exists"}), ["lets nobody make a group"]),
        (of("gvc", "manage", {"property": "version", "value": 1}), ["manage here lets nobody make a gvc"]),
        (of("group", "create", {"property": "created", "op": "<", "value": "2030-01-01"}), ["id, version"]),
        (of("group", "view", {"property": "id", "value": "x"}), []),
        (of("group", "create", {"property": "name", "value": "x"}, {"tag": "env", "value": "x"}), []),
        (
            of("group", "create", {"property": "name", "value": "x"}, {"property": "id", "value": "x"}),
            ["nobody"],
        ),
        (
            of(
                "group",
                "create",
                {"property": "name", "value": "x"},
                {"property": "id", "value": "x"},
                match="any",
            ),
            [],
        ),
        (of("group", "create", {"property": "id", "value": "x"}, match="any"), ["lets nobody make"]),
        (of("group", "create", {"property": "id", "value": "x"}, match="none"), ["lets nobody make"]),
        ({**of("group", "create", {"property": "id", "value": "x"}), "target": "all"}, ["add nothing"]),
        (of("user", "invite", {"tag": "team", "value": "blue"}), ["lets nobody invite"]),
        (of("user", "manage", {"tag": "team", "value": "blue"}), ["manage here lets nobody invite"]),
        (of("user", "invite", {"property": "name", "op": "~", "value": "@example.com"}), []),
        ({"bindings": []}, ["no bindings"]),
        ({"targetLinks": ["//image/app:v1"]}, ["add nothing"]),
        ({"targetQuery": by_repository()}, ["add nothing"]),
        ({"target": None, "targetQuery": by_repository()}, []),
        ({"target": None, "targetLinks": ["//image/app:v1"]}, ["targetLinks never authorise", "pull here"]),
        (
            {"target": None, "targetLinks": ["//image/app:v1"], "bindings": [BINDING, PUSHING]},
            ["create and pull here"],
        ),
        (
            {
                "target": None,
                "targetLinks": ["//image/app:v1"],
                "bindings": [{**BINDING, "permissions": ["manage"]}],
            },
            ["manage here"],
        ),
        (
            {
                "target": None,
                "targetLinks": ["//image/app:v1"],
                "bindings": [{**BINDING, "permissions": ["delete", "edit"]}],
            },
            [],
        ),
        (
            {"target": None, "targetLinks": ["//image/app:v1"], "targetQuery": by_repository()},
            ["targetLinks never"],
        ),
        (
            {"target": None, "targetQuery": by_repository({"property": "tag", "value": "v1"})},
            ["targetQuery never"],
        ),
        (
            {"target": None, "targetQuery": by_repository({"property": "digest", "op": "!=", "value": "x"})},
            ["targetQuery never"],
        ),
        (
            {"target": None, "targetQuery": by_repository({"tag": "env", "op": "!exists"})},
            ["targetQuery never"],
        ),
        (
            {
                "target": None,
                "targetQuery": by_repository(
                    {"property": "repository", "value": "app"},
                    {"property": "tag", "value": "v1"},
                    match="any",
                ),
            },
            [],
        ),
        (
            {
                "target": None,
                "targetQuery": by_repository(
                    {"property": "repository", "value": "app"},
                    {"property": "tag", "value": "v1"},
                    match="none",
                ),
            },
            ["targetQuery never"],
        ),
        (
            {"target": None, "targetQuery": by_repository({"property": "repository", "value": "App"})},
            ["no repository can have the name 'App'"],
        ),
        (
            {"target": None, "targetQuery": by_repository({"property": "repository", "value": "app:v1"})},
            ["no repository can have the name"],
        ),
        (
            {
                "targetKind": "group",
                "target": None,
                "targetLinks": ["//group/x1"],
                "bindings": [{**BINDING, "permissions": ["manage"]}],
            },
            [],
        ),
    ],
)
def test_what_can_never_grant_anything_is_said(fields: dict[str, Any], said: list[str]) -> None:
    found = warnings_of(policy(**fields))
    assert bool(found) == bool(said)
    assert all(words in " ".join(found) for words in said)


@pytest.mark.parametrize("match", ["all", "any", "none"])
@pytest.mark.parametrize("terms", [["repository"], ["tag"], ["repository", "tag"], ["tag", "repository"]])
def test_a_warning_is_right(match: str, terms: list[str]) -> None:
    asked = by_repository(*({"property": name, "op": "!=", "value": "x"} for name in terms), match=match)
    held = [policy(target=None, targetQuery=asked)]
    repositories = [Resource.of_repository(Repository("acme", name)) for name in ("app", "x")]
    granted = [
        isinstance(decide(Permission.PULL, each, frozenset({ROBOT}), held), Allow) for each in repositories
    ]
    assert any(granted) != bool(warnings_of(held[0]))


def test_what_does_not_exist_is_named() -> None:
    assert ROBOT in absent_principal(ROBOT)
    assert "/org/acme/image/app:v1" in absent_target("/org/acme/image/app:v1")


def test_a_binding_of_nobody_gives_nothing() -> None:
    empty = Policy(
        "acme", "p1", Kind.IMAGE, Target(everything=True), (Binding(frozenset(Permission), frozenset()),)
    )
    assert isinstance(decide(Permission.VIEW, APP, frozenset({ROBOT}), [empty]), Deny)
    assert empty.principals == frozenset()


@pytest.mark.parametrize("kind", ["group", "gvc", "identity", "policy", "serviceaccount"])
@pytest.mark.parametrize("known", [True, False])
def test_a_warning_that_nobody_can_make_it_is_what_is_decided(kind: str, known: bool) -> None:
    """The same query, asked of a resource that is not made yet."""
    term = {"tag": "team", "op": "!exists"} if known else {"property": "version", "op": "<", "value": 9}
    held = policy(**of(kind, "create", term))
    name = "apps/thing" if kind == "identity" else "thing"
    draft = Resource.of_record(ResourceRecord(Kind(kind), "acme", name, "id", 1, NOW, NOW), stored=False)
    decision = decide(Permission.CREATE, draft, frozenset({ROBOT}), [held])
    assert isinstance(decision, Allow) == known
    assert bool(warnings_of(held)) != known


def test_of_many_links_the_first_are_named_and_the_others_counted() -> None:
    links = [f"/org/acme/group/g{number:04}" for number in range(1_021)]
    said = list(first_of(links, absent_principal))
    assert said[:20] == [absent_principal(link) for link in links[:20]]
    assert said[20:] == ["the same holds for 1,001 more links"]
    assert list(first_of(links[:20], absent_target)) == [absent_target(link) for link in links[:20]]
    assert list(first_of([], absent_target)) == []
