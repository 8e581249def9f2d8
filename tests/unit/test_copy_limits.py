"""How much a worker takes on at a time: of memory, and of work between two looks at the clock."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from moorage.domain.digests import Algorithm, Digest
from moorage.domain.jobs import JobState
from moorage.domain.manifests import Manifest
from moorage.services import copy_graph
from moorage.services.copying import CopyLimits, Outcome
from moorage.services.manifest_writes import MANIFEST_PREFIX
from tests.protocol.world import SECOND
from tests.unit.copy_world import FAR, NEAR, CopyWorld, always, described_blob, manifest_of, never
from tests.unit.faults import Faults

KIBIBYTE = 1024
LARGE = "x" * (70 * KIBIBYTE)


def test_large_manifests_are_read_a_few_at_a_time_and_parsed_one_by_one(monkeypatch: Any) -> None:
    monkeypatch.setattr(copy_graph, "_BYTES_AT_ONCE", 160 * KIBIBYTE)
    world = CopyWorld()
    children = [world.image(f"a{number}", annotations={"n": LARGE}) for number in range(7)]
    world.index(*children, tags=["v1"])
    groups: list[list[int]] = []
    read = copy_graph.CopyGraphs.read

    def noted(self: Any, *arguments: Any) -> Any:
        for contents in read(self, *arguments):
            groups.append([len(each.content) for each in contents])
            yield contents

    parse, lock, going, most = Manifest.parse, threading.Lock(), [0], [0]

    def parsed(content: bytes, media_type: str) -> Manifest:
        is_large = len(content) > len(LARGE)
        with lock:
            going[0] += is_large
            most[0] = max(most[0], going[0])
        threading.Event().wait(0.002)
        try:
            return parse(content, media_type)
        finally:
            with lock:
                going[0] -= is_large

    monkeypatch.setattr(copy_graph.CopyGraphs, "read", noted)
    monkeypatch.setattr(Manifest, "parse", parsed)
    done = world.copy()
    assert (done.state, done.progress.manifests) == (JobState.SUCCEEDED, 8)
    assert sum(len(group) for group in groups) == 16
    assert max(map(sum, groups)) <= 160 * KIBIBYTE
    assert most == [1]
    bodies = [each for each in world.table._manifests.items() if each[0][0] == NEAR and each[1].body_key]
    assert len(bodies) == 7
    assert all(str(record.body_key).startswith(MANIFEST_PREFIX) for _, record in bodies)


def layers(count: int) -> list[bytes]:
    return [b"layer %d " % number * 9 for number in range(count)]


def test_it_is_looked_at_the_clock_between_large_objects_and_within_them() -> None:
    world = CopyWorld(limits=CopyLimits(single_copy_max=10, part_size=5))
    world.image("a", "v1", layers=layers(4))
    job, asked, recorded = world.ask(to=FAR), [0], list[int]()
    add_copy = world.table.add_copy

    def noted(*arguments: Any, **options: Any) -> bool:
        recorded.append(asked[0])
        return add_copy(*arguments, **options)

    def has_time() -> bool:
        asked[0] += 1
        return True

    world.table.add_copy = noted  # type: ignore[method-assign]
    assert world.worker().run(job.id, has_time) is Outcome.FINISHED
    assert world.job(job).state is JobState.SUCCEEDED
    # Objects of sixty-odd bytes in parts of five, eight at a time.
    pauses = [after - before for before, after in pairwise(recorded)]
    assert min(pauses) >= 2
    assert world.problems() == []


def test_a_large_object_is_copied_over_several_slices_and_no_part_twice() -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap, CopyLimits(single_copy_max=100, part_size=5))
    content = bytes(range(200))
    digest = world.blob(content)
    world.push(manifest_of([described_blob(digest, content)]), "v1")
    job = world.ask(to=FAR)
    faults.calls.clear()
    copied: list[int] = []
    while world.worker().run(job.id, never) is Outcome.CONTINUE:
        copied.append(world.job(job).progress.copied)
    done = world.job(job)
    assert (done.state, done.progress.copied) == (JobState.SUCCEEDED, 200)
    assert copied[0] == 40
    assert sorted(copied) == copied
    assert done.rounds >= 5
    assert faults.calls.count("copy_part") == 40
    assert faults.calls.count("begin_multipart") == faults.calls.count("complete_multipart") == 1
    assert world.problems() == []


def test_what_was_moved_before_a_death_is_counted() -> None:
    world = CopyWorld(limits=CopyLimits(single_copy_max=100, part_size=5))
    content = bytes(range(200))
    world.push(manifest_of([described_blob(world.blob(content), content)]), "v1")
    job, copy_part, calls = world.ask(to=FAR), world.stores.copy_part, list[int]()

    def dying(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) > 24:
            raise Dead
        world.clock.advance(timedelta(seconds=1))
        return copy_part(*arguments)

    world.stores.copy_part = dying  # type: ignore[assignment, method-assign]
    assert world.worker().run(job.id, never) is Outcome.CONTINUE
    with pytest.raises(Dead):
        world.worker().run(job.id, always)
    world.stores.copy_part = copy_part  # type: ignore[method-assign]
    world.let_leases_end()
    done = world.run(job)
    assert done.state is JobState.SUCCEEDED
    assert 64 < done.progress.copied <= 200


HUGE = CopyLimits(single_copy_max=100, part_size=50, hashed_max=150)


@pytest.mark.parametrize(
    ("size", "algorithm", "says"),
    [
        (150, Algorithm.SHA256, None),
        (151, Algorithm.SHA256, "more than 150 bytes"),
        (151, Algorithm.SHA512, "more than 150 bytes"),
    ],
)
def test_what_takes_too_long_to_verify_is_refused_before_anything_is_copied(
    size: int, algorithm: Algorithm, says: str | None
) -> None:
    world = CopyWorld(limits=HUGE)
    content = bytes(size)
    described = described_blob(world.blob(content, algorithm=algorithm), content)
    world.push(manifest_of([described]), "v1")
    done = world.copy(to=FAR)
    assert done.state is (JobState.FAILED if says else JobState.SUCCEEDED)
    assert (says or "") in str(done.reason)
    assert bool(world.copies()) != bool(says)
    assert world.stores[SECOND].unfinished_uploads("") == []
    # Within one store nothing has to be verified.
    assert world.copy(to=NEAR).state is JobState.SUCCEEDED


def test_what_the_destination_knows_is_linked_however_large() -> None:
    world = CopyWorld(limits=HUGE)
    content = bytes(200)
    for repository in (FAR, type(FAR)("demo", "app")):
        world.push(
            manifest_of([described_blob(world.blob(content, repository), content)]),
            "v1",
            repository=repository,
        )
    assert world.copy(to=type(FAR)("remote", "other")).state is JobState.SUCCEEDED
    assert world.copies() == []
    assert Digest.of(content) in {link.digest for link in world.table._links.values()}


class Dead(BaseException):
    """What a process does not live to see."""
