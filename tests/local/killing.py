"""Workers of copies that are killed at a moment of their choice: as soon as the row of the job shows it."""

import os
import signal
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from tests.local.copies import owner

ATTEMPTS = 5


def killed(cloud, desk, reference, to, holds, *, idle=False, **wish):
    """Copy until a worker was killed while the row of its job showed what is waited for; the job, and the
    repository that it copies to. With ``idle``, others that have nothing to do at the moment are killed as well:
    messages that these are given next are not seen for as long as the queue says.
    """
    for attempt in range(ATTEMPTS):
        name = f"{reference.partition(':')[0]}-killed-{time.monotonic_ns()}"
        job = desk.copy(reference, to, destinationName=name, **wish)
        with _stopped_when(cloud, job["id"], holds) as pids:
            if len(pids) == 1 or (pids and idle):
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                return job["id"], f"{to}/{name}"
        # It was faster than this test: once more.
        print(f"attempt {attempt + 1} met no worker")
        desk.succeeded(job["id"])
    raise AssertionError(f"no worker of {reference} was met in time")


@contextmanager
def _stopped_when(cloud, job_id, holds):
    """The workers' processes, stopped as soon as the row of the job shows what is waited for; none if the job
    has gone on or ended until they are.
    """
    with owner(cloud) as (table, _):

        def row():
            return table.find_job(job_id, datetime.now(UTC))

        while (job := row()).state.is_open and not holds(job):
            time.sleep(0.001)
        pids = _workers(cloud)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        # A request that is under way is answered.
        time.sleep(0.3)
        try:
            yield pids if holds(row()) else []
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def _workers(cloud):
    """Processes of the cloud that run the function."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == cloud.process.pid and b"/functions/copy_worker" in command:
            found.append(int(folder.name))
    return found
