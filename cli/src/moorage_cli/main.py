"""``moorage``: finds the command, runs it, and turns what went wrong into one line and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from moorage_cli import __version__
from moorage_cli.command_table import COMMANDS, Row
from moorage_cli.errors import INTERRUPTED, PIPE_CLOSED, CliError, printable, unforeseen
from moorage_cli.session import Session, common_options
from moorage_cli.signals import Terminated, ending_signals
from moorage_cli.streams import has_output

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
        with _pipe_closed():
            return super().invoke(ctx)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the flags, of which ``--help`` writes.

        Raises:
            PipeClosed: as of ``invoke``.
        """
        with _pipe_closed():
            return super().make_context(*args, **extra)

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
    if not has_output():
        return _failed("standard output is closed, and results go there", _FAILED)
    session = Session()
    try:
        with ending_signals():
            return _ran(session, arguments)
    except Terminated as error:
        # After SIGHUP, nobody may be there to be told.
        with contextlib.suppress(OSError):
            _failed("ended by a signal", error.exit_code)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - whatever it is, a person gets one line
        if session.verbose:
            session.note_plainly(_traceback(session), lines=True)
        return _failed(unforeseen(error, "run it with --verbose, and report what that shows"), _FAILED)


def _ran(session: Session, arguments: Sequence[str] | None) -> int:  # noqa: PLR0911 - one per way to end
    words = None if arguments is None else list(arguments)
    try:
        code = cli.main(words, "moorage", standalone_mode=False, obj=session)
        sys.stdout.flush()
    except CliError as error:
        return _failed(error.line, error.exit_code)
    except NoArgsIsHelpError as error:
        # What somebody who has not said what to do wants to know.
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        return _failed(_said(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _failed("interrupted", INTERRUPTED)
    except (PipeClosed, BrokenPipeError):
        _give_up_output()
        return PIPE_CLOSED
    except OSError as error:
        _give_up_output()
        return _failed(_system(error), _FAILED)
    return code if isinstance(code, int) else 0


def _traceback(session: Session) -> str:
    """Where the error comes from, without the key: it may stand in what a library says."""
    import traceback  # noqa: PLC0415 - it is for the day when something is wrong

    text = traceback.format_exc()
    credential = vars(session).get("credential") or session.flags.get("token")
    return text.replace(credential, "...") if credential else text


def _give_up_output() -> None:
    """Whatever is still buffered must not fail once more when the interpreter ends."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _pipe_closed() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise PipeClosed from error


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
