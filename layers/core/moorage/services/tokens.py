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
from moorage.domain.principals import KeyRecord, public_id
from moorage.domain.tokens import ALGORITHM, TOKEN_LIFETIME, make_claims
from moorage.ports import Accounts, Clock, SigningKey, SigningKeySource
from moorage.services.authorization import Authorization

KEY_USER = "<token>"
_SIGNING_KEY_HELD = timedelta(minutes=5)
# The gateway takes 10,240 bytes of request line and headers, and the token is in a header.
_MAX_TOKEN_SIZE = 6144


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token and its times."""

    token: str
    issued: datetime
    lifetime: timedelta
    principal: str


class TokenIssuing:
    """Exchanges service-account keys for tokens."""

    def __init__(
        self, accounts: Accounts, authorization: Authorization, source: SigningKeySource, clock: Clock
    ) -> None:
        self._accounts = accounts
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
                "and the password a service-account key"
            )
        return key

    def authenticate_key(self, secret: str) -> KeyRecord:
        """The key that ``secret`` is, whoever presents it.

        Raises:
            CredentialsInvalid: no such key, a wrong secret, or an expired key: all alike.
        """
        key = self._accounts.find_key(public_id(secret))
        if key is None or not key.proves(secret, self._clock()):
            raise CredentialsInvalid("the service-account key is unknown, revoked or expired")
        return key

    def issue(self, key: KeyRecord, scopes: Iterable[str], address: Address) -> IssuedToken:
        """A token for the account of ``key``: of what ``scopes`` ask for at ``address``, what it may do.

        Raises:
            InvalidInput: so many scopes that the token would not fit a request.
        """
        principal = key.account.link
        granted, refused = self._authorization.grant(principal, parse_scopes(scopes, address))
        now = self._clock()
        signing = self._signing_key(now)
        claims = make_claims(
            principal, granted=granted, refused=refused, now=now, token_id=secrets.token_hex(16)
        )
        token = jwt.encode(claims, signing.private_pem, algorithm=ALGORITHM, headers={"kid": signing.kid})
        if len(token) > _MAX_TOKEN_SIZE:
            raise InvalidInput("a token for that many scopes does not fit a request; ask for fewer at a time")
        return IssuedToken(token, now, TOKEN_LIFETIME, principal)

    def _signing_key(self, now: datetime) -> SigningKey:
        if self._held is None or now >= self._held[1]:
            self._held = (self._source.signing_key(), now + _SIGNING_KEY_HELD)
        return self._held[0]
