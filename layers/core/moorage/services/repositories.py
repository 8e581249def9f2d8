"""Repositories come into being with the first push."""

from __future__ import annotations

import secrets

from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.errors import NameUnknown
from moorage.domain.names import Repository
from moorage.domain.resources import Kind
from moorage.ports import Clock, Repositories, RepositoryRecord, Resources


class RepositoryOpening:
    """Finds repositories, and makes them when something is pushed."""

    def __init__(self, repositories: Repositories, resources: Resources, clock: Clock) -> None:
        self._repositories = repositories
        self._resources = resources
        self._clock = clock

    def open(self, repository: Repository) -> RepositoryRecord:
        """The record of ``repository``, made now if it was not there.

        Raises:
            NameUnknown: its organisation is not there, or is being removed.
        """
        record = self._repositories.find_repository(repository)
        if record is None:
            store = self._store(repository.org)
            new = RepositoryRecord(repository, secrets.token_hex(16), self._clock(), store)
            record = self._repositories.create_repository(new)
        return record

    def _store(self, org: str) -> str:
        """The store that an organisation lives in."""
        organisation = self._resources.find(Kind.ORG, org, org)
        if organisation is None:
            raise NameUnknown(f"there is no organisation {org}")
        store: str = organisation.spec.get("store", DEFAULT_STORE)
        return store


def is_standing(repositories: Repositories, record: RepositoryRecord) -> bool:
    """Whether a repository is still there: another one of its name shares nothing with it."""
    standing = repositories.find_repository(record.repository)
    return standing is not None and standing.id == record.id
