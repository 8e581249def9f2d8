"""Work that breaks off: by errors that nobody has thought of, by death after the last tag, by a cancellation."""

from __future__ import annotations

import pytest

from moorage.domain.errors import Conflict, Unavailable, WriteConflict
from moorage.domain.jobs import MAX_BREAKDOWNS, CopyJob, JobState
from moorage.domain.resources import Kind
from moorage.services.copying import Outcome
from tests.protocol.world import SECOND
from tests.unit.copy_world import FAR, NEAR, SOURCE, CopyWorld, always
from tests.unit.faults import Faults


class Dead(BaseException):
    """What a process does not live to see."""


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def world(faults: Faults) -> CopyWorld:
    world = CopyWorld(faults.wrap)
    world.image("a", "v1")
    return world


def test_an_error_that_comes_each_time_ends_the_job(world: CopyWorld, faults: Faults) -> None:
    job = world.ask(to=FAR)
    for count in range(1, MAX_BREAKDOWNS + 1):
        with faults.failing(named="head", error=lambda: ValueError("of ours")), pytest.raises(ValueError):
            world.worker().run(job.id, always)
        standing = world.job(job)
        assert not standing.is_taken(world.clock())
        if count < MAX_BREAKDOWNS:
            assert (standing.state, standing.breakdowns) == (JobState.RUNNING, count)
    assert standing.state is JobState.FAILED
    assert "internal error" in str(standing.reason)
    assert job.id in str(standing.reason)
    assert "of ours" not in str(standing.reason)
    assert world.copies() == []
    assert world.worker().run(job.id, always) is Outcome.ABSENT


def test_an_error_that_passes_is_none(world: CopyWorld, faults: Faults) -> None:
    job = world.ask(to=FAR)
    with faults.failing(named="head", error=lambda: KeyError("x")), pytest.raises(KeyError):
        world.worker().run(job.id, always)
    assert world.run(job).state is JobState.SUCCEEDED
    assert world.problems() == []


def test_a_dependency_that_fails_is_no_error_of_ours(world: CopyWorld, faults: Faults) -> None:
    job = world.ask(to=FAR)
    for _ in range(MAX_BREAKDOWNS + 1):
        with faults.failing(named="head"), pytest.raises(Unavailable):
            world.worker().run(job.id, always)
    assert (world.job(job).state, world.job(job).breakdowns) == (JobState.RUNNING, 0)


def test_a_worker_that_dies_after_the_last_tag_leaves_a_job_that_succeeds(
    world: CopyWorld, faults: Faults
) -> None:
    job = world.ask()
    with faults.failing(named="end_job", error=Dead), pytest.raises(Dead):
        world.worker().run(job.id, always)
    assert world.tag(NEAR) is not None
    world.let_leases_end()
    with pytest.raises(Conflict):
        world.table.cancel_job(job.id, world.clock())
    # Even if the requester may nothing any more: it is done.
    world.revoke("demo")
    assert world.run(job).state is JobState.SUCCEEDED


def dies_at_the_last_tag(world: CopyWorld, faults: Faults, *, lost: bool) -> CopyJob:
    """A job whose worker died with its last tag: after that had moved, if the answer was lost, else before."""
    job = world.ask(replaceTag=True)
    with faults.failing(named="put_tags", error=Dead, lost=lost), pytest.raises(Dead):
        world.worker().run(job.id, always)
    assert (world.tag(NEAR) == world.tag(SOURCE)) is lost
    world.let_leases_end()
    return job


@pytest.mark.parametrize("what", ["rights", "source", "requester", "nothing"])
def test_a_job_whose_tag_has_moved_can_only_succeed_whenever_its_worker_died(
    world: CopyWorld, faults: Faults, what: str
) -> None:
    job = dies_at_the_last_tag(world, faults, lost=True)
    with pytest.raises(WriteConflict):
        world.table.cancel_job(job.id, world.clock())
    if what == "rights":
        world.revoke("demo")
    if what == "source":
        world.administration.remove_organisation("demo", force=True)
    if what == "requester":
        copier = world.table.find(Kind.SERVICE_ACCOUNT, "demo", "copier")
        assert copier is not None
        world.table.delete(copier)
    done = world.run(job)
    assert (done.state, done.reason, done.progress.position) == (JobState.SUCCEEDED, None, 1)
    assert (done.progress.manifests, done.in_doubt) == (done.progress.manifests_total, None)


def test_a_signature_that_was_copied_by_its_own_tag_is_copied_whenever_the_worker_died(
    world: CopyWorld, faults: Faults
) -> None:
    tag = f"sha256-{'5' * 64}.sig"
    world.image("signature", tag)
    job = world.ask(f"app:{tag}")
    with faults.failing(named="put_tags", error=Dead, lost=True), pytest.raises(Dead):
        world.worker().run(job.id, always)
    assert world.tag(NEAR, tag) == world.tag(SOURCE, tag)
    world.let_leases_end()
    with pytest.raises(WriteConflict):
        world.table.cancel_job(job.id, world.clock())
    world.revoke("demo")
    assert world.run(job).state is JobState.SUCCEEDED


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_job_whose_tag_has_not_moved_can_end_otherwise(
    world: CopyWorld, faults: Faults, cancelled: bool
) -> None:
    job = dies_at_the_last_tag(world, faults, lost=False)
    world.revoke("demo")
    if cancelled:
        # Not before somebody has looked: here the next worker dies right after that.
        with pytest.raises(WriteConflict):
            world.table.cancel_job(job.id, world.clock())
        with faults.failing(named="find_many", error=Dead), pytest.raises(Dead):
            world.worker().run(job.id, always)
        cancelled_job = world.table.cancel_job(job.id, world.clock())
        assert cancelled_job is not None
        assert cancelled_job.state is JobState.CANCELLED
    else:
        assert world.run(job).state is JobState.FAILED
    assert world.tag(NEAR) is None


def test_a_tag_that_was_put_back_after_the_worker_died_stays(world: CopyWorld, faults: Faults) -> None:
    old = world.image("old", "v1", repository=NEAR)
    job = dies_at_the_last_tag(world, faults, lost=True)
    world.image("old", "v1", repository=NEAR)
    assert world.tag(NEAR) == old
    done = world.run(job)
    assert (done.state, "names another image" in str(done.reason)) == (JobState.FAILED, True)
    assert world.tag(NEAR) == old


def test_what_was_in_flight_goes_where_it_is_though_the_destination_is_no_more(
    world: CopyWorld, faults: Faults
) -> None:
    job = world.ask(to=FAR)
    with faults.failing(named="head", error=Dead), pytest.raises(Dead):
        world.worker().run(job.id, always)
    assert world.job(job).copying_in == SECOND
    world.administration.remove_organisation("remote", force=True)
    world.let_leases_end()
    assert world.run(job).state is JobState.FAILED
    assert world.copies() == []
    rows = [each for each in world.table._objects.values() if each.state == "condemned"]
    assert {each.store for each in rows} == {SECOND}
