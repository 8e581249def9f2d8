"""A key, exchanged for a token that clients may have: RFC 8693 at ``/token``.

The client of ``api`` can more, and takes longer to import than all the rest of the credential helper.

https://www.rfc-editor.org/rfc/rfc8693#section-2
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from moorage_cli import __version__
from moorage_cli.credential_helper_trust import tls_context
from moorage_cli.endpoints import host_of
from moorage_cli.errors import CliError, NotARegistry, NotLoggedIn, Unreachable
from moorage_cli.proxies import find_proxy

_TYPE = "urn:ietf:params:oauth:token-type:"
_REFRESH_TYPE = f"{_TYPE}refresh_token"
_ANSWER_MAX = 64 * 1024
_REASON_MAX = 500
_TIMEOUT = 20.0
_WAITS = (0.4, 1.2)
# Of a registry that is busy, and of a proxy that did not reach it.
_TRANSIENT = frozenset({429, 502, 503, 504})


def refresh_token(endpoint: str, key: str, *, insecure: bool = False) -> str:
    """A token that stands for ``key`` at the registry's ``/token`` for an hour, and nowhere else.

    Raises:
        NotLoggedIn: the registry does not accept the key.
        Unreachable: it is not reached, is not available, or is no registry.
    """
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": _REFRESH_TYPE,
        "subject_token_type": f"{_TYPE}access_token",
        "subject_token": key,
    }
    answer = _asked(endpoint, urlencode(form), insecure=insecure)
    document = _object(answer.content)
    if answer.status != HTTPStatus.OK:
        raise _refusal(answer.status, document, endpoint)
    token = document.get("access_token")
    if document.get("issued_token_type") != _REFRESH_TYPE or not isinstance(token, str):
        raise _foreign(endpoint)
    return token


class _Answer(NamedTuple):
    status: int
    content: bytes


def _asked(endpoint: str, form: str, *, insecure: bool) -> _Answer:
    """The answer to the form. To make a token twice does no harm, so what may pass is tried again."""
    for wait in (*_WAITS, None):
        try:
            answer = _sent(endpoint, form, insecure=insecure)
        except (OSError, http.client.HTTPException) as error:
            passing = isinstance(error, ConnectionError | http.client.HTTPException)
            if wait is None or not passing:
                raise _unreached(error, endpoint) from None
        else:
            if wait is None or answer.status not in _TRANSIENT:
                return answer
        time.sleep(wait)
    raise AssertionError("the last try neither answered nor failed")


def _sent(endpoint: str, form: str, *, insecure: bool) -> _Answer:
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
        "User-Agent": f"moorage-cli/{__version__}",
    }
    connection, before = _connection(endpoint, insecure=insecure)
    try:
        # A redirect is not followed: keys are not sent on.
        connection.request("POST", f"{before}/token", form, headers)
        answer = connection.getresponse()
        return _Answer(answer.status, answer.read(_ANSWER_MAX))
    finally:
        connection.close()


def _connection(endpoint: str, *, insecure: bool) -> tuple[http.client.HTTPConnection, str]:
    """A connection to an address of ``parse_endpoint``, and what stands before the path in its requests."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    proxy = find_proxy(parts.scheme, parts.netloc)
    first, port = (proxy.host, proxy.port) if proxy else (host, parts.port)
    if parts.scheme == "http":
        return http.client.HTTPConnection(first, port, timeout=_TIMEOUT), endpoint if proxy else ""
    secure = http.client.HTTPSConnection(
        first, port, timeout=_TIMEOUT, context=tls_context(insecure=insecure)
    )
    if proxy:
        secure.set_tunnel(host, parts.port, dict(proxy.headers))
    return secure, ""


def _unreached(reason: Any, endpoint: str) -> Unreachable:
    host = host_of(endpoint)
    if isinstance(reason, socket.gaierror):
        return Unreachable(f"the host {host} is not found", "check the network")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return Unreachable(
            f"the certificate of {host} is not accepted: {reason.verify_message}", "check the proxies"
        )
    if isinstance(reason, TimeoutError):
        return Unreachable(f"{host} does not answer in time", "try again, or check the network")
    return Unreachable(f"no connection to {host}", "check the network, and that it is running")


def _object(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _refusal(status: int, document: dict[str, Any], endpoint: str) -> CliError:
    message = _message(document)
    if message is None:
        return _foreign(endpoint, status)
    if status == HTTPStatus.UNAUTHORIZED:
        return NotLoggedIn(message, "the key may have expired or been revoked: run 'moorage profile login'")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unreachable(message, "try again later")
    return CliError(message)


def _message(document: dict[str, Any]) -> str | None:
    """The sentence of an error, as the registry writes it."""
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else document
    message = first.get("message") if isinstance(first, dict) else None
    return message[:_REASON_MAX] if isinstance(message, str) else None


def _foreign(endpoint: str, status: int | None = None) -> NotARegistry:
    answered = "answers" if status is None else f"answers {status}"
    return NotARegistry(
        f"{host_of(endpoint)} {answered}, but does not look like a moorage registry",
        "check the proxies in between",
    )
