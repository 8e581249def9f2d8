"""The registry is asked about every write before the first one is made, against the real management API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.stand_in import Answer, StandIn, refusal
from tests.cli.terminal import Terminal
from tests.cli.test_apply import is_dry, writes

if TYPE_CHECKING:
    from tests.protocol.management.world import Management

# A character that only the registry refuses.
CONTROL = 'kind: group\nname: devs\ndescription: "a\\u0007b"\n'
GOOD = "kind: gvc\nname: prod\n"
MAKER = "/org/demo/serviceaccount/maker"


def as_maker(management: Management, *rights: tuple[str, str]) -> dict[str, str]:
    """The variables of an account with these permissions on kinds."""
    management.account("demo", "maker")
    for number, (kind, permission) in enumerate(rights):
        management.policy(f"makers-{number}", kind, MAKER, permission)
    return {"MOORAGE_TOKEN": management.world.keys["demo/maker"]}


def binding(kind: str, permission: str, principal: str) -> str:
    return json.dumps(
        {
            "kind": "policy",
            "name": f"gives-{kind}",
            "targetKind": kind,
            "target": "all",
            "bindings": [{"permissions": [permission], "principalLinks": [principal]}],
        }
    )


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_rule_that_only_the_registry_knows_keeps_all_from_being_written(
    real: Terminal, stand_in: StandIn, tmp_path: Path, flags
):
    (tmp_path / "a.yaml").write_text(f"{CONTROL}---\n{GOOD}", "utf-8")
    (tmp_path / "b.yaml").write_text("kind: serviceaccount\nname: bot\n", "utf-8")
    outcome = real.run("apply", "-f", str(tmp_path), *flags)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{tmp_path}/a.yaml, document 1 (line 1): group devs: " in outcome.err
    assert "nothing was changed" in outcome.err
    assert writes(stand_in) == []
    for path in ("gvc", "serviceaccount"):
        assert "prod" not in real.ok(path, "get", "-o", "names")


def test_all_that_the_registry_refuses_is_said_at_once(real: Terminal, stand_in: StandIn):
    other = 'kind: serviceaccount\nname: bot\ntags: {"a\\u0007": 1}\n'
    outcome = real.run("apply", "-f", "-", stdin=f"{CONTROL}---\n{other}---\n{GOOD}")
    assert outcome.code == 2
    assert "document 1 (line 1): group devs" in outcome.err
    assert "document 2 (line 5): serviceaccount bot" in outcome.err
    assert "2 problems, beside 3 resources" in outcome.err
    assert writes(stand_in) == []


def test_what_the_caller_may_not_do_is_said_before_anything_is_written(
    real: Terminal, stand_in: StandIn, management
):
    key = as_maker(management, ("gvc", "create"))
    text = f"{GOOD}---\nkind: serviceaccount\nname: bot\n"
    outcome = real.run("apply", "-f", "-", stdin=text, environment=key)
    assert (outcome.code, outcome.out) == (4, "")
    assert "document 2 (line 4): serviceaccount bot" in outcome.err
    assert writes(stand_in) == []


def test_members_who_are_made_with_it_are_no_right_of_the_caller(
    real: Terminal, stand_in: StandIn, management
):
    key = as_maker(management, ("group", "create"), ("serviceaccount", "create"))
    text = "\n---\n".join(
        (
            "{kind: serviceaccount, name: bot}",
            "{kind: group, name: devs, memberLinks: [//serviceaccount/bot]}",
            binding("gvc", "view", "//group/devs"),
        )
    )
    outcome = real.run("apply", "-f", "-", stdin=text, environment=key)
    assert (outcome.code, outcome.out) == (4, "")
    assert "policy gives-gvc" in outcome.err
    assert writes(stand_in) == []


@pytest.mark.parametrize(
    "gives",
    [
        binding("image", "edit", MAKER),
        binding("image", "edit", "//group/devs")
        + "\n---\n{kind: group, name: devs, memberLinks: ["
        + MAKER
        + "]}",
    ],
    ids=["policy", "group"],
)
def test_what_the_caller_may_do_only_after_others_are_written_is_written(real: Terminal, management, gives):
    management.push("demo/app", "v1")
    key = as_maker(management, ("policy", "create"), ("group", "create"), ("image", "view"))
    text = gives + "\n---\n{kind: image, name: 'app:v1', tags: {a: 1}}"
    outcome = real.run("apply", "-f", "-", stdin=text, environment=key)
    assert outcome.code == 0, outcome.err
    assert "updated /org/demo/image/app:v1" in outcome.out


def test_resources_that_need_each_other_are_made_together(real: Terminal, management):
    superusers = ["/org/demo/serviceaccount/admin", "/org/demo/serviceaccount/boss"]
    text = "\n---\n".join(
        (
            binding("image", "pull", "//gvc/prod/identity/web"),
            "{kind: identity, name: web, gvc: prod}",
            "{kind: gvc, name: prod}",
            json.dumps({"kind": "group", "name": "superusers", "memberLinks": superusers}),
            "{kind: serviceaccount, name: boss}",
        )
    )
    assert [line.split()[0] for line in real.ok("apply", "-f", "-", stdin=text).splitlines()] == [
        "created",
        "created",
        "updated",
        "created",
        "created",
    ]
    # Named by somebody else, so that the caller does not end its own membership.
    key = {
        "MOORAGE_TOKEN": management.ok(
            "demo/admin", "POST", f"{superusers[1]}/-addKey", {"description": "x"}
        )["key"]
    }
    heir = {"kind": "group", "name": "superusers", "memberLinks": ["//serviceaccount/heir"]}
    text = json.dumps(heir) + "\n---\n{kind: serviceaccount, name: heir}"
    refused = real.run("apply", "-f", "-", stdin=text, environment=key)
    # Only the write knows: the account is there by then, and the caller would end its own membership.
    assert (refused.code, "cannot remove yourself" in refused.err) == (1, True)
    assert refused.out == "created /org/demo/serviceaccount/heir\n"


def test_what_is_wrong_in_a_resource_that_needs_others_is_said(real: Terminal, stand_in: StandIn):
    text = f'{GOOD}---\nkind: identity\ngvc: prod\nname: web\ndescription: "a\\u0007b"\n'
    outcome = real.run("apply", "-f", "-", stdin=text)
    assert outcome.code == 2
    assert "document 2 (line 4): identity web" in outcome.err
    assert writes(stand_in) == []


def test_what_is_unchanged_is_not_asked_about(real: Terminal, stand_in: StandIn):
    real.ok("apply", "-f", "-", stdin=GOOD)
    stand_in.asked.clear()
    assert real.ok("apply", "-f", "-", stdin=GOOD) == "unchanged /org/demo/gvc/prod\n"
    assert {each.method for each in stand_in.asked} == {"GET"}


def test_each_change_is_asked_about_once_and_first(real: Terminal, stand_in: StandIn):
    real.ok("apply", "-f", "-", stdin=f"{GOOD}---\nkind: group\nname: devs\n")
    puts = [is_dry(each) for each in stand_in.asked if each.method == "PUT"]
    assert puts == [True, True, False, False]


def test_registry_without_dry_runs_is_not_asked_for_one(real: Terminal, stand_in: StandIn, management):
    # It would take no notice of the word, and write.
    document = management.client.get("/discovery/openapi.json").json()
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["parameters"] = [
                each for each in operation.get("parameters", ()) if each["name"] != "dryRun"
            ]
    stand_in.on("GET", "/discovery/openapi.json", document)
    assert (
        real.ok(
            "apply",
            "-f",
            "-",
            stdin=GOOD,
        )
        == "created /org/demo/gvc/prod\n"
    )
    assert not any(is_dry(each) for each in stand_in.asked)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(broken=True), 6),
        (refusal(401, "Unauthorized", "the key has expired"), 4),
        (Answer(b"<html>"), 6),
    ],
)
def test_loss_of_the_registry_while_it_is_asked_changes_nothing(
    real: Terminal, stand_in: StandIn, answer, code
):
    stand_in.on("PUT", "/org/demo/group", answer)
    outcome = real.run("apply", "-f", "-", stdin=f"{GOOD}---\nkind: group\nname: devs\n")
    assert (outcome.code, outcome.out) == (code, "")
    assert writes(stand_in) == []
