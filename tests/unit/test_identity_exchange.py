"""A workload's token is exchanged: for the identity that trusts it, and for nothing else."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.memory import MemoryTable
from moorage.adapters.memory.issuers import MemoryIssuers
from moorage.bootstrap import token as bootstrap
from moorage.domain.addresses import Address
from moorage.domain.errors import CredentialsInvalid, Unavailable
from moorage.domain.resources import Kind, ResourceRecord
from moorage.domain.tokens import make_claims
from moorage.services.accounts import AccountAdministration
from moorage.services.identity_exchange import default_audience
from tests.protocol.world import Clock, new_signing_key
from tests.unit.faults import Faults
from tests.unit.token_issuer import NOW, TokenIssuer, private_key, public_jwk

CLUSTER = TokenIssuer("https://issuer.example.com/cluster")
GITHUB = TokenIssuer("https://token.actions.githubusercontent.com", "RSA", "RS256")
LINK, OTHER, FOREIGN = (
    "/org/demo/gvc/shop/identity/web",
    "/org/demo/gvc/shop/identity/db",
    "/org/other/gvc/shop/identity/web",
)
RULE = {"issuer": CLUSTER.url, "claims": {"sub": "system:serviceaccount:shop:web"}}
ADDRESS = Address("registry.example")
UNKNOWN = (
    "there is no such identity, none of its trust rules names the issuer (iss) of the token, or no key of "
    "the issuer proves the token"
)


class Desk:
    """An exchange with identities in two organisations."""

    def __init__(self) -> None:
        self.clock, self.faults = Clock(NOW), Faults()
        self.logged: list[str] = []
        self.table, self.issuers = MemoryTable(), MemoryIssuers()
        administration = AccountAdministration(self.table, self.clock)
        for org in ("demo", "other"):
            administration.create_organisation(org)
            self.table.create(ResourceRecord(Kind.GVC, org, "shop", f"{org}-gvc", 1, NOW, NOW))
        for issuer in (CLUSTER, GITHUB):
            self.issuers.publish(issuer.url, issuer.jwks())
        self.exchange = bootstrap.assemble_exchange(
            self.faults.wrap(self.table), self.faults.wrap(self.issuers), self.clock
        )
        self.trust(LINK, RULE)
        self.trust(OTHER, {**RULE, "claims": {"sub": "system:serviceaccount:shop:db"}})
        self.trust(FOREIGN, RULE)

    def trust(self, link: str, *rules: Any) -> None:
        """Let an identity have these rules."""
        _, _, org, _, gvc, _, name = link.split("/")
        before = self.table.find(Kind.IDENTITY, org, f"{gvc}/{name}")
        record = ResourceRecord(
            Kind.IDENTITY, org, f"{gvc}/{name}", link, 1, NOW, NOW, spec={"trust": list(rules)}
        )
        if before is None:
            self.table.create(record)
        else:
            self.table.replace(before, dataclasses.replace(record, version=before.version + 1))

    def authenticate(self, token: str, link: str = LINK, address: Address = ADDRESS) -> str:
        return self.exchange.authenticate(link, token, address)

    def refusal(self, token: str, link: str = LINK, address: Address = ADDRESS) -> str:
        with pytest.raises(CredentialsInvalid) as caught:
            self.authenticate(token, link, address)
        for message in (caught.value.message, *self.logged):
            for part in token.split("."):
                assert len(part) < 20 or part not in message
        return caught.value.message

    def reason(self, token: str, link: str = LINK) -> str:
        """Why a token proves nothing, as the log has it; whoever presents it is told no more than a stranger
        is of an identity that is not there.
        """
        self.logged.clear()
        assert self.refusal(token, link) == UNKNOWN
        (reason,) = self.logged
        assert reason.startswith(f"a token is not taken for {link}: ")
        return reason


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk, logger = Desk(), logging.getLogger("moorage.identities")
    handler = logging.Handler()
    handler.emit = lambda record: desk.logged.append(record.getMessage())  # type: ignore[method-assign]
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield desk
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_token_that_a_rule_fits_is_the_identity(desk: Desk) -> None:
    assert desk.authenticate(CLUSTER.token()) == LINK
    assert desk.authenticate(CLUSTER.token(), LINK.removeprefix("/")) == LINK


SIGNED = [
    *(("RSA", name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
    ("P-256", "ES256"),
    ("P-384", "ES384"),
    ("P-521", "ES512"),
    ("Ed25519", "EdDSA"),
]


@pytest.mark.parametrize(("kind", "algorithm"), SIGNED)
def test_every_asymmetric_algorithm_is_taken_from_a_key_of_its_type(
    desk: Desk, kind: str, algorithm: str
) -> None:
    issuer = TokenIssuer(CLUSTER.url, kind, algorithm)
    desk.issuers.publish(issuer.url, issuer.jwks())
    assert desk.authenticate(issuer.token()) == LINK
    assert "signature" in desk.reason(issuer.token(key=private_key(f"{kind}/another")))


@pytest.mark.parametrize(("kind", "algorithm"), SIGNED)
def test_an_algorithm_is_not_taken_from_a_key_of_another_type_or_of_another_alg(
    desk: Desk, kind: str, algorithm: str
) -> None:
    issuer = TokenIssuer(CLUSTER.url, kind, algorithm)
    others = [public_jwk(each) for each in ("RSA", "P-256", "P-384", "P-521", "Ed25519") if each != kind]
    if kind == "RSA":
        others.append(public_jwk("RSA", alg="RS256" if algorithm != "RS256" else "PS256"))
    desk.issuers.publish(issuer.url, {"keys": others})
    assert "none fits" in desk.reason(issuer.token())


# ------------------------------------------------------------------ forged signatures
def segments(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", "HS256", "HS512", "ES256K", "A128KW", None, 7, ["ES256"]]
)
@pytest.mark.parametrize("signature", [b"x", b"x" * 64])
def test_no_other_algorithm_is_taken(desk: Desk, algorithm: Any, signature: bytes) -> None:
    desk.refusal(segments({"alg": algorithm, "kid": "k1"}, CLUSTER.claims(), signature))


def test_an_unsigned_token_is_none(desk: Desk) -> None:
    desk.refusal(segments({"alg": "none"}, CLUSTER.claims()))
    desk.refusal(CLUSTER.token().rpartition(".")[0] + ".")
    desk.refusal(CLUSTER.token().rpartition(".")[0])


def test_the_public_key_is_no_secret_to_sign_with(desk: Desk) -> None:
    import hashlib  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    desk.issuers.publish(GITHUB.url, GITHUB.jwks())
    desk.trust(LINK, {"issuer": GITHUB.url, "claims": {"sub": "repo:acme/app:ref:refs/heads/main"}})
    claims = GITHUB.claims(sub="repo:acme/app:ref:refs/heads/main")
    assert desk.authenticate(GITHUB.sign(json.dumps(claims).encode())) == LINK
    pem = (
        private_key("RSA")
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    for secret in (pem, json.dumps(public_jwk("RSA")).encode(), b""):
        signed = segments({"alg": "HS256", "kid": "k1"}, claims).removesuffix(".")
        mac = (
            base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), hashlib.sha256))
            .rstrip(b"=")
            .decode()
        )
        assert "algorithm" in desk.refusal(f"{signed}.{mac}")


def test_a_key_that_the_token_brings_along_is_not_used(desk: Desk) -> None:
    forger = private_key("P-256/forger")
    for headers in (
        {"jwk": public_jwk("P-256/forger")},
        {"jku": "https://evil.example.com/jwks"},
        {"x5u": "https://evil.example.com/chain"},
        {"x5c": ["AAAA"]},
        {"jwk": public_jwk("P-256/forger"), "kid": "k2"},
    ):
        desk.faults.calls.clear()
        desk.refusal(CLUSTER.token(headers=headers, key=forger))
        assert desk.faults.calls.count("fetch_keys") <= 1


@pytest.mark.parametrize(
    "kid",
    [
        "../../etc/passwd",
        "/dev/null",
        "k1/../k1",
        "k1\0",
        "K1",
        "",
        "https://evil.example.com/jwks",
        "'; DROP TABLE keys; --",
        "k" * 256,
        "\U0001f600",
        "file:///proc/self/environ",
    ],
)
def test_a_key_id_is_compared_and_nothing_else(desk: Desk, kid: str) -> None:
    assert desk.authenticate(CLUSTER.token()) == LINK
    desk.clock.advance(timedelta(minutes=1))
    with desk.faults.failing():
        assert "none fits" in desk.reason(CLUSTER.token(headers={"kid": kid}))
        assert desk.faults.calls == ["find", "fetch_keys"]
    # A key of that very name is as good as any.
    issuer = TokenIssuer(CLUSTER.url, kid=kid)
    if kid:
        desk.issuers.publish(issuer.url, issuer.jwks())
        desk.clock.advance(timedelta(minutes=1))
        assert desk.authenticate(issuer.token()) == LINK


@pytest.mark.parametrize("kid", [1, ["k1"], {"k1": 1}, True, "k" * 257])
def test_a_key_id_of_another_form_is_refused_before_anything_is_read(desk: Desk, kid: Any) -> None:
    header = {"alg": "ES256", "kid": kid}
    desk.refusal(segments(header, CLUSTER.claims(), b"x" * 64))
    assert desk.faults.calls == []


def test_a_token_without_a_key_id_needs_an_issuer_with_one_key_that_fits(desk: Desk) -> None:
    issuer = TokenIssuer(CLUSTER.url, kid=None)
    assert desk.authenticate(issuer.token()) == LINK
    desk.issuers.publish(issuer.url, {"keys": [public_jwk("P-256"), public_jwk("RSA", "k2")]})
    desk.clock.advance(timedelta(minutes=15))
    assert desk.authenticate(issuer.token()) == LINK
    desk.issuers.publish(issuer.url, {"keys": [public_jwk("P-256"), public_jwk("P-256/another", "k2")]})
    desk.clock.advance(timedelta(minutes=15))
    assert "more than one" in desk.reason(issuer.token())


def test_two_keys_of_one_id_are_told_apart_by_their_types_or_not_at_all(desk: Desk) -> None:
    desk.issuers.publish(CLUSTER.url, {"keys": [public_jwk("RSA"), public_jwk("P-256")]})
    assert desk.authenticate(CLUSTER.token()) == LINK
    desk.issuers.publish(CLUSTER.url, {"keys": [public_jwk("P-256/another"), public_jwk("P-256")]})
    desk.clock.advance(timedelta(minutes=15))
    assert "more than one" in desk.reason(CLUSTER.token())


def test_a_key_that_is_no_point_on_its_curve_verifies_nothing(desk: Desk) -> None:
    bad = {**public_jwk("P-256"), "x": public_jwk("P-256")["y"]}
    desk.issuers.publish(CLUSTER.url, {"keys": [bad]})
    assert "signature" in desk.reason(CLUSTER.token())
    desk.trust(LINK, {**RULE, "jwks": {"keys": [bad]}})
    assert "signature" in desk.reason(CLUSTER.token())


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], None, "exp"])
def test_critical_extensions_are_refused(desk: Desk, crit: Any) -> None:
    header = {"alg": "ES256", "kid": "k1", "crit": crit, "b64": True}
    desk.refusal(segments(header, CLUSTER.claims(), b"x" * 64))
    assert desk.faults.calls == []


# ------------------------------------------------------------------ malformed tokens
@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        "\0",
        "mrg_aaaaaaaaaaaaaaaa_" + "a" * 52,
        CLUSTER.token() + "\n",
        CLUSTER.token() + "=",
        CLUSTER.token() + " " + CLUSTER.token(),
        " " + CLUSTER.token(),
        CLUSTER.token().replace(".", "\u2024"),
        "x" * 16_385,
        CLUSTER.token(padding="x" * 16_384),
        CLUSTER.sign(b"[]"),
        CLUSTER.sign(b"null"),
        CLUSTER.sign(b"text"),
        CLUSTER.sign(b"\xff"),
        CLUSTER.sign(b"[" * 5000),
        CLUSTER.sign(b'{"iss":' + b"9" * 5000 + b"}"),
        CLUSTER.sign(b'{"a":' * 1500 + b"1" + b"}" * 1500),
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused_before_anything_is_read(desk: Desk, token: str) -> None:
    desk.refusal(token)
    assert desk.faults.calls == []


@given(st.text("aA-_.=\0é", max_size=40))
def test_any_text_is_refused(token: str) -> None:
    DESK.refusal(token)


@given(st.data())
def test_a_token_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    header, payload, signature = (
        base64.urlsafe_b64decode(part + "==") for part in CLUSTER.token().split(".")
    )
    parts = [header, payload, signature]
    which = data.draw(st.integers(0, 2))
    place = data.draw(st.integers(0, len(parts[which]) - 1))
    changed = parts[which][place] ^ data.draw(st.integers(1, 255))
    parts[which] = parts[which][:place] + bytes([changed]) + parts[which][place + 1 :]
    DESK.refusal(".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts))


def test_a_token_of_16_kilobytes_is_taken(desk: Desk) -> None:
    token = CLUSTER.token(padding="x" * 11_000)
    assert 14_000 < len(token) <= 16_384
    assert desk.authenticate(token) == LINK


# ------------------------------------------------------------------ issuers
@pytest.mark.parametrize(
    "issuer",
    [
        f"{CLUSTER.url}/",
        CLUSTER.url.upper(),
        CLUSTER.url.replace("https", "http"),
        "https://evil.example.com",
        f"https://evil.example.com/?{CLUSTER.url}",
        "https://169.254.169.254",
        GITHUB.url,
        "",
        None,
        1,
        [CLUSTER.url],
        {"url": CLUSTER.url},
    ],
)
def test_an_issuer_that_no_rule_names_is_never_asked(desk: Desk, issuer: Any) -> None:
    forged = TokenIssuer(CLUSTER.url)
    claims = {**forged.claims(), "iss": issuer}
    message = desk.refusal(forged.sign(json.dumps(claims).encode()))
    assert "issuer" in message
    assert desk.faults.calls == ["find"]


NOWHERE = ("/org/demo/gvc/shop/identity/none", "/org/none/gvc/shop/identity/web")


def test_an_identity_that_is_not_there_looks_like_one_that_does_not_trust(desk: Desk) -> None:
    desk.trust(OTHER)
    reasons = {desk.reason(CLUSTER.token(), link).partition(": ")[2] for link in (OTHER, *NOWHERE)}
    assert len(reasons) == 2
    assert "issuer (iss)" in desk.reason(TokenIssuer("https://evil.example.com").token())


@pytest.mark.parametrize(
    "forged",
    [
        CLUSTER.token(key=private_key("P-256/forger")),
        CLUSTER.token(headers={"kid": "another"}),
        TokenIssuer(CLUSTER.url, "P-256/forger", kid=None).token(),
        TokenIssuer(CLUSTER.url, "RSA", "RS256").token(),
        CLUSTER.token(key=private_key("P-256/forger"), exp=1, aud="x", sub="x"),
        segments({"alg": "ES256", "kid": "k1"}, CLUSTER.claims(), b"x" * 64),
    ],
)
def test_who_has_no_token_of_the_issuer_learns_of_no_identity(desk: Desk, forged: str) -> None:
    desk.trust(OTHER, RULE, {**RULE, "jwks": {"keys": [public_jwk("RSA/another")]}})
    for link in (LINK, OTHER, *NOWHERE):
        assert desk.refusal(forged, link) == UNKNOWN
    # One whose rules are not valid any more is no different.
    desk.trust(LINK, "x")
    assert desk.refusal(forged) == desk.refusal(CLUSTER.token()) == UNKNOWN


def test_an_issuer_that_cannot_be_asked_is_unavailable(desk: Desk) -> None:
    desk.issuers.withdraw(CLUSTER.url)
    for _ in range(2):
        with pytest.raises(Unavailable, match=CLUSTER.url):
            desk.authenticate(CLUSTER.token())
    assert desk.faults.calls.count("fetch_keys") == 1


def test_a_table_that_cannot_be_asked_is_unavailable(desk: Desk) -> None:
    with desk.faults.failing(named="find"), pytest.raises(Unavailable):
        desk.authenticate(CLUSTER.token())


def test_keys_that_are_given_need_no_issuer(desk: Desk) -> None:
    cluster = TokenIssuer("https://kubernetes.default.svc.cluster.local", "RSA", "RS256")
    desk.trust(LINK, {**RULE, "issuer": cluster.url, "jwks": cluster.jwks()})
    assert desk.authenticate(cluster.token()) == LINK
    assert "signature" in desk.reason(cluster.token(key=private_key("RSA/another")))
    assert desk.faults.calls == ["find", "find"]


def test_rules_of_one_issuer_are_tried_one_after_the_other(desk: Desk) -> None:
    given = {**RULE, "jwks": {"keys": [public_jwk("P-256/another")]}}
    main = {**RULE, "claims": {"sub": "system:serviceaccount:shop:main"}}
    desk.trust(LINK, given, main, RULE)
    assert desk.authenticate(CLUSTER.token()) == LINK
    assert desk.authenticate(CLUSTER.token(key=private_key("P-256/another"))) == LINK
    # The keys of a rule prove tokens for that rule alone.
    desk.trust(LINK, given, main)
    assert "sub" in desk.refusal(CLUSTER.token())
    forged = CLUSTER.token(sub="system:serviceaccount:shop:main", key=private_key("P-256/another"))
    assert "signature" in desk.refusal(forged)


def test_a_rule_whose_issuer_is_down_does_not_keep_another_from_accepting(desk: Desk) -> None:
    desk.issuers.withdraw(CLUSTER.url)
    given = {**RULE, "jwks": CLUSTER.jwks()}
    for rules in ((RULE, given), (given, RULE)):
        desk.trust(LINK, *rules)
        assert desk.authenticate(CLUSTER.token()) == LINK
    desk.trust(LINK, RULE, {**given, "claims": {"sub": "another"}})
    with pytest.raises(Unavailable):
        desk.authenticate(CLUSTER.token())


def test_rules_that_this_version_does_not_take_accept_nothing(desk: Desk) -> None:
    for broken in ({"issuer": CLUSTER.url}, {**RULE, "more": 1}, "x", {**RULE, "issuer": "https://10.0.0.1"}):
        desk.trust(LINK, RULE, broken)
        assert "write them anew" in desk.reason(CLUSTER.token())


def test_a_rotated_key_is_taken_up_within_a_minute(desk: Desk) -> None:
    assert desk.authenticate(CLUSTER.token()) == LINK
    second = TokenIssuer(CLUSTER.url, "P-256/second", kid="k2")
    desk.issuers.publish(CLUSTER.url, {"keys": [public_jwk("P-256"), public_jwk("P-256/second", "k2")]})
    desk.clock.advance(timedelta(seconds=59))
    desk.refusal(second.token())
    desk.clock.advance(timedelta(seconds=1))
    assert desk.authenticate(second.token()) == LINK


# ------------------------------------------------------------------ replays
def test_a_token_may_be_used_again_until_it_ends(desk: Desk) -> None:
    token = CLUSTER.token(jti="once")
    for _ in range(3):
        assert desk.authenticate(token) == LINK
    desk.clock.advance(timedelta(hours=1))
    assert "expired" in desk.refusal(token)


def test_a_token_is_of_no_use_at_another_identity_or_organisation(desk: Desk) -> None:
    token = CLUSTER.token()
    assert desk.authenticate(token) == LINK
    assert "sub" in desk.refusal(token, OTHER)
    # The same rule there, and the same claims: the audience is another.
    assert "audience (aud) is not registry.example/other" in desk.refusal(token, FOREIGN)
    assert desk.authenticate(CLUSTER.token(aud="registry.example/other"), FOREIGN) == FOREIGN


def test_a_token_for_another_registry_is_of_no_use_here(desk: Desk) -> None:
    assert "audience" in desk.refusal(CLUSTER.token(aud="another.example/demo"))
    assert "audience" in desk.refusal(CLUSTER.token(aud="https://kubernetes.default.svc"))
    assert "audience" in desk.refusal(CLUSTER.token(aud="registry.example"))
    assert "audience" in desk.refusal(CLUSTER.token(), address=Address("another.example"))


@pytest.mark.parametrize(
    ("address", "audience"),
    [
        (Address("registry.example"), "registry.example/demo"),
        (Address("REGISTRY.example:5000"), "registry.example:5000/demo"),
        (Address("demo.images.example", "demo"), "images.example/demo"),
        (Address("Demo.Images.example:443", "demo"), "images.example:443/demo"),
        (Address("other.images.example", "other"), "images.example/demo"),
    ],
)
def test_the_default_audience_is_the_registry_and_the_organisation(address: Address, audience: str) -> None:
    assert default_audience("demo", address) == audience


def test_a_token_of_the_registry_is_not_exchanged(desk: Desk) -> None:
    signing, _ = new_signing_key("first")
    claims = make_claims(LINK, granted={}, refused={}, now=NOW, token_id="0123")
    token = jwt.encode(claims, signing.private_pem, algorithm="ES256", headers={"kid": "first"})
    assert "token of this registry" in desk.refusal(token)
    assert desk.faults.calls == []


def test_the_signature_is_checked_before_anything_is_told_of_the_rule(desk: Desk) -> None:
    forger = private_key("P-256/forger")
    for changes in ({"sub": "x"}, {"aud": "x"}, {"exp": 1}):
        assert desk.reason(CLUSTER.token(key=forger, **changes)).endswith(
            "the token's signature is not valid"
        )


@pytest.mark.parametrize(
    "link", ["", "web", "<token>", "/org/demo/user/a@b.example", f"{LINK}/x", "//gvc/shop/identity/web"]
)
def test_what_is_no_identity_is_told_the_right_form(desk: Desk, link: str) -> None:
    assert "/org/ORGANISATION/gvc/GVC/identity/NAME" in desk.refusal(CLUSTER.token(), link)
    assert desk.faults.calls == []


DESK = Desk()
