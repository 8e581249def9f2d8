"""Uploads past the API on the deployed stack: keys at the edge, events through the queue, the finalizer's hash."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from tests.deploy.conftest import Registry
from tests.deploy.stack import STACK

REPOSITORY = "demo/uploads"
CONTENT = random.Random(4).randbytes(1_000_000)
# More than a request hashes.
LARGE = random.Random(5).randbytes(66 * 1024**2)
EVENT_WITHIN = 60.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    registry: Registry,
    method: str,
    url: str,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """A request by way of the proxy, which knows the API's name."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": registry.proxy.url}))
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        with opener.open(request, timeout=60) as answer:
            return Answer(
                answer.status or 0, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
            )
    except urllib.error.HTTPError as refusal:
        with refusal as answer:
            return Answer(
                answer.status or 0, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
            )


@pytest.fixture(scope="module")
def bearer(registry: Registry) -> dict[str, str]:
    basic = base64.b64encode(f"<token>:{registry.key}".encode()).decode()
    url = f"http://{registry.host}/token?scope={quote(f'repository:{REPOSITORY}:pull,push')}"
    answer = ask(registry, "GET", url, {"Authorization": f"Basic {basic}"})
    return {"Authorization": f"Bearer {json.loads(answer.body)['token']}"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def uploads(registry: Registry, path: str = "") -> str:
    return f"http://{registry.host}/v2/{REPOSITORY}/blobs/uploads/{path}"


def linked(registry: Registry, hexadecimal: str) -> bool:
    """Whether the blob's link stands; asking the registry would settle it."""
    key = {"pk": {"S": f"REPO#{REPOSITORY}"}, "sk": {"S": f"BLOB#sha256:{hexadecimal}"}}
    table = registry.stack.outputs()["TableName"]
    return "Item" in registry.stack.client("dynamodb").get_item(TableName=table, Key=key)


def await_event(registry: Registry, hexadecimal: str) -> None:
    deadline = time.monotonic() + EVENT_WITHIN
    while not linked(registry, hexadecimal):
        assert time.monotonic() < deadline, "the event did not lead to a link"
        time.sleep(0.2)


def key_at_the_edge(registry: Registry, kid: str) -> str:
    """What the edge functions find under the id of a key."""
    store = registry.stack.client("cloudfront").describe_key_value_store(
        Name=registry.stack.resources()["UploadKeys"]
    )
    arn = store["KeyValueStore"]["ARN"]
    with urllib.request.urlopen(
        f"{registry.stack.endpoint}/key-value-stores/{quote(arn, safe='')}/keys/{kid}", timeout=10
    ) as answer:
        value: str = json.load(answer)["Value"]
        return value


def test_direct_upload_is_signed_with_a_key_of_the_edge_and_linked_by_its_event(
    registry: Registry, bearer: dict[str, str]
) -> None:
    (stack,) = registry.stack.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    through_the_front_door = {
        "User-Agent": "containerd/1.6.20",
        "x-moorage-front-door": stack["StackId"].split("/")[2],
        "x-moorage-host": "registry.example",
    }
    answer = ask(registry, "POST", uploads(registry), bearer | through_the_front_door, b"")
    assert answer.status == 202, answer
    path, _, mac = answer.headers["location"].rpartition("/")
    *_, way, kid, _expires, repository_id, session = path.split("/")
    assert way == "_direct"
    key = key_at_the_edge(registry, kid)
    assert hmac.new(key.encode(), f"PUT\n{path}".encode(), "sha256").hexdigest() == mac

    # What the edge does with a PUT: the emulator has no edge that carries data.
    digest = hashlib.sha256(CONTENT)
    registry.stack.client("s3").put_object(
        Bucket=registry.stack.outputs()["BucketName"],
        Key=f"direct/{digest.hexdigest()[:2]}/{repository_id}/{digest.hexdigest()}/{session}",
        Body=CONTENT,
        ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
    )
    await_event(registry, digest.hexdigest())
    head = ask(
        registry, "HEAD", f"http://{registry.host}/v2/{REPOSITORY}/blobs/sha256:{digest.hexdigest()}", bearer
    )
    assert (head.status, head.headers["content-length"]) == (200, str(len(CONTENT)))


def test_without_the_front_doors_word_an_upload_goes_through_the_api(
    registry: Registry, bearer: dict[str, str]
) -> None:
    for claimed in ({}, {"x-moorage-front-door": "guessed", "x-moorage-host": "evil.example"}):
        headers = bearer | {"User-Agent": "containerd/1.6.20"} | claimed
        answer = ask(registry, "POST", uploads(registry), headers, b"")
        assert answer.status == 202
        assert "_direct" not in answer.headers["location"]


def test_presigned_parts_are_hashed_by_the_finalizer(registry: Registry, bearer: dict[str, str]) -> None:
    asked = {"digest": f"sha256:{sha256(LARGE)}", "size": len(LARGE), "partSize": 40 * 1024**2}
    begun = ask(registry, "POST", uploads(registry, "_presigned/"), bearer, json.dumps(asked).encode())
    assert begun.status == 201, begun
    upload: dict[str, Any] = json.loads(begun.body)
    sent = 0
    for part in upload["parts"]:
        stored = ask(registry, "PUT", part["url"], body=LARGE[sent : sent + part["size"]])
        assert stored.status == 200, stored
        sent += part["size"]
    address = f"http://{registry.host}{begun.headers['location']}"
    completed = ask(registry, "POST", f"{address}/complete", bearer, b"")
    assert (completed.status, json.loads(completed.body)["state"]) == (202, "verifying")
    await_event(registry, sha256(LARGE))
    assert json.loads(ask(registry, "GET", address, bearer).body)["state"] == "linked"


def test_nothing_is_left_in_the_dead_letter_queue(registry: Registry, bearer: dict[str, str]) -> None:
    queue = registry.stack.outputs()["UploadDeadLetterQueue"]
    attributes = registry.stack.client("sqs").get_queue_attributes(
        QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    assert attributes == {"ApproximateNumberOfMessages": "0"}
