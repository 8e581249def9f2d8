"""Bearer tokens: believed when this registry signed them, at their time, and never otherwise.

The forged tokens are built here byte by byte: a library would refuse to make most of them.
"""

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage.domain.errors import TokenInvalid, Unavailable
from moorage.domain.grants import Action
from moorage.domain.names import Repository
from moorage.domain.tokens import make_claims
from moorage.ports import PublicKey, SigningKey
from moorage.services.verification import TokenVerification
from tests.protocol.world import Clock, new_signing_key

APP = Repository("demo", "app")
NESTED_OBJECTS = b'{"kid":' * 800
LONG_NUMBER = b'{"alg":"ES256","kid":' + b"9" * 5000 + b"}"
PRINCIPAL = "/org/demo/serviceaccount/ci"


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def compact(value: Any) -> str:
    return b64(json.dumps(value).encode())


def sign(header: Any, claims: Any, key: SigningKey) -> str:
    """A token with exactly this header, signed in ES256 whatever the header says."""
    signed = f"{compact(header)}.{compact(claims)}"
    private = serialization.load_pem_private_key(key.private_pem.encode(), password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Keys:
    """The published keys, and how often they were read."""

    def __init__(self, *keys: PublicKey) -> None:
        self.keys = list(keys)
        self.reads = 0
        self.error: Exception | None = None

    def verification_keys(self) -> list[PublicKey]:
        self.reads += 1
        if self.error:
            raise self.error
        return self.keys


class Desk:
    """A verification with one published key, ``ours``, and a key that is the attacker's own."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ours, self.public = new_signing_key("first")
        self.theirs, self.their_public = new_signing_key("first")
        self.keys = Keys(self.public)
        self.verification = TokenVerification(self.keys, self.clock)

    def claims(self, **changes: Any) -> dict[str, Any]:
        granted = {APP: frozenset({Action.PULL})}
        claims = make_claims(PRINCIPAL, granted=granted, refused={}, now=self.clock(), token_id="id")
        return {key: value for key, value in (claims | changes).items() if value is not ...}

    def refuses(self, token: str) -> None:
        with pytest.raises(TokenInvalid) as caught:
            self.verification.verify(token)
        assert len(caught.value.message) < 100

    def header(self, **changes: Any) -> dict[str, Any]:
        header = {"alg": "ES256", "typ": "JWT", "kid": "first"} | changes
        return {key: value for key, value in header.items() if value is not ...}


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


def test_our_own_token_is_believed(desk: Desk) -> None:
    token = desk.verification.verify(sign(desk.header(), desk.claims(), desk.ours))
    assert token.principal == PRINCIPAL
    assert token.allows(APP, Action.PULL)
    assert not token.allows(APP, Action.PUSH)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, ...])
@pytest.mark.parametrize("signature", ["", "real", "AAAA"])
def test_an_unsigned_token_is_refused(desk: Desk, alg: Any, signature: str) -> None:
    token = sign(desk.header(alg=alg), desk.claims(), desk.ours)
    if signature != "real":
        token = token.rpartition(".")[0] + "." + signature
    desk.refuses(token)


def test_a_token_without_its_signature_is_refused(desk: Desk) -> None:
    token = sign(desk.header(), desk.claims(), desk.ours)
    for torn in (
        token.rpartition(".")[0],
        token.rpartition(".")[0] + ".",
        token + ".",
        token + "A",
        token[:-1],
    ):
        desk.refuses(torn)


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_the_public_key_is_no_shared_secret(desk: Desk, alg: str) -> None:
    pem = desk.public.pem
    der = serialization.load_pem_public_key(pem.encode()).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = f"{compact(desk.header(alg=alg))}.{compact(desk.claims())}"
    function = getattr(hashlib, f"sha{alg[2:]}")
    for secret in (pem.encode(), pem.strip().encode(), der, b"", b"first"):
        desk.refuses(f"{signed}.{b64(hmac.new(secret, signed.encode(), function).digest())}")


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES256K", "RS256", "PS256", "EdDSA", "es256", "HS256"])
def test_only_es256_by_our_own_key_is_believed_whatever_the_header_says(desk: Desk, alg: str) -> None:
    desk.refuses(sign(desk.header(alg=alg), desk.claims(), desk.theirs))
    if alg != "ES256":
        desk.refuses(sign(desk.header(alg=alg), desk.claims(), desk.ours))


def test_a_key_that_comes_with_the_token_is_ignored(desk: Desk) -> None:
    """CVE-2025-24976: only ``kid`` was compared, and the key in the header was used."""
    public = serialization.load_pem_public_key(desk.their_public.pem.encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    point = public.public_numbers()
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "kid": "first",
        "x": b64(point.x.to_bytes(32, "big")),
        "y": b64(point.y.to_bytes(32, "big")),
    }
    for extra in (
        {"jwk": jwk},
        {"jku": "http://127.0.0.1:1/keys.json"},
        {"x5u": "http://127.0.0.1:1/chain.pem"},
        {"x5c": [b64(b"certificate")]},
        {"jwk": jwk, "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/", "x5t": "x"},
    ):
        desk.refuses(sign(desk.header(**extra), desk.claims(), desk.theirs))
        desk.refuses(sign(desk.header(kid="theirs", **extra), desk.claims(), desk.theirs))
    # The same headers on our own token are of no importance.
    assert (
        desk.verification.verify(sign(desk.header(jwk=jwk), desk.claims(), desk.ours)).principal == PRINCIPAL
    )


def test_a_key_of_another_kind_signs_nothing(desk: Desk) -> None:
    private = rsa.generate_private_key(65537, 2048)
    desk.refuses(jwt.encode(desk.claims(), private, algorithm="RS256", headers={"kid": "first"}))


@pytest.mark.parametrize(
    "kid",
    [
        ...,
        None,
        "",
        "FIRST",
        "first ",
        "first\0",
        "../../../dev/null",
        "../first",
        "/dev/null",
        "file:///dev/null",
        "' OR '1'='1",
        "SIGNINGKEY",
        "first" * 1000,
        1,
        True,
        1.5,
        ["first"],
        {"kid": "first"},
        [["first"]],
    ],
)
def test_a_kid_that_names_no_published_key_is_refused(desk: Desk, kid: Any) -> None:
    desk.refuses(sign(desk.header(kid=kid), desk.claims(), desk.ours))
    desk.refuses(sign(desk.header(kid=kid), desk.claims(), desk.theirs))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"iss": ["moorage"]},
        {"iss": None},
        {"aud": "another-registry"},
        {"aud": []},
        {"aud": "moorage"},
        {"aud": None},
        {"v": 2},
        {"sub": None},
        {"sub": 5},
        *({name: ...} for name in ("exp", "iat", "nbf", "iss", "aud", "sub", "v", "granted", "refused")),
        {"granted": {"demo/app": "*"}},
        {"exp": "never"},
        {"exp": None},
    ],
)
def test_what_we_have_signed_for_another_purpose_is_refused(desk: Desk, changes: dict[str, Any]) -> None:
    desk.refuses(sign(desk.header(), desk.claims(**changes), desk.ours))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "é.é.é",
        "\0",
        "mrg_aaaaaaaaaaaaaaaa_bbbb",
        "A" * 8193,
        "A" * 1_000_000,
        f"{b64(b'null')}.{b64(b'{}')}.AAAA",
        f"{b64(b'[]')}.{b64(b'{}')}.AAAA",
        f"{b64(b'{')}.{b64(b'{}')}.AAAA",
        f"{b64(bytes([255, 254]))}.{b64(b'{}')}.AAAA",
        f"{b64(b'[' * 5000)}.{b64(b'{}')}.AAAA",
        f"{b64(NESTED_OBJECTS)}.{b64(b'{}')}.AAAA",
        f"{b64(LONG_NUMBER)}.{b64(b'{}')}.AAAA",
        f"{compact({'alg': 'ES256', 'kid': 'first'})}.{b64(b'[' * 4000)}.AAAA",
        f"{compact({'alg': 'ES256', 'kid': 'first', 'crit': ['exp'], 'exp': 1})}.{b64(b'{}')}.AAAA",
        f"{compact({'alg': 'ES256', 'kid': 'first', 'b64': False})}.{b64(b'{}')}.AAAA",
        f"{compact({'alg': 'ES256', 'kid': 'first', 'zip': 'DEF'})}.{b64(b'{}')}.AAAA",
    ],
    ids=lambda token: f"{len(token)} characters {token[:30]!r}",
)
def test_what_is_no_token_is_refused_without_another_error(desk: Desk, token: str) -> None:
    desk.refuses(token)


def test_deeply_nested_claims_that_we_have_signed_ourselves_are_refused(desk: Desk) -> None:
    header = compact(desk.header())
    signed = f"{header}.{b64(b'[' * 4000)}"
    private = serialization.load_pem_private_key(desk.ours.private_pem.encode(), password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    desk.refuses(f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_no_changed_byte_survives(desk: Desk, data: st.DataObject) -> None:
    token = sign(desk.header(), desk.claims(), desk.ours)
    where = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCdef019-_.=~"))
    changed = token[:where] + other + token[where + 1 :]
    # The last character of a part carries spare bits, which say nothing.
    parts, originals = changed.split("."), token.split(".")
    if [_decoded(part) for part in parts] == [_decoded(part) for part in originals]:
        return
    desk.refuses(changed)


def _decoded(part: str) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("seconds", "valid"), [(-31, False), (-30, True), (0, True), (299, True), (300, False), (3000, False)]
)
def test_a_token_is_believed_in_its_time_only(seconds: int, valid: bool) -> None:
    desk = Desk()
    token = sign(desk.header(), desk.claims(), desk.ours)
    desk.clock.advance(timedelta(seconds=seconds))
    if valid:
        assert desk.verification.verify(token).principal == PRINCIPAL
    else:
        desk.refuses(token)


def test_invented_kids_do_not_become_a_read_each() -> None:
    desk = Desk()
    for number in range(200):
        desk.refuses(sign(desk.header(kid=f"invented{number}"), desk.claims(), desk.theirs))
    assert desk.keys.reads == 1
    for _ in range(60):
        desk.clock.advance(timedelta(seconds=1))
        for _ in range(5):
            desk.refuses(sign(desk.header(kid="invented"), desk.claims(), desk.theirs))
    assert desk.keys.reads <= 1 + 60 // 5


def test_tokens_of_a_known_key_read_the_keys_once_in_five_minutes() -> None:
    desk = Desk()
    for second in range(300):
        desk.verification.verify(sign(desk.header(), desk.claims(), desk.ours))
        assert desk.keys.reads == 1, second
        desk.clock.advance(timedelta(seconds=1))
    desk.verification.verify(sign(desk.header(), desk.claims(), desk.ours))
    assert desk.keys.reads == 2


def test_what_is_no_token_at_all_reads_nothing() -> None:
    desk = Desk()
    for token in ("", "a.b.c", sign(desk.header(kid=1), desk.claims(), desk.ours), "x" * 9000):
        desk.refuses(token)
    assert desk.keys.reads == 0


def test_at_a_rotation_both_keys_are_believed_until_the_old_one_ends() -> None:
    desk = Desk()
    old = sign(desk.header(), desk.claims(), desk.ours)
    desk.verification.verify(old)
    second, public = new_signing_key("second")
    ends = desk.clock() + timedelta(minutes=2)
    desk.keys.keys = [PublicKey("first", desk.public.pem, ends), public]
    desk.clock.advance(timedelta(seconds=5))
    # The new kid is unknown, so the keys are read again: from here on the end of the old one counts, too.
    new = sign(desk.header(kid="second"), desk.claims(), second)
    desk.verification.verify(new)
    desk.verification.verify(old)
    desk.clock.now = ends - timedelta(seconds=1)
    desk.verification.verify(old)
    desk.clock.now = ends
    desk.refuses(old)
    desk.refuses(sign(desk.header(), desk.claims(), desk.ours))
    desk.verification.verify(sign(desk.header(kid="second"), desk.claims(), second))
    # Neither may sign in the other's name.
    desk.refuses(sign(desk.header(kid="first"), desk.claims(), second))
    desk.refuses(sign(desk.header(kid="second"), desk.claims(), desk.ours))


def test_a_withdrawn_key_is_not_believed_when_the_keys_are_read_again() -> None:
    desk = Desk()
    desk.verification.verify(sign(desk.header(), desk.claims(), desk.ours))
    desk.keys.keys = []
    desk.clock.advance(timedelta(minutes=5))
    desk.refuses(sign(desk.header(), desk.claims(), desk.ours))


def test_nobody_is_believed_while_the_keys_cannot_be_read() -> None:
    desk = Desk()
    token = sign(desk.header(), desk.claims(), desk.ours)
    desk.keys.error = Unavailable("down")
    with pytest.raises(Unavailable):
        desk.verification.verify(token)
    desk.keys.error = None
    desk.verification.verify(token)
    desk.clock.advance(timedelta(minutes=5))
    desk.keys.error = Unavailable("down")
    with pytest.raises(Unavailable):
        desk.verification.verify(sign(desk.header(), desk.claims(), desk.ours))


class Counting:
    """How often a signature was checked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checks = 0
        decode = jwt.decode

        def counted(*arguments: Any, **options: Any) -> Any:
            self.checks += 1
            return decode(*arguments, **options)

        monkeypatch.setattr(jwt, "decode", counted)


def test_a_token_that_comes_again_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, counting = Desk(), Counting(monkeypatch)
    token = sign(desk.header(), desk.claims(), desk.ours)
    first, second = desk.verification.verify(token), desk.verification.verify(token)
    assert first == second
    assert counting.checks == 1


def test_a_remembered_token_still_expires() -> None:
    desk = Desk()
    token = sign(desk.header(), desk.claims(), desk.ours)
    desk.verification.verify(token)
    desk.clock.advance(timedelta(seconds=300))
    desk.refuses(token)


def test_a_remembered_token_ends_with_its_key() -> None:
    desk = Desk()
    end = desk.clock() + timedelta(seconds=60)
    desk.keys.keys = [PublicKey(desk.public.kid, desk.public.pem, end)]
    token = sign(desk.header(), desk.claims(), desk.ours)
    desk.verification.verify(token)
    desk.clock.advance(timedelta(seconds=60))
    desk.refuses(token)


@pytest.mark.parametrize("replacement", ["none", "another under the same name"])
def test_a_remembered_token_is_not_believed_when_its_key_is_withdrawn(replacement: str) -> None:
    desk = Desk()
    desk.verification.verify(sign(desk.header(), desk.claims(), desk.ours))
    desk.clock.advance(timedelta(seconds=10))
    token = sign(desk.header(), desk.claims(), desk.ours)
    desk.verification.verify(token)
    desk.keys.keys = [] if replacement == "none" else [desk.their_public]
    # The keys that are held are five minutes old before the token is.
    desk.clock.advance(timedelta(seconds=295))
    desk.refuses(token)


def test_a_refused_token_is_checked_again_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, counting = Desk(), Counting(monkeypatch)
    forged = sign(desk.header(), desk.claims(), desk.theirs)
    for _ in range(3):
        desk.refuses(forged)
    assert counting.checks == 3


def test_remembering_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, counting = Desk(), Counting(monkeypatch)
    tokens = [sign(desk.header(), desk.claims(jti=str(number)), desk.ours) for number in range(100)]
    for token in tokens:
        desk.verification.verify(token)
    assert len(desk.verification._verified) < 50
    desk.verification.verify(tokens[-1])
    assert counting.checks == 100
    desk.verification.verify(tokens[0])
    assert counting.checks == 101


def test_a_remembered_token_with_another_signature_is_another_token() -> None:
    desk = Desk()
    token = sign(desk.header(), desk.claims(), desk.ours)
    desk.verification.verify(token)
    signed, _, _ = token.rpartition(".")
    desk.refuses(f"{signed}.{sign(desk.header(), desk.claims(jti='x'), desk.ours).rpartition('.')[2]}")
