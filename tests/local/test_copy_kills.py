"""Workers that are killed in the middle of a copy: the queue alone brings the next one, which goes on and ends as if
nothing had happened.
"""

from datetime import UTC, datetime

import pytest

from tests.local.copies import Desk, Pusher, job_row, messages, noise, owner, problems, until
from tests.local.killing import killed
from tests.running_cloud import RunningCloud

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]

MANIFESTS, TAGS, LAYERS = 200, 110, 40


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


def test_worker_that_is_killed_at_any_point_is_followed_by_another(cloud, desk, pushed):
    jobs = {}
    for point, (reference, to, wish) in WISHES.items():
        jobs[point] = killed(cloud, desk, reference, to, POINTS[point], **wish)
        state = desk.job(jobs[point][0])
        print(f"killed at {point!r}: {state['progress']}")
        assert state["state"] == "running"
    for point, (job_id, repository) in jobs.items():
        # By the queue alone, when nobody keeps its message any more: two and a half minutes after the last report.
        desk.succeeded(job_id)
        org, _, _ = repository.partition("/")
        there = Pusher(cloud, repository, desk.logins[org])
        source = WISHES[point][0].partition(":")[0]
        assert {tag: there.digest(tag) for tag in pushed[source]} == pushed[source], point
    # Where the machine is slow, a slice may have ended as well.
    assert min(job_row(cloud, job_id).rounds for job_id, _ in jobs.values()) >= 2
    assert messages(cloud)[1] == 0
    assert problems(cloud) == []


def test_a_copy_that_is_cancelled_while_it_runs_ends_and_leaves_nothing(cloud, desk):
    pusher = Pusher(cloud, "demo/cancelled")
    # Of layers that nobody has at the destination.
    pusher.image(*(noise(f"cancelled {number}", 500_000) for number in range(LAYERS)), tag="v1")
    job = desk.copy("cancelled:v1", "elsewhere")
    with owner(cloud) as (table, _):
        while not (standing := table.find_job(job["id"], datetime.now(UTC))).copying:
            assert standing.state.is_open, "it was faster than this test"
    cancelled = desk.ask("POST", f"/org/demo/job/{job['id']}/-cancel")
    assert (cancelled.status, cancelled.json()["state"]) == (200, "cancelled"), cancelled.data
    until(lambda: messages(cloud) == (0, 0))
    assert Pusher(cloud, "elsewhere/cancelled", desk.logins["elsewhere"]).digest("v1") is None
    # What was copied without being recorded yet is gone, too.
    assert problems(cloud) == []
