"""Copies while events come late, twice, out of order, or not at all."""

import json
import os
import time
from types import SimpleNamespace

import pytest

from local import schedules
from local.identities import Place
from moorage.bootstrap import sweeper
from moorage.domain.jobs import document_key, new_job_id
from tests.local.copies import (
    OPEN,
    SEEN,
    Desk,
    Pusher,
    job_row,
    messages,
    neglect,
    outcomes,
    owner,
    problems,
    put_document,
    rows,
    until,
)
from tests.running_cloud import RunningCloud

DELAY_SECONDS = 2
COPIES = 24
# So many that one of their events is nearly always lost.
TRIED = 8


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    disturbed = f"delay={DELAY_SECONDS},duplicate=0.5,reorder,drop=0.3,seed=7"
    cloud = RunningCloud(tmp_path_factory.mktemp("disturbed") / "state", S3_EVENTS=disturbed)
    try:
        yield cloud.await_ready()
    finally:
        assert cloud.stop() == 0


@pytest.fixture(scope="module")
def desk(cloud):
    return Desk(cloud, prod="default", elsewhere="second", short="default")


@pytest.fixture
def sweep(cloud, monkeypatch):
    """Calls the sweeper's handler as its schedule does; how many jobs that begins again."""

    def sweep():
        with owner(cloud):
            handle = sweeper.create(os.environ)
            place = Place("moorage-local", "us-east-1", "000000000000")
            return handle(schedules.event(place, "arn:aws:events:::rule/sweep"), CONTEXT)["jobs"]

    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    return sweep


CONTEXT = SimpleNamespace(
    function_name="sweeper",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:sweeper",
    aws_request_id="a-request",
    get_remaining_time_in_millis=lambda: 300_000,
)


def await_events(cloud):
    """Until none is on its way any more."""
    time.sleep(DELAY_SECONDS + 2.5)
    until(lambda: messages(cloud, SEEN) == (0, 0))


def unheard_of(cloud, desk, jobs):
    """The jobs that have not begun when no event is on its way any more. One that has will end."""
    await_events(cloud)
    return [job_id for job_id in jobs if desk.job(job_id)["state"] == "queued"]


def redriven(cloud, desk, sweep, *jobs):
    """How many sweeps it takes until none of the jobs waits for its event any more."""
    sweeps = 0
    while lost := unheard_of(cloud, desk, jobs):
        for job_id in lost:
            neglect(cloud, job_id)
        assert sweep() >= len(lost)
        sweeps += 1
    return sweeps


def test_every_copy_is_made_whatever_becomes_of_its_events(cloud, desk, sweep):
    digests = Pusher(cloud, "demo/app").many(COPIES, "app")
    jobs = {}
    for number, tag in enumerate(digests):
        to = ("prod", "elsewhere")[number % 2]
        jobs[tag] = to, desk.copy(f"app:{tag}", to)["id"]

    asked = [job_id for _, job_id in jobs.values()]
    lost = unheard_of(cloud, desk, asked)
    assert 0 < len(lost) < COPIES
    # As long as nobody needs to worry, nothing is begun again.
    assert sweep() == 0
    sweeps = redriven(cloud, desk, sweep, *asked)
    print(f"{len(lost)} of {COPIES} events were lost; {sweeps} sweeps began all of the jobs again")
    there = {to: Pusher(cloud, f"{to}/app", desk.logins[to]) for to in ("prod", "elsewhere")}
    for tag, (to, job_id) in jobs.items():
        desk.succeeded(job_id)
        assert there[to].digest(tag) == digests[tag]
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
        return answer.json()["state"] == "succeeded"

    until(made, pause=DELAY_SECONDS / 2)
    assert len(found) == 1
    assert Pusher(cloud, "prod/repeated", desk.logins["prod"]).digest("v1") == digest


def lost_copy(cloud, desk, reference, to):
    """The job of a copy whose event was lost, so that nobody begins it."""
    for attempt in range(10):
        names = [f"{reference.partition(':')[0]}-{attempt}-{number}" for number in range(TRIED)]
        jobs = {desk.copy(reference, to, destinationName=name)["id"] for name in names}
        if lost := unheard_of(cloud, desk, jobs):
            return desk.job(lost[0])
    raise AssertionError("no event was lost")


def test_a_document_that_is_altered_before_its_job_begins_changes_nothing(cloud, desk):
    pusher = Pusher(cloud, "demo/altered")
    asked = pusher.image(b"asked for", tag="v1")["digest"]
    job = lost_copy(cloud, desk, "altered:v1", "prod")
    pusher.image(b"another", tag="v1")
    order = {
        "requester": "/org/short/serviceaccount/admin",
        "source": {"org": "demo", "image": "altered", "tag": "v1"},
        "destination": {"org": "elsewhere", "image": "stolen", "tag": "v1"},
        "digest": pusher.digest("v1"),
        "replace": True,
    }
    altered = json.dumps({"job": new_job_id(), "order": order, **order}).encode()

    def begun():
        put_document(cloud, document_key(job["id"]), altered)
        time.sleep(DELAY_SECONDS)
        return desk.job(job["id"])["state"] != "queued"

    until(begun)
    done = desk.succeeded(job["id"])
    assert done["destination"] == job["destination"]
    there = Pusher(cloud, f"prod/{job['destination']['repository']}", desk.logins["prod"])
    assert there.digest("v1") == asked
    assert Pusher(cloud, "elsewhere/stolen", desk.logins["elsewhere"]).digest("v1") is None


def test_a_document_of_a_cancelled_job_does_not_begin_it(cloud, desk):
    Pusher(cloud, "demo/ended").image(b"ended", tag="v1")
    job = lost_copy(cloud, desk, "ended:v1", "prod")
    cancelled = desk.ask("POST", f"/org/demo/job/{job['id']}/-cancel")
    assert (cancelled.status, cancelled.json()["state"]) == (200, "cancelled"), cancelled.data
    state = job_row(cloud, job["id"])
    assert state.rounds == 0

    def told():
        put_document(cloud, document_key(job["id"]), b"{}")
        time.sleep(DELAY_SECONDS)
        return (job["id"], "absent") in outcomes(cloud)

    until(told)
    assert job_row(cloud, job["id"]) == state
    there = Pusher(cloud, f"prod/{job['destination']['repository']}", desk.logins["prod"])
    assert there.digest("v1") is None


def test_rights_that_are_lost_between_request_and_event_end_the_job(cloud, desk, sweep):
    Pusher(cloud, "demo/late").image(b"late", tag="v1")
    job = lost_copy(cloud, desk, "late:v1", "short")
    assert desk.ask("DELETE", "/org/short/policy/copies-from-demo", org="short").status == 204
    assert desk.job(job["id"])["state"] == "queued"
    redriven(cloud, desk, sweep, job["id"])
    failed = desk.ended(job["id"])
    assert failed["state"] == "failed"
    assert "create" in failed["reason"]
    there = Pusher(cloud, f"short/{job['destination']['repository']}", desk.logins["short"])
    assert there.digest("v1") is None


def jobs_by_id(cloud, *, ended):
    """The rows of jobs that have ended, or have not."""
    jobs = {row["id"]: row for row in rows(cloud) if row["type"] == "job"}
    return {job_id: row for job_id, row in jobs.items() if (row["state"] not in OPEN) is ended}


def test_what_was_lost_at_a_stop_goes_on_at_the_next_start(cloud, desk):
    digest = Pusher(cloud, "demo/stopped").image(b"stopped", tag="v1")["digest"]
    await_events(cloud)
    ended = jobs_by_id(cloud, ended=True)
    assert ended
    job = desk.copy("stopped:v1", "prod")
    assert cloud.stop() == 0
    again = RunningCloud(cloud.state, cloud.port)
    try:
        again.await_ready()
        desk.succeeded(job["id"])
        assert Pusher(again, "prod/stopped", desk.logins["prod"]).digest("v1") == digest
        # With it went those whose events had been lost before.
        until(lambda: not jobs_by_id(again, ended=False), pause=0.5)
        afterwards = jobs_by_id(again, ended=True)
        assert {job_id: afterwards[job_id] for job_id in ended} == ended
        assert problems(again) == []
    finally:
        assert again.stop() == 0
