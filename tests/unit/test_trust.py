"""Trust rules: which are taken, which would trust too much, and what a token must say to be accepted."""

from datetime import timedelta
from typing import Any

import pytest

from moorage.domain.errors import InvalidInput
from moorage.domain.issuers import HttpsUrl, configuration_url
from moorage.domain.trust import is_identity_link, parse_identity, parse_trust
from tests.unit.token_issuer import NOW, TokenIssuer, public_jwk

CLUSTER = "https://oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF"
GITHUB = "https://token.actions.githubusercontent.com"
LOCAL = "https://kubernetes.default.svc.cluster.local"
SUB = {"sub": "system:serviceaccount:shop:web"}
DEFAULT = "registry.example/demo"


def rule(**changes: Any) -> dict[str, Any]:
    fields = {"issuer": CLUSTER, "claims": SUB, **changes}
    return {name: value for name, value in fields.items() if value is not None}


def test_an_identity_without_rules_trusts_nobody() -> None:
    assert parse_trust({}) == ()
    assert parse_trust({"trust": None}) == ()
    assert parse_trust({"trust": []}) == ()


def test_a_rule_is_parsed() -> None:
    (parsed,) = parse_trust({"trust": [rule(audience=["a", "b"])]})
    assert (parsed.issuer, parsed.audiences, parsed.keys) == (CLUSTER, frozenset({"a", "b"}), None)
    assert [pattern.path for pattern in parsed.claims] == [("sub",)]
    (given,) = parse_trust({"trust": [rule(issuer=LOCAL, jwks={"keys": [public_jwk("RSA")]})]})
    assert given.keys is not None
    assert [key.kid for key in given.keys] == ["k1"]
    assert given.audiences == frozenset()


@pytest.mark.parametrize(
    "trust",
    [
        {},
        "x",
        [None],
        ["x"],
        [[]],
        [rule()] * 11,
        [rule(claim=SUB)],
        [rule(name=1)],
        [rule(name="")],
        [rule(name="No Name")],
        [rule(name="web"), rule(name="ci"), rule(name="ci")],
        [rule(issuer=None)],
        [rule(issuer=1)],
        [rule(audience="")],
        [rule(audience=[])],
        [rule(audience=["a"] * 11)],
        [rule(audience=[1])],
        [rule(audience={"a": 1})],
        [rule(audience="with space")],
        [rule(audience="x" * 256)],
        [rule(claims=None)],
        [rule(claims={})],
        [rule(claims={"sub": "*"})],
        [rule(claims={"sub": ["system:x", "**"]})],
        [rule(claims={"sub": "**", "kubernetes.io": {"namespace": "*"}})],
        [rule(claims={"aud": "x"})],
        [rule(jwks={})],
        [rule(jwks={"keys": []})],
        [rule(jwks={"keys": [{"kty": "oct", "k": "c2VjcmV0"}]})],
        [rule(jwks=CLUSTER)],
        [rule(), rule(issuer=LOCAL)],
    ],
)
def test_a_rule_of_another_form_is_refused_by_its_place(trust: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_trust({"trust": trust})
    if isinstance(trust, list) and len(trust) <= 10:
        assert f"trust[{len(trust) - 1}]" in caught.value.message


@pytest.mark.parametrize(
    ("issuer", "claims"),
    [
        (GITHUB, {"sub": "repo:acme/app:ref:refs/heads/main"}),
        (GITHUB, {"sub": "repo:acme/*:ref:refs/heads/main"}),
        (GITHUB, {"sub": ["repo:acme/**", "repo:acme@1/app@2:pull_request"]}),
        (GITHUB, {"repository_owner": "acme", "ref": "refs/heads/main"}),
        (GITHUB, {"repository_owner_id": "123456"}),
        (GITHUB, {"repository": "acme/*"}),
        ("https://gitlab.com", {"sub": "project_path:acme/app:ref_type:branch:ref:main"}),
        ("https://gitlab.com", {"namespace_path": "acme/**"}),
        ("https://accounts.google.com", {"sub": "1234567890"}),
        ("https://app.terraform.io", {"sub": "organization:acme:**"}),
        ("https://agent.buildkite.com", {"organization_slug": "acme"}),
        (GITHUB + "/acme-inc", {"sub": "repo:*"}),
    ],
)
def test_a_rule_for_an_issuer_that_many_share_names_the_owner(issuer: str, claims: Any) -> None:
    assert len(parse_trust({"trust": [rule(issuer=issuer, claims=claims)]})) == 1


@pytest.mark.parametrize(
    ("issuer", "claims"),
    [
        (GITHUB, {}),
        (GITHUB, {"sub": "repo:**"}),
        (GITHUB, {"sub": "repo:*/*:ref:refs/heads/main"}),
        (GITHUB, {"sub": "repo:acme*/app:ref:refs/heads/main"}),
        (GITHUB, {"sub": ["repo:acme/app:**", "repo:*/app:**"]}),
        (GITHUB, {"sub": "repo:acme**"}),
        (GITHUB, {"sub": "repo:acme/"}),
        (GITHUB, {"ref": "refs/heads/main"}),
        (GITHUB, {"workflow": "release", "repository_visibility": "private"}),
        (GITHUB, {"repository_owner": "acme*"}),
        (GITHUB, {"repository": "*/app"}),
        (GITHUB, {"nested": {"sub": "repo:acme/app:**"}}),
        (GITHUB, {"sub": {"nested": "repo:acme/app:**"}}),
        (GITHUB + "/", {"ref": "refs/heads/main"}),
        ("https://gitlab.com", {"ref": "main"}),
        ("https://gitlab.com", {"sub": "project_path:acme:ref"}),
        ("https://accounts.google.com", {"email": "*@acme.example"}),
        ("https://app.terraform.io", {"sub": "organization:*:**"}),
        ("https://agent.buildkite.com", {"pipeline_slug": "release"}),
    ],
)
def test_a_rule_that_strangers_fit_is_refused_with_an_explanation(issuer: str, claims: Any) -> None:
    with pytest.raises(InvalidInput, match="everybody with an account"):
        parse_trust({"trust": [rule(issuer=issuer, claims=claims)]})


NOT_TO_BE_FETCHED = [
    "http://issuer.example.com",
    "HTTPS://issuer.example.com",
    "https://Issuer.example.com",
    "https://issuer.example.com:8443",
    "https://issuer.example.com:80",
    "https://user@issuer.example.com",
    "https://user:secret@issuer.example.com",
    "https://issuer.example.com@10.0.0.1",
    "https://issuer.example.com#x",
    "https://issuer.example.com\\@10.0.0.1",
    "https://issuer",
    "https://localhost",
    "https://127.0.0.1",
    "https://169.254.169.254/latest/meta-data",
    "https://2130706433",
    "https://0x7f000001",
    "https://127.0.0.0x1",
    "https://0177.0.0.1",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://issuer.localhost",
    "https://metadata.google.internal",
    "https://instance-data.ec2.internal",
    "https://kubernetes.default.svc.cluster.local",
    "https://1.0.0.127.in-addr.arpa",
    "https://issuer.example.com.",
    "https://-issuer.example.com",
    "https://issuer_.example.com",
    "https://issuer..example.com",
    "https://issuer.example.com/a b",
    "https://issuer.example.com/\r\nHost: x",
    "https://issuer.example.com\n",
    "https://issu\u00e9r.example.com",
    "https://issuer\u3002example.com",
    "https://" + "a" * 64 + ".example.com",
    "https://" + "a." * 122 + "example.com",
    "https://issuer.example.com/" + "x" * 1024,
    "file:///etc/passwd",
    "//issuer.example.com",
    "",
]


@pytest.mark.parametrize("url", NOT_TO_BE_FETCHED)
def test_a_url_that_is_not_to_be_fetched_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        HttpsUrl.parse(url)
    with pytest.raises(InvalidInput):
        parse_trust({"trust": [rule(issuer=url)]})


@pytest.mark.parametrize(
    ("issuer", "url", "host", "target"),
    [
        (GITHUB, f"{GITHUB}/.well-known/openid-configuration", "token.actions.githubusercontent.com", None),
        (
            CLUSTER,
            f"{CLUSTER}/.well-known/openid-configuration",
            "oidc.eks.eu-central-1.amazonaws.com",
            "/id/0123456789ABCDEF/.well-known/openid-configuration",
        ),
        (
            "https://x.oic.prod-aks.azure.com/t/c/",
            "https://x.oic.prod-aks.azure.com/t/c/.well-known/openid-configuration",
            "x.oic.prod-aks.azure.com",
            "/t/c/.well-known/openid-configuration",
        ),
    ],
)
def test_where_an_issuer_publishes_its_configuration(
    issuer: str, url: str, host: str, target: str | None
) -> None:
    assert configuration_url(issuer) == url
    parsed = HttpsUrl.parse(url)
    assert (parsed.host, parsed.target) == (host, target or "/.well-known/openid-configuration")


def test_a_key_set_may_have_a_query_and_name_the_port() -> None:
    assert HttpsUrl.parse("https://a.example:443/k?p=x&q=/").target == "/k?p=x&q=/"
    assert HttpsUrl.parse("https://a.example").target == "/"
    with pytest.raises(InvalidInput):
        parse_trust({"trust": [rule(issuer="https://a.example/k?p=x")]})


def test_an_issuer_whose_keys_are_given_may_have_any_host() -> None:
    jwks = {"keys": [public_jwk("RSA")]}
    for issuer in (
        LOCAL,
        "https://10.0.0.1:6443",
        "https://[fd00::1]:6443",
        "https://kubernetes.default.svc",
    ):
        assert parse_trust({"trust": [rule(issuer=issuer, jwks=jwks)]})[0].issuer == issuer
    for issuer in ("http://a.example", "https://a@b.example", "https://a.example?x", "a.example", "https://"):
        with pytest.raises(InvalidInput):
            parse_trust({"trust": [rule(issuer=issuer, jwks=jwks)]})


# ------------------------------------------------------------------ tokens
ISSUER = TokenIssuer(CLUSTER)
SECOND = int(NOW.timestamp())


def refusal(changes: dict[str, Any], **fields: Any) -> str | None:
    (parsed,) = parse_trust({"trust": [rule(**fields)]})
    return parsed.refusal(ISSUER.claims(**changes), NOW, DEFAULT)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, {}),
        ({"aud": [DEFAULT]}, {}),
        ({"aud": ["x", DEFAULT, 1]}, {}),
        ({"aud": "b"}, {"audience": ["a", "b"]}),
        ({"aud": ["b", "c"]}, {"audience": "b"}),
        ({"nbf": None, "iat": None}, {}),
        ({"exp": SECOND + 1}, {}),
        ({"exp": SECOND + 0.5}, {}),
        ({"exp": SECOND + 86_400}, {}),
        ({"nbf": SECOND + 30, "iat": SECOND + 30}, {}),
        ({"iat": -1}, {}),
    ],
)
def test_a_token_is_accepted(changes: dict[str, Any], fields: dict[str, Any]) -> None:
    assert refusal(changes, **fields) is None


@pytest.mark.parametrize(
    ("changes", "fields", "reason"),
    [
        ({"aud": "registry.example/other"}, {}, "audience"),
        ({"aud": "registry.example"}, {}, "audience"),
        ({"aud": "REGISTRY.example/demo"}, {}, "audience"),
        ({"aud": None}, {}, "audience"),
        ({"aud": []}, {}, "audience"),
        ({"aud": [[DEFAULT]]}, {}, "audience"),
        ({"aud": {DEFAULT: 1}}, {}, "audience"),
        ({"aud": 1}, {}, "audience"),
        ({}, {"audience": "another"}, "audience"),
        ({"exp": None}, {}, "exp"),
        ({"exp": "9999999999"}, {}, "exp"),
        ({"exp": True}, {}, "exp"),
        ({"exp": float("nan")}, {}, "exp"),
        ({"exp": float("inf")}, {}, "exp"),
        ({"exp": [1]}, {}, "exp"),
        ({"exp": SECOND}, {}, "expired"),
        ({"exp": SECOND - 1}, {}, "expired"),
        ({"exp": -1}, {}, "expired"),
        ({"exp": SECOND + 86_401}, {}, "24 hours"),
        ({"exp": 10**400}, {}, "24 hours"),
        ({"nbf": SECOND + 31}, {}, "not valid yet"),
        ({"iat": SECOND + 31}, {}, "not valid yet"),
        ({"nbf": 10**400}, {}, "not valid yet"),
        ({"nbf": "0"}, {}, "nbf"),
        ({"iat": False}, {}, "iat"),
        ({"sub": "system:serviceaccount:shop:db"}, {}, "sub"),
        ({"sub": None}, {}, "sub"),
        ({}, {"claims": {**SUB, "kubernetes.io": {"namespace": "shop"}}}, "kubernetes.io > namespace"),
    ],
)
def test_a_token_is_refused_for(changes: dict[str, Any], fields: dict[str, Any], reason: str) -> None:
    refused = refusal(changes, **fields)
    assert refused is not None
    assert reason in refused


def test_a_token_ends_when_it_says() -> None:
    (parsed,) = parse_trust({"trust": [rule()]})
    claims = ISSUER.claims()
    assert parsed.refusal(claims, NOW + timedelta(minutes=59, seconds=59), DEFAULT) is None
    assert parsed.refusal(claims, NOW + timedelta(hours=1), DEFAULT) is not None
    assert parsed.refusal(claims, NOW - timedelta(seconds=30), DEFAULT) is None
    assert parsed.refusal(claims, NOW - timedelta(seconds=31), DEFAULT) is not None


# ------------------------------------------------------------------ links
def test_an_identity_is_named_with_and_without_the_first_slash() -> None:
    for text in ("/org/demo/gvc/shop/identity/web", "org/demo/gvc/shop/identity/web"):
        assert is_identity_link(text)
        assert str(parse_identity(text)) == "/org/demo/gvc/shop/identity/web"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<token>",
        "web",
        "//gvc/shop/identity/web",
        "/org/demo/identity/web",
        "/org/demo/gvc/shop/identity/web/",
        "/org/demo/gvc/shop/identity/",
        "/org/demo/gvc/shop/identity/we/b",
        "/org/Demo/gvc/shop/identity/web",
        "/org/demo/gvc/SHOP/identity/web",
        "/org/demo/gvc/shop/identity/web\n",
        "/org/demo/gvc/../identity/web",
        "/org/demo/user/a@b.example",
        "\0",
    ],
)
def test_what_names_no_identity_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_identity(text)
