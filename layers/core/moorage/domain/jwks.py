"""Public keys of token issuers, as JSON Web Keys.

https://www.rfc-editor.org/rfc/rfc7517 and, for their members, https://www.rfc-editor.org/rfc/rfc7518#section-6
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.domain.errors import InvalidInput

KID_MAX = 256
_KEYS_MAX = 100
_GIVEN_SIZE_MAX = 16 * 1024
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}", re.ASCII)
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_RSA_BITS_MIN, _RSA_BITS_MAX = 2048, 8192
_RSA_EXPONENT_BYTES_MAX = 4
_RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
# The algorithm of a curve, and the length in bytes of a coordinate on it.
_EC_CURVES = {"P-256": ("ES256", 32), "P-384": ("ES384", 48), "P-521": ("ES512", 66)}
_ED25519_BYTES = 32

ALGORITHMS = _RSA_ALGORITHMS | {algorithm for algorithm, _ in _EC_CURVES.values()} | {"EdDSA"}
"""All that a token may be signed with; none of them is symmetric."""


@dataclass(frozen=True, slots=True)
class PublicJwk:
    """A key that verifies signatures.

    ``algorithms`` are those that the key's own type and ``alg`` allow, ``members`` what makes up the key and
    nothing else.
    """

    kid: str | None
    algorithms: frozenset[str]
    members: Mapping[str, str]


def parse_jwk(document: Any) -> PublicJwk:
    """The key that ``document`` is.

    Raises:
        InvalidInput: it is no key, a private key, none for signatures, or of a type, curve or size that is
            not taken.
    """
    if not isinstance(document, Mapping):
        raise InvalidInput("a key is a JSON object")
    if _PRIVATE & document.keys():
        raise InvalidInput("a key holds private members; only its public half belongs here")
    kid = document.get("kid")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= KID_MAX):
        raise InvalidInput(f"the kid of a key is a string of at most {KID_MAX} characters")
    operations = document.get("key_ops", ["verify"])
    if document.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise InvalidInput("a key is not for verifying signatures")
    allowed, members = _material(document)
    if "alg" in document:
        allowed = frozenset(each for each in allowed if each == document["alg"])
    if not allowed:
        raise InvalidInput("the alg of a key does not go with its type")
    return PublicJwk(kid, allowed, members)


def parse_jwks(document: Any) -> tuple[PublicJwk, ...]:
    """The keys in a key set that are taken here; an issuer may publish others beside them.

    Raises:
        InvalidInput: no key set, or one of more than 100 keys.
    """
    keys = []
    for each in _entries(document):
        try:
            keys.append(parse_jwk(each))
        except InvalidInput:
            continue
    return tuple(keys)


def parse_given_jwks(document: Any, most: int) -> tuple[PublicJwk, ...]:
    """The keys in a key set that somebody has written down here: every one must be of use.

    Raises:
        InvalidInput: no key set, an empty one, more than ``most`` keys, or a key that ``parse_jwk`` refuses
            or that holds more than a key needs.
    """
    entries = _entries(document)
    if document.keys() != {"keys"} or not 0 < len(entries) <= most:
        raise InvalidInput(f'a key set that is given has 1 to {most} "keys" and nothing else')
    for entry in entries:
        _check_given(entry)
    return tuple(parse_jwk(each) for each in entries)


def _check_given(entry: Any) -> None:
    """Refuse what would be stored with a key and is none of it."""
    size = 0
    for name, value in entry.items() if isinstance(entry, Mapping) else ():
        values = value if isinstance(value, list) else [value]
        if not isinstance(name, str) or not all(isinstance(each, str) for each in values):
            raise InvalidInput("the members of a key that is given are strings, or lists of strings")
        size += len(name) + sum(map(len, values))
    if size > _GIVEN_SIZE_MAX:
        raise InvalidInput(f"a key that is given has at most {_GIVEN_SIZE_MAX} characters")


def _entries(document: Any) -> list[Any]:
    entries = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(entries, list):
        raise InvalidInput('a key set is a JSON object with a list "keys"')
    if len(entries) > _KEYS_MAX:
        raise InvalidInput(f"a key set has at most {_KEYS_MAX} keys")
    return entries


def _material(document: Mapping[str, Any]) -> tuple[frozenset[str], dict[str, str]]:
    match document.get("kty"):
        case "RSA":
            modulus, exponent = _number(document, "n", 2 * _RSA_BITS_MAX), _number(document, "e", 64)
            bits = int.from_bytes(modulus, "big").bit_length()
            value = int.from_bytes(exponent, "big")
            if not _RSA_BITS_MIN <= bits <= _RSA_BITS_MAX:
                raise InvalidInput(f"an RSA key has {_RSA_BITS_MIN} to {_RSA_BITS_MAX} bits")
            if len(exponent) > _RSA_EXPONENT_BYTES_MAX or value < 3 or value % 2 == 0:  # noqa: PLR2004
                raise InvalidInput("the exponent of an RSA key is an odd number of at most 32 bits")
            return _RSA_ALGORITHMS, _members(document, "kty", "n", "e")
        case "EC":
            algorithm, length = _EC_CURVES.get(str(document.get("crv")), ("", 0))
            if not algorithm or {len(_number(document, each, 128)) for each in ("x", "y")} != {length}:
                raise InvalidInput("an EC key is a point on P-256, P-384 or P-521")
            return frozenset({algorithm}), _members(document, "kty", "crv", "x", "y")
        case "OKP":
            if document.get("crv") != "Ed25519" or len(_number(document, "x", 64)) != _ED25519_BYTES:
                raise InvalidInput("an OKP key is one of Ed25519")
            return frozenset({"EdDSA"}), _members(document, "kty", "crv", "x")
        case _:
            raise InvalidInput("a key is of type RSA, EC or OKP")


def _number(document: Mapping[str, Any], name: str, most: int) -> bytes:
    """The bytes of a member that is written in at most ``most`` characters of base64url."""
    text = document.get(name)
    if not isinstance(text, str) or len(text) > most or not _BASE64URL.fullmatch(text):
        raise InvalidInput(f"the member {name} of a key is a base64url string")
    try:
        return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except ValueError:
        raise InvalidInput(f"the member {name} of a key is a base64url string") from None


def _members(document: Mapping[str, Any], *names: str) -> dict[str, str]:
    return {name: document[name] for name in names}
