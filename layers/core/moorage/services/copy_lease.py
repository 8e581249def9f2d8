"""A copy in the hands of its worker: what it reports, and how it finds out that it has to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from moorage.domain.errors import Unavailable
from moorage.domain.jobs import CopyJob, JobState, Progress
from moorage.ports import Clock, Jobs

Result = TypeVar("Result")

SIDE_BY_SIDE = 8
"""Steps that a worker takes at the same time."""

RENEW_SECONDS = 20.0
"""How often a worker that waits for a long step says that it is there: well within the lease."""

_BETWEEN_REPORTS = timedelta(seconds=1)
MARGIN = timedelta(seconds=50)
"""A tag is moved only while so much of the lease is left: more than a look at it and a write can take, if the
table answers each as late as it may.
"""


class CopyFailed(Exception):
    """The copy cannot be made. The message is for the person who asked for it, and says what to do."""


class CopyStopped(Exception):
    """The job has ended, or is another worker's by now."""


class CopyLease:
    """The lease of one worker on one job.

    Only the thread that has taken the job reports; steps in other threads look whether they have to stop.
    ``heartbeat`` is called after each report.
    """

    def __init__(
        self,
        jobs: Jobs,
        job: CopyJob,
        clock: Clock,
        renew_seconds: float = RENEW_SECONDS,
        heartbeat: Callable[[], object] = lambda: None,
    ) -> None:
        self._jobs = jobs
        self._clock = clock
        self._renew_seconds = renew_seconds
        self._heartbeat = heartbeat
        self._threads = ThreadPoolExecutor(SIDE_BY_SIDE)
        self._lost = threading.Event()
        self._reported = clock()
        self._moving = False
        self._in_doubt = job.in_doubt
        # What a worker before this one has left behind belongs to the job as well.
        self._copying = dict.fromkeys(job.copying)
        self._copying_in = job.copying_in
        self.job = job
        self.progress = job.progress

    def close(self) -> None:
        """Let the threads end that took its steps."""
        self._threads.shutdown()

    @property
    def copying(self) -> tuple[str, ...]:
        """Keys of objects that may lie in the store of the destination without being recorded."""
        return tuple(self._copying)

    def report(self, progress: Progress | None = None) -> None:
        """Write down how far the copy is, and keep the job.

        Raises:
            CopyStopped: it is not this worker's any more.
        """
        now = self._clock()
        self.progress = progress or self.progress
        standing = self._jobs.save_progress(
            self.job,
            self.progress,
            now,
            moving=self._moving,
            in_doubt=self._in_doubt,
            copying=self.copying,
            copying_in=self._copying_in,
        )
        if standing is None:
            self._lost.set()
            raise CopyStopped
        self.job, self._reported = standing, now
        self._heartbeat()

    def keep(self, progress: Progress | None = None) -> None:
        """Report, if that was not done within the last second."""
        self.progress = progress or self.progress
        if self._clock() - self._reported >= _BETWEEN_REPORTS:
            self.report()

    def begin_copies(self, keys: Iterable[str], store: str) -> None:
        """Report that objects are going to be stored, before the first of them is."""
        self._copying |= dict.fromkeys(keys)
        self._copying_in = store
        self.report()

    def end_copy(self, key: str) -> None:
        """Note that an object is recorded, or gone again."""
        self._copying.pop(key, None)

    def count_copied(self, size: int) -> None:
        """Note for the next report that so many bytes were moved from one store to another."""
        self.progress = replace(self.progress, copied=self.progress.copied + size)

    def begin_moving(self, in_doubt: int | None = None) -> None:
        """Report that tags are going to move: until the end of that the job cannot be cancelled. With a place
        on the job's list: that when these have moved the job has come to it, whoever finds that out.
        """
        self._moving, self._in_doubt = True, in_doubt
        self.report()

    def end_moving(self, progress: Progress, *, last: bool) -> None:
        """Report that the tags have moved. After the last ones of all a cancellation would come too late."""
        self._moving, self._in_doubt = last, None
        self.report(progress)

    def end_doubt(self) -> None:
        """Report that not all tags have moved that the worker before this one was moving."""
        self._in_doubt = None
        self.report()

    def release(self, *, broken: bool = False) -> None:
        """Give the job back, to go on later; ``broken`` if the work has broken off by an error of our own."""
        self._jobs.release_job(self.job, self._clock(), broken=broken)

    def end(self, state: JobState, reason: str | None = None) -> bool:
        """Let the job end; whether it was still this worker's."""
        return self._jobs.end_job(self.job, state, self._clock(), reason)

    def require_held(self) -> None:
        """Look whether the job is this worker's, for a while yet; any thread may.

        Raises:
            CopyStopped: it is not, or not for certain.
        """
        until = self.job.leased_until
        if self._lost.is_set() or until is None or self._clock() > until - MARGIN:
            raise CopyStopped

    def passing(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same pieces, as long as the job is this worker's."""
        for piece in pieces:
            self._require_going()
            yield piece

    def together(
        self,
        steps: Sequence[Callable[[], Result]],
        noted: Callable[[Result], object] = lambda _: None,
    ) -> list[Result]:
        """What each of the steps gives, some of them being taken at a time; ``noted`` is told as they end.
        The job is kept meanwhile, however long they take. When one fails, or the job is lost, those that have
        not begun are left out, and those that look whether they have to stop do.
        """
        futures = [self._threads.submit(self._take, step) for step in steps]
        waiting = set(futures)
        try:
            while waiting:
                done, waiting = wait(waiting, self._renew_seconds, FIRST_COMPLETED)
                for each in done:
                    noted(each.result())
                self.keep()
        except BaseException:
            self._lost.set()
            for future in futures:
                future.cancel()
            self._wait_out(futures)
            raise
        return [each.result() for each in futures]

    def _wait_out(self, futures: Iterable[Future[Any]]) -> None:
        """Wait for the steps that cannot be called back. Nobody else must begin with what they are doing, so
        the job is kept as long as it is this worker's.
        """
        going = {each for each in futures if not each.done()}
        while going:
            _, going = wait(going, self._renew_seconds)
            with suppress(CopyStopped, Unavailable):
                self.keep()

    def _take(self, step: Callable[[], Result]) -> Result:
        self._require_going()
        return step()

    def _require_going(self) -> None:
        if self._lost.is_set():
            raise CopyStopped
