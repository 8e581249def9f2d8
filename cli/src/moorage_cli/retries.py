"""When a call is made once more, and after how long."""

from __future__ import annotations

import random
import socket
import ssl
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx2

Cause = TypeVar("Cause", bound=BaseException)

ATTEMPTS = 4
LONGEST_WAIT = 60.0
_FIRST_WAIT = 0.4
_RATE_LIMITED = 429
# Answers of a registry that is busy, and of a proxy that did not reach it.
_TRANSIENT = frozenset({502, 503, 504})


def is_worth_repeating(answer: httpx2.Response | httpx2.TransportError, *, repeatable: bool) -> bool:
    """Whether the same call may do better next time and do no harm; ``repeatable`` calls may be done twice.

    What was not begun can be repeated whatever it is: no connection, or 429 for other reasons than a quota.
    """
    if isinstance(answer, httpx2.Response):
        if answer.status_code == _RATE_LIMITED:
            return "quota" not in answer.text
        return repeatable and answer.status_code in _TRANSIENT
    if isinstance(answer, httpx2.ConnectError):
        return not _is_final(answer)
    if isinstance(answer, httpx2.ConnectTimeout):
        return True
    return repeatable and isinstance(
        answer, httpx2.NetworkError | httpx2.TimeoutException | httpx2.RemoteProtocolError
    )


def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def seconds_until(attempt: int, answer: httpx2.Response | httpx2.TransportError) -> float:
    """How long to wait after ``attempt`` (the first is 1): what ``Retry-After`` says, else more each time."""
    if isinstance(answer, httpx2.Response):
        asked = _retry_after(answer.headers.get("Retry-After", ""))
        if asked is not None:
            return asked
    # Not all clients that failed together come back together.
    return _FIRST_WAIT * float(2 ** (attempt - 1)) * (1 + random.random()) / 2  # noqa: S311


def cause_of(error: BaseException, kind: type[Cause]) -> Cause | None:
    """The error of that kind that ``error`` comes from."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, kind):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _is_final(error: httpx2.ConnectError) -> bool:
    """A name that does not exist, and a certificate that is not right, stay so."""
    unknown = cause_of(error, socket.gaierror)
    if unknown is not None:
        return unknown.errno != socket.EAI_AGAIN
    return cause_of(error, ssl.SSLError) is not None


def _retry_after(text: str) -> float | None:
    if text.isascii() and text.strip().isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
