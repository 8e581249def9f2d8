"""The command as a whole: help, wrong usage, exit codes, completion, and what it imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import moorage_cli
from moorage_cli import main as entry
from moorage_cli.command_table import COMMANDS
from moorage_cli.errors import CliError, Conflict, NotAllowed, NotFound, Unreachable, printable
from tests.cli.terminal import KEY, Terminal

SOURCE = Path(moorage_cli.__file__).parent
HEAVY = {"httpx2", "httpcore2", "rich", "yaml", "pydantic", "keyring", "ssl", "asyncio"}

LOADED = """
import sys
sys.argv = ["moorage", *sys.argv[1:]]
from moorage_cli.main import main
code = main()
print("\\nLOADED", *sorted({name.partition(".")[0] for name in sys.modules}))
sys.exit(code)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("profile", "--help"),
        ("profile", "login", "-h"),
        ("policy", "create", "-h"),
        ("org", "create", "-h"),
        ("serviceaccount", "add-key", "-h"),
        ("apply", "-h"),
        ("image", "push", "-h"),
        ("image", "copy", "-h"),
        ("job", "get", "-h"),
    ],
)
def test_help_imports_nothing_heavy(arguments):
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.rpartition("LOADED ")[2].split())
    assert "moorage_cli" in loaded
    assert not loaded & HEAVY


def test_command_never_imports_the_server():
    imported = {
        name.partition(".")[0]
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert "moorage_cli" in imported
    assert not imported & {"moorage", "local", "bench", "tests"}


def test_every_row_of_the_table_is_a_command_and_says_the_same_as_its_help(terminal: Terminal):
    listed = terminal.ok("--help")
    for name, row in COMMANDS.items():
        assert row.summary in listed
        assert terminal.ok(name, "--help").startswith(f"Usage: moorage {name}")


def test_version_is_that_of_the_package(terminal: Terminal):
    assert terminal.ok("--version") == f"moorage {moorage_cli.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("imge",), "moorage: no such command 'imge'"),
        (("profile", "get", "--colour"), "moorage: no such option"),
        (("profile", "get", "--max", "-1"), "moorage: invalid value for '--max'"),
        (("profile", "get", "--output", "xml"), "moorage: invalid value for '--output'"),
        (("profile", "delete"), "moorage: missing argument"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_help_and_code_2(terminal: Terminal, arguments, said):
    outcome = terminal.run(*arguments)
    assert outcome.code == 2
    assert outcome.err.startswith(said)
    assert outcome.err.count("\n") == 1
    assert "--help'" in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CliError("x"), 1),
        (NotFound("x"), 3),
        (NotAllowed("x"), 4),
        (Conflict("x"), 5),
        (Unreachable("x"), 6),
        (KeyboardInterrupt(), 130),
        (OSError(28, "No space left on device", "file"), 1),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(terminal: Terminal, monkeypatch, error, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(entry.cli, "invoke", fail)
    outcome = terminal.run("profile", "list")
    assert outcome.code == code
    # An interruption may leave the cursor in the middle of a line, and begins a new one.
    assert outcome.err.strip().startswith("moorage: ")
    assert outcome.err.strip().count("\n") == 0


@pytest.mark.parametrize("words", [(), ("image",), ("policy",), ("profile",), ("completion",)])
def test_command_without_a_command_shows_the_help_as_it_is(terminal: Terminal, words):
    outcome = terminal.run(*words)
    if words == ("completion",):
        assert outcome.err.count("\n") == 1
        return
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == terminal.ok(*words, "--help")


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("secret"), RecursionError(), UnicodeError("x")])
def test_what_nobody_thought_of_is_one_line(terminal: Terminal, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(entry.cli, "invoke", fail)
    outcome = terminal.run("profile", "list")
    assert outcome.code == 1
    assert outcome.err.startswith(f"moorage: this should not happen ({type(error).__name__}); ")
    assert outcome.err.count("\n") == 1
    assert "secret" not in outcome.err


def test_where_it_comes_from_is_shown_to_who_asks_and_without_the_key(terminal: Terminal, monkeypatch):
    def fail(session, *_):
        raise TypeError(f"not {session.credential}")

    monkeypatch.setattr("moorage_cli.session.Session.show_list", fail)
    outcome = terminal.run(
        "-v", "profile", "list", "--endpoint", "localhost", environment={"MOORAGE_TOKEN": KEY}
    )
    assert "Traceback" in outcome.err
    assert "not ..." in outcome.err
    assert KEY not in outcome.err
    assert outcome.code == 1


@pytest.mark.parametrize(
    ("closed", "code", "said"),
    [
        (">&-", 1, "moorage: standard output is closed, and results go there\n"),
        ("2>&-", 0, ""),
        ("<&-", 0, ""),
        (">/dev/full", 1, "moorage: No space left on device\n"),
        ("| true", 0, ""),
        ("--help | true", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full(tmp_path: Path, closed: str, code: int, said: str):
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m moorage_cli profile list {closed}"],
        env={"MOORAGE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.parametrize("words", [("--help",), ("image", "--help"), ("image", "get", "--help")])
def test_help_that_nobody_reads_ends_quietly(terminal: Terminal, monkeypatch, words):
    def broken(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("click.decorators.echo", broken)
    monkeypatch.setattr(entry, "_give_up_output", lambda: None)
    outcome = terminal.run(*words)
    assert (outcome.code, outcome.err) == (141, "")


@pytest.mark.parametrize("org", ["a b", "a/b", "A", "-a", "1", ".."])
def test_organisation_that_can_be_none_is_wrong_usage(terminal: Terminal, org: str):
    variables = {"MOORAGE_ENDPOINT": "http://127.0.0.1:9", "MOORAGE_TOKEN": KEY}
    outcome = terminal.run("image", "get", f"--org={org}", environment=variables)
    assert outcome.code == 2
    assert "cannot be the name of an organisation" in outcome.err


def test_reader_that_goes_away_is_no_error_worth_a_line():
    script = (
        "import sys\nfrom moorage_cli import main\n"
        "import click\n@main.cli.command('flood')\ndef flood():\n    for _ in range(100000): click.echo('x' * 80)\n"
        "main.cli.get_command = lambda ctx, name: flood\n"
        "sys.argv = ['moorage', 'flood']\nsys.exit(main.main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(10)
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(60) == 141


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(terminal: Terminal, shell):
    assert "_MOORAGE_COMPLETE" in terminal.ok("completion", shell)


def test_completion_completes_commands_and_flags():
    done = subprocess.run(
        [sys.executable, "-m", "moorage_cli"],
        env={"_MOORAGE_COMPLETE": "bash_complete", "COMP_WORDS": "moorage pro", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["plain,profile"]


def test_what_a_server_says_cannot_steer_the_terminal():
    assert printable("a\x1b[31mb\u202ec\n") == "a\\x1b[31mb\\u202ec\\n"
    assert printable("Zürich 東京") == "Zürich 東京"
