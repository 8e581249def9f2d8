"""A second store that comes with an update of the deployed stack: pushes, pulls and events of its bucket."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.deploy.conftest import Registry
from tests.deploy.image import write_layout
from tests.deploy.test_uploads import EVENT_WITHIN, ask

CONTENT = random.Random(6).randbytes(1_000_000)


@pytest.fixture(scope="module")
def far(registry: Registry, admin: Callable[..., Any]) -> Registry:
    """The registry, to a superuser of an organisation in the second store."""
    before = registry.stack.resources()
    assert "UPDATE_COMPLETE" in registry.stack.deploy(SecondStore="second")
    resources = registry.stack.resources()
    assert set(resources) - set(before) == {"SecondBucket", "SecondBucketPolicy"}
    assert {name: resources[name] for name in ("Bucket", "Table")} == {
        name: before[name] for name in ("Bucket", "Table")
    }
    stores = registry.stack.outputs()["Stores"]
    assert stores == f"second={resources['SecondBucket']}"
    admin("--stores", stores, "organisation", "create", "far", "--store", "second")
    admin("serviceaccount", "create", "far", "pusher", "--group", "superusers")
    return replace(registry, key=admin("key", "create", "far", "pusher", "laptop")["key"])


def keys(registry: Registry, bucket: str) -> list[str]:
    """What lies in a bucket of the stack."""
    listed = registry.stack.client("s3").list_objects_v2(Bucket=registry.stack.resources()[bucket])
    return [each["Key"] for each in listed.get("Contents", ())]


def test_image_is_pushed_to_the_second_bucket_and_pulled_from_it(far: Registry, tmp_path: Path) -> None:
    layout, image = tmp_path / "image", f"docker://{far.host}/far/hello:1"
    manifest = write_layout(layout, "latest", [10_000, 2_000_000], seed=9)
    before = keys(far, "Bucket")
    far.skopeo(
        "copy", "--dest-tls-verify=false", f"--dest-creds=<token>:{far.key}", f"oci:{layout}:latest", image
    )
    # Two layers and a config.
    assert len([key for key in keys(far, "SecondBucket") if key.startswith("api/")]) == 3
    assert keys(far, "Bucket") == before
    far.proxy.recorded()
    pulled = tmp_path / "pulled"
    far.skopeo("copy", "--src-tls-verify=false", f"--src-creds=<token>:{far.key}", image, f"dir:{pulled}")
    assert (pulled / "manifest.json").read_bytes() == manifest
    for layer in json.loads(manifest)["layers"]:
        digest = layer["digest"].removeprefix("sha256:")
        assert (pulled / digest).read_bytes() == (layout / "blobs" / "sha256" / digest).read_bytes()
    redirects = [each for each in far.proxy.recorded() if each.status == 307]
    assert redirects
    for redirect in redirects:
        assert f"/{far.stack.resources()['SecondBucket']}/" in redirect.headers["location"]


def test_event_of_the_second_bucket_links_what_was_uploaded_there(far: Registry) -> None:
    basic = base64.b64encode(f"<token>:{far.key}".encode()).decode()
    scope = quote("repository:far/uploads:pull,push")
    answer = ask(far, "GET", f"http://{far.host}/token?scope={scope}", {"Authorization": f"Basic {basic}"})
    bearer = {"Authorization": f"Bearer {json.loads(answer.body)['token']}"}
    digest = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    url = f"http://{far.host}/v2/far/uploads/blobs/uploads/_presigned/"
    asked = json.dumps({"digest": digest, "size": len(CONTENT)}).encode()
    begun = ask(far, "POST", url, bearer, asked)
    assert begun.status == 201, begun
    put = json.loads(begun.body)["put"]
    assert urlsplit(put["url"]).path.startswith(f"/{far.stack.resources()['SecondBucket']}/presigned/")
    headers = {name: value for name, value in put["headers"].items() if name != "Content-Length"}
    assert ask(far, "PUT", put["url"], headers, CONTENT).status == 200
    # A row that nobody's question has made.
    key = {"pk": {"S": "REPO#far/uploads"}, "sk": {"S": f"BLOB#{digest}"}}
    table, deadline = far.stack.outputs()["TableName"], time.monotonic() + EVENT_WITHIN
    while "Item" not in (found := far.stack.client("dynamodb").get_item(TableName=table, Key=key)):
        assert time.monotonic() < deadline, "the event did not lead to a link"
        time.sleep(0.2)
    assert found["Item"]["store"] == {"S": "second"}
