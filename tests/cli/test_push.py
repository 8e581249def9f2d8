"""`moorage image push` against the real registry and a store on loopback: what is sent, resumed, refused and said."""

import contextlib
import gzip
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moorage.domain.resources import Kind
from moorage_cli.commands import image_push
from moorage_cli.push import blob_upload
from moorage_cli.push import pushing as pushing_module
from tests.certificates import self_signed
from tests.cli.pushing import PUSH, pushing, s3_error
from tests.cli.stand_in import Answer
from tests.cli.test_command import HEAVY, LOADED
from tests.clients import image

MIB = 1024**2
SEND = "POST /v2/demo/app/blobs/uploads/_presigned/"


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(blob_upload, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(blob_upload, "_FIRST_WAIT", 0.001)
    with pushing() as running:
        yield running


@pytest.fixture
def user(world, terminal):
    return world.sign_in(terminal)


@pytest.fixture
def made(tmp_path):
    return image.build(tmp_path, "app", [300_000, 100_000])


def manifest_of(layout):
    top = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
    return top, json.loads((layout / "blobs" / top.replace(":", "/")).read_bytes())


def digests(manifest):
    return [each["digest"] for each in [manifest["config"], *manifest["layers"]]]


def start(user, *words):
    """The command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "moorage_cli", *PUSH, *map(str, words)],
        env={**os.environ, **user.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_help_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *PUSH, "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "docker:IMAGE, podman:IMAGE" in done.stdout
    assert not set(done.stdout.rpartition("LOADED ")[2].split()) & {*HEAVY, "tarfile", "http"}


# ------------------------------------------------------------------ what is sent
def test_layout_is_pushed_as_it_is_with_two_requests_a_blob(world, user, made):
    top, manifest = manifest_of(made.layout)
    assert user.ok(*PUSH, str(made.layout), "app:v1") == f"demo/app:v1@{top}\n"
    assert world.manifest("demo/app", "v1") == (top, manifest)
    for digest in digests(manifest):
        content = world.content("demo/app", digest)
        assert content == (made.layout / "blobs" / digest.replace(":", "/")).read_bytes()
    paths = world.registry.paths()
    assert paths[:2] == ["GET /token", f"HEAD /v2/demo/app/manifests/{top}"]
    assert paths[2:] == [SEND] * 3 + ["PUT /v2/demo/app/manifests/v1"]
    assert len(world.store.asked) == 3


def test_image_that_is_there_costs_three_requests_and_gets_the_tag(world, user, made):
    user.ok(*PUSH, str(made.layout), "app:v1")
    world.registry.asked.clear()
    outcome = user.run(*PUSH, str(made.layout), "app:v2")
    top, _ = manifest_of(made.layout)
    assert world.registry.paths() == [
        "GET /token",
        f"HEAD /v2/demo/app/manifests/{top}",
        "PUT /v2/demo/app/manifests/v2",
    ]
    assert len(world.store.asked) == 3
    assert "0 blobs sent (0.0 MB), 3 were there" in outcome.err
    assert world.manifest("demo/app", "v2")[0] == top


def test_only_what_is_missing_is_sent(world, user, made, tmp_path):
    user.ok(*PUSH, str(made.layout), "app:v1")
    world.store.asked.clear()
    other = tmp_path / "other"
    shutil.copytree(made.layout, other)
    _, manifest = manifest_of(other)
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    )
    write_image(other, config.encode(), manifest["layers"])
    assert "1 blobs sent (0.0 MB), 2 were there" in user.run(*PUSH, str(other), "app:v2").err
    assert [each.content for each in world.store.asked] == [config.encode()]


def write_image(layout, config, layers, **more):
    """Make another image of these layers the one of a layout; its manifest's digest."""
    blobs = layout / "blobs" / "sha256"
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": image._stored(blobs, "application/vnd.oci.image.config.v1+json", config),
        "layers": layers,
        **more,
    }
    top = image._stored(blobs, document["mediaType"], json.dumps(document).encode())
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    return top["digest"]


def test_layer_twice_and_layer_of_nothing(world, user, made):
    _, manifest = manifest_of(made.layout)
    empty = image._stored(made.layout / "blobs" / "sha256", manifest["layers"][0]["mediaType"], b"")
    layers = [manifest["layers"][0], empty, manifest["layers"][0], empty]
    top = write_image(made.layout, b"{}", layers)
    user.ok(*PUSH, str(made.layout), "app")
    assert world.manifest("demo/app")[0] == top
    assert len(world.store.asked) == 3
    assert world.content("demo/app", empty["digest"]) == b""


def test_index_is_pushed_whole_children_first_and_the_tag_last(world, user, tmp_path):
    made = image.build_index(tmp_path, "multi", [1000])
    top, document = manifest_of_index(made.layout)
    user.ok(*PUSH, str(made.layout), "app:v1")
    children = [each["digest"] for each in document["manifests"]]
    manifests = [path for path in world.registry.paths() if path.startswith("PUT ")]
    assert manifests == [f"PUT /v2/demo/app/manifests/{each}" for each in [*children, "v1"]]
    assert world.manifest("demo/app", "v1") == (top, document)


def manifest_of_index(layout):
    top = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
    return top, json.loads((layout / "blobs" / top.replace(":", "/")).read_bytes())


def test_one_platform_of_an_index(world, user, tmp_path):
    made = image.build_index(tmp_path, "multi", [1000])
    _, document = manifest_of_index(made.layout)
    wanted = next(each for each in document["manifests"] if each["platform"]["architecture"] == "arm64")
    user.ok(*PUSH, str(made.layout), "app:arm", "--platform", "linux/arm64")
    assert world.manifest("demo/app", "arm")[0] == wanted["digest"]
    assert len(world.store.asked) == 2
    refused = user.run(*PUSH, str(made.layout), "app:s390x", "--platform", "linux/s390x")
    assert refused.code == 2
    assert (
        "it has linux/amd64, linux/arm64" in refused.err or "it has linux/arm64, linux/amd64" in refused.err
    )


@pytest.mark.parametrize("packed", [False, True])
def test_archive_of_a_layout(world, user, made, tmp_path, packed):
    archive = made.oci_archive
    if packed:
        archive = tmp_path / "image.tgz"
        archive.write_bytes(gzip.compress(made.oci_archive.read_bytes(), 1))
    top, _ = manifest_of(made.layout)
    assert user.ok(*PUSH, str(archive), "app:v1") == f"demo/app:v1@{top}\n"
    assert world.manifest("demo/app", "v1")[0] == top


def test_docker_archive_gets_a_manifest_and_the_same_compressed_layers_each_time(world, user, made):
    first = user.ok(*PUSH, str(made.docker_archive))
    assert first.startswith("demo/app:1.0.0@sha256:")
    assert user.ok(*PUSH, f"docker-archive:{made.docker_archive}:app:1.0.0", "other").endswith(
        first.partition("@")[2]
    )
    _, manifest = world.manifest("demo/app", "1.0.0")
    assert {each["mediaType"] for each in manifest["layers"]} == {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    }
    plain = [
        zlib.decompress(world.content("demo/app", each["digest"]), wbits=31) for each in manifest["layers"]
    ]
    assert tuple(map(image.digest, plain)) == made.layers
    assert json.loads(world.content("demo/app", manifest["config"]["digest"]))["rootfs"]["diff_ids"] == list(
        made.layers
    )


def test_docker_archive_can_stay_uncompressed_and_is_then_not_read_but_sent(world, user, made):
    user.ok(*PUSH, str(made.docker_archive), "app", "--no-compress")
    _, manifest = world.manifest("demo/app")
    assert tuple(each["digest"] for each in manifest["layers"]) == made.layers
    assert {each["mediaType"] for each in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar"}


# ------------------------------------------------------------------ what it is called
@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("app", "app/manifests/latest"),
        ("team/app:v1", "team/app/manifests/v1"),
        ("//image/app:v1", "app/manifests/v1"),
        ("/org/demo/image/app:v1", "app/manifests/v1"),
        ("{host}/demo/team/app:v1", "team/app/manifests/v1"),
        ("demo.{host}/app:v1", "app/manifests/v1"),
        ("//image/my.app/web:v1", "my.app/web/manifests/v1"),
        ("/org/demo/image/my.app/web:v1", "my.app/web/manifests/v1"),
        ("{host}/demo/my.app/web:v1", "my.app/web/manifests/v1"),
    ],
)
def test_names(world, user, made, written, path):
    host = world.registry.endpoint.removeprefix("http://")
    user.ok(*PUSH, str(made.layout), written.format(host=host))
    assert world.registry.paths()[-1] == f"PUT /v2/demo/{path}"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("App", "'App' cannot be the name"),
        ("../app", "cannot be the name"),
        ("app:", "'' cannot be a tag"),
        ("app:v 1", "cannot be a tag"),
        ("app:v1:v2", "cannot be a tag"),
        ("a" * 129, "cannot be the name"),
        ("app@sha256:" + "0" * 64, "pushed under a tag"),
        ("elsewhere.example/demo/app", "is not at 127.0.0.1"),
        ("{host}/other/app", "is not in demo; add --org other"),
        ("", "'' cannot be the name"),
        ("my.app/web:v1", "is not at 127.0.0.1"),
        ("app%2fb", "cannot be the name"),
    ],
)
def test_name_that_cannot_be_one_is_refused_before_anything_is_asked(world, user, made, written, said):
    outcome = user.run(*PUSH, str(made.layout), written.format(host=world.registry.endpoint[7:]))
    assert outcome.code == 2
    assert said in outcome.err
    assert world.registry.asked == []


def test_part_of_the_name_in_a_source_is_taken_for_no_host(world, user, made):
    document = json.loads((made.layout / "index.json").read_bytes())
    document["manifests"][0]["annotations"] = {
        "org.opencontainers.image.ref.name": "hub.example/my.app/web:v1"
    }
    (made.layout / "index.json").write_text(json.dumps(document))
    assert user.ok(*PUSH, str(made.layout)).startswith("demo/my.app/web:v1@")


@pytest.fixture
def split(domain, terminal):
    """A registry with a domain, and a terminal that asks it at a host of that."""
    with pushing(domain) as running:
        running.registry.on(
            "GET", "/discovery", {"endpoints": {"registry": f"https://{{org}}.{domain}", "api": "x"}}
        )
        running.sign_in(terminal)

        def at(host):
            terminal.environment["MOORAGE_ENDPOINT"] = f"http://{host}:{running.registry.port}"
            return terminal

        yield running, at


@pytest.mark.parametrize("written", ["app:v1", "{host}/app:v1"])
def test_at_the_host_of_the_organisation_names_go_without_it(split, domain, made, written):
    world, at = split
    user = at(f"demo.{domain}")
    host = f"demo.{domain}:{world.registry.port}"
    top, manifest = manifest_of(made.layout)
    out = user.ok(*PUSH, str(made.layout), written.format(host=host), "--insecure")
    assert out == f"demo/app:v1@{top}\n"
    assert world.manifest("demo/app", "v1") == (top, manifest)


def test_at_the_domain_itself_names_go_with_the_organisation(split, domain, made):
    world, at = split
    top, _ = manifest_of(made.layout)
    for written, tag in (("app:v1", "v1"), (f"demo.{domain}:{world.registry.port}/app:v2", "v2")):
        at(domain).ok(*PUSH, str(made.layout), written, "--insecure")
        assert world.manifest("demo/app", tag)[0] == top


def test_nothing_goes_to_the_host_of_another_organisation(split, domain, made):
    world, at = split
    outcome = at(f"other.{domain}").run(*PUSH, str(made.layout), "app:v1", "--insecure")
    assert outcome.code == 2
    assert f"add --endpoint https://{domain}, or --org other" in outcome.err
    assert world.registry.paths() == ["GET /discovery"]


def test_results_in_other_forms(world, user, made):
    top, _ = manifest_of(made.layout)
    document = json.loads(user.ok(*PUSH, str(made.layout), "app:v1", "-o", "json"))
    assert document["digest"] == top
    assert document["blobs"] == {"sent": 3, "there": 0}
    assert document["links"] == [{"rel": "self", "href": "/org/demo/image/app:v1"}]
    assert user.ok(*PUSH, str(made.layout), "app:v1", "-o", "names") == "/org/demo/image/app:v1\n"
    assert f"digest: {top}" in user.ok(*PUSH, str(made.layout), "app:v1", "-o", "yaml")


# ------------------------------------------------------------------ who may, and what may move
def test_who_may_not_push_is_told_so_and_sends_nothing(world, user, made):
    world.sign_in(user, "demo/viewer")
    outcome = user.run(*PUSH, str(made.layout), "app")
    assert outcome.code == 4
    assert "may not push to demo/app" in outcome.err
    assert world.store.asked == []


def test_key_that_is_none(world, user, made):
    user.environment["MOORAGE_TOKEN"] = "mrgkey_" + "x" * 43
    outcome = user.run(*PUSH, str(made.layout), "app")
    assert outcome.code == 4
    assert "moorage profile login" in outcome.err


def test_bearer_token_in_place_of_a_key_is_used_as_it_is(world, user, made):
    user.environment["MOORAGE_TOKEN"] = world.world.token("demo/admin", "repository:demo/app:pull,push")
    user.ok(*PUSH, str(made.layout), "app")
    assert "GET /token" not in world.registry.paths()


def test_immutable_tag_stays(world, user, made, tmp_path):
    user.ok(*PUSH, str(made.layout), "app:v1")
    before = world.manifest("demo/app", "v1")
    table = world.world.table
    organisation = table.find(Kind.ORG, "demo", "demo")
    spec = {**organisation.spec, "immutableTags": [{"repository": "*", "tags": ["v?"]}]}
    table.replace(organisation, replace(organisation, spec=spec, version=organisation.version + 1))
    (tmp_path / "b").mkdir()
    other = image.build(tmp_path / "b", "other", [1000])
    outcome = user.run(*PUSH, str(other.layout), "app:v1")
    assert outcome.code == 4
    assert "the tag v1 is immutable" in outcome.err
    assert world.manifest("demo/app", "v1") == before


# ------------------------------------------------------------------ parts, and breaks
def parts_of(world):
    return [each.query["partNumber"][0] for each in world.store.asked]


def test_large_blob_comes_in_parts_and_is_verified(world, user, tmp_path, monkeypatch):
    made = image.build(tmp_path, "large", [66 * MIB])
    show = world.ask

    def ask(asked):
        answer = show(asked)
        if asked.method == "GET" and "_presigned" in asked.path:
            world.finalize()
        return answer

    world.registry.fallback = ask
    user.ok(*PUSH, str(made.layout), "app", "--part-size", "40M")
    sizes = sorted(len(each.content) for each in world.store.asked)
    _, manifest = world.manifest("demo/app")
    assert sizes == [manifest["config"]["size"], manifest["layers"][0]["size"] - 40 * MIB, 40 * MIB]
    assert world.holds("demo/app", manifest["layers"][0]["digest"])


def test_part_that_lies_is_found_by_the_registry(world, user, tmp_path):
    made = image.build(tmp_path, "large", [6 * MIB])
    lie(made.layout)
    outcome = user.run(*PUSH, str(made.layout), "app", "--part-size", "5M")
    assert outcome.code == 2
    assert "the source holds other content than sha256:" in outcome.err
    assert not list((user.home / "pushes").glob("*.json"))


def lie(layout):
    """Change a byte of the largest blob."""
    file = max((layout / "blobs" / "sha256").iterdir(), key=lambda each: each.stat().st_size)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    return f"sha256:{file.name}"


@pytest.mark.parametrize("size", ["4M", "6G", "x", "0", "-1"])
def test_part_sizes_that_no_store_takes(user, made, size):
    assert user.run(*PUSH, str(made.layout), "app", "--part-size", size).code == 2


def test_push_that_was_interrupted_goes_on_with_what_is_missing(world, user, tmp_path):
    made = image.build(tmp_path, "large", [21 * MIB])
    words = (made.layout, "app", "--part-size", "5M", "--parallel", "1")
    world.hold_from = 2
    first = start(user, *words)
    assert world.held.wait(60)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 130
    assert out == ""
    # The shell has written ^C into a line that is then left.
    assert [line for line in err.splitlines() if line] == [
        "moorage: 10.5 MB of 22.0 MB are there; the same command sends the rest",
        "moorage: interrupted",
    ]
    (kept,) = (user.home / "pushes").glob("*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    for secret in ("X-Amz", "http", user.environment["MOORAGE_TOKEN"], "eyJ"):
        assert secret not in kept.read_text()
    world.hold.set()
    world.hold_from = 1_000_000
    done = parts_of_layer(world)
    world.store.asked.clear()
    user.ok(*map(str, (*PUSH, *words)))
    # The part that was on its way may have arrived or not; those before it are not sent again.
    again = parts_of_layer(world)
    assert len(done) in (2, 3)
    assert set(again) | set(done) == {"1", "2", "3", "4", "5"}
    assert not set(again) & set(done[:2])
    assert world.manifest("demo/app")[1] == manifest_of(made.layout)[1]
    assert not list((user.home / "pushes").iterdir())


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_push_that_is_ended_leaves_no_temporary_files_and_says_what_has_arrived(
    world, user, made, tmp_path, number, code
):
    user.environment["TMPDIR"] = str(tmp_path / "temporary")
    (tmp_path / "temporary").mkdir()
    world.hold_from = 0
    running = start(user, made.docker_archive, "app")
    assert world.held.wait(60)
    assert list((tmp_path / "temporary").iterdir())
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == code, err
    assert out == ""
    told, ended = (line for line in err.splitlines() if line)
    assert told.startswith("moorage: nothing of 0.4 MB has arrived whole; --part-size 64M keeps parts")
    assert ended == ("moorage: interrupted" if number is signal.SIGINT else "moorage: ended by a signal")
    assert not list((tmp_path / "temporary").iterdir())


def test_push_that_is_ended_while_an_engine_saves(user, tmp_path):
    for folder in ("bin", "temporary"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bin" / "docker").write_text(
        f"#!/bin/sh\necho $$ > {tmp_path}/pid\nwhile echo x; do sleep 0.1; done\n"
    )
    (tmp_path / "bin" / "docker").chmod(0o755)
    user.environment |= {"TMPDIR": str(tmp_path / "temporary"), "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    running = start(user, "docker:app")
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < until
        time.sleep(0.01)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (143, "moorage: ended by a signal\n")
    assert not list((tmp_path / "temporary").iterdir())
    # It is killed, or finds that nobody reads what it writes.
    while Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists():
        assert time.monotonic() < until + 60
        time.sleep(0.01)


def test_who_has_hangups_ignored_is_not_ended_by_one(world, user, made):
    world.hold_from = 0
    words = [*PUSH, made.layout, "app"]
    with subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-m", "moorage_cli", *words],
        env=user.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert world.held.wait(60)
        running.send_signal(signal.SIGHUP)
        world.hold.set()
        running.communicate(timeout=60)
    assert running.returncode == 0


def test_what_has_arrived_whole_counts_as_being_there(world, user, tmp_path):
    made = image.build(tmp_path, "large", [5 * MIB, 6 * MIB])
    world.hold_from = 1
    running = start(user, made.layout, "app", "--parallel", "1")
    assert world.held.wait(60)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert "moorage: 6.3 MB of 11.6 MB are there; the same command sends the rest\n" in err


def test_push_of_one_image_leaves_what_is_kept_of_another(world, user, made, tmp_path):
    (tmp_path / "other").mkdir()
    large = image.build(tmp_path / "other", "large", [5 * MIB])
    world.refusals = [s3_error(418, "Teapot")] * 2
    assert user.run(*PUSH, str(large.layout), "app:v1").code == 4
    world.refusals.clear()
    (file,) = (user.home / "pushes").glob("*.json")
    kept = file.read_text()
    user.ok(*PUSH, str(made.layout), "app:v2")
    user.ok(*PUSH, str(made.layout), "app:v3")
    assert file.read_text() == kept
    user.ok(*PUSH, str(large.layout), "app:v1")
    assert not list((user.home / "pushes").iterdir())


def parts_of_layer(world):
    return [each.query["partNumber"][0] for each in world.store.asked if "partNumber" in each.query]


def test_blob_that_was_stored_whole_is_not_sent_again(world, user, tmp_path):
    made = image.build(tmp_path, "large", [5 * MIB])
    world.registry.on("PUT", "/v2/demo/app/manifests/latest", Answer({"errors": []}, 418), world.ask)
    assert user.run(*PUSH, str(made.layout), "app").code != 0
    world.store.asked.clear()
    outcome = user.run(*PUSH, str(made.layout), "app")
    assert outcome.code == 0
    assert world.store.asked == [] or max(len(each.content) for each in world.store.asked) < MIB


@pytest.mark.parametrize("kept", ["{", "[]", '{"v": 9}', '{"v": 1, "uploads": {"x": {"id": "../.."}}}', ""])
def test_what_is_kept_and_damaged_does_not_hinder(world, user, tmp_path, kept):
    large = image.build(tmp_path, "large", [5 * MIB])
    world.registry.on("PUT", "/v2/demo/app/manifests/latest", Answer({"errors": []}, 418), world.ask)
    assert user.run(*PUSH, str(large.layout), "app").code != 0
    (file,) = (user.home / "pushes").glob("*.json")
    file.write_text(kept)
    assert user.run(*PUSH, str(large.layout), "app").code == 0


def test_upload_that_has_ended_since_is_begun_anew(world, user, tmp_path):
    made = image.build(tmp_path, "large", [5 * MIB])
    world.refusals = [s3_error(418, "Teapot")] * 2
    assert user.run(*PUSH, str(made.layout), "app").code == 4
    (file,) = (user.home / "pushes").glob("*.json")
    kept = json.loads(file.read_text())
    for upload in kept["uploads"].values():
        upload["id"] = "0" * 32
    file.write_text(json.dumps(kept))
    world.refusals.clear()
    user.ok(*PUSH, str(made.layout), "app")
    assert world.manifest("demo/app")


def test_two_pushes_of_the_same_image_at_once(world, user, tmp_path):
    made = image.build(tmp_path, "large", [11 * MIB, 6 * MIB])
    world.hold_from = 0
    running = [start(user, made.layout, "app", "--part-size", "5M") for _ in range(2)]
    assert world.held.wait(60)
    world.hold.set()
    ended = [(each.communicate(timeout=120)[1], each.returncode) for each in running]
    assert [code for _, code in ended] == [0, 0], ended
    assert world.manifest("demo/app")[1] == manifest_of(made.layout)[1]
    assert not list((user.home / "pushes").glob("*.json"))


# ------------------------------------------------------------------ a store and a registry in trouble
@pytest.mark.parametrize(
    "refusal",
    [
        s3_error(503, "SlowDown"),
        s3_error(500, "InternalError"),
        s3_error(429, "TooManyRequests"),
        s3_error(409, "ConditionalRequestConflict"),
        s3_error(400, "RequestTimeout"),
        s3_error(403, "AccessDenied"),
        Answer(broken=True),
    ],
    ids=lambda each: f"{each.status}" + ("broken" if each.broken else ""),
)
def test_store_that_refuses_for_a_moment_is_asked_again(world, user, made, refusal):
    world.refusals = [refusal] * 3
    user.ok(*PUSH, str(made.layout), "app")
    assert world.manifest("demo/app")[1] == manifest_of(made.layout)[1]


def test_address_that_has_ended_is_asked_for_anew(world, user, made):
    world.refusals = [s3_error(403, "AccessDenied")]
    user.ok(*PUSH, str(made.layout), "app", "--parallel", "1")
    shown = [path for path in world.registry.paths() if path.startswith("GET /v2/demo/app/blobs/uploads/")]
    assert len(shown) == 1


def test_addresses_that_are_nearly_an_hour_old_are_not_even_tried(world, user, made, monkeypatch):
    monkeypatch.setattr(blob_upload, "_ADDRESS_SECONDS", -1)
    user.ok(*PUSH, str(made.layout), "app")
    shown = [path for path in world.registry.paths() if path.startswith("GET /v2/demo/app/blobs/uploads/")]
    assert len(shown) == 3
    assert len(world.store.asked) == 3


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (s3_error(403, "AccessDenied"), 4),
        (s3_error(503, "SlowDown"), 6),
        (s3_error(418, "Teapot"), 4),
        (Answer(broken=True), 6),
    ],
    ids=["403", "503", "418", "broken"],
)
def test_store_that_keeps_refusing_is_named_without_its_address(world, user, made, refusal, code):
    world.refusals = [refusal] * 1000
    outcome = user.run(*PUSH, str(made.layout), "app", "--verbose")
    assert outcome.code == code
    assert "the store does not take sha256:" in outcome.err
    assert "push it again" in outcome.err
    for secret in ("X-Amz", "Signature", user.environment["MOORAGE_TOKEN"], "eyJ"):
        assert secret not in outcome.err


def test_answer_that_was_lost_is_no_second_copy(world, user, made):
    answers = []

    def losing(asked):
        answers.append(world.put(asked))
        return Answer(broken=True) if len(answers) == 1 else answers[-1]

    world.store.fallback = losing
    user.ok(*PUSH, str(made.layout), "app", "--parallel", "1")
    assert [each.status for each in answers] == [200, 412, 200, 200]
    assert world.manifest("demo/app")[1] == manifest_of(made.layout)[1]


def test_layer_that_lies_about_its_digest_is_not_taken_by_the_store(world, user, made):
    digest = lie(made.layout)
    outcome = user.run(*PUSH, str(made.layout), "app")
    assert outcome.code == 2
    assert f"the source holds other content than {digest}" in outcome.err
    assert not any(path.startswith("PUT ") for path in world.registry.paths())


@pytest.mark.parametrize("status", [429, 503])
def test_busy_registry_is_asked_again(world, user, made, status):
    busy = Answer({"errors": [{"code": "TOOMANYREQUESTS", "message": "later"}]}, status, {"Retry-After": "0"})
    world.registry.on("POST", "/v2/demo/app/blobs/uploads/_presigned/", busy, busy, world.ask)
    world.registry.on("PUT", "/v2/demo/app/manifests/latest", busy, world.ask)
    user.ok(*PUSH, str(made.layout), "app")


def test_blob_that_was_linked_too_late_for_the_manifest_is_no_failure(world, user, made):
    lacking = Answer({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "push that first"}]}, 400)
    world.registry.on("PUT", "/v2/demo/app/manifests/latest", lacking, world.ask)
    user.ok(*PUSH, str(made.layout), "app")
    assert world.manifest("demo/app")[1] == manifest_of(made.layout)[1]


def test_blobs_that_were_sent_twice_are_counted_once(world, user, made):
    lacking = Answer({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "push that first"}]}, 400)
    world.registry.on("PUT", "/v2/demo/app/manifests/latest", lacking, world.ask)
    outcome = user.run(*PUSH, str(made.layout), "app", "-o", "json")
    assert len(world.store.asked) == 6
    assert json.loads(outcome.out)["blobs"] == {"sent": 3, "there": 0}
    assert "3 blobs sent" in outcome.err


def test_store_is_not_waited_for_once_it_is_not_asked_again(world, user, made, monkeypatch):
    waited = []
    monkeypatch.setattr(blob_upload.BlobUpload, "_wait", lambda _, seconds: waited.append(seconds))
    world.refusals = [s3_error(503, "SlowDown")] * 1000
    assert user.run(*PUSH, str(made.layout), "app", "--parallel", "1").code == 6
    assert len(world.store.asked) == len(waited) + 1 == 6
    assert waited == sorted(waited)


def test_certificate_that_is_not_accepted_is_not_tried_again(world, user, made, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        begun = []

        def greet():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                begun.append(connection)
                with contextlib.suppress(OSError), connection:
                    context.wrap_socket(connection, server_side=True).close()

        greeting = threading.Thread(target=greet, daemon=True)
        greeting.start()
        secure = f"https://127.0.0.1:{listening.getsockname()[1]}"

        def elsewhere(asked):
            answer = world.ask(asked)
            if isinstance(answer.body, bytes):
                return replace(
                    answer, body=answer.body.replace(world.store.endpoint.encode(), secure.encode())
                )
            return answer

        world.registry.fallback = elsewhere
        outcome = user.run(*PUSH, str(made.layout), "app", "--parallel", "1")
        listening.shutdown(socket.SHUT_RDWR)
        greeting.join(10)
    assert outcome.code == 6
    assert "the store cannot be reached: its certificate is not accepted" in outcome.err
    assert len(begun) == 1


def test_content_that_stays_unknown_is_a_failure(world, user, made):
    lacking = Answer({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "push that first"}]}, 400)
    world.registry.on("PUT", "/v2/demo/app/manifests/latest", lacking)
    assert "push that first" in user.run(*PUSH, str(made.layout), "app").err


def test_token_that_is_refused_is_made_anew(world, user, made):
    refused = Answer({"errors": [{"code": "UNAUTHORIZED", "message": "expired"}]}, 401)
    world.registry.on("PUT", "/v2/demo/app/manifests/latest", refused, world.ask)
    user.ok(*PUSH, str(made.layout), "app")
    assert world.registry.paths().count("GET /token") == 2


def test_manifest_of_a_hundred_layers_is_not_left_to_make_blobs_of_them(world, user, made, monkeypatch):
    monkeypatch.setattr(pushing_module, "_MOST_BY_MANIFEST", 2)
    user.ok(*PUSH, str(made.layout), "app")
    assert sum(path.endswith("/complete") for path in world.registry.paths()) == 3


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"id": "x", "state": "open", "put": {"url": "ftp://x/y", "headers": {}}, "size": 1}, 201),
        Answer({"id": "x", "state": "open", "put": {}, "size": 1}, 201),
        Answer({"id": "x", "state": "open", "parts": [{"number": 2, "size": 1, "url": "http://x"}]}, 201),
        Answer([], 201),
        Answer(b"<html>", 200, {"Content-Type": "text/html"}),
    ],
    ids=["scheme", "no url", "other parts", "a list", "html"],
)
def test_registry_that_answers_otherwise(world, user, made, answer):
    world.registry.on("POST", "/v2/demo/app/blobs/uploads/_presigned/", answer)
    assert user.run(*PUSH, str(made.layout), "app").code == 6


def test_folder_that_cannot_be_written_costs_the_resuming_and_not_the_push(world, user, made):
    user.home.mkdir()
    (user.home / "pushes").write_text("in the way")
    user.ok(*PUSH, str(made.layout), "app")


def test_token_that_may_end_before_the_push_is_told_of_beforehand(world, user, made, monkeypatch):
    key = user.environment["MOORAGE_TOKEN"]
    world.world.clock.now = datetime.now(UTC)
    user.environment["MOORAGE_TOKEN"] = world.world.token("demo/admin", "repository:demo/app:pull,push")
    assert "the token" not in user.run(*PUSH, str(made.layout), "app:v1").err
    monkeypatch.setattr(image_push, "_SLOW", 1)
    outcome = user.run(*PUSH, str(made.layout), "app:v2")
    assert outcome.code == 0
    assert outcome.err.startswith("moorage: the token that was given ends in ")
    assert "moorage profile login" in outcome.err
    user.environment["MOORAGE_TOKEN"] = key
    assert "the token" not in user.run(*PUSH, str(made.layout), "app:v3").err


def test_bars_are_for_terminals_alone(world, user, made):
    piped = user.run(*PUSH, str(made.layout), "app:v1")
    assert "\x1b" not in piped.out + piped.err
    assert piped.err.count("\n") == 1
    shown = user.run(
        *PUSH, str(made.layout), "other:v1", tty=True, environment={"TERM": "xterm", "COLUMNS": "100"}
    )
    assert "\x1b" in shown.err
    for digest in digests(manifest_of(made.layout)[1]):
        assert digest.removeprefix("sha256:")[:12] in shown.err
    assert "\x1b" not in shown.out
