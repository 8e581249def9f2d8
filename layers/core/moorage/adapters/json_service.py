"""Services of AWS that speak JSON: signed requests over connections that stay open.

botocore's clients do the same in three times the processor time, most of which goes into what they do for
four hundred services alike: ``docs/adr/0009-json-services-without-botocores-client.md``.
"""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import botocore
import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from moorage.adapters.access import Access
from moorage.adapters.aws import THROTTLING, Patience
from moorage.adapters.signing import signed

_OK = 200
_BROKEN = frozenset({500, 502, 503, 504})
_TRANSIENT = frozenset({"RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete"})
_CONNECTIONS = 10
# Seconds before the second attempt, at most; doubled before each further one.
_PAUSE, _THROTTLED_PAUSE = 0.025, 1.0


class NoAnswerError(BotoCoreError):
    """The connection failed, or what came over it is no answer of the service's."""

    fmt = "no answer of the service"


class JsonService:
    """Calls operations by their names; requests and answers are the JSON that the service documents.

    ``api`` is the service's name in ``X-Amz-Target``, ``version`` the one of JSON in its content type;
    ``silent`` are the operations that are answered with nothing.
    """

    def __init__(
        self, access: Access, patience: Patience, *, api: str, version: str, silent: Collection[str] = ()
    ) -> None:
        self._access = access
        self._attempts = patience.attempts
        self._constant = {
            "content-type": f"application/x-amz-json-{version}",
            "host": urlsplit(access.endpoint).netloc,
        }
        self._api = api
        self._silent = silent
        self._pool = _pool(access.endpoint, patience)

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer. What may pass is tried again, by the rules of the standard mode of AWS's SDKs.

        Raises:
            ClientError: the service has refused; ``response`` is its own answer, with ``Error`` added.
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
        access = self._access
        headers = signed(
            {**self._constant, "x-amz-target": f"{self._api}.{operation}"},
            body,
            service=access.service,
            region=access.region,
            keys=access.keys(),
            now=datetime.now(UTC),
        )
        headers |= {"accept-encoding": "identity", "user-agent": "moorage"}
        try:
            answer = self._pool.urlopen(
                "POST", "/", body=body, headers=headers, retries=False, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswerError from error
        if operation in self._silent and answer.status == _OK and not answer.data:
            return {}
        return _content(operation, answer)


def _content(operation: str, answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    """What was answered.

    A success that is not whole, or not the service's, must not pass for an empty answer: that would mean
    that a row does not exist.
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
    response: Any = {**refusal, "Error": error, "ResponseMetadata": {"HTTPStatusCode": answer.status}}
    raise ClientError(response, operation)


def _pause(error: ClientError) -> float | None:
    """How long to wait at most before a second attempt; None when that would be of no use."""
    code = error.response["Error"]["Code"]
    if code in THROTTLING:
        return _THROTTLED_PAUSE
    if code in _TRANSIENT or error.response["ResponseMetadata"]["HTTPStatusCode"] in _BROKEN:
        return _PAUSE
    return None


def _pool(endpoint: str, patience: Patience) -> urllib3.HTTPConnectionPool:
    """Connections with the certificates and the proxy that botocore would use."""
    options: dict[str, Any] = {
        "maxsize": _CONNECTIONS,
        "socket_options": [
            *urllib3.connection.HTTPConnection.default_socket_options,
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        ],
        "timeout": urllib3.Timeout(connect=patience.connect_seconds, read=patience.read_seconds),
    }
    place = urlsplit(endpoint)
    if place.scheme == "http":
        # An emulator on this machine.
        return urllib3.connection_from_url(endpoint, **options)
    bundled = Path(botocore.__file__).with_name("cacert.pem")
    options["ca_certs"] = os.environ.get("AWS_CA_BUNDLE") or str(bundled)
    proxy = getproxies().get(place.scheme)
    if proxy and not proxy_bypass(place.netloc):
        return urllib3.ProxyManager(proxy, **options).connection_from_url(endpoint)
    return urllib3.connection_from_url(endpoint, **options)
