"""Bearer tokens: who presents which key gets which grants, for five minutes.

Programs that get their credentials from a helper get a refresh token in place of the key.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt

from moorage.domain.addresses import Address
from moorage.domain.errors import CredentialsInvalid, InvalidInput
from moorage.domain.grants import parse_scopes
from moorage.domain.principals import KeyRecord
from moorage.domain.refresh_tokens import REFRESH_TOKEN_LIFETIME, make_refresh_claims
from moorage.domain.tokens import ALGORITHM, TOKEN_LIFETIME, make_claims
from moorage.ports import Accounts, Clock, SigningKey, SigningKeySource, VerificationKeys
from moorage.services.authorization import Authorization
from moorage.services.keys import KeyAuthentication
from moorage.services.refresh_tokens import RefreshAuthentication, is_refresh_token

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
        self,
        accounts: Accounts,
        authorization: Authorization,
        source: SigningKeySource,
        published: VerificationKeys,
        clock: Clock,
    ) -> None:
        self._keys = KeyAuthentication(accounts, clock)
        self._refreshing = RefreshAuthentication(self._keys, published, clock)
        self._authorization = authorization
        self._source = source
        self._clock = clock
        self._held: tuple[SigningKey, datetime] | None = None

    def authenticate(self, username: str, password: str) -> KeyRecord:
        """The key that ``password`` is, or was when it became the refresh token that ``password`` is.

        Raises:
            CredentialsInvalid: no such key, a wrong secret, an expired key (all alike), a refresh token that
                is no longer good, or a user name that is neither ``<token>`` nor the key's own name.
        """
        key = self.authenticate_key(password)
        if username not in (KEY_USER, key.name):
            raise CredentialsInvalid(
                f"the user name is the literal {KEY_USER} (or the key's name) "
                "and the password a key of a service account or a user"
            )
        return key

    def authenticate_key(self, secret: str) -> KeyRecord:
        """The key that ``secret`` is, or was when it became the refresh token that ``secret`` is, whoever
        presents it.

        Raises:
            CredentialsInvalid: no such key, a wrong secret, or an expired key: all alike. Or a refresh token
                that is over, or whose key is.
        """
        if is_refresh_token(secret):
            return self._refreshing.authenticate(secret)
        return self._keys.authenticate(secret)

    def issue_refresh_token(self, secret: str) -> IssuedToken:
        """A token with which ``/token`` is asked for an hour in place of the key that ``secret`` is. It is
        nothing to any other endpoint, cannot be renewed, and ends with its key.

        Raises:
            CredentialsInvalid: ``secret`` is no key, or not a good one; a refresh token is none.
        """
        key = self._keys.authenticate(secret)
        now = self._clock()
        claims = make_refresh_claims(key.owner, key.id, now=now, token_id=secrets.token_hex(16))
        return IssuedToken(self._signed(claims, now), now, REFRESH_TOKEN_LIFETIME, key.owner)

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
        claims = make_claims(
            principal, granted=granted, refused=refused, now=now, token_id=secrets.token_hex(16), key=key
        )
        token = self._signed(claims, now)
        if len(token) > _MAX_TOKEN_SIZE:
            raise InvalidInput("a token for that many scopes does not fit a request; ask for fewer at a time")
        return IssuedToken(token, now, TOKEN_LIFETIME, principal)

    def _signed(self, claims: dict[str, Any], now: datetime) -> str:
        signing = self._signing_key(now)
        return jwt.encode(claims, signing.private_pem, algorithm=ALGORITHM, headers={"kid": signing.kid})

    def _signing_key(self, now: datetime) -> SigningKey:
        if self._held is None or now >= self._held[1]:
            self._held = (self._source.signing_key(), now + _SIGNING_KEY_HELD)
        return self._held[0]
