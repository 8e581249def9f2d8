"""Jobs for callers: each shown as far as the caller may see the images at its two ends now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from moorage.domain.errors import NotFound, RegistryError, WriteConflict
from moorage.domain.jobs import CopyJob, JobState
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission
from moorage.domain.principals import organisation_of
from moorage.domain.query_terms import Subject
from moorage.domain.resources import Kind
from moorage.domain.targets import Resource
from moorage.ports import Clock, Jobs, ResourceName, Resources
from moorage.services.access import Access, Filter, refusal
from moorage.services.authorization import EFFORT_MAX, Authorization
from moorage.services.callers import Caller
from moorage.services.copy_parties import record_name
from moorage.services.cursors import Cursors
from moorage.services.job_documents import JobDocuments

PAGE = 50
"""Jobs on a page, unless more or fewer are asked for."""

PAGE_MAX = 1_000

# A call looks at so many parts of a list, each as long as what is missing, however few jobs it shows.
_REQUESTS_PER_CALL = 10


@dataclass(frozen=True, slots=True)
class JobView:
    """A job, and what of it the caller may know: None is not for it.

    ``reason`` may tell of both ends, so it is for the requester and for who may see both. ``own`` says
    whether the caller is the requester, and not somebody of the same name who was made after the job.
    """

    job: CopyJob
    source: Repository | None
    destination: Repository | None
    requester: str | None
    reason: str | None
    own: bool

    @classmethod
    def whole(cls, job: CopyJob) -> JobView:
        """All of a job, for the one who has just asked for it with rights at both ends."""
        order = job.order
        return cls(job, order.source, order.destination, order.requester, job.reason, own=True)


@dataclass(frozen=True, slots=True)
class JobList:
    """A part of a list: perhaps few jobs or none although it goes on. ``next`` is the cursor of what comes
    then, None at the end.
    """

    jobs: Sequence[JobView]
    next: str | None


class JobAccess:
    """Shows and cancels jobs.

    A job stands in the organisations that it copies from and to. It is shown in one of them to who may view
    the images of its repository there, and to the principal that asked for it; its other end only to who may
    view that, too. An organisation that was made after a job, under the name of one that is gone, has nothing
    to do with it.
    """

    def __init__(
        self,
        jobs: Jobs,
        resources: Resources,
        authorization: Authorization,
        access: Access,
        cursors: Cursors,
        clock: Clock,
        documents: JobDocuments,
    ) -> None:
        self._documents = documents
        self._jobs = jobs
        self._resources = resources
        self._authorization = authorization
        self._access = access
        self._cursors = cursors
        self._clock = clock

    def get(self, caller: Caller, org: str, job_id: str) -> JobView:
        """One job.

        Raises:
            Denied: the caller may not see it, or it is not there and the caller could not see every job.
            NotFound: it is not there, and the caller could.
        """
        job = self._jobs.find_job(job_id, self._clock())
        view = None if job is None else self._sight(caller, [job]).view(job, org)
        if view is None:
            raise self._absence(caller, org)
        return view

    def list(
        self,
        caller: Caller,
        org: str,
        state: JobState | None = None,
        cursor: str | None = None,
        limit: int = PAGE,
    ) -> JobList:
        """Up to ``limit`` (at most 1,000) jobs that the caller may see, of one state if it is given, the
        newest first. A bounded number of jobs is looked at, however few are shown.

        Raises:
            Denied: the organisation is another than the caller's, and gives it nothing on images.
            QueryInvalid: the cursor is of another list.
        """
        may_see = self._access.filter(caller, Permission.VIEW, Kind.IMAGE, org)
        listed = json.dumps(["job", state])
        after = str(self._cursors.read(cursor, org, listed)[0]) if cursor else None
        limit = max(1, min(limit, PAGE_MAX))
        shown: list[JobView] = []
        sight = self._sight(caller, (), {org: may_see})
        for _ in range(_REQUESTS_PER_CALL):
            page = self._jobs.jobs_of(org, after, limit - len(shown), self._clock())
            found = [job for job in page.jobs if state in (None, job.state)]
            sight.learn(found)
            shown += [view for job in found if (view := sight.view(job, org))]
            after = page.next
            if after is None or len(shown) == limit or sight.effort >= EFFORT_MAX:
                break
        return JobList(shown, None if after is None else self._cursors.write(org, listed, [after]))

    def cancel(self, caller: Caller, org: str, job_id: str) -> JobView:
        """Let a job end, for the principal that asked for it, who may create at its destination, or may
        manage its source; the job as it is then, also if it was cancelled before.

        Raises:
            Denied, NotFound: as for ``get``; or the caller may see the job, and not cancel it.
            Conflict: it has ended otherwise.
            WriteConflict: it is moving its tags at this moment.
            Unavailable: it is cancelled, perhaps, and what it was copying is left; try again.
        """
        view = self.get(caller, org, job_id)
        if not self._may_cancel(caller, view):
            raise refusal(Kind.IMAGE, Permission.CREATE, Permission.MANAGE)
        try:
            cancelled = self._jobs.cancel_job(job_id, self._clock())
        except WriteConflict:
            # Its worker may be dead, and another one has to find out what that has done.
            self._documents.write(job_id)
            raise
        if cancelled is None:
            raise self._absence(caller, org)
        if cancelled.copying:
            # Its worker may be dead, and what that was copying is to be removed.
            self._documents.write(job_id)
        return replace(view, job=cancelled, reason=cancelled.reason)

    def _may_cancel(self, caller: Caller, view: JobView) -> bool:
        """Whether a job may be cancelled by a caller who has been shown it: what it does not see, it has no
        rights on.
        """
        if view.own:
            return True
        wanted = ((Permission.CREATE, view.destination), (Permission.MANAGE, view.source))
        return any(
            end is not None and self._access.allows(caller, permission, Resource.of_repository(end))
            for permission, end in wanted
        )

    def _sight(
        self, caller: Caller, jobs: Iterable[CopyJob], known: dict[str, Filter] | None = None
    ) -> _Sight:
        sight = _Sight(self._resources, self._authorization, self._access, caller, known or {})
        sight.learn(jobs)
        return sight

    def _absence(self, caller: Caller, org: str) -> RegistryError:
        """The answer about a job that is not there, or not for the caller: the same to who may not view every
        image, for whether such a one would see it nobody can tell.
        """
        unknown = Resource(Kind.IMAGE, org, Subject({}, tags=None, rels=None, partial=True))
        if self._access.allows(caller, Permission.VIEW, unknown):
            return NotFound("there is no such job")
        return refusal(Kind.IMAGE, Permission.VIEW)


class _Sight:
    """What one caller may see of jobs: what is found out for one serves the next.

    ``views`` has the question about images of an organisation that is known already.
    """

    def __init__(
        self,
        resources: Resources,
        authorization: Authorization,
        access: Access,
        caller: Caller,
        views: dict[str, Filter],
    ) -> None:
        self._resources = resources
        self._authorization = authorization
        self._access = access
        self._caller = caller
        self._caller_name = record_name(caller.principal)
        self._views = views
        self._made: dict[ResourceName, datetime | None] = {}
        self._seen: dict[Repository, bool] = {}

    @property
    def effort(self) -> int:
        """What the answers have taken so far, in comparisons of two values."""
        return sum(view.effort for view in self._views.values())

    def learn(self, jobs: Iterable[CopyJob]) -> None:
        """Read of all organisations of jobs, and of the caller, when they were made: has to come before
        questions about them.
        """
        wanted = {ResourceName(Kind.ORG, org, org) for job in jobs for org in job.organisations}
        if wanted:
            wanted.add(self._caller_name)
        fresh = wanted - self._made.keys()
        if fresh:
            found = self._resources.find_many(sorted(fresh))
            self._made.update(dict.fromkeys(fresh))
            self._made.update({name: record.created for name, record in found.items()})

    def concerns(self, job: CopyJob, org: str) -> bool:
        """Whether a job is one of this organisation, and not of another one of the same name before it."""
        return org in job.organisations and self._was_there(job, ResourceName(Kind.ORG, org, org))

    def _was_there(self, job: CopyJob, name: ResourceName) -> bool:
        made = self._made.get(name)
        return made is not None and made <= job.created

    def view(self, job: CopyJob, org: str) -> JobView | None:
        """What the caller may see of a job in an organisation; None if it is nothing."""
        if not self.concerns(job, org):
            return None
        order = job.order
        ends = [end if self._sees(job, end) else None for end in (order.source, order.destination)]
        is_shown = any(end is not None and end.org == org for end in ends)
        # Whoever sees an end is there.
        own = (
            self._caller.principal == order.requester
            and self._was_there(job, self._caller_name)
            and (is_shown or self._access.is_own(self._caller, order.requester))
        )
        if not (own or is_shown):
            return None
        source, destination = ends
        near = own or self._caller.organisation == organisation_of(order.requester)
        return JobView(
            job,
            source,
            destination,
            requester=order.requester if near else None,
            reason=job.reason if own or None not in ends else None,
            own=own,
        )

    def _sees(self, job: CopyJob, repository: Repository) -> bool:
        """Whether the caller may view the images at an end of a job."""
        if repository not in self._seen:
            self._seen[repository] = self._view_of(repository.org)(Resource.of_repository(repository))
        return self._seen[repository] and self.concerns(job, repository.org)

    def _view_of(self, org: str) -> Filter:
        if org not in self._views:
            rights = self._authorization.rights(self._caller.principal, Kind.IMAGE, org)
            self._views[org] = Filter(rights, Permission.VIEW)
        return self._views[org]
