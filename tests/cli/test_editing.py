"""The editor that ``edit`` opens: which it is, and what signals do while it runs."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from moorage_cli.editing import run_editor, words_of
from tests.cli.stand_in import StandIn
from tests.cli.terminal import Outcome, Terminal

OPEN = ("sample-policy", "edit", "ci")
# Until whoever waits for the editor has begun to.
BEGUN = "sleep 0.5"
CHANGE = "sed -i 's/old/new/' \"$1\""

pytestmark = pytest.mark.usefixtures("sample_nouns")


class Writer:
    """Somebody who edits the policy ``ci`` with a script."""

    def __init__(self, terminal: Terminal, stand_in: StandIn, folder: Path) -> None:
        self.terminal = terminal
        self.registry = stand_in
        self.folder = folder
        policy = {"kind": "policy", "id": "i1", "version": 3, "name": "ci", "description": "old"}
        stand_in.on("GET", "/org/acme/policy/ci", policy)
        stand_in.on("PATCH", "/org/acme/policy/ci", {**policy, "description": "new"})

    def edit(self, script: str) -> Outcome:
        return self.terminal.run(*OPEN, environment={"EDITOR": str(program(self.folder / "editor", script))})

    @property
    def drafts(self) -> list[Path]:
        return list(self.folder.glob("moorage-*.yaml"))


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o700)
    return path


@pytest.fixture
def writer(signed_in: Terminal, stand_in: StandIn, tmp_path: Path, monkeypatch: Any) -> Writer:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Writer(signed_in, stand_in, tmp_path)


def test_signal_that_ends_the_command_leaves_the_text_and_says_where(writer: Writer):
    outcome = writer.edit(f"{CHANGE}; {BEGUN}; kill -TERM $PPID; exec sleep 30")
    assert outcome.code == 143
    (draft,) = writer.drafts
    assert f"your text is kept in {draft}" in outcome.err
    assert "description: new" in draft.read_text("utf-8")


def test_signal_that_ends_the_command_lets_the_editor_save(writer: Writer):
    save = CHANGE.replace("'", '"')
    outcome = writer.edit(f"trap '{save}; exit' TERM; {BEGUN}; kill -TERM $PPID; sleep 1")
    assert outcome.code == 143
    (draft,) = writer.drafts
    assert "description: new" in draft.read_text("utf-8")


def test_signal_before_anything_is_written_leaves_no_file(writer: Writer):
    assert writer.edit(f"{BEGUN}; kill -TERM $PPID; exec sleep 30").code == 143
    assert writer.drafts == []


def test_error_that_nobody_thought_of_leaves_the_text(writer: Writer, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise TypeError

    monkeypatch.setattr("moorage_cli.editing.difference", fail)
    assert writer.edit(CHANGE).code == 1
    assert len(writer.drafts) == 1


def test_interruption_while_the_editor_runs_is_the_editors(writer: Writer):
    before = signal.getsignal(signal.SIGINT)
    outcome = writer.edit(f"trap : INT; {BEGUN}; kill -INT $PPID; kill -INT $$; {CHANGE}")
    assert outcome.code == 0, outcome
    assert writer.registry.asked[-1].json["description"] == "new"
    assert signal.getsignal(signal.SIGINT) is before


def test_interruption_that_ends_the_editor_ends_the_command_and_leaves_the_text(writer: Writer):
    outcome = writer.edit(f"{CHANGE}; kill -INT $$; exit 0")
    assert outcome.code == 130
    (draft,) = writer.drafts
    assert f"your text is kept in {draft}" in outcome.err


def test_editor_of_windows_is_started_where_there_is_no_other(tmp_path: Path, monkeypatch: Any):
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    program(tmp_path / "bin" / "notepad", f'echo "$1" >{tmp_path}/opened')
    run_editor(Path("draft"))
    assert (tmp_path / "opened").read_text("utf-8") == "draft\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (r"C:\Windows\notepad.exe", [r"C:\Windows\notepad.exe"]),
        (r'"C:\Program Files\ed.exe" --wait', [r"C:\Program Files\ed.exe", "--wait"]),
        ("code --wait", ["code", "--wait"]),
    ],
)
def test_backslash_in_a_path_of_windows_stays(command: str, words: list[str]):
    assert words_of(command, windows=True) == words


def test_backslash_elsewhere_quotes():
    assert words_of(r"/opt/my\ editor -w") == ["/opt/my editor", "-w"]
