"""``moorage``: finds the command, runs it, and turns what went wrong into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from moorage_cli import __version__
from moorage_cli.command_table import COMMANDS, Row
from moorage_cli.errors import INTERRUPTED, PIPE_CLOSED, CliError, printable
from moorage_cli.session import common_options

_FAILED = 1


class PipeClosed(Exception):
    """Whoever read the output went away."""


class LazyGroup(click.Group):
    """A group whose commands are rows of a table."""

    def __init__(self, *args: Any, table: Mapping[str, Row] = COMMANDS, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._table = table

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Raises:
            PipeClosed: its output is not read any more; click would make that a failure.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise PipeClosed from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, in order."""
        return sorted(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, or None."""
        row = self._table.get(cmd_name)
        if row is None:
            return None
        module, _, attribute = row.target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in `--help`, without importing them."""
        rows = [(name, self._table[name].summary) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="moorage", message="%(prog)s %(version)s")
@common_options
def cli() -> None:
    """Work with the images, policies and principals of a moorage registry.

    The common flags may stand before or after the command. Exit codes: 0 done, 1 failed, 2 wrong usage,
    3 not found, 4 not allowed or not signed in, 5 conflict, 6 network or registry unavailable, 130
    interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code, of which ``errors`` has the list."""
    try:
        code = cli.main(None if arguments is None else list(arguments), "moorage", standalone_mode=False)
        sys.stdout.flush()
    except CliError as error:
        return _failed(error.line, error.exit_code)
    except click.ClickException as error:
        return _failed(_said(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _failed("interrupted", INTERRUPTED)
    except (PipeClosed, BrokenPipeError):
        # Whatever is still buffered must not fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        return _failed(_system(error), _FAILED)
    return code if isinstance(code, int) else 0


def _failed(line: str, code: int) -> int:
    click.echo(printable(f"moorage: {line}"), err=True)
    return code


def _said(error: click.ClickException) -> str:
    if not isinstance(error, click.UsageError):
        return error.format_message()
    message = " ".join(error.format_message().split()).rstrip(".")
    path = error.ctx.command_path if error.ctx else "moorage"
    return f"{message[:1].lower()}{message[1:]}; see '{path} --help'"


def _system(error: OSError) -> str:
    reason = error.strerror or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason
