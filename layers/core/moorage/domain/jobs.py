"""Jobs: copies of images that go on when the request is over.

A job is ``queued`` until a worker takes it, ``running`` while one works on it or is to go on with it, and
then ends in one of three ways. Its row says what it may do; whatever brings a worker to it only names it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from moorage.domain.digests import Digest
from moorage.domain.errors import Conflict, WriteConflict
from moorage.domain.names import Repository

JOB_LIFETIME = timedelta(days=30)
"""How long a job is kept, from its beginning."""

MAX_ITEMS = 10_000
"""Images that one job copies."""

# A worker that says nothing for so long is gone: it reports every few seconds.
LEASE = timedelta(seconds=90)
# Nobody has come for it: the event is lost, or has failed too often.
OVERDUE = timedelta(minutes=10)

MAX_BREAKDOWNS = 5
"""How often work on a job may break off for a reason that nobody has thought of."""

MAX_ROUNDS = 500
"""Slices of work that one job may take: at a minute each, a working day."""

_ID_LENGTH = 32


class JobState(StrEnum):
    """How far a job has come."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """Whether there is anything left to do."""
        return self in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class CopyItem:
    """One image to copy: the digest that its tag had when the copy was asked for, and the tag that is to
    name it at the destination; None for a copy that leaves no tag.

    ``replaces`` is what that tag named there at that time, if it named another image: only that is replaced.
    """

    digest: Digest
    tag: str | None
    source_tag: str | None = None
    replaces: Digest | None = None


@dataclass(frozen=True, slots=True)
class CopyOrder:
    """What a job may do, and for whom. ``requester`` is the link of a principal.

    ``selection`` is what the caller asked for, as it is shown: a tag, a digest, or a pattern of tags.
    ``destination_tag`` is the tag that a copy of one image gets, if it gets one; ``digest`` is what that
    image is, None where many tags are copied.
    """

    requester: str
    source: Repository
    destination: Repository
    selection: str
    items: int
    referrers: bool = True
    replace: bool = False
    destination_tag: str | None = None
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """What is done, of what is known by now. ``position`` counts the items that are complete.

    Sizes are in bytes. ``copied`` is what was moved from one store to another: nothing within one store.
    The totals of a job of several items grow while it runs, because an item is looked at when its turn comes.
    ``earlier_manifests`` and ``earlier_size`` are what the items that are complete have: from there the next
    worker counts on, because it looks at the others anew.
    """

    position: int = 0
    manifests: int = 0
    manifests_total: int = 0
    size: int = 0
    size_total: int = 0
    copied: int = 0
    earlier_manifests: int = 0
    earlier_size: int = 0


@dataclass(frozen=True, slots=True)
class CopyJob:
    """A copy, as its row says it is.

    ``lease`` names the worker that has it until ``leased_until``. ``moving`` is set from just before the
    tags of an item move until the next step: a job cannot be cancelled then. ``in_doubt`` is the place on its
    list that the job has come to if the tags up to there have moved: it is set before they do, and the job
    cannot be cancelled until its worker, or the next one, has found out. ``copying`` are keys of objects in
    the store ``copying_in`` that may lie there without being recorded. ``breakdowns`` counts how often the
    work has broken off by an error of the worker's own.
    """

    id: str
    order: CopyOrder
    created: datetime
    modified: datetime
    state: JobState = JobState.QUEUED
    started: datetime | None = None
    finished: datetime | None = None
    reason: str | None = None
    """Why it failed, for the person who asked for it."""
    progress: Progress = Progress()
    rounds: int = 0
    lease: str | None = None
    leased_until: datetime | None = None
    moving: bool = False
    copying: tuple[str, ...] = ()
    copying_in: str | None = None
    in_doubt: int | None = None
    breakdowns: int = 0

    @property
    def expires(self) -> datetime:
        """When it is forgotten."""
        return self.created + JOB_LIFETIME

    @property
    def organisations(self) -> tuple[str, ...]:
        """The organisations in whose lists it stands."""
        return tuple(dict.fromkeys((self.order.source.org, self.order.destination.org)))

    @property
    def is_complete(self) -> bool:
        """Whether all its tags have moved, so that nothing is left but to say so."""
        return self.progress.position >= self.order.items

    def is_taken(self, now: datetime) -> bool:
        """Whether a worker has it that has reported lately."""
        return self.leased_until is not None and now < self.leased_until

    def is_overdue(self, now: datetime) -> bool:
        """Whether somebody ought to have gone on with it before now."""
        return self.state.is_open and self.modified + OVERDUE < now

    def refuse_cancelling(self, now: datetime) -> None:
        """Whether it can be cancelled; also when that has been done before.

        Raises:
            Conflict: it has ended otherwise, or has only to say that it has succeeded.
            WriteConflict: a worker is moving its tags.
        """
        if not self.state.is_open and self.state is not JobState.CANCELLED:
            raise Conflict(f"the job has {self.state} already: there is nothing left to cancel")
        if self.state.is_open and self.is_complete:
            raise Conflict("the job has copied everything already: there is nothing left to cancel")
        if self.state.is_open and (self.in_doubt is not None or (self.moving and self.is_taken(now))):
            raise WriteConflict("the job is moving tags at this moment; try again")


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What makes a repeated request the same one: the caller's own key for it, and what was asked for.

    ``since`` is when the youngest of those was made whom it concerns: an older job is of others of the same
    names, and none that this request has made.
    """

    principal: str
    key: str
    fingerprint: str
    """SHA-256, in hexadecimal, of the order and what it selects."""
    since: datetime | None = None

    def concerns(self, job: CopyJob) -> bool:
        """Whether a job may be one that this request has made."""
        return self.since is None or self.since <= job.created

    def refuse_other(self, fingerprint: str) -> None:
        """Whether what was asked for with this key before is the same.

        Raises:
            Conflict: it is not.
        """
        if fingerprint != self.fingerprint:
            raise Conflict("this idempotency key was used for another request; choose a new one")


def new_job_id() -> str:
    """An id that no other job has and nobody can guess."""
    return secrets.token_hex(_ID_LENGTH // 2)


def is_job_id(text: str) -> bool:
    """Whether ``text`` has the form of an id."""
    return len(text) == _ID_LENGTH and all(character in "0123456789abcdef" for character in text)


DOCUMENT_PREFIX = "jobs/copy/"
"""Below which the documents lie whose events bring workers to jobs."""


def document_key(job_id: str) -> str:
    """Where the document of a job lies."""
    return f"{DOCUMENT_PREFIX}{job_id}.json"


def document_job(key: str) -> str | None:
    """The id of the job whose document ``key`` is; None if it is none."""
    job_id = key.removeprefix(DOCUMENT_PREFIX).removesuffix(".json")
    return job_id if is_job_id(job_id) and key == document_key(job_id) else None
