"""Copies between organisations, as clients see them that have rights at one end only."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from local import service
from moorage.domain.jobs import DOCUMENT_PREFIX
from tests import journal
from tests.clients import bucket, image, registry
from tests.clients.abilities import Indexes
from tests.clients.artifacts import Oras, Regctl
from tests.clients.cells import assert_refused, left_behind
from tests.clients.cloud import Account, Cloud
from tests.clients.command import Outcome, run
from tests.clients.daemonless import Crane, Skopeo
from tests.clients.docker import Docker
from tests.clients.drivers import Driver
from tests.clients.folders import named_for_clients
from tests.clients.image import FOREIGN_ARCHITECTURE, OWN_ARCHITECTURE, TAG, MultiPlatform
from tests.clients.libpod import Podman
from tests.docs.organisation import Organisation, founded

pytestmark = pytest.mark.timeout(420)

COMMAND = Path(sys.executable).with_name("moorage")
IMAGE_NAME = "copied/app"
SIZES = (400_000, 700_000)
SIGNATURE, NOTE = "application/vnd.example.signature", "application/vnd.example.note"
EMPTY = b"{}"
"""The config of an artifact that has none."""

REF_NAME = "org.opencontainers.image.ref.name"
COPIER, RECEIVER = "copier", "receiver"
ENDED_WITHIN = 120.0
OPEN = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Source:
    """An index of two platforms in ``demo``, with an artifact that refers to it and one to its second platform; and
    the account that may pull there, and has no rights elsewhere but those to create.
    """

    cloud: Cloud
    pushed: MultiPlatform
    copier: Account
    digests: dict[str, str]
    """Of the index, and of the image of each architecture."""
    referrers: dict[str, tuple[str, str]]
    """By what it refers to: the digest of the artifact, and that of its content."""
    artifact_sizes: list[int]
    """Bytes of the blobs of the artifacts, each of which is counted once."""
    keys: set[str]
    """Of all objects that were stored for it."""

    @property
    def repository(self) -> str:
        return f"{self.cloud.host}/{self.cloud.org}/{IMAGE_NAME}"


@dataclass(frozen=True, slots=True)
class Destination:
    """An organisation that lets the copier of ``demo`` create images, and somebody who may pull there only."""

    organisation: Organisation
    receiver: Account
    store: str

    def repository(self, name: str = IMAGE_NAME) -> str:
        return f"{self.organisation.host}/{self.organisation.name}/{name}"


@pytest.fixture(scope="module")
def source(registry_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("source")
    admin = registry_cloud.admin
    demo = Organisation(registry_cloud.endpoint, registry_cloud.org, admin.password, folder / "password")
    demo.ok("POST", "/serviceaccount", {"name": COPIER})
    demo.ok("PUT", "/policy", policy("copies", "pull", f"//serviceaccount/{COPIER}"))
    repository = f"{registry_cloud.host}/{registry_cloud.org}/{IMAGE_NAME}"
    pushed, before = image.build_index(folder, "copied", SIZES), objects(registry_cloud)
    skopeo, oras = Skopeo(made(folder / "skopeo")), Oras(made(folder / "oras"))
    for client in (skopeo, oras):
        assert client.login(registry_cloud.host, admin).exit_code == 0
    must(skopeo.push_index(pushed, f"{repository}:{TAG}"))
    index = image_digests(pushed)
    referrers, contents = {}, []
    for artifact_type, subject in (
        (SIGNATURE, index["index"]),
        (NOTE, index[FOREIGN_ARCHITECTURE]),
    ):
        file = folder / artifact_type.rpartition(".")[2]
        file.write_text(f"{artifact_type} of {subject}\n", "utf-8")
        contents.append(file.stat().st_size)
        by_tag = subject == index["index"]
        must(oras.attach(f"{repository}:{TAG}" if by_tag else f"{repository}@{subject}", file, artifact_type))
        (attached,) = discovered(oras, f"{repository}@{subject}")
        referrers[subject] = (attached, image.file_digest(file))
    sizes = [*contents, len(EMPTY)]
    return Source(
        registry_cloud,
        pushed,
        key_of(demo, COPIER),
        index,
        referrers,
        sizes,
        objects(registry_cloud) - before,
    )


@pytest.fixture(scope="module")
def near(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Destination:
    """An organisation in the store of ``demo``."""
    return destination(source, "copies-near", bucket.DEFAULT, tmp_path_factory.mktemp("near"))


@pytest.fixture(scope="module")
def far(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Destination:
    """An organisation in the second store."""
    return destination(source, "copies-far", bucket.SECOND, tmp_path_factory.mktemp("far"))


def destination(source: Source, name: str, store: str, folder: Path) -> Destination:
    organisation = founded(source.cloud.state, name, folder, store)
    assert organisation.ok("GET", "")["store"] == store
    organisation.ok("POST", "/serviceaccount", {"name": RECEIVER})
    copier = f"/org/{source.cloud.org}/serviceaccount/{COPIER}"
    organisation.ok("PUT", "/policy", policy("copies-in", "create", copier))
    organisation.ok("PUT", "/policy", policy("pulls", "pull", f"//serviceaccount/{RECEIVER}"))
    return Destination(organisation, key_of(organisation, RECEIVER), store)


def policy(name: str, permission: str, principal: str) -> dict[str, Any]:
    binding = {"permissions": [permission], "principalLinks": [principal]}
    return {"name": name, "targetKind": "image", "target": "all", "bindings": [binding]}


def key_of(organisation: Organisation, account: str) -> Account:
    key = organisation.ok("POST", f"/serviceaccount/{account}/-addKey", {"description": "for the test"})
    return Account("<token>", key["key"])


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def must(outcome: Outcome) -> Outcome:
    assert outcome.exit_code == 0, outcome
    return outcome


def image_digests(index: MultiPlatform) -> dict[str, str]:
    """What the layout itself says."""
    (top,) = json.loads((index.layout / "index.json").read_bytes())["manifests"]
    content = json.loads((index.layout / "blobs" / top["digest"].replace(":", "/")).read_bytes())
    platforms = {each["platform"]["architecture"]: each["digest"] for each in content["manifests"]}
    return {"index": top["digest"], **platforms}


def discovered(oras: Oras, reference: str) -> list[str]:
    """The digests of what refers to an image, as oras finds them."""
    found = json.loads(must(oras.referrers(reference)).output)
    return [each["digest"] for each in found.get("referrers", found.get("manifests", ()))]


def artifact(oras: Oras, reference: str) -> tuple[str, str]:
    """The digest of an artifact, and that of its content, as both lie on the disk after a pull."""
    outcome, layout = oras.pull(reference)
    must(outcome)
    listed = json.loads((layout / "index.json").read_bytes())["manifests"]
    # Its subject comes with it.
    (top,) = (each for each in listed if each.get("annotations", {}).get(REF_NAME) == TAG)
    manifest = layout / "blobs" / top["digest"].replace(":", "/")
    (layer,) = json.loads(manifest.read_bytes())["layers"]
    return image.file_digest(manifest), image.file_digest(
        layout / "blobs" / layer["digest"].replace(":", "/")
    )


def digest_by_crane(account: Account, folder: Path, reference: str, *options: str) -> str:
    """What a name stands for, as crane says."""
    crane = Crane(folder)
    must(crane.login(reference.partition("/")[0], account))
    words = (os.environ["CRANE"], "digest", *options, reference)
    return must(run(*words, home=folder, DOCKER_CONFIG=str(folder))).output


def call(source: Source, method: str, path: str, body: Any = None, key: str = "") -> urllib3.BaseHTTPResponse:
    """What the management API answers to the copier."""
    headers = {"Authorization": f"Bearer {source.copier.password}", "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    with urllib3.PoolManager(retries=False, timeout=60.0) as pool:
        content = None if body is None else json.dumps(body)
        return pool.request(method, f"{source.cloud.endpoint}{path}", headers=headers, body=content)


def ended(source: Source, path: str) -> Any:
    """A job, when it has ended."""
    deadline = time.monotonic() + ENDED_WITHIN
    while (job := call(source, "GET", path).json())["state"] in OPEN:
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
    return job


def asked_of_s3(cloud: Cloud) -> list[dict[str, Any]]:
    """All requests to either bucket until now."""
    return journal.entries(cloud.state / "traffic" / service.S3_TRAFFIC)


def key_in(path: str) -> str:
    return path.removeprefix("/").partition("/")[2]


def objects(cloud: Cloud) -> set[str]:
    """The keys of what lies in either bucket, but for documents of jobs."""
    stores = (bucket.DEFAULT, bucket.SECOND)
    found = {key for store in stores for key in bucket.keys(cloud.state, store=store)}
    return {key for key in found if not key.startswith(DOCUMENT_PREFIX)}


def assert_pulled(source: Source, there: Destination, repository: str, folder: Path) -> None:
    """Whoever may pull at the destination only gets both platforms and all that refers to them, each as it was."""
    host, reference = there.organisation.host, f"{repository}:{TAG}"
    for client in (Skopeo(made(folder / "skopeo")), Crane(made(folder / "crane"))):
        assert isinstance(client, Indexes)
        must(client.login(host, there.receiver))
        for architecture, built in source.pushed.images.items():
            outcome, place = client.pull_platform(reference, architecture)
            must(outcome)
            assert image.layers_of(place) == built.layers
    raw: tuple[str | Path, ...] = (
        "skopeo",
        "inspect",
        "--raw",
        "--tls-verify=false",
        "--authfile",
        folder / "skopeo" / "auth.json",
    )
    for name, digest in source.digests.items():
        shown = run(*raw, f"docker://{repository}@{digest}", home=folder)
        assert image.digest(must(shown).output.encode()) == digest
        options = () if name == "index" else ("--platform", f"linux/{name}")
        assert digest_by_crane(there.receiver, folder / "crane", reference, *options) == digest

    oras, regctl = Oras(made(folder / "oras")), Regctl(made(folder / "regctl"))
    for each in (oras, regctl):
        must(each.login(host, there.receiver))
    for subject, (digest, content) in source.referrers.items():
        assert discovered(oras, f"{repository}@{subject}") == [digest]
        assert artifact(oras, f"{repository}@{digest}") == (digest, content)
        assert digest in must(regctl.referrers(f"{repository}@{subject}")).output
    assert discovered(oras, reference) == [source.referrers[source.digests["index"]][0]]


def test_copy_by_http_is_pulled_by_those_who_have_rights_there_and_by_nobody_else(
    source: Source, near: Destination, tmp_path: Path
) -> None:
    asked_before, stored = len(asked_of_s3(source.cloud)), objects(source.cloud)
    path = f"/org/{source.cloud.org}/image/{IMAGE_NAME}:{TAG}/-copy"
    body = {"destinationOrg": near.organisation.name}
    asked = call(source, "POST", path, body, "release-1")
    assert asked.status == 202, asked.data
    location = asked.headers["Location"]
    job = ended(source, location)
    assert job["state"] == "succeeded", job
    # An index, two platforms, two artifacts.
    assert job["progress"]["manifests"] == {"done": 5, "total": 5}
    assert (job["copiedBytes"], job["progress"]["tags"]) == (0, {"done": 1, "total": 1})
    # Not a byte of a blob was moved.
    # An event of the push that comes late may remove the second of two equal uploads.
    requests = [each for each in asked_of_s3(source.cloud)[asked_before:] if each["method"] != "DELETE"]
    # All but the empty configuration, which others may have pushed to the organisation before.
    assert len(source.keys) >= len(blob_sizes(source)) - 1
    assert [each for each in requests if key_in(each["path"]) in source.keys or "copy_source" in each] == []
    assert objects(source.cloud) - stored == set()

    again = call(source, "POST", path, body, "release-1")
    assert (again.status, again.headers["Location"], again.json()["state"]) == (202, location, "succeeded")
    other = call(source, "POST", path, {**body, "destinationTag": "other"}, "release-1")
    assert other.status == 409, other.data

    assert_pulled(source, near, near.repository(), tmp_path)
    assert_no_pull(source, near.receiver, source.repository, tmp_path / "at-the-source")
    # Who owns what it is a copy of has no rights in it for that.
    assert_no_pull(source, source.cloud.admin, near.repository(), tmp_path / "at-the-destination")


def assert_no_pull(source: Source, account: Account, repository: str, folder: Path) -> None:
    host, _, path = repository.partition("/")
    said = registry.ask(source.cloud.endpoint, account, "GET", path, f"manifests/{TAG}", "pull")
    assert (said.status, said.code) == (403, "DENIED")
    clients: tuple[Driver, ...] = (Skopeo(made(folder / "skopeo")), Crane(made(folder / "crane")))
    for client in clients:
        must(client.login(host, account))
        refused, place = client.pull(f"{repository}:{TAG}")
        assert_refused(refused, client.name, "denied pull", said)
        assert left_behind(place) == []


def copy_by_command(source: Source, home: Path, there: Destination, name: str) -> Outcome:
    """What ``moorage image copy`` prints when it has copied the image."""
    copied = must(command(source, home, there.organisation.name, name))
    assert f"{there.organisation.name}/{name}:{TAG}" in copied.output.splitlines()
    return copied


def command(source: Source, home: Path, org: str, name: str) -> Outcome:
    words = (f"{IMAGE_NAME}:{TAG}", "--to-org", org, "--to-name", name)
    return run(
        *(COMMAND, "image", "copy", *words),
        home=home,
        secret=source.copier.password,
        MOORAGE_HOME=str(home / "moorage"),
        MOORAGE_ENDPOINT=source.cloud.endpoint,
        MOORAGE_ORG=source.cloud.org,
        MOORAGE_TOKEN=source.copier.password,
        PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring",
    )


@pytest.mark.parametrize(("store", "program"), [(bucket.DEFAULT, "podman"), (bucket.SECOND, "docker")])
def test_copy_by_the_command_is_pulled_from_either_store(
    source: Source,
    near: Destination,
    far: Destination,
    engine: Callable[[str], Driver],
    tmp_path: Path,
    store: str,
    program: str,
) -> None:
    there = {bucket.DEFAULT: near, bucket.SECOND: far}[store]
    home, name = made(tmp_path / "home"), f"by-command/{program}"
    stored = sum(bucket.sizes(source.cloud.state, "copy/", store))
    copied = copy_by_command(source, home, there, name)
    assert {bucket.DEFAULT: "no byte moved", bucket.SECOND: "moved to another store"}[store] in copied.output
    moved = sum(bucket.sizes(source.cloud.state, "copy/", store)) - stored
    assert moved == (0 if store == bucket.DEFAULT else sum(blob_sizes(source)))
    again = copy_by_command(source, home, there, f"{name}-again")
    assert "no byte moved" in again.output

    assert_pulled(source, there, there.repository(name), tmp_path / "pulled")
    client = engine(program)
    must(client.login(there.organisation.host, there.receiver))
    assert isinstance(client, Indexes)
    for architecture in (OWN_ARCHITECTURE, FOREIGN_ARCHITECTURE):
        outcome, place = client.pull_platform(f"{there.repository(name)}:{TAG}", architecture)
        must(outcome)
        assert image.layers_of(place) == source.pushed.images[architecture].layers
    assert_lies_in(source, there, name)


def blob_sizes(source: Source) -> list[int]:
    """Of all blobs that the image and what refers to it name."""
    blobs = source.pushed.layout / "blobs"
    manifests = {digest.replace(":", "/") for digest in source.digests.values()}
    files = [file for file in blobs.rglob("*") if file.is_file()]
    own = [file.stat().st_size for file in files if str(file.relative_to(blobs)) not in manifests]
    return [*own, *source.artifact_sizes]


def assert_lies_in(source: Source, there: Destination, name: str) -> None:
    """Blobs are pulled from the bucket of the organisation's store."""
    whole = f"{there.organisation.name}/{name}"
    layout = source.pushed.layout / "blobs"
    manifest = json.loads((layout / source.digests[OWN_ARCHITECTURE].replace(":", "/")).read_bytes())
    for blob in (manifest["config"], *manifest["layers"]):
        answer = registry.ask(
            source.cloud.endpoint, there.receiver, "GET", whole, f"blobs/{blob['digest']}", "pull"
        )
        assert answer.status == 307, answer.body
        place = urlsplit(answer.headers["Location"]).path
        assert place.startswith(f"/{bucket.name(source.cloud.state, there.store)}/")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[[str], Driver]]:
    """Makes clients that keep images."""
    with ExitStack() as stack:

        def make(name: str) -> Driver:
            folder = stack.enter_context(named_for_clients())
            return Podman(folder) if name == "podman" else Docker(folder, tmp_path / "docker.log", stack)

        yield make


def test_command_says_what_is_missing_to_who_may_not_create_there(
    source: Source, near: Destination, tmp_path: Path
) -> None:
    refusals = []
    for name in (source.cloud.org, "copies-nowhere"):
        refused = command(source, tmp_path, name, "mine")
        assert refused.exit_code == 4, refused
        refusals.append(refused.output.replace(name, "ORG"))
    # One that is there and one that is not look alike.
    assert len(set(refusals)) == 1, refusals
