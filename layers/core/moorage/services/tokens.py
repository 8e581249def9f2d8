"""Bearer tokens: who presents which key gets which grants, for five minutes.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

from moorage.domain.addresses import Address
from moorage.domain.errors import CredentialsInvalid, InvalidInput
from moorage.domain.grants import parse_scopes
from moorage.domain.principals import KeyRecord
from moorage.domain.tokens import ALGORITHM, TOKEN_LIFETIME, make_claims
from moorage.ports import Accounts, Clock, SigningKey, SigningKeySource
from moorage.services.authorization import Authorization
from moorage.services.keys import KeyAuthentication

KEY_USER = "<token>"
_SIGNING_KEY_HELD = timedelta(minutes=5)
# The gateway takes 10,240 bytes of request line and headers, and the token is in a header.
_MAX_TOKEN_SIZE = 6144
REPOSITORIES_MAX = 200
"""Repositories that one token can be asked for. A token for more of them would hardly fit a request."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token and its times."""

    token: str
    issued: datetime
    lifetime: timedelta
    principal: str


class TokenIssuing:
    """Exchanges keys for tokens."""

    def __init__(
        self, accounts: Accounts, authorization: Authorization, source: SigningKeySource, clock: Clock
    ) -> None:
        self._keys = KeyAuthentication(accounts, clock)
        self._authorization = authorization
        self._source = source
        self._clock = clock
        self._held: tuple[SigningKey, datetime] | None = None

    def authenticate(self, username: str, password: str) -> KeyRecord:
        """The key that ``password`` is.

        Raises:
            CredentialsInvalid: no such key, a wrong secret, an expired key (all alike), or a user name that
                is neither ``<token>`` nor the key's own name.
        """
        key = self.authenticate_key(password)
        if username not in (KEY_USER, key.name):
            raise CredentialsInvalid(
                f"the user name is the literal {KEY_USER} (or the key's name) "
                "and the password a key of a service account or a user"
            )
        return key

    def authenticate_key(self, secret: str) -> KeyRecord:
        """The key that ``secret`` is, whoever presents it.

        Raises:
            CredentialsInvalid: no such key, a wrong secret, or an expired key: all alike.
        """
        return self._keys.authenticate(secret)

    def issue(
        self, principal: str, scopes: Iterable[str], address: Address, *, key: str | None = None
    ) -> IssuedToken:
        """A token for a principal that has proved who it is, by the key of the public id ``key`` if it has
        one: of what ``scopes`` ask for at ``address``, what it may do.

        Raises:
            InvalidInput: so many scopes that the token would not fit a request, or over 200 repositories.
        """
        asked = parse_scopes(scopes, address)
        if len(asked) > REPOSITORIES_MAX:
            raise InvalidInput(f"a token is for at most {REPOSITORIES_MAX} repositories; ask for fewer")
        granted, refused = self._authorization.grant(principal, asked)
        now = self._clock()
        signing = self._signing_key(now)
        claims = make_claims(
            principal, granted=granted, refused=refused, now=now, token_id=secrets.token_hex(16), key=key
        )
        token = jwt.encode(claims, signing.private_pem, algorithm=ALGORITHM, headers={"kid": signing.kid})
        if len(token) > _MAX_TOKEN_SIZE:
            raise InvalidInput("a token for that many scopes does not fit a request; ask for fewer at a time")
        return IssuedToken(token, now, TOKEN_LIFETIME, principal)

    def _signing_key(self, now: datetime) -> SigningKey:
        if self._held is None or now >= self._held[1]:
            self._held = (self._source.signing_key(), now + _SIGNING_KEY_HELD)
        return self._held[0]
