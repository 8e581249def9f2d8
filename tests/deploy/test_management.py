"""The management API as it came out of the deployment: from the bootstrap credential to a policy that decides."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from moorage import __version__
from tests.deploy.conftest import Registry


def ask(
    registry: Registry, method: str, path: str, credentials: str | None, body: Any = None
) -> tuple[int, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": registry.proxy.url}))
    headers = {} if credentials is None else {"Authorization": f"Bearer {credentials}"}
    content = None
    if body is not None:
        headers["Content-Type"], content = "application/json", json.dumps(body).encode()
    request = urllib.request.Request(f"http://{registry.host}{path}", content, headers, method=method)
    try:
        answer = opener.open(request, timeout=60)
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        assert answer.headers["Moorage-Version"] == __version__
        return answer.status, json.load(answer)


@pytest.fixture(scope="module")
def founder(registry: Registry) -> str:
    """The first key of an organisation that the bootstrap credential has made."""
    name = registry.stack.outputs()["BootstrapParameter"]
    parameter = registry.stack.client("ssm").get_parameter(Name=name, WithDecryption=True)
    credential = parameter["Parameter"]["Value"]
    status, made = ask(registry, "POST", "/org", credential, {"name": "acme"})
    assert status == 201, made
    key: str = made["key"]["key"]
    return key


def test_an_organisation_decides_by_its_policies(registry: Registry, founder: str) -> None:
    status, robot = ask(registry, "POST", "/org/acme/serviceaccount", founder, {"name": "robot"})
    assert status == 201, robot
    added = {"description": "of a build"}
    status, key = ask(registry, "POST", "/org/acme/serviceaccount/robot/-addKey", founder, added)
    assert status in (200, 201), key
    images = "/org/acme/image"
    assert ask(registry, "GET", images, key["key"])[1]["items"] == []
    policy = {
        "name": "viewing",
        "targetKind": "policy",
        "target": "all",
        "bindings": [{"permissions": ["view"], "principalLinks": ["//serviceaccount/robot"]}],
    }
    assert ask(registry, "GET", "/org/acme/policy/viewing", key["key"])[0] == 403
    assert ask(registry, "PUT", "/org/acme/policy", founder, policy)[0] == 201
    assert ask(registry, "PUT", "/org/acme/policy", founder, policy)[0] == 200
    status, seen = ask(registry, "GET", "/org/acme/policy/viewing", key["key"])
    assert (status, seen["version"]) == (200, 1)
    assert ask(registry, "GET", "/org/demo/policy", key["key"])[0] == 403


def test_nobody_manages_without_credentials(registry: Registry) -> None:
    assert ask(registry, "GET", "/discovery", None)[0] == 200
    status, refused = ask(registry, "GET", "/org/demo", None)
    assert (status, refused["status"]) == (401, 401)
