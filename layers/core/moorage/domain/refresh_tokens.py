"""What a refresh token carries: which key it stands for at ``/token``, and how long.

NOTE: the claims are a promise as those of bearer tokens are; see ``tokens``. The audience is another one, so
that neither kind is ever taken for the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from moorage.domain.errors import CredentialsInvalid
from moorage.domain.tokens import CLAIMS_VERSION, ISSUER

REFRESH_TOKEN_LIFETIME = timedelta(hours=1)
"""As long as a push may take: a client asks its helper once, and ``/token`` every five minutes."""
REFRESH_AUDIENCE = "moorage-token"
REQUIRED_REFRESH_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "v", "key"]
_LEEWAY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A principal, and the public id of the key by which it got the token."""

    principal: str
    key: str


def make_refresh_claims(principal: str, key: str, *, now: datetime, token_id: str) -> dict[str, Any]:
    """The claims of a refresh token that is issued ``now`` to whoever presented the key of that public id."""
    issued = int(now.timestamp())
    return {
        "v": CLAIMS_VERSION,
        "iss": ISSUER,
        "aud": REFRESH_AUDIENCE,
        "sub": principal,
        "iat": issued,
        "exp": issued + int(REFRESH_TOKEN_LIFETIME.total_seconds()),
        "jti": token_id,
        "key": key,
    }


def parse_refresh_claims(claims: Mapping[str, Any], now: datetime) -> RefreshToken:
    """Whom verified claims name.

    Raises:
        CredentialsInvalid: of another version, malformed, expired, or not valid yet.
    """
    principal, key = claims["sub"], claims["key"]
    if claims["v"] != CLAIMS_VERSION or not isinstance(principal, str) or not isinstance(key, str):
        raise CredentialsInvalid("the refresh token is of another version, or malformed")
    try:
        issued, expires = (datetime.fromtimestamp(float(claims[name]), UTC) for name in ("iat", "exp"))
    except (TypeError, ValueError, OverflowError, OSError):
        raise CredentialsInvalid("the refresh token is of another version, or malformed") from None
    if now >= expires:
        raise CredentialsInvalid("the refresh token has expired; get another one with the key")
    if issued > now + _LEEWAY or expires > now + REFRESH_TOKEN_LIFETIME + _LEEWAY:
        raise CredentialsInvalid("the refresh token is from the future")
    return RefreshToken(principal, key)
