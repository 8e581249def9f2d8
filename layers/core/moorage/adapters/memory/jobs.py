"""Jobs in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from moorage.adapters import keys
from moorage.domain.errors import WriteConflict
from moorage.domain.jobs import (
    LEASE,
    CopyItem,
    CopyJob,
    JobRequest,
    JobState,
    Progress,
)
from moorage.ports.jobs import JobPage


class _Request(NamedTuple):
    """What was asked for with a key, and the job that came of it."""

    fingerprint: str
    job_id: str


class MemoryJobs:
    """The port ``Jobs``."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs_lock = threading.RLock()
        self._jobs: dict[str, CopyJob] = {}
        self._items: dict[str, tuple[CopyItem, ...]] = {}
        self._requests: dict[keys.Key, _Request] = {}

    def create_job(self, job: CopyJob, items: Sequence[CopyItem], request: JobRequest | None) -> CopyJob:
        """Store a job, or find the one that the same request made."""
        with self._jobs_lock:
            standing = self.find_request(request, job.created) if request else None
            if standing is not None:
                return standing
            if self._jobs.setdefault(job.id, job) != job:
                raise WriteConflict("a job of that id exists")
            self._items[job.id] = tuple(items)
            if request:
                place = keys.job_request(request.principal, request.key)
                self._requests[place] = _Request(request.fingerprint, job.id)
            return job

    def find_job(self, job_id: str, now: datetime) -> CopyJob | None:
        """The job, or None."""
        job = self._jobs.get(job_id)
        return job if job and now < job.expires else None

    def find_request(self, request: JobRequest, now: datetime) -> CopyJob | None:
        """The job of a request."""
        with self._jobs_lock:
            made = self._requests.get(keys.job_request(request.principal, request.key))
            job = self.find_job(made.job_id, now) if made else None
            if made is None or job is None or not request.concerns(job):
                return None
            request.refuse_other(made.fingerprint)
            return job

    def jobs_of(self, org: str, after: str | None, limit: int, now: datetime) -> JobPage:
        """Jobs of an organisation."""
        with self._jobs_lock:
            placed = {
                keys.job_of(org, job.created, job.id).sk: job
                for job in self._jobs.values()
                if org in job.organisations and now < job.expires
            }
        found = sorted((place for place in placed if after is None or place < after), reverse=True)
        shown = found[: max(limit, 1)]
        return JobPage([placed[place] for place in shown], shown[-1] if len(shown) < len(found) else None)

    def copy_items(self, job: CopyJob, position: int) -> Sequence[CopyItem]:
        """A part of the items."""
        start = position % keys.ITEMS_OF_A_ROW
        first = position - start
        return self._items.get(job.id, ())[first : first + keys.ITEMS_OF_A_ROW][start:]

    def take_job(self, job: CopyJob, lease: str, now: datetime) -> CopyJob | None:
        """Let a worker have a job."""
        with self._jobs_lock:
            standing = self.find_job(job.id, now)
            if standing is None or not standing.state.is_open:
                return None
            if standing.is_taken(now):
                return standing if standing.lease == lease else None
            return self._put_job(
                standing,
                now,
                state=JobState.RUNNING,
                started=standing.started or now,
                rounds=standing.rounds + 1,
                lease=lease,
                leased_until=now + LEASE,
                moving=False,
            )

    def save_progress(
        self,
        job: CopyJob,
        progress: Progress,
        now: datetime,
        *,
        moving: bool = False,
        in_doubt: int | None = None,
        copying: tuple[str, ...] = (),
        copying_in: str | None = None,
    ) -> CopyJob | None:
        """Report, and keep the job."""
        with self._jobs_lock:
            standing = self._held(job)
            if standing is None:
                return None
            return self._put_job(
                standing,
                now,
                progress=progress,
                leased_until=now + LEASE,
                moving=moving,
                in_doubt=in_doubt,
                copying=copying,
                copying_in=copying_in or standing.copying_in,
            )

    def release_job(self, job: CopyJob, now: datetime, *, broken: bool = False) -> bool:
        """Give a job back."""
        with self._jobs_lock:
            standing = self._held(job)
            if standing is not None:
                breakdowns = standing.breakdowns + broken
                self._put_job(
                    standing, now, lease=None, leased_until=None, moving=False, breakdowns=breakdowns
                )
            return standing is not None

    def end_job(self, job: CopyJob, state: JobState, now: datetime, reason: str | None = None) -> bool:
        """Let a job end."""
        with self._jobs_lock:
            standing = self._held(job)
            if standing is not None:
                self._end_job(standing, state, now, reason)
            return standing is not None

    def cancel_job(self, job_id: str, now: datetime) -> CopyJob | None:
        """Let an open job end as cancelled."""
        with self._jobs_lock:
            standing = self.find_job(job_id, now)
            if standing is None:
                return None
            standing.refuse_cancelling(now)
            return self._end_job(standing, JobState.CANCELLED, now) if standing.state.is_open else standing

    def overdue_jobs(self, now: datetime, limit: int) -> Sequence[str]:
        """Ids of open jobs."""
        with self._jobs_lock:
            overdue = sorted((job.modified, job.id) for job in self._jobs.values() if job.is_overdue(now))
        return [job_id for _, job_id in overdue[: max(limit, 0)]]

    def _held(self, job: CopyJob) -> CopyJob | None:
        """The job as it stands, if it is still in the hands of the worker that ``job`` shows."""
        standing = self._jobs.get(job.id)
        if standing is None or standing.state is not JobState.RUNNING:
            return None
        return standing if standing.lease is not None and standing.lease == job.lease else None

    def _end_job(
        self, standing: CopyJob, state: JobState, now: datetime, reason: str | None = None
    ) -> CopyJob:
        return self._put_job(
            standing,
            now,
            state=state,
            finished=now,
            reason=reason,
            lease=None,
            leased_until=None,
            moving=False,
            in_doubt=None,
        )

    def _put_job(self, standing: CopyJob, now: datetime, **changes: Any) -> CopyJob:
        self._jobs[standing.id] = replace(standing, modified=now, **changes)
        return self._jobs[standing.id]
