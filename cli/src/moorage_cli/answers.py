"""Answers of a registry as values, or as the errors that they mean."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx2

from moorage_cli.endpoints import host_of
from moorage_cli.errors import (
    CliError,
    Conflict,
    NotAllowed,
    NotARegistry,
    NotFound,
    NotLoggedIn,
    Unreachable,
    VersionMismatch,
)
from moorage_cli.retries import cause_of

_REASON_MAX = 500
# Which part of a path is the kind of the resource.
_IN_ORG, _IN_GVC = 3, 5
_CHECK = "check --endpoint and the proxies in between"
_KINDS: Mapping[int, type[CliError]] = {
    HTTPStatus.UNAUTHORIZED: NotLoggedIn,
    HTTPStatus.FORBIDDEN: NotAllowed,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.TOO_MANY_REQUESTS: Unreachable,
}
# The first that is among the causes says what has happened.
_TROUBLES: Sequence[tuple[type[Exception], str, str]] = (
    (socket.gaierror, "the host {host} is not found", "check the network and --endpoint"),
    (ssl.SSLCertVerificationError, "the certificate of {host} is not accepted: {reason}", _CHECK),
    (ssl.SSLError, "no secure connection to {host}: it does not speak TLS as it should", _CHECK),
    (httpx2.ProxyError, "the proxy does not let {host} be reached", "check HTTPS_PROXY and NO_PROXY"),
    (httpx2.TimeoutException, "{host} does not answer in time", "try again, or check the network"),
    (httpx2.ConnectError, "no connection to {host}", "check the network, --endpoint, and that it is running"),
)
_HINTS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "the key may have expired or been revoked: run 'moorage profile login'",
    HTTPStatus.TOO_MANY_REQUESTS: "try again later",
}


def json_of(response: httpx2.Response, endpoint: str) -> Any:
    """What a registry's answer holds; None for an empty one.

    Raises:
        CliError: the answer is an error (which it then is), a redirect, or no registry's.
    """
    if response.is_redirect:
        target = urlsplit(response.headers.get("Location", ""))
        other = f"{target.scheme}://{target.hostname}" if target.hostname else "another address"
        raise NotARegistry(
            f"{host_of(endpoint)} redirects to {other}",
            "name the registry itself with --endpoint; keys are not sent on",
        )
    document = _parsed(response)
    if response.is_error:
        raise _refusal(response, document, endpoint)
    if document is None and response.content:
        raise _foreign(endpoint)
    return document


def unreachable(error: httpx2.TransportError, endpoint: str) -> Unreachable:
    """The error that says why there was no answer from ``endpoint``."""
    host = host_of(endpoint)
    for kind, message, hint in _TROUBLES:
        cause = cause_of(error, kind)
        if cause is not None:
            reason = getattr(cause, "verify_message", "") or "it cannot be verified"
            return Unreachable(message.format(host=host, reason=reason), hint)
    return Unreachable(f"the connection to {host} broke", "try again")


def _parsed(response: httpx2.Response) -> Any:
    if "json" not in response.headers.get("Content-Type", ""):
        return None
    try:
        return response.json()
    except ValueError:
        return None


def _refusal(response: httpx2.Response, document: Any, endpoint: str) -> CliError:
    status = response.status_code
    said = _said(document)
    if said is None:
        return _foreign(endpoint, status)
    kind = _KINDS.get(status)
    if kind is None:
        kind = Unreachable if status >= HTTPStatus.INTERNAL_SERVER_ERROR else CliError
    if said["code"] == VersionMismatch.__name__:
        kind = VersionMismatch
    hint = _HINTS.get(status, "try again later" if kind is Unreachable else "")
    message = said["message"][:_REASON_MAX]
    if status == HTTPStatus.NOT_FOUND:
        message, hint = _absent(message, response.request.url.path)
    problems = said["details"].get("problems")
    # The first one may be the message itself.
    more = [each for each in _problems(problems) if each not in said["message"]]
    if more:
        message = f"{message.rstrip('.')}: {', '.join(more)}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and said["id"]:
        message = f"{message.rstrip('.')} (request {said['id']})"
    return kind(
        message, hint, status=status, code=said["code"], request_id=said["id"], details=said["details"]
    )


def _absent(message: str, path: str) -> tuple[str, str]:
    """The message with what was asked for, as a person can write it, and where to look for what there is."""
    resource = path.partition("/-")[0]
    parts = resource.split("/")
    if parts[:2] != ["", "org"] or resource in message:
        return message, ""
    # The kind stands before the name, or is that of the organisation itself.
    place = _IN_GVC if parts[3:4] == ["gvc"] and len(parts) > _IN_GVC else _IN_ORG
    kind = parts[place] if len(parts) > place else "org"
    return f"{message.rstrip('.')}: {resource}", f"'moorage {kind} get' shows what there is"


def _problems(problems: Any) -> list[str]:
    """The first few of what is wrong in a body, each with where it stands."""
    return [_problem(each) for each in problems[:5]] if isinstance(problems, list) else []


def _problem(problem: Any) -> str:
    if not isinstance(problem, dict):
        return str(problem)
    return ": ".join(str(value) for value in problem.values() if value not in ("", None))


def _said(document: Any) -> dict[str, Any] | None:
    """Message, code, id and details of an error, in the form of the management API or of the OCI one."""
    if not isinstance(document, dict):
        return None
    errors = document.get("errors")
    found = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else document
    message, details = found.get("message"), found.get("details")
    if not isinstance(message, str):
        return None
    return {
        "message": message,
        "code": str(found.get("code", "")),
        "id": str(found.get("id", "")),
        "details": details if isinstance(details, dict) else {},
    }


def _foreign(endpoint: str, status: int | None = None) -> NotARegistry:
    answered = "answers" if status is None else f"answers {status}"
    return NotARegistry(
        f"{host_of(endpoint)} {answered}, but does not look like a moorage registry", _CHECK, status=status
    )
