"""``moorage completion``: the script that lets a shell complete commands and flags."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from moorage_cli.errors import CliError
from moorage_cli.session import common_options


@click.command()
@common_options
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes moorage.

    \b
    bash: eval "$(moorage completion bash)" in ~/.bashrc
    zsh:  eval "$(moorage completion zsh)" in ~/.zshrc
    fish: moorage completion fish > ~/.config/fish/completions/moorage.fish
    """  # noqa: D301 - lets click keep lines as they are
    kind = get_completion_class(shell)
    if kind is None:
        raise CliError(f"{shell} cannot be completed", "take bash, zsh or fish")
    click.echo(kind(context.find_root().command, {}, "moorage", "_MOORAGE_COMPLETE").source())
