"""`moorage image push` against the whole local cloud: a real store, and the finalizer behind it."""

import json
import subprocess
import sys

import httpx2
import pytest

from tests.cli.pushing import PUSH
from tests.cli.terminal import Terminal
from tests.clients import image
from tests.running_cloud import RunningCloud

MIB = 1024**2


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    running = RunningCloud(tmp_path_factory.mktemp("cloud") / "state", INGEST="off").await_ready()
    yield running
    running.stop()


@pytest.fixture
def user(cloud, tmp_path):
    terminal = Terminal(tmp_path / "home")
    terminal.ok("profile", "login", "--local", str(cloud.state))
    return terminal


def largest(layout):
    return max((layout / "blobs" / "sha256").iterdir(), key=lambda file: file.stat().st_size)


def test_blobs_go_to_the_store_in_one_piece_and_in_parts_that_are_verified(user, tmp_path):
    made = image.build(tmp_path, "large", [70 * MIB, 1000, 0])
    pushed = user.run(*PUSH, str(made.layout), "whole:v1")
    assert pushed.code == 0, pushed
    assert "4 blobs sent" in pushed.err
    parts = user.run(*PUSH, str(made.layout), "parts:v1", "--part-size", "32M")
    assert parts.code == 0, parts
    assert parts.out.partition("@")[2] == pushed.out.partition("@")[2]
    assert json.loads(user.ok("image", "get", "parts:v1", "-o", "json"))["name"] == "parts:v1"
    again = user.run(*PUSH, str(made.layout), "parts:v2", "-v")
    assert "0 blobs sent (0.0 MB), 4 were there" in again.err
    assert " PUT " not in again.err.replace("\nPUT /v2/", "\n")


@pytest.mark.parametrize("words", [(), ("--part-size", "5M")], ids=["whole", "parts"])
def test_layer_that_lies_about_its_digest_is_found_out(user, tmp_path, words):
    made = image.build(tmp_path, f"lying{len(words)}", [6 * MIB])
    file = largest(made.layout)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    outcome = user.run(*PUSH, str(made.layout), f"lying{len(words)}:v1", *words)
    assert outcome.code == 2, outcome
    assert f"the source holds other content than sha256:{file.name}" in outcome.err
    assert user.run("image", "get", f"lying{len(words)}:v1").code == 3


def test_push_that_is_killed_goes_on_with_what_is_missing(user, tmp_path):
    made = image.build(tmp_path, "killed", [40 * MIB])
    words = (*PUSH, str(made.layout), "killed:v1", "--part-size", "5M", "--parallel", "1", "-v")
    process = subprocess.Popen(
        [sys.executable, "-m", "moorage_cli", *words],
        env=user.environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    sent = 0
    for line in process.stderr:
        sent += line.startswith("PUT 127.0.0.1") and " 200 " in line
        if sent == 3:
            break
    process.kill()
    process.wait()
    process.stderr.close()
    resumed = user.run(*words)
    assert resumed.code == 0, resumed
    # Nine parts, of which three are there for certain, and the configuration.
    assert 1 <= resumed.err.count("\nPUT 127.0.0.1") <= 7
    assert list((user.home / "pushes").iterdir()) == []


def test_pushes_of_the_same_image_at_once_to_several_repositories(user, cloud, tmp_path):
    made = image.build(tmp_path, "shared", [3 * MIB, 2 * MIB])
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "moorage_cli", *PUSH, str(made.layout), name],
            env=user.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("shared-a", "shared-a", "shared-b", "shared-b")
    ]
    ended = [(each.communicate(timeout=200), each.returncode) for each in running]
    assert [code for _, code in ended] == [0] * 4, ended
    top = json.loads((made.layout / "index.json").read_bytes())["manifests"][0]["digest"]
    names = ("shared-a", "shared-a", "shared-b", "shared-b")
    assert [out for (out, _), _ in ended] == [f"demo/{name}:latest@{top}\n" for name in names]
    for name in set(names):
        assert pulled(user, cloud, f"demo/{name}", top) == {
            file.name: file.read_bytes() for file in (made.layout / "blobs" / "sha256").iterdir()
        }


def pulled(user, cloud, repository, digest):
    """The blobs of an image by the hexadecimal part of their digests, as a client of the registry gets them."""
    token = user.ok("profile", "token", "--scope", f"repository:{repository}:pull").strip()
    with httpx2.Client(base_url=f"{cloud.endpoint}/v2/{repository}/", follow_redirects=True) as client:

        def got(path):
            answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200, answer.text
            return answer.content

        assert got("manifests/latest") == got(f"manifests/{digest}")
        found = {digest: got(f"manifests/{digest}")}
        manifest = json.loads(found[digest])
        for each in [manifest["config"], *manifest["layers"]]:
            found[each["digest"]] = got(f"blobs/{each['digest']}")
    return {name.partition(":")[2]: content for name, content in found.items()}
