"""``moorage group`` and ``moorage user`` against the real management API."""

from __future__ import annotations

import json

import pytest

from tests.cli.stand_in import StandIn
from tests.cli.terminal import Terminal

ANN = "/org/demo/user/ann@example.com"
ROBOT = "/org/demo/serviceaccount/viewer"


@pytest.fixture
def group(real: Terminal, management) -> Terminal:
    """The terminal at the real API, where there is a user ``ann`` and a group ``devs`` with ``viewer`` in it."""
    management.ok("demo/admin", "POST", "/org/demo/user/-invite", {"emails": ["ann@example.com"]})
    management.ok("demo/admin", "POST", "/org/demo/group", {"name": "devs", "memberLinks": [ROBOT]})
    return real


def read(terminal: Terminal, *reference: str):
    return json.loads(terminal.ok(*reference, "-o", "json"))


def writes(stand_in: StandIn) -> list[str]:
    return [each for each in stand_in.paths() if not each.startswith("GET")]


def test_create_names_members_and_a_query_that_finds_more(group: Terminal):
    group.ok(
        *("group", "create", "ops", "--description", "on call", "--email", "ANN@example.com"),
        *("--serviceaccount", "viewer", "--query-tag", "team=ops"),
    )
    made = read(group, "group", "get", "ops")
    assert (made["memberLinks"], made["description"]) == ([ANN, ROBOT], "on call")
    assert made["memberQuery"]["spec"]["terms"] == [{"op": "=", "tag": "team", "value": "ops"}]
    assert group.ok("group", "get", "ops", "--ts", "iso").splitlines()[1].split()[4] == "2+query"


def test_create_with_an_unknown_member_makes_nothing(group: Terminal, stand_in: StandIn):
    outcome = group.run("group", "create", "ops", "--email", "eve@example.com")
    assert outcome.code == 3
    assert writes(stand_in) == []


def test_members_come_and_go(group: Terminal, stand_in: StandIn):
    group.ok("group", "add-member", "devs", "--email", "ann@example.com", "--serviceaccount", "viewer")
    assert read(group, "group", "get", "devs")["memberLinks"] == [ROBOT, ANN]
    stand_in.asked.clear()
    assert "nothing was changed" in group.run("group", "add-member", "devs", "--email", "ann@example.com").err
    assert writes(stand_in) == []
    group.ok("group", "remove-member", "devs", "--serviceaccount", "viewer")
    assert read(group, "group", "get", "devs")["memberLinks"] == [ANN]


def test_member_who_is_none_cannot_be_removed(group: Terminal, stand_in: StandIn):
    outcome = group.run("group", "remove-member", "devs", "--email", "ann@example.com")
    assert outcome.code == 3
    assert ANN in outcome.err
    assert writes(stand_in) == []


@pytest.mark.parametrize(
    ("flags", "code"), [([], 2), (["--group", "viewers"], 2), (["--email", "eve@example.com"], 3)]
)
def test_what_is_no_member_is_refused(group: Terminal, stand_in: StandIn, flags, code):
    assert group.run("group", "add-member", "devs", *flags).code == code
    assert writes(stand_in) == []


def test_last_superuser_stays_and_the_refusal_is_told(group: Terminal):
    outcome = group.run("group", "remove-member", "superusers", "--serviceaccount", "admin")
    assert outcome.code == 5
    assert outcome.err.count("\n") == 1


def test_update_of_a_group_adds_links_and_tags(group: Terminal):
    group.ok("group", "update", "devs", "--set", f"memberLinks[]={ANN}", "--set", "tags.a=true")
    assert read(group, "group", "get", "devs")["memberLinks"] == [ROBOT, ANN]
    assert read(group, "group", "get", "devs")["tags"] == {"a": True}


def test_group_in_use_is_deleted_only_with_force(group: Terminal, management):
    management.policy("devs-pull", "image", "/org/demo/group/devs", "pull")
    assert group.run("group", "delete", "devs").code == 5
    group.ok("group", "delete", "devs", "--force")
    assert group.run("group", "get", "devs").code == 3


def test_people_are_invited_into_a_group_and_can_be_again(group: Terminal):
    for _ in range(2):
        out = group.ok("user", "invite", "bob@example.com", "--email", "Cy@example.com", "--group", "devs")
        assert [line.split() for line in out.splitlines()[1:]] == [
            ["bob@example.com", "/org/demo/user/bob@example.com"],
            ["Cy@example.com", "/org/demo/user/cy@example.com"],
        ]
    assert len(read(group, "group", "get", "devs")["memberLinks"]) == 3
    assert group.ok("user", "invite", "bob@example.com", "-o", "names") == "/org/demo/user/bob@example.com\n"


def test_addresses_that_are_none_are_told_and_the_others_invited(group: Terminal):
    outcome = group.run("user", "invite", "bob@example.com", "nobody")
    assert outcome.code == 1
    assert "nobody: " in outcome.err
    group.ok("user", "get", "Bob@example.com")
    assert group.run("user", "invite").code == 2
    assert group.run("user", "invite", "bob@example.com", "--group", "ghosts").code == 3


def test_user_is_labelled_and_deleted(group: Terminal):
    group.ok("user", "tag", "ann@example.com", "--tag", "team=ops")
    assert read(group, "user", "query", "--tag", "team=ops")["items"][0]["name"] == "ann@example.com"
    group.ok("user", "delete", "ann@example.com")
    assert group.run("user", "get", "ann@example.com").code == 3


@pytest.mark.parametrize("name", ["gg?zz", "gg#zz", "gg%3fzz", "gg\\zz", "gg?"])
def test_name_at_which_the_path_would_end_deletes_nothing(
    signed_in: Terminal, stand_in: StandIn, name: str
) -> None:
    outcome = signed_in.run("group", "delete", name)
    assert outcome.code == 2
    assert "cannot be a name" in outcome.err
    assert stand_in.asked == []


def test_names_that_need_quoting_reach_the_registry_as_they_are(
    signed_in: Terminal, stand_in: StandIn
) -> None:
    signed_in.run("group", "get", 'a b"ü')
    assert stand_in.asked[0].target == "/org/acme/group/a%20b%22%C3%BC"
