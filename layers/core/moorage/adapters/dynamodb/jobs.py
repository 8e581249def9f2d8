"""Jobs in DynamoDB.

The items of a job are written before the job, which makes them findable; those of a job that was not made are
found by nobody, and go with their time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from moorage.adapters import keys
from moorage.adapters.dynamodb.job_rows import (
    copy_job,
    item_rows,
    items_in,
    job_row,
    list_rows,
    progress_values,
    request_row,
)
from moorage.adapters.dynamodb.table import Attempts, ConditionFailed, Table
from moorage.adapters.dynamodb.writes import ABSENT, Write, put, update
from moorage.domain.errors import WriteConflict
from moorage.domain.jobs import (
    JOB_LIFETIME,
    LEASE,
    OVERDUE,
    CopyItem,
    CopyJob,
    JobRequest,
    JobState,
    Progress,
    is_job_id,
)
from moorage.ports.jobs import JobPage

OPEN = "#state IN (:queued, :running) AND #expires > :now"
FREE = "(attribute_not_exists(#leased_until) OR #leased_until <= :now)"
TAKEABLE = f"{OPEN} AND {FREE}"
CERTAIN = f"attribute_not_exists(#in_doubt) AND (#moving = :no OR {FREE})"
CANCELLABLE = f"{OPEN} AND {CERTAIN} AND #progress.#position < #items"
HELD = "#state = :running AND #lease = :lease"
ABSENT_OR_OVER = f"{ABSENT} OR #expires <= :now OR #created < :since"

ENDING = (
    "SET #state = :state, #finished = :now, #modified = :now, #moving = :no{reason}"
    " REMOVE #lease, #leased_until, #in_doubt, #gsi1pk, #gsi1sk"
)

# Where the parts of the transaction stand that makes a job.
_JOB, _REQUEST = 0, 1


class DynamoJobs:
    """The port ``Jobs``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def create_job(self, job: CopyJob, items: Sequence[CopyItem], request: JobRequest | None) -> CopyJob:
        """Store a job, or find the one that the same request made."""
        attempts, made = Attempts(), job_row(job)
        writes = [put(made, ABSENT)]
        if request:
            since = (request.since or job.created - JOB_LIFETIME).isoformat()
            made_before = put(
                request_row(job, request), ABSENT_OR_OVER, now=job.created.isoformat(), since=since
            )
            writes.append(made_before)
        self._table.put_all(item_rows(job, items), attempts)
        try:
            self._table.transact(*writes, *(put(each) for each in list_rows(job)), attempts=attempts)
        except ConditionFailed as failed:
            if request and _REQUEST in failed.rows:
                return self._made_before(job, request)
            # The answer to this very write may have been lost, and the write repeated on the way.
            if failed.rows.get(_JOB) != made:
                raise WriteConflict("a job of that id exists") from None
        return job

    def find_job(self, job_id: str, now: datetime) -> CopyJob | None:
        """The job, or None."""
        if not is_job_id(job_id):
            return None  # None of ours, and perhaps no key that DynamoDB takes.
        found = self._table.get(keys.job(job_id))
        job = copy_job(found) if found else None
        return job if job and now < job.expires else None

    def find_request(self, request: JobRequest, now: datetime) -> CopyJob | None:
        """The job of a request: one read, and another one for the job."""
        made = self._table.get(keys.job_request(request.principal, request.key))
        job = self.find_job(made["id"], now) if made else None
        if made is None or job is None or not request.concerns(job):
            return None
        request.refuse_other(made["fingerprint"])
        return job

    def jobs_of(self, org: str, after: str | None, limit: int, now: datetime) -> JobPage:
        """Jobs of an organisation: one query and one read of all of them."""
        first = keys.jobs_of(org)
        start = keys.Key(first.pk, after) if after is not None else None
        page = self._table.query(first, "sk", after=start, limit=max(limit, 1), descending=True)
        places = [row["sk"] for row in page.rows]
        listed = [keys.listed_job(place) for place in places]
        kept = [job_id for created, job_id in listed if now < created + JOB_LIFETIME]
        found = [copy_job(row) for row in self._table.get_all(map(keys.job, kept))]
        jobs = sorted(found, key=lambda job: (job.created, job.id), reverse=True)
        # Behind one whose time is over there are only older ones.
        goes_on = page.more and places and len(kept) == len(places)
        return JobPage(jobs, places[-1] if goes_on else None)

    def copy_items(self, job: CopyJob, position: int) -> Sequence[CopyItem]:
        """A part of the items: one row."""
        if position >= job.order.items:
            return ()
        found = self._table.get(keys.job_items(job.id, position), "items")
        return items_in(found)[position % keys.ITEMS_OF_A_ROW :] if found else ()

    def take_job(self, job: CopyJob, lease: str, now: datetime) -> CopyJob | None:
        """Let a worker have a job: one write, and a read of what others have left in it."""
        taking = update(
            keys.job(job.id),
            "SET #state = :running, #lease = :lease, #leased_until = :until, #modified = :now, #moving = :no,"
            " #started = if_not_exists(#started, :now), #gsi1sk = :due ADD #rounds :one",
            TAKEABLE,
            lease=lease,
            until=(now + LEASE).isoformat(),
            now=now.isoformat(),
            due=keys.job_due(job.id, now + OVERDUE).gsi1sk,
            no=False,
            one=1,
            queued=str(JobState.QUEUED),
            running=str(JobState.RUNNING),
        )
        # A refusal may mean that the answer to this very write was lost, and the write repeated on the way.
        self._is_written(taking)
        taken = self.find_job(job.id, now)
        return taken if taken and taken.state is JobState.RUNNING and taken.lease == lease else None

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
        saving = update(
            keys.job(job.id),
            "SET #progress = :progress, #modified = :now, #leased_until = :until, #moving = :moving,"
            " #copying = :copying, #gsi1sk = :due"
            + (", #copying_in = :copying_in" if copying_in else "")
            + (" REMOVE #in_doubt" if in_doubt is None else ", #in_doubt = :in_doubt"),
            HELD,
            progress=progress_values(progress),
            now=now.isoformat(),
            until=(now + LEASE).isoformat(),
            moving=moving,
            copying=copying,
            **({"copying_in": copying_in} if copying_in else {}),
            **({} if in_doubt is None else {"in_doubt": in_doubt}),
            due=keys.job_due(job.id, now + OVERDUE).gsi1sk,
            running=str(JobState.RUNNING),
            lease=job.lease or "",
        )
        if not self._is_written(saving):
            return None
        return replace(
            job,
            progress=progress,
            modified=now,
            leased_until=now + LEASE,
            moving=moving,
            in_doubt=in_doubt,
            copying=copying,
            copying_in=copying_in or job.copying_in,
        )

    def release_job(self, job: CopyJob, now: datetime, *, broken: bool = False) -> bool:
        """Give a job back."""
        releasing = update(
            keys.job(job.id),
            "SET #modified = :now, #moving = :no, #gsi1sk = :due, #breakdowns = :breakdowns"
            " REMOVE #lease, #leased_until",
            HELD,
            now=now.isoformat(),
            no=False,
            due=keys.job_due(job.id, now + OVERDUE).gsi1sk,
            breakdowns=job.breakdowns + broken,
            running=str(JobState.RUNNING),
            lease=job.lease or "",
        )
        return self._is_written(releasing, JobState.RUNNING, now)

    def end_job(self, job: CopyJob, state: JobState, now: datetime, reason: str | None = None) -> bool:
        """Let a job end; it leaves the index."""
        ending = update(
            keys.job(job.id),
            ENDING.format(reason="" if reason is None else ", #reason = :reason"),
            HELD,
            **({} if reason is None else {"reason": reason}),
            state=str(state),
            now=now.isoformat(),
            no=False,
            running=str(JobState.RUNNING),
            lease=job.lease or "",
        )
        return self._is_written(ending, state, now)

    def cancel_job(self, job_id: str, now: datetime) -> CopyJob | None:
        """Let an open job end as cancelled: one write, and a read of how far it has come."""
        if not is_job_id(job_id):
            return None
        cancelling = update(
            keys.job(job_id),
            ENDING.format(reason=""),
            CANCELLABLE,
            state=str(JobState.CANCELLED),
            now=now.isoformat(),
            no=False,
            queued=str(JobState.QUEUED),
            running=str(JobState.RUNNING),
        )
        cancelled = self._is_written(cancelling)
        standing = self.find_job(job_id, now)
        if standing and not cancelled:
            standing.refuse_cancelling(now)
        return standing

    def overdue_jobs(self, now: datetime, limit: int) -> Sequence[str]:
        """Ids of open jobs: one query for each shard of the index."""
        places = [
            place
            for shard in keys.JOB_SHARDS
            for place in self._table.query_index(keys.jobs_due_until(shard, now), limit)
        ]
        return [keys.due_job(place) for place in sorted(places)[:limit]]

    def _made_before(self, job: CopyJob, request: JobRequest) -> CopyJob:
        """The job of a request whose row stands."""
        standing = self.find_request(request, job.created)
        if standing is None:
            raise WriteConflict("this request is being made at this moment; try again")
        return standing

    def _is_written(self, write: Write, left_as: JobState | None = None, at: datetime | None = None) -> bool:
        """Write; whether the condition held. With a state and a time that the write leaves a job with: or had
        held, for the answer to this very write may have been lost, and the write repeated on the way.
        """
        try:
            self._table.write(write)
        except ConditionFailed as failed:
            standing = failed.rows[0]
            if standing is None or at is None or "lease" in standing:
                return False
            return (standing["state"], standing["modified"]) == (left_as, at.isoformat())
        return True
