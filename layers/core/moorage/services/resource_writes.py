"""Resources made and changed: by name, with an optional lock, and never half."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moorage.domain.documents import Document, Lock
from moorage.domain.errors import (
    AlreadyExists,
    Denied,
    InvalidInput,
    ResourceProtected,
    WriteConflict,
)
from moorage.domain.permissions import Permission
from moorage.domain.policies import is_built_in
from moorage.domain.resources import Kind, ResourceRecord, parse_name
from moorage.domain.targets import Resource
from moorage.ports import Clock, ResourceWriter
from moorage.ports.resources import ResourceName
from moorage.services.access import Access, absent, refusal
from moorage.services.callers import Caller
from moorage.services.resource_checks import ResourceChecks
from moorage.services.resource_reads import ResourceReads

ATTEMPTS = 5
"""How often a change that others overtake is made again from what they have left."""

_NO_LOCK = Lock()


@dataclass(frozen=True, slots=True)
class Written:
    """A resource after a request: whether it is new, what of it has no effect, and which of its keys have
    ended.
    """

    record: ResourceRecord
    created: bool = False
    warnings: tuple[str, ...] = ()
    ended_keys: frozenset[str] = frozenset()


class ResourceWrites:
    """Makes and changes resources for callers. A name is checked before it gets here (``parse_name``)."""

    def __init__(
        self,
        resources: ResourceWriter,
        reads: ResourceReads,
        access: Access,
        checks: ResourceChecks,
        clock: Clock,
    ) -> None:
        self._resources = resources
        self._reads = reads
        self._access = access
        self._checks = checks
        self._clock = clock

    def create(self, caller: Caller, name: ResourceName, content: Mapping[str, Any]) -> Written:
        """A new resource.

        Raises:
            InvalidInput: it cannot be such a resource.
            Denied: the caller may not make it.
            NotFound: the group of workloads that an identity shall belong to is not there.
            AlreadyExists: there is one of that name.
        """
        return self._create(caller, name, Document.parse(name.kind, name.org, content))

    def _create(self, caller: Caller, name: ResourceName, document: Document) -> Written:
        self._access.require(
            caller, Permission.CREATE, Resource.of_record(self._draft(name, document), stored=False)
        )
        _refuse_built_in(name)
        # Only now: it reads users, and tells whether there are any.
        record = self._draft(name, self._checks.resolved(name, document))
        try:
            self._resources.create(record)
        except AlreadyExists:
            raise AlreadyExists(
                f"there is a {name.kind} of that name",
                detail={"links": [{"rel": "self", "href": record.link}]},
            ) from None
        warnings = (*self._checks.warnings(record), *self._checks.earlier_names(caller, record))
        return Written(record, created=True, warnings=warnings)

    def put(self, caller: Caller, name: ResourceName, content: Mapping[str, Any]) -> Written:
        """The resource of that name with this content, whether it was there or not.

        Raises:
            InvalidInput: it cannot be such a resource.
            Denied: the caller may not make it, or not change it; which of both is not said.
            NotFound: as for ``create``.
            VersionMismatch: the content was made from another state of it.
        """
        # What is wrong with the content is said whether the resource is there or not.
        document = Document.parse(name.kind, name.org, content)
        Lock.parse(content)
        for _ in range(ATTEMPTS):
            try:
                if self._reads.find(name) is None:
                    return self._create(caller, name, document)
                return self.replace(caller, name, content)
            except AlreadyExists:
                continue
            except Denied as error:
                # Which permission is missing would tell whether the resource is there.
                if type(error) is Denied:
                    raise refusal(name.kind, Permission.CREATE, Permission.EDIT) from None
                raise
        raise WriteConflict(f"the {name.kind} is being made and deleted by others; try again")

    def replace(self, caller: Caller, name: ResourceName, content: Mapping[str, Any]) -> Written:
        """The resource of that name, which is there, with this content instead of its own.

        Raises:
            InvalidInput, VersionMismatch: as for ``put``.
            Denied: the caller may not change it, or it is not there and the caller could not see it either.
            NotFound: it is not there, and the caller could see it.
        """
        _refuse_other_name(name, content)
        return self.change(
            caller,
            name,
            lambda before: Document.parse(name.kind, name.org, content, before),
            Lock.parse(content),
        )

    def patch(self, caller: Caller, name: ResourceName, patch: Mapping[str, Any]) -> Written:
        """The resource of that name after a patch.

        Raises:
            InvalidInput, VersionMismatch, Denied, NotFound: as for ``replace``.
        """
        _refuse_other_name(name, patch)
        rest = {key: value for key, value in patch.items() if key != "name"}
        return self.change(
            caller,
            name,
            lambda before: Document.patched(before, self._checks.resolved_patch(name, rest)),
            Lock.parse(patch),
        )

    def change(
        self,
        caller: Caller,
        name: ResourceName,
        change: Callable[[ResourceRecord], Document],
        lock: Lock = _NO_LOCK,
    ) -> Written:
        """The resource of that name after ``change``, which may be asked several times, of whatever stands
        there.

        Raises:
            VersionMismatch, Denied, NotFound: as for ``replace``, beside what ``change`` raises.
        """
        for _ in range(ATTEMPTS):
            before = self._reads.find(name)
            if before is None:
                raise self._access.absence(caller, Permission.EDIT, absent(name))
            self._access.require(caller, Permission.EDIT, Resource.of_record(before))
            _refuse_built_in(name)
            lock.check(before.id, before.version)
            document = self._checks.resolved(name, change(before))
            if not document.changes(before):
                return Written(before, warnings=self._checks.warnings(before))
            after = document.written_into(before, self._clock())
            self._checks.before_change(caller, before, after)
            try:
                self._resources.replace(before, after)
            except WriteConflict:
                # Made again from what stands there now; a lock on the version does not fit that any more.
                continue
            return Written(after, warnings=self._checks.warnings(after))
        raise WriteConflict(f"the {name.kind} is being changed by others; try again")

    def _draft(self, name: ResourceName, document: Document) -> ResourceRecord:
        now = self._clock()
        empty = ResourceRecord(*name, id=str(uuid.uuid4()), version=0, created=now, last_modified=now)
        return document.written_into(empty, now)


def _refuse_built_in(name: ResourceName) -> None:
    if name.kind is Kind.POLICY and is_built_in(name.name):
        raise ResourceProtected(f"the policy {name.name} is built in and locked")


def _refuse_other_name(name: ResourceName, content: Mapping[str, Any]) -> None:
    if "name" not in content:
        return
    if content["name"] is not None and parse_name(_plain(name.kind), content["name"]) != name.own:
        raise InvalidInput("the name of a resource stays; make another one")


def _plain(kind: Kind) -> Kind:
    """The kind whose grammar a name in a body has: an identity's is without its group of workloads."""
    return Kind.GVC if kind is Kind.IDENTITY else kind
