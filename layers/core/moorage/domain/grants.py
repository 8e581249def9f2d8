"""Scopes: what clients ask a token for.

https://distribution.github.io/distribution/spec/auth/scope/
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from moorage.domain.addresses import Address
from moorage.domain.errors import NameInvalid
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission


class Action(StrEnum):
    """What a token can grant on a repository."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"


REQUIRED_PERMISSION: dict[Action, Permission] = {
    Action.PULL: Permission.PULL,
    Action.PUSH: Permission.CREATE,
    Action.DELETE: Permission.DELETE,
}

_ALL = "*"
Actions = frozenset[Action]


def parse_scopes(scopes: Iterable[str], address: Address) -> dict[Repository, Actions]:
    """The actions asked for at ``address``, by repository; repeated scopes of one repository are united.

    ``*`` asks for every action. What names no repository of ours, or no action we know, asks for nothing:
    a token may always be asked for more than it can grant.
    """
    asked: dict[Repository, Actions] = {}
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        if kind != "repository" or not name:
            continue
        try:
            repository = address.repository(name)
        except NameInvalid:
            continue
        asked[repository] = asked.get(repository, frozenset()) | _parse_actions(actions)
    return asked


def _parse_actions(text: str) -> Actions:
    words = set(text.split(","))
    if _ALL in words:
        return frozenset(Action)
    return frozenset(action for action in Action if action.value in words)


def format_scope(name: str, actions: Iterable[Action]) -> str:
    """The scope in the order that docker writes: ``repository:NAME:pull,push``."""
    wanted = frozenset(actions)
    return f"repository:{name}:{','.join(action for action in Action if action in wanted)}"
