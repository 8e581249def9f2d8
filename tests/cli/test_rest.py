"""``moorage rest`` against the real management API, and ``MOORAGE_GVC``."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.cli.stand_in import StandIn
from tests.cli.terminal import Terminal
from tests.protocol.management.world import Management


def test_requests_make_show_change_and_delete(real: Terminal, stand_in: StandIn):
    def group(method: str, path: str, body: str) -> dict[str, object]:
        answered: dict[str, object] = json.loads(real.ok("rest", method, path, "-f", "-", stdin=body))
        return answered

    assert group("post", "/org/demo/group", '{"name": "devs"}')["name"] == "devs"
    assert group("put", "/org/demo/group", "kind: group\nname: ops")["name"] == "ops"
    assert group("put", "//group/ops", "{name: ops, description: days}")["description"] == "days"
    assert group("patch", "//group/ops", "description: nights")["description"] == "nights"
    shown = yaml.safe_load(real.ok("rest", "get", "/org/demo/group", "-o", "yaml"))
    assert {"devs", "ops"} < {each["name"] for each in shown["items"]}
    stand_in.asked.clear()
    assert real.ok("rest", "delete", "//group/ops") == ""
    assert [(each.method, each.path) for each in stand_in.asked] == [("DELETE", "/org/demo/group/ops")]
    assert real.run("rest", "get", "//group/ops").code == 3


def test_short_path_is_sent_as_it_is_written(real: Terminal, management: Management, stand_in: StandIn):
    management.ok("demo/admin", "POST", "/org/demo/user/-invite", {"emails": ["ann@example.com"]})
    key = {"description": "for me", "name": "first"}
    made = json.loads(
        real.ok("rest", "post", "//user/ann@example.com/-addKey", "-f", "-", stdin=json.dumps(key))
    )
    assert made["key"]
    assert stand_in.asked[-1].path == "/org/demo/user/ann@example.com/-addKey"


def test_warnings_are_told(real: Terminal):
    body = {
        "name": "void",
        "targetKind": "image",
        "targetLinks": ["//image/none:v1"],
        "bindings": [{"permissions": ["pull"], "principalLinks": ["//group/viewers"]}],
    }
    outcome = real.run(
        "rest", "post", "/org/demo/policy", "-f", "-", "-o", "yaml-slim", stdin=json.dumps(body)
    )
    assert (outcome.code, "warning: " in outcome.err) == (0, True)
    assert "id" not in yaml.safe_load(outcome.out)


def test_path_may_have_a_query(real: Terminal, management: Management):
    for tag in ("v1", "v2"):
        management.push("demo/app", tag)
    assert len(json.loads(real.ok("rest", "get", "/org/demo/image?limit=1"))["items"]) == 1


@pytest.mark.parametrize("path", ["group/devs", "https://elsewhere.example/org/demo", "", "/\\elsewhere"])
def test_key_goes_to_paths_of_the_registry_only(real: Terminal, stand_in: StandIn, path):
    stand_in.asked.clear()
    assert real.run("rest", "get", path).code == 2
    assert stand_in.asked == []


@pytest.mark.parametrize("method", ["put", "patch"])
def test_change_without_a_body_is_not_sent(real: Terminal, stand_in: StandIn, method):
    stand_in.asked.clear()
    assert real.run("rest", method, "//group/devs").code == 2
    assert stand_in.asked == []


def test_gvc_may_stand_in_a_variable(real: Terminal):
    real.ok("gvc", "create", "prod")
    environment = {"MOORAGE_GVC": "prod"}
    real.ok("identity", "create", "web", environment=environment)
    shown = real.ok("identity", "get", "-o", "names", environment=environment)
    assert shown == "/org/demo/gvc/prod/identity/web\n"
    assert real.ok("identity", "get", "--gvc", "other", "-o", "names", environment=environment) == ""
    assert real.run("identity", "get", environment={"MOORAGE_GVC": ""}).code == 2
