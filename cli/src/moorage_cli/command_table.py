"""Which commands there are, and where each is: a module is imported only when its command is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A command: ``MODULE:ATTRIBUTE``, and what the list of commands says about it."""

    target: str
    summary: str


COMMANDS: Mapping[str, Row] = {
    "apply": Row("moorage_cli.commands.apply:apply", "Make and change resources as JSON and YAML files say."),
    "completion": Row("moorage_cli.commands.completion:completion", "Complete commands in the shell."),
    "delete": Row("moorage_cli.commands.apply:delete", "Delete the resources that JSON and YAML files name."),
    "group": Row("moorage_cli.commands.group:group", "Users and service accounts under one name."),
    "gvc": Row("moorage_cli.commands.gvc:gvc", "Groups of workloads, in which identities are."),
    "identity": Row("moorage_cli.commands.identity:identity", "Workloads that sign in without keys."),
    "image": Row("moorage_cli.commands.image:image", "Images: push, find, label, copy, pull with docker."),
    "job": Row("moorage_cli.commands.job:job", "Copies of images, while they are made."),
    "org": Row("moorage_cli.commands.org:org", "Organisations themselves."),
    "policy": Row("moorage_cli.commands.policy:policy", "Who may do what with which resources."),
    "profile": Row(
        "moorage_cli.commands.profile:profile", "Sign in, and choose a registry and organisation."
    ),
    "rest": Row("moorage_cli.commands.rest:rest", "Single requests to the management API."),
    "serviceaccount": Row(
        "moorage_cli.commands.serviceaccount:serviceaccount", "Programs that sign in with keys."
    ),
    "user": Row("moorage_cli.commands.user:user", "People in the organisation, by e-mail address."),
}
