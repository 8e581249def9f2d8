"""`make run` as a newcomer meets it: one line, a login, images that are still there after whatever happens."""

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.local import wire
from tests.local.registry import Registry
from tests.processes import open_files
from tests.running_cloud import ROOT, RunningCloud

KEYS = {"endpoint", "org", "username", "password", "bootstrap"}


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def await_gone(pids, seconds):
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [pid for pid in pids if alive(pid)]


def test_one_line_says_all_that_is_needed(local_cloud):
    assert local_cloud.output.count("\n") == 1
    host = f"127.0.0.1:{local_cloud.port}"
    login = f"docker login {host} -u '<token>' --password-stdin < {local_cloud.state}/password"
    assert local_cloud.output == f"moorage is ready at {host}, organisation demo: {login}\n"


def test_login_line_can_be_pasted(local_cloud):
    command = local_cloud.output.partition("docker login ")[2]
    script = f'docker() {{ shift; printf "%s|" "$@"; cat; }}; docker login {command}'
    printed = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    host = f"127.0.0.1:{local_cloud.port}"
    assert printed == f"{host}|-u|<token>|--password-stdin|{local_cloud.credentials['password']}\n"
    assert shlex.split(command)[0] == host


def test_credentials_are_complete_and_private(local_cloud):
    credentials = local_cloud.credentials
    assert credentials.keys() == KEYS
    assert credentials["endpoint"] == f"http://127.0.0.1:{local_cloud.port}"
    assert (credentials["org"], credentials["username"]) == ("demo", "<token>")
    assert credentials["bootstrap"]
    for name in ("credentials.json", "password"):
        assert stat.S_IMODE((local_cloud.state / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(local_cloud.state.stat().st_mode) == 0o700


def test_nothing_secret_lies_open_in_the_state(local_cloud):
    """Below a folder that only the owner may enter; but the logs are read by people."""
    secrets = [local_cloud.credentials["password"], local_cloud.credentials["bootstrap"]]
    for log in [*(local_cloud.state / "logs").iterdir(), *(local_cloud.state / "emulators").glob("*.log")]:
        text = log.read_text("utf-8", "replace")
        assert not [secret for secret in secrets if secret in text], log


def test_registry_answers_with_its_own_header_and_challenge(local_cloud):
    answer = Registry(local_cloud).http.request("GET", f"{local_cloud.endpoint}/v2/")
    assert answer.status == 401
    assert answer.headers["Moorage-Version"]
    assert f'realm="{local_cloud.endpoint}/token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(("came_to", "sent_to"), [("127.0.0.1", "localhost"), ("localhost", "127.0.0.1")])
def test_redirect_to_storage_leads_to_another_host_name(local_cloud, came_to, sent_to):
    registry = Registry(local_cloud, came_to)
    layer = os.urandom(1000)
    registry.push(f"demo/{came_to.replace('.', '-')}", "v1", layer)
    manifest = json.loads(registry.pull(f"demo/{came_to.replace('.', '-')}", "v1")[0])
    digest = manifest["layers"][0]["digest"]
    answer = registry.request("GET", f"demo/{came_to.replace('.', '-')}", f"blobs/{digest}")
    location = answer.headers["Location"]
    assert re.match(rf"http://{re.escape(sent_to)}:\d+/", location)
    assert registry.http.request("GET", location).data == layer
    # A client that keeps its token on the way fails here, as it would at S3.
    leaking = registry.http.request("GET", location, headers={"Authorization": "Bearer token"})
    assert leaking.status == 400
    assert b"<Code>InvalidArgument</Code>" in leaking.data


def test_tls_hello_at_the_port_is_answered_in_plain_http(local_cloud):
    with wire.connect("127.0.0.1", local_cloud.port) as connection:
        connection.sendall(bytes.fromhex("160301007a0100007603034f") + bytes(100))
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_every_listener_is_on_the_loopback_interface(local_cloud):
    pids = [local_cloud.process.pid, *local_cloud.children.values()]
    assert len(pids) == 3
    owned = set().union(*map(open_files, pids))
    tables = [Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:] for table in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    listening = [
        row[1].rpartition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in owned
    ]
    # The front door, the S3 front, ministack, and what SeaweedFS opens.
    assert len(listening) >= 4
    assert set(listening) == {"0100007F"}


def test_port_that_is_taken_is_named_and_nothing_is_started(local_cloud, tmp_path):
    second = RunningCloud(tmp_path / "state", port=local_cloud.port)
    assert second.process.wait(30) == 1
    message = second.log.read_text("utf-8")
    assert f"port {local_cloud.port}" in message
    assert "PORT=" in message
    assert "Traceback" not in message
    assert second.output == ""
    assert second.children == {}


def refused(**variables):
    """What is said when the local cloud does not start."""
    answer = subprocess.run(
        [sys.executable, "-m", "local"],
        cwd=ROOT,
        env={**os.environ, "PORT": "0", **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith("moorage: ")
    assert answer.stderr.count("\n") == 1
    return answer.stderr


def test_state_belongs_to_one_cloud_at_a_time(local_cloud):
    message = refused(STATE=str(local_cloud.state))
    assert str(local_cloud.state) in message
    assert "STATE=" in message
    assert Registry(local_cloud).http.request("GET", f"{local_cloud.endpoint}/v2/").status == 401


@pytest.mark.parametrize("port", ["http", "65536", "-1", "5000 ", "\u0661x"])
def test_port_that_is_none_is_named(tmp_path, port):
    assert "PORT is a port" in refused(STATE=str(tmp_path / "state"), PORT=port)


def test_state_that_cannot_be_a_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    assert f"{tmp_path}/file" in refused(STATE=str(tmp_path / "file"))


def test_stop_during_the_start_leaves_nothing_behind(tmp_path):
    cloud = RunningCloud(tmp_path / "state")
    deadline = time.monotonic() + 20
    while len(children := cloud.children) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert cloud.stop() == 0
    assert await_gone(children.values(), 1) == []
    assert cloud.output == ""


def test_images_survive_a_stop_and_a_kill(tmp_path):
    state = tmp_path / "a folder, with a comma" / ("deep" * 20) / "state"
    state.parent.mkdir(parents=True)
    layers = {tag: os.urandom(100_000) for tag in ("first", "second")}

    # The end of an emulator ends the cloud, with a reason.
    cloud = RunningCloud(state).await_ready()
    login, port, children = cloud.credentials, cloud.port, cloud.children
    os.kill(children["ministack"], signal.SIGKILL)
    assert cloud.process.wait(20) == 1
    assert "ministack ended with status -9" in cloud.log.read_text("utf-8")
    assert await_gone(children.values(), 1) == []

    # Nothing was saved at leisure, but the login that was given out holds.
    cloud = RunningCloud(state, port).await_ready()
    assert cloud.credentials == login
    children = cloud.children
    Registry(cloud).push("demo/kept", "first", layers["first"])
    assert cloud.stop() == 0
    assert await_gone(children.values(), 5) == []

    # Started as a person does it, by make.
    make = ["make", "--silent", "run", f"PORT={port}", f"STATE={state}"]
    cloud = RunningCloud(state, port, save_seconds=0.5, command=make).await_ready()
    assert cloud.credentials == login
    assert Registry(cloud).pull("demo/kept", "first")[1] == layers["first"]
    Registry(cloud).push("demo/kept", "second", layers["second"])
    time.sleep(4)
    children = cloud.children
    cloud.kill()
    assert await_gone(children.values(), 5) == []

    cloud = RunningCloud(state, port).await_ready()
    try:
        assert cloud.credentials == login
        for tag, layer in layers.items():
            assert Registry(cloud).pull("demo/kept", tag)[1] == layer
        children = cloud.children
        # This time only the parent dies: its children must follow it.
        os.kill(cloud.process.pid, signal.SIGKILL)
        cloud.process.wait()
        assert await_gone(children.values(), 20) == []
    finally:
        cloud.stop()
