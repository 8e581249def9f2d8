"""Copies between organisations of a running local cloud: request, document, event, queue and worker."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from moorage.domain.jobs import DOCUMENT_PREFIX, document_key, new_job_id
from tests.clients import bucket
from tests.local.copies import (
    Desk,
    Pusher,
    connect,
    job_row,
    messages,
    neglect,
    noise,
    outcomes,
    problems,
    put_document,
    rows,
    s3_requests,
    until,
)
from tests.local.killing import killed
from tests.running_cloud import RunningCloud

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    cloud = RunningCloud(tmp_path_factory.mktemp("copies") / "state", TRAFFIC="1")
    try:
        yield cloud.await_ready()
    finally:
        assert cloud.stop() == 0


@pytest.fixture(scope="module")
def desk(cloud):
    """`prod` shares its store with `demo`, `elsewhere` does not."""
    return Desk(cloud, prod="default", elsewhere="second")


@pytest.fixture
def asked(cloud):
    """What is asked of S3 from now on, but for documents of jobs."""
    before = len(s3_requests(cloud))

    def asked():
        return [each for each in s3_requests(cloud)[before:] if f"/{DOCUMENT_PREFIX}" not in each["path"]]

    return asked


def receiver(desk, org, repository):
    """Somebody who has rights in that organisation alone."""
    return Pusher(desk.cloud, f"{org}/{repository}", desk.logins[org])


def test_image_is_there_with_all_its_platforms_and_what_refers_to_it(cloud, desk, asked):
    pusher = Pusher(cloud, "demo/app")
    index, first, second, signature = pusher.platforms("v1", "app")
    before = len(asked())
    begun = time.monotonic()
    job = desk.succeeded(desk.copy("app:v1", "prod")["id"])
    print(f"from the request to succeeded: {time.monotonic() - begun:.2f} s")
    assert asked()[before:] == []
    assert job["progress"]["manifests"] == {"done": 4, "total": 4}
    assert (job["copiedBytes"], job["progress"]["tags"]) == (0, {"done": 1, "total": 1})
    there = receiver(desk, "prod", "app")
    assert there.digest("v1") == index
    assert {index, first, second} <= there.pulled(index)
    assert there.referrers(index) == [signature]
    assert signature in there.pulled(signature)
    # It is seen from both sides.
    assert desk.job(job["id"], "prod")["destination"]["org"] == "prod"


def test_second_copy_finds_all_done(cloud, desk, asked):
    Pusher(cloud, "demo/twice").platforms("v1", "twice")
    first = desk.succeeded(desk.copy("twice:v1", "prod")["id"])
    before = len(asked())
    second = desk.succeeded(desk.copy("twice:v1", "prod")["id"])
    assert second["id"] != first["id"]
    assert second["progress"] == first["progress"]
    assert asked()[before:] == []


def test_between_two_stores_that_is_copied_which_the_destination_lacks(cloud, desk, asked):
    pusher, size = Pusher(cloud, "demo/far"), 2 * MIB
    index, *_ = pusher.platforms("v1", "far", size)
    before = len(asked())
    first = desk.succeeded(desk.copy("far:v1", "elsewhere")["id"])
    copied = [each["Key"] for each in _objects(cloud, "copy/", "second")]
    assert first["copiedBytes"] == sum(bucket.sizes(cloud.state, "copy/", "second"))
    # Three layers of that size, and configs and a signature of a few bytes.
    assert 3 * size < first["copiedBytes"] < 3 * size + 1000
    # The store was asked to copy them, and no byte went through here: its own checksums are the digests.
    requests = asked()[before:]
    assert sorted(
        each["path"].partition("/copy/")[2] for each in requests if "copy_source" in each
    ) == sorted(key.removeprefix("copy/") for key in copied)
    assert {each["method"] for each in requests if "copy_source" not in each} <= {"HEAD"}
    assert receiver(desk, "elsewhere", "far").pulled(index) >= {index}
    # Another image on the same layers: what is new of it is copied.
    pusher.image(noise("far shared", size), b"one more layer", tag="v2")
    second = desk.succeeded(desk.copy("far:v2", "elsewhere")["id"])
    assert 0 < second["copiedBytes"] < 1000
    before = len(asked())
    third = desk.succeeded(desk.copy("far:v1", "elsewhere", destinationName="again")["id"])
    assert third["copiedBytes"] == 0
    assert [each for each in asked()[before:] if each["method"] != "GET"] == []
    assert receiver(desk, "elsewhere", "again").digest("v1") == index


def _objects(cloud, prefix, store):
    found = connect(cloud, "s3").list_objects_v2(Bucket=bucket.name(cloud.state, store), Prefix=prefix)
    return found.get("Contents", [])


def test_repository_is_copied_with_all_tags_or_those_that_match(cloud, desk):
    pusher = Pusher(cloud, "demo/many")
    tags = pusher.many(12, "many")
    job = desk.succeeded(desk.copy("many", "prod", tagPattern="v1?")["id"])
    assert job["progress"]["tags"] == {"done": 2, "total": 2}
    there = receiver(desk, "prod", "many")
    assert [there.digest(tag) for tag in ("v9", "v10", "v11")] == [None, tags["v10"], tags["v11"]]
    desk.succeeded(desk.copy("many", "prod", allTags=True)["id"])
    assert {tag: there.digest(tag) for tag in tags} == tags


def test_document_that_nobody_asked_for_grants_nothing(cloud, desk):
    Pusher(cloud, "demo/secret").image(b"secret", tag="v1")
    forged, before = new_job_id(), len(rows(cloud))
    order = {
        "requester": "/org/demo/serviceaccount/admin",
        "source": {"org": "demo", "repository": "secret", "tag": "v1"},
        "destination": {"org": "elsewhere", "repository": "stolen"},
    }
    put_document(cloud, document_key(forged), json.dumps({"job": forged, "order": order}).encode())
    until(lambda: (forged, "absent") in outcomes(cloud))
    # Names of which no job can be.
    for name in ("x.json", f"{forged}", f"{forged.upper()}.json", f"{forged}/{forged}.json", "a b+%c.json"):
        put_document(cloud, f"{DOCUMENT_PREFIX}{name}", b"{}")
    until(lambda: messages(cloud) == (0, 0))
    assert len(rows(cloud)) == before
    assert receiver(desk, "elsewhere", "stolen").digest("v1") is None


def test_document_that_was_altered_changes_nothing(cloud, desk):
    pusher = Pusher(cloud, "demo/kept")
    kept = pusher.image(b"kept", tag="v1")["digest"]
    job = desk.succeeded(desk.copy("kept:v1", "prod")["id"])
    pusher.image(b"another", tag="v1")
    other = json.dumps({"job": new_job_id(), "replace": True, "digest": pusher.digest("v1")}).encode()
    before = outcomes(cloud).count((job["id"], "absent"))
    for content in (other, b"", b"\xff not JSON"):
        put_document(cloud, document_key(job["id"]), content)
    until(lambda: outcomes(cloud).count((job["id"], "absent")) >= before + 3)
    assert receiver(desk, "prod", "kept").digest("v1") == kept
    assert desk.job(job["id"]) == job
    assert messages(cloud) == (0, 0)


AT_ONCE, IMAGES = 200, 20


@pytest.fixture(scope="module")
def crowd(cloud):
    """A repository of some images; their digests by tag."""
    return Pusher(cloud, "demo/crowd").many(IMAGES, "crowd")


@pytest.mark.timeout(900)
def test_many_copies_at_once_of_which_some_are_of_the_same_image(cloud, desk, crowd):
    def request(number):
        tag, to = f"v{number % IMAGES}", ("prod", "elsewhere")[number // IMAGES % 2]
        # Into a few repositories of either store, so that they meet there.
        wish = {"destinationName": f"crowd-{number % 3}", "destinationTag": f"{tag}-{number}"}
        copied = (f"{to}/{wish['destinationName']}", wish["destinationTag"], crowd[tag])
        return copied, desk.copy(f"crowd:{tag}", to, **wish)["id"]

    begun = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        requested = list(pool.map(request, range(AT_ONCE)))
    assert len({job_id for _, job_id in requested}) == AT_ONCE
    # Whoever asks for each of them all the time takes the time that they need.
    until(lambda: messages(cloud) == (0, 0), pause=0.5)
    for _, job_id in requested:
        desk.succeeded(job_id)
    print(f"{AT_ONCE} copies at once: {time.monotonic() - begun:.1f} s")
    there = {
        name: Pusher(cloud, name, desk.logins[name.partition("/")[0]])
        for name in {copied[0] for copied, _ in requested}
    }
    assert len(there) == 6
    wrong = [copied for copied, _ in requested if there[copied[0]].digest(copied[1]) != copied[2]]
    assert wrong == []


def test_nothing_is_wrong_after_all_that(cloud):
    until(lambda: messages(cloud) == (0, 0))
    assert problems(cloud) == []


def test_worker_that_is_killed_while_tags_move_is_followed_by_another(cloud, desk, crowd):
    job_id, repository = killed(cloud, desk, "crowd", "prod", lambda job: job.moving, allTags=True)
    assert desk.job(job_id)["state"] == "running"
    # Its message would come again by itself, in two and a half minutes.
    neglect(cloud, job_id)
    put_document(cloud, document_key(job_id), b"")
    desk.succeeded(job_id)
    assert job_row(cloud, job_id).rounds == 2
    there = receiver(desk, "prod", repository.partition("/")[2])
    assert {tag: there.digest(tag) for tag in crowd} == crowd
    assert problems(cloud) == []
