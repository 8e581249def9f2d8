"""Workers that are killed in the middle of a copy: the next one goes on, and ends as if nothing had happened."""

import os
import signal
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.local.copies import Desk, Pusher, messages, noise, owner, problems
from tests.running_cloud import RunningCloud

MANIFESTS, TAGS, LAYERS = 200, 110, 40
ATTEMPTS = 5


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    cloud = RunningCloud(tmp_path_factory.mktemp("kills") / "state")
    try:
        yield cloud.await_ready()
    finally:
        assert cloud.stop() == 0


@pytest.fixture(scope="module")
def desk(cloud):
    return Desk(cloud, prod="default", elsewhere="second")


def workers(cloud):
    """Processes of the cloud that run the function."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == cloud.process.pid and b"/functions/copy_worker" in command:
            found.append(int(folder.name))
    return found


@contextmanager
def stopped_when(cloud, job_id, holds):
    """The worker's process, stopped as soon as the row of the job shows what is waited for; None if the job has
    gone on or ended until it is.
    """
    with owner(cloud) as (table, _):

        def row():
            return table.find_job(job_id, datetime.now(UTC))

        while (job := row()).state.is_open and not holds(job):
            time.sleep(0.001)
        pids = workers(cloud)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        # A request that is under way is answered.
        time.sleep(0.3)
        try:
            yield pids[0] if len(pids) == 1 and holds(row()) else None
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


POINTS = {
    "taken": lambda job: job.rounds == 1 and job.progress.manifests_total == 0,
    "manifests": lambda job: 1 < job.progress.manifests < job.progress.manifests_total,
    "copying": lambda job: bool(job.copying),
    "moving": lambda job: job.moving and job.progress.position > 0,
    "between images": lambda job: 0 < job.progress.position < job.order.items and not job.moving,
}
WISHES = {
    "taken": ("index:v1", "prod", {}),
    "manifests": ("index:v1", "prod", {}),
    "copying": ("layers:v1", "elsewhere", {}),
    "moving": ("tags", "prod", {"allTags": True}),
    "between images": ("tags", "elsewhere", {"allTags": True}),
}


@pytest.fixture(scope="module")
def pushed(cloud):
    """What is copied: an index of many manifests, an image of many layers, and many tags."""
    index = Pusher(cloud, "demo/index")
    shared = index.blob(noise("index", 1000))
    children = [
        index.manifest({"config": shared, "layers": [], "annotations": {"number": str(number)}})
        for number in range(MANIFESTS)
    ]
    listed = index.index(children, "v1")["digest"]
    layers = Pusher(cloud, "demo/layers").image(
        *(noise(f"layer {number}", 500_000) for number in range(LAYERS)), tag="v1"
    )["digest"]
    return {
        "index": {"v1": listed},
        "layers": {"v1": layers},
        "tags": Pusher(cloud, "demo/tags").many(TAGS, "t"),
    }


def killed(cloud, desk, point):
    """The job whose worker was killed at that point, and where to its image goes."""
    reference, to, wish = WISHES[point]
    for attempt in range(ATTEMPTS):
        name = f"{point.replace(' ', '-')}-{attempt}"
        job = desk.copy(reference, to, destinationName=name, **wish)
        with stopped_when(cloud, job["id"], POINTS[point]) as pid:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                return job["id"], f"{to}/{name}"
        # It was faster than this test: once more.
        desk.succeeded(job["id"])
    raise AssertionError(f"no worker was met at the point {point!r}")


def test_worker_that_is_killed_at_any_point_is_followed_by_another(cloud, desk, pushed):
    jobs = {}
    for point in POINTS:
        jobs[point] = killed(cloud, desk, point)
        state = desk.job(jobs[point][0])
        print(f"killed at {point!r}: {state['progress']}")
        assert state["state"] == "running"
    for point, (job_id, repository) in jobs.items():
        # By the queue alone, when nobody keeps its message any more: two minutes after the last report.
        desk.succeeded(job_id)
        org, _, _ = repository.partition("/")
        there = Pusher(cloud, repository, desk.logins[org])
        source = WISHES[point][0].partition(":")[0]
        assert {tag: there.digest(tag) for tag in pushed[source]} == pushed[source], point
    with owner(cloud) as (table, _):
        rounds = {
            point: table.find_job(job_id, datetime.now(UTC)).rounds for point, (job_id, _) in jobs.items()
        }
    # Where the machine is slow, a slice may have ended as well.
    assert min(rounds.values()) >= 2
    assert messages(cloud)[1] == 0
    assert problems(cloud) == []
