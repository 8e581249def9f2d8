"""Daemons that some clients need: each in a folder of its own, which is gone afterwards."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.cloud import stop
from tests.clients.folders import named_for_clients

UP_WITHIN = 60.0
DOWN_WITHIN = 60.0


@contextmanager
def running(argv: list[str | Path], folder: Path, log: Path, is_up: Callable[[], bool]) -> Iterator[None]:
    """A daemon from when ``is_up`` until the block ends; it is stopped by its pid, and its mounts are undone."""
    if os.geteuid() != 0:
        raise PermissionError(f"{argv[0]} has to be run as root")
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + UP_WITHIN
        while not is_up():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{argv[0]} did not come up:\n{log.read_text('utf-8', 'replace')[-4000:]}")
            time.sleep(0.1)
        yield
    finally:
        stop(process, DOWN_WITHIN)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder in which a daemon may mount what it likes."""
    with named_for_clients() as place:
        try:
            yield place
        finally:
            for mount in _mounts_below(place):
                subprocess.run(["umount", mount], check=True, timeout=30)


def _mounts_below(place: Path) -> list[str]:
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    return sorted((mount for mount in mounts if mount.startswith(f"{place}/")), reverse=True)
