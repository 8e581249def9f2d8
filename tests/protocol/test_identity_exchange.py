"""A workload exchanges its own token at ``/token``: by docker's dialect and by RFC 8693."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from moorage.domain.grants import Action
from moorage.domain.names import Repository
from moorage.domain.resources import Kind, ResourceRecord
from tests.protocol.sample import fill, require_error, require_success
from tests.protocol.world import HOST, World, registry_in_memory
from tests.unit.token_issuer import TokenIssuer, private_key

CLUSTER = TokenIssuer("https://issuer.example.com/cluster")
LINK, FOREIGN = "/org/demo/gvc/shop/identity/web", "/org/other/gvc/shop/identity/web"
RULE = {"issuer": CLUSTER.url, "claims": {"sub": "system:serviceaccount:shop:web"}}
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT, ID_TOKEN, ACCESS_TOKEN = (
    f"urn:ietf:params:oauth:token-type:{kind}" for kind in ("jwt", "id_token", "access_token")
)
APP, SIDE = Repository("demo", "app"), Repository("demo", "side")
ALL = ",".join(Action)


@pytest.fixture
def world(world: World) -> World:
    now = world.clock()
    for org in ("demo", "other"):
        world.table.create(ResourceRecord(Kind.GVC, org, "shop", f"{org}-gvc", 1, now, now))
        spec = {"trust": [RULE]}
        world.table.create(
            ResourceRecord(Kind.IDENTITY, org, "shop/web", f"{org}-web", 1, now, now, spec=spec)
        )
    world.issuers.publish(CLUSTER.url, CLUSTER.jwks())
    return world


def basic(world, token, user=LINK, scope="repository:demo/app:pull"):
    return world.tokens.get("/token", params={"scope": scope}, auth=(user, token))


def password(world, token, user=LINK, scope="repository:demo/app:pull"):
    form = {"grant_type": "password", "username": user, "password": token, "scope": scope}
    return world.tokens.post("/token", data=form)


def exchanged(world, token, user=LINK, scope="repository:demo/app:pull", **changes):
    form = {
        "grant_type": EXCHANGE,
        "subject_token": token,
        "subject_token_type": JWT,
        "identity": user,
        "scope": scope,
        **changes,
    }
    return world.tokens.post("/token", data={name: each for name, each in form.items() if each is not None})


ways = pytest.mark.parametrize("ask", [basic, password, exchanged])


def verified(world, response):
    require_success(response, 200)
    assert response.headers["Cache-Control"] == "no-store"
    return world.services.verification.verify(response.json()["access_token"])


def refused(response):
    assert response.headers["WWW-Authenticate"] == f'Basic realm="{HOST}"'
    assert "token" not in response.json()
    return require_error(response, 401, "UNAUTHORIZED")["message"]


@ways
@pytest.mark.parametrize("user", [LINK, LINK.removeprefix("/")])
def test_a_workloads_token_becomes_a_token_of_its_identity(world, ask, user):
    response = ask(world, CLUSTER.token(world.clock()), user)
    token = verified(world, response)
    assert token.principal == LINK
    assert token.granted == {APP: {Action.PULL}}
    assert response.json()["expires_in"] == 300


@ways
def test_an_identity_may_pull_from_its_organisation_and_nothing_else(world, ask):
    scope = f"repository:demo/app:{ALL} repository:other/app:{ALL}"
    token = verified(world, ask(world, CLUSTER.token(world.clock()), scope=scope))
    assert token.granted == {APP: {Action.PULL}}
    assert token.refused == {
        APP: set(Action) - {Action.PULL},
        Repository("other", "app"): set(Action),
    }


@ways
def test_several_repositories_take_the_same_token_again(world, ask):
    token = CLUSTER.token(world.clock())
    for repository in (APP, SIDE, APP):
        answer = verified(world, ask(world, token, scope=f"repository:{repository.name}:pull"))
        assert answer.granted == {repository: {Action.PULL}}


def test_the_answer_of_an_exchange_says_what_it_is(world):
    for kind in (JWT, ID_TOKEN):
        answer = exchanged(world, CLUSTER.token(world.clock()), subject_token_type=kind).json()
        assert answer["issued_token_type"] == ACCESS_TOKEN
        assert answer["token_type"] == "Bearer"
        assert set(answer) == {
            "token", "access_token", "expires_in", "issued_at", "issued_token_type", "token_type",
        }  # fmt: skip
    assert "token_type" not in password(world, CLUSTER.token(world.clock())).json()


def test_an_exchange_names_the_identity_as_resource_too(world):
    token = CLUSTER.token(world.clock())
    verified(world, exchanged(world, token, identity=None, resource=LINK))
    verified(world, exchanged(world, token, resource=LINK))
    verified(world, exchanged(world, token, requested_token_type=ACCESS_TOKEN, audience="anything"))


@pytest.mark.parametrize(
    "changes",
    [
        {"subject_token_type": None},
        {"subject_token_type": ACCESS_TOKEN},
        {"subject_token_type": "jwt"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"actor_token": "x"},
        {"identity": None},
        {"resource": FOREIGN},
    ],
)
def test_an_exchange_of_another_form_is_refused(world, changes):
    response = exchanged(world, CLUSTER.token(world.clock()), **changes)
    require_error(response, 400, "UNSUPPORTED")


@ways
def test_an_image_is_pulled_with_nothing_but_the_workloads_token(world, ask):
    fill(world, world.all_of("demo/admin", "demo/app"), "demo/app")
    scope = "repository:demo/app:pull"
    bearer = {
        "Authorization": f"Bearer {ask(world, CLUSTER.token(world.clock()), scope=scope).json()['token']}"
    }
    pulled = world.registry.get("/v2/demo/app/manifests/v1", headers=bearer)
    require_success(pulled, 200)
    denied = world.registry.put("/v2/demo/app/manifests/v2", headers=bearer, content=b"{}")
    assert denied.status_code in (401, 403)


# ------------------------------------------------------------------ bad input
def bad_tokens(world):
    now = world.clock()
    whole = CLUSTER.token(now)
    yield "wrong audience", CLUSTER.token(now, aud="registry.example/other"), "audience"
    yield "no audience", CLUSTER.token(now, aud=None), "audience"
    yield "another issuer", TokenIssuer("https://evil.example.com").token(now), "issuer"
    yield "another subject", CLUSTER.token(now, sub="system:serviceaccount:shop:db"), "sub"
    yield "another key", CLUSTER.token(now, key=private_key("P-256/forger")), "no key"
    yield "another algorithm", TokenIssuer(CLUSTER.url, "RSA", "RS256").token(now), "no key"
    yield "expired", CLUSTER.token(now - timedelta(hours=2)), "expired"
    yield "too early", CLUSTER.token(now + timedelta(minutes=1)), "not valid yet"
    yield "too long", CLUSTER.token(now, exp=int(now.timestamp()) + 90_000), "24 hours"
    yield "a kid that is a path", CLUSTER.token(now, headers={"kid": "../../../etc/passwd"}), "no key"
    yield "unsigned", whole.rpartition(".")[0] + ".", "JSON Web Token"
    yield "nothing", "", "JSON Web Token"
    yield "a key of an account", world.keys["demo/admin"], "JSON Web Token"
    yield "too large", CLUSTER.token(now, padding="x" * 17_000), "JSON Web Token"
    yield "a token of ours", world.token("demo/admin", "repository:demo/app:pull"), "token of this registry"


@ways
def test_a_token_that_proves_nothing_is_told_why(world, ask):
    for name, token, reason in bad_tokens(world):
        response = ask(world, token)
        message = refused(response)
        assert reason in message, name
        assert len(token) < 20 or token not in response.text


@ways
def test_a_forged_token_does_not_tell_which_identities_there_are(world, ask):
    forged = CLUSTER.token(world.clock(), key=private_key("P-256/forger"))
    told = {
        refused(ask(world, forged, user))
        for user in (LINK, FOREIGN, f"{LINK}-none", "/org/none/gvc/shop/identity/web")
    }
    assert len(told) == 1


@ways
@pytest.mark.parametrize(
    "user", [FOREIGN, "/org/demo/gvc/shop/identity/none", "/org/none/gvc/shop/identity/web", "/org/demo/gvc/SHOP/identity/web"]
)  # fmt: skip
def test_a_token_is_replayed_nowhere_else(world, ask, user):
    token = CLUSTER.token(world.clock())
    verified(world, ask(world, token))
    refused(ask(world, token, user))


@ways
@pytest.mark.parametrize(
    "user", ["<token>", "web", "shop/web", "//gvc/shop/identity/web", "/org/demo/serviceaccount/admin"]
)
def test_a_workloads_token_is_no_key(world, ask, user):
    refused(ask(world, CLUSTER.token(world.clock()), user))


def test_a_key_is_not_taken_for_an_identity_nor_a_token_twice(world):
    refused(basic(world, world.keys["demo/admin"]))
    token = CLUSTER.token(world.clock())
    twice = f"grant_type={EXCHANGE}&subject_token={token}&subject_token={token}&subject_token_type={JWT}&identity={LINK}"
    response = world.tokens.post(
        "/token", content=twice, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    refused(response)


@ways
def test_an_issuer_that_cannot_be_asked_is_503_and_never_an_allowance(world, ask):
    world.issuers.withdraw(CLUSTER.url)
    response = ask(world, CLUSTER.token(world.clock()))
    assert CLUSTER.url in require_error(response, 503, "TOOMANYREQUESTS")["message"]
    assert "Retry-After" in response.headers
    # Keys that nobody has to be asked for are as good as before.
    require_success(world.tokens.get("/token", auth=("<token>", world.keys["demo/admin"])), 200)


@ways
def test_an_identity_that_is_deleted_gets_no_token(world, ask):
    token = CLUSTER.token(world.clock())
    verified(world, ask(world, token))
    record = world.table.find(Kind.IDENTITY, "demo", "shop/web")
    assert record is not None
    world.table.delete(record)
    refused(ask(world, token))


@ways
def test_nothing_is_issued_while_any_dependency_is_down(world, ask):
    token = CLUSTER.token(world.clock())
    verified(world, ask(world, token))
    world.faults.calls.clear()
    verified(world, ask(world, token))
    calls = list(world.faults.calls)
    assert "find" in calls
    for number in range(len(calls)):
        with world.faults.failing(at=number):
            require_error(ask(world, token), 503, "TOOMANYREQUESTS")
        assert world.faults.calls == calls[: number + 1]
    verified(world, ask(world, token))


def test_a_token_with_a_colon_in_it_or_a_user_in_another_case_is_none(world):
    token = CLUSTER.token(world.clock())
    for user, secret in ((LINK, f"{token}:x"), (LINK.upper(), token), (f"{LINK} ", token)):
        credentials = base64.b64encode(f"{user}:{secret}".encode()).decode()
        refused(world.tokens.get("/token", headers={"Authorization": f"Basic {credentials}"}))


def test_no_token_is_logged(world, caplog):
    caplog.set_level("DEBUG")
    for ask in (basic, password, exchanged):
        good, bad = CLUSTER.token(world.clock()), CLUSTER.token(world.clock(), sub="x")
        ask(world, good)
        ask(world, bad)
        logged = json.dumps([record.__dict__ for record in caplog.records], default=str)
        assert LINK in logged
        for token in (good, bad):
            assert token.split(".")[2] not in logged


def test_at_the_host_of_an_organisation_the_audience_names_the_domain():
    with registry_in_memory(domain="images.example") as world:
        now = world.clock()
        world.table.create(ResourceRecord(Kind.GVC, "demo", "shop", "gvc", 1, now, now))
        world.table.create(
            ResourceRecord(
                Kind.IDENTITY, "demo", "shop/web", "web", 1, now, now,
                spec={"trust": [{**RULE, "jwks": CLUSTER.jwks()}]},
            )
        )  # fmt: skip
        token = CLUSTER.token(now, aud="images.example/demo")
        response = world.tokens.get(
            "/token",
            params={"scope": "repository:app:pull"},
            auth=(LINK, token),
            headers={"Host": "demo.images.example"},
        )
        assert verified(world, response).granted == {APP: {Action.PULL}}
