"""Repositories come into being with the first push."""

from __future__ import annotations

import secrets

from moorage.domain.names import Repository
from moorage.ports import Clock, Repositories, RepositoryRecord


class RepositoryOpening:
    """Finds repositories, and makes them when something is pushed."""

    def __init__(self, repositories: Repositories, clock: Clock) -> None:
        self._repositories = repositories
        self._clock = clock

    def open(self, repository: Repository) -> RepositoryRecord:
        """The record of ``repository``, made now if it was not there.

        Raises:
            NameUnknown: its organisation is not there, or is being removed.
        """
        record = self._repositories.find_repository(repository)
        if record is None:
            new = RepositoryRecord(repository, secrets.token_hex(16), self._clock())
            record = self._repositories.create_repository(new)
        return record
