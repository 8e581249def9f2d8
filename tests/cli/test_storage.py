"""Locks: one at a time has them, on Windows as well."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from moorage_cli.errors import CliError
from moorage_cli.push.unfinished import Unfinished
from moorage_cli.storage import locked

REPOSITORY = ("https://r.example", "acme/app")
MIB = 1024 * 1024


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """What Windows has in place of ``flock``, which here says that nobody else has the lock while the list
    is empty; the list is of what was asked for since.
    """
    asked: list[int] = []

    def locking(_: int, mode: int, length: int) -> None:
        assert length == 1
        asked.append(mode)
        if len(asked) > 1:
            raise OSError(errno.EDEADLK, "Resource deadlock avoided")

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_LOCK=1, LK_NBLCK=2))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "platform", "win32")
        yield asked


def test_windows_waits_for_a_lock_and_says_who_has_not_got_it(tmp_path: Path, windows: list[int]):
    with (
        locked(tmp_path),
        pytest.raises(CliError, match="cannot be locked") as raised,
        locked(tmp_path),
    ):
        pass
    assert windows == [1, 1]
    assert raised.value.hint == "try again when no other command runs"


def test_windows_has_one_push_to_a_repository_keep_its_uploads(tmp_path: Path, windows: list[int]):
    with Unfinished(tmp_path, *REPOSITORY) as first, Unfinished(tmp_path, *REPOSITORY) as second:
        for number, push in enumerate((first, second)):
            push.keep(f"sha256:{number}", 5 * MIB, f"upload{number}")
    assert windows == [2, 2]
    windows.clear()
    with Unfinished(tmp_path, *REPOSITORY) as third:
        assert third.find("sha256:0") == ("upload0", False)
        assert third.find("sha256:1") is None


def test_locks_of_other_names_do_not_wait_for_each_other(tmp_path: Path):
    with locked(tmp_path), locked(tmp_path, ".other"):
        taken = threading.Event()

        def take() -> None:
            with locked(tmp_path):
                taken.set()

        waiting = threading.Thread(target=take, daemon=True)
        waiting.start()
        assert not taken.wait(0.1)
    assert taken.wait(20)
    waiting.join()
