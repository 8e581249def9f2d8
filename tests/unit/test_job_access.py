"""Jobs between two organisations: what of them each side may see, and who may end them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from moorage.adapters.memory import MemoryStores, MemoryTable
from moorage.adapters.sealing import AesSivSeal
from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.errors import Conflict, Denied, NotFound, QueryInvalid, WriteConflict
from moorage.domain.jobs import JOB_LIFETIME, CopyJob, JobState, Progress, document_key
from moorage.domain.names import Repository
from moorage.domain.resources import Kind
from moorage.services.access import Access, Filter
from moorage.services.authorization import EFFORT_MAX, Authorization
from moorage.services.callers import Caller
from moorage.services.cursors import Cursors
from moorage.services.job_access import JobAccess, JobList
from moorage.services.job_documents import JobDocuments
from tests.contract.job_samples import SECOND, item, job
from tests.contract.samples import APP, NOW, OTHER_IMAGE, OTHER_ORG, make_organisation, policy, record
from tests.protocol.management.world import Bootstrap
from tests.unit.faults import Faults

DEMO, ACME = APP.org, OTHER_ORG.org
ROBOT = "/org/demo/serviceaccount/robot"
COLLEAGUE = "/org/demo/serviceaccount/colleague"
PARTNER = "/org/acme/serviceaccount/partner"
STRANGER = "/org/third/serviceaccount/stranger"
REASON = "the tag v1 of acme/team/app was moved meanwhile; request the copy again"
JOB = job(1)
FAILED = replace(JOB, state=JobState.FAILED, reason=REASON, finished=NOW)


class Office:
    """Two organisations between which images are copied, and a third one; nobody may anything at first."""

    def __init__(self) -> None:
        self.table, self.faults, self.now = MemoryTable(), Faults(), NOW
        self.stores = MemoryStores()
        make_organisation(self.table, DEMO, ACME, "third")
        for link in (ROBOT, COLLEAGUE, PARTNER, STRANGER):
            _, _, org, _, name = link.split("/")
            self.table.create(record(Kind.SERVICE_ACCOUNT, name, org))
        table = self.faults.wrap(self.table)
        authorization = Authorization(table)
        cursors = Cursors(Bootstrap(), AesSivSeal(), lambda: self.now)
        access = Access(authorization)
        self.jobs = JobAccess(
            table, table, authorization, access, cursors, lambda: self.now, JobDocuments(self.stores)
        )

    def store(self, stored: CopyJob = JOB) -> CopyJob:
        return self.table.create_job(stored, [item()], None)

    def let(self, who: str, permission: str, *orgs: str, **changes: Any) -> None:
        """A policy in each of these organisations, on all of its images unless ``changes`` says else."""
        for org in orgs:
            name = f"{permission}-{who.rpartition('/')[2]}"
            self.table.create(policy(name, who, org=org, permission=permission, **changes))

    def get(self, who: str, org: str, job_id: str = JOB.id):
        return self.jobs.get(Caller(who), org, job_id)

    def cancel(self, who: str, org: str = DEMO):
        return self.jobs.cancel(Caller(who), org, JOB.id)

    def page(self, who: str, org: str = DEMO, **options: Any) -> JobList:
        return self.jobs.list(Caller(who), org, **options)

    def all(self, who: str, org: str = DEMO, **options: Any) -> list[str]:
        """Ids of all jobs in a list, from page to page."""
        page = self.page(who, org, **options)
        found = [view.job.id for view in page.jobs]
        while page.next is not None:
            page = self.page(who, org, cursor=page.next, **options)
            found += [view.job.id for view in page.jobs]
        return found


@pytest.fixture
def office() -> Office:
    return Office()


def repository_only(repository: Repository) -> dict[str, Any]:
    """What makes a policy one for a repository alone."""
    terms = [{"op": "=", "property": "repository", "value": repository.image}]
    return {"spec": {"match": "all", "terms": terms}}


# ------------------------------------------------------------------ who sees what
@pytest.mark.parametrize("permission", ["view", "pull", "create", "edit", "manage"])
@pytest.mark.parametrize("rights", [(), (DEMO,), (ACME,), (DEMO, ACME)], ids=str)
@pytest.mark.parametrize("who", [COLLEAGUE, PARTNER, STRANGER])
def test_each_end_is_shown_to_who_may_view_it(office, who, rights, permission):
    office.store(FAILED)
    office.let(who, permission, *rights)
    for org in (DEMO, ACME):
        if org not in rights:
            with pytest.raises(Denied):
                office.get(who, org)
            continue
        view = office.get(who, org)
        assert view.job == FAILED
        assert view.source == (APP if DEMO in rights else None)
        assert view.destination == (OTHER_ORG if ACME in rights else None)
        assert view.requester == (ROBOT if who == COLLEAGUE else None)
        assert view.reason == (REASON if len(rights) == 2 else None)


def test_a_permission_that_gives_no_view_shows_nothing(office):
    office.store()
    office.let(COLLEAGUE, "delete", DEMO, ACME)
    for org in (DEMO, ACME):
        with pytest.raises(Denied):
            office.get(COLLEAGUE, org)


@pytest.mark.parametrize("rights", [(), (DEMO,), (ACME,), (DEMO, ACME)], ids=str)
def test_the_requester_always_sees_the_job_and_of_its_ends_what_it_may_view_now(office, rights):
    office.store(FAILED)
    office.let(ROBOT, "pull", *rights)
    for org in (DEMO, ACME):
        view = office.get(ROBOT, org)
        assert view.source == (APP if DEMO in rights else None)
        assert view.destination == (OTHER_ORG if ACME in rights else None)
        assert (view.requester, view.reason) == (ROBOT, REASON)


def test_a_requester_that_is_gone_sees_nothing(office):
    """A token outlives its principal by minutes."""
    office.store()
    office.table.delete(office.table.find(Kind.SERVICE_ACCOUNT, DEMO, "robot"))
    for org in (DEMO, ACME):
        with pytest.raises(Denied):
            office.get(ROBOT, org)


@pytest.mark.parametrize(("target", "shown"), [(APP, True), (OTHER_IMAGE, False)], ids=str)
def test_a_view_of_one_repository_is_enough_and_that_of_another_is_not(office, target, shown):
    office.store()
    office.let(COLLEAGUE, "view", DEMO)
    office.table.delete(office.table.find(Kind.POLICY, DEMO, "view-colleague"))
    spec = policy("some", COLLEAGUE, permission="view").spec
    some = {**spec, "targetQuery": repository_only(target)}
    del some["target"]
    office.table.create(record(Kind.POLICY, "some", DEMO, spec=some))
    assert (office.all(COLLEAGUE) == [JOB.id]) == shown
    if shown:
        assert office.get(COLLEAGUE, DEMO).source == APP
    else:
        with pytest.raises(Denied):
            office.get(COLLEAGUE, DEMO)


def test_both_ends_in_one_organisation_are_looked_at_one_by_one(office):
    office.store(job(1, destination=Repository(DEMO, "mirror")))
    spec = policy("some", COLLEAGUE, permission="view").spec
    some = {**spec, "targetQuery": repository_only(APP)}
    del some["target"]
    office.table.create(record(Kind.POLICY, "some", DEMO, spec=some))
    view = office.get(COLLEAGUE, DEMO)
    assert (view.source, view.destination) == (APP, None)


def test_a_job_is_absent_in_an_organisation_that_it_has_nothing_to_do_with(office):
    office.store()
    office.let(STRANGER, "manage", DEMO, ACME, "third")
    with pytest.raises(NotFound):
        office.get(STRANGER, "third")
    # Not even to the requester.
    with pytest.raises(Denied):
        office.get(ROBOT, "third")


@pytest.mark.parametrize("job_id", [job(2).id, "", "x", "../robot", "\ud800"], ids=ascii)
def test_a_job_that_is_not_there_sounds_like_one_that_is_not_shown(office, job_id):
    office.store()
    office.let(COLLEAGUE, "view", DEMO)
    with pytest.raises(NotFound, match="no such job"):
        office.get(COLLEAGUE, DEMO, job_id)
    told = set()
    for org, each in ((DEMO, JOB.id), (DEMO, job_id), ("absent", JOB.id), (ACME, JOB.id)):
        with pytest.raises(Denied) as caught:
            office.get(STRANGER, org, each)
        told.add(caught.value.message)
    assert len(told) == 1


def test_a_job_whose_time_is_over_is_not_shown(office):
    office.store()
    office.let(COLLEAGUE, "view", DEMO)
    office.now = NOW + JOB_LIFETIME
    assert office.all(COLLEAGUE) == []
    with pytest.raises(NotFound):
        office.get(COLLEAGUE, DEMO)


def test_an_organisation_under_an_old_name_has_nothing_of_the_jobs_of_the_former(office):
    office.store(replace(FAILED, created=NOW - SECOND))
    office.let(PARTNER, "manage", DEMO, ACME)
    for org in (DEMO, ACME):
        assert office.all(PARTNER, org) == []
        for who in (PARTNER, ROBOT):
            with pytest.raises((NotFound, Denied)):
                office.get(who, org)
    assert office.table.find_job(JOB.id, NOW) is not None


def test_an_end_in_an_organisation_that_came_later_is_not_shown_at_the_other_end(office):
    long_ago = NOW - timedelta(days=1)
    office.table.create_organisation(record(Kind.ORG, "old", "old", created=long_ago), [])
    office.store(job(1, NOW - SECOND, source=Repository("old", "app")))
    office.let(COLLEAGUE, "manage", "old", ACME)
    view = office.get(COLLEAGUE, "old")
    assert (view.source, view.destination) == (Repository("old", "app"), None)
    assert office.page(COLLEAGUE, "old").jobs == [view]
    with pytest.raises(NotFound):
        office.get(COLLEAGUE, ACME)


def test_the_end_in_an_organisation_that_is_gone_is_shown_to_nobody(office):
    office.store(FAILED)
    office.let(PARTNER, "manage", DEMO, ACME)
    office.table.begin_removal(DEMO, NOW)
    with pytest.raises(Denied):
        office.get(PARTNER, DEMO)
    view = office.get(PARTNER, ACME)
    assert (view.source, view.destination) == (None, OTHER_ORG)


def test_what_is_read_for_one_job_does_not_depend_on_how_many_there_are(office):
    office.let(COLLEAGUE, "view", DEMO, ACME)
    counts = []
    for number in range(1, 41):
        office.store(job(number))
        if number in (1, 40):
            office.faults.calls.clear()
            assert len(office.page(COLLEAGUE).jobs) == number
            counts.append(list(office.faults.calls))
    assert counts[0] == counts[1]


# ------------------------------------------------------------------ lists
def test_a_list_has_what_the_caller_may_see_the_newest_first(office):
    for number in range(1, 7):
        repository = APP if number % 2 else OTHER_IMAGE
        office.store(job(number, NOW + number * SECOND, source=repository))
    office.now = NOW + timedelta(minutes=1)
    spec = policy("some", COLLEAGUE, permission="view").spec
    some = {**spec, "targetQuery": repository_only(APP)}
    del some["target"]
    office.table.create(record(Kind.POLICY, "some", DEMO, spec=some))
    for limit in (1, 2, 50):
        assert office.all(COLLEAGUE, limit=limit) == [job(number).id for number in (5, 3, 1)]
        assert office.all(ROBOT, limit=limit) == [job(number).id for number in (6, 5, 4, 3, 2, 1)]


def test_a_list_shows_as_much_of_a_job_as_the_job_itself(office):
    office.store(FAILED)
    office.let(COLLEAGUE, "view", DEMO)
    assert list(office.page(COLLEAGUE).jobs) == [office.get(COLLEAGUE, DEMO)]


def test_a_list_of_ones_own_organisation_without_rights_is_empty(office):
    office.store()
    assert office.page(COLLEAGUE) == JobList([], None)


def test_a_list_of_another_organisation_takes_something_on_images_there(office):
    office.store()
    with pytest.raises(Denied):
        office.page(COLLEAGUE, ACME)
    office.let(COLLEAGUE, "view", ACME)
    assert office.all(COLLEAGUE, ACME) == [JOB.id]


@pytest.mark.parametrize("state", JobState)
def test_a_list_of_one_state_has_those_alone(office, state):
    office.let(COLLEAGUE, "view", DEMO)
    for number, each in enumerate([*JobState] * 3):
        office.store(job(number, state=each))
    found = office.all(COLLEAGUE, state=state, limit=2)
    assert len(found) == 3
    assert {office.table.find_job(each, NOW).state for each in found} == {state}


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_a_call_looks_at_a_bounded_number_of_jobs(office, limit):
    """A short or empty page is no end."""
    office.let(COLLEAGUE, "view", DEMO)
    first = office.store(job(0, NOW, state=JobState.CANCELLED))
    for number in range(1, 13 * limit):
        office.store(job(number, NOW + number * SECOND))
    office.now = NOW + timedelta(hours=1)
    office.faults.calls.clear()
    page = office.page(COLLEAGUE, state=JobState.CANCELLED, limit=limit)
    assert page.jobs == []
    assert page.next is not None
    assert office.faults.calls.count("jobs_of") == 10
    assert office.all(COLLEAGUE, state=JobState.CANCELLED, limit=limit) == [first.id]


def test_a_page_ends_early_when_deciding_has_become_much_work(office, monkeypatch):
    office.let(COLLEAGUE, "view", DEMO)
    for number in range(6):
        office.store(job(number, NOW + number * SECOND))
    monkeypatch.setattr(Filter, "effort", EFFORT_MAX)
    office.faults.calls.clear()
    assert office.page(COLLEAGUE, state=JobState.FAILED, limit=2).next is not None
    assert office.faults.calls.count("jobs_of") == 1


def test_a_cursor_leads_on_in_its_own_list_only(office):
    office.let(COLLEAGUE, "view", DEMO, ACME)
    for number in range(3):
        office.store(job(number))
    cursor = office.page(COLLEAGUE, limit=1).next
    assert cursor is not None
    assert job(1).id not in cursor
    for org, state in ((DEMO, JobState.QUEUED), (ACME, None)):
        with pytest.raises(QueryInvalid):
            office.page(COLLEAGUE, org, state=state, cursor=cursor)
    with pytest.raises(QueryInvalid):
        office.page(COLLEAGUE, cursor="x")


# ------------------------------------------------------------------ cancelled
@pytest.mark.parametrize(
    ("permission", "rights", "at", "may"),
    [
        ("view", (DEMO, ACME), DEMO, False),
        ("pull", (DEMO, ACME), ACME, False),
        ("edit", (DEMO, ACME), DEMO, False),
        ("create", (DEMO,), DEMO, False),
        ("create", (ACME,), ACME, True),
        ("create", (DEMO, ACME), DEMO, True),
        ("manage", (DEMO,), DEMO, True),
        ("manage", (ACME,), ACME, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("who", [COLLEAGUE, PARTNER, STRANGER])
def test_a_job_is_cancelled_by_who_may_create_at_its_destination_or_manage_its_source(
    office, who, permission, rights, at, may
):
    office.store()
    office.let(who, permission, *rights)
    if may:
        view = office.cancel(who, at)
        assert view.job.state is JobState.CANCELLED
        assert view == office.get(who, at)
    else:
        with pytest.raises(Denied, match="create or manage"):
            office.cancel(who, at)
    state = JobState.CANCELLED if may else JobState.QUEUED
    assert office.table.find_job(JOB.id, NOW).state is state


def test_the_requester_cancels_its_job_whatever_it_may_now(office):
    office.store()
    assert office.cancel(ROBOT).job.state is JobState.CANCELLED
    # Once more it is the same.
    assert office.cancel(ROBOT, ACME).job.state is JobState.CANCELLED


@pytest.mark.parametrize("copying", [(), ("copy/a",)])
def test_a_worker_is_called_to_what_a_cancelled_job_has_in_flight(office, copying):
    office.store()
    taken = office.table.take_job(JOB, "a worker that is dead", NOW)
    assert office.table.save_progress(taken, Progress(), NOW, copying=copying, copying_in="second")
    for _ in range(2):
        # Also when the answer was lost, and with it perhaps the document.
        assert office.cancel(ROBOT).job.state is JobState.CANCELLED
    written = [document_key(JOB.id)] if copying else []
    assert list(office.stores[DEFAULT_STORE].list_keys("jobs/", 10)) == written


def test_who_does_not_see_a_job_does_not_cancel_it(office):
    office.store()
    office.let(PARTNER, "create", ACME)
    for who, org in ((COLLEAGUE, DEMO), (PARTNER, DEMO), (STRANGER, ACME), (ROBOT, "third")):
        with pytest.raises(Denied):
            office.cancel(who, org)
    assert office.table.find_job(JOB.id, NOW) == JOB


def test_a_job_that_is_not_there_is_not_cancelled(office):
    office.let(COLLEAGUE, "manage", DEMO)
    with pytest.raises(NotFound):
        office.cancel(COLLEAGUE)


def test_a_job_that_goes_away_while_it_is_cancelled_is_absent(office, monkeypatch):
    office.store()
    office.let(COLLEAGUE, "manage", DEMO)
    monkeypatch.setattr(office.table, "cancel_job", lambda *_: None)
    with pytest.raises(NotFound):
        office.cancel(COLLEAGUE)


def test_a_job_that_has_ended_is_a_conflict(office):
    office.store(FAILED)
    with pytest.raises(Conflict):
        office.cancel(ROBOT)


def test_a_job_that_moves_its_tags_is_to_be_cancelled_a_moment_later(office):
    office.store()
    taken = office.table.take_job(JOB, "worker", NOW)
    moving = office.table.save_progress(taken, Progress(), NOW, moving=True)
    with pytest.raises(WriteConflict):
        office.cancel(ROBOT)
    assert office.table.find_job(JOB.id, NOW) == moving
