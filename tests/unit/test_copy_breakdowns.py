"""Work that breaks off: by errors that nobody has thought of, by death after the last tag, by a cancellation."""

from __future__ import annotations

import pytest

from moorage.domain.errors import Conflict, Unavailable
from moorage.domain.jobs import MAX_BREAKDOWNS, JobState
from moorage.services.copying import Outcome
from tests.protocol.world import SECOND
from tests.unit.copy_world import FAR, NEAR, CopyWorld, always
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
