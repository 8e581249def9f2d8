"""Every event of ``events/`` given to its function as Lambda gives it: from the first deployment to a pull."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import urllib.request
from typing import Any
from urllib.parse import quote

import pytest

from local import aws
from local.emulators import Emulators
from moorage import __version__
from tests.handlers.cloudformation import serving
from tests.handlers.conftest import EVENTS, ROOT, Answer, Functions, event

HOST = "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"
IMAGE = "/v2/demo/hello"
CONFIG = b"{}"

# The events of the other function are tested beside its stores in memory; here it makes the keys.
FUNCTION_OF = {
    "http-api-management": "management",
    "http-api-registry": "registry",
    "http-api-token": "token",
    "cloudformation": "secrets",
    "schedule": "sweeper",
    "s3-": "upload_finalizer",
    "sqs-job-": "copy_worker",
    "sqs-s3-": "upload_finalizer",
}


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def request(
    name: str,
    path: str | None = None,
    *,
    query: str | None = None,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """An event of the HTTP API, for another path, query or body and with more headers."""
    changed = event(name, **changes)
    if path is not None:
        changed["rawPath"] = changed["requestContext"]["http"]["path"] = path
    if query is not None:
        changed["rawQueryString"] = query
    if body is not None:
        changed |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        changed["headers"]["content-length"] = str(len(body))
    changed["headers"] |= headers or {}
    return changed


@pytest.fixture(scope="module")
def key(functions: Functions) -> str:
    """The key of a service account that may do everything, in a stack whose secrets the function made."""

    def admin(*arguments: str) -> Any:
        command = [str(ROOT / ".venv" / "bin" / "moorage-admin"), *arguments]
        result = subprocess.run(
            command, env=functions.settings, capture_output=True, text=True, timeout=60, check=False
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    with serving() as cloudformation:
        assert (
            functions.invoke("secrets", event("cloudformation-create", ResponseURL=cloudformation.url)) == {}
        )
    assert [answer["Status"] for _, _, answer in cloudformation.received] == ["SUCCESS"]
    admin("organisation", "create", "demo")
    admin("serviceaccount", "create", "demo", "robot", "--group", "superusers")
    secret: str = admin("key", "create", "demo", "robot", "ci")["key"]
    return secret


def basic(password: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(f'<token>:{password}'.encode()).decode()}"}


@pytest.fixture(scope="module")
def bearer(functions: Functions, key: str) -> dict[str, str]:
    """A token for pull and push, asked for in two scopes."""
    answer = functions.call("token", request("http-api-token-get", headers=basic(key)))
    assert answer.status == 200
    token = answer.json()
    assert token["token"] == token["access_token"]
    assert token["expires_in"] == 300
    return {"authorization": f"Bearer {token['token']}"}


def assert_ours(answer: Answer, status: int) -> None:
    assert answer.status == status, answer.body
    assert answer.headers["moorage-version"] == __version__


def test_every_event_is_of_a_function_of_the_stack() -> None:
    for path in EVENTS.glob("*.json"):
        assert any(path.stem.startswith(prefix) for prefix in FUNCTION_OF), path
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
    assert folders == set(FUNCTION_OF.values())


def test_first_request_is_challenged_with_the_host_of_the_event(functions: Functions) -> None:
    answer = functions.call("registry", event("http-api-registry-base"))
    assert_ours(answer, 401)
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith(f'Bearer realm="https://{HOST}/token",service="{HOST}"')
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"


def test_unknown_path_is_an_error_that_a_client_understands(functions: Functions) -> None:
    answer = functions.call("registry", event("http-api-registry-unknown"))
    assert_ours(answer, 404)
    assert answer.json()["errors"]


@pytest.mark.parametrize("name", ["http-api-registry-get", "http-api-registry-put", "http-api-registry-head"])
def test_event_with_a_token_that_nobody_signed_is_challenged(functions: Functions, name: str) -> None:
    answer = functions.call("registry", event(name))
    assert_ours(answer, 401)
    assert 'scope="repository:demo/hello:' in answer.headers["www-authenticate"]


def test_token_is_given_to_a_form_as_well(functions: Functions, key: str) -> None:
    form = base64.b64decode(event("http-api-token-post")["body"]).replace(b"mrg_id_key", quote(key).encode())
    answer = functions.call("token", request("http-api-token-post", body=form))
    assert_ours(answer, 200)
    assert answer.json()["access_token"]


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(("name", "status"), [("http-api-token-get", 401), ("http-api-token-post", 401)])
def test_wrong_key_gets_no_token(functions: Functions, name: str, status: int) -> None:
    answer = functions.call("token", event(name))
    assert_ours(answer, status)
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"


def test_token_takes_no_head(functions: Functions) -> None:
    answer = functions.call("token", event("http-api-token-head"))
    assert_ours(answer, 405)


def push_blob(functions: Functions, bearer: dict[str, str], content: bytes) -> Answer:
    """Open a session and put the whole blob into it."""
    opened = functions.call("registry", request("http-api-registry-post", headers=bearer))
    assert_ours(opened, 202)
    location = opened.headers["location"].removeprefix(f"https://{HOST}")
    return functions.call(
        "registry",
        request(
            "http-api-registry-put",
            location,
            query=f"digest={quote(digest(content))}",
            body=content,
            headers=bearer,
        ),
    )


def test_push_and_pull(functions: Functions, bearer: dict[str, str], emulators: Emulators) -> None:
    layer = base64.b64decode(event("http-api-registry-put")["body"])
    assert layer == bytes(range(256))
    for content in (layer, CONFIG):
        stored = push_blob(functions, bearer, content)
        assert_ours(stored, 201)
        assert stored.headers["docker-content-digest"] == digest(content)

    head = functions.call(
        "registry", request("http-api-registry-head", f"{IMAGE}/blobs/{digest(layer)}", headers=bearer)
    )
    assert_ours(head, 200)
    assert (head.headers["content-length"], head.body) == ("256", b"")
    absent = functions.call("registry", request("http-api-registry-head", headers=bearer))
    assert_ours(absent, 404)

    manifest = base64.b64decode(event("http-api-registry-put-manifest")["body"])
    put = functions.call("registry", request("http-api-registry-put-manifest", headers=bearer))
    assert_ours(put, 201)
    got = functions.call("registry", request("http-api-registry-get", headers=bearer))
    assert_ours(got, 200)
    assert got.body == manifest
    assert got.headers["docker-content-digest"] == digest(manifest)
    assert got.headers["content-type"] == "application/vnd.oci.image.manifest.v1+json"

    redirect = functions.call(
        "registry", request("http-api-registry-get", f"{IMAGE}/blobs/{digest(layer)}", headers=bearer)
    )
    assert_ours(redirect, 307)
    location = redirect.headers["location"]
    assert location.startswith(emulators.s3_endpoint_url)
    with urllib.request.urlopen(location, timeout=10) as content:
        assert content.read() == layer


def test_random_bytes_arrive_whole_whatever_the_gateway_calls_them(
    functions: Functions, bearer: dict[str, str]
) -> None:
    """A body that is valid text may come as text, whatever its type: only the flag tells."""
    content = b"only text"
    opened = functions.call("registry", request("http-api-registry-post", headers=bearer))
    put = request(
        "http-api-registry-put",
        opened.headers["location"].removeprefix(f"https://{HOST}"),
        query=f"digest={quote(digest(content))}",
        headers=bearer,
    )
    put |= {"body": content.decode(), "isBase64Encoded": False}
    put["headers"]["content-length"] = str(len(content))
    assert_ours(functions.call("registry", put), 201)


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("name", ["http-api-management-get", "http-api-management-put"])
def test_wrong_key_manages_nothing(functions: Functions, name: str) -> None:
    answer = functions.call("management", event(name))
    assert_ours(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_policy_is_put_and_listed(functions: Functions, key: str) -> None:
    mine = {"authorization": f"Bearer {key}"}
    put = functions.call("management", request("http-api-management-put", headers=mine))
    assert_ours(put, 201)
    assert put.headers["location"] == "/org/demo/policy/pullers"
    again = functions.call("management", request("http-api-management-put", headers=mine))
    assert_ours(again, 200)
    listed = functions.call("management", request("http-api-management-get", headers=mine))
    assert_ours(listed, 200)
    (pullers,) = [each for each in listed.json()["items"] if each["origin"] == "default"]
    assert pullers["bindings"] == [
        {"permissions": ["pull"], "principalLinks": ["/org/demo/serviceaccount/robot"]}
    ]


@pytest.mark.usefixtures("key")
def test_secrets_wrote_what_the_token_function_reads(functions: Functions, emulators: Emulators) -> None:
    parameter = aws.client(emulators, "ssm").get_parameter(
        Name=functions.settings["SIGNING_KEY_PARAMETER"], WithDecryption=True
    )["Parameter"]
    assert parameter["Type"] == "SecureString"
    assert parameter["Version"] == 1
    assert functions.invoke("secrets", event("schedule")) == {"rotated": []}
    for name in ("update", "delete"):
        with serving() as cloudformation:
            functions.invoke("secrets", event(f"cloudformation-{name}", ResponseURL=cloudformation.url))
        assert [answer["Status"] for _, _, answer in cloudformation.received] == ["SUCCESS"]
    after = aws.client(emulators, "ssm").get_parameter(Name=functions.settings["SIGNING_KEY_PARAMETER"])
    assert after["Parameter"]["Version"] == 1
