"""Signals that end the command, as exceptions: what is temporary is removed on the way out."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

# A shell says so of what a signal has ended.
_FROM_SIGNAL = 128
# Windows has no SIGHUP.
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Terminated(BaseException):
    """The command was told to end; ``exit_code`` is 143 for SIGTERM and 129 for SIGHUP."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = _FROM_SIGNAL + number


@contextlib.contextmanager
def ending_signals() -> Iterator[None]:
    """What runs within is ended by SIGTERM and SIGHUP with ``Terminated``, unless who started the command has
    them ignored, as ``nohup`` does. Only the main thread can be told.

    Raises:
        Terminated: one of them came, even if something else failed on the way out.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    heard = {each: signal.getsignal(each) for each in ENDING if signal.getsignal(each) is signal.SIG_DFL}

    def end(number: int, _: FrameType | None) -> None:
        # Tidying up is not to be ended halfway.
        for each in heard:
            signal.signal(each, signal.SIG_IGN)
        came.append(number)
        raise Terminated(number)

    for each in heard:
        signal.signal(each, end)
    try:
        with contextlib.suppress(Terminated):
            yield
    except Exception as error:
        # After SIGHUP, there is no terminal any more that a last line could be written to.
        if came:
            raise Terminated(came[0]) from error
        raise
    finally:
        for each, before in heard.items():
            signal.signal(each, before)
    if came:
        raise Terminated(came[0])
