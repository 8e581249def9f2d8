"""Verifies bearer tokens against the published keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import jwt

from moorage.domain.errors import TokenInvalid
from moorage.domain.tokens import ALGORITHM, AUDIENCE, ISSUER, REQUIRED_CLAIMS, AccessToken, parse_claims
from moorage.ports import Clock, PublicKey, VerificationKeys

_KEYS_HELD = timedelta(minutes=5)
# Anybody can invent key ids: that must not become a read of the table per request.
_RELOAD_PAUSE = timedelta(seconds=5)
MAX_TOKEN_SIZE = 8192
"""Characters of a token that are looked at."""
# A client sends one token for a whole pull; checking its signature is a fifth of what a request costs.
_REMEMBERED = 32


class Verified(NamedTuple):
    """The claims of a token, and the key that has signed them."""

    key: PublicKey
    claims: Mapping[str, Any]


class PublishedKeys:
    """The published keys by their ids, held for minutes."""

    def __init__(self, source: VerificationKeys) -> None:
        self._source = source
        self._keys: dict[str, PublicKey] = {}
        self._loaded: datetime | None = None

    def find(self, kid: str, now: datetime) -> PublicKey | None:
        """The key of that id; None if there is none, or its time is over."""
        age = None if self._loaded is None else now - self._loaded
        if age is None or age >= _KEYS_HELD or (kid not in self._keys and age >= _RELOAD_PAUSE):
            self._keys = {key.kid: key for key in self._source.verification_keys()}
            self._loaded = now
        key = self._keys.get(kid)
        if key is None or (key.not_after is not None and now >= key.not_after):
            return None
        return key

    def verify(self, token: str, audience: str, required: Sequence[str], now: datetime) -> Verified:
        """The claims of ``token``, if this registry has signed it for ``audience``; its times are not looked
        at, but that all ``required`` claims are there.

        The key is chosen by ``kid`` alone and the algorithm is fixed here: nothing in a token (``alg``,
        ``jwk``, ``jku``, ``x5u``) can bring another.

        Raises:
            TokenInvalid: it is no such token.
        """
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self.find(kid, now) if isinstance(kid, str) else None
            if key is None:
                raise TokenInvalid("the bearer token is not signed by this registry")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.pem,
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=ISSUER,
                # Times are checked by whoever asks, against the clock that everything here goes by.
                options={
                    "require": list(required),
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError:
            raise TokenInvalid("the bearer token is not valid") from None
        return Verified(key, claims)


class TokenVerification:
    """Turns a presented token into what it grants, or refuses it."""

    def __init__(self, source: VerificationKeys, clock: Clock) -> None:
        self._published = PublishedKeys(source)
        self._clock = clock
        self._verified: dict[bytes, Verified] = {}

    def verify(self, token: str) -> AccessToken:
        """What ``token`` grants.

        Raises:
            TokenInvalid: not a token of this registry, or not at this time.
        """
        if len(token) > MAX_TOKEN_SIZE:
            raise TokenInvalid("the bearer token is too long")
        now = self._clock()
        # What was verified is remembered under the hash of every byte of it. Whether its key is still
        # published, and its time has not run out, is asked each time.
        name = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._verified.get(name)
        if known is None or self._published.find(known.key.kid, now) != known.key:
            known = self._published.verify(token, AUDIENCE, REQUIRED_CLAIMS, now)
            while len(self._verified) >= _REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._verified[name] = known
        return parse_claims(known.claims, now)
