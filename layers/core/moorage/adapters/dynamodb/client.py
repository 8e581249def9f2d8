"""DynamoDB's protocol: signed JSON over connections that stay open.

botocore's client does the same in three times the processor time, most of which goes into what it does for four
hundred services alike: ``docs/adr/0007-dynamodb-without-botocores-client.md``.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import botocore
import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from moorage import __version__
from moorage.adapters.aws import THROTTLING, Patience
from moorage.adapters.dynamodb.access import Access
from moorage.adapters.signing import signed

_API = "DynamoDB_20120810"
_OK = 200
_BROKEN = frozenset({500, 502, 503, 504})
_TRANSIENT = frozenset({"RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete"})
_CONNECTIONS = 10
# Seconds before the second attempt, at most: doubled before each further one.
_PAUSE, _THROTTLED_PAUSE = 0.025, 1.0


class NoAnswerError(BotoCoreError):
    """The connection failed, or what came over it is no answer of DynamoDB's."""

    fmt = "no answer of DynamoDB"


class DynamoClient:
    """Calls operations by their names; requests and answers are the JSON that DynamoDB documents."""

    def __init__(self, access: Access, patience: Patience) -> None:
        self._access = access
        self._attempts = patience.attempts
        self._host = urlsplit(access.endpoint).netloc
        self._pool = _manager(access.endpoint, patience).connection_from_url(access.endpoint)

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer. What may pass is tried again, under the rules of the AWS SDKs' standard mode.

        Raises:
            ClientError: DynamoDB has refused; ``response`` is its own answer, with ``Error`` added.
            NoAnswerError: there was none.
        """
        body = json.dumps(request, separators=(",", ":")).encode()
        for attempt in range(1, self._attempts):
            try:
                return self._send(operation, body)
            except ClientError as error:
                pause = _pause(error)
                if pause is None:
                    raise
            except NoAnswerError:
                pause = _PAUSE
            time.sleep(random.uniform(0, pause * 2 ** (attempt - 1)))  # noqa: S311 - scatters, keeps no secret
        return self._send(operation, body)

    def _send(self, operation: str, body: bytes) -> dict[str, Any]:
        headers = signed(
            {
                "content-type": "application/x-amz-json-1.0",
                "host": self._host,
                "x-amz-target": f"{_API}.{operation}",
            },
            body,
            service="dynamodb",
            region=self._access.region,
            keys=self._access.keys(),
            now=datetime.now(UTC),
        )
        headers |= {"accept-encoding": "identity", "user-agent": f"moorage/{__version__}"}
        try:
            answer = self._pool.urlopen("POST", "/", body=body, headers=headers, retries=False, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswerError from error
        return _content(operation, answer)


def _content(operation: str, answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    """What was answered.

    A success that is not whole or not DynamoDB's must not pass for an empty answer: that would mean that a row
    does not exist.
    """
    try:
        content = json.loads(answer.data)
    except ValueError:
        content = None
    if answer.status == _OK:
        if not isinstance(content, dict):
            raise NoAnswerError
        return content
    refusal = content if isinstance(content, dict) else {}
    code = str(refusal.get("__type", answer.status)).rpartition("#")[2]
    error = {"Code": code, "Message": str(refusal.get("message", refusal.get("Message", "")))}
    metadata = {"HTTPStatusCode": answer.status}
    raise ClientError({**refusal, "Error": error, "ResponseMetadata": metadata}, operation)  # type: ignore[arg-type]


def _pause(error: ClientError) -> float | None:
    """How long to wait at most before a second attempt; None when that would be of no use."""
    code = error.response["Error"]["Code"]
    if code in THROTTLING:
        return _THROTTLED_PAUSE
    if code in _TRANSIENT or error.response["ResponseMetadata"]["HTTPStatusCode"] in _BROKEN:
        return _PAUSE
    return None


def _manager(endpoint: str, patience: Patience) -> urllib3.PoolManager:
    """With the certificates and the proxy that botocore would use."""
    options: dict[str, Any] = {
        "maxsize": _CONNECTIONS,
        "timeout": urllib3.Timeout(connect=patience.connect_seconds, read=patience.read_seconds),
    }
    proxy = None
    if endpoint.startswith("https:"):
        bundled = os.path.join(os.path.dirname(botocore.__file__), "cacert.pem")  # noqa: PTH118, PTH120
        options["ca_certs"] = os.environ.get("AWS_CA_BUNDLE") or bundled
        proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
