"""The recorded session of the command, typed again without foreign programs; and what types it finds what is wrong."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.docs.organisation import founded
from tests.docs.page import DOCS
from tests.docs.programs import needing
from tests.docs.transcript import Transcript, replay

PAGE = "cli-session.md"
PROGRAMS = Path(sys.executable).parent


def told(name: str, state: Path, home: Path) -> Transcript:
    """The session in an organisation of its own, of which the state folder in ``home`` tells as that of ``make run``."""
    organisation = founded(state, name, home)
    facts = json.loads((state / "credentials.json").read_text("utf-8"))
    own = home / ".local" / "state"
    own.mkdir(parents=True)
    facts |= {"org": organisation.name, "password": organisation.key}
    (own / "credentials.json").write_text(json.dumps(facts), "utf-8")
    return Transcript(
        PAGE, {"127.0.0.1:5000": organisation.host, "demo": organisation.name, "prod": f"{name}-to"}
    )


def variables() -> dict[str, str]:
    """Under which the command is found, and does not touch the keyring of whoever runs the tests."""
    return {
        "PATH": f"{PROGRAMS}:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }


@needing("bash", "jq")
def test_what_is_typed_prints_what_the_page_says(local_cloud, tmp_path):
    transcript = told("session", local_cloud.state, tmp_path)
    assert len(replay(transcript, tmp_path, clients=False, **variables())) > 20


def test_every_command_is_followed_by_what_it_prints():
    typed = list(Transcript(PAGE).typed())
    assert {each.text.split()[0] for each in typed if each.needs_clients} == {"moorage", "skopeo", "diff"}
    written = re.findall(r"^\$ (.*)$", (DOCS / PAGE).read_text("utf-8"), re.MULTILINE)
    assert [each.text.splitlines()[0] for each in typed if each.printed is not None] == written


def page(folder: Path, *blocks: tuple[str, str]) -> Transcript:
    file = folder / "page.md"
    file.write_text("\n".join(f"```{marks}\n{text}\n```\n" for marks, text in blocks), "utf-8")
    return Transcript(str(file))


def replayed(folder: Path, *blocks: tuple[str, str], clients: bool = True) -> int:
    return len(replay(page(folder, *blocks), folder, clients=clients))


@needing("bash")
def test_lines_share_a_shell_a_folder_and_files(tmp_path):
    assert (
        replayed(
            tmp_path,
            ("yaml a file", "a: 1\nb: $HOME"),
            ("sh", 'word=hello\nsay() { echo "$1, $2"; }\necho noise'),
            ("console", '$ cat "a file"\na: 1\nb: $HOME\n$ say "$word" \\\n>   there\nhello, there\n$ true'),
            ("text", "is for the reader alone"),
        )
        == 5
    )


@needing("bash")
@pytest.mark.parametrize(
    ("said", "printed"),
    [
        ("...", "a\nb"),
        ("a\n...\nd", "a\nb\nc\nd"),
        ("a\n...\nb", "a\nb"),
        ("at 2026-01-02 03:04:05", "at 2027-11-12 13:14:15"),
        ("until 2026-01-02T03:04:05.006Z", "until 2027-11-12T13:14:15.016Z"),
        (f"sha256:{'0a' * 32}", f"sha256:{'b1' * 32}"),
        (f"{'0a' * 8}  a", f"{'b1' * 8}  a"),
        (f"{'0a' * 16}  a", f"{'b1' * 16}  a"),
        ("done, 0.1 s", "done, 12.3 s"),
        ("NAME    AGE", "NAME        AGE"),
    ],
)
def test_what_differs_from_run_to_run_may_differ(tmp_path, said, printed):
    blocks = (("yaml printed", printed), ("console", f"$ cat printed\n{said}"))
    assert replayed(tmp_path, *blocks) == 2


@needing("bash")
@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        ([("console", "$ false\n$ true")], "page.md:2: exit code 1"),
        ([("sh", "false"), ("console", "$ true")], "page.md:2: exit code 1"),
        ([("console", "$ false | true")], "exit code 1"),
        ([("console", "$ exit 0\n$ true")], "page.md:3 was not reached"),
        ([("console", "$ echo a\nb")], "- b\n+ a"),
        ([("console", "$ echo a")], "+ a"),
        ([("console", "$ true\na")], "- a"),
        ([("console", "$ echo a\n$ echo b\na\n")], "page.md:2"),
        ([("console", "$ echo a >&2\n")], "+ a"),
        ([("console", "$ echo 'a b'\nb a")], "- b a"),
        ([("console", "$ printf 'a\\nb\\n'\nb\na")], "page.md:2"),
        ([("console", "$ echo facade\ndecade")], "- decade"),
        ([("console", "no command\n$ true")], "line 2 is printed by nothing"),
    ],
)
def test_page_that_does_not_hold_is_told(tmp_path, blocks, problem):
    with pytest.raises(AssertionError, match=re.escape(problem)):
        replayed(tmp_path, *blocks)


@needing("bash")
def test_what_needs_clients_is_left_out(tmp_path):
    blocks = (("console clients", "$ false"), ("console", "$ true"))
    assert replayed(tmp_path, *blocks, clients=False) == 1
    with pytest.raises(AssertionError):
        replayed(tmp_path, *blocks)
