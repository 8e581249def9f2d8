"""An organisation that lives in the second store of a local cloud: every way in, and the way out."""

import base64
import hashlib
import json
import random
import time
from urllib.parse import urlsplit

import pytest

from local import service
from tests import journal
from tests.clients import bucket
from tests.local.accounts import superuser
from tests.local.registry import MANIFEST, Registry
from tests.running_cloud import ROOT, RunningCloud

MIB = 1024 * 1024
ORG = "elsewhere"
# A client that sends a layer as one PATCH, and one that sends it as one PUT.
PATCHES = {"User-Agent": "docker/27.5.1 go/go1.22.11 kernel/6.1.0 os/linux arch/amd64"}
PUTS = {"User-Agent": "containerd/1.7.24"}
WITHIN_SECONDS = 60


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """Whose own organisation is pulled through the front door."""
    state = tmp_path_factory.mktemp("stores") / "state"
    cloud = RunningCloud(state, INGEST="on", PULLS="edge", TRAFFIC="1")
    try:
        yield cloud.await_ready()
    finally:
        assert cloud.stop() == 0


@pytest.fixture(scope="module")
def registry(cloud):
    return Registry(cloud, login=superuser(cloud, ORG, "second"))


def noise(seed, size):
    return random.Random(seed).randbytes(size)


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def begin(registry, repository, **client):
    opened = registry.request("POST", repository, "blobs/uploads/", **client)
    assert opened.status == 202, opened.data
    return opened.headers["Location"]


def close(registry, repository, location, content):
    url = f"{registry.url}{location}?digest={digest_of(content)}"
    return registry.http.request(
        "PUT", url, headers={"Authorization": f"Bearer {registry.token(repository)}"}
    )


def name(registry, repository, tag, *contents, **more):
    """Push a manifest of these blobs; the answer."""
    described = [{"mediaType": "x/y", "digest": digest_of(each), "size": len(each)} for each in contents]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described[0],
        "layers": described[1:],
        **more,
    }
    body, headers = json.dumps(manifest).encode(), {"Content-Type": MANIFEST}
    return registry.request("PUT", repository, f"manifests/{tag}", body, **headers)


def pulled(cloud, registry, repository, content, store="second"):
    """Whether a blob is pulled with a presigned URL of the bucket of that store."""
    redirect = registry.request("GET", repository, f"blobs/{digest_of(content)}")
    assert redirect.status == 307, redirect.data
    location = urlsplit(redirect.headers["Location"])
    assert location.path.startswith(f"/{bucket.name(cloud.state, store)}/")
    assert "X-Amz-Signature" in location.query
    answer = registry.http.request("GET", redirect.headers["Location"])
    assert answer.status == 200
    return answer.data == content


def lies(cloud, content, way):
    """How many objects there are of a digest in the key, in either bucket."""
    found = [bucket.keys(cloud.state, f"{way}/", store) for store in (bucket.DEFAULT, bucket.SECOND)]
    return tuple(sum(hashlib.sha256(content).hexdigest() in key for key in keys) for keys in found)


def until(holds):
    deadline = time.monotonic() + WITHIN_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def finalized(cloud):
    """The lines of the finalizer about the second store."""
    log = cloud.state / "logs" / "UploadFinalizerFunction.log"
    return [line for line in journal.entries(log) if line.get("store") == "second"]


def test_layer_that_is_streamed_goes_to_the_store_of_its_organisation(cloud, registry):
    repository, content = f"{ORG}/streamed", noise("streamed", 20 * MIB + 7)
    location = begin(registry, repository, **PATCHES)
    assert f"/v2/{repository}/blobs/uploads/_stream/second/" in location
    repository_id, session = location.split("/")[-3:-1]
    received = registry.http.request("PATCH", f"{registry.url}{location}", body=content, headers=PATCHES)
    assert (received.status, received.headers["Range"]) == (202, f"0-{len(content) - 1}")
    assert close(registry, repository, received.headers["Location"], content).status == 201
    assert name(registry, repository, "v1", content, content).status == 201
    assert registry.request("HEAD", repository, "manifests/v1").status == 200
    assert pulled(cloud, registry, repository, content)
    prefix = f"stream/{session[:2]}/{repository_id}/{session}/"
    assert [len(bucket.keys(cloud.state, prefix, store)) for store in (bucket.DEFAULT, bucket.SECOND)] == [
        0,
        1,
    ]
    assert bucket.sizes(cloud.state, prefix, bucket.SECOND) == [len(content)]


def test_client_that_sends_one_put_is_not_sent_to_the_front_door(cloud, registry):
    repository, content = f"{ORG}/put", noise("put", 10 * MIB)
    location = begin(registry, repository, **PUTS)
    assert f"/v2/{repository}/blobs/uploads/_stream/second/" in location
    url = f"{registry.url}{location}?digest={digest_of(content)}"
    headers = {**PUTS, "Authorization": f"Bearer {registry.token(repository)}"}
    stored = registry.http.request("PUT", url, body=content, headers=headers)
    assert (stored.status, stored.headers["Docker-Content-Digest"]) == (201, digest_of(content))
    assert name(registry, repository, "v1", content).status == 201
    assert pulled(cloud, registry, repository, content)


def test_signed_path_leads_to_no_other_store(cloud, registry):
    location = begin(registry, f"{ORG}/forged", **PATCHES)
    session = location.split("/")[-2]
    for other in ("", "default/", "third/"):
        moved = location.replace("/_stream/second/", f"/_stream/{other}")
        answer = registry.http.request("PATCH", f"{registry.url}{moved}", body=b"x", headers=PATCHES)
        assert (answer.status, answer.json()["errors"][0]["code"]) == (404, "BLOB_UPLOAD_UNKNOWN")
    for store in (bucket.DEFAULT, bucket.SECOND):
        assert not [key for key in bucket.keys(cloud.state, "stream/", store) if session in key]


def test_presigned_upload_is_linked_by_the_event_of_its_bucket(cloud, registry):
    repository, content = f"{ORG}/presigned", noise("presigned", 3 * MIB)
    before = len(finalized(cloud))
    asked = json.dumps({"digest": digest_of(content), "size": len(content)}).encode()
    begun = registry.request("POST", repository, "blobs/uploads/_presigned/", asked)
    assert begun.status == 201, begun.data
    put = begun.json()["put"]
    assert urlsplit(put["url"]).path.startswith(f"/{bucket.name(cloud.state, 'second')}/presigned/")
    assert (
        put["headers"]["x-amz-checksum-sha256"] == base64.b64encode(hashlib.sha256(content).digest()).decode()
    )
    headers = {key: value for key, value in put["headers"].items() if key.lower() != "content-length"}
    assert registry.http.request("PUT", put["url"], body=content, headers=headers).status == 200
    # Nobody has asked for it: what links it is the event.
    until(lambda: len(finalized(cloud)) > before)
    assert finalized(cloud)[-1]["outcome"] == "linked"
    assert name(registry, repository, "v1", content).status == 201
    assert pulled(cloud, registry, repository, content)
    assert lies(cloud, content, "presigned") == (0, 1)


def test_presigned_parts_are_joined_and_hashed_there(cloud, registry):
    repository, content = f"{ORG}/parts", noise("parts", 12 * MIB)
    asked = {"digest": digest_of(content), "size": len(content), "partSize": 5 * MIB}
    begun = registry.request("POST", repository, "blobs/uploads/_presigned/", json.dumps(asked).encode())
    assert begun.status == 201, begun.data
    for part in begun.json()["parts"]:
        assert f"/{bucket.name(cloud.state, 'second')}/" in part["url"]
        start = (part["number"] - 1) * asked["partSize"]
        body = content[start : start + part["size"]]
        assert registry.http.request("PUT", part["url"], body=body).status == 200
    assert len(bucket.unfinished(cloud.state, "second")) == 1
    upload = begun.json()["id"]
    completed = registry.request("POST", repository, f"blobs/uploads/_presigned/{upload}/complete")
    assert completed.status in {201, 202}, completed.data
    until(lambda: registry.request("HEAD", repository, f"blobs/{digest_of(content)}").status == 200)
    assert pulled(cloud, registry, repository, content)
    assert lies(cloud, content, "presigned") == (0, 1)
    assert bucket.unfinished(cloud.state, "second") == []


def test_chunks_and_large_manifests_lie_there_too(cloud, registry):
    repository, content = f"{ORG}/api", noise("api", 5 * MIB)
    half = len(content) // 2
    location = begin(registry, repository, **PATCHES)
    headers = {**PATCHES, "Authorization": f"Bearer {registry.token(repository)}"}
    headers["Content-Type"] = "application/octet-stream"
    for start in (0, half):
        chunk = content[start : start + half]
        ranged = {**headers, "Content-Range": f"{start}-{start + half - 1}"}
        answer = registry.http.request("PATCH", f"{registry.url}{location}", body=chunk, headers=ranged)
        assert answer.status == 202, answer.data
        location = answer.headers["Location"].removeprefix(registry.url)
    assert close(registry, repository, location, content).status == 201
    long = {"annotations": {"padding": "x" * 600_000}}
    assert name(registry, repository, "v1", content, **long).status == 201
    manifest = registry.request("GET", repository, "manifests/v1")
    assert (manifest.status, len(manifest.data) > 600_000) == (200, True)
    assert pulled(cloud, registry, repository, content)
    assert lies(cloud, content, "api") == (0, 1)
    for prefix in ("chunks/", "manifests/"):
        assert bucket.keys(cloud.state, prefix) == []
    assert len(bucket.keys(cloud.state, "manifests/", "second")) == 1


def test_organisation_of_the_default_store_goes_its_ways_as_before(cloud):
    registry, repository, content = Registry(cloud), "demo/here", noise("here", 9 * MIB)
    location = begin(registry, repository, **PATCHES)
    kid = location.partition("/_stream/")[2].partition("/")[0]
    assert kid[0] in "ab"
    assert kid[1:].isdecimal()
    received = registry.http.request("PATCH", f"{registry.url}{location}", body=content, headers=PATCHES)
    assert close(registry, repository, received.headers["Location"], content).status == 201
    assert "/_direct/" in begin(registry, repository, **PUTS)
    redirect = registry.request("GET", repository, f"blobs/{digest_of(content)}")
    assert urlsplit(redirect.headers["Location"]).path.startswith(f"/v2/{repository}/blobs/_edge/")
    assert (
        registry.http.request("GET", f"{registry.url}{urlsplit(redirect.headers['Location']).path}").data
        == content
    )


def test_what_functions_ask_of_either_bucket_is_counted(cloud):
    lines = journal.entries(cloud.state / "traffic" / service.S3_TRAFFIC)
    second = bucket.name(cloud.state, "second")
    put = [
        line for line in lines if line["path"].startswith(f"/{second}/presigned/") and line["method"] == "PUT"
    ]
    assert {line["request_bytes"] for line in put} == {3 * MIB, 5 * MIB, 2 * MIB}
    assert not [line for line in lines if "X-Amz" in json.dumps(line)]


def test_second_store_can_be_left_out_or_called_otherwise(tmp_path):
    assert "STORES" not in ingest_environment(service.declared(ROOT, "", ingest="on", second_store=""))
    named = service.declared(ROOT, "", ingest="on", second_store="far-away")
    stores = ingest_environment(named)["STORES"]
    assert stores == named.output("Stores") == "far-away=moorage-local-secondbucket"
    cloud = RunningCloud(tmp_path / "state", SECOND_STORE="default")
    assert cloud.process.wait(60) == 1
    assert "SecondStore cannot be 'default'" in cloud.log.read_text("utf-8")


def ingest_environment(stack):
    (revision,) = stack.of_kind("AWS::Lambda::WebFunctionRevision")
    return revision.properties["ServiceConfig"]["EnvironmentVariables"]
