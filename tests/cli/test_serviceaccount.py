"""``moorage serviceaccount``, ``gvc`` and ``identity`` against the real management API."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.stand_in import Answer, StandIn
from tests.cli.terminal import Terminal


@pytest.fixture
def robot(real: Terminal) -> Terminal:
    """The terminal at the real API, where there is a service account ``bot``."""
    real.ok("serviceaccount", "create", "bot", "--description", "builds", "--tag", "ci=true")
    return real


def read(terminal: Terminal, *reference: str):
    return json.loads(terminal.ok(*reference, "-o", "json"))


def test_key_is_printed_once_alone_and_works(robot: Terminal):
    outcome = robot.run("serviceaccount", "add-key", "bot", "--description", "for CI", "--name", "first")
    key = outcome.out.removesuffix("\n")
    assert len(key.split()) == 1
    assert key not in outcome.err
    assert "only this once" in outcome.err
    assert robot.run("profile", "token", environment={"MOORAGE_TOKEN": key}).code == 0
    for output in ("json", "yaml", "text"):
        assert key not in robot.ok("serviceaccount", "get", "bot", "-o", output)
    assert key not in robot.ok("serviceaccount", "keys", "bot", "-o", "json")


def test_keys_are_listed_and_end_by_name(robot: Terminal):
    key = robot.ok("serviceaccount", "add-key", "bot", "--description", "a", "--name", "first").strip()
    robot.ok("serviceaccount", "add-key", "bot", "--description", "b", "--name", "second")
    rows = robot.ok("serviceaccount", "keys", "bot").splitlines()
    assert [row.split()[0] for row in rows] == ["NAME", "first", "second"]
    assert rows[1].split()[-1] == "never"
    robot.ok("serviceaccount", "remove-key", "bot", "--key", "first")
    assert [each["name"] for each in read(robot, "serviceaccount", "keys", "bot")["items"]] == ["second"]
    assert robot.run("org", "get", environment={"MOORAGE_TOKEN": key}).code == 4
    assert robot.run("serviceaccount", "remove-key", "bot", "--key", "first").code != 0


def test_days_say_how_long_a_key_is_valid(robot: Terminal, stand_in: StandIn):
    made = read(robot, "serviceaccount", "add-key", "bot", "--description", "a", "--days", "30")
    assert made["key"]
    wanted = datetime.fromisoformat(stand_in.asked[-1].json["expires"])
    assert abs(wanted - datetime.now(UTC) - timedelta(days=30)) < timedelta(hours=1)


@pytest.mark.parametrize(
    "arguments",
    [("bot",), ("bot", "--description", "a", "--days", "0"), ("bot", "--description", "a", "--days", "x")],
)
def test_key_without_a_purpose_or_a_life_is_not_asked_for(robot: Terminal, stand_in: StandIn, arguments):
    stand_in.asked.clear()
    assert robot.run("serviceaccount", "add-key", *arguments).code == 2
    assert stand_in.asked == []


def test_key_is_not_made_twice_when_the_answer_is_lost(robot: Terminal, stand_in: StandIn):
    stand_in.on("POST", "/org/demo/serviceaccount/bot/-addKey", Answer(broken=True))
    outcome = robot.run("serviceaccount", "add-key", "bot", "--description", "a")
    assert outcome.code == 6
    assert [each.path for each in stand_in.asked].count("/org/demo/serviceaccount/bot/-addKey") == 1


def test_account_is_updated_and_deleted(robot: Terminal):
    robot.ok("serviceaccount", "update", "bot", "--set", "description=new", "--unset", "tags.ci")
    made = read(robot, "serviceaccount", "get", "bot")
    assert (made["description"], made["tags"]) == ("new", {})
    robot.ok("serviceaccount", "delete", "bot")
    assert robot.run("serviceaccount", "get", "bot").code == 3


def test_identity_has_a_rule_from_flags(real: Terminal):
    real.ok("gvc", "create", "--name", "prod", "--description", "live")
    real.ok(
        *("identity", "create", "web", "--gvc", "prod", "--issuer", "https://issuer.example.com"),
        *("--audience", "registry", "--claim", "sub=job:a", "--claim", "sub=job:b"),
    )
    assert read(real, "identity", "get", "web", "--gvc", "prod")["trust"] == [
        {
            "issuer": "https://issuer.example.com",
            "audience": ["registry"],
            "claims": {"sub": ["job:a", "job:b"]},
        }
    ]
    assert (
        real.ok("identity", "get", "//gvc/prod/identity/web", "--gvc", "prod")
        .splitlines()[1]
        .startswith("web")
    )
    assert real.ok("identity", "get", "--gvc", "prod", "-o", "names") == "/org/demo/gvc/prod/identity/web\n"


@pytest.mark.parametrize(
    "flags",
    [["--claim", "sub=x"], ["--audience", "x"], ["--issuer", "https://i.example.com", "--claim", "sub"]],
)
def test_rule_without_an_issuer_or_a_pattern_is_refused(real: Terminal, stand_in: StandIn, flags):
    assert real.run("identity", "create", "web", "--gvc", "prod", *flags).code == 2
    assert stand_in.asked == []


def test_identity_needs_a_gvc_that_is_there(real: Terminal):
    assert real.run("identity", "create", "web").code == 2
    assert real.run("identity", "create", "web", "--gvc", "nowhere").code == 3


def test_gvc_with_identities_is_in_use(real: Terminal):
    real.ok("gvc", "create", "prod")
    real.ok("identity", "create", "web", "--gvc", "prod")
    assert real.run("gvc", "delete", "prod").code == 5
    real.ok("identity", "delete", "web", "--gvc", "prod")
    real.ok("gvc", "delete", "prod")
