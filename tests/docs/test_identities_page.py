"""The page on workloads: its trust rules are taken, and its script makes a token that they accept."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.domain.errors import InvalidInput
from moorage.domain.resources import Kind, ResourceRecord
from moorage.domain.trust import is_identity_link, parse_trust
from tests.docs.programs import needing
from tests.protocol.world import HOST, registry_in_memory

PAGE = (Path(__file__).parents[2] / "docs/identities.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


IDENTITIES = [document for block in blocks("json") if "trust" in (document := json.loads(block))]


@pytest.mark.parametrize("identity", IDENTITIES, ids=[each["name"] for each in IDENTITIES])
def test_the_rules_on_the_page_are_taken_and_fetch_their_keys(identity):
    (rule,) = parse_trust(identity)
    assert rule.keys is None
    assert rule.audiences == frozenset()


def test_the_page_has_an_identity_for_each_place_where_workloads_run():
    assert [each["name"] for each in IDENTITIES] == ["web", "release", "batch"]


def test_what_the_page_says_about_patterns_for_github_is_so():
    (release,) = (each for each in IDENTITIES if each["name"] == "release")
    (rule,) = release["trust"]
    for pattern in re.findall(r"`(repo:\S+)`", PAGE):
        assert len(parse_trust({"trust": [{**rule, "claims": {"sub": pattern}}]})) == 1
    with pytest.raises(InvalidInput):
        parse_trust({"trust": [{**rule, "claims": {"ref": "refs/heads/main"}}]})


def test_every_link_of_an_identity_on_the_page_is_one():
    named = re.findall(r"(?:--username |identity=)(\S+)", PAGE)
    assert len(named) == 3
    assert all(is_identity_link(name) for name in named)


def test_the_script_makes_a_token_that_its_identity_accepts(tmp_path):
    (script,) = (
        found
        for block in blocks("sh")
        for found in re.findall(r"<<'PY'\n(.*)^PY$", block, re.MULTILINE | re.DOTALL)
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)
    body, token = json.loads((tmp_path / "identity.json").read_text()), (tmp_path / "token").read_text()
    with registry_in_memory() as world:
        now = world.clock.now = world.clock.now.fromtimestamp(
            int((tmp_path / "token").stat().st_mtime), world.clock.now.tzinfo
        )
        world.table.create(ResourceRecord(Kind.GVC, "demo", "shop", "gvc", 1, now, now))
        world.table.create(
            ResourceRecord(
                Kind.IDENTITY,
                "demo",
                f"shop/{body['name']}",
                "id",
                1,
                now,
                now,
                spec={"trust": body["trust"]},
            )
        )
        link = "/org/demo/gvc/shop/identity/web"
        (command,) = (block for block in blocks("sh") if "token-exchange" in block)
        form = dict(re.findall(r"--data-urlencode '?([a-z_]+)=([^\s']+)", command))
        form |= {"subject_token": token, "identity": link, "scope": "repository:demo/app:pull"}
        answer = world.tokens.post("/token", data=form)
        assert answer.status_code == 200, answer.text
        assert answer.json()["token_type"] == "Bearer"
        assert world.tokens.get("/token", auth=(link, token), headers={"Host": HOST}).status_code == 200


@needing("bash", "jq")
def test_the_command_that_shows_a_token_shows_it():
    (command,) = (block for block in blocks("sh") if "base64d" in block)
    token = "e30.eyJzdWIiOiJtZcO-In0.c2ln"
    shown = subprocess.run(
        ["bash", "-c", command],
        env={"TOKEN": token, "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    ).stdout
    assert json.loads(shown) == {"sub": "meþ"}
