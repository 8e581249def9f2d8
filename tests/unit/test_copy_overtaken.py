"""Workers that were too slow: the job is another one's by now, and so is all that it has in flight."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from moorage.adapters.memory import MemoryStores
from moorage.domain.blobs import ObjectState
from moorage.domain.errors import WriteConflict
from moorage.domain.jobs import CopyJob, JobState
from moorage.ports import ObjectPlace
from moorage.services.copying import CopyLimits, Outcome
from tests.protocol.world import SECOND
from tests.unit.copy_world import FAR, CopyWorld, always
from tests.unit.faults import Faults

PATIENCE = 5
PARTS = CopyLimits(single_copy_max=10, part_size=10, renew_seconds=0.005)


class Copier(MemoryStores):
    """The stores of a world, whose copies one worker makes in its own way."""

    def __init__(self, world: CopyWorld, copy: Any) -> None:
        super().__init__()
        self._stores = world.stores._stores
        self._copy = copy

    def copy_object(self, source: ObjectPlace, target: ObjectPlace) -> bool:
        done: bool = self._copy(source, target)
        return done


def condemned(world: CopyWorld) -> list[str]:
    return [each.key for each in world.table._objects.values() if each.state is ObjectState.CONDEMNED]


def test_who_finds_no_source_when_the_job_is_another_ones_takes_nothing_from_that() -> None:
    world = CopyWorld()
    world.whole_image()
    job = world.ask(to=FAR)
    stored, over = threading.Event(), threading.Event()
    outcomes: dict[str, Outcome] = {}

    def second_copy(source: ObjectPlace, target: ObjectPlace) -> bool:
        done = world.stores.copy_object(source, target)
        stored.set()
        # They are stored, and not recorded yet.
        assert over.wait(PATIENCE)
        return done

    def run_second() -> None:
        copier = Copier(world, second_copy)
        world.wrap = lambda each: copier if isinstance(each, MemoryStores) else each
        outcomes["second"] = world.worker().run(job.id, always)

    second, first = threading.Thread(target=run_second), threading.Lock()

    def first_copy(_source: ObjectPlace, _target: ObjectPlace) -> bool:
        if first.acquire(blocking=False):
            world.let_leases_end()
            second.start()
        assert stored.wait(PATIENCE)
        return False

    copier = Copier(world, first_copy)
    world.wrap = lambda each: copier if isinstance(each, MemoryStores) else each
    outcomes["first"] = world.worker().run(job.id, always)
    over.set()
    second.join(PATIENCE)
    assert outcomes == {"first": Outcome.BUSY, "second": Outcome.FINISHED}
    assert (world.job(job).state, world.job(job).reason) == (JobState.SUCCEEDED, None)
    assert condemned(world) == []
    assert world.problems() == []


def large(world: CopyWorld) -> CopyJob:
    world.image("a", "v1", layers=[b"large " * 20])
    return world.ask(to=FAR)


def test_an_upload_that_another_worker_has_ended_is_looked_at_again() -> None:
    world = CopyWorld(limits=PARTS)
    job, copy_part = large(world), world.stores.copy_part
    ended: list[str] = []

    def copy(source: ObjectPlace, target: ObjectPlace, upload_id: str, *more: int) -> Any:
        if not ended:
            ended.append(upload_id)
            world.stores[SECOND].abort_multipart(target.key, upload_id)
        return copy_part(source, target, upload_id, *more)

    world.stores.copy_part = copy  # type: ignore[assignment, method-assign]
    with pytest.raises(WriteConflict):
        world.worker().run(job.id, always)
    assert world.job(job).state is JobState.RUNNING
    assert world.run(job).state is JobState.SUCCEEDED
    assert world.problems() == []


@pytest.mark.parametrize("named", ["copy_part", "complete_multipart", "head"])
def test_the_job_is_kept_while_one_request_takes_longer_than_the_lease(named: str) -> None:
    world = CopyWorld(limits=PARTS)
    job, saved, renewed = large(world), world.table.save_progress, threading.Semaphore(0)
    slow_in: Any = world.stores if named == "copy_part" else world.stores[SECOND]
    call, first = getattr(slow_in, named), threading.Lock()

    def noted(*arguments: Any, **more: Any) -> Any:
        standing = saved(*arguments, **more)
        assert standing is not None
        renewed.release()
        return standing

    def slow(*arguments: Any) -> Any:
        for _ in range(5 if first.acquire(blocking=False) else 0):
            world.clock.advance(timedelta(seconds=30))
            assert renewed.acquire(timeout=PATIENCE)
        return call(*arguments)

    world.table.save_progress = noted  # type: ignore[method-assign]
    # The first look at the object is before the job has anything in flight, and short.
    if named != "head":
        setattr(slow_in, named, slow)
    else:
        complete = slow_in.complete_multipart

        def completed(*arguments: Any) -> Any:
            slow_in.head = slow
            return complete(*arguments)

        slow_in.complete_multipart = completed
    assert world.worker().run(job.id, always) is Outcome.FINISHED
    assert world.job(job).state is JobState.SUCCEEDED


def test_the_job_is_kept_while_steps_are_waited_for_after_one_has_failed() -> None:
    world = CopyWorld(limits=CopyLimits(renew_seconds=0.005))
    world.whole_image()
    job, copied = world.ask(to=FAR), world.stores.copy_object
    saved, renewed, failed = world.table.save_progress, threading.Semaphore(0), threading.Event()
    first, second, kept = threading.Lock(), threading.Lock(), list[bool]()

    def noted(*arguments: Any, **more: Any) -> Any:
        standing = saved(*arguments, **more)
        renewed.release()
        return standing

    def copy(*arguments: Any) -> bool:
        if first.acquire(blocking=False):
            failed.set()
            return False
        assert failed.wait(PATIENCE)
        if second.acquire(blocking=False):
            for _ in range(6):
                while renewed.acquire(blocking=False):
                    pass  # Those of before.
                world.clock.advance(timedelta(seconds=30))
                assert renewed.acquire(timeout=PATIENCE)
            kept.append(world.table.take_job(job, "another", world.clock()) is None)
        return copied(*arguments)

    world.table.save_progress = noted  # type: ignore[method-assign]
    world.stores.copy_object = copy  # type: ignore[assignment, method-assign]
    assert world.worker().run(job.id, always) is Outcome.FINISHED
    assert kept == [True]
    done = world.job(job)
    assert (done.state, "does not hold" in str(done.reason)) == (JobState.FAILED, True)
    live = {each.key for each in world.table._objects.values() if each.state is ObjectState.LIVE}
    assert set(world.copies()) <= live


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.SUCCEEDED])
def test_a_job_ends_before_what_it_had_in_flight_is_removed(state: JobState) -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap)
    world.image("a", "v1")
    job = world.ask(to=FAR)
    with faults.failing(named="head", error=Dead), pytest.raises(Dead):
        world.worker().run(job.id, always)
    assert world.job(job).copying != ()
    world.let_leases_end()
    if state is JobState.FAILED:
        world.revoke("demo")
    faults.calls.clear()
    assert world.run(job).state is state
    if state is JobState.FAILED:
        assert faults.calls.index("end_job") < faults.calls.index("add_object") < faults.calls.index("delete")
    assert world.problems() == []


def test_wherever_another_job_comes_between_one_copy_of_a_blob_is_left() -> None:
    point, happened = 0, True
    while happened:
        faults = Faults()
        world = CopyWorld(faults.wrap)
        world.image("a", "v1", "v2", layers=[b"large" * 100])
        slow, quick = world.ask("app:v1", FAR), world.ask("app:v2", FAR)

        def overtake(world: CopyWorld = world, quick: CopyJob = quick) -> None:
            assert world.bare().run(quick).state is JobState.SUCCEEDED

        with faults.interrupted(point, overtake) as came:
            done = world.run(slow)
        happened = came()
        assert done.state is JobState.SUCCEEDED, point
        assert world.problems() == [], point
        point += 1
    assert point > 40


class Dead(BaseException):
    """What a process does not live to see."""


@pytest.mark.parametrize("limits", [None, PARTS], ids=["whole", "in parts"])
def test_of_two_jobs_that_copy_the_same_at_once_the_slower_one_gives_up_its_copies(
    limits: CopyLimits | None,
) -> None:
    world = CopyWorld(limits=limits)
    world.image("a", "v1", "v2", layers=[b"large" * 100])
    slow, quick = world.ask("app:v1", FAR), world.ask("app:v2", FAR)
    first, copied, copied_part = threading.Lock(), world.stores.copy_object, world.stores.copy_part

    def overtaken(copy: Callable[..., Any], *arguments: Any) -> Any:
        made = copy(*arguments)
        if first.acquire(blocking=False):
            assert world.run(quick).state is JobState.SUCCEEDED
        return made

    world.stores.copy_object = partial(overtaken, copied)  # type: ignore[method-assign]
    world.stores.copy_part = partial(overtaken, copied_part)  # type: ignore[method-assign]
    done = world.run(slow)
    assert (done.state, world.job(quick).state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
    assert len(world.copies()) == 3
    assert world.problems() == []
