"""The token service: ``GET /token`` with Basic, and ``POST /token`` with a form.

A workload presents its own token in place of a key, with the link of its identity as user name, or exchanges
it as RFC 8693 says. In the same way a key becomes a refresh token, for programs that may not have the key.

https://distribution.github.io/distribution/spec/auth/token/
https://distribution.github.io/distribution/spec/auth/oauth/
https://www.rfc-editor.org/rfc/rfc8693#section-2
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from moorage.domain.errors import CredentialsInvalid, InvalidInput, Unauthorized
from moorage.domain.principals import KeyRecord
from moorage.domain.trust import is_identity_link
from moorage.services.identity_exchange import IdentityExchange
from moorage.services.tokens import KEY_USER, IssuedToken, TokenIssuing
from moorage.web.origin import Entrance
from moorage.web.resource import Handler, NotFound, Resource

if TYPE_CHECKING:
    from starlette.requests import Request

_FORM = "application/x-www-form-urlencoded"
_MAX_FORM_FIELDS = 100
_MAX_FORM_SIZE = 64 * 1024
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPE = "urn:ietf:params:oauth:token-type:"
_SUBJECT_TYPES = (f"{_TYPE}jwt", f"{_TYPE}id_token")
_ISSUED_TYPE = f"{_TYPE}access_token"
_REFRESH_TYPE = f"{_TYPE}refresh_token"


class _Proved(NamedTuple):
    """Who has proved to be whom: a principal, and the public id of its key; None of a workload."""

    principal: str
    key: str | None = None

    @classmethod
    def by(cls, key: KeyRecord) -> _Proved:
        """The owner of a key that was presented."""
        return cls(key.owner, key.id)


def create_application(issuing: TokenIssuing, exchange: IdentityExchange, entrance: Entrance) -> Router:
    """The ASGI application that serves ``/token`` to clients that come in by ``entrance``."""
    endpoint = _TokenEndpoint(issuing, exchange, entrance)
    handlers = {"GET": endpoint.get, "POST": endpoint.post}
    token = Resource("token", {name: _challenging(each, entrance) for name, each in handlers.items()})
    return Router([Route("/token", token)], redirect_slashes=False, default=NotFound())


class _TokenEndpoint:
    def __init__(self, issuing: TokenIssuing, exchange: IdentityExchange, entrance: Entrance) -> None:
        self._issuing = issuing
        self._exchange = exchange
        self._entrance = entrance

    def get(self, request: Request, _: bytes) -> Response:
        """Basic credentials, and any number of ``scope`` parameters."""
        proved = self._proved(request, *_basic(request))
        return self._issue(request, proved, request.query_params.getlist("scope"))

    def post(self, request: Request, body: bytes) -> Response:
        """``grant_type=password``, ``refresh_token`` or RFC 8693's; scopes in one field, with spaces."""
        form = _form(request, body)
        if form.get("grant_type") == _EXCHANGE and form.get("requested_token_type") == _REFRESH_TYPE:
            return self._issue_refresh_token(request, form)
        more: dict[str, str] = {}
        match form.get("grant_type"):
            case "password":
                proved = self._proved(request, form.get("username", ""), form.get("password", ""))
            case "refresh_token":
                # Whoever keeps an identity token instead of a password has put a key there, or it comes from
                # a helper.
                proved = _Proved.by(self._issuing.authenticate_key(form.get("refresh_token", "")))
            case grant if grant == _EXCHANGE:
                proved = _Proved(self._exchanged(request, form))
                more = {"issued_token_type": _ISSUED_TYPE, "token_type": "Bearer"}
            case _:
                raise InvalidInput(f"grant_type is password, refresh_token or {_EXCHANGE}")
        return self._issue(request, proved, [form.get("scope", "")], more)

    def _proved(self, request: Request, username: str, password: str) -> _Proved:
        if is_identity_link(username):
            address = self._entrance.address(request)
            return _Proved(self._exchange.authenticate(username, password, address))
        return _Proved.by(self._issuing.authenticate(username, password))

    def _exchanged(self, request: Request, form: Mapping[str, str]) -> str:
        """The identity that the form names as ``identity`` or, as RFC 8693 has it, ``resource``."""
        if form.get("subject_token_type") not in _SUBJECT_TYPES:
            raise InvalidInput(f"subject_token_type is {' or '.join(_SUBJECT_TYPES)}")
        if form.get("requested_token_type", _ISSUED_TYPE) != _ISSUED_TYPE or "actor_token" in form:
            raise InvalidInput(f"only an {_ISSUED_TYPE} is issued, and only to the subject itself")
        named = {form[name] for name in ("identity", "resource") if name in form}
        if len(named) != 1:
            raise InvalidInput(
                "identity is the link of one identity: /org/ORGANISATION/gvc/GVC/identity/NAME"
            )
        return self._exchange.authenticate(
            named.pop(), form.get("subject_token", ""), self._entrance.address(request)
        )

    def _issue_refresh_token(self, request: Request, form: Mapping[str, str]) -> Response:
        """The answer to a key that is exchanged for a refresh token, in the words of RFC 8693."""
        if form.get("subject_token_type") != _ISSUED_TYPE or "actor_token" in form:
            raise InvalidInput(
                f"a {_REFRESH_TYPE} is issued for a key; the subject_token_type of a key is {_ISSUED_TYPE}"
            )
        issued = self._issuing.issue_refresh_token(form.get("subject_token", ""))
        answer = {"access_token": issued.token, "issued_token_type": _REFRESH_TYPE, "token_type": "N_A"}
        return _answer(request, issued, answer)

    def _issue(
        self, request: Request, proved: _Proved, scopes: Sequence[str], more: Mapping[str, str] | None = None
    ) -> Response:
        # Clients that join several scopes do it with spaces, in either dialect.
        asked = [scope for joined in scopes for scope in joined.split()]
        address = self._entrance.address(request)
        issued = self._issuing.issue(proved.principal, asked, address, key=proved.key)
        return _answer(request, issued, {"token": issued.token, "access_token": issued.token, **(more or {})})


def _answer(request: Request, issued: IssuedToken, answer: Mapping[str, str]) -> Response:
    request.state.principal = issued.principal
    times = {
        "expires_in": int(issued.lifetime.total_seconds()),
        "issued_at": issued.issued.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return JSONResponse({**answer, **times}, headers={"Cache-Control": "no-store"})


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
