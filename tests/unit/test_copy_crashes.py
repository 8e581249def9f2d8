"""A worker may die at any call to anything: whoever comes next brings the copy to the same end.

The calls are enumerated by what is put around every port.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import Conflict, Unavailable, WriteConflict
from moorage.domain.jobs import CopyJob, JobState, document_key
from moorage.domain.names import Repository
from moorage.services.copying import CopyLimits, Outcome
from tests.copy_checker import Contents
from tests.unit.copy_lives import Life, lived
from tests.unit.copy_world import FAR, NEAR, SOURCE, CopyWorld, always, never

PARTS = CopyLimits(single_copy_max=150, part_size=60)


@dataclass(frozen=True)
class Case:
    """A copy whose crashes are enumerated."""

    to: Repository
    has_time: Callable[[], bool] = always
    limits: CopyLimits | None = None
    each: int = 1
    """Which of the points are tried: in slices most of them are the same as without."""


CASES = {
    "one store": Case(NEAR),
    "two stores": Case(FAR),
    "two stores, in parts": Case(FAR, limits=PARTS),
    "slice by slice": Case(FAR, never, each=4),
}


def prepared(case: Case) -> tuple[CopyWorld, CopyJob]:
    """An index of two platforms with a referrer and a signature's tag, large and small blobs, content by another
    algorithm; something of it is at the destination, and an older image has its tag.
    """
    world = CopyWorld(limits=case.limits)
    world.whole_image()
    world.image("other", "v1", repository=case.to, layers=[b"shared" * 20])
    world.image("long", "v2", layers=[b"large" * 100], annotations={"much": "x" * 70_000})
    world.blob(b"odd" * 20, algorithm=Algorithm.SHA512)
    return world, world.ask("app", case.to, tagPattern="v*", replaceTag=True)


def live(world: CopyWorld, job: CopyJob, life: Life, has_time: Callable[[], bool]) -> bool:
    """Let one worker after the other work on a job, all of them in one life; whether it came to its end."""
    with lived(world, life):
        while world.worker().run(job.id, has_time) is Outcome.CONTINUE:
            pass
    return not life.over


def end_state(world: CopyWorld, job: CopyJob) -> Any:
    """All rows and objects, without what is random or a time."""
    names = {record.id: str(record.repository) for record in world.table._repositories.values()}

    def key_of(key: str) -> str:
        parts = key.split("/")
        return "/".join([names.get(part, part) for part in parts[:-1]] + ["*"])

    contents, ended = Contents.of_memory(world.table), world.job(job)
    return {
        "repositories": contents.repositories,
        "links": sorted(
            (str(r), str(d), key_of(v.key), v.size, v.store) for (r, d), v in contents.links.items()
        ),
        "references": sorted((key_of(key), str(r), str(d)) for key, r, d in contents.references),
        "objects": sorted(
            (key_of(k), v.size, v.sha256, v.store, v.state) for k, v in contents.objects.items()
        ),
        "organisation blobs": sorted(
            (o, str(d), key_of(k)) for (o, d), k in contents.organisation_blobs.items()
        ),
        "manifests": sorted(
            (str(r), str(d), v.total_size, v.store, key_of(v.body_key or "/"))
            for (r, d), v in contents.manifests.items()
        ),
        "uses": sorted(map(str, contents.uses)),
        "referrers": sorted(map(str, world.table._referrers)),
        "images": sorted(
            (record.name, str(record.digest), record.version, record.pushed_by, record.size)
            for tags in world.table._tags.values()
            for record in tags.values()
        ),
        "stored": sorted((name, key_of(key)) for name, key in stored(world)),
        "unfinished": [world.stores[name].unfinished_uploads("") for name in world.stores.names()],
        "job": (
            ended.state,
            ended.reason,
            ended.progress.position,
            ended.progress.manifests,
            ended.progress.size,
        ),
    }


def stored(world: CopyWorld) -> Iterable[tuple[str, str]]:
    return ((name, key) for name in world.stores.names() for key in world.stores[name].list_keys("", 10**6))


@pytest.mark.parametrize("name", CASES)
def test_after_a_death_anywhere_the_next_worker_reaches_the_same_end(name: str) -> None:
    case = CASES[name]
    world, job = prepared(case)
    undisturbed = Life()
    assert live(world, job, undisturbed, case.has_time)
    wanted = end_state(world, job)
    assert wanted["job"][0] is JobState.SUCCEEDED
    assert world.problems() == []
    points = undisturbed.points()
    print(f"{name}: {len(points)} points in {undisturbed.counts.total()} calls")
    for call, count in sorted(undisturbed.counts.items()):
        print(f"  {call}: {count} times, before and after each")
    assert len(points) >= 20
    reached = 0
    tried = points[:: case.each]
    for point in tried:
        world, job = prepared(case)
        tags = set(world.tags(case.to))
        if live(world, job, Life(point), case.has_time):
            continue  # In this order of the threads there was one call less.
        reached += 1
        assert world.problems(undisturbed=False) == [], point
        assert set(world.tags(case.to)) - tags <= {
            tag for tag in world.tags(SOURCE) if (case.to, world.tag(SOURCE, tag)) in world.table._manifests
        }
        world.let_leases_end()
        world.stores[DEFAULT_STORE].put(document_key(job.id), b"{}")
        assert live(world, job, Life(), case.has_time)
        assert end_state(world, job) == wanted, point
    assert reached > 0.9 * len(tried)


@pytest.mark.parametrize("name", ["one store", "two stores, in parts"])
def test_two_deaths_one_after_the_other_make_no_difference(name: str) -> None:
    case = CASES[name]
    world, job = prepared(case)
    undisturbed = Life()
    live(world, job, undisturbed, case.has_time)
    wanted, points = end_state(world, job), undisturbed.points()
    for place in range(0, len(points), 7):
        world, job = prepared(case)
        for point in (points[place], points[(place * 5 + 3) % len(points)]):
            if not live(world, job, Life(point), case.has_time):
                world.let_leases_end()
        if world.job(job).state.is_open:
            assert live(world, job, Life(), case.has_time)
        assert end_state(world, job) == wanted, points[place]


@dataclass
class Interruption(Life):
    """Lets somebody else do something, as a whole, before the call ``at`` (from 0)."""

    at: int = 0
    by: Callable[[], object] = lambda: None
    happened: bool = False
    inside: threading.local = field(default_factory=threading.local)

    def call(self, name: str, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        # The table in memory holds a lock while it asks whether a tag may move; DynamoDB does not.
        nested = getattr(self.inside, "tags", False)
        with self.lock:
            if not nested:
                self.counts[name] += 1
            now = not (nested or self.happened) and self.counts.total() == self.at + 1
            self.happened |= now
        if now:
            self.by()
        self.inside.tags = nested or name.endswith(".put_tags")
        try:
            return method(*arguments, **named)
        finally:
            self.inside.tags = nested


def interrupted(
    case: Case, by: Callable[[CopyWorld, CopyJob], object]
) -> Iterator[tuple[CopyWorld, CopyJob, int]]:
    """Copies of which each is interrupted by somebody before another one of its calls."""
    at, happened = 0, True
    while happened:
        world, job = prepared(case)
        others = world.bare()
        life = Interruption(at=at, by=partial(by, others, job))
        world.wrap = life.wrap
        with suppress(WriteConflict):
            while world.worker().run(job.id, case.has_time) is Outcome.CONTINUE:
                pass
        happened = life.happened
        yield others, job, at
        at += 3


INTERRUPTED = pytest.mark.parametrize("name", ["one store", "two stores, in parts"])


@INTERRUPTED
def test_cancelled_at_any_moment_no_tag_moves_afterwards(name: str) -> None:
    tags: dict[str, Any] = {}

    def cancel(world: CopyWorld, job: CopyJob) -> None:
        tags.clear()
        with suppress(Conflict, WriteConflict):
            world.table.cancel_job(job.id, world.clock())
            tags.update({tag: world.tag(CASES[name].to, tag) for tag in world.tags(CASES[name].to)})

    seen: Counter[JobState] = Counter()
    for world, job, at in interrupted(CASES[name], cancel):
        ended, to = world.job(job), CASES[name].to
        seen[ended.state] += 1
        assert not ended.state.is_open
        if ended.state is JobState.CANCELLED:
            assert tags == {tag: world.tag(to, tag) for tag in world.tags(to)}, at
        else:
            assert world.tag(to) == world.tag(SOURCE)
        assert world.problems(undisturbed=False) == [], at
        unrecorded = [key for key in world.copies() if world.table.find_object(key) is None]
        assert unrecorded == [], at
        assert all(world.stores[each].unfinished_uploads("") == [] for each in world.stores.names())
    assert seen[JobState.CANCELLED] > 10
    assert seen[JobState.SUCCEEDED] >= 1
    assert seen.keys() == {JobState.CANCELLED, JobState.SUCCEEDED}


@INTERRUPTED
def test_overtaken_at_any_moment_two_workers_do_no_harm(name: str) -> None:
    def overtake(world: CopyWorld, job: CopyJob) -> None:
        world.let_leases_end()
        world.worker().run(job.id, always)

    for world, job, at in interrupted(CASES[name], overtake):
        assert world.job(job).state is JobState.SUCCEEDED, at
        assert world.tag(CASES[name].to) == world.tag(SOURCE)
        assert world.problems() == [], at


@INTERRUPTED
def test_a_tag_set_by_others_at_any_moment_is_never_lost(name: str) -> None:
    pushed: list[Digest] = []

    def push(world: CopyWorld, _: CopyJob) -> None:
        pushed.append(world.image("newer", "v1", repository=CASES[name].to))

    seen: Counter[JobState] = Counter()
    for world, job, at in interrupted(CASES[name], push):
        wanted = pushed.pop() if pushed else world.tag(SOURCE)
        assert world.tag(CASES[name].to) == wanted, at
        if world.job(job).state.is_open:
            world.run(job)  # A conflict of two writers, after which the message comes again.
            assert world.tag(CASES[name].to) == wanted, at
        seen[world.job(job).state] += 1
        assert world.problems(undisturbed=False) == [], at
    assert seen.keys() == {JobState.FAILED, JobState.SUCCEEDED}


@INTERRUPTED
def test_a_source_deleted_at_any_moment_fails_the_job_or_comes_too_late(name: str) -> None:
    def delete(world: CopyWorld, _: CopyJob) -> None:
        # Somebody deletes all there is, content first.
        for repository, digest in list(world.table._links):
            if repository == SOURCE:
                world.table.remove_link(repository, digest)
        for digest in world.manifests(SOURCE):
            world.table.delete_manifest(SOURCE, digest)

    seen: Counter[JobState] = Counter()
    for world, job, at in interrupted(CASES[name], delete):
        ended, to = world.job(job), CASES[name].to
        seen[ended.state] += 1
        assert (ended.reason is not None) is (ended.state is JobState.FAILED)
        assert world.problems(undisturbed=False) == [], at
        if ended.state is JobState.FAILED:
            assert "source" in str(ended.reason)
            assert list(world.tags(to)) == ["v1"]
    assert seen.keys() == {JobState.FAILED, JobState.SUCCEEDED}


@INTERRUPTED
def test_a_destination_deleted_at_any_moment_is_not_made_anew(name: str) -> None:
    org = CASES[name].to.org

    def remove(world: CopyWorld, _: CopyJob) -> None:
        world.administration.remove_organisation(org, force=True)

    seen: Counter[JobState] = Counter()
    for world, job, at in interrupted(CASES[name], remove):
        if world.job(job).state.is_open:
            world.run(job)
        seen[world.job(job).state] += 1
        world.administration.remove_organisation(org, force=True)
        world.clock.advance(timedelta(hours=1))
        assert world.administration.remove_organisation(org, force=True).finished
        assert not [link for link in world.table._links.values() if link.repository.org == org], at
        assert not [place for place in world.table._manifests if place[0].org == org], at
        assert not [r for r in world.table._references if r[1].org == org and r[0].startswith("copy/")], at
        assert not [each for each in world.table._repositories if each.org == org]
    assert seen.keys() == {JobState.FAILED, JobState.SUCCEEDED}


def test_in_a_destination_that_is_gone_no_more_than_what_was_begun_is_made() -> None:
    world = CopyWorld()
    world.image("large", "v1", layers=[b"layer %d" % number for number in range(300)])
    job, put_link = world.ask(), world.table.put_link
    linked: list[int] = []

    def removing(*arguments: Any, **named: Any) -> None:
        put_link(*arguments, **named)
        linked.append(1)
        if len(linked) == 1:
            world.administration.remove_organisation("prod", force=True)

    world.table.put_link = removing  # type: ignore[method-assign]
    done = world.run(job)
    assert (done.state, "was deleted" in str(done.reason)) == (JobState.FAILED, True)
    assert len(linked) <= 64
    assert world.manifests(NEAR) == set()


def test_events_twice_at_once_are_one_copy() -> None:
    for _ in range(5):
        world, job = prepared(CASES["two stores"])
        with ThreadPoolExecutor(4) as pool:
            runs = [pool.submit(world.worker().run, job.id, always) for _ in range(4)]
        outcomes = [each.result() for each in runs]
        assert outcomes.count(Outcome.FINISHED) == 1
        assert {*outcomes} <= {Outcome.FINISHED, Outcome.BUSY, Outcome.ABSENT}
        assert world.job(job).state is JobState.SUCCEEDED
        assert world.problems() == []


def test_many_copies_at_once_some_of_the_same_image_lose_nothing() -> None:
    world = CopyWorld()
    digests = [world.image(f"a{number}", f"v{number}", layers=[b"shared" * 30]) for number in range(10)]
    jobs = [
        world.ask(f"app:v{number % 10}", to, destinationTag=f"t{number}")
        for number in range(60)
        for to in (NEAR, FAR)
    ]
    errors: list[BaseException] = []

    def work(mine: list[CopyJob]) -> None:
        for job in mine:
            while world.job(job).state.is_open:
                try:
                    world.worker().run(job.id, always)
                except Unavailable as failure:
                    assert isinstance(failure, WriteConflict)  # noqa: PT017 - anything else is collected
                except BaseException as error:  # noqa: BLE001 - the thread has nobody to tell
                    errors.append(error)
                    return

    threads = [threading.Thread(target=work, args=(jobs[start::6],)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {world.job(job).state for job in jobs} == {JobState.SUCCEEDED}
    for number in range(60):
        assert world.tag(NEAR, f"t{number}") == world.tag(FAR, f"t{number}") == digests[number % 10]
    assert world.problems(undisturbed=False) == []
