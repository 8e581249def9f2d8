"""Workers of copies that are killed at a moment of their choice: as soon as the row of the job shows it."""

import os
import signal
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from tests.local.copies import owner

ATTEMPTS = 8


def killed(cloud, desk, reference, to, holds, **wish):
    """Copy until a worker was killed while the row of its job showed what is waited for; the job, and the
    repository that it copies to.
    """
    for attempt in range(ATTEMPTS):
        name, before = f"{reference.partition(':')[0]}-killed-{time.monotonic_ns()}", _workers(cloud)
        job = desk.copy(reference, to, destinationName=name, **wish)
        with _stopped_when(cloud, job["id"], holds) as workers:
            if workers:
                # The others are idle, and would take the next message with them.
                busy = max(workers, key=lambda pid: workers[pid] - before.get(pid, 0))
                os.kill(busy, signal.SIGKILL)
                return job["id"], f"{to}/{name}"
        print(f"attempt {attempt + 1} for {reference} was too late")
        desk.succeeded(job["id"])
    raise AssertionError(f"no worker of {reference} was met in time")


@contextmanager
def _stopped_when(cloud, job_id, holds):
    """The workers, stopped as soon as the row of the job shows what is waited for; none if the job has gone on
    or ended until they are.
    """
    with owner(cloud) as (table, _):

        def row():
            return table.find_job(job_id, datetime.now(UTC))

        while (job := row()).state.is_open and not holds(job):
            time.sleep(0.001)
        workers = _workers(cloud)
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        # A request that is under way is answered.
        time.sleep(0.3)
        try:
            yield workers if holds(row()) else {}
        finally:
            for pid in workers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def _workers(cloud):
    """Processes of the cloud that run the function, and the time that each has spent, in ticks."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # From the state on, which follows the name.
            fields = (folder / "stat").read_text("utf-8").rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == cloud.process.pid and b"/functions/copy_worker" in command:
            found[int(folder.name)] = int(fields[11]) + int(fields[12])
    return found
