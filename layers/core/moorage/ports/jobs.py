"""Jobs: stored with what they may do, taken by one worker at a time, found by those whom they concern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from moorage.domain.jobs import CopyItem, CopyJob, JobRequest, JobState, Progress


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs of an organisation, the newest first, and where the list goes on (None at the end)."""

    jobs: Sequence[CopyJob]
    next: str | None


class Jobs(Protocol):
    """Jobs and what they copy. All reads but ``overdue_jobs`` are strongly consistent. A job whose time is
    over is absent.

    Workers write on one condition: the job is running and has the lease that the job in their hands shows.
    """

    def create_job(self, job: CopyJob, items: Sequence[CopyItem], request: JobRequest | None) -> CopyJob:
        """Store a job with its items: nobody finds it before all of them are there. With ``request``, the job
        that the same request has made before, if there is one.

        Raises:
            Conflict: the same key was used for another request.
            WriteConflict: somebody makes the same request at this moment.
        """

    def find_job(self, job_id: str, now: datetime) -> CopyJob | None:
        """The job, or None."""

    def find_request(self, request: JobRequest, now: datetime) -> CopyJob | None:
        """The job that this request has made before, or None: also if that one was made before those whom the
        request concerns.

        Raises:
            Conflict: the same key was used for another request.
        """

    def jobs_of(self, org: str, after: str | None, limit: int, now: datetime) -> JobPage:
        """Up to ``limit`` jobs that an organisation is source or destination of, behind the place
        ``after``.
        """

    def copy_items(self, job: CopyJob, position: int) -> Sequence[CopyItem]:
        """Items from ``position`` on: at least one if there is one, and not necessarily all; one read."""

    def take_job(self, job: CopyJob, lease: str, now: datetime) -> CopyJob | None:
        """Let a worker have a job for ``LEASE``, for one more round: running, if it was queued. None if it
        has ended, or another worker has it.
        """

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
        """Report, and keep the job for ``LEASE`` from ``now`` on. None if it has been cancelled meanwhile, or
        another worker has it: whoever reports has to stop.
        """

    def release_job(self, job: CopyJob, now: datetime, *, broken: bool = False) -> bool:
        """Give a job back that is to go on, after a breakdown if it is ``broken``; whether it was still the
        worker's.
        """

    def end_job(self, job: CopyJob, state: JobState, now: datetime, reason: str | None = None) -> bool:
        """Let a job end in ``state``; whether it was still the worker's."""

    def cancel_job(self, job_id: str, now: datetime) -> CopyJob | None:
        """Let an open job end as cancelled, whoever has it; as it is now, also if it was cancelled before.
        None if there is none. After this no tag moves.

        Raises:
            Conflict: it has ended otherwise, or all its tags have moved.
            WriteConflict: it is moving a tag at this moment, or nobody has looked yet whether that was done.
        """

    def overdue_jobs(self, now: datetime, limit: int) -> Sequence[str]:
        """Ids of up to ``limit`` open jobs of which nothing was heard for ``OVERDUE``, the longest first.
        Eventually consistent: one that has gone on, or has ended, may still be named.
        """
