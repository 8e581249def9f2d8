"""Who may do what on a resource, and why: for callers who may read policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from moorage.domain.access_reports import AccessReport, Explanation, access_report, explain
from moorage.domain.errors import InvalidInput
from moorage.domain.links import parse_principal
from moorage.domain.permissions import Permission, parse_permission
from moorage.domain.policies import Deny, Policy, built_in_policies, pulls_without_policy
from moorage.domain.query_terms import Subject
from moorage.domain.resources import Kind, ResourceRecord
from moorage.domain.targets import Resource
from moorage.ports import Resources
from moorage.services.access import Access
from moorage.services.authorization import Authorization
from moorage.services.callers import Caller
from moorage.services.references import References

_POLICIES_AT_ONCE = 100


class Reports:
    """Reports from the policies of an organisation. They take ``view`` on all of its policies: a report from
    some would say that somebody may not do what it may.
    """

    def __init__(
        self, resources: Resources, authorization: Authorization, access: Access, references: References
    ) -> None:
        self._resources = resources
        self._authorization = authorization
        self._access = access
        self._references = references

    def access(self, caller: Caller, resource: Resource) -> AccessReport:
        """Who may do what on ``resource``, which the caller has been shown.

        Raises:
            Denied: the caller may not read all policies.
        """
        self._require_policies(caller, resource.org)
        policies = [*built_in_policies(resource.org, resource.kind), *self._policies(resource)]
        return access_report(resource, policies, identity_pull=self._identity_pull(resource.org))

    def explain(self, caller: Caller, resource: Resource, principal: str, permission: str) -> Explanation:
        """Whether the principal of that link has a permission on ``resource``, which the caller has been
        shown, and why.

        Raises:
            InvalidInput: no link of a principal of this organisation, or no permission of this kind of
                resource. Of another organisation's principals even the groups and whether they exist are not
                told here, and without these no answer would be right; the access report shows who is named.
            Denied: the caller may not read all policies.
        """
        self._require_policies(caller, resource.org)
        parsed = parse_principal(principal, resource.org)
        if parsed.org != resource.org:
            raise InvalidInput(
                "principal is of another organisation, whose groups are not told here; what policies give it "
                "by its own name is in -accessreport"
            )
        link = str(parsed)
        asked = parse_permission(resource.kind, permission, "permission")
        rights = self._authorization.rights(link, resource.kind, resource.org)
        found = explain(
            asked,
            resource,
            link,
            rights.principals - {link},
            rights.policies,
            identity_pull=self._identity_pull(resource.org),
        )
        decision = rights.decide(asked, resource)
        if isinstance(decision, Deny) and not rights.policies:
            # The principal, or its organisation, is not there.
            return replace(found, grants=(), misses=(), reason=decision.reason)
        return found

    def memberships(self, caller: Caller, principal: str) -> Sequence[ResourceRecord]:
        """The policies that name a principal, which the caller has been shown, of those that it may see."""
        return self._access.visible(caller, self._references.policies(principal))

    def _require_policies(self, caller: Caller, org: str) -> None:
        any_policy = Resource(Kind.POLICY, org, Subject({}, tags=None, rels=None, partial=True))
        self._access.require(caller, Permission.VIEW, any_policy)

    def _policies(self, resource: Resource) -> Iterator[Policy]:
        after = None
        while page := self._resources.page(Kind.POLICY, resource.org, after, _POLICIES_AT_ONCE):
            yield from (Policy.parse(each) for each in page if each.spec["targetKind"] == resource.kind.value)
            after = page[-1].name

    def _identity_pull(self, org: str) -> bool:
        organisation = self._resources.find(Kind.ORG, org, org)
        return organisation is not None and pulls_without_policy(organisation)
