"""The state folder, and the children that are found through it."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local import emulators, ports, processes
from local.ports import PortTakenError
from local.processes import Child, StartError
from local.state import StateFolder, StateInUseError, write_private
from tests.processes import open_files
from tests.running_cloud import ROOT

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


def up(child):
    deadline = time.monotonic() + 10
    while "up" not in child.log.read_text("utf-8"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return child


def test_folder_has_one_owner_at_a_time(tmp_path):
    with StateFolder(tmp_path / "state"), pytest.raises(StateInUseError, match="STATE="):
        StateFolder(tmp_path / "state")
    with StateFolder(tmp_path / "state") as again:
        assert again.path == tmp_path / "state"


def test_file_is_private_whole_and_replaced(tmp_path):
    with StateFolder(tmp_path / "state") as state:
        assert state.read("a.json") is None
        for value in ({"a": 1}, [1, "\u00e9"]):
            path = state.write("a.json", value)
            assert state.read("a.json") == value
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert sorted(entry.name for entry in state.path.iterdir()) == ["a.json", "lock"]


def test_private_file_stays_as_it_was_when_the_new_one_cannot_be_written(tmp_path):
    target = tmp_path / "a"
    write_private(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(target, "\ud800")
    assert target.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_child_is_ended_by_its_pid(tmp_path):
    child = up(Child("sleeper", SLEEPER, {}, tmp_path))
    child.ensure_running()
    assert json.loads((tmp_path / "sleeper.pid").read_text("utf-8"))["pid"] == child.pid
    processes.stop_all([child])
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
    assert not (tmp_path / "sleeper.pid").exists()
    with pytest.raises(StartError, match=r"sleeper\.log"):
        child.ensure_running()


def test_child_that_does_not_listen_is_killed_after_its_time(tmp_path):
    child = up(Child("stubborn", STUBBORN, {}, tmp_path, stop_seconds=0.5))
    start = time.monotonic()
    processes.stop_all([child])
    assert 0.4 < time.monotonic() - start < 5
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_child_of_a_killed_parent_is_ended_at_the_next_start(tmp_path):
    orphan = up(Child("orphan", SLEEPER, {}, tmp_path))
    assert processes.started_at(orphan.pid) is not None
    processes.stop_leftovers(tmp_path)
    # Our own child until we wait for it, but ended.
    assert processes.started_at(orphan.pid) is None
    assert list(tmp_path.glob("*.pid")) == []
    orphan.wait()


def test_process_that_has_got_the_pid_of_a_child_is_left_alone(tmp_path):
    with subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL) as stranger:
        write_private(tmp_path / "child.pid", json.dumps({"pid": stranger.pid, "started": "1"}))
        processes.stop_leftovers(tmp_path)
        assert stranger.poll() is None
        assert list(tmp_path.glob("*.pid")) == []
        stranger.kill()


def test_record_of_a_process_that_is_gone_is_removed(tmp_path):
    write_private(tmp_path / "child.pid", json.dumps({"pid": 2**22 - 1, "started": "1"}))
    processes.stop_leftovers(tmp_path)
    assert list(tmp_path.glob("*.pid")) == []


def test_port_that_is_taken_is_named():
    with ports.listen(0) as listener:
        port = ports.number(listener)
        with pytest.raises(PortTakenError, match=str(port)):
            ports.listen(port)


def test_free_ports_differ():
    assert len(set(ports.free(50))) == 50


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes do not know of each other's ports")
def test_free_ports_are_no_other_process_s(monkeypatch):
    code = "from local import ports; print(*ports.free(3), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout
        theirs = [int(word) for word in other.stdout.readline().split()]
        monkeypatch.setattr(ports, "_CHOSEN", [*theirs, *range(15_000, 15_100)])
        assert not set(theirs) & set(ports.free(30))
        other.communicate("\n", timeout=30)


def test_ports_that_are_given_back_are_free_again(monkeypatch):
    monkeypatch.setattr(ports, "_CHOSEN", range(15_200, 15_210))
    monkeypatch.setattr(ports, "_TRIES", 1000)
    found = ports.free(8)
    with pytest.raises(PortTakenError, match="no 8 free ports"):
        ports.free(8)
    ports.give_back(*found, *found)
    ports.give_back(*ports.free(8))


def test_free_port_is_none_that_somebody_listens_on(monkeypatch):
    with ports.listen(0) as listener:
        taken = ports.number(listener)
        monkeypatch.setattr(ports, "_CHOSEN", [taken, *range(15_100, 15_200)])
        assert taken not in ports.free(30)


def test_emulators_that_are_not_installed_are_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setattr(emulators, "_ENVIRONMENT", tmp_path / "nowhere")
    with pytest.raises(StartError, match="make run"), emulators.running(tmp_path):
        pass


def test_emulator_that_ends_at_once_is_an_error_with_its_log(tmp_path, monkeypatch):
    fake = tmp_path / "fake"
    (fake / "bin").mkdir(parents=True)
    for name in ("python", "weed"):
        (fake / "bin" / name).symlink_to("/bin/false")
    monkeypatch.setattr(emulators, "_ENVIRONMENT", fake)
    with (
        pytest.raises(StartError, match=r"ministack ended with status 1.*ministack\.log"),
        emulators.running(tmp_path),
    ):
        pass
    assert list(tmp_path.glob("*.pid")) == []


def test_emulators_leave_nothing_outside_their_folder(tmp_path):
    with emulators.running(tmp_path, keep=False) as running:
        pids = {child.pid for child in running.children}
        sockets = {line.split()[-1] for line in unix_sockets(pids) if "/tmp/seaweedfs" in line}
        assert sockets
    assert [socket for socket in sockets if Path(socket).exists()] == []
    assert list(tmp_path.glob("*.pid")) == []


def unix_sockets(pids):
    """The lines of the kernel's table of named sockets that belong to these processes."""
    owned = set().union(*map(open_files, pids))
    lines = Path("/proc/net/unix").read_text("utf-8").splitlines()[1:]
    return [line for line in lines if len(line.split()) == 8 and f"socket:[{line.split()[6]}]" in owned]
