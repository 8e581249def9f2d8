"""A copy on the deployed stack: the request, the document's event, the queue, and the worker, slice by slice."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.deploy import test_management as management
from tests.deploy.conftest import Registry
from tests.deploy.image import write_platforms
from tests.deploy.test_uploads import ask

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# More than a guard against functions that call themselves would let pass.
GENERATIONS = 20
WITHIN_SECONDS = 300.0


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Client:
    """Who pushes to and pulls from one repository."""

    def __init__(self, registry: Registry, key: str, repository: str) -> None:
        self.registry = registry
        self.repository = repository
        basic = base64.b64encode(f"<token>:{key}".encode()).decode()
        url = f"http://{registry.host}/token?scope={quote(f'repository:{repository}:pull,push')}"
        answer = ask(registry, "GET", url, {"Authorization": f"Basic {basic}"})
        self.headers = {"Authorization": f"Bearer {json.loads(answer.body)['token']}"}

    def blob(self, content: bytes) -> dict[str, Any]:
        path = f"blobs/uploads/?digest={digest_of(content)}"
        assert self._ask("POST", path, content, "application/octet-stream").status == 201
        return {"mediaType": "x/y", "digest": digest_of(content), "size": len(content)}

    def manifest(self, reference: str | None, media_type: str = MANIFEST, **content: Any) -> dict[str, Any]:
        body = json.dumps({"schemaVersion": 2, "mediaType": media_type, **content}).encode()
        put = self._ask("PUT", f"manifests/{reference or digest_of(body)}", body, media_type)
        assert put.status == 201, put
        return {"mediaType": media_type, "digest": digest_of(body), "size": len(body)}

    def read(self, path: str) -> Any:
        """The JSON of what is there; None if nothing is."""
        answer = self._ask("GET", path)
        assert answer.status in (200, 404), answer
        return json.loads(answer.body) if answer.status == 200 else None

    def _ask(self, method: str, path: str, body: bytes | None = None, media_type: str = "") -> Any:
        url = f"http://{self.registry.host}/v2/{self.repository}/{path}"
        headers = self.headers | ({"Content-Type": media_type} if media_type else {})
        return ask(self.registry, method, url, headers, body)


@pytest.fixture(scope="module")
def receiver(registry: Registry, admin: Callable[..., Any]) -> str:
    """The key of an account that may pull the images of another organisation, and nothing else anywhere. That
    organisation lets the pusher of `demo` create images.
    """
    admin("organisation", "create", "prod")
    admin("serviceaccount", "create", "prod", "admin", "--group", "superusers")
    admin("serviceaccount", "create", "prod", "puller")
    superuser: str = admin("key", "create", "prod", "admin", "laptop")["key"]
    policy = {
        "name": "copies-from-demo",
        "targetKind": "image",
        "target": "all",
        "bindings": [
            {"permissions": ["create"], "principalLinks": ["/org/demo/serviceaccount/pusher"]},
            {"permissions": ["pull"], "principalLinks": ["/org/prod/serviceaccount/puller"]},
        ],
    }
    status, made = management.ask(registry, "PUT", "/org/prod/policy", superuser, policy)
    assert status == 201, made
    key: str = admin("key", "create", "prod", "puller", "laptop")["key"]
    return key


def copied(registry: Registry, reference: str) -> Any:
    """The job of a copy to the other organisation, when it has ended."""
    path, wish = f"/org/demo/image/{reference}/-copy", {"destinationOrg": "prod"}
    status, job = management.ask(registry, "POST", path, registry.key, wish)
    assert status == 202, job
    deadline = time.monotonic() + WITHIN_SECONDS
    while job["state"] in ("queued", "running"):
        assert time.monotonic() < deadline, job
        time.sleep(0.2)
        status, job = management.ask(registry, "GET", f"/org/demo/job/{job['id']}", registry.key)
        assert status == 200, job
    return job


def contents(layout: Path) -> dict[str, bytes]:
    """What an OCI layout holds, by digest."""
    return {each.name: each.read_bytes() for each in (layout / "blobs" / "sha256").iterdir()}


def test_what_clients_push_and_attach_is_pulled_from_the_copy(
    registry: Registry, receiver: str, tmp_path: Path
) -> None:
    source, there = f"{registry.host}/demo/copied", f"{registry.host}/prod/copied"
    index = write_platforms(tmp_path / "pushed", "v1", ["amd64", "arm64"], 200_000, seed=10)
    login = f"--dest-creds=<token>:{registry.key}"
    layout = f"oci:{tmp_path / 'pushed'}:v1"
    registry.skopeo("copy", "--all", "--dest-tls-verify=false", login, layout, f"docker://{source}:v1")
    (tmp_path / "sbom.json").write_text('{"spdxVersion": "SPDX-2.3"}')
    attach = ("--artifact-type", "application/spdx+json", f"{source}:v1", "sbom.json:application/spdx+json")
    registry.oras("attach", registry.key, *attach, folder=tmp_path)
    job = copied(registry, "copied:v1")
    assert (job["state"], job["copiedBytes"]) == ("succeeded", 0), job
    assert job["progress"]["manifests"] == {"done": 4, "total": 4}

    login = f"--src-creds=<token>:{receiver}"
    pull = ("copy", "--all", "--preserve-digests", "--src-tls-verify=false", login)
    registry.skopeo(*pull, f"docker://{there}:v1", f"oci:{tmp_path / 'pulled'}:v1")
    # Index, two manifests, two configs and three layers, each by its digest.
    assert contents(tmp_path / "pulled") == contents(tmp_path / "pushed")
    assert len(contents(tmp_path / "pulled")) == 8
    (entry,) = json.loads((tmp_path / "pulled" / "index.json").read_text("utf-8"))["manifests"]
    assert entry["digest"] == index
    pulled, found = tmp_path / "sbom", []
    pulled.mkdir()
    for repository, key in ((source, registry.key), (there, receiver)):
        told = registry.oras("discover", key, "--format", "json", f"{repository}:v1", folder=pulled)
        (referrer,) = json.loads(told)["referrers"]
        found.append(referrer["digest"])
    assert found[0] == found[1]
    registry.oras("pull", receiver, f"{there}@{found[1]}", folder=pulled)
    assert (pulled / "sbom.json").read_bytes() == (tmp_path / "sbom.json").read_bytes()
    # Whoever pulled that may not pull where it came from.
    with pytest.raises(AssertionError, match=r"denied|unauthorized"):
        registry.skopeo(*pull, f"docker://{source}:v1", f"oci:{tmp_path / 'stolen'}:v1")


@pytest.fixture
def without_time(registry: Registry) -> Iterator[None]:
    """A worker whose slices are over when they have begun."""
    functions = registry.stack.client("lambda")
    name = registry.stack.resources()["CopyWorkerFunction"]
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def let(seconds: str) -> None:
        changed = {"Variables": variables | {"SLICE_SECONDS": seconds}}
        functions.update_function_configuration(FunctionName=name, Environment=changed)

    let("0")
    yield
    let(variables["SLICE_SECONDS"])


@pytest.mark.usefixtures("without_time")
def test_a_long_copy_goes_on_for_as_many_rounds_as_it_takes(registry: Registry, receiver: str) -> None:
    source = Client(registry, registry.key, "demo/deep")
    made = source.manifest("v1", config=source.blob(b"{}"), layers=[])
    for _ in range(GENERATIONS):
        made = source.manifest("v1", INDEX, manifests=[made])
    job = copied(registry, "deep:v1")
    assert job["state"] == "succeeded", job
    key = {"pk": {"S": f"JOB#{job['id']}"}, "sk": {"S": "JOB"}}
    table = registry.stack.outputs()["TableName"]
    row = registry.stack.client("dynamodb").get_item(TableName=table, Key=key)["Item"]
    assert int(row["rounds"]["N"]) > GENERATIONS
    assert Client(registry, receiver, "prod/deep").read("manifests/v1") == source.read("manifests/v1")


def test_no_event_is_left_over_and_nobody_is_alarmed(registry: Registry) -> None:
    sqs, asked = registry.stack.client("sqs"), ["ApproximateNumberOfMessages", "QueueArn"]
    url = registry.stack.outputs()["CopyDeadLetterQueue"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=asked)["Attributes"]
    assert found["ApproximateNumberOfMessages"] == "0"
    alarms = {
        each["AlarmName"]: each
        for each in registry.stack.client("cloudwatch").describe_alarms()["MetricAlarms"]
    }
    watched = {}
    for name in ("UploadDeadLetterAlarm", "CopyDeadLetterAlarm", "CopyBacklogAlarm"):
        alarm = alarms[registry.stack.resources()[name]]
        (dimension,) = alarm["Dimensions"]
        watched[name] = dimension
        # Nobody is told when no topic was given.
        assert alarm["AlarmActions"] == []
    assert watched["CopyDeadLetterAlarm"] == {
        "Name": "QueueName",
        "Value": found["QueueArn"].rpartition(":")[2],
    }
    assert len({each["Value"] for each in watched.values()}) == len(watched)
