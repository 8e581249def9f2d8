# ruff: noqa: INP001 - a script beside the makefiles
"""Writes the page of all commands from what the commands say of themselves.

`python make/cli_reference.py` rewrites `docs/cli-reference.md`; with `--check` it only says whether that is
needed.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from moorage_cli.main import cli

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli-reference.md"
_WIDTH = 118
# The line by which click leaves a paragraph as it is.
_VERBATIM = "\b"
_INTRODUCTION = """\
# The commands of moorage

[The moorage command](cli.md) tells what it is for, how to sign in, and what its exit codes mean. This page
says what `--help` says: it is written from the commands themselves.
"""


def page() -> str:
    """The page, as it has to be."""
    root = click.Context(cli, info_name="moorage", terminal_width=_WIDTH, max_content_width=_WIDTH)
    common = [option for option in options(root) if option.name != "version"]
    names = {option.name for option in common}
    parts = [
        _INTRODUCTION,
        "\n".join(["| | |", "| --- | --- |", *(_row(each) for each in below(root))]),
        "## Common flags",
        "Every command takes them, and they may stand before it, too.",
        _listed(root, common),
    ]
    for each in below(root):
        parts += _described(each, names)
        for inner in below(each):
            parts += _described(inner, names)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def below(context: click.Context) -> Iterator[click.Context]:
    """The commands of a group, without those that help does not list, in order; of a command none."""
    group = context.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield click.Context(command, info_name=name, parent=context)


def options(context: click.Context) -> list[click.Option]:
    """The flags that a command's help lists, but for that of the help itself."""
    return [
        each
        for each in context.command.get_params(context)
        if isinstance(each, click.Option) and not each.hidden and "--help" not in each.opts
    ]


def _row(context: click.Context) -> str:
    inner = ", ".join(_link(each) for each in below(context))
    return f"| {_link(context)} | {inner or _escaped(context.command.get_short_help_str(_WIDTH))} |"


def _link(context: click.Context) -> str:
    return f"[{context.info_name}](#{context.command_path.replace(' ', '-')})"


def _described(context: click.Context, common: set[str | None]) -> Iterator[str]:
    depth = context.command_path.count(" ") + 1
    yield f"{'#' * depth} {context.command_path}"
    for paragraph in _paragraphs(context):
        yield _as_it_is(paragraph) if paragraph.startswith(_VERBATIM) else _wrapped(_escaped(paragraph))
    if isinstance(context.command, click.Group):
        return
    usage = " ".join(context.command.collect_usage_pieces(context))
    yield f"```text\n{context.command_path} {usage}\n```"
    own = [option for option in options(context) if option.name not in common]
    if own:
        yield _listed(context, own)


def _paragraphs(context: click.Context) -> list[str]:
    return re.split(r"\n\s*\n", inspect.cleandoc(context.command.help or ""))


def _as_it_is(paragraph: str) -> str:
    lines = paragraph.splitlines()[1:]
    return "```text\n" + "\n".join(line.rstrip() for line in lines) + "\n```"


def _listed(context: click.Context, listed: list[click.Option]) -> str:
    lines = []
    for option in listed:
        flags, said = option.get_help_record(context) or ("", "")
        lines.append(_wrapped(f"* `{flags}`: {_escaped(said)}", "  "))
    return "\n".join(lines)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        " ".join(text.split()),
        _WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _escaped(text: str) -> str:
    """``text`` without anything that Markdown would take for more than a character."""
    return re.sub(r"([\\`*<|])", r"\\\1", text)


def main() -> int:
    """Rewrite the page, or with `--check` compare it."""
    before = PAGE.read_text("utf-8") if PAGE.exists() else ""
    after = page()
    if "--check" in sys.argv[1:]:
        if after != before:
            sys.stderr.write("docs/cli-reference.md: not what the commands say; run `make fmt`\n")
        return int(after != before)
    if after != before:
        PAGE.write_text(after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
