"""What a bearer token carries: the claims on the wire, and the value they become.

NOTE: the claims are a promise between the function that signs and the functions that verify, which are
deployed one after the other. A change of meaning needs a new ``CLAIMS_VERSION``; another version is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from moorage.domain.errors import NameInvalid, TokenInvalid
from moorage.domain.grants import Action, Actions
from moorage.domain.names import Repository

TOKEN_LIFETIME = timedelta(seconds=300)
ISSUER = "moorage"
AUDIENCE = "moorage-registry"
ALGORITHM = "ES256"
CLAIMS_VERSION = 1
REQUIRED_CLAIMS = ["exp", "iat", "nbf", "iss", "aud", "sub", "v", "granted", "refused"]
_LEEWAY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a verified bearer token says: who, and what was granted and refused, in canonical form.

    ``key`` is the public id of the key that the token was made with; None of a workload's.
    """

    principal: str
    expires: datetime
    granted: Mapping[Repository, Actions] = field(default_factory=dict)
    refused: Mapping[Repository, Actions] = field(default_factory=dict)
    key: str | None = None

    def allows(self, repository: Repository, action: Action) -> bool:
        """Whether the action was asked for and granted."""
        return action in self.granted.get(repository, frozenset())

    def refuses(self, repository: Repository, action: Action) -> bool:
        """Whether the action was asked for and refused, so that asking again is of no use."""
        return action in self.refused.get(repository, frozenset())


def make_claims(
    principal: str,
    *,
    granted: Mapping[Repository, Actions],
    refused: Mapping[Repository, Actions],
    now: datetime,
    token_id: str,
    key: str | None = None,
) -> dict[str, Any]:
    """The claims of a token that is issued ``now``, to whoever presented the key of the public id ``key``."""
    issued = int(now.timestamp())
    return {
        "v": CLAIMS_VERSION,
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": principal,
        "iat": issued,
        "nbf": issued,
        "exp": issued + int(TOKEN_LIFETIME.total_seconds()),
        "jti": token_id,
        "granted": _claim(granted),
        "refused": _claim(refused),
        **({} if key is None else {"key": key}),
    }


def parse_claims(claims: Mapping[str, Any], now: datetime) -> AccessToken:
    """What verified claims grant.

    Raises:
        TokenInvalid: of another version, malformed, expired, or not valid yet.
    """
    if claims["v"] != CLAIMS_VERSION:
        raise TokenInvalid("the bearer token is of another version")
    try:
        issued, begins, expires = (
            datetime.fromtimestamp(float(claims[name]), UTC) for name in ("iat", "nbf", "exp")
        )
        granted, refused = _actions(claims["granted"]), _actions(claims["refused"])
    except (TypeError, ValueError, OverflowError, OSError, AttributeError, NameInvalid):
        raise TokenInvalid("the bearer token's claims are malformed") from None
    key = claims.get("key")
    if key is not None and not isinstance(key, str):
        raise TokenInvalid("the bearer token's claims are malformed")
    if now >= expires:
        raise TokenInvalid("the bearer token has expired")
    if max(issued, begins) > now + _LEEWAY or expires > now + TOKEN_LIFETIME + _LEEWAY:
        raise TokenInvalid("the bearer token is from the future")
    return AccessToken(str(claims["sub"]), expires, granted, refused, key)


def _actions(claim: Mapping[str, Any]) -> dict[Repository, Actions]:
    return {
        Repository.parse(name): frozenset(Action(word) for word in words) for name, words in claim.items()
    }


def _claim(actions: Mapping[Repository, Actions]) -> dict[str, list[str]]:
    return {repository.name: sorted(held) for repository, held in actions.items() if held}
