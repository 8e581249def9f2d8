"""Keys of issuers: those that verify something, and all the others."""

import base64
from typing import Any

import pytest

from moorage.domain.errors import InvalidInput
from moorage.domain.jwks import ALGORITHMS, parse_given_jwks, parse_jwk, parse_jwks
from tests.unit.token_issuer import public_jwk

RSA = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


def number(bits: int, value: int | None = None) -> str:
    content = (value or (1 << bits - 1) | 1).to_bytes((bits + 7) // 8, "big")
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def rsa_key(bits: int = 2048, e: str = "AQAB", **more: object) -> dict[str, object]:
    return {"kty": "RSA", "n": number(bits), "e": e, **more}


@pytest.mark.parametrize(
    ("kind", "algorithms"),
    [
        ("RSA", RSA),
        ("P-256", {"ES256"}),
        ("P-384", {"ES384"}),
        ("P-521", {"ES512"}),
        ("Ed25519", {"EdDSA"}),
    ],
)
def test_a_key_allows_what_its_own_type_can_do(kind: str, algorithms: set[str]) -> None:
    assert parse_jwk(public_jwk(kind)).algorithms == algorithms
    for algorithm in algorithms:
        named = parse_jwk(public_jwk(kind, alg=algorithm, use="sig", key_ops=["verify"], x5c=["x"], x5t="y"))
        assert named.algorithms == {algorithm}
        assert named.kid == "k1"
        assert not {"alg", "use", "key_ops", "x5c", "x5t", "kid"} & set(named.members)
    for algorithm in ALGORITHMS - algorithms | {"HS256", "none", "", "ES256K"}:
        with pytest.raises(InvalidInput):
            parse_jwk(public_jwk(kind, alg=algorithm))


def test_nothing_symmetric_is_taken() -> None:
    assert {name[:2] for name in ALGORITHMS} == {"RS", "PS", "ES", "Ed"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "key",
        {},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "oct", "n": "c2VjcmV0"},
        {"kty": ["RSA"]},
        {"kty": "rsa", "n": number(2048), "e": "AQAB"},
        rsa_key(1024),
        rsa_key(2047),
        rsa_key(8193),
        rsa_key(65536),
        rsa_key(e=""),
        rsa_key(e="AA"),
        rsa_key(e="AQ"),
        rsa_key(e="BA"),
        rsa_key(e="AQAAAAAB"),
        rsa_key(e="A" * 65),
        rsa_key(d="AQAB"),
        rsa_key(p="AQAB"),
        rsa_key(n=None),
        rsa_key(n=1),
        rsa_key(n="!" * 300),
        rsa_key(n=number(2048) + "\n"),
        rsa_key(use="enc"),
        rsa_key(key_ops=["encrypt"]),
        rsa_key(key_ops="verify"),
        rsa_key(kid=""),
        rsa_key(kid=1),
        rsa_key(kid="k" * 257),
        rsa_key(alg=["RS256"]),
        rsa_key(alg=None),
        {"kty": "EC", "crv": "secp256k1", "x": number(256), "y": number(256)},
        {"kty": "EC", "crv": ["P-256"], "x": number(256), "y": number(256)},
        {"kty": "EC", "crv": "P-256", "x": number(256)},
        {"kty": "EC", "crv": "P-256", "x": number(256), "y": number(384)},
        {"kty": "EC", "crv": "P-384", "x": number(256), "y": number(256)},
        {"kty": "OKP", "crv": "X25519", "x": number(256)},
        {"kty": "OKP", "crv": "Ed448", "x": number(456)},
        {"kty": "OKP", "crv": "Ed25519", "x": number(248)},
        {"kty": "OKP", "crv": "Ed25519", "x": "A"},
    ],
)
def test_a_key_that_is_none_is_refused_and_skipped(document: object) -> None:
    with pytest.raises(InvalidInput):
        parse_jwk(document)
    with pytest.raises(InvalidInput):
        parse_given_jwks({"keys": [public_jwk("RSA"), document]}, 10)
    assert [key.kid for key in parse_jwks({"keys": [document, public_jwk("RSA"), document]})] == ["k1"]


@pytest.mark.parametrize("bits", [2048, 3072, 4096, 8192])
def test_rsa_keys_of_usual_sizes_are_taken(bits: int) -> None:
    assert parse_jwk(rsa_key(bits)).algorithms == RSA


@pytest.mark.parametrize(
    "document",
    [None, [], "x", {}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"keys": [public_jwk("P-256")] * 101}],
)
def test_what_is_no_key_set_is_refused(document: object) -> None:
    with pytest.raises(InvalidInput):
        parse_jwks(document)
    with pytest.raises(InvalidInput):
        parse_given_jwks(document, 10)


def test_keys_that_are_written_down_are_some_and_nothing_besides() -> None:
    key: dict[Any, Any] = public_jwk(
        "P-256", alg="ES256", use="sig", key_ops=["verify"], x5c=["x" * 4000] * 3
    )
    assert len(parse_given_jwks({"keys": [key] * 10}, 10)) == 10
    assert parse_jwks({"keys": [], "more": 1}) == ()
    refused: list[Any] = [
        {"keys": []},
        {"keys": [key] * 11},
        {"keys": [key], "more": 1},
        {"keys": [{**key, "more": 1.5}]},
        {"keys": [{**key, "more": {"a": "b"}}]},
        {"keys": [{**key, "more": [["x"]]}]},
        {"keys": [{**key, "more": "x" * 16_384}]},
        {"keys": [{1: "x", **key}]},
    ]
    for document in refused:
        with pytest.raises(InvalidInput):
            parse_given_jwks(document, 10)
