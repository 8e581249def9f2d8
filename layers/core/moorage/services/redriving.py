"""Redriving: jobs of which nothing was heard for a while are brought to a worker once more."""

from __future__ import annotations

import logging
from collections.abc import Callable

from moorage.domain.errors import Unavailable
from moorage.ports import Clock, Jobs
from moorage.services.job_documents import JobDocuments

_AT_ONCE = 1000

_log = logging.getLogger("moorage.redriving")


class Redriving:
    """Writes the documents of overdue jobs again, whose events were lost or have failed too often."""

    def __init__(self, jobs: Jobs, documents: JobDocuments, clock: Clock) -> None:
        self._jobs = jobs
        self._documents = documents
        self._clock = clock

    def redrive(self, *, dry_run: bool = False, has_time: Callable[[], bool] = lambda: True) -> int:
        """How many jobs were, or in a dry run would be, brought to a worker: as many as there is time for,
        those that have waited longest first. One that cannot be is left to the next time.

        Raises:
            Unavailable: the overdue jobs cannot be found.
        """
        redriven = 0
        for job_id in self._jobs.overdue_jobs(self._clock(), _AT_ONCE):
            if not has_time():
                break
            redriven += self._redrive(job_id, dry_run=dry_run)
        return redriven

    def _redrive(self, job_id: str, *, dry_run: bool) -> bool:
        try:
            # What is listed may be behind.
            job = self._jobs.find_job(job_id, self._clock())
            if job is None or not job.is_overdue(self._clock()):
                return False
            if not dry_run:
                self._documents.write(job_id)
        except Unavailable as failure:
            _log.warning("a job is left to the next time", extra={"job": job_id}, exc_info=failure)
            return False
        return True
