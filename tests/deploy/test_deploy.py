"""The unchanged template, deployed by SAM: what came out takes a push and gives it back."""

from __future__ import annotations

import hashlib
import io
import json
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moorage import __version__
from tests.deploy.conftest import Registry
from tests.deploy.image import write_layout
from tests.deploy.proxy import Exchange
from tests.deploy.stack import RUNTIME, Stack

LAYER_SIZES = [10_000, 1_000_000, 4_000_000]
EVENTS = Path(__file__).parents[2] / "events"

PROBE = """
import importlib, os, sys

def handler(event, context):
    found = {}
    for name in event["modules"]:
        try:
            found[name] = importlib.import_module(name).__file__
        except ImportError:
            found[name] = None
    return {"found": found, "environment": sorted(os.environ)}
"""


def _is_upload(exchange: Exchange) -> bool:
    return exchange.method in ("POST", "PATCH", "PUT") and "/blobs/" in exchange.path


def _pull(registry: Registry, reference: str, folder: Path) -> None:
    registry.skopeo(
        "copy",
        "--src-tls-verify=false",
        f"--src-creds=<token>:{registry.key}",
        f"{registry.image}{reference}",
        f"dir:{folder}",
    )


def _push(registry: Registry, layout: Path, tag: str) -> None:
    registry.skopeo(
        "copy",
        "--dest-tls-verify=false",
        f"--dest-creds=<token>:{registry.key}",
        f"oci:{layout}:latest",
        f"{registry.image}:{tag}",
    )


def _assert_same(folder: Path, layout: Path, manifest: bytes) -> None:
    assert (folder / "manifest.json").read_bytes() == manifest
    document = json.loads(manifest)
    for descriptor in [document["config"], *document["layers"]]:
        digest = descriptor["digest"].removeprefix("sha256:")
        assert (folder / digest).read_bytes() == (layout / "blobs" / "sha256" / digest).read_bytes()


@pytest.fixture(scope="module")
def pushed(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A layout and its manifest, pushed as ``:1``."""
    layout = tmp_path_factory.mktemp("image")
    manifest = write_layout(layout, "latest", LAYER_SIZES, seed=8)
    registry.proxy.recorded()
    _push(registry, layout, "1")
    return layout, manifest


def test_functions_see_what_was_deployed_and_nothing_of_the_emulator(stack: Stack) -> None:
    layers = stack.client("lambda").get_function_configuration(
        FunctionName=stack.resources()["RegistryFunction"]
    )["Layers"]
    missing = ["boto3", "ministack", "pydantic", "pip", "yaml", "moorage.admin"]
    here = ["botocore", "cryptography", "starlette", "mangum", "aws_lambda_powertools", "moorage"]
    answer = _probe(stack, [layer["Arn"] for layer in layers], missing + here)
    assert {name for name, place in answer["found"].items() if place is None} == set(missing)
    assert all("/layer_" in answer["found"][name] for name in here)
    assert "GATEWAY_PORT" not in answer["environment"]
    assert "PYTHONPATH" not in answer["environment"]


def test_function_without_layers_has_the_standard_library_alone(stack: Stack) -> None:
    answer = _probe(stack, [], ["json", "sqlite3", "botocore", "moorage", "cryptography"])
    assert {name for name, place in answer["found"].items() if place} == {"json", "sqlite3"}


def _probe(stack: Stack, layers: list[str], modules: list[str]) -> Any:
    lambdas = stack.client("lambda")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("probe.py", PROBE)
    name = f"probe-{len(layers)}"
    lambdas.create_function(
        FunctionName=name,
        Runtime=RUNTIME,
        Role="arn:aws:iam::000000000000:role/probe",
        Handler="probe.handler",
        Code={"ZipFile": code.getvalue()},
        Layers=layers,
    )
    try:
        answer = lambdas.invoke(FunctionName=name, Payload=json.dumps({"modules": modules}))
        assert "FunctionError" not in answer
        return json.load(answer["Payload"])
    finally:
        lambdas.delete_function(FunctionName=name)


def test_the_emulators_own_registry_does_not_answer(stack: Stack) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{stack.endpoint}/v2/", timeout=10)
    with caught.value as answer:
        assert "docker-distribution-api-version" not in answer.headers
        assert "moorage-version" not in answer.headers


def test_push_and_pull_give_back_the_same_bytes(
    registry: Registry, pushed: tuple[Path, bytes], tmp_path: Path
) -> None:
    layout, manifest = pushed
    push = registry.proxy.recorded()
    assert any(_is_upload(exchange) for exchange in push)
    _pull(registry, ":1", tmp_path / "by-tag")
    _assert_same(tmp_path / "by-tag", layout, manifest)
    digest = hashlib.sha256(manifest).hexdigest()
    _pull(registry, f"@sha256:{digest}", tmp_path / "by-digest")
    _assert_same(tmp_path / "by-digest", layout, manifest)
    exchanges = push + registry.proxy.recorded()
    from_registry = [exchange for exchange in exchanges if exchange.path.startswith("/v2/")]
    assert len(from_registry) > 10
    assert {exchange.headers.get("moorage-version") for exchange in from_registry} == {__version__}
    redirected = [exchange.status for exchange in exchanges if "/blobs/sha256:" in exchange.path]
    assert 307 in redirected


def test_second_push_uploads_nothing(registry: Registry, pushed: tuple[Path, bytes]) -> None:
    registry.proxy.recorded()
    _push(registry, pushed[0], "again")
    exchanges = registry.proxy.recorded()
    assert [exchange for exchange in exchanges if _is_upload(exchange)] == []
    assert [exchange.status for exchange in exchanges if exchange.method == "PUT"] == [201]


def test_wrong_key_is_refused(registry: Registry, pushed: tuple[Path, bytes]) -> None:
    with pytest.raises(AssertionError, match=r"unauthorized|authentication required"):
        registry.skopeo(
            "inspect", "--tls-verify=false", "--creds=<token>:wrong", f"{registry.image}:1", "--raw"
        )


def test_unknown_path_is_answered_by_the_registry(registry: Registry) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({"http": registry.proxy.url}))
    with pytest.raises(urllib.error.HTTPError) as caught:
        direct.open(f"http://{registry.host}/favicon.ico", timeout=30)
    with caught.value as answer:
        assert answer.status == 404
        assert answer.headers["Moorage-Version"] == __version__
        assert json.load(answer)["errors"]


def _secrets(stack: Stack) -> dict[str, int]:
    """Versions of the secrets by their names below the stack's path."""
    names = ["signing-key", "upload-key/a", "upload-key/b", "bootstrap"]
    ssm = stack.client("ssm")
    found = [ssm.get_parameter(Name=f"/moorage/moorage/{name}")["Parameter"] for name in names]
    assert {parameter["Type"] for parameter in found} == {"SecureString"}
    return {name: parameter["Version"] for name, parameter in zip(names, found, strict=True)}


def test_bootstrap_credential_matches_what_the_table_verifies(stack: Stack) -> None:
    outputs = stack.outputs()
    parameter = stack.client("ssm").get_parameter(Name=outputs["BootstrapParameter"], WithDecryption=True)
    key = {"pk": {"S": "BOOTSTRAP"}, "sk": {"S": "BOOTSTRAP"}}
    item = stack.client("dynamodb").get_item(TableName=outputs["TableName"], Key=key)["Item"]
    credential = parameter["Parameter"]["Value"]
    assert item["sha256"]["S"] == hashlib.sha256(credential.encode()).hexdigest()


def test_schedule_reaches_the_function_and_leaves_young_keys(stack: Stack) -> None:
    resources = stack.resources()
    targets = stack.client("events").list_targets_by_rule(Rule=resources["RotationSchedule"])["Targets"]
    assert [target["Arn"].rsplit(":", 1)[1] for target in targets] == [resources["SecretsFunction"]]
    answer = stack.client("lambda").invoke(
        FunctionName=resources["SecretsFunction"], Payload=(EVENTS / "schedule.json").read_bytes()
    )
    assert json.load(answer["Payload"]) == {"rotated": []}


def test_second_deployment_changes_nothing_and_keeps_the_keys(
    registry: Registry, pushed: tuple[Path, bytes], admin: Callable[..., Any], tmp_path: Path
) -> None:
    stack = registry.stack
    before = _secrets(stack), stack.resources()
    assert "No changes to deploy" in stack.deploy()
    assert (_secrets(stack), stack.resources()) == before
    # A change of a parameter updates functions; keys, table and bucket are not touched.
    assert "UPDATE_COMPLETE" in stack.deploy(LogLevel="WARNING")
    assert _secrets(stack) == before[0] == dict.fromkeys(before[0], 1)
    for kept in ("Table", "Bucket", "Api", "Secrets"):
        assert stack.resources()[kept] == before[1][kept]
    _pull(registry, ":1", tmp_path / "after")
    _assert_same(tmp_path / "after", *pushed)


def test_blobs_can_be_pulled_from_the_edge_by_an_update_and_from_s3_again(registry: Registry) -> None:
    stack = registry.stack
    before = set(stack.resources())
    assert "UPDATE_COMPLETE" in stack.deploy(Pulls="edge")
    downloads = {"DownloadCachePolicy", "DownloadRequestFunction", "DownloadResponseFunction"}
    assert set(stack.resources()) - before == downloads
    assert "UPDATE_COMPLETE" in stack.deploy(Pulls="s3")
    assert set(stack.resources()) == before
