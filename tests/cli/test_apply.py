"""``moorage apply`` and ``moorage delete`` against the real management API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.stand_in import Answer, Asked, Responder, StandIn, refusal
from tests.cli.terminal import Terminal

# Written in another order than that in which it has to be made.
EVERYTHING = """
# A comment, and a document without content, are nothing.
---
kind: policy
name: ci-pushes
targetKind: image
targetQuery:
  spec:
    terms:
    - {op: =, property: repository, value: app}
bindings:
- permissions: [create, pull, pull]
  principalLinks: [//gvc/prod/identity/web, //group/devs, /org/demo/group/devs]
---
kind: identity
name: web
gvc: prod
trust:
- issuer: https://issuer.example.com
  claims: {sub: job}
---
kind: list
items:
- kind: group
  name: devs
  memberLinks: [//serviceaccount/bot, //user/Ann@example.com]
- {kind: serviceaccount, name: bot, tags: {ci: true}}
---
[{"kind": "gvc", "name": "prod", "description": "live"}]
---
kind: image
name: app:v1
tags: {stage: test}
---
kind: org
name: demo
description: ours
immutableTags:
- {repository: app, tags: ["v*"]}
---
kind: user
name: Ann@example.com
tags: {team: a}
"""
LINKS = [
    "/org/demo",
    "/org/demo/gvc/prod",
    "/org/demo/user/ann@example.com",
    "/org/demo/serviceaccount/bot",
    "/org/demo/group/devs",
    "/org/demo/gvc/prod/identity/web",
    "/org/demo/policy/ci-pushes",
    "/org/demo/image/app:v1",
]
MADE = [*("created" if index in (1, 3, 4, 5, 6) else "updated" for index in range(8))]


@pytest.fixture
def world(real: Terminal, management) -> Terminal:
    """The terminal at the real API, where there are the user and the image of ``EVERYTHING``."""
    management.ok("demo/admin", "POST", "/org/demo/user/-invite", {"emails": ["ann@example.com"]})
    management.push("demo/app", "v1")
    return real


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that holds ``EVERYTHING``."""
    path = tmp_path / "everything.yaml"
    path.write_text(EVERYTHING, "utf-8")
    return path


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def writes(stand_in: StandIn) -> list[str]:
    """The requests that are no reads, but for dry runs."""
    return [
        f"{each.method} {each.path}" for each in stand_in.asked if each.method != "GET" and not is_dry(each)
    ]


def is_dry(asked: Asked) -> bool:
    return asked.query.get("dryRun") == ["true"]


def only_written(stand_in: StandIn, answer: Answer) -> Responder:
    """``answer`` to a write; what is only asked gets what the registry says."""

    def respond(asked: Asked) -> Answer:
        assert stand_in.fallback is not None
        return stand_in.fallback(asked) if is_dry(asked) else answer

    return respond


def apply(terminal: Terminal, text: str, *flags: str) -> str:
    return terminal.ok("apply", "-f", "-", *flags, stdin=text)


def test_everything_is_made_in_order_and_is_unchanged_afterwards(world: Terminal, stand_in: StandIn, file):
    assert lines(world.ok("apply", "-f", str(file))) == [list(each) for each in zip(MADE, LINKS, strict=True)]
    stand_in.asked.clear()
    assert lines(world.ok("apply", "-f", str(file))) == [["unchanged", link] for link in LINKS]
    assert writes(stand_in) == []


def test_what_get_shows_as_yaml_or_json_can_be_applied_unchanged(
    world: Terminal, stand_in: StandIn, file, tmp_path
):
    world.ok("apply", "-f", str(file))
    world.ok("serviceaccount", "add-key", "bot", "--description", "x")
    folder = tmp_path / "kept"
    folder.mkdir()
    for noun in ("policy", "group", "serviceaccount", "user", "gvc"):
        (folder / f"{noun}.yaml").write_text(world.ok(noun, "get", "-o", "yaml"), "utf-8")
    (folder / "org.yml").write_text(world.ok("org", "get", "demo", "-o", "yaml"), "utf-8")
    (folder / "bot.txt").write_text("not: read\n", "utf-8")
    (folder / "identity.json").write_text(world.ok("identity", "get", "--gvc", "prod", "-o", "json"), "utf-8")
    stand_in.asked.clear()
    out = lines(world.ok("apply", "-f", str(folder)))
    assert {each[0] for each in out} == {"unchanged"}
    assert {each[1] for each in out} >= set(LINKS) - {"/org/demo/image/app:v1"}
    one = world.ok("serviceaccount", "get", "bot", "-o", "yaml")
    assert "keys:" in one
    assert apply(world, one) == "unchanged /org/demo/serviceaccount/bot\n"
    assert writes(stand_in) == []


def test_image_as_the_registry_shows_it_can_be_applied(world: Terminal, management):
    image = management.ok("demo/admin", "GET", "/org/demo/image/app:v1")
    assert apply(world, json.dumps(image)) == "unchanged /org/demo/image/app:v1\n"
    assert apply(world, json.dumps({**image, "tags": {"a": 1}})) == "updated /org/demo/image/app:v1\n"
    assert management.ok("demo/admin", "GET", "/org/demo/image/app:v1")["tags"] == {"a": 1}
    assert apply(world, "{kind: image, name: 'app:v1'}") == "updated /org/demo/image/app:v1\n"


def test_fields_that_are_not_named_become_what_they_are_by_default(world: Terminal, file, management):
    world.ok("apply", "-f", str(file))
    for text in ("{kind: group, name: devs}", "{kind: org, name: demo}"):
        assert apply(world, text).startswith("updated ")
    assert management.ok("demo/admin", "GET", "/org/demo/group/devs")["memberLinks"] == []
    org = management.ok("demo/admin", "GET", "/org/demo")
    assert (org["description"], org["immutableTags"], org["store"]) == ("", [], "default")


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"target": "all", "targetLinks": None, "description": None, "tags": {}}, "unchanged"),
        ({"targetQuery": None}, "unchanged"),
        ({"tags": {"a": True}}, "updated"),
        ({"bindings": []}, "updated"),
        (
            {"bindings": [{"permissions": ["pull"], "principalLinks": ["//serviceaccount/viewer"]}]},
            "unchanged",
        ),
    ],
)
def test_what_means_the_same_is_unchanged(world: Terminal, management, change, outcome):
    robot = "/org/demo/serviceaccount/viewer"
    management.policy("ci", "image", robot, "pull")
    body = {
        "kind": "policy",
        "name": "ci",
        "targetKind": "image",
        "target": "all",
        "bindings": [{"permissions": ["pull"], "principalLinks": [robot]}],
        **change,
    }
    assert apply(world, json.dumps(body)) == f"{outcome} /org/demo/policy/ci\n"


def test_put_that_changes_nothing_is_unchanged_by_its_version(world: Terminal, stand_in: StandIn):
    # To the registry, and not to the command, these two are the same.
    apply(world, "{kind: group, name: devs, description: a}")
    there = json.loads(world.ok("group", "get", "devs", "-o", "json"))
    stand_in.on("PUT", "/org/demo/group", there)
    assert apply(world, "{kind: group, name: devs, description: b}") == "unchanged /org/demo/group/devs\n"


def test_dry_run_shows_the_difference_and_writes_nothing(world: Terminal, stand_in: StandIn):
    apply(world, "{kind: group, name: devs, description: old}")
    stand_in.asked.clear()
    out = apply(
        world,
        "{kind: group, name: devs, description: new, tags: {a: 1}}\n---\n{kind: gvc, name: prod}",
        "--dry-run",
    )
    shown = out.splitlines()
    assert shown[0] == "created /org/demo/gvc/prod (dry run)"
    assert shown[1:6] == [
        "--- /dev/null",
        "+++ standard input, document 2 (line 3)",
        "@@ -0,0 +1 @@",
        "+name: prod",
        "updated /org/demo/group/devs (dry run)",
    ]
    assert shown[6:] == [
        "--- /org/demo/group/devs",
        "+++ standard input, document 1 (line 1)",
        "@@ -1,2 +1,4 @@",
        " name: devs",
        "-description: old",
        "+description: new",
        "+tags:",
        "+  a: 1",
    ]
    assert writes(stand_in) == []
    assert apply(world, "{kind: group, name: devs, description: old}", "--dry-run") == (
        "unchanged /org/demo/group/devs (dry run)\n"
    )


def test_difference_has_colours_only_where_they_are_wanted(world: Terminal):
    text = "{kind: gvc, name: prod}"
    assert "\x1b[32m+name: prod" in apply(world, text, "--dry-run", "--color", "always")
    assert "\x1b" not in apply(world, text, "--dry-run")
    assert "\x1b[32m" in world.ok("apply", "-f", "-", "--dry-run", stdin=text, tty=True)


def test_programs_get_outcomes_as_json_and_links(world: Terminal):
    found = json.loads(apply(world, "{kind: gvc, name: prod}", "-o", "json"))["items"]
    assert found == [
        {
            "kind": "gvc",
            "name": "prod",
            "outcome": "created",
            "links": [{"rel": "self", "href": "/org/demo/gvc/prod"}],
        }
    ]
    assert apply(world, "{kind: gvc, name: prod}", "-o", "names") == "/org/demo/gvc/prod\n"
    dry = json.loads(apply(world, "{kind: gvc, name: two}", "-o", "json", "--dry-run"))["items"][0]
    assert (dry["dryRun"], dry["outcome"]) == (True, "created")
    assert "+name: two" in dry["diff"].split("\n")


def test_slim_output_is_a_file_that_makes_the_same_again(world: Terminal):
    apply(world, EVERYTHING)
    nouns = (("gvc", "get"), ("identity", "get", "--gvc", "prod"), ("policy", "get", "ci-pushes"))
    kept = [world.ok(*noun, "-o", "yaml-slim") for noun in nouns]
    assert {outcome for outcome, _ in lines(apply(world, "---\n".join(kept)))} == {"unchanged"}
    world.ok("policy", "delete", "ci-pushes")
    world.ok("identity", "delete", "web", "--gvc", "prod", "--force")
    made = [outcome for outcome, _ in lines(apply(world, "---\n".join(kept)))]
    assert made == ["unchanged", "created", "created"]


def test_version_in_a_file_is_a_lock(world: Terminal, stand_in: StandIn):
    apply(world, "{kind: group, name: devs, description: one}")
    kept = json.loads(world.ok("group", "get", "devs", "-o", "json"))
    apply(world, "{kind: group, name: devs, description: two}")
    stand_in.asked.clear()
    outcome = world.run("apply", "-f", "-", stdin=json.dumps(kept))
    assert outcome.code == 5
    assert "--overwrite" in outcome.err
    assert writes(stand_in) == []
    assert apply(world, json.dumps(kept), "--overwrite") == "updated /org/demo/group/devs\n"
    # What is so already is no conflict, whatever version it has.
    assert apply(world, json.dumps({**kept, "version": 99})) == "unchanged /org/demo/group/devs\n"
    other = {**kept, "id": "00000000-0000-4000-8000-000000000000", "description": "x", "version": None}
    assert world.run("apply", "-f", "-", stdin=json.dumps(other)).code == 5


def test_change_between_the_check_and_the_write_is_not_overwritten(
    world: Terminal, stand_in: StandIn, management
):
    apply(world, "{kind: group, name: devs}")
    kept = json.loads(world.ok("group", "get", "devs", "-o", "json"))

    def overtake(asked: Asked) -> Answer:
        if not is_dry(asked):
            management.ok("demo/admin", "PATCH", "/org/demo/group/devs", {"description": "theirs"})
        assert stand_in.fallback is not None
        return stand_in.fallback(asked)

    stand_in.on("PUT", "/org/demo/group", overtake)
    outcome = world.run("apply", "-f", "-", stdin=json.dumps({**kept, "description": "mine"}))
    assert outcome.code == 5
    assert management.ok("demo/admin", "GET", "/org/demo/group/devs")["description"] == "theirs"


def test_refusal_in_spite_of_the_checks_does_not_keep_others_from_being_written(
    world: Terminal, stand_in: StandIn
):
    refused = refusal(400, "InvalidInput", "not this one")
    stand_in.on("PUT", "/org/demo/serviceaccount", only_written(stand_in, refused))
    text = "{kind: gvc, name: prod}\n---\n{kind: serviceaccount, name: bot}\n---\n{kind: group, name: devs}"
    outcome = world.run("apply", "-f", "-", stdin=text)
    assert outcome.code == 1
    assert lines(outcome.out) == [["created", "/org/demo/gvc/prod"], ["created", "/org/demo/group/devs"]]
    assert "document 2 (line 3): serviceaccount bot: not this one" in outcome.err
    assert "1 of 3 failed" in outcome.err


def test_loss_of_the_registry_in_the_middle_says_how_far_it_came(world: Terminal, stand_in: StandIn):
    stand_in.on("PUT", "/org/demo/serviceaccount", only_written(stand_in, Answer(broken=True)))
    text = "{kind: gvc, name: prod}\n---\n{kind: serviceaccount, name: bot}\n---\n{kind: group, name: devs}"
    outcome = world.run("apply", "-f", "-", "-o", "names", stdin=text)
    assert outcome.code == 6
    assert outcome.out == "/org/demo/gvc/prod\n"
    assert "1 were done before" in outcome.err
    assert world.run("group", "get", "devs").code == 3


def test_warnings_are_told_with_what_they_are_about(world: Terminal):
    text = "{kind: group, name: devs, memberLinks: [//serviceaccount/ghost]}"
    outcome = world.run("apply", "-f", "-", stdin=text)
    assert outcome.out == "created /org/demo/group/devs\n"
    assert "/org/demo/group/devs: warning: " in outcome.err


def test_who_may_only_create_can_apply(world: Terminal, management):
    management.account("demo", "maker")
    management.policy("makers", "group", "/org/demo/serviceaccount/maker", "create")
    key = {"MOORAGE_TOKEN": management.world.keys["demo/maker"]}
    made = world.run("apply", "-f", "-", stdin="{kind: group, name: devs}", environment=key)
    assert (made.code, made.out) == (0, "created /org/demo/group/devs\n")
    again = world.run("apply", "-f", "-", stdin="{kind: group, name: devs}", environment=key)
    assert (again.code, again.out) == (4, "")


def test_delete_is_the_reverse_and_can_be_repeated(world: Terminal, stand_in: StandIn, file):
    world.ok("apply", "-f", str(file))
    stand_in.asked.clear()
    planned = world.run("delete", "-f", str(file), "--dry-run")
    assert lines(planned.out) == [["deleted", link, "(dry", "run)"] for link in reversed(LINKS[1:])]
    assert writes(stand_in) == []
    outcome = world.run("delete", "-f", str(file))
    assert lines(outcome.out) == [["deleted", link] for link in reversed(LINKS[1:])]
    assert "'moorage org delete'" in outcome.err
    assert lines(world.ok("delete", "-f", str(file))) == [["absent", link] for link in reversed(LINKS[1:])]
    assert world.run("org", "get", "demo").code == 0


def test_delete_of_what_is_in_use_fails_without_force_and_goes_on(world: Terminal, file):
    world.ok("apply", "-f", str(file))
    text = "{kind: group, name: devs}\n---\n{kind: serviceaccount, name: admin2}"
    outcome = world.run("delete", "-f", "-", stdin=text)
    assert (outcome.code, outcome.out) == (1, "absent /org/demo/serviceaccount/admin2\n")
    assert "group devs" in outcome.err
    assert (
        world.ok("delete", "-f", "-", "--force", stdin="{kind: group, name: devs}")
        == "deleted /org/demo/group/devs\n"
    )


def test_values_of_another_type_are_a_change(world: Terminal):
    apply(world, "{kind: gvc, name: prod, tags: {a: 1, b: x}}")
    for value in ("true", "'1'", "1"):
        text = f"{{kind: gvc, name: prod, tags: {{a: {value}, b: x}}}}"
        assert apply(world, text) == "updated /org/demo/gvc/prod\n"
        assert apply(world, text) == "unchanged /org/demo/gvc/prod\n"
