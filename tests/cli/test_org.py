"""``moorage org`` against the real management API."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.cli.stand_in import Answer, StandIn, refusal
from tests.cli.terminal import Terminal
from tests.protocol.management.world import BOOTSTRAP

FRESH = "/org/fresh"


@pytest.fixture
def founder(real: Terminal) -> Terminal:
    """The terminal of somebody who has the bootstrap credential alone."""
    del real.environment["MOORAGE_TOKEN"], real.environment["MOORAGE_ORG"]
    return real


@pytest.fixture
def credential(tmp_path):
    """A file with the bootstrap credential."""
    file = tmp_path / "bootstrap"
    file.write_text(f"{BOOTSTRAP}\n", "utf-8")
    file.chmod(0o600)
    return file


def test_key_of_the_first_superuser_is_printed_alone_and_works(founder: Terminal, credential):
    outcome = founder.run("org", "create", "fresh", "--bootstrap-file", str(credential), "--tag", "a=1")
    key = outcome.out.removesuffix("\n")
    assert outcome.code == 0
    assert len(key.split()) == 1
    assert "/org/fresh/serviceaccount/admin" in outcome.err
    assert key not in outcome.err
    mine = {"MOORAGE_TOKEN": key}
    made = json.loads(founder.ok("org", "get", "fresh", "-o", "json", environment=mine))
    assert (made["tags"], made["identityPull"], made["store"]) == ({"a": 1}, True, "default")


@pytest.mark.parametrize(
    ("flags", "body"),
    [
        (["--email", "Ann@example.com"], {"creator": {"email": "Ann@example.com"}}),
        (
            ["--serviceaccount", "boss", "--no-identity-pull"],
            {"creator": {"serviceaccount": "boss"}, "identityPull": False},
        ),
        (["--description", "d", "--identity-pull"], {"description": "d", "identityPull": True}),
        (["--store", "frankfurt"], {"store": "frankfurt"}),
    ],
)
def test_flags_say_what_the_organisation_is_like(founder: Terminal, stand_in: StandIn, flags, body):
    founder.run("org", "create", "--name", "fresh", "--bootstrap-stdin", *flags, stdin=BOOTSTRAP)
    assert stand_in.asked[-1].json == {"name": "fresh", **body}
    assert stand_in.asked[-1].headers["Authorization"] == f"Bearer {BOOTSTRAP}"


def test_credential_may_stand_in_the_variable(founder: Terminal):
    founder.ok("org", "create", "fresh", environment={"MOORAGE_TOKEN": BOOTSTRAP})


def test_credential_in_a_file_that_others_can_read_is_not_used(
    founder: Terminal, stand_in: StandIn, credential
):
    credential.chmod(0o644)
    outcome = founder.run("org", "create", "fresh", "--bootstrap-file", str(credential))
    assert outcome.code == 1
    assert "chmod 600" in outcome.err
    assert stand_in.asked == []


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ([], 4),
        (["--bootstrap-stdin", "--bootstrap-file", "x"], 2),
        (["--bootstrap-file", "/nowhere"], 1),
        (["--bootstrap-stdin"], 4),
        (["--bootstrap-stdin", "--email", "a@example.com", "--serviceaccount", "b"], 2),
    ],
)
def test_create_without_the_credential_asks_nobody(founder: Terminal, stand_in: StandIn, flags, code):
    outcome = founder.run("org", "create", "fresh", *flags)
    assert outcome.code == code
    assert stand_in.asked == []


def test_wrong_credential_is_not_repeated_in_the_error(founder: Terminal):
    outcome = founder.run("org", "create", "fresh", "--bootstrap-stdin", stdin="mrgboot_" + "x" * 43)
    assert outcome.code == 4
    assert "xxx" not in outcome.err + outcome.out


def test_settings_are_patched_and_updated(real: Terminal):
    real.ok("org", "patch", "demo", "-f", "-", stdin="identityPull: false\n")
    real.ok("org", "update", "demo", "--set", "description=ours")
    changed = json.loads(real.ok("org", "get", "-o", "json"))["items"][0]
    assert (changed["identityPull"], changed["description"]) == (False, "ours")
    assert "permission" in real.ok("org", "access-report", "demo").lower()


@pytest.mark.parametrize("reference", ["demo/policy/ci", "/org/demo/policy/ci", "//policy/ci", "-x", ""])
def test_what_lies_below_an_organisation_is_none(real: Terminal, stand_in: StandIn, reference):
    assert real.run("org", "delete", "--yes", "--", reference).code == 2
    assert stand_in.asked == []


def test_end_says_when_and_how_to_go_on(real: Terminal, management, credential):
    outcome = real.run("org", "delete", "demo")
    assert (outcome.code, outcome.out) == (0, "")
    assert "--resume" in outcome.err
    assert real.run("org", "get", "demo").code == 4
    resumed = real.run(
        "org", "delete", "demo", "--resume", "--bootstrap-file", str(credential), "--no-wait", "-o", "json"
    )
    assert json.loads(resumed.out)["finished"] is False
    management.world.clock.advance(timedelta(hours=1))
    assert real.ok(
        "org", "delete", "demo", "--resume", "--bootstrap-stdin", "-o", "json", stdin=BOOTSTRAP
    ) == ('{\n  "finished": true\n}\n')
    assert real.run("org", "delete", "demo", "--resume", "--bootstrap-file", str(credential)).code == 3


def test_end_with_the_credential_waits_until_all_is_removed(
    real: Terminal, stand_in: StandIn, waits, credential
):
    ending = {"finished": False, "rows": 3, "again": "2000-01-01T00:00:00.000Z"}
    later = {**ending, "again": "2999-01-01T00:00:00.000Z"}
    gone = Answer(None, 204)
    stand_in.on("DELETE", "/org/demo", Answer(ending, 202), Answer(later, 202), gone)
    outcome = real.run("org", "delete", "demo", "--force", "--bootstrap-file", str(credential))
    assert outcome.code == 0
    assert "is removed" in outcome.err
    assert waits == [1, 60]
    asked = stand_in.asked
    assert [each.query for each in asked] == [{"force": ["true"]}, {}, {}]
    assert [each.headers["Authorization"] == f"Bearer {BOOTSTRAP}" for each in asked] == [False, True, True]


def test_organisation_with_images_is_ended_only_with_force(real: Terminal, management):
    management.push("demo/app", "v1")
    assert real.run("org", "delete", "demo").code == 5
    assert real.run("org", "delete", "demo", "--force").code == 0


def test_terminal_asks_for_the_name_before_the_end(real: Terminal, stand_in: StandIn):
    stand_in.on("DELETE", "/org/demo", refusal(403, "Denied", "no"))
    outcome = real.run("org", "delete", "demo", stdin="other\n", tty=True)
    assert outcome.code == 2
    assert outcome.err.endswith("moorage: not confirmed; nothing was changed\n")
    assert stand_in.asked == []
    assert real.run("org", "delete", "demo", stdin="demo\n", tty=True).code == 4
    assert real.run("org", "delete", "demo", "--yes", tty=True).code == 4
    assert stand_in.paths() == ["DELETE /org/demo"] * 2
