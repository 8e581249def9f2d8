"""The pages of the command say what it does: every command, flag, variable and exit code, and nothing else."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

import moorage_cli
from moorage_cli.errors import INTERRUPTED, PIPE_CLOSED, CliError
from moorage_cli.main import cli
from moorage_cli.session import OUTPUTS
from moorage_cli.signals import ENDING, Terminated
from tests.docs.guide import Guide, follow
from tests.docs.page import DOCS
from tests.docs.programs import needing
from tests.docs.test_cli_session import told, variables
from tests.docs.test_reference import table

ROOT = DOCS.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGE = Guide("cli.md")
ELSEWHERE = {
    "pipx install ./cli": "tests/cli/test_package.py installs it and runs it without, by uv",
    "moorage profile login --endpoint https://registry.example --org acme": "there is no such registry",
    "moorage image push docker:app:v1": "they need a daemon; tests/cli/test_push.py pushes from all of these",
    'eval "$(moorage completion bash)"': "tests/cli/test_completion.py does, in bash",
}
PAGES = [ROOT / "README.md", ROOT / "cli/README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The script that writes the page of all commands."""
    spec = importlib.util.spec_from_file_location("cli_reference", ROOT / "make/cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_what_the_commands_say(reference):
    assert reference.PAGE.read_text("utf-8") == reference.page(), "run `make fmt`"


def commands(context: click.Context) -> Iterator[click.Context]:
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            own = click.Context(command, info_name=name, parent=context)
            yield own
            yield from commands(own)


def test_every_command_and_flag_that_is_not_hidden_stands_in_the_reference():
    page = (DOCS / "cli-reference.md").read_text("utf-8")
    found = list(commands(click.Context(cli, info_name="moorage")))
    assert len(found) > 100
    for context in found:
        heading = f"{'#' * (context.command_path.count(' ') + 1)} {context.command_path}\n"
        assert (heading in page) != context.command.hidden
        section = page.partition(heading)[2].partition("\n#")[0] if not context.command.hidden else None
        for option in context.command.params:
            if section is not None and isinstance(option, click.Option) and option.expose_value:
                assert all(f"`{each}" in section or f" {each}" in section for each in option.opts)


def test_help_has_no_marks_that_are_meant_for_click():
    for context in commands(click.Context(cli, info_name="moorage")):
        shown = context.command.get_help(context)
        assert "\\b" not in shown
        assert "\b" not in shown


def test_table_of_exit_codes_is_that_of_the_errors():
    documented = [int(row[0]) for row in table(PAGE.text, "Exit codes")]
    errors: list[type[CliError]] = [CliError]
    for error in errors:
        errors += error.__subclasses__()
    signals = {Terminated(number).exit_code for number in ENDING}
    codes = {0, *(error.exit_code for error in errors), INTERRUPTED, PIPE_CLOSED, *signals}
    assert documented == sorted(codes)
    assert " ".join(cli.get_help(click.Context(cli)).split()).count("Exit codes: 0 done") == 1


def test_every_variable_of_its_own_stands_on_the_page_and_no_other():
    source = "".join(path.read_text("utf-8") for path in Path(moorage_cli.__file__).parent.rglob("*.py"))
    read = set(re.findall(r"(?<![A-Z_])MOORAGE_[A-Z]+", source))
    assert set(re.findall(r"MOORAGE_[A-Z]+", PAGE.text)) == read


def test_every_form_of_output_stands_on_the_page():
    assert [row[0].strip("`") for row in table(PAGE.text, "Output")] == list(OUTPUTS)


@needing("bash", "curl", "jq")
def test_commands_do_what_the_page_says(local_cloud, tmp_path):
    transcript = told("page", local_cloud.state, tmp_path)
    guide = Guide(PAGE.name, transcript.replaced)
    assert follow(guide, tmp_path, **variables()) == len(PAGE.steps) > 5


@needing("bash")
def test_pasted_commands_of_the_readme_sign_in_find_and_log_docker_in(local_cloud, tmp_path):
    (pasted,) = re.findall(r"^```sh\npipx install ./cli\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    told("readme", local_cloud.state, tmp_path)
    done = subprocess.run(
        ["bash", "-ec", pasted],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), **variables()},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("NAME")
    assert "credHelpers" in (tmp_path / ".docker" / "config.json").read_text("utf-8")


def test_only_what_has_a_reason_is_run_nowhere():
    assert PAGE.elsewhere == list(ELSEWHERE)


def quoted(page: Path) -> Iterator[list[str]]:
    """The words of each ``moorage`` command in the code of a page, up to where the shell goes on with another."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    code = re.findall(
        r"^```(?:sh|console)[^\n]*\n(.*?)^```$|^ {4}(.*)$|`([^`\n]+)`", text, re.MULTILINE | re.DOTALL
    )
    for line in "\n".join("".join(each) for each in code).splitlines():
        for found in re.finditer(r"(?:^[$> ]*(?:\w+=\S+ )?|\$\()moorage ([^|<>)]*)", line):
            yield shlex.split(found[1])


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_commands_that_a_page_quotes_are_commands_with_such_flags(page):
    for words in quoted(page):
        context, known = click.Context(cli, info_name="moorage"), set[str]()
        for word in words:
            known |= {each for option in context.command.get_params(context) for each in option.opts}
            if word.startswith("-") and len(word) > 1:
                assert word.partition("=")[0] in known, words
            elif isinstance(context.command, click.Group):
                command = context.command.get_command(context, word)
                if command is None:
                    # It is the value of a common flag, or nothing.
                    assert words[words.index(word) - 1].startswith("-"), words
                    continue
                context = click.Context(command, info_name=word, parent=context)


def test_quoted_commands_are_found():
    found = list(quoted(DOCS / "cli-session.md"))
    assert ["image", "push", "app", "app:v1"] in found
    assert ["org", "create", "prod", "--bootstrap-stdin"] in found
    assert ["profile", "token"] in list(quoted(DOCS / "cli.md"))
