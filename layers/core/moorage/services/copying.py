"""Copies: what a worker does with a job that an event has brought it to.

The job's row says what is copied and for whom, and whoever asked for it must be allowed to at the time of the
work, too. A worker has a job for a while, in which it reports; when it dies, the next one finds out what is
done and goes on. See ``docs/adr/0021-copies.md``.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from moorage.domain.errors import NameUnknown, TagImmutable, Unavailable
from moorage.domain.jobs import MAX_BREAKDOWNS, MAX_ROUNDS, CopyJob, JobState
from moorage.domain.permissions import Permission
from moorage.domain.targets import Resource
from moorage.ports import Clock, Stores
from moorage.services.authorization import Authorization
from moorage.services.copy_blobs import (
    DESTINATION_GONE,
    HASHED_MAX,
    PART_SIZE,
    SINGLE_COPY_MAX,
    CopyBlobs,
)
from moorage.services.copy_graph import MAX_MANIFESTS, CopyGraphs, TooManyManifests
from moorage.services.copy_images import CopyImages, CopyTable
from moorage.services.copy_lease import RENEW_SECONDS, CopyFailed, CopyLease, CopyStopped
from moorage.services.copy_parties import youngest
from moorage.services.copy_tags import CopyTags
from moorage.services.job_documents import JobDocuments
from moorage.services.tag_rules import TagRules

ITEMS_AT_ONCE = 50
"""Images that are copied together, at most; their tags move at the end of that."""

_log = logging.getLogger("moorage.copying")


class Outcome(StrEnum):
    """What became of a job when a worker was called to it."""

    FINISHED = "finished"
    CONTINUE = "continue"
    """Its time was over; the next worker has been called."""
    BUSY = "busy"
    """Another worker has it, or had it and has died lately."""
    ABSENT = "absent"
    """There is none, or it has ended before."""


@dataclass(frozen=True, slots=True)
class CopyLimits:
    """How much is done at a time; sizes are in bytes."""

    single_copy_max: int = SINGLE_COPY_MAX
    part_size: int = PART_SIZE
    hashed_max: int = HASHED_MAX
    max_manifests: int = MAX_MANIFESTS
    max_rounds: int = MAX_ROUNDS
    renew_seconds: float = RENEW_SECONDS


class Copying:
    """Works on jobs."""

    def __init__(
        self, table: CopyTable, stores: Stores, clock: Clock, limits: CopyLimits | None = None
    ) -> None:
        self._table = table
        self._documents = JobDocuments(stores)
        self._clock = clock
        self._limits = limits = limits or CopyLimits()
        self._authorization = Authorization(table)
        self._blobs = CopyBlobs(
            table,
            table,
            stores,
            clock,
            single_copy_max=limits.single_copy_max,
            part_size=limits.part_size,
            hashed_max=limits.hashed_max,
        )
        graphs = CopyGraphs(table, table, stores, limits.max_manifests)
        tags = CopyTags(table, table, TagRules(table), clock)
        self._images = CopyImages(table, stores, graphs, self._blobs, tags, clock)

    def run(
        self, job_id: str, has_time: Callable[[], bool], heartbeat: Callable[[], object] = lambda: None
    ) -> Outcome:
        """Work on a job as long as there is time, and a little longer than that: it is asked between small
        groups of work, of which one is always done. May be repeated, and run beside others. ``heartbeat`` is
        called whenever the worker says that it is there, several times in the span of a lease.

        Raises:
            Unavailable: a dependency failed; a repetition goes on.
            Exception: any other error is counted, and ends the job when it comes too often.
        """
        job = self._table.find_job(job_id, self._clock())
        if job is None or not job.state.is_open:
            return self._absent(job)
        taken = self._table.take_job(job, secrets.token_hex(8), self._clock())
        if taken is None:
            job = self._table.find_job(job_id, self._clock())
            return Outcome.BUSY if job is not None and job.state.is_open else self._absent(job)
        lease = CopyLease(self._table, taken, self._clock, self._limits.renew_seconds, heartbeat)
        try:
            return self._work(lease, has_time)
        except Unavailable:
            # If this fails as well, the lease ends by itself.
            with suppress(Unavailable):
                lease.release()
            raise
        except Exception:
            # By a mistake of ours, or with content that nobody has thought of: it may come again each time.
            _log.exception("copy broke off", extra={"job": job_id})
            with suppress(Unavailable):
                self._break_off(lease)
            raise
        finally:
            lease.close()

    def busy_seconds(self, job_id: str) -> int:
        """For how many seconds, at most, the worker that has a job may be silent from now on before another
        one gets it; at least one.
        """
        now = self._clock()
        job = self._table.find_job(job_id, now)
        until = job.leased_until if job else None
        return 1 if until is None else max(1, int((until - now).total_seconds()) + 1)

    def _work(self, lease: CopyLease, has_time: Callable[[], bool]) -> Outcome:
        try:
            self._images.end_doubt(lease)
            if not lease.job.is_complete:
                self._require_permitted(lease.job)
            if self._copy(lease, has_time):
                return self._finish(lease)
            lease.report()
        except CopyStopped:
            return self._stop(lease)
        except TagImmutable as refused:
            return self._fail(lease, refused.message)
        except NameUnknown:
            return self._fail(lease, DESTINATION_GONE)
        except CopyFailed as failure:
            return self._fail(lease, str(failure))
        return self._hand_over(lease)

    def _require_permitted(self, job: CopyJob) -> None:
        """Fail a job that must not go on."""
        order = job.order
        made = youngest(self._table, order.requester, order.source, order.destination)
        if made is None or made > job.created:
            raise CopyFailed(
                "who asked for the copy, or the organisation of its source or of its destination, was "
                "deleted since; if it was made anew, request the copy again"
            )
        for permission, repository, side in (
            (Permission.PULL, order.source, "source"),
            (Permission.CREATE, order.destination, "destination"),
        ):
            resource = Resource.of_repository(repository)
            if not self._authorization.allows(order.requester, permission, resource):
                raise CopyFailed(
                    f"who asked for the copy lacks the permission {permission} on the images of the {side}; "
                    "grant it and request the copy again"
                )
        if job.rounds > self._limits.max_rounds:
            raise CopyFailed(
                f"the copy was not complete after {self._limits.max_rounds} rounds of work; request fewer "
                "images at a time, or the same again: what is there already is not copied anew"
            )

    def _copy(self, lease: CopyLease, has_time: Callable[[], bool]) -> bool:
        """Copy what is left, as far as there is time; whether that was all."""
        order, at_once = lease.job.order, ITEMS_AT_ONCE
        while lease.progress.position < order.items:
            items = self._table.copy_items(lease.job, lease.progress.position)[:at_once]
            if not items:
                raise CopyFailed("what the job was to copy is not known any more; request the copy again")
            try:
                complete = self._images.copy(lease, items, has_time)
            except TooManyManifests:
                if len(items) == 1:
                    raise
                at_once = len(items) // 2
                continue
            if not complete or not (lease.progress.position >= order.items or has_time()):
                return False
        return True

    def _finish(self, lease: CopyLease) -> Outcome:
        if lease.progress != lease.job.progress:
            lease.report()
        return self._end(lease, JobState.SUCCEEDED)

    def _fail(self, lease: CopyLease, reason: str) -> Outcome:
        return self._end(lease, JobState.FAILED, reason)

    def _end(self, lease: CopyLease, state: JobState, reason: str | None = None) -> Outcome:
        if not lease.end(state, reason):
            return self._stop(lease)
        if state is JobState.FAILED:
            _log.warning("copy failed", extra={"job": lease.job.id})
        # Not before: what a job has in flight that goes on is its worker's.
        self._discard(lease.job, lease.copying)
        return Outcome.FINISHED

    def _break_off(self, lease: CopyLease) -> None:
        if lease.job.breakdowns + 1 < MAX_BREAKDOWNS:
            lease.release(broken=True)
            return
        self._end(
            lease,
            JobState.FAILED,
            f"internal error; ask the operator of the registry, and name the job {lease.job.id}",
        )

    def _hand_over(self, lease: CopyLease) -> Outcome:
        lease.release()
        self._documents.write(lease.job.id)
        return Outcome.CONTINUE

    def _stop(self, lease: CopyLease) -> Outcome:
        standing = self._table.find_job(lease.job.id, self._clock())
        if standing is None or not standing.state.is_open:
            self._discard(lease.job, lease.copying)
            return Outcome.FINISHED
        if standing.lease == lease.job.lease:
            return self._hand_over(lease)
        # What is being copied is the other worker's matter now.
        return Outcome.BUSY

    def _absent(self, job: CopyJob | None) -> Outcome:
        """Leave nothing behind of a job that has ended without its worker."""
        if job is not None:
            self._discard(job, job.copying)
        return Outcome.ABSENT

    def _discard(self, job: CopyJob, keys: tuple[str, ...]) -> None:
        if keys:
            self._blobs.discard(job.copying_in, keys)
