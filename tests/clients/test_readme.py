"""The commands of the README, as a newcomer pastes them."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

from tests.clients import docker, image
from tests.clients.cloud import ROOT, Cloud
from tests.clients.command import run

README = (ROOT / "README.md").read_text("utf-8")
ADDRESS = "127.0.0.1:5000"


def block(beginning: str) -> str:
    """The commands of the block that begins so."""
    found = [text for text in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if text.startswith(beginning)]
    assert len(found) == 1
    return str(found[0])


def test_pasted_docker_commands_log_in_push_and_pull(registry_cloud: Cloud, tmp_path: Path) -> None:
    pasted = block("docker login")
    assert {line.split()[1] for line in pasted.splitlines()} == {"login", "tag", "push", "pull"}
    pasted = pasted.replace(ADDRESS, registry_cloud.host)
    pasted = pasted.replace(".local/state/password", shlex.quote(str(registry_cloud.state / "password")))
    with docker.engine(tmp_path, tmp_path / "docker.log") as engine:
        loaded = engine.must(
            "load", "--quiet", "--input", image.build(tmp_path, "readme").docker_archive
        ).output
        engine.must("tag", loaded.removeprefix("Loaded image: "), "alpine")
        options = ("--host", f"unix://{engine.socket}", "--config", str(engine.config))
        client = " ".join(map(shlex.quote, (docker.CLIENT, *options)))
        outcome = run("bash", "-ec", f'docker() {{ {client} "$@"; }}\n{pasted}', home=tmp_path)
    assert outcome.exit_code == 0, outcome
    assert "Login Succeeded" in outcome.output
    assert f"{registry_cloud.host}/{registry_cloud.org}/alpine:v1" in outcome.output.splitlines()[-1]


def test_pasted_admin_commands_make_an_account_that_can_log_in(registry_cloud: Cloud, tmp_path: Path) -> None:
    environment = json.loads((registry_cloud.state / "admin-environment.json").read_text("utf-8"))
    pasted = block(".venv/bin/moorage-admin").replace("TABLE", environment["TABLE_NAME"])
    pasted = pasted.replace(".venv/bin/moorage-admin", f"{shlex.quote(sys.executable)} -m moorage.admin")
    outcome = run(
        "bash", "-ec", pasted, home=tmp_path, **{**environment, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert outcome.exit_code == 0, outcome
    assert '"key": "mrg_' in outcome.output


def test_settings_that_the_readme_names_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for setting in re.findall(r"`([A-Z]+)=\S+ make run`", README):
        assert re.search(rf"^{setting} \?=", makefile, re.MULTILINE)
