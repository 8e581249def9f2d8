"""Resources deleted: not those that are protected, locked or named by others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from moorage.domain.errors import InUse, ResourceProtected, WriteConflict
from moorage.domain.links import PRINCIPAL_KINDS
from moorage.domain.permissions import Permission
from moorage.domain.policies import is_built_in
from moorage.domain.principals import BUILT_IN_GROUPS
from moorage.domain.resources import Kind, ResourceRecord, require_unprotected
from moorage.domain.targets import Resource
from moorage.ports import Clock, ResourceName, ResourceWriter
from moorage.services.access import Access, absent
from moorage.services.callers import Caller
from moorage.services.references import References
from moorage.services.resource_checks import ResourceChecks
from moorage.services.resource_reads import ResourceReads
from moorage.services.resource_writes import ATTEMPTS


class ResourceDeletes:
    """Deletes resources for callers; ``remove`` is how one goes with its keys."""

    def __init__(
        self,
        resources: ResourceWriter,
        remove: Callable[[ResourceRecord], None],
        reads: ResourceReads,
        access: Access,
        checks: ResourceChecks,
        references: References,
        clock: Clock,
    ) -> None:
        self._resources = resources
        self._remove = remove
        self._reads = reads
        self._access = access
        self._checks = checks
        self._references = references
        self._clock = clock

    def delete(self, caller: Caller, name: ResourceName, *, force: bool = False) -> None:
        """Delete a resource, and with it the keys of a principal. With ``force`` it is first taken out of the
        groups and policies that name it, each of which the caller has to be allowed to edit.

        Raises:
            Denied: the caller may not, or it is not there and the caller could not see it either.
            NotFound: it is not there, and the caller could see it.
            ResourceProtected: its metadata protects it, or it is built in.
            InUse: groups or policies name it, of which those that the caller may see are listed, or it has
                identities in it.
            Conflict: it is the last superuser, or the caller itself is one.
        """
        for _ in range(ATTEMPTS):
            record = self._reads.find(name)
            if record is None:
                raise self._access.absence(caller, Permission.DELETE, absent(name))
            self._access.require(caller, Permission.DELETE, Resource.of_record(record))
            _refuse_built_in(record)
            require_unprotected(record.tags)
            try:
                if record.kind in PRINCIPAL_KINDS:
                    self._release(caller, record, force=force)
                self._remove(record)
            except WriteConflict:
                continue
            return
        raise WriteConflict(f"the {name.kind} is being changed by others; try again")

    def _release(self, caller: Caller, record: ResourceRecord, *, force: bool) -> None:
        """Take a principal out of whatever names it."""
        naming = self._references.to(record.link)
        if naming and not force:
            shown = self._access.visible(caller, naming)
            raise InUse(
                f"{len(naming)} of the organisation's groups and policies name it; take it out of them "
                "first, or delete it with ?force=true, which does that",
                detail={"links": [{"rel": each.kind.value, "href": each.link} for each in shown]},
            )
        # All are asked about before the first one is changed.
        for each in naming:
            self._access.require(caller, Permission.EDIT, Resource.of_record(each))
        changes = [(each, self._without(each, record.link)) for each in naming]
        for before, after in changes:
            self._checks.before_change(caller, before, after)
        for before, after in changes:
            self._resources.replace(before, after)

    def _without(self, record: ResourceRecord, principal: str) -> ResourceRecord:
        return replace(
            record,
            version=record.version + 1,
            last_modified=self._clock(),
            spec=_spec_without(record.spec, principal),
        )


def _spec_without(spec: Mapping[str, Any], principal: str) -> dict[str, Any]:
    if "memberLinks" in spec:
        return {**spec, "memberLinks": [link for link in spec["memberLinks"] if link != principal]}
    bindings = [
        {**binding, "principalLinks": [link for link in binding["principalLinks"] if link != principal]}
        for binding in spec["bindings"]
    ]
    return {**spec, "bindings": [binding for binding in bindings if binding["principalLinks"]]}


def _refuse_built_in(record: ResourceRecord) -> None:
    built_in = (record.kind is Kind.POLICY and is_built_in(record.name)) or (
        record.kind is Kind.GROUP and record.name in BUILT_IN_GROUPS
    )
    if built_in:
        raise ResourceProtected(f"the {record.kind} {record.name} is built in and cannot be deleted")
