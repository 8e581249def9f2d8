"""Uploads past the API through the whole local cloud, while S3's events come late, twice, in another order or never."""

import hashlib
import random
import threading
import time

import pytest

from tests.local.registry import MANIFEST, Registry
from tests.running_cloud import RunningCloud

CONTAINERD = {"User-Agent": "containerd/1.7.24"}
# More than a request hashes.
LARGE = random.Random(7).randbytes(66 * 1024**2)


def noise(seed, size=300_000):
    return random.Random(seed).randbytes(size)


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def begin(registry, repository):
    """The address of a direct upload."""
    opened = registry.request("POST", repository, "blobs/uploads/", **CONTAINERD)
    assert opened.status == 202
    location = opened.headers["Location"]
    assert f"/v2/{repository}/blobs/uploads/_direct/" in location
    return location


def put(registry, location, content, digest=None):
    url = f"{registry.url}{location}?digest={digest or digest_of(content)}"
    return registry.http.request("PUT", url, body=content, headers=CONTAINERD)


def upload(registry, repository, content):
    answer = put(registry, begin(registry, repository), content)
    assert (answer.status, answer.data) == (201, b"")
    assert answer.headers["Docker-Content-Digest"] == digest_of(content)


def name(registry, repository, tag, *contents):
    """Push a manifest of these blobs; the answer."""
    described = [{"mediaType": "x/y", "digest": digest_of(each), "size": len(each)} for each in contents]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
    headers = {"Content-Type": MANIFEST}
    return registry.http.request(
        "PUT",
        f"{registry.url}/v2/{repository}/manifests/{tag}",
        json=manifest,
        headers={"Authorization": f"Bearer {registry.token(repository)}", **headers},
    )


def await_blob(registry, repository, content):
    deadline = time.monotonic() + 30
    while (answer := registry.request("HEAD", repository, f"blobs/{digest_of(content)}")).status != 200:
        assert answer.status in {404, 503}
        assert time.monotonic() < deadline
        time.sleep(0.2)


def await_log(cloud, function, text):
    log = cloud.state / "logs" / f"{function}.log"
    deadline = time.monotonic() + 30
    while text not in log.read_text("utf-8"):
        assert time.monotonic() < deadline, f"{text} is not in {log}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    clouds = []

    def run(**settings):
        cloud = RunningCloud(tmp_path_factory.mktemp("cloud") / "state", **settings)
        clouds.append(cloud)
        return cloud

    yield run
    for cloud in clouds:
        cloud.stop()


@pytest.fixture(scope="module")
def silent(running):
    """No event ever comes."""
    return running(S3_EVENTS="drop=1")


@pytest.fixture(scope="module")
def careless(running):
    """CloudFront loses the checksum on the way to S3, and events come late, twice, and in another order."""
    return running(S3_EVENTS="delay=0.5,duplicate=1,reorder,seed=3", DROP_CHECKSUM="1")


@pytest.fixture(scope="module")
def without_events(silent):
    return Registry(silent.await_ready())


@pytest.fixture(scope="module")
def without_checksums(careless):
    return Registry(careless.await_ready())


def test_manifest_that_no_event_precedes_settles_its_blobs_itself(without_events, careless):
    blobs = [noise(f"layer {number}") for number in range(12)]
    for blob in blobs:
        upload(without_events, "demo/settled", blob)
    assert name(without_events, "demo/settled", "v1", *blobs).status == 201
    assert without_events.pull("demo/settled", "v1")[1] == blobs[1]


def test_two_puts_at_once_and_one_after_the_commit_are_the_same_upload(without_events):
    content = noise("twice", 3_000_000)
    location = begin(without_events, "demo/twice")
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(put(without_events, location, content).status))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [201, 201]
    assert name(without_events, "demo/twice", "v1", content, content).status == 201
    assert put(without_events, location, content).status == 201
    assert put(without_events, location, content[:-1], digest_of(content)).status == 400
    assert without_events.pull("demo/twice", "v1")[1] == content


def test_blob_of_one_repository_is_none_of_another(without_events):
    content = noise("mine")
    upload(without_events, "demo/mine", content)
    for _ in range(2):
        refused = name(without_events, "demo/theirs", "v1", content)
        assert refused.status == 400
        assert refused.json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"
        # After the first time it is settled where it belongs; that changes nothing.
        assert name(without_events, "demo/mine", "v1", content).status == 201


def test_cancelled_upload_brings_nothing(without_events):
    content = noise("cancelled")
    location = begin(without_events, "demo/cancelled")
    session = location.split("/")[-2]
    assert without_events.request("DELETE", "demo/cancelled", f"blobs/uploads/{session}").status == 204
    # The edge knows nothing of sessions; S3 stores it.
    assert put(without_events, location, content).status == 201
    assert name(without_events, "demo/cancelled", "v1", content).status == 400


def test_content_without_a_checksum_is_hashed_before_it_is_a_blob(without_checksums):
    content, wrong = noise("unproved"), noise("wrong")
    upload(without_checksums, "demo/hashed", content)
    answer = put(without_checksums, begin(without_checksums, "demo/hashed"), noise("other"), digest_of(wrong))
    assert answer.status == 201
    assert name(without_checksums, "demo/hashed", "v1", content, content).status == 201
    assert name(without_checksums, "demo/hashed", "v2", content, wrong).status == 400
    assert without_checksums.pull("demo/hashed", "v1")[1] == content


def test_content_without_a_checksum_that_is_long_waits_for_the_finalizer(without_checksums):
    upload(without_checksums, "demo/long", LARGE)
    waiting = name(without_checksums, "demo/long", "v1", LARGE, LARGE)
    assert waiting.status == 503
    assert int(waiting.headers["Retry-After"]) > 0
    # On a busy machine the finalizer may be done by now.
    assert without_checksums.request("GET", "demo/long", f"blobs/{digest_of(LARGE)}").status in (503, 307)
    await_blob(without_checksums, "demo/long", LARGE)
    assert name(without_checksums, "demo/long", "v1", LARGE, LARGE).status == 201
    assert without_checksums.pull("demo/long", "v1")[1] == LARGE


def test_wrong_content_is_removed_by_its_event_and_can_be_uploaded_anew(careless, without_checksums):
    content = noise("right at last")
    assert (
        put(without_checksums, begin(without_checksums, "demo/anew"), b"x", digest_of(content)).status == 201
    )
    await_log(careless, "UploadFinalizerFunction", '"outcome":"mismatched"')
    assert without_checksums.request("HEAD", "demo/anew", f"blobs/{digest_of(content)}").status == 404
    upload(without_checksums, "demo/anew", content)
    assert name(without_checksums, "demo/anew", "v1", content).status == 201
