"""People brought into an organisation by their e-mail addresses."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from moorage.domain.documents import Document
from moorage.domain.errors import AlreadyExists, InvalidInput
from moorage.domain.links import parse_link
from moorage.domain.permissions import Permission
from moorage.domain.resources import Kind, ResourceRecord, parse_name
from moorage.domain.targets import Resource
from moorage.ports import Clock, ResourceName, Resources
from moorage.services.access import Access, absent
from moorage.services.callers import Caller
from moorage.services.resource_writes import ResourceWrites


@dataclass(frozen=True, slots=True)
class Invited:
    """Who belongs to the organisation now, as links by the address that was given, and why others do not."""

    links: Mapping[str, str]
    errors: Mapping[str, str]


class Invitations:
    """Makes user records for callers."""

    def __init__(self, resources: Resources, writes: ResourceWrites, access: Access, clock: Clock) -> None:
        self._resources = resources
        self._writes = writes
        self._access = access
        self._clock = clock

    def invite(self, caller: Caller, org: str, emails: Sequence[str], group: str | None) -> Invited:
        """Bring people into an organisation, and into the group that a link names, if one does. Who is there
        already stays as they are, so that this can be repeated.

        Raises:
            InvalidInput: the link names no group of the organisation.
            Denied: the caller may not invite one of them, or not edit the group; nobody was invited.
            NotFound: there is no such group, and the caller could see it.
        """
        joined = None if group is None else self._group(caller, org, group)
        errors: dict[str, str] = {}
        names: dict[str, ResourceName] = {}
        for email in emails:
            try:
                names[email] = ResourceName(Kind.USER, org, parse_name(Kind.USER, email))
            except InvalidInput as error:
                errors[email] = error.message
        for name in names.values():
            self._access.require(caller, Permission.INVITE, absent(name))
        links = {email: self._ensure(name) for email, name in names.items()}
        if joined is not None and links:
            self._join(caller, joined, sorted(set(links.values())))
        return Invited(links, errors)

    def _ensure(self, name: ResourceName) -> str:
        now = self._clock()
        record = ResourceRecord(*name, str(uuid.uuid4()), 1, now, now)
        with suppress(AlreadyExists):
            self._resources.create(record)
        return record.link

    def _group(self, caller: Caller, org: str, text: str) -> ResourceName:
        link = parse_link(text, org)
        if link.kind is not Kind.GROUP or link.org != org:
            raise InvalidInput("groupLink names a group of this organisation")
        name = ResourceName(Kind.GROUP, org, link.name)
        record = self._resources.find(*name)
        if record is None:
            raise self._access.absence(caller, Permission.EDIT, absent(name))
        self._access.require(caller, Permission.EDIT, Resource.of_record(record))
        return name

    def _join(self, caller: Caller, group: ResourceName, links: Sequence[str]) -> None:
        def joined(group: ResourceRecord) -> Document:
            members = dict.fromkeys([*group.spec["memberLinks"], *links])
            return Document.patched(group, {"memberLinks": list(members)})

        self._writes.change(caller, group, joined)
