"""Clients of AWS, and what their errors become."""

from __future__ import annotations

import functools
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from moorage.domain.errors import Throttled, Unavailable, WriteConflict

if TYPE_CHECKING:
    from botocore.config import Config
    from botocore.credentials import Credentials
    from botocore.session import Session

logger = logging.getLogger(__name__)

THROTTLING = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
        "429",
        # What is left of S3's SlowDown in an answer to HEAD.
        "503",
    }
)
_CONFLICTS = frozenset(
    {
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)

_creation = threading.Lock()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take, so that the caller of a function still gets an answer from it.

    An answer that never comes costs ``attempts`` times ``read_seconds``; a refused connection, next to
    nothing. A streamed upload is sent once, and its answer may take ``upload_seconds``.
    """

    connect_seconds: float = 1.0
    read_seconds: float = 4.0
    attempts: int = 3
    upload_seconds: float = 20.0

    @property
    def longest_seconds(self) -> float:
        """How long a call of one request can take in all, with the pauses between its attempts."""
        # The SDK pauses for up to 1 s before the second attempt, 2 s before the third, and so on.
        pauses = sum(2.0**number for number in range(self.attempts - 1))
        return self.attempts * (self.connect_seconds + self.read_seconds) + pauses


@functools.cache
def _session() -> Session:
    # One for all clients: what a session has read of botocore's data and of the environment, it keeps. Loaded
    # late, because it is a third of what a function would load, and many requests need none of it.
    from botocore.session import get_session  # noqa: PLC0415

    return get_session()


def session_credentials() -> Credentials:
    """The credentials, found as every AWS SDK does.

    Raises:
        Unavailable: there are none.
    """
    with _creation, translated("credentials"):
        found = _session().get_credentials()
        if found is None:
            raise NoCredentialsError
        return found


def create_client(service: str, patience: Patience, config: Config | None = None) -> Any:
    """A client of an AWS service; Region, credentials and endpoint are found as every AWS SDK does."""
    from botocore.config import Config  # noqa: PLC0415 - as in _session

    limits = Config(
        connect_timeout=patience.connect_seconds,
        read_timeout=patience.read_seconds,
        retries={"mode": "standard", "total_max_attempts": patience.attempts},
        tcp_keepalive=True,
    )
    # A session is not safe to make clients with from several threads at once.
    with _creation, translated(f"{service} client"):
        return _session().create_client(service, config=limits.merge(config) if config else limits)


def lazy(create: Callable[[], Any]) -> Callable[[], Any]:
    """``create``, called at the first use and once, so that what a request does not need is not made."""
    lock = threading.Lock()
    made: list[Any] = []

    def get() -> Any:
        with lock:
            if not made:
                made.append(create())
        return made[0]

    return get


def error_code(error: ClientError) -> str:
    """What AWS calls an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def unavailable(code: str) -> Unavailable:
    """What an AWS error code means to whoever asked the registry."""
    if code in THROTTLING:
        return Throttled("the registry is busy; try again in a moment")
    if code in _CONFLICTS:
        return WriteConflict("the same thing is being changed by others; try again in a moment")
    return Unavailable("a part of the registry cannot be reached; try again in a moment")


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Turn whatever AWS or the way to it does wrong into ``Unavailable`` or one of its kinds.

    An error that only a mistake in this code or in its rights can cause is no exception: nothing may take
    it for an answer. The log gets the operation and the code, which hold no names and no secrets.
    """
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        logger.warning("%s failed: %s", operation, code)
        raise unavailable(code) from error
    except _foreign_errors() as error:
        logger.warning("%s failed: %s", operation, type(error).__name__)
        raise unavailable("") from error


def _foreign_errors() -> tuple[type[Exception], ...]:
    """What botocore raises for itself; a module of it that was not loaded has raised nothing."""
    parsers = sys.modules.get("botocore.parsers")
    return (BotoCoreError, *([parsers.ResponseParserError] if parsers else ()))
