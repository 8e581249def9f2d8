"""Bearer tokens on ``/v2/*``: who calls, and whether the token grants what the route needs.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from moorage.domain.addresses import Address
from moorage.domain.errors import Denied, TokenInvalid, Unauthorized
from moorage.domain.grants import Action, format_scope
from moorage.domain.names import Repository
from moorage.domain.tokens import AccessToken
from moorage.services.verification import TokenVerification
from moorage.web.origin import Entrance

if TYPE_CHECKING:
    from starlette.requests import Request

# The manifest command of docker's client takes a registry for one of today by this header of the first 401.
PROTOCOL = {"Docker-Distribution-API-Version": "registry/2.0"}

# A push begins with questions (is this layer there already?), so its token is asked to answer them.
_ASKED_TOGETHER: dict[Action, tuple[Action, ...]] = {
    Action.PULL: (Action.PULL,),
    Action.PUSH: (Action.PULL, Action.PUSH),
    Action.DELETE: (Action.DELETE,),
}


@dataclass(frozen=True, slots=True)
class Authentication:
    """Checks the tokens of requests that come in by ``entrance``."""

    verification: TokenVerification
    entrance: Entrance

    def authenticate(self, request: Request, scope: str | None) -> AccessToken:
        """The verified token of a request.

        Raises:
            Unauthorized: no bearer token. The answer carries the challenge, for ``scope``.
            TokenInvalid: one that is not valid; the answer carries the challenge, too.
        """
        kind, _, credentials = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            self._challenge(request, scope, error=None)
            raise Unauthorized("authentication is required")
        try:
            token = self.verification.verify(credentials.strip())
        except TokenInvalid:
            self._challenge(request, scope, error="invalid_token")
            raise
        request.state.principal = token.principal
        return token

    def authorize(
        self, request: Request, token: AccessToken, address: Address, repository: Repository, action: Action
    ) -> None:
        """Check that ``token`` grants ``action`` on ``repository``.

        Raises:
            Denied: it was asked for and refused; whether the repository exists makes no difference.
            Unauthorized: it was not asked for; the challenge says what to ask for.
        """
        if token.allows(repository, action):
            return
        name = address.name_of(repository)
        if token.refuses(repository, action):
            raise Denied(f"you may not {action} {name}; ask an administrator of {repository.org} for access")
        self._challenge(request, scope_for(name, action), error="insufficient_scope")
        raise Unauthorized(f"the token was not asked for {action} on {name}")

    def _challenge(self, request: Request, scope: str | None, error: str | None) -> None:
        """Let the answer to this request carry the challenge."""
        fields = {
            "realm": f"{self.entrance.base_url(request)}/token",
            "service": self.entrance.host(request),
        }
        if scope is not None:
            fields["scope"] = scope
        if error is not None:
            fields["error"] = error
        challenge = ",".join(f'{key}="{value}"' for key, value in fields.items())
        request.state.error_headers = {"WWW-Authenticate": f"Bearer {challenge}", **PROTOCOL}


def scope_for(name: str, action: Action) -> str:
    """The scope that a client has to ask for to do ``action``."""
    return format_scope(name, _ASKED_TOGETHER[action])
