"""Jobs that nobody has heard of for a while are begun again, and nothing else is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from moorage.adapters.memory import MemoryTable
from moorage.adapters.memory.stores import MemoryStores
from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.digests import Digest
from moorage.domain.errors import Unavailable
from moorage.domain.jobs import (
    JOB_LIFETIME,
    OVERDUE,
    CopyItem,
    CopyJob,
    CopyOrder,
    JobState,
    Progress,
    document_job,
    document_key,
    new_job_id,
)
from moorage.domain.names import Repository
from moorage.services import redriving
from moorage.services.job_documents import JobDocuments
from moorage.services.redriving import Redriving

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MOMENT = timedelta(seconds=1)
ORDER = CopyOrder("/org/demo/user/x", Repository("demo", "app"), Repository("prod", "app"), "v1", 1)


class Case:
    """Jobs, a second store beside the default one, and a clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.table = MemoryTable()
        self.stores = MemoryStores("second")
        self.redriving = Redriving(self.table, JobDocuments(self.stores), lambda: self.now)

    def job(self) -> CopyJob:
        made = CopyJob(new_job_id(), ORDER, self.now, self.now)
        return self.table.create_job(made, [CopyItem(Digest.of(b"a"), "v1")], None)

    def begun(self) -> list[str]:
        """The jobs that workers were brought to; their documents are gone then."""
        keys = self.stores[DEFAULT_STORE].list_keys("", 10**6)
        self.stores[DEFAULT_STORE].delete(keys)
        assert list(self.stores["second"].list_keys("", 1)) == []
        found = [document_job(key) for key in keys]
        assert all(found)
        return sorted(filter(None, found))


@pytest.fixture
def case() -> Case:
    return Case()


def test_a_job_whose_event_was_lost_is_begun_when_it_is_overdue_and_not_before(case: Case) -> None:
    job = case.job()
    case.now = NOW + OVERDUE
    assert (case.redriving.redrive(), case.begun()) == (0, [])
    case.now += MOMENT
    assert (case.redriving.redrive(), case.begun()) == (1, [job.id])


def test_it_is_begun_again_and_again_until_a_worker_takes_it(case: Case) -> None:
    job = case.job()
    case.now += OVERDUE + MOMENT
    for _ in range(3):
        assert (case.redriving.redrive(), case.begun()) == (1, [job.id])
    assert case.table.take_job(job, "one", case.now)
    assert (case.redriving.redrive(), case.begun()) == (0, [])


def test_a_job_that_goes_on_is_left_alone_and_one_that_was_left_is_not(case: Case) -> None:
    taken = case.table.take_job(case.job(), "one", case.now)
    for _ in range(5):
        case.now += OVERDUE
        assert taken is not None
        assert (case.redriving.redrive(), case.begun()) == (0, [])
        taken = case.table.save_progress(taken, Progress(), case.now)
    case.now += OVERDUE + MOMENT
    assert taken is not None
    assert (case.redriving.redrive(), case.begun()) == (1, [taken.id])


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_a_job_that_has_ended_is_left_alone(case: Case, state: JobState) -> None:
    if state is JobState.CANCELLED:
        case.table.cancel_job(case.job().id, case.now)
    else:
        taken = case.table.take_job(case.job(), "one", case.now)
        assert taken is not None
        case.table.end_job(taken, state, case.now)
    case.now += OVERDUE + MOMENT
    assert (case.redriving.redrive(), case.begun()) == (0, [])


@pytest.mark.parametrize("gone", [True, False])
def test_a_list_that_is_behind_begins_nothing(
    case: Case, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    job = case.job()
    case.now += JOB_LIFETIME if gone else OVERDUE + MOMENT
    if not gone:
        case.table.take_job(job, "one", case.now)
    monkeypatch.setattr(case.table, "overdue_jobs", lambda _now, _limit: [job.id, new_job_id()])
    assert (case.redriving.redrive(), case.begun()) == (0, [])


def test_one_that_cannot_be_begun_is_left_to_the_next_time(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = sorted(case.job().id for _ in range(3))
    case.now += OVERDUE + MOMENT
    put = case.stores[DEFAULT_STORE].put

    def sometimes(key: str, content: bytes) -> None:
        if key == document_key(jobs[1]):
            raise Unavailable("the store is down")
        put(key, content)

    with monkeypatch.context() as patch:
        patch.setattr(case.stores[DEFAULT_STORE], "put", sometimes)
        assert (case.redriving.redrive(), case.begun()) == (2, [jobs[0], jobs[2]])
    assert (case.redriving.redrive(), case.begun()) == (3, jobs)


def test_a_table_that_is_away_is_an_outage(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise Unavailable("the table is down")

    monkeypatch.setattr(case.table, "overdue_jobs", away)
    with pytest.raises(Unavailable):
        case.redriving.redrive()


def test_it_begins_no_more_than_there_is_time_for_and_those_first_that_wait_longest(case: Case) -> None:
    jobs = []
    for _ in range(4):
        jobs.append(case.job().id)
        case.now += MOMENT
    case.now += OVERDUE
    left = iter([True, True])
    assert case.redriving.redrive(has_time=lambda: next(left, False)) == 2
    assert case.begun() == sorted(jobs[:2])


def test_it_asks_for_no_more_than_it_can_keep(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redriving, "_AT_ONCE", 2)
    for _ in range(3):
        case.job()
    case.now += OVERDUE + MOMENT
    assert case.redriving.redrive() == 2


def test_a_dry_run_counts_and_writes_nothing(case: Case) -> None:
    case.job()
    case.now += OVERDUE + MOMENT
    assert (case.redriving.redrive(dry_run=True), case.begun()) == (1, [])


def test_a_document_says_which_job_it_is_of_and_nothing_that_could_grant_anything(case: Case) -> None:
    job = case.job()
    JobDocuments(case.stores).write(job.id)
    content = case.stores[DEFAULT_STORE].read(document_key(job.id))
    assert content is not None
    assert json.loads(b"".join(content)) == {"job": job.id}
