"""``moorage policy`` against the real management API."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.stand_in import StandIn, refusal
from tests.cli.terminal import Terminal

PULLERS = {
    "name": "ci",
    "targetKind": "image",
    "target": "all",
    "bindings": [{"permissions": ["pull"], "principalLinks": ["/org/demo/serviceaccount/viewer"]}],
}
PATH = "/org/demo/policy/ci"


@pytest.fixture
def policy(real: Terminal, management) -> Terminal:
    """The terminal at the real API, where there is a policy ``ci``, a user ``ann`` and an identity ``web``."""
    management.ok("demo/admin", "POST", "/org/demo/policy", PULLERS)
    management.ok("demo/admin", "POST", "/org/demo/user/-invite", {"emails": ["ann@example.com"]})
    management.ok("demo/admin", "POST", "/org/demo/gvc", {"name": "prod"})
    management.ok("demo/admin", "POST", "/org/demo/gvc/prod/identity", {"name": "web"})
    return real


def read(terminal: Terminal, name: str = "ci"):
    return json.loads(terminal.ok("policy", "get", name, "-o", "json"))


def writes(stand_in: StandIn) -> list[str]:
    return [each for each in stand_in.paths() if not each.startswith("GET")]


def test_columns_are_those_that_people_know(policy: Terminal):
    policy.ok(
        "policy",
        "create",
        "mixed",
        "--target-kind=image",
        "--resource=app:v1",
        "--query-property=repository=app",
    )
    lines = policy.ok("policy", "get", "ci", "mixed", "--ts", "iso").splitlines()
    titles = ["NAME", "DESCRIPTION", "CREATED", "TARGET KIND", "MATCHES", "ORIGIN", "TAGS"]
    assert re.split(r"\s{2,}", lines[0]) == titles
    assert [line.split()[3] for line in lines[1:]] == ["all", "query,links"]


@pytest.mark.parametrize(
    ("flags", "target"),
    [
        (["--all"], {"target": "all", "targetLinks": []}),
        (["--resource", "app:v1"], {"targetLinks": ["/org/demo/image/app:v1"]}),
        (["--resource", "//image/a/b:v1"], {"targetLinks": ["/org/demo/image/a/b:v1"]}),
        (
            ["--query-property", "repository=app", "--query-tag", "n<=2", "--query-match", "any"],
            {
                "targetLinks": [],
                "targetQuery": {
                    "kind": "image",
                    "fetch": "items",
                    "spec": {
                        "match": "any",
                        "terms": [
                            {"op": "=", "property": "repository", "value": "app"},
                            {"op": "<=", "tag": "n", "value": 2},
                        ],
                    },
                },
            },
        ),
    ],
)
def test_create_says_what_it_is_about(policy: Terminal, flags, target):
    policy.ok(
        *("policy", "create", "--name", "new", "--description", "why", "--target-kind", "image"),
        *("--tag", "n=1", "--tag", "v:1", *flags),
    )
    made = read(policy, "new")
    assert (made["description"], made["tags"], made["bindings"]) == ("why", {"n": 1, "v": "1"}, [])
    assert {key: made.get(key) for key in target} == target
    assert ("target" in made) == ("target" in target)


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--all", "--resource", "app:v1"],
        ["--all", "--query-property", "repository=app"],
        ["--query-match", "any", "--all"],
        ["--query-property", "=app"],
    ],
)
def test_create_about_nothing_or_too_much_is_refused_before_it_is_sent(
    policy: Terminal, stand_in: StandIn, flags
):
    assert policy.run("policy", "create", "new", "--target-kind", "image", *flags).code == 2
    assert writes(stand_in) == []


@pytest.mark.parametrize("names", [[], ["a1", "--name", "b1"]])
def test_create_takes_exactly_one_name(policy: Terminal, names):
    assert policy.run("policy", "create", *names, "--target-kind", "image", "--all").code == 2


def test_create_of_a_taken_name_is_a_conflict(policy: Terminal):
    assert policy.run("policy", "create", "ci", "--target-kind", "image", "--all").code == 5


def test_create_about_identities_needs_their_gvc(policy: Terminal):
    about = ("policy", "create", "ids", "--target-kind", "identity", "--resource", "web")
    assert policy.run(*about).code == 2
    policy.ok(*about, "--gvc", "prod")
    assert read(policy, "ids")["targetLinks"] == ["/org/demo/gvc/prod/identity/web"]


def test_add_binding_extends_the_one_of_the_same_permissions(policy: Terminal):
    policy.ok(
        *("policy", "add-binding", "ci", "--permission", "pull", "--email", "Ann@Example.com"),
        *("--identity", "web", "--gvc", "prod", "--group", "viewers"),
    )
    policy.ok(
        *("policy", "add-binding", "ci", "--permission", "view", "--permission", "create"),
        *("--identity", "//gvc/prod/identity/web"),
    )
    assert read(policy)["bindings"] == [
        {
            "permissions": ["pull"],
            "principalLinks": [
                "/org/demo/serviceaccount/viewer",
                "/org/demo/user/ann@example.com",
                "/org/demo/group/viewers",
                "/org/demo/gvc/prod/identity/web",
            ],
        },
        {"permissions": ["view", "create"], "principalLinks": ["/org/demo/gvc/prod/identity/web"]},
    ]
    policy.ok(
        *("policy", "add-binding", "ci", "--permission", "create", "--permission", "view"),
        *("--group", "viewers"),
    )
    assert len(read(policy)["bindings"]) == 2


def test_add_binding_that_is_there_writes_nothing(policy: Terminal, stand_in: StandIn):
    outcome = policy.run("policy", "add-binding", "ci", "--permission", "pull", "--serviceaccount", "viewer")
    assert outcome.code == 0
    assert "nothing was changed" in outcome.err
    assert writes(stand_in) == []


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--email", "eve@example.com"], 3, "/org/demo/user/eve@example.com"),
        (
            ["--serviceaccount", "ghost", "--group", "ghosts"],
            3,
            "/org/demo/serviceaccount/ghost, /org/demo/group/ghosts",
        ),
        (["--identity", "web"], 2, "--gvc"),
        (["--identity", "//identity/web"], 2, "//gvc/GVC/identity/NAME"),
        (["--group", "//user/ann@example.com"], 2, "//group/NAME"),
        (["--serviceaccount", "../policy/ci"], 2, "serviceaccount"),
        ([], 2, "--email, --serviceaccount, --group, --identity"),
    ],
)
def test_add_binding_for_somebody_unknown_changes_nothing(
    policy: Terminal, stand_in: StandIn, flags, code, said
):
    known = ["--group", "viewers"] if flags else []
    outcome = policy.run("policy", "add-binding", "ci", "--permission", "pull", *known, *flags)
    assert outcome.code == code
    assert said in outcome.err
    assert writes(stand_in) == []


def test_add_binding_of_a_permission_that_there_is_not_changes_nothing(policy: Terminal):
    outcome = policy.run("policy", "add-binding", "ci", "--permission", "pul", "--group", "viewers")
    assert outcome.code == 1
    assert "pul" in outcome.err
    assert read(policy)["version"] == 1


def test_add_binding_for_another_organisation_says_that_it_is_not_checked(policy: Terminal):
    link = "/org/other/serviceaccount/robot"
    outcome = policy.run("policy", "add-binding", "ci", "--permission", "pull", "--serviceaccount", link)
    assert outcome.code == 0
    assert "another organisation" in outcome.err
    assert link in read(policy)["bindings"][0]["principalLinks"]


def test_add_binding_by_who_may_not_see_the_principal_says_what_to_do(policy: Terminal, management):
    management.account("demo", "binder")
    management.policy("binders", "policy", "/org/demo/serviceaccount/binder", "edit")
    key = {"MOORAGE_TOKEN": management.world.keys["demo/binder"]}
    asked = ("policy", "add-binding", "ci", "--permission", "pull", "--group", "viewers")
    outcome = policy.run(*asked, environment=key)
    assert outcome.code == 4
    assert "may not see" in outcome.err
    assert read(policy)["version"] == 1


def test_change_that_somebody_overtakes_is_made_once_more_from_what_they_left(
    policy: Terminal, stand_in: StandIn, management
):
    def overtake(asked):
        management.ok("demo/admin", "PATCH", PATH, {"bindings": []})
        assert stand_in.fallback is not None
        return stand_in.fallback(asked)

    assert stand_in.fallback is not None
    stand_in.on("PATCH", PATH, overtake, stand_in.fallback)
    policy.ok("policy", "add-binding", "ci", "--permission", "view", "--group", "viewers")
    assert read(policy)["bindings"] == [
        {"permissions": ["view"], "principalLinks": ["/org/demo/group/viewers"]}
    ]
    assert writes(stand_in) == [f"PATCH {PATH}"] * 2


def test_change_that_is_overtaken_twice_is_a_conflict(policy: Terminal, stand_in: StandIn):
    stand_in.on("PATCH", PATH, refusal(409, "VersionMismatch", "it has changed"))
    outcome = policy.run("policy", "add-binding", "ci", "--permission", "view", "--group", "viewers")
    assert outcome.code == 5
    assert writes(stand_in) == [f"PATCH {PATH}"] * 2


def test_remove_binding_takes_out_whom_it_names_and_an_empty_binding(policy: Terminal):
    policy.ok("policy", "add-binding", "ci", "--permission", "pull", "--email", "ann@example.com")
    policy.ok("policy", "remove-binding", "ci", "--permission", "pull", "--email", "ANN@example.com")
    assert read(policy)["bindings"] == PULLERS["bindings"]
    policy.ok("policy", "remove-binding", "ci", "--permission", "pull", "--serviceaccount", "viewer")
    assert read(policy)["bindings"] == []


def test_remove_binding_works_for_who_is_gone(policy: Terminal, management):
    links = [*PULLERS["bindings"][0]["principalLinks"], "/org/demo/user/gone@example.com"]  # type: ignore[index]
    management.ok(
        "demo/admin", "PATCH", PATH, {"bindings": [{"permissions": ["pull"], "principalLinks": links}]}
    )
    policy.ok("policy", "remove-binding", "ci", "--permission", "pull", "--email", "gone@example.com")
    assert read(policy)["bindings"] == PULLERS["bindings"]


def test_remove_binding_of_other_permissions_says_with_which_somebody_is_bound(
    policy: Terminal, stand_in: StandIn
):
    outcome = policy.run(
        "policy", "remove-binding", "ci", "--permission", "view", "--serviceaccount", "viewer"
    )
    assert outcome.code == 3
    assert "bound to pull" in outcome.err
    assert writes(stand_in) == []


@pytest.mark.parametrize("command", ["clone", "copy"])
def test_clone_is_like_the_other_but_for_what_is_said(policy: Terminal, command):
    policy.ok("policy", "tag", "ci", "--tag", "a=1", "--tag", "b=1")
    policy.ok("policy", command, "ci", "--name", "twin", "--description", "second", "--tag", "b=2")
    one, twin = read(policy), read(policy, "twin")
    for field in ("targetKind", "target", "targetLinks", "bindings"):
        assert twin[field] == one[field]
    assert (twin["description"], twin["tags"], twin["origin"]) == ("second", {"a": 1, "b": 2}, "default")
    assert twin["id"] != one["id"]


def test_copy_is_not_listed_twice(policy: Terminal):
    commands = policy.ok("policy", "--help").partition("Commands:")[2].split()
    assert "clone" in commands
    assert "copy" not in commands


def test_update_sets_and_unsets_fields(policy: Terminal):
    policy.ok(
        *("policy", "update", "ci", "--set", "description=a=b", "--set", "tags.team.one=7"),
        *("--set", "targetLinks[]=app:v1", "--set", "targetLinks[]=//image/app:v1", "--unset", "target"),
    )
    changed = read(policy)
    assert (changed["description"], changed["tags"]) == ("a=b", {"team.one": 7})
    assert changed["targetLinks"] == ["/org/demo/image/app:v1"]
    assert "target" not in changed
    policy.ok(
        *("policy", "update", "ci", "--set", "target=all", "--unset", "targetLinks[]=app:v1"),
        *("--unset", "tags.team.one", "--unset", "description"),
    )
    changed = read(policy)
    assert (changed["description"], changed["tags"], changed["targetLinks"]) == ("", {}, [])
    assert changed["target"] == "all"


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--set", "description"],
        ["--set", "name=x"],
        ["--set", "bindings[]=x"],
        ["--unset", "targetKind"],
        ["--unset", "targetLinks[]=app:v9"],
    ],
)
def test_update_of_what_cannot_be_set_changes_nothing(policy: Terminal, stand_in: StandIn, flags):
    assert policy.run("policy", "update", "ci", *flags).code == 2
    assert writes(stand_in) == []
