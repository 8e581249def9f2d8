"""Organisations as callers of the management API make and end them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from moorage.domain.documents import Document, spec_of
from moorage.domain.errors import AlreadyExists, Denied, InvalidInput
from moorage.domain.names import parse_organisation
from moorage.domain.permissions import Permission
from moorage.domain.principals import SUPERUSERS
from moorage.domain.resources import Kind, ResourceRecord, parse_name, require_unprotected
from moorage.domain.targets import Resource
from moorage.ports import Accounts, Clock, ResourceName, Resources
from moorage.services.access import Access, absent
from moorage.services.callers import Caller
from moorage.services.keys import KeyAdministration, NewKey
from moorage.services.organisations import Organisations, Removed

_FIRST_KEY = "first"
_FIRST_ACCOUNT = "admin"
# How long after the beginning of an organisation its first key can be made once more. Later, a creator
# without keys is one whose keys were taken away.
_UNFINISHED_FOR = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Founded:
    """A new organisation, its first superuser, and the key of that, which is shown this once."""

    organisation: ResourceRecord
    creator: ResourceRecord
    key: NewKey


class OrganisationAdministration:
    """Makes and ends organisations."""

    def __init__(
        self,
        resources: Resources,
        accounts: Accounts,
        organisations: Organisations,
        access: Access,
        clock: Clock,
    ) -> None:
        self._resources = resources
        self._accounts = accounts
        self._organisations = organisations
        self._keys = KeyAdministration(resources, accounts, clock)
        self._access = access
        self._clock = clock

    def create(self, org: str, content: Mapping[str, Any]) -> Founded:
        """A new organisation with its first superuser: a user by ``creator.email``, or a service account by
        ``creator.serviceaccount``, called ``admin`` unless something else is said. When the key could not be
        made the first time, the same request makes it within 15 minutes.

        Raises:
            InvalidInput: malformed.
            AlreadyExists: it is there, with a superuser who has a key, or is still being removed.
        """
        parse_organisation(org)
        wanted = {key: value for key, value in content.items() if key != "creator"}
        document = Document.parse(Kind.ORG, org, wanted)
        creator = self._creator(org, content.get("creator"))
        try:
            organisation = self._organisations.create(
                org,
                description=document.description,
                tags=document.tags,
                spec=document.spec,
                superusers=[creator],
            )
        except AlreadyExists:
            organisation, creator = self._unfinished(org, creator, document.spec["store"])
        key = self._keys.add(creator.link, _FIRST_KEY, description="Made with the organisation")
        return Founded(organisation, creator, key)

    def remove(self, caller: Caller, org: str, *, force: bool, has_time: Callable[[], bool]) -> Removed:
        """End an organisation: at once for everybody, and its content as far as there is time.

        Raises:
            Denied: the caller may not, or there is no such organisation.
            ResourceProtected: its metadata protects it.
            InUse: it has images, and the end is not forced.
        """
        record = self._resources.find(Kind.ORG, org, org)
        if record is None:
            raise self._access.absence(caller, Permission.DELETE, absent(ResourceName(Kind.ORG, org, org)))
        self._access.require(caller, Permission.DELETE, Resource.of_record(record))
        require_unprotected(record.tags)
        return self._organisations.remove(org, force=force, has_time=has_time)

    def go_on_removing(self, org: str, *, has_time: Callable[[], bool]) -> Removed:
        """Go on with the end of an organisation, which has begun: nobody in it may anything any more.

        Raises:
            Denied: it has not begun.
            NotFound: it has come to its end.
        """
        if self._resources.find(Kind.ORG, org, org) is not None:
            raise Denied("the bootstrap credential ends no organisation; one of its superusers has to begin")
        return self._organisations.remove(org, force=True, has_time=has_time)

    def _creator(self, org: str, content: Any) -> ResourceRecord:
        if content is not None and not isinstance(content, Mapping):
            raise InvalidInput("creator is an object with email or serviceaccount")
        named = {key: value for key, value in (content or {}).items() if value is not None}
        if len(named) > 1 or named.keys() - {"email", "serviceaccount"}:
            raise InvalidInput("creator has either email or serviceaccount")
        kind = Kind.USER if "email" in named else Kind.SERVICE_ACCOUNT
        name = parse_name(kind, next(iter(named.values()), _FIRST_ACCOUNT))
        now = self._clock()
        return ResourceRecord(kind, org, name, str(uuid.uuid4()), 1, now, now)

    def _unfinished(
        self, org: str, creator: ResourceRecord, store: str
    ) -> tuple[ResourceRecord, ResourceRecord]:
        """An organisation that was made for this creator just now, in that store, who has not got a key yet.

        Raises:
            AlreadyExists: it is another's, or finished, or older.
        """
        organisation = self._resources.find(Kind.ORG, org, org)
        group = self._resources.find(Kind.GROUP, org, SUPERUSERS)
        known = self._resources.find(creator.kind, org, creator.name)
        if (
            organisation is None
            or self._clock() >= organisation.created + _UNFINISHED_FOR
            or spec_of(organisation)["store"] != store
            or group is None
            or known is None
            or group.spec["memberLinks"] != [known.link]
            or self._accounts.keys_of(known.link)
        ):
            raise AlreadyExists(f"the organisation {org} exists, or is still being removed")
        return organisation, known
