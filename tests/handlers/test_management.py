"""``management`` as Lambda runs it, over the emulators: from the bootstrap credential to an image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local import aws
from local.emulators import Emulators
from moorage import __version__
from tests.handlers.conftest import Answer, Functions
from tests.handlers.prepared import HOST, Counted, basic, prepare

JSON = {"content-type": "application/json"}


@dataclass
class Desk:
    functions: Counted
    keys: dict[str, str]
    bootstrap: str

    def ask(self, key: str | None, method: str, target: str, body: Any = None) -> Answer:
        headers = JSON | ({} if key is None else {"authorization": f"Bearer {key}"})
        content = b"" if body is None else json.dumps(body).encode()
        return self.functions.http(method, target, headers, content, function="management")


@pytest.fixture(scope="module")
def desk(functions: Functions, emulators: Emulators) -> Iterator[Desk]:
    keys = prepare(functions)
    ssm = aws.client(emulators, "ssm")
    parameter = ssm.get_parameter(Name=functions.settings["BOOTSTRAP_PARAMETER"], WithDecryption=True)
    desk = Desk(Counted(functions.settings), keys, parameter["Parameter"]["Value"])
    try:
        yield desk
    finally:
        desk.functions.stop()


def test_the_whole_answer(desk: Desk) -> None:
    answer = desk.ask(desk.keys["demo"], "GET", "/org/demo")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["moorage-version"] == __version__
    assert answer.headers["x-request-id"] == "id-of-it"
    assert desk.functions.raw["isBase64Encoded"] is False
    refused = desk.ask(None, "GET", "/org/demo")
    assert (refused.status, refused.json()["id"]) == (401, "id-of-it")
    assert refused.headers["www-authenticate"].startswith("Bearer")


def test_discovery_names_the_host_that_was_asked(desk: Desk) -> None:
    told = desk.ask(None, "GET", "/discovery").json()
    assert told["endpoints"]["registry"] == f"https://{HOST}/{{org}}"
    assert desk.ask(None, "GET", "/discovery/openapi.json").json()["openapi"].startswith("3.1")
    assert desk.functions.sent == []


def test_organisation_from_the_bootstrap_credential_to_a_pull(desk: Desk) -> None:
    founded = desk.ask(desk.bootstrap, "POST", "/org", {"name": "fresh"})
    assert founded.status == 201, founded.body
    admin = founded.json()["key"]["key"]
    assert desk.ask(admin, "POST", "/org/fresh/serviceaccount", {"name": "robot"}).status == 201
    key = desk.ask(admin, "POST", "/org/fresh/serviceaccount/robot/-addKey", {"description": "ci"}).json()[
        "key"
    ]
    policy = {
        "name": "push",
        "targetKind": "image",
        "targetQuery": {"spec": {"terms": [{"property": "repository", "value": "app"}]}},
        "bindings": [{"permissions": ["create"], "principalLinks": ["//serviceaccount/robot"]}],
    }
    applied = [desk.ask(admin, "PUT", "/org/fresh/policy", policy) for _ in range(2)]
    assert [(each.status, each.json()["version"]) for each in applied] == [(201, 1), (200, 1)]
    token = desk.functions.http(
        "GET", "/token?scope=repository:fresh/app:pull,push", basic(key), function="token"
    ).json()["token"]
    auth = {"authorization": f"Bearer {token}"}
    digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    pushed = desk.functions.http("POST", f"/v2/fresh/app/blobs/uploads/?digest={digest}", auth, b"{}")
    assert pushed.status == 201, pushed.body
    media_type = "application/vnd.oci.image.manifest.v1+json"
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": 2}
    manifest = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": []}
    put = desk.functions.http(
        "PUT",
        "/v2/fresh/app/manifests/v1",
        auth | {"content-type": media_type},
        json.dumps(manifest).encode(),
    )
    assert put.status == 201, put.body
    shown = desk.ask(admin, "GET", "/org/fresh/image/app:v1").json()
    assert (shown["name"], shown["pushedBy"]) == ("app:v1", "/org/fresh/serviceaccount/robot")
    assert shown["manifest"] == manifest
    assert (
        desk.ask(admin, "PATCH", "/org/fresh/image/app:v1", {"tags": {"env": "prod"}}).json()["version"] == 2
    )
    found = desk.ask(
        admin, "POST", "/org/fresh/image/-query", {"spec": {"terms": [{"tag": "env", "value": "prod"}]}}
    )
    assert [each["name"] for each in found.json()["items"]] == ["app:v1"]
    explained = desk.ask(
        admin, "GET", "/org/fresh/image/app:v1/-explain?principal=//serviceaccount/robot&permission=create"
    ).json()
    assert [grant["grantingPolicyLink"] for grant in explained["grants"]] == ["/org/fresh/policy/push"]
    kept = desk.ask(admin, "DELETE", "/org/fresh/serviceaccount/robot")
    assert (kept.status, kept.json()["code"]) == (409, "InUse")
    assert desk.ask(admin, "DELETE", "/org/fresh/serviceaccount/robot?force=true").status == 204
    assert desk.ask(key, "GET", "/org/fresh").status == 401
    assert desk.ask(admin, "DELETE", "/org/fresh").status == 409
    assert desk.ask(admin, "DELETE", "/org/fresh?force=true").status == 202
    assert desk.ask(admin, "GET", "/org/fresh").status in (401, 403)


def test_what_a_superuser_sees_costs_a_handful_of_requests(desk: Desk) -> None:
    desk.ask(desk.keys["demo"], "GET", "/org/demo/group")
    desk.ask(desk.keys["demo"], "GET", "/org/demo/group")
    print(desk.functions.sent)
    assert len(desk.functions.sent) <= 4
