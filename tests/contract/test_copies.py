"""A copy over the real table: what it leaves there is what the checker wants, row by row."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from moorage.domain.errors import WriteConflict
from moorage.domain.jobs import CopyJob, JobState
from moorage.services.copying import Outcome
from tests.copy_checker import Contents, problems
from tests.unit import copy_world
from tests.unit.copy_world import FAR, NEAR, SOURCE, CopyWorld, always, never


@pytest.fixture
def world(dynamo_table: Any, monkeypatch: pytest.MonkeyPatch) -> CopyWorld:
    monkeypatch.setattr(copy_world, "MemoryTable", lambda: dynamo_table)
    return CopyWorld()


@pytest.mark.parametrize("to", [NEAR, FAR], ids=["one store", "two stores"])
def test_an_image_arrives_whole(world: CopyWorld, rows: Any, to: Any) -> None:
    index = world.whole_image()
    assert problems(Contents.of_rows(rows()), world.stores) == []
    done = world.copy(to=to)
    assert (done.state, done.reason, done.progress.manifests) == (JobState.SUCCEEDED, None, 5)
    assert world.tag(to) == index
    contents = Contents.of_rows(rows())
    assert len([place for place in contents.manifests if place[0] == to]) == 5
    assert len([place for place in contents.links if place[0] == to]) == 9
    assert problems(contents, world.stores) == []


def test_slice_by_slice_and_a_second_time(world: CopyWorld, rows: Any) -> None:
    world.whole_image()
    assert world.run(world.ask(to=FAR), never).state is JobState.SUCCEEDED
    before = world.copies()
    assert world.copy(to=FAR).progress.copied == 0
    assert world.copies() == before
    assert problems(Contents.of_rows(rows()), world.stores) == []


def test_a_failed_and_a_cancelled_copy_leave_nothing_wrong(world: CopyWorld, rows: Any) -> None:
    world.whole_image()
    job = world.ask(to=NEAR)
    world.image("b", "v1", repository=NEAR)
    assert world.run(job).state is JobState.FAILED
    job = world.ask(to=FAR)
    assert world.worker().run(job.id, never) is Outcome.CONTINUE
    assert world.table.cancel_job(job.id, world.clock()) is not None
    assert world.worker().run(job.id, always) is Outcome.ABSENT
    assert list(world.tags(FAR)) == []
    assert problems(Contents.of_rows(rows()), world.stores) == []


def test_copies_of_the_same_image_at_once(world: CopyWorld, rows: Any) -> None:
    digest = world.image("a", "v1", layers=[b"shared" * 30])
    jobs = [world.ask(to=to, destinationTag=f"t{number}") for number in range(6) for to in (NEAR, FAR)]
    errors: list[BaseException] = []

    def work(mine: list[CopyJob]) -> None:
        try:
            for job in mine:
                while world.job(job).state.is_open:
                    try:
                        world.worker().run(job.id, always)
                    except WriteConflict:
                        continue
        except BaseException as error:  # noqa: BLE001 - the thread has nobody to tell
            errors.append(error)

    threads = [threading.Thread(target=work, args=(jobs[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {world.job(job).state for job in jobs} == {JobState.SUCCEEDED}
    assert {world.tag(to, f"t{number}") for number in range(6) for to in (NEAR, FAR)} == {digest}
    assert problems(Contents.of_rows(rows()), world.stores, undisturbed=False) == []


def test_the_checker_sees_every_kind_of_row(world: CopyWorld, rows: Any) -> None:
    digest = world.image("a", "v1")
    contents = Contents.of_rows(rows())
    assert contents.tags == {(SOURCE, "v1"): digest}
    assert contents.repositories == {SOURCE: "default"}
    assert contents.manifests.keys() == {(SOURCE, digest)}
    parts = (
        contents.links,
        contents.references,
        contents.objects,
        contents.organisation_blobs,
        contents.uses,
    )
    assert [len(each) for each in parts] == [2] * 5
