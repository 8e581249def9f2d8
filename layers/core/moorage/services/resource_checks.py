"""What a change has to be checked against beside its own form: other resources, and who makes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from moorage.domain.documents import Document
from moorage.domain.errors import Conflict, InvalidInput
from moorage.domain.groups import is_member
from moorage.domain.links import PRINCIPAL_KINDS, ImageReference, parse_link
from moorage.domain.patches import DROP
from moorage.domain.policies import Policy
from moorage.domain.policy_warnings import absent_principal, absent_target, first_of, warnings_of
from moorage.domain.principals import SUPERUSERS
from moorage.domain.resources import Kind, ResourceRecord, link_of
from moorage.ports import Images, ResourceName, Resources
from moorage.services.access import Access
from moorage.services.callers import Caller
from moorage.services.references import References

_DROPPED_MEMBERS = f"{DROP}memberLinks"
_USERS_AT_ONCE = 100


class ResourceChecks:
    """Looks at what a resource names, before it is written and after."""

    def __init__(self, resources: Resources, images: Images, references: References, access: Access) -> None:
        self._resources = resources
        self._images = images
        self._references = references
        self._access = access

    def resolved(self, name: ResourceName, document: Document) -> Document:
        """The document with users named by their e-mail addresses, where it names them by the ids of their
        records.

        Raises:
            InvalidInput: there is no user of such an id.
        """
        links = self._addresses(name.org, _links_in(name.kind, document.spec))
        return replace(document, spec=_renamed(document.spec, links)) if links else document

    def resolved_patch(self, name: ResourceName, patch: Mapping[str, Any]) -> dict[str, Any]:
        """The patch of a group with the members that it drops named as they are stored: users by their
        e-mail addresses.

        Raises:
            InvalidInput: a link is malformed, or there is no user of such an id.
        """
        dropped = patch.get(_DROPPED_MEMBERS)
        if name.kind is not Kind.GROUP or not isinstance(dropped, list):
            return dict(patch)
        links = [str(parse_link(each, name.org)) for each in dropped]
        addresses = self._addresses(name.org, links)
        return {**patch, _DROPPED_MEMBERS: [addresses.get(link, link) for link in links]}

    def _addresses(self, org: str, named: Iterable[str]) -> dict[str, str]:
        """The links of users by their addresses, for those of ``named`` that name a user by id."""
        wanted = {link.name for link in (parse_link(each, org) for each in named) if link.is_user_id}
        if not wanted:
            return {}
        known = {record.id: record.link for record in self._users(org) if record.id in wanted}
        if missing := wanted - known.keys():
            raise InvalidInput(f"there is no user with the id {min(missing)}")
        return {link_of(Kind.USER, org, each): link for each, link in known.items()}

    def before_change(self, caller: Caller, before: ResourceRecord, after: ResourceRecord) -> None:
        """Refuse to leave an organisation without superusers.

        Raises:
            Conflict: nobody who exists would be named as a superuser, or the caller would end its own
                membership.
        """
        if before.kind is not Kind.GROUP or before.name != SUPERUSERS:
            return
        members = after.spec["memberLinks"]
        if not self._existing(members):
            raise Conflict("the group superusers has to name a member who exists")
        own = self._resources.find(*_name_of(caller.principal))
        if is_member(before, caller.principal, own) and not is_member(after, caller.principal, own):
            raise Conflict("you cannot remove yourself from the group superusers; somebody else in it can")

    def warnings(self, record: ResourceRecord) -> tuple[str, ...]:
        """What of a resource has no effect or another than may be thought, in sentences."""
        found: list[str] = []
        if record.kind is Kind.POLICY:
            found += warnings_of(policy := Policy.parse(record))
            found += first_of(self._absent(record.org, policy.principals), absent_principal)
            found += first_of(self._absent(record.org, policy.target.links), absent_target)
        if record.kind is Kind.GROUP:
            found += first_of(self._absent(record.org, record.spec["memberLinks"]), _absent_member)
        return tuple(found)

    def earlier_names(self, caller: Caller, record: ResourceRecord) -> tuple[str, ...]:
        """What names a principal that was just made, in sentences: those that the caller may see by their
        links, of the others how many there are.
        """
        if record.kind not in PRINCIPAL_KINDS:
            return ()
        naming = self._references.to(record.link)
        shown = self._access.visible(caller, naming)
        gives = f"{record.link} already, so the new {record.kind} has what that gives"
        found = [f"{each.link} names {gives}" for each in shown]
        if hidden := len(naming) - len(shown):
            found.append(f"groups or policies that you may not see ({hidden}) name {gives}")
        return tuple(found)

    def _absent(self, org: str, links: Collection[str]) -> list[str]:
        """Those of ``links`` that lead to nothing in ``org``; what others have is not told."""
        own = sorted(link for link in links if parse_link(link, org).org == org)
        existing = self._existing(own)
        return [link for link in own if link not in existing]

    def _existing(self, links: Iterable[str]) -> set[str]:
        names = {link: _name_of(link) for link in links}
        stored = [name for name in names.values() if name.kind is not Kind.IMAGE]
        found = self._resources.find_many(stored) if stored else {}
        images = {
            link: ImageReference.parse(name.org, name.name)
            for link, name in names.items()
            if name.kind is Kind.IMAGE
        }
        return {link for link, name in names.items() if name in found} | self._existing_images(images)

    def _existing_images(self, links: Mapping[str, ImageReference]) -> set[str]:
        """Those of ``links`` that lead to an image; one that names only a digest is taken to do so."""
        tagged = {(each.repository, each.tag) for each in links.values() if each.tag is not None}
        found = self._images.find_images(tagged) if tagged else ()
        digests = {(each.repository, each.tag): each.digest for each in found}
        return {
            link
            for link, each in links.items()
            if each.tag is None
            or ((held := digests.get((each.repository, each.tag))) and each.digest in (None, held))
        }

    def _users(self, org: str) -> Iterator[ResourceRecord]:
        after = None
        while page := self._resources.page(Kind.USER, org, after, _USERS_AT_ONCE):
            yield from page
            after = page[-1].name


def _absent_member(link: str) -> str:
    return f"there is no principal {link}; the membership has no effect until there is one"


def _name_of(link: str) -> ResourceName:
    parsed = parse_link(link, "")
    return ResourceName.of(parsed)


def _links_in(kind: Kind, spec: Mapping[str, Any]) -> list[str]:
    match kind:
        case Kind.POLICY:
            return [link for binding in spec["bindings"] for link in binding["principalLinks"]]
        case Kind.GROUP:
            return list(spec["memberLinks"])
        case _:
            return []


def _renamed(spec: Mapping[str, Any], links: Mapping[str, str]) -> dict[str, Any]:
    """``spec`` with other links in the place of some, each of them once."""

    def rename(named: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(links.get(link, link) for link in named))

    if "memberLinks" in spec:
        return {**spec, "memberLinks": rename(spec["memberLinks"])}
    bindings = [{**each, "principalLinks": rename(each["principalLinks"])} for each in spec["bindings"]]
    return {**spec, "bindings": bindings}
