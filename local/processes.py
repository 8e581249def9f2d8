"""Child processes: started in their own session, found again after a crash, stopped by their pid."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from local.state import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

STOP_SECONDS = 10.0
"""How long a child may take to end after SIGTERM before it is killed."""

_PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """A child ended, or did not get ready, while the local cloud was starting."""


class Child:
    """One long-running child, its log and the record that lets the next start find it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        folder: Path,
        *,
        log: Path | None = None,
        stop_seconds: float = STOP_SECONDS,
        orphaned: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start the command with exactly this environment; output goes to `log`, or `<folder>/<name>.log`.

        Where the kernel can do it, the child gets the signal `orphaned` when this process dies.
        """
        self.name = name
        self.stop_seconds = stop_seconds
        self.log = log or folder / f"{name}.log"
        self._record = folder / f"{name}.pid"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_ending_with_parent(orphaned) if sys.platform == "linux" else None,  # noqa: PLW1509 - one system call
            )
        identity = {"pid": self.pid, "started": started_at(self.pid)}
        write_private(self._record, json.dumps(identity))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ensure_running(self) -> None:
        """Check that the child has not ended.

        Raises:
            StartError: it has; the message names its log.
        """
        status = self._process.poll()
        if status is not None:
            raise StartError(f"{self.name} ended with status {status}; its output is in {self.log}")

    def terminate(self) -> None:
        """Ask the child to end, without waiting."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End the child and whatever it started, at once."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Wait for the child to end; kill its session when it takes longer than its limit."""
        try:
            self._process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        self._record.unlink(missing_ok=True)


def stop_all(children: Iterable[Child]) -> None:
    """End all children at once and wait for each."""
    children = list(children)
    for child in children:
        child.terminate()
    for child in children:
        child.wait()


def stop_leftovers(folder: Path) -> None:
    """End the children of a local cloud that was killed before it could end them itself."""
    for record in folder.glob("*.pid"):
        identity = json.loads(record.read_text("utf-8"))
        pid, started = identity["pid"], identity["started"]
        # A pid is reused sooner or later: only the process that started at the recorded moment is ours.
        deadline = time.monotonic() + STOP_SECONDS
        sent = signal.SIGTERM
        while started is not None and started_at(pid) == started:
            try:
                os.kill(pid, sent)
            except ProcessLookupError:
                break
            time.sleep(0.1)
            if time.monotonic() > deadline:
                sent = signal.SIGKILL
        record.unlink()


def started_at(pid: int) -> str | None:
    """A mark that tells this process from a later one with the same pid; None when there is none."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text("utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # A zombie has ended already; it only waits for whoever adopted it.
        return None if fields[0] == "Z" else fields[19]
    shown = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return shown or None


def _ending_with_parent(number: signal.Signals) -> Callable[[], None]:
    """What has the kernel send a signal to the calling process when its parent dies."""
    library = ctypes.CDLL(None)

    def prepare() -> None:
        library.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)

    return prepare
