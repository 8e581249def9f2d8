"""Blobs of copies: which bytes move between stores, how they are proved, and what is left of what fails."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from moorage.adapters.memory import MemoryStorage, MemoryStores
from moorage.domain.blobs import DEFAULT_STORE, ObjectState
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import Conflict, WriteConflict
from moorage.domain.jobs import CopyJob, JobState
from moorage.ports import ObjectPlace
from moorage.services.copying import CopyLimits, Outcome
from tests.protocol.world import SECOND
from tests.unit.copy_world import FAR, NEAR, SOURCE, CopyWorld, always, described_blob, manifest_of
from tests.unit.faults import Faults

PARTS = CopyLimits(single_copy_max=100, part_size=40)
LARGE = bytes(range(250))


def image_of(world: CopyWorld, *contents: bytes, algorithm: Algorithm = Algorithm.SHA256) -> Digest:
    described = [described_blob(world.blob(each, algorithm=algorithm), each) for each in (b"{}", *contents)]
    return world.push(manifest_of(described), "v1")


def object_of(world: CopyWorld, content: bytes) -> str:
    """The key of the copy of some content."""
    link = world.table.find_link(FAR, Digest.of(content))
    assert link is not None
    assert link.store == SECOND
    return link.key


class Spoiling(MemoryStores):
    """Stores whose copies turn out as a test says: ``spoil`` is called with the store and the key of each."""

    def __init__(self, world: CopyWorld, spoil: Callable[[MemoryStorage, str], object]) -> None:
        super().__init__()
        self._stores = world.stores._stores
        self._spoil = spoil

    def copy_object(self, source: ObjectPlace, target: ObjectPlace) -> bool:
        done = super().copy_object(source, target)
        self._spoil(self[target.store], target.key)
        return done


def spoiled(spoil: Callable[[MemoryStorage, str], object]) -> CopyWorld:
    world = CopyWorld()
    spoiling = Spoiling(world, spoil)
    world.wrap = lambda each: spoiling if each is world.stores else each
    return world


def gave_up(world: CopyWorld, job: CopyJob, says: str) -> None:
    done = world.run(job)
    assert (done.state, says in str(done.reason)) == (JobState.FAILED, True), done
    assert list(world.tags(FAR)) == []
    assert world.stores[SECOND].unfinished_uploads("") == []
    # What was proved and linked before may stay, and nothing else.
    linked = {link.key for link in world.table._links.values() if link.repository == FAR}
    assert set(world.copies()) == linked
    for algorithm in Algorithm:
        assert world.table.find_link(FAR, Digest.of(LARGE, algorithm)) is None


def test_a_large_object_is_copied_in_parts_and_hashed() -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap, PARTS)
    image_of(world, LARGE)
    done = world.copy(to=FAR)
    assert (done.state, done.progress.copied) == (JobState.SUCCEEDED, len(LARGE) + 2)
    assert faults.calls.count("copy_part") == 7
    assert faults.calls.count("copy_object") == 1
    stored = world.table.find_object(object_of(world, LARGE))
    assert stored is not None
    assert stored.sha256 == hashlib.sha256(LARGE).hexdigest()
    assert world.stores[SECOND].unfinished_uploads("") == []
    assert world.problems() == []


def test_parts_that_are_there_are_not_copied_again() -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap, PARTS)
    image_of(world, LARGE)
    job = world.ask(to=FAR)
    with faults.failing(named="complete_multipart", error=Dead), pytest.raises(Dead):
        world.worker().run(job.id, always)
    world.let_leases_end()
    faults.calls.clear()
    done = world.run(job)
    assert done.state is JobState.SUCCEEDED
    assert faults.calls.count("copy_part") == faults.calls.count("begin_multipart") == 0
    assert world.problems() == []


def test_an_object_that_was_put_together_is_not_copied_again() -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap, PARTS)
    image_of(world, LARGE)
    job = world.ask(to=FAR)
    with faults.failing(named="complete_multipart", lost=True, error=Dead), pytest.raises(Dead):
        world.worker().run(job.id, always)
    world.let_leases_end()
    faults.calls.clear()
    assert world.run(job).state is JobState.SUCCEEDED
    assert faults.calls.count("copy_part") == faults.calls.count("begin_multipart") == 0
    assert world.problems() == []


def test_what_the_store_has_no_checksum_of_is_hashed() -> None:
    world = CopyWorld()
    image_of(world, LARGE)
    link = world.table.find_link(SOURCE, Digest.of(LARGE))
    assert link is not None
    world.stores[DEFAULT_STORE].put_without_checksum(link.key, LARGE)
    assert world.copy(to=FAR).state is JobState.SUCCEEDED
    assert world.problems() == []


def test_content_of_another_algorithm_is_hashed_whatever_the_store_says() -> None:
    world = CopyWorld()
    image_of(world, LARGE, algorithm=Algorithm.SHA512)
    assert world.copy(to=FAR).state is JobState.SUCCEEDED
    link = world.table.find_link(FAR, Digest.of(LARGE, Algorithm.SHA512))
    assert link is not None
    stored = world.table.find_object(link.key)
    assert stored is not None
    assert stored.sha256 == hashlib.sha256(LARGE).hexdigest()
    assert world.problems() == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda store, key: store.put(key, b"x" * len(LARGE)),
        lambda store, key: store.put_without_checksum(key, b"x" * len(LARGE)),
        lambda store, key: store.put(key, LARGE[:-1]),
        lambda store, key: store.put_encoded(key, LARGE, "gzip"),
    ],
    ids=["checksum", "hash", "size", "encoding"],
)
def test_a_copy_that_is_something_else_is_never_linked_and_goes(
    spoil: Callable[[MemoryStorage, str], object],
) -> None:
    world = spoiled(spoil)
    image_of(world, LARGE)
    gave_up(world, world.ask(to=FAR), "the source's content is damaged: the blob")


def test_an_altered_object_of_another_algorithm_is_never_linked() -> None:
    world = spoiled(lambda store, key: store.put(key, b"x" * len(LARGE)))
    image_of(world, LARGE, algorithm=Algorithm.SHA512)
    gave_up(world, world.ask(to=FAR), "the source's content is damaged: the blob")


def test_a_copy_that_vanishes_is_never_linked() -> None:
    world = spoiled(lambda store, key: store.delete([key]))
    image_of(world, LARGE)
    gave_up(world, world.ask(to=FAR), "is being removed from the destination")


def test_a_source_that_vanishes_between_two_parts_fails_and_leaves_nothing() -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap, PARTS)
    image_of(world, LARGE)
    link = world.table.find_link(SOURCE, Digest.of(LARGE))
    assert link is not None
    job = world.ask(to=FAR)
    seen: list[int] = []
    copy_part = world.stores.copy_part

    def once(*arguments: Any) -> Any:
        seen.append(1)
        if len(seen) == 3:
            world.stores[DEFAULT_STORE].delete([link.key])
        return copy_part(*arguments)

    world.stores.copy_part = once  # type: ignore[assignment, method-assign]
    gave_up(world, job, "the source does not hold")


def test_an_object_that_the_collector_is_about_to_take_is_not_linked() -> None:
    world = CopyWorld()
    image_of(world, LARGE)
    link = world.table.find_link(SOURCE, Digest.of(LARGE))
    assert link is not None
    stored = world.table.find_object(link.key)
    assert stored is not None
    condemned = type(stored)(
        stored.key, stored.size, stored.sha256, stored.created, stored.store, ObjectState.CONDEMNED
    )
    world.table.replace_object(condemned)
    done = world.run(world.ask(to=NEAR))
    assert (done.state, "does not hold" in str(done.reason)) == (JobState.FAILED, True)
    # Into another store the bytes are copied as long as they are there.
    assert world.copy(to=FAR).state is JobState.SUCCEEDED


def test_a_blob_of_the_organisation_that_is_condemned_is_brought_anew() -> None:
    world = CopyWorld()
    image_of(world, LARGE)
    world.copy(to=FAR)
    key = object_of(world, LARGE)
    stored = world.table.find_object(key)
    assert stored is not None
    world.table.remove_link(FAR, Digest.of(LARGE))
    world.table.replace_object(
        type(stored)(stored.key, stored.size, stored.sha256, stored.created, SECOND, ObjectState.CONDEMNED)
    )
    done = world.copy(to=FAR)
    assert (done.state, done.progress.copied) == (JobState.SUCCEEDED, len(LARGE))
    assert object_of(world, LARGE) != key


@pytest.mark.parametrize("limits", [None, PARTS], ids=["one request", "parts"])
@pytest.mark.parametrize("dies", ["head", "add_copy", "put_link"])
def test_what_a_dead_worker_was_copying_goes_when_the_job_is_cancelled(
    limits: CopyLimits | None, dies: str
) -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap, limits)
    image_of(world, LARGE)
    job = world.ask(to=FAR)
    with faults.failing(named=dies, error=Dead), pytest.raises(Dead):
        world.worker().run(job.id, always)
    assert world.copies() != [] or world.stores[SECOND].unfinished_uploads("") != []
    assert world.table.cancel_job(job.id, world.clock()) is not None
    # The message of the dead worker comes again.
    assert world.worker().run(job.id, always) is Outcome.ABSENT
    kept = [key for key in world.copies() if (row := world.table.find_object(key)) and row.state == "live"]
    assert world.copies() == kept
    assert world.stores[SECOND].unfinished_uploads("") == []
    assert not any(key in world.job(job).copying for key in kept) or dies == "put_link"


def test_what_was_discarded_cannot_be_recorded_any_more() -> None:
    """A worker that is far behind comes to record what has been taken away behind it."""
    point, happened = 0, True
    while happened:
        world, faults = fresh()
        job = world.ask(to=FAR)

        def cancelled_and_cleaned(world: CopyWorld = world, job: CopyJob = job) -> None:
            with suppress(Conflict, WriteConflict):
                world.table.cancel_job(job.id, world.clock())
                assert world.bare().worker().run(job.id, always) is Outcome.ABSENT

        with faults.interrupted(point, cancelled_and_cleaned) as came:
            world.worker().run(job.id, always)
        happened = came()
        assert world.problems(undisturbed=False) == []
        unrecorded = [key for key in world.copies() if world.table.find_object(key) is None]
        assert unrecorded == []
        point += 1
    assert point > 20


def fresh() -> tuple[CopyWorld, Faults]:
    faults = Faults()
    world = CopyWorld(faults.wrap)
    image_of(world, LARGE)
    return world, faults


class Dead(BaseException):
    """What a process does not live to see: nothing of it is done after that."""
