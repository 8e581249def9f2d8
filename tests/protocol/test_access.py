"""Every route, from the table of routes itself, with every kind of credentials that is not enough."""

from datetime import timedelta

import jwt
import pytest

from moorage.domain.grants import Action
from moorage.domain.names import Repository
from moorage.domain.tokens import make_claims
from moorage.web.registry import PATHS
from tests.protocol.ingest import PROOF, begin, ingest
from tests.protocol.sample import DIGEST, IMAGE, IMAGE_DIGEST, NAME, fill, presigned, require_error, session
from tests.protocol.world import HOST, new_signing_key, registry_in_memory

ROUTES = [
    pytest.param(path, endpoint, reference, id=f"{endpoint.method} {path.name} {reference[:6]}".strip())
    for path in PATHS
    for endpoint in path.endpoints
    for reference in (("v1", IMAGE_DIGEST) if path.name == "manifest" else ("",))
]
RECEIPT = "{kid}/{expires}/{repository_id}/{session}/{object}/{size}/{sha256}/{mac}"
# What each action is asked for together with, by the challenge.
SCOPES = {Action.PULL: "pull", Action.PUSH: "pull,push", Action.DELETE: "delete"}


@pytest.fixture
def world():
    with registry_in_memory(front_door=PROOF, ingest=True) as world:
        yield world


def url(world, path, reference, name=NAME):
    if path.name == "received-upload":
        return ingest(world, begin(world, world.all_of("demo/admin", NAME))).replace(NAME, name, 1)
    begins = session if path.name == "upload" else presigned
    headers = world.all_of("demo/admin", NAME)
    location = begins(world, headers, b"a blob") if "{session}" in path.pattern else ""
    return path.pattern.replace("{name:path}", name).format(
        digest=IMAGE_DIGEST if path.name == "referrers" else DIGEST,
        reference=reference,
        session=location.rpartition("/")[2],
    )


@pytest.fixture
def filled(world):
    fill(world, world.all_of("demo/admin", NAME))
    return world


def snapshot(world):
    """All that is stored."""
    table, storage = world.table, world.storage
    return [
        dict(part)
        for part in (
            table._links,
            table._objects,
            table._manifests,
            table._sessions,
            table._repositories,
            table._organisation_blobs,
            {name: dict(tags) for name, tags in table._tags.items()},
            storage._contents,
        )
    ]


def ask(world, path, endpoint, reference, headers, name=NAME):
    """Make the request; what is stored must be as it was."""
    where = url(world, path, reference, name)
    before = snapshot(world)
    response = world.registry.request(endpoint.method, where, headers=headers, content=IMAGE)
    assert snapshot(world) == before
    assert DIGEST not in response.text.replace(where, "")
    assert IMAGE not in response.content
    return response


def require_challenge(response, scope, error):
    require_error(response, 401, "UNAUTHORIZED")
    fields = [f'realm="https://{HOST}/token"', f'service="{HOST}"']
    fields += [f'scope="{scope}"'] if scope else []
    fields += [f'error="{error}"'] if error else []
    assert response.headers["WWW-Authenticate"] == "Bearer " + ",".join(fields)
    # docker's `manifest` command calls a registry too old that does not say this in its 401.
    assert response.headers["Docker-Distribution-API-Version"] == "registry/2.0"


def scope_of(endpoint, name=NAME):
    return f"repository:{name}:{SCOPES[endpoint.action]}"


@pytest.mark.parametrize(("path", "endpoint", "reference"), ROUTES)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Basic Og==", "Basic PHRva2VuPjpr", "Digest x", "Token x", "bearer-ish x", "\x00"],
)
def test_without_a_bearer_token(filled, path, endpoint, reference, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    response = ask(filled, path, endpoint, reference, headers)
    expected = "invalid_token" if authorization == "Bearer" else None
    require_challenge(response, scope_of(endpoint), expected)


def tokens_that_prove_nothing(world):
    """Of every kind, each with the claims that would be enough."""
    everything = {Repository("demo", "app"): frozenset(Action)}
    now = world.clock()
    claims = make_claims(
        "/org/demo/serviceaccount/admin", granted=everything, refused={}, now=now, token_id="x"
    )
    pem, kid = world.signing.private_pem, {"kid": "first"}
    stranger, _ = new_signing_key("first")
    yield "signed by another key", jwt.encode(claims, stranger.private_pem, "ES256", kid)
    yield "unsigned", jwt.encode(claims, "", "none", kid)
    yield "of an unknown kid", jwt.encode(claims, pem, "ES256", {"kid": "second"})
    yield "of no kid", jwt.encode(claims, pem, "ES256")
    old, coming = now - timedelta(seconds=300), now + timedelta(seconds=31)
    for says, moment in (("expired", old), ("from the future", coming)):
        shifted = make_claims(
            "/org/demo/serviceaccount/admin", granted=everything, refused={}, now=moment, token_id="x"
        )
        yield says, jwt.encode(shifted, pem, "ES256", kid)
    yield "of another audience", jwt.encode({**claims, "aud": "other"}, pem, "ES256", kid)
    yield "of another issuer", jwt.encode({**claims, "iss": "other"}, pem, "ES256", kid)
    yield "of another version", jwt.encode({**claims, "v": 2}, pem, "ES256", kid)
    yield "without an end", jwt.encode({**claims, "exp": None}, pem, "ES256", kid)
    yield "a service-account key", world.keys["demo/admin"]
    yield "no token", "x"
    yield "huge", "x" * 9000


@pytest.mark.parametrize(("path", "endpoint", "reference"), ROUTES)
def test_with_a_token_that_proves_nothing(filled, path, endpoint, reference):
    for says, token in tokens_that_prove_nothing(filled):
        response = ask(filled, path, endpoint, reference, {"Authorization": f"Bearer {token}"})
        require_challenge(response, scope_of(endpoint), "invalid_token")
        assert says
        assert token not in response.text


@pytest.mark.parametrize(("path", "endpoint", "reference"), ROUTES)
def test_with_a_token_that_was_not_asked_for_this(filled, path, endpoint, reference):
    others = ",".join(action for action in Action if action is not endpoint.action)
    for scopes in (
        [],
        [f"repository:{NAME}:{others}"],
        ["repository:demo/side:*"],
        [f"repository:{NAME}x:*"],
    ):
        response = ask(filled, path, endpoint, reference, filled.auth("demo/admin", *scopes))
        require_challenge(response, scope_of(endpoint), "insufficient_scope")


@pytest.mark.parametrize(("path", "endpoint", "reference"), ROUTES)
@pytest.mark.parametrize("who", ["other/admin", "other/viewer", "demo/viewer"])
def test_with_a_token_that_was_refused_this(filled, path, endpoint, reference, who):
    headers = filled.all_of(who, NAME, "demo/none")
    response = ask(filled, path, endpoint, reference, headers)
    entry = require_error(response, 403, "DENIED")
    assert "WWW-Authenticate" not in response.headers
    # A repository that is not there looks the same.
    absent = ask(filled, path, endpoint, reference, headers, "demo/none")
    if entry is not None:
        assert absent.json()["errors"][0]["message"] == entry["message"].replace(NAME, "demo/none")
    assert absent.status_code == 403


@pytest.mark.parametrize(("path", "endpoint", "reference"), ROUTES)
def test_with_a_token_of_another_organisation_for_its_own(filled, path, endpoint, reference):
    response = ask(filled, path, endpoint, reference, filled.all_of("other/admin", "other/app"))
    require_challenge(response, scope_of(endpoint), "insufficient_scope")


@pytest.mark.parametrize(("path", "endpoint", "reference"), ROUTES)
def test_with_exactly_the_action_that_it_needs(filled, path, endpoint, reference):
    where = url(filled, path, reference)
    headers = filled.auth("demo/admin", f"repository:{NAME}:{endpoint.action}")
    response = filled.registry.request(endpoint.method, where, headers=headers, content=IMAGE)
    assert response.status_code not in (401, 403), response.text
    assert response.status_code < 500


@pytest.mark.parametrize(("path", "endpoint", "reference"), ROUTES)
def test_a_repository_of_a_bad_name_is_400_with_a_token_and_unnamed_in_the_challenge_without(
    world, path, endpoint, reference
):
    for name in ("Demo/App", "demo", "demo/%22x", "demo/..%2fx"):
        require_challenge(ask(world, path, endpoint, reference, {}, name), None, None)
        headers = world.all_of("demo/admin", NAME)
        require_error(ask(world, path, endpoint, reference, headers, name), 400, "NAME_INVALID")


def test_the_table_of_routes_is_the_specification():
    """A route that is added has to be added here, and with that to what is tested."""
    routes = {
        (endpoint.method, path.pattern, endpoint.action) for path in PATHS for endpoint in path.endpoints
    }
    name = "/v2/{name:path}"
    assert routes == {
        *((method, f"{name}/blobs/{{digest}}", Action.PULL) for method in ("GET", "HEAD")),
        ("DELETE", f"{name}/blobs/{{digest}}", Action.DELETE),
        ("POST", f"{name}/blobs/uploads/", Action.PUSH),
        ("POST", f"{name}/blobs/uploads/_presigned/", Action.PUSH),
        *(
            (method, f"{name}/blobs/uploads/_presigned/{{session}}", Action.PUSH)
            for method in ("GET", "DELETE")
        ),
        ("POST", f"{name}/blobs/uploads/_presigned/{{session}}/complete", Action.PUSH),
        *(
            (method, f"{name}/blobs/uploads/_received/{RECEIPT}", Action.PUSH)
            for method in ("GET", "PATCH", "PUT", "DELETE")
        ),
        *(
            (method, f"{name}/blobs/uploads/{{session}}", Action.PUSH)
            for method in ("GET", "PATCH", "PUT", "DELETE")
        ),
        *((method, f"{name}/manifests/{{reference}}", Action.PULL) for method in ("GET", "HEAD")),
        ("PUT", f"{name}/manifests/{{reference}}", Action.PUSH),
        ("DELETE", f"{name}/manifests/{{reference}}", Action.DELETE),
        ("GET", f"{name}/tags/list", Action.PULL),
        ("GET", f"{name}/referrers/{{digest}}", Action.PULL),
    }


# ------------------------------------------------------------------ the ping
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/v2/", "/v2"])
def test_the_ping_challenges_without_a_scope(world, method, path):
    require_challenge(world.registry.request(method, path), None, None)
    bad = world.registry.request(method, path, headers={"Authorization": "Bearer x"})
    require_challenge(bad, None, "invalid_token")
    basic = world.registry.request(method, path, auth=("<token>", world.keys["demo/admin"]))
    require_challenge(basic, None, None)


def test_the_words_that_clients_look_for_stand_in_the_challenge_once(world):
    for response in (
        world.registry.get("/v2/"),
        world.registry.get(f"/v2/{NAME}/tags/list"),
        world.registry.get(f"/v2/{NAME}/tags/list", headers={"Authorization": "Bearer x"}),
    ):
        (challenge,) = response.headers.get_list("WWW-Authenticate")
        assert challenge.lower().count("bearer") == 1
        assert "basic" not in challenge.lower()
        assert '=""' not in challenge


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case(filled, word):
    token = filled.token("demo/admin", f"repository:{NAME}:pull")
    headers = {"Authorization": f"{word}  {token} "}
    assert filled.registry.get(f"/v2/{NAME}/manifests/v1", headers=headers).content == IMAGE


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1:5000", "[::1]:5000", "localhost"])
def test_the_challenge_names_the_address_that_the_client_has_used(world, host, scheme):
    response = world.registry.get(f"{scheme}://{host}/v2/")
    assert f'realm="{scheme}://{host}/token"' in response.headers["WWW-Authenticate"]
    assert f'service="{host}"' in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "host",
    ['evil"', "a b", "a/b", "a,b", "a" * 300, "x:y", "x:123456", "é", 'x",realm="http://evil', "\\", "@evil"],
)
def test_a_host_that_is_none_is_not_repeated(world, host):
    for path in ("/v2/", f"/v2/{NAME}/tags/list"):
        response = world.registry.get(path, headers={"Host": host.encode()})
        require_error(response, 400, "UNSUPPORTED")
        assert "WWW-Authenticate" not in response.headers
        assert host not in response.text


def test_a_token_ends_with_its_five_minutes(filled):
    headers = filled.all_of("demo/admin", NAME)
    filled.clock.advance(timedelta(seconds=299))
    assert filled.registry.get(f"/v2/{NAME}/manifests/v1", headers=headers).status_code == 200
    filled.clock.advance(timedelta(seconds=1))
    response = filled.registry.get(f"/v2/{NAME}/manifests/v1", headers=headers)
    require_challenge(response, f"repository:{NAME}:pull", "invalid_token")


def test_what_was_revoked_is_missing_from_the_next_token(filled):
    account = filled.account("demo/admin")
    filled.accounts.remove_member("demo", "superusers", account)
    response = filled.registry.get(f"/v2/{NAME}/manifests/v1", headers=filled.all_of("demo/admin", NAME))
    require_error(response, 403, "DENIED")
