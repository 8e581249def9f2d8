"""An issuer of workloads' tokens, with real keys of every type."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW = datetime.fromisoformat("2026-05-04T03:02:01+00:00")


@cache
def private_key(kind: str) -> Any:
    """One key of each kind; a number after it makes another."""
    match kind.partition("/")[0]:
        case "RSA":
            return rsa.generate_private_key(65537, 2048)
        case "P-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "P-521":
            return ec.generate_private_key(ec.SECP521R1())
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
    raise AssertionError(kind)


def public_jwk(kind: str, kid: str | None = "k1", **more: Any) -> dict[str, Any]:
    """The public half of the key of a kind."""
    public = private_key(kind).public_key()
    algorithm: Any = {"RSA": RSAAlgorithm, "Ed25519": OKPAlgorithm}.get(kind.partition("/")[0], ECAlgorithm)
    jwk = json.loads(algorithm.to_jwk(public))
    jwk.pop("key_ops", None)
    return {**jwk, **({} if kid is None else {"kid": kid}), **more}


class TokenIssuer:
    """Signs tokens with the key of one kind."""

    def __init__(
        self, url: str, kind: str = "P-256", algorithm: str = "ES256", kid: str | None = "k1"
    ) -> None:
        self.url, self.kind, self.algorithm, self.kid = url, kind, algorithm, kid

    def jwks(self, **more: Any) -> dict[str, Any]:
        """The key set that this issuer publishes."""
        return {"keys": [public_jwk(self.kind, self.kid, **more)]}

    def claims(self, now: datetime = NOW, **changes: Any) -> dict[str, Any]:
        """Claims of a token of an hour; a change to None takes a claim away."""
        claims = {
            "iss": self.url,
            "sub": "system:serviceaccount:shop:web",
            "aud": "registry.example/demo",
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + timedelta(hours=1)).timestamp()),
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, now: datetime = NOW, *, headers: dict[str, Any] | None = None, key: Any = None, **changes: Any
    ) -> str:
        """A token; ``key`` is another private key than the issuer's."""
        return self.sign(json.dumps(self.claims(now, **changes)).encode(), headers=headers, key=key)

    def sign(self, payload: bytes, *, headers: dict[str, Any] | None = None, key: Any = None) -> str:
        """Any payload, signed."""
        named = {} if self.kid is None else {"kid": self.kid}
        return jwt.PyJWS().encode(
            payload, key or private_key(self.kind), self.algorithm, headers={**named, **(headers or {})}
        )
