"""The lease of a worker: renewed while a long step is waited for, and lost when the job is somebody else's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from moorage.adapters.aws import Patience
from moorage.adapters.dynamodb.table import RETRY_SECONDS
from moorage.domain.jobs import LEASE, CopyJob, JobState, Progress
from moorage.services.copy_lease import MARGIN, SIDE_BY_SIDE, CopyLease, CopyStopped
from moorage.services.copying import CopyLimits, Outcome
from tests.unit.copy_world import FAR, CopyWorld, always

PATIENCE = 5
"""Seconds after which something that does not happen is given up."""


@pytest.fixture
def world() -> CopyWorld:
    world = CopyWorld()
    world.whole_image()
    return world


def lease_on(world: CopyWorld, job: CopyJob, renew_seconds: float = 0.01) -> CopyLease:
    taken = world.table.take_job(job, "mine", world.clock())
    assert taken is not None
    return CopyLease(world.table, taken, world.clock, renew_seconds)


def lost(world: CopyWorld, job: CopyJob) -> None:
    """Let somebody else have the job."""
    world.let_leases_end()
    assert world.table.take_job(job, "another", world.clock()) is not None


def test_reports_within_a_second_are_one(world: CopyWorld) -> None:
    job = world.ask()
    lease = lease_on(world, job)
    lease.keep(Progress(manifests=1))
    assert world.job(job).progress.manifests == 0
    world.clock.advance(timedelta(seconds=1))
    lease.keep()
    assert world.job(job).progress.manifests == 1
    assert world.job(job).leased_until == world.clock() + LEASE


def test_what_is_being_copied_or_moved_stands_in_every_report(world: CopyWorld) -> None:
    job = world.ask()
    lease = lease_on(world, job)
    lease.begin_copies(["a", "b"], "second")
    lease.report()
    assert (world.job(job).copying, world.job(job).copying_in) == (("a", "b"), "second")
    lease.end_copy("a")
    lease.begin_moving()
    lease.report()
    assert (world.job(job).copying, world.job(job).moving, world.job(job).in_doubt) == (("b",), True, None)
    lease.begin_moving(in_doubt=1)
    lease.report()
    assert (world.job(job).moving, world.job(job).in_doubt) == (True, 1)
    lease.end_moving(Progress(position=1), last=False)
    assert (world.job(job).moving, world.job(job).in_doubt) == (False, None)
    assert world.job(job).progress.position == 1


def test_a_tag_moves_only_while_a_look_and_a_write_can_end_within_the_lease(world: CopyWorld) -> None:
    # A look at the tag, the write, and all repetitions of a write that met another one.
    assert 2 * Patience().longest_seconds + RETRY_SECONDS < MARGIN.total_seconds()
    lease = lease_on(world, world.ask())
    world.clock.advance(LEASE - MARGIN)
    lease.require_held()
    world.clock.advance(timedelta(milliseconds=1))
    with pytest.raises(CopyStopped):
        lease.require_held()


def test_what_the_worker_before_has_left_is_not_forgotten(world: CopyWorld) -> None:
    job = world.ask()
    lease_on(world, job).begin_copies(["old"], "second")
    world.let_leases_end()
    second = lease_on(world, job)
    second.begin_copies(["new"], "second")
    assert world.job(job).copying == ("old", "new")


def test_the_job_is_kept_while_a_step_takes_longer_than_the_lease(world: CopyWorld) -> None:
    job = world.ask()
    lease, renewed = lease_on(world, job), threading.Event()
    saved = world.table.save_progress
    reports: list[Any] = []

    def noted(*arguments: Any, **named: Any) -> Any:
        reports.append(saved(*arguments, **named))
        if len(reports) >= 5:
            renewed.set()
        world.clock.advance(timedelta(seconds=30))
        return reports[-1]

    world.table.save_progress = noted  # type: ignore[method-assign]
    world.clock.advance(timedelta(seconds=30))
    # Five times thirty seconds are more than one lease has.
    assert lease.together([lambda: renewed.wait(PATIENCE)]) == [True]
    assert len(reports) >= 5
    assert all(each is not None for each in reports)


def test_a_job_that_is_lost_stops_what_has_not_begun_and_what_looks(world: CopyWorld) -> None:
    job = world.ask()
    lease, began = lease_on(world, job), list[int]()
    stopped, all_began = threading.Event(), threading.Barrier(SIDE_BY_SIDE, timeout=PATIENCE)

    def endless() -> None:
        began.append(1)
        if all_began.wait() == 0:
            lost(world, job)
        try:
            for _ in lease.passing(iter(lambda: b"more", b"")):
                threading.Event().wait(0.001)
        except CopyStopped:
            stopped.set()
            raise

    with pytest.raises(CopyStopped):
        lease.together([endless] * (SIDE_BY_SIDE + 20))
    assert stopped.is_set()
    assert len(began) == SIDE_BY_SIDE
    with pytest.raises(CopyStopped):
        lease.require_held()


def test_one_step_that_fails_stops_the_others(world: CopyWorld) -> None:
    lease = lease_on(world, world.ask(), renew_seconds=PATIENCE)
    done: list[int] = []
    barrier = threading.Barrier(2, timeout=PATIENCE)

    def fails() -> None:
        barrier.wait()
        raise ValueError

    def goes_on() -> None:
        barrier.wait()
        for _ in lease.passing(iter(lambda: b"more", b"")):
            threading.Event().wait(0.001)

    with pytest.raises(ValueError):
        lease.together([fails, goes_on, *[lambda: done.append(1)] * 50])
    assert len(done) < 50


def test_results_come_in_the_order_of_the_steps(world: CopyWorld) -> None:
    lease = lease_on(world, world.ask())
    assert lease.together([]) == []
    assert lease.together([giver(number) for number in range(30)]) == list(range(30))


def giver(number: int) -> Callable[[], int]:
    return lambda: number


def test_nothing_is_moved_at_the_very_end_of_a_lease(world: CopyWorld) -> None:
    lease = lease_on(world, world.ask())
    lease.require_held()
    world.clock.advance(LEASE - timedelta(seconds=20))
    with pytest.raises(CopyStopped):
        lease.require_held()
    lease.report()
    lease.require_held()


def test_a_worker_keeps_its_job_while_one_object_is_copied_for_minutes() -> None:
    world = CopyWorld(limits=CopyLimits(renew_seconds=0.005))
    world.image("a", "v1")
    job, copied, renewals = world.ask(to=FAR), world.stores.copy_object, list[Any]()
    saved = world.table.save_progress

    def slow(*arguments: Any) -> bool:
        before = len(renewals)
        while len(renewals) < before + 3:
            world.clock.advance(timedelta(seconds=20))
            threading.Event().wait(0.005)
        return copied(*arguments)

    def noted(*arguments: Any, **named: Any) -> Any:
        renewals.append(saved(*arguments, **named))
        return renewals[-1]

    world.stores.copy_object = slow  # type: ignore[assignment, method-assign]
    world.table.save_progress = noted  # type: ignore[method-assign]
    assert world.run(job).state is JobState.SUCCEEDED
    assert None not in renewals


def test_a_worker_that_was_too_slow_leaves_everything_to_the_next() -> None:
    world = CopyWorld(limits=CopyLimits(renew_seconds=0.005))
    world.image("a", "v1")
    job, copied = world.ask(to=FAR), world.stores.copy_object

    def overtaken(*arguments: Any) -> bool:
        done = copied(*arguments)
        world.stores.copy_object = copied  # type: ignore[method-assign]
        world.let_leases_end()
        assert world.worker().run(job.id, always) is Outcome.FINISHED
        return done

    world.stores.copy_object = overtaken  # type: ignore[assignment, method-assign]
    assert world.worker().run(job.id, always) in (Outcome.BUSY, Outcome.FINISHED)
    assert world.job(job).state is JobState.SUCCEEDED
    assert world.problems() == []


def test_a_worker_that_finds_its_lease_too_short_hands_over(world: CopyWorld) -> None:
    job, find_manifests = world.ask(), world.table.find_manifests
    delayed: list[int] = []

    def slow(*arguments: Any) -> Any:
        if world.job(job).moving and not delayed:
            delayed.append(1)
            world.clock.advance(LEASE - timedelta(seconds=10))
        return find_manifests(*arguments)

    world.table.find_manifests = slow  # type: ignore[assignment, method-assign]
    assert world.worker().run(job.id, always) is Outcome.CONTINUE
    assert list(world.tags(job.order.destination)) == []
    assert world.called() == [job.id]
    assert not world.job(job).is_taken(world.clock())
    assert world.run(job).state is JobState.SUCCEEDED
