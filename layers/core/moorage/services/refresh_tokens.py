"""Refresh tokens: what a program shows at ``/token`` that may not have the key itself."""

from __future__ import annotations

from moorage.domain.errors import CredentialsInvalid, TokenInvalid
from moorage.domain.principals import KeyRecord
from moorage.domain.refresh_tokens import REFRESH_AUDIENCE, REQUIRED_REFRESH_CLAIMS, parse_refresh_claims
from moorage.ports import Clock, VerificationKeys
from moorage.services.keys import KeyAuthentication
from moorage.services.verification import MAX_TOKEN_SIZE, PublishedKeys

_DOTS = 2


def is_refresh_token(secret: str) -> bool:
    """Whether ``secret`` has the form of a signed token; no key has it."""
    return secret.count(".") == _DOTS


class RefreshAuthentication:
    """Finds the key that a refresh token stands for.

    The key is read each time: a token is worth nothing from the moment at which its key is revoked.
    """

    def __init__(self, keys: KeyAuthentication, published: VerificationKeys, clock: Clock) -> None:
        self._keys = keys
        self._published = PublishedKeys(published)
        self._clock = clock

    def authenticate(self, token: str) -> KeyRecord:
        """The key that ``token`` was issued for.

        Raises:
            CredentialsInvalid: this is no refresh token of this registry, it has expired, or its key is
                revoked or has expired.
        """
        now = self._clock()
        if len(token) > MAX_TOKEN_SIZE:
            raise CredentialsInvalid("the refresh token is too long")
        try:
            verified = self._published.verify(token, REFRESH_AUDIENCE, REQUIRED_REFRESH_CLAIMS, now)
        except TokenInvalid:
            raise CredentialsInvalid("what is presented is no refresh token of this registry") from None
        presented = parse_refresh_claims(verified.claims, now)
        key = self._keys.find_alive(presented.key, presented.principal)
        if key is None:
            raise CredentialsInvalid("the key that the refresh token was made with is revoked or expired")
        return key
