"""Completion as shells have it: what bash offers, and what a person sees who presses Tab."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.screen import NEEDED, screen
from tests.docs.programs import needing

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
LOAD = 'eval "$(moorage completion bash)"'
# What bash does when Tab is pressed behind these words.
ASK = """
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
registered=$(complete -p moorage)
function=${registered##*-F }
"${function%% *}" moorage
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(home: Path, *words: str) -> list[str]:
    """What bash offers for the last of these words."""
    done = subprocess.run(
        ["bash", "-c", f"{LOAD}\n{ASK}", "bash", *words],
        env={"PATH": PATH, "HOME": str(home), "MOORAGE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    assert done.stderr == ""
    return done.stdout.split()


@needing("bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("moorage", "pol"), ["policy"]),
        (("moorage", "policy", "add-"), ["add-binding"]),
        (("moorage", "image", "docker-"), ["docker-login", "docker-logout"]),
        (("moorage", "policy", "create", "--query-p"), ["--query-property"]),
        (
            ("moorage", "image", "get", "--output", ""),
            ["text", "json", "yaml", "json-slim", "yaml-slim", "names"],
        ),
        (("moorage", "--org", "acme", "ser"), ["serviceaccount"]),
        (("moorage", "completion", "z"), ["zsh"]),
    ],
    ids=" ".join,
)
def test_bash_offers_commands_flags_and_values(tmp_path, words, expected):
    assert offered(tmp_path, *words) == expected


@pytest.fixture
def folder() -> Iterator[Path]:
    """One with a short name."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@NEEDED
@needing("bash")
def test_tab_completes_what_is_typed(folder):
    start = folder / "bashrc"
    start.write_text(f"PS1='ready> '\nHISTFILE=\nPATH={shlex.quote(PATH)}\n{LOAD}\n", "utf-8")
    words = ["bash", "--noprofile", "--rcfile", start, "-i"]
    with screen(folder, 80, words, {"HOME": str(folder), "PATH": PATH}) as shown:
        shown.until(lambda rows: rows[-1:] == ["ready>"])
        shown.type("moorage ser", "Tab")
        shown.until(lambda rows: rows[-1:] == ["ready> moorage serviceaccount"])
        shown.type("add-", "Tab")
        shown.until(lambda rows: rows[-1:] == ["ready> moorage serviceaccount add-key"])
        shown.type("C-u", "exit", "Enter")
        assert shown.exit_code() == 0
