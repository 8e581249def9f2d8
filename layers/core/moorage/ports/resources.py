"""Organisations and what is managed in them: groups, service accounts, users, identities, policies."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from moorage.domain.links import Link
from moorage.domain.resources import Kind, ResourceRecord, split_name

POLICIES_OF_A_PRINCIPAL = 1_000
"""How many policies of one kind, of one organisation, may name a principal."""

QUERY_GROUPS_OF_AN_ORGANISATION = 1_000
"""How many groups of an organisation may choose their members by a query."""


class ResourceName(NamedTuple):
    """What identifies a resource. The name of an identity is ``GVC/NAME``, an organisation's its own."""

    kind: Kind
    org: str
    name: str

    @classmethod
    def of(cls, named: ResourceRecord | Link) -> ResourceName:
        """The name that a record has, or a link leads to."""
        return cls(named.kind, named.org, named.name)

    @property
    def own(self) -> str:
        """The name without the group of workloads of an identity."""
        return split_name(self.kind, self.name)[1]

    @property
    def gvc(self) -> str:
        """The group of workloads of an identity; empty for everything else."""
        return split_name(self.kind, self.name)[0]


class ResourceWriter(Protocol):
    """Resources made, changed and removed one by one.

    In an organisation that is being removed, nothing is made or changed.
    """

    def create(self, record: ResourceRecord) -> None:
        """Make a resource in an organisation that is there.

        Raises:
            NotFound: the organisation, or the group of workloads that an identity belongs to, is not there.
            AlreadyExists: the resource is.
            InvalidInput: it would be the policy too many that names one of its principals, or the group too
                many whose members are chosen by a query.
            TooLarge: what it says is more than can be stored.

        """

    def replace(self, before: ResourceRecord, after: ResourceRecord) -> None:
        """Store ``after`` where ``before`` stands.

        Raises:
            WriteConflict: ``before`` is not what stands there any more; nothing was written.
            InvalidInput, TooLarge: as for ``create``.

        """

    def delete(self, record: ResourceRecord) -> None:
        """Remove a resource; not an organisation.

        Raises:
            WriteConflict: ``record`` is not what stands there any more, or the principal has keys; nothing
                was removed.
            InUse: the group of workloads has identities.

        """


class Resources(ResourceWriter, Protocol):
    """Resources, found by name and by whom they name.

    An organisation that is being removed is absent, and nothing is made or changed in it.
    """

    def find(self, kind: Kind, org: str, name: str) -> ResourceRecord | None:
        """The resource, or None: one strong read."""

    def find_many(self, names: Collection[ResourceName]) -> Mapping[ResourceName, ResourceRecord]:
        """Those that exist, of any kinds; strongly consistent, one read for each hundred."""

    def page(self, kind: Kind, org: str, after: str | None, limit: int) -> Sequence[ResourceRecord]:
        """Up to ``limit`` resources of an organisation by name, beginning after the name ``after``. Fewer
        than ``limit`` only at the end.
        """

    def create_organisation(self, organisation: ResourceRecord, contents: Sequence[ResourceRecord]) -> None:
        """Make an organisation and the first resources in it, all at once. There is room for some dozens.

        Raises:
            AlreadyExists: it is there, or is still being removed.

        """

    def check_write(self, before: ResourceRecord | None, after: ResourceRecord | None) -> None:
        """Refuse what ``create(after)``, ``replace(before, after)`` or ``delete(before)`` would refuse now,
        and write nothing; strongly consistent. Of a deletion, the keys of a principal are not looked at.

        Raises:
            What these raise.

        """

    def group_hints(self, principal: str) -> Sequence[str]:
        """Links of groups that may name ``principal`` as a member, in order: all that do, and perhaps some
        that do not. Strongly consistent.
        """

    def query_group_hints(self, org: str) -> Sequence[str]:
        """Names of groups whose members may be chosen by a query, in order: all such, and perhaps others."""

    def policy_hints(self, principals: Collection[str], kind: Kind, org: str) -> Sequence[str]:
        """Names of policies on ``kind`` of an organisation that may name one of ``principals``, in order: all
        that do, and perhaps some that do not. Strongly consistent, one read for each hundred principals.
        """


class OrganisationRemoval(Protocol):
    """How an organisation comes to an end."""

    def begin_removal(self, org: str, now: datetime) -> datetime | None:
        """Let an organisation be absent from now on; when that was first done, or None if there is none."""

    def end_removal(self, org: str) -> None:
        """Remove the rest of an organisation whose removal has begun, so that its name is free. Nothing of it
        may be left, for nobody would find it again.
        """
