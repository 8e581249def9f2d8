"""``moorage image push`` from running engines, and what others then pull."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients import docker, image
from tests.clients.cloud import Cloud
from tests.clients.command import Outcome, run
from tests.clients.image import TAG

pytestmark = pytest.mark.timeout(420)

BIN = Path(sys.executable).parent
SIZES = (300_000, 500_000)


def push(cloud: Cloud, home: Path, *words: str | Path, **environment: str) -> Outcome:
    """The outcome of ``moorage image push``."""
    return run(
        *(BIN / "moorage", "image", "push", *words),
        home=home,
        secret=cloud.admin.password,
        PATH=f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin",
        MOORAGE_HOME=str(home / "moorage"),
        MOORAGE_ENDPOINT=cloud.endpoint,
        MOORAGE_ORG=cloud.org,
        MOORAGE_TOKEN=cloud.admin.password,
        PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring",
        **environment,
    )


def pulled_layers(cloud: Cloud, home: Path, name: str) -> tuple[str, ...]:
    """The uncompressed layers of what skopeo pulls."""
    place = home / "pulled"
    words = ("skopeo", "--insecure-policy", "copy", "--all", "--src-tls-verify=false", "--src-creds")
    outcome = run(
        *words,
        f"{cloud.admin.username}:{cloud.admin.password}",
        f"docker://{cloud.host}/{cloud.org}/{name}:{TAG}",
        f"oci:{place}:{TAG}",
        home=home,
        secret=cloud.admin.password,
    )
    assert outcome.exit_code == 0, outcome
    return image.layers_of(place)


@pytest.mark.parametrize("store", [docker.CLASSIC, docker.CONTAINERD], ids=["classic", "containerd"])
def test_image_of_a_running_docker(registry_cloud: Cloud, tmp_path: Path, store: docker.Store) -> None:
    name = f"pushed-docker-{store.driver}"
    made = image.build(tmp_path, name, SIZES)
    with docker.engine(tmp_path, tmp_path / "docker.log", store) as engine:
        source = made.docker_archive if store is docker.CLASSIC else made.oci_archive
        loaded = engine.must("load", "--quiet", "--input", source).output.removeprefix("Loaded image: ")
        host = {"DOCKER_HOST": f"unix://{engine.socket}"}
        first = push(registry_cloud, tmp_path, f"docker:{loaded}", **host)
        again = push(registry_cloud, tmp_path, f"docker:{loaded}", **host)
        missing = push(registry_cloud, tmp_path, "docker:missing", **host)
    assert first.exit_code == 0, first
    assert "3 blobs sent" in first.output
    assert "0 blobs sent (0.0 MB), 3 were there" in again.output
    assert missing.exit_code == 1
    assert "docker cannot save missing: " in missing.output
    assert pulled_layers(registry_cloud, tmp_path, name) == made.layers


def test_image_of_podman(registry_cloud: Cloud, tmp_path: Path) -> None:
    made = image.build(tmp_path, "pushed-podman", SIZES)
    settings = tmp_path / "storage.conf"
    settings.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/root"\nrunroot = "{tmp_path}/run"\n', "utf-8"
    )
    storage = {"CONTAINERS_STORAGE_CONF": str(settings)}
    words = ("podman", "pull", "--quiet", f"oci:{made.layout}:{TAG}")
    loaded = run(*words, home=tmp_path, secret="", **storage).output.split()[-1]
    target = f"pushed-podman:{TAG}"
    first = push(registry_cloud, tmp_path, f"podman:{loaded}", target, **storage)
    assert first.exit_code == 0, first
    assert "3 blobs sent" in first.output
    again = push(registry_cloud, tmp_path, f"podman:{loaded}", target, **storage)
    assert "3 were there" in again.output
    assert pulled_layers(registry_cloud, tmp_path, "pushed-podman") == made.layers


def test_layout_that_skopeo_has_written_is_what_skopeo_pushes(registry_cloud: Cloud, tmp_path: Path) -> None:
    made = image.build_index(tmp_path, "pushed-skopeo", SIZES)
    layout = tmp_path / "a folder of skopeo"
    copy = ("skopeo", "--insecure-policy", "copy", "--all")
    copied = run(*copy, f"oci:{made.layout}:{TAG}", f"oci:{layout}:{TAG}", home=tmp_path)
    assert copied.exit_code == 0, copied
    ours = push(registry_cloud, tmp_path, f"oci:{layout}", f"pushed-skopeo:{TAG}")
    assert ours.exit_code == 0, ours
    login = (*("--dest-tls-verify=false", "--dest-creds"), f"<token>:{registry_cloud.admin.password}")
    target = f"docker://{registry_cloud.host}/{registry_cloud.org}/by-skopeo:{TAG}"
    theirs = run(
        *copy, *login, f"oci:{layout}:{TAG}", target, home=tmp_path, secret=registry_cloud.admin.password
    )
    assert theirs.exit_code == 0, theirs
    assert digest(registry_cloud, tmp_path, "pushed-skopeo") == digest(registry_cloud, tmp_path, "by-skopeo")


def digest(cloud: Cloud, home: Path, name: str) -> str:
    """Of the index under the tag."""
    outcome = run(
        *("skopeo", "inspect", "--raw", "--tls-verify=false", "--creds"),
        *(f"<token>:{cloud.admin.password}", f"docker://{cloud.host}/{cloud.org}/{name}:{TAG}"),
        home=home,
        secret=cloud.admin.password,
    )
    assert outcome.exit_code == 0, outcome
    return image.digest(outcome.output.encode())
