"""Copies while events come late, twice, out of order, or not at all."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from moorage.bootstrap import sweeper
from moorage.domain.jobs import OVERDUE
from tests.local.copies import OPEN, SEEN, Desk, Pusher, messages, owner, problems, until
from tests.running_cloud import RunningCloud

DELAY_SECONDS = 3
COPIES = 24
LATER = OVERDUE + timedelta(minutes=1)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    disturbed = f"delay={DELAY_SECONDS},duplicate=0.5,reorder,drop=0.4,seed=7"
    cloud = RunningCloud(tmp_path_factory.mktemp("disturbed") / "state", S3_EVENTS=disturbed)
    try:
        yield cloud.await_ready()
    finally:
        assert cloud.stop() == 0


@pytest.fixture(scope="module")
def desk(cloud):
    return Desk(cloud, prod="default", elsewhere="second", short="default")


def redrive(cloud, after=timedelta()):
    """What the sweeper does after so long; how many jobs it begins again."""
    with owner(cloud) as (table, stores):
        redriving = sweeper.assemble_redriving(table, stores, lambda: datetime.now(UTC) + after)
        return redriving.redrive()


def unheard_of(cloud, desk, jobs):
    """The jobs that have not begun when no event is on its way any more. One that has will end."""
    time.sleep(DELAY_SECONDS + 2)
    until(lambda: messages(cloud, SEEN) == (0, 0))
    states = {job_id: desk.job(job_id)["state"] for _, job_id in jobs.values()}
    return [job_id for job_id, state in states.items() if state == "queued"]


def test_every_copy_is_made_whatever_becomes_of_its_events(cloud, desk):
    pusher = Pusher(cloud, "demo/app")
    digests = pusher.many(COPIES, "app")
    jobs = {}
    for number, tag in enumerate(digests):
        to = ("prod", "elsewhere")[number % 2]
        jobs[tag] = to, desk.copy(f"app:{tag}", to)["id"]

    lost = unheard_of(cloud, desk, jobs)
    assert 0 < len(lost) < COPIES
    # As long as nobody needs to worry, nothing is begun again.
    assert redrive(cloud) == 0
    assert unheard_of(cloud, desk, jobs) == lost
    rounds = 0
    while unheard_of(cloud, desk, jobs):
        assert redrive(cloud, LATER) > 0
        rounds += 1
    print(f"{len(lost)} of {COPIES} events were lost; {rounds} sweeps began all of the jobs again")
    for tag, (to, job_id) in jobs.items():
        desk.succeeded(job_id)
        assert Pusher(cloud, f"{to}/app", desk.logins[to]).digest(tag) == digests[tag]
    assert problems(cloud) == []


def test_a_request_that_is_repeated_replaces_a_lost_event(cloud, desk):
    """For as long as it takes: each document may be lost again."""
    pusher = Pusher(cloud, "demo/repeated")
    digest = pusher.image(b"repeated", tag="v1")["digest"]
    same = {"Idempotency-Key": "repeated-once"}
    found = set()

    def made():
        answer = desk.ask("POST", "/org/demo/image/repeated:v1/-copy", {"destinationOrg": "prod"}, **same)
        assert answer.status == 202, answer.data
        found.add(answer.json()["id"])
        time.sleep(DELAY_SECONDS)
        return answer.json()["state"] == "succeeded"

    until(made)
    assert len(found) == 1
    assert Pusher(cloud, "prod/repeated", desk.logins["prod"]).digest("v1") == digest


def test_rights_that_are_lost_between_request_and_event_end_the_job(cloud, desk):
    Pusher(cloud, "demo/late").image(b"late", tag="v1")
    job = desk.copy("late:v1", "short")
    assert desk.ask("DELETE", "/org/short/policy/copies-from-demo", org="short").status == 204
    assert desk.job(job["id"])["state"] == "queued"
    while desk.job(job["id"])["state"] in OPEN:
        redrive(cloud, LATER)
        time.sleep(DELAY_SECONDS + 2)
    failed = desk.job(job["id"])
    assert failed["state"] == "failed"
    assert "create" in failed["reason"]
    assert Pusher(cloud, "short/late", desk.logins["short"]).digest("v1") is None


def test_what_was_lost_at_a_stop_goes_on_at_the_next_start(tmp_path):
    first = RunningCloud(tmp_path / "state", S3_EVENTS="drop=1")
    try:
        desk = Desk(first.await_ready(), prod="default")
        digest = Pusher(first, "demo/stopped").image(b"stopped", tag="v1")["digest"]
        job = desk.copy("stopped:v1", "prod")
    finally:
        assert first.stop() == 0
    second = RunningCloud(tmp_path / "state", first.port)
    try:
        second.await_ready()
        desk.succeeded(job["id"])
        assert Pusher(second, "prod/stopped", desk.logins["prod"]).digest("v1") == digest
    finally:
        assert second.stop() == 0
    # Of a job that has ended, the third start says nothing.
    third = RunningCloud(tmp_path / "state", first.port)
    try:
        third.await_ready()
        time.sleep(DELAY_SECONDS)
        assert messages(third) == (0, 0)
        assert desk.job(job["id"])["state"] == "succeeded"
    finally:
        assert third.stop() == 0
