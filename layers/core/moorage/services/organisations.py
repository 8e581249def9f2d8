"""Organisations: how they begin, and how they end."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.errors import InUse, InvalidInput, NotFound, WriteConflict
from moorage.domain.principals import BUILT_IN_GROUPS, SUPERUSERS
from moorage.domain.resources import Kind, Origin, ResourceRecord, Scalar
from moorage.domain.tokens import TOKEN_LIFETIME
from moorage.ports import Accounts, Clock, Images, OrganisationRemoval, RepositoryRemoval, Resources
from moorage.services.keys import KeyAdministration

# Whoever began with a token that was issued just before the removal has come to an end by then.
_GRACE = TOKEN_LIFETIME + timedelta(minutes=2)

_ROWS_AT_ONCE = 500
_RECORDS_AT_ONCE = 50
_REPOSITORIES_AT_ONCE = 100

# What names others goes before what is named, and identities before their group of workloads.
_KINDS = (Kind.POLICY, Kind.GROUP, Kind.IDENTITY, Kind.GVC, Kind.SERVICE_ACCOUNT, Kind.USER)


class OrganisationTable(Resources, Accounts, OrganisationRemoval, RepositoryRemoval, Images, Protocol):
    """All that an organisation has in the table."""


@dataclass(frozen=True, slots=True)
class Removed:
    """How far the removal of an organisation has come.

    ``rows`` is about how many rows this call removed. Until it is ``finished``, somebody has to call again,
    not before ``again``.
    """

    rows: int
    finished: bool
    again: datetime


class Organisations:
    """Makes and removes organisations; ``stores`` are the names of those that they may live in."""

    def __init__(
        self, table: OrganisationTable, clock: Clock, stores: Collection[str] = (DEFAULT_STORE,)
    ) -> None:
        self._table = table
        self._stores = stores
        self._keys = KeyAdministration(table, table, clock)
        self._clock = clock

    def create(
        self,
        org: str,
        *,
        description: str = "",
        tags: Mapping[str, Scalar] | None = None,
        spec: Mapping[str, object] | None = None,
        superusers: Sequence[ResourceRecord] = (),
    ) -> ResourceRecord:
        """A new organisation with its built-in groups, and in the first of them the principals
        ``superusers``, which are made with it; all or nothing. The name is well-formed
        (``parse_organisation``).

        Raises:
            InvalidInput: there is no such store; the message names those that there are.
            AlreadyExists: it is there, or is still being removed.
        """
        now, spec = self._clock(), {"store": DEFAULT_STORE, **(spec or {})}
        if spec["store"] not in self._stores:
            raise InvalidInput(f"store is one of {', '.join(sorted(self._stores))}")
        organisation = ResourceRecord(
            Kind.ORG, org, org, str(uuid.uuid4()), 1, now, now, description, tags or {}, spec=spec
        )
        groups = [
            _built_in_group(org, name, now, superusers if name == SUPERUSERS else ())
            for name in BUILT_IN_GROUPS
        ]
        self._table.create_organisation(organisation, [*groups, *superusers])
        return organisation

    def remove(
        self, org: str, *, force: bool = False, has_time: Callable[[], bool] = lambda: True
    ) -> Removed:
        """Remove an organisation with all that is in it, as far as there is time; called again, it goes on.

        At once the organisation is absent: nobody has any right in it, nothing is made in it, and its
        repositories are absent. Tokens that were issued before live on for minutes; what they could still
        read goes slice by slice, first of all. A crash, or a call that runs out of time, leaves an
        organisation that is absent, with a part of its rows, which the next call removes; the name is taken
        until a call has found nothing left after the last of these tokens has expired. Objects in the bucket
        are left to the collector.

        Raises:
            NotFound: there is no such organisation.
            InUse: it has images, and the removal is not forced. An image that is pushed at the same moment
                may be removed nevertheless.
        """
        standing = self._table.find(Kind.ORG, org, org)
        if standing is not None and not force and self._table.has_images(org):
            raise InUse(f"the organisation {org} has images; delete them first, or force the deletion")
        begun = self._table.begin_removal(org, self._clock())
        if begun is None:
            raise NotFound(f"there is no organisation {org}")
        rows, ending = 0, begun + _GRACE
        # Whether all has expired is asked before the look at what is left.
        expired = self._clock() >= ending
        for removed in self._slices(org):
            rows += removed
            if not has_time():
                return Removed(rows, finished=False, again=self._clock())
        if not expired:
            return Removed(rows, finished=False, again=ending)
        while repositories := self._table.ended_repositories(org, None, _REPOSITORIES_AT_ONCE):
            for repository in repositories:
                self._table.forget_repository(repository)
        self._table.end_removal(org)
        return Removed(rows, finished=True, again=ending)

    def _slices(self, org: str) -> Iterator[int]:
        """Remove what is left of an organisation but the names of its repositories and its own; how many rows
        each slice removed.
        """
        while ended := self._table.end_repositories(org, _REPOSITORIES_AT_ONCE):
            yield ended
        after: str | None = None
        while repositories := self._table.ended_repositories(org, after, _REPOSITORIES_AT_ONCE):
            for repository in repositories:
                while removed := self._table.remove_contents(repository, _ROWS_AT_ONCE):
                    yield removed
            after = repositories[-1].image
        while removed := self._table.remove_organisation_blobs(org, _ROWS_AT_ONCE):
            yield removed
        for kind in _KINDS:
            while records := self._table.page(kind, org, None, _RECORDS_AT_ONCE):
                for record in records:
                    # Removed or changed by somebody else: the next page shows which.
                    with suppress(WriteConflict):
                        self._keys.delete_owner(record)
                yield len(records)


def _built_in_group(org: str, name: str, now: datetime, members: Sequence[ResourceRecord]) -> ResourceRecord:
    spec = {"memberLinks": [member.link for member in members], "memberQuery": None}
    return ResourceRecord(
        Kind.GROUP, org, name, str(uuid.uuid4()), 1, now, now, origin=Origin.BUILT_IN, spec=spec
    )
