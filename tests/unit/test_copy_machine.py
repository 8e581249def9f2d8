"""Pushes, deletes, changes of rights, requests, slices, deaths, cancellations and repeated events, in any order."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from moorage.domain.digests import Digest
from moorage.domain.errors import Conflict, Denied, InvalidInput, NotFound, WriteConflict
from moorage.domain.jobs import CopyJob, JobState
from moorage.domain.names import Repository
from moorage.services.copying import CopyLimits, Outcome
from tests.unit.copy_lives import Life, Point, lived
from tests.unit.copy_world import FAR, NEAR, SOURCE, CopyWorld, always, never

NAMES = st.sampled_from(["a", "b", "c"])
TAGS = st.sampled_from(["v1", "v2", "w1"])
TO = st.sampled_from([NEAR, FAR])
TIME = st.sampled_from([always, never])
ORGS = {"demo": "pull", "prod": "create", "remote": "create"}
LIMITS = CopyLimits(single_copy_max=100, part_size=50, max_rounds=60)


class Copies(RuleBasedStateMachine):
    jobs: Bundle[CopyJob] = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.world = CopyWorld(limits=LIMITS)
        self.granted = dict.fromkeys(ORGS, True)
        self.asked: list[CopyJob] = []
        self.ended: dict[str, JobState] = {}

    @initialize(signed=st.booleans())
    def begin(self, signed: bool) -> None:
        self.push_index("v1", signed)
        self.push("c", "v2", SOURCE)
        self.push("b", "w1", SOURCE)

    # ------------------------------------------------------------------ what people do
    @rule(target=jobs, to=TO, replace=st.booleans(), pattern=st.booleans())
    def ask_for_what_is_there(self, to: Repository, replace: bool, pattern: bool) -> Any:
        for org, granted in self.granted.items():
            if not granted:
                self.revoke_or_grant(org)
        self.push("a", "v1", SOURCE)
        return self.ask(to, "v1", True, replace, None, "*" if pattern else None, None)

    @rule(name=NAMES, tag=TAGS, repository=st.sampled_from([SOURCE, SOURCE, NEAR, FAR]))
    def push(self, name: str, tag: str, repository: Repository) -> None:
        self.world.image(name, tag, repository=repository, layers=[b"shared" * 30])

    @rule(tag=TAGS, signed=st.booleans())
    def push_index(self, tag: str, signed: bool) -> None:
        children = [self.world.image(name) for name in ("a", "b")]
        index = self.world.index(*children, tags=[tag])
        if signed:
            self.world.image("sbom", subject=self.world.descriptor(index))
            self.world.image("signature", f"sha256-{index.encoded}.sig")

    @rule(place=st.integers(0, 10))
    def delete_manifest(self, place: int) -> None:
        digests = sorted(self.world.manifests(SOURCE))
        users = [digest for digest in digests if not self.world.table.users_of(SOURCE, digest)]
        if users:
            self.world.table.delete_manifest(SOURCE, users[place % len(users)])

    @rule(tag=TAGS)
    def delete_tag(self, tag: str) -> None:
        self.world.table.delete_tag(SOURCE, tag)

    @rule(org=st.sampled_from(sorted(ORGS)))
    def revoke_or_grant(self, org: str) -> None:
        if self.granted[org]:
            self.world.revoke(org)
        else:
            self.world.grant(org, ORGS[org])
        self.granted[org] = not self.granted[org]

    @rule(
        target=jobs,
        to=TO,
        tag=TAGS,
        referrers=st.booleans(),
        replace=st.booleans(),
        as_tag=st.none() | TAGS,
        pattern=st.none() | st.sampled_from(["*", "v*"]),
        key=st.none() | st.sampled_from(["once", "twice"]),
    )
    def ask(
        self,
        to: Repository,
        tag: str,
        referrers: bool,
        replace: bool,
        as_tag: str | None,
        pattern: str | None,
        key: str | None,
    ) -> Any:
        more: dict[str, Any] = {"referrers": referrers, "replaceTag": replace}
        more |= {"tagPattern": pattern} if pattern else {"destinationTag": as_tag}
        try:
            job = self.world.ask("app" if pattern else f"app:{tag}", to, key=key, **more)
        except (Denied, NotFound, Conflict, InvalidInput):
            return multiple()
        self.asked.append(job)
        return job

    @rule(job=jobs)
    def cancel(self, job: CopyJob) -> None:
        with suppress(Conflict, WriteConflict):
            self.world.table.cancel_job(job.id, self.world.clock())
        self.note_end(job)

    # ------------------------------------------------------------------ what workers do
    @rule(job=jobs, has_time=TIME)
    def work(self, job: CopyJob, has_time: Any) -> None:
        self.deliver(job, has_time)

    @rule(job=jobs)
    def deliver_twice(self, job: CopyJob) -> None:
        self.deliver(job, always)
        self.deliver(job, always)

    @rule(job=jobs, ordinal=st.integers(1, 80), after=st.booleans(), has_time=TIME)
    def die(self, job: CopyJob, ordinal: int, after: bool, has_time: Any) -> None:
        with lived(self.world, Life(Point(None, ordinal, after))):
            self.world.worker().run(job.id, has_time)
        self.note_end(job)

    @rule(job=jobs)
    def redrive(self, job: CopyJob) -> None:
        self.world.let_leases_end()
        self.deliver(job, always)
        assert not self.world.job(job).state.is_open

    def deliver(self, job: CopyJob, has_time: Any) -> None:
        before = self.world.job(job)
        tags = self.destination_tags(job)
        outcome = self.world.worker().run(job.id, has_time)
        after = self.world.job(job)
        if not before.state.is_open:
            # After its end a job moves no tag and does not change any more.
            assert outcome is Outcome.ABSENT
            assert (self.destination_tags(job), after) == (tags, before)
        elif after.state is JobState.SUCCEEDED:
            self.check_success(after, just_moved=not before.is_complete)
        elif after.state is JobState.FAILED:
            assert after.reason
        self.note_end(job)

    def check_success(self, job: CopyJob, *, just_moved: bool) -> None:
        """A job that had nothing left to do but to say so may have been followed by another one: its tags need
        not stand where it has put them.
        """
        place = 0
        while items := self.world.table.copy_items(job, place):
            place += len(items)
            for item in items:
                digest = item.digest
                if item.tag is not None and just_moved:
                    assert self.world.tag(job.order.destination, item.tag) == digest
                assert not just_moved or digest in self.world.manifests(job.order.destination)
        assert place == job.order.items == job.progress.position

    def note_end(self, job: CopyJob) -> None:
        state = self.world.job(job).state
        if not state.is_open:
            assert self.ended.setdefault(job.id, state) is state

    def destination_tags(self, job: CopyJob) -> dict[str, Digest | None]:
        to = job.order.destination
        return {tag: self.world.tag(to, tag) for tag in self.world.tags(to)}

    # ------------------------------------------------------------------ what always holds
    @invariant()
    def everything_is_whole(self) -> None:
        assert self.world.problems(undisturbed=False) == []

    @invariant()
    def nothing_lies_around_that_no_job_knows_of(self) -> None:
        unrecorded = {key for key in self.world.copies() if self.world.table.find_object(key) is None}
        known = {key for job in self.asked for key in self.world.job(job).copying}
        assert unrecorded <= known

    @invariant()
    def progress_is_never_more_than_there_is(self) -> None:
        for job in self.asked:
            progress = self.world.job(job).progress
            assert progress.manifests <= progress.manifests_total
            assert progress.size <= progress.size_total

    def teardown(self) -> None:
        """In the end every job comes to an end, and leaves nothing behind."""
        self.world.let_leases_end()
        for job in self.asked:
            self.deliver(job, always)
            assert not self.world.job(job).state.is_open
        assert self.world.problems(undisturbed=False) == []
        assert not [key for key in self.world.copies() if self.world.table.find_object(key) is None]


Copies.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestCopies = Copies.TestCase
