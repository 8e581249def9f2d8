"""The token service: ``GET /token`` with Basic, and ``POST /token`` with a form.

https://distribution.github.io/distribution/spec/auth/token/
https://distribution.github.io/distribution/spec/auth/oauth/
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from moorage.domain.errors import CredentialsInvalid, InvalidInput, Unauthorized
from moorage.domain.principals import KeyRecord
from moorage.services.tokens import KEY_USER, TokenIssuing
from moorage.web.origin import Entrance
from moorage.web.resource import Handler, NotFound, Resource

if TYPE_CHECKING:
    from starlette.requests import Request

_FORM = "application/x-www-form-urlencoded"
_MAX_FORM_FIELDS = 100
_MAX_FORM_SIZE = 64 * 1024


def create_application(issuing: TokenIssuing, entrance: Entrance) -> Router:
    """The ASGI application that serves ``/token`` to clients that come in by ``entrance``."""
    endpoint = _TokenEndpoint(issuing, entrance)
    handlers = {"GET": endpoint.get, "POST": endpoint.post}
    token = Resource("token", {name: _challenging(each, entrance) for name, each in handlers.items()})
    return Router([Route("/token", token)], redirect_slashes=False, default=NotFound())


class _TokenEndpoint:
    def __init__(self, issuing: TokenIssuing, entrance: Entrance) -> None:
        self._issuing = issuing
        self._entrance = entrance

    def get(self, request: Request, _: bytes) -> Response:
        """Basic credentials, and any number of ``scope`` parameters."""
        key = self._issuing.authenticate(*_basic(request))
        return self._issue(request, key, request.query_params.getlist("scope"))

    def post(self, request: Request, body: bytes) -> Response:
        """``grant_type=password`` or ``refresh_token``; scopes in one field, separated by spaces."""
        form = _form(request, body)
        match form.get("grant_type"):
            case "password":
                key = self._issuing.authenticate(form.get("username", ""), form.get("password", ""))
            case "refresh_token":
                # Whoever keeps an identity token instead of a password has put a key there.
                key = self._issuing.authenticate_key(form.get("refresh_token", ""))
            case _:
                raise InvalidInput("grant_type is password or refresh_token")
        return self._issue(request, key, [form.get("scope", "")])

    def _issue(self, request: Request, key: KeyRecord, scopes: Sequence[str]) -> Response:
        # Clients that join several scopes do it with spaces, in either dialect.
        asked = [scope for joined in scopes for scope in joined.split()]
        issued = self._issuing.issue(key, asked, self._entrance.address(request))
        request.state.principal = issued.principal
        answer = {
            "token": issued.token,
            "access_token": issued.token,
            "expires_in": int(issued.lifetime.total_seconds()),
            "issued_at": issued.issued.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _basic(request: Request) -> tuple[str, str]:
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        raise Unauthorized(f"log in with the user name {KEY_USER} and a service-account key as password")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:  # not Base64, not ASCII, or not UTF-8 inside
        raise CredentialsInvalid("the Basic credentials are malformed") from None
    username, _, password = decoded.partition(":")
    return username, password


def _form(request: Request, body: bytes) -> dict[str, str]:
    """The fields of a form; of repeated ones the values joined by spaces, as scopes are.

    Raises:
        InvalidInput: not a form.
    """
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != _FORM or len(body) > _MAX_FORM_SIZE:
        raise InvalidInput(f"the body is a form of type {_FORM}")
    try:
        fields = parse_qs(body.decode(), max_num_fields=_MAX_FORM_FIELDS, strict_parsing=True)
    except ValueError:
        raise InvalidInput("the form is malformed") from None
    return {name: " ".join(values) for name, values in fields.items()}


def _challenging(handler: Handler, entrance: Entrance) -> Handler:
    """``handler``, whose 401 names the scheme of credentials, as every 401 has to."""

    def handle(request: Request, body: bytes) -> Response:
        try:
            return handler(request, body)
        except Unauthorized:
            request.state.error_headers = {"WWW-Authenticate": f'Basic realm="{entrance.host(request)}"'}
            raise

    return handle
