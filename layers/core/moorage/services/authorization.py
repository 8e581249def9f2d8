"""Who may do what: every question goes through here, to the one function that decides."""

from __future__ import annotations

from collections.abc import Iterable

from moorage.domain.grants import REQUIRED_PERMISSION, Action, Actions
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission
from moorage.domain.policies import Decision, Deny, built_in_policies, decide
from moorage.domain.principals import organisation_of
from moorage.ports import Accounts


class Authorization:
    """Decides for principals, by their groups and the organisation's policies."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def decide(self, principal: str, permission: Permission, repository: Repository) -> Decision:
        """Whether ``principal`` has ``permission`` on ``repository``, as of now."""
        return self._decide(principal, self._groups(principal), permission, repository)

    def grant(
        self, principal: str, asked: dict[Repository, Actions]
    ) -> tuple[dict[Repository, Actions], dict[Repository, Actions]]:
        """Of the actions asked for, those that are granted and those that are refused."""
        groups = self._groups(principal) if asked else frozenset()
        granted: dict[Repository, Actions] = {}
        refused: dict[Repository, Actions] = {}
        for repository, actions in asked.items():
            allowed = frozenset(self._allowed(principal, groups, repository, actions))
            granted[repository] = allowed
            refused[repository] = actions - allowed
        return granted, refused

    def _allowed(
        self, principal: str, groups: frozenset[str], repository: Repository, actions: Actions
    ) -> Iterable[Action]:
        for action in actions:
            decision = self._decide(principal, groups, REQUIRED_PERMISSION[action], repository)
            if not isinstance(decision, Deny):
                yield action

    def _groups(self, principal: str) -> frozenset[str]:
        return frozenset(self._accounts.groups_of(principal))

    def _decide(
        self, principal: str, groups: frozenset[str], permission: Permission, repository: Repository
    ) -> Decision:
        # Principals belong to one organisation, and its policies name nobody else.
        if organisation_of(principal) != repository.org:
            return Deny("the principal is of another organisation")
        return decide(permission, repository, groups | {principal}, built_in_policies(repository.org))
