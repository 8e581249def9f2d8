"""Threads that work off tasks, which may add others."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

Task = Callable[[], None]

_LOOK_SECONDS = 1.0
_STOP_SECONDS = 3.0


class Workers:
    """``at_once`` threads. ``stopped`` is set when nothing more is wanted of them, and ``stop`` is called to
    wake those that wait for the network.
    """

    def __init__(self, at_once: int, stop: Task) -> None:
        self.stopped = threading.Event()
        self._at_once = at_once
        self._stop = stop
        self._condition = threading.Condition()
        self._tasks: deque[Task] = deque()
        self._open = 0
        self._error: BaseException | None = None

    def add(self, task: Task) -> None:
        """Have a task done before those that wait already: what was begun is brought to its end."""
        with self._condition:
            self._tasks.appendleft(task)
            self._open += 1
            self._condition.notify()

    def run(self, tasks: Iterable[Task]) -> None:
        """Do all tasks and what they add. The first error of one ends the others, and is raised."""
        self._tasks.extend(tasks)
        self._open = len(self._tasks)
        # They do not keep the command from ending: one may sleep until the registry wants to be asked again.
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._at_once)]
        try:
            for thread in threads:
                thread.start()
            with self._condition:
                # Not for ever, for on some systems a signal does not end that.
                while self._open and self._error is None:
                    self._condition.wait(_LOOK_SECONDS)
        finally:
            self._end(threads)
        if self._error is not None:
            raise self._error

    def _end(self, threads: Iterable[threading.Thread]) -> None:
        with self._condition:
            unfinished = self._open
            self.stopped.set()
            self._condition.notify_all()
        if unfinished:
            self._stop()
        until = time.monotonic() + _STOP_SECONDS
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (task := self._next()) is not None:
            try:
                task()
            except BaseException as error:  # noqa: BLE001 - it is raised where the tasks were given
                with self._condition:
                    self._error = self._error or error
                    self._condition.notify_all()
                return
            with self._condition:
                self._open -= 1
                if not self._open:
                    self._condition.notify_all()

    def _next(self) -> Task | None:
        with self._condition:
            while not self._tasks and not self.stopped.is_set():
                self._condition.wait()
            return None if self.stopped.is_set() else self._tasks.popleft()
