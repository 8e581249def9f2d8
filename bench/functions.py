"""The functions themselves, loaded from their folders, over a replaced network and a filled table."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from bench.context import Context
from bench.stand_in import ENDPOINT, Services, network
from moorage.adapters.dynamodb import connect_table
from moorage.adapters.dynamodb.secret_records import connect_secret_records
from moorage.adapters.key_pairs import new_key_pair
from moorage.domain.blobs import BlobLink
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.images import Pushed
from moorage.domain.names import Repository
from moorage.ports import ManifestRecord, PublicKey, RepositoryRecord
from moorage.services.accounts import AccountAdministration

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    # The credentials of a function's role come with a token of about this length.
    "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjE" + "x" * 983,
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ENDPOINT_URL_DYNAMODB": ENDPOINT,
    "AWS_ENDPOINT_URL_SSM": ENDPOINT,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "TABLE_NAME": "moorage-Table-1A2B3C4D5E6F7",
    "BUCKET_NAME": "moorage-bucket-1a2b3c4d5e6f7",
    "SIGNING_KEY_PARAMETER": "/moorage/moorage/signing-key",
    "LOG_LEVEL": "INFO",
}
_LAYERS = 10
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


@dataclass(frozen=True)
class Request:
    """A request that a client sends again and again: which function answers it, and with which status."""

    name: str
    function: str
    handler: Handler
    event: dict[str, Any]
    status: int

    def send(self) -> None:
        """Have it answered.

        Raises:
            RuntimeError: not with the status that it should have.
        """
        answer = self.handler(self.event, Context())
        if answer["statusCode"] != self.status:
            raise RuntimeError(f"{self.name}: {answer}")


@contextmanager
def requests() -> Iterator[list[Request]]:
    """The requests of a pull and the first of a push; what functions log goes nowhere."""
    with world() as (_, made):
        yield made


@contextmanager
def world(services: Services | None = None) -> Iterator[tuple[Services, list[Request]]]:
    """The same, and the services that answer to the functions; those given, or plain ones."""
    services = services or Services()
    kept = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(ENVIRONMENT)
    try:
        with network(services), redirect_stdout(_nowhere()):
            yield services, _requests(services)
    finally:
        os.environ.clear()
        os.environ.update(kept)


@cache
def _nowhere() -> TextIO:
    """Open for ever: the logger of a function writes to the first output that it has seen."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _requests(services: Services) -> list[Request]:
    secret, manifest = _fill(services)
    registry, token = load("registry"), load("token")
    asking = event("GET", "/token", f"Basic {_base64(f'<token>:{secret}')}")
    asking["rawQueryString"] = "service=registry.example.com&scope=repository%3Ademo%2Fhello%3Apull%2Cpush"
    bearer = f"Bearer {json.loads(token(asking, Context())['body'])['token']}"
    services.recording = False

    path = "/v2/demo/hello"
    rows = [
        ("manifest HEAD by tag", "HEAD", f"{path}/manifests/v1", 200),
        ("manifest HEAD by digest", "HEAD", f"{path}/manifests/{manifest.digest}", 200),
        ("manifest GET by tag", "GET", f"{path}/manifests/v1", 200),
        ("manifest GET by digest", "GET", f"{path}/manifests/{manifest.digest}", 200),
        ("blob HEAD", "HEAD", f"{path}/blobs/{_digest(0)}", 200),
        ("blob GET", "GET", f"{path}/blobs/{_digest(0)}", 307),
        ("upload POST", "POST", f"{path}/blobs/uploads/", 202),
    ]
    made = [
        Request(name, "registry", registry, event(method, path, bearer), status)
        for name, method, path, status in rows
    ]
    return [*made, Request("token GET", "token", token, asking, 200)]


def load(function: str) -> Handler:
    """The handler of a function."""
    name = f"bench_{function}_handler"
    spec = importlib.util.spec_from_file_location(name, ROOT / "functions" / function / "handler.py")
    if spec is None or spec.loader is None:
        raise RuntimeError(f"there is no function {function}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    handler: Handler = module.handler
    return handler


def event(method: str, path: str, authorization: str) -> dict[str, Any]:
    """The event that an HTTP API makes of a client's request."""
    made: dict[str, Any] = json.loads((ROOT / "events" / "http-api-registry-get.json").read_text("utf-8"))
    made["rawPath"] = made["requestContext"]["http"]["path"] = path
    made["requestContext"]["http"]["method"] = method
    made["headers"]["authorization"] = authorization
    return made


def _fill(services: Services) -> tuple[str, ManifestRecord]:
    """An organisation, an account, an image and the keys; the account's secret and the image's manifest."""
    now = datetime.now(UTC)
    table = connect_table(ENVIRONMENT["TABLE_NAME"])
    pair = new_key_pair()
    records = connect_secret_records(ENVIRONMENT["TABLE_NAME"])
    records.publish_verification_key(PublicKey(pair.kid, pair.public_pem, None), now)
    services.parameters[ENVIRONMENT["SIGNING_KEY_PARAMETER"]] = json.dumps(
        {"v": 1, "kid": pair.kid, "private_pem": pair.private_pem}
    )
    administration = AccountAdministration(table, lambda: now)
    administration.create_organisation("demo")
    account = administration.create_service_account("demo", "builder", groups=["superusers"])
    secret = administration.add_key(account, "bench").secret

    repository = Repository("demo", "hello")
    record = table.create_repository(RepositoryRecord(repository, "0123456789abcdef" * 2, now))
    digests = [_digest(number) for number in range(_LAYERS + 1)]
    key = f"api/ab/{record.id}/{digests[0].encoded}/{'0' * 32}"
    link = BlobLink(repository, digests[0], key, 31_357_624, now)
    table.put_link(link, repository_id=record.id, closing=None)
    body = _manifest(digests)
    digest = Digest.of(body, Algorithm.SHA256)
    manifest = ManifestRecord(digest, _MANIFEST_TYPE, len(body), now, body, None, None, None)
    table.put_manifest(repository, manifest, repository_id=record.id, uses=digests, referrer=None)
    pushed = Pushed(digest, _MANIFEST_TYPE, len(body), account.link, now)
    table.put_tags(repository, ["v1"], pushed, lambda _: None)
    return secret, manifest


def _manifest(digests: list[Digest]) -> bytes:
    config, *layers = (
        {"mediaType": "application/octet-stream", "digest": str(digest), "size": 31_357_624}
        for digest in digests
    )
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST_TYPE, "config": config, "layers": layers}
    return json.dumps(manifest, indent=3).encode()


def _digest(number: int) -> Digest:
    return Digest.of(b"layer %d" % number, Algorithm.SHA256)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
