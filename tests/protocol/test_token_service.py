"""The token service: both dialects, in all the spellings that clients have, and everybody who gets nothing."""

import base64
from datetime import datetime, timedelta

import jwt
import pytest

from moorage.domain.grants import Action
from moorage.domain.names import Repository
from tests.protocol.sample import NAME, require_error, require_success
from tests.protocol.world import HOST

APP, SIDE = Repository("demo", "app"), Repository("demo", "side")
PULL, PUSH, DELETE = Action.PULL, Action.PUSH, Action.DELETE
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def get(world, query="", who="demo/admin", user="<token>"):
    return world.tokens.get(f"/token{query}", auth=(user, world.keys[who]))


def post(world, *more, who="demo/admin", **fields):
    form = {"grant_type": "password", "username": "<token>", "password": world.keys[who], **fields}
    return world.tokens.post("/token", data=form)


def grants(world, response):
    require_success(response, 200)
    token = world.services.verification.verify(response.json()["access_token"])
    return dict(token.granted), dict(token.refused)


def test_an_answer_has_all_that_clients_read(world):
    for response in (get(world), post(world)):
        require_success(response, 200)
        answer = response.json()
        assert set(answer) == {"token", "access_token", "expires_in", "issued_at"}
        assert answer["token"] == answer["access_token"]
        assert answer["expires_in"] == 300
        assert answer["issued_at"] == "2026-05-04T03:02:01Z"
        assert datetime.fromisoformat(answer["issued_at"]) == world.clock()
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        assert "refresh_token" not in answer
        header = jwt.get_unverified_header(answer["token"])
        assert header == {"alg": "ES256", "typ": "JWT", "kid": "first"}


def test_no_two_tokens_are_the_same(world):
    assert len({get(world).json()["token"] for _ in range(5)}) == 5


SCOPES = [
    ("?scope=repository:demo/app:pull", {APP: {PULL}}),
    ("?scope=repository:demo/app:push,pull", {APP: {PULL, PUSH}}),
    ("?scope=repository%3Ademo%2Fapp%3Apull%2Cpush", {APP: {PULL, PUSH}}),
    ("?scope=repository:demo/app:pull&scope=repository:demo/app:push", {APP: {PULL, PUSH}}),
    ("?scope=repository:demo/app:pull&scope=repository:demo/side:push", {APP: {PULL}, SIDE: {PUSH}}),
    ("?scope=repository:demo/app:pull+repository:demo/side:push", {APP: {PULL}, SIDE: {PUSH}}),
    ("?scope=repository:demo/app:pull%20%20repository:demo/app:delete", {APP: {PULL, DELETE}}),
    ("?scope=repository:demo/app:*", {APP: set(Action)}),
    ("?scope=repository:demo/app:pull,*&scope=x", {APP: set(Action)}),
    ("?scope=&service=x&account=y&client_id=z&offline_token=true", {}),
    ("?scope=registry:catalog:*", {}),
    ("?scope=repository:Demo/App:pull", {}),
    ("?scope=repository:demo/app", {}),
    ("?scope=%00%FF", {}),
    ("?", {}),
    ("", {}),
]


@pytest.mark.parametrize(("query", "granted"), SCOPES)
def test_scopes_of_a_get(world, query, granted):
    assert grants(world, get(world, query)) == (granted, {})
    assert grants(world, get(world, query, "other/admin")) == ({}, granted)


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("repository:demo/app:pull", {APP: {PULL}}),
        ("repository:demo/app:pull,push repository:demo/side:pull", {APP: {PULL, PUSH}, SIDE: {PULL}}),
        ("repository:demo/app:pull repository:demo/app:push", {APP: {PULL, PUSH}}),
        (["repository:demo/app:pull", "repository:demo/app:push"], {APP: {PULL, PUSH}}),
        ("repository:demo/app:*", {APP: set(Action)}),
        ("", {}),
        (" ", {}),
        ("*", {}),
    ],
)
def test_scopes_of_a_post(world, scope, granted):
    for fields in ({}, {"grant_type": "refresh_token", "refresh_token": world.keys["demo/admin"]}):
        assert grants(world, post(world, scope=scope, **fields)) == (granted, {})


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8",
        "Application/X-WWW-Form-URLEncoded ;charset=UTF-8",
    ],
)
def test_a_form_is_read_in_every_spelling_of_its_type(world, content_type):
    key = world.keys["demo/admin"]
    body = f"client_id=containerd-client&grant_type=password&password={key}&scope=repository%3Ademo%2Fapp%3Apull&service={HOST}&username=%3Ctoken%3E"
    response = world.tokens.post("/token", content=body, headers={"Content-Type": content_type})
    assert grants(world, response) == ({APP: {PULL}}, {})


# ------------------------------------------------------------------ who gets nothing
def require_refused(response):
    entry = require_error(response, 401, "UNAUTHORIZED")
    assert "token" not in response.json()
    assert response.headers["WWW-Authenticate"] == f'Basic realm="{HOST}"'
    return entry["message"]


def test_there_are_no_anonymous_tokens(world):
    for query in ("", f"?scope=repository:{NAME}:pull"):
        assert "<token>" in require_refused(world.tokens.get(f"/token{query}"))
    require_refused(post(world, password=""))
    require_refused(post(world, username="", password=""))
    require_refused(post(world, grant_type="refresh_token"))


@pytest.mark.parametrize("user", ["nobody", "", "token", "<TOKEN>", "admin", "demo", "<token> ", "AWS"])
def test_a_wrong_user_name_is_told_the_right_one(world, user):
    assert "<token>" in require_refused(get(world, user=user))
    assert "<token>" in require_refused(post(world, username=user))


def test_the_name_of_the_key_is_a_user_name(world):
    require_success(get(world, user="laptop"), 200)
    require_success(post(world, username="laptop"), 200)


def bad_keys(key):
    _, public, secret = key.split("_")
    yield f"mrg_{'a' * 16}_{secret}"
    yield f"mrg_{public}_{'a' * 52}"
    yield key[:-1]
    yield key + "a"
    yield key.upper()
    yield public
    yield secret
    yield ""
    yield "password"
    yield "x" * 5000
    yield "\0"
    yield key + "\0"
    yield "\U0001f600"
    yield f"mrg_{public}_"


def test_a_key_that_is_none_gets_nothing_by_any_dialect(world):
    key = world.keys["demo/admin"]
    for bad in bad_keys(key):
        credentials = base64.b64encode(f"<token>:{bad}".encode()).decode()
        require_refused(world.tokens.get("/token", headers={"Authorization": f"Basic {credentials}"}))
        require_refused(post(world, password=bad))
        require_refused(post(world, grant_type="refresh_token", refresh_token=bad))


def test_a_revoked_and_an_expired_key_are_refused_like_an_unknown_one(world):
    account = world.account("demo/admin")
    short = world.accounts.add_key(account, "short", life=timedelta(hours=1)).secret
    world.keys["short"] = short
    require_success(get(world, who="short"), 200)
    world.clock.advance(timedelta(hours=1))
    world.keys["unknown"] = f"mrg_{'a' * 16}_{'a' * 52}"
    world.accounts.revoke_key(account, "laptop")
    messages = {
        require_refused(ask(world, who=who))
        for who in ("short", "unknown", "demo/admin")
        for ask in (get, post)
    }
    assert len(messages) == 1


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !",
        "Basic PHRva2VuPg",
        "Basic PHRva2VuPg==",
        "Bearer x",
        "Basic gICAgA==",
        "Basic Og==",
        "Negotiate x",
        "Basic " + "A" * 8000,
    ],
)
def test_malformed_basic_credentials_get_nothing(world, authorization):
    require_refused(world.tokens.get("/token", headers={"Authorization": authorization}))


def test_basic_is_read_in_any_case_and_the_password_may_hold_colons(world):
    key = world.keys["demo/admin"]
    credentials = base64.b64encode(f"<token>:{key}".encode()).decode()
    for word in ("basic", "BASIC"):
        require_success(world.tokens.get("/token", headers={"Authorization": f"{word} {credentials}"}), 200)
    colons = base64.b64encode(f"<token>:{key}:x".encode()).decode()
    require_refused(world.tokens.get("/token", headers={"Authorization": f"Basic {colons}"}))


def test_credentials_in_the_query_are_not_read(world):
    key = world.keys["demo/admin"]
    require_refused(
        world.tokens.get("/token", params={"username": "<token>", "password": key, "grant_type": "password"})
    )


@pytest.mark.parametrize(
    "grant", ["", "authorization_code", "PASSWORD", "client_credentials", "password refresh_token"]
)
def test_another_grant_is_refused(world, grant):
    require_error(post(world, grant_type=grant), 400, "UNSUPPORTED")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", FORM["Content-Type"]),
        (b"grant_type", FORM["Content-Type"]),
        (b"\xff\xfe=1", FORM["Content-Type"]),
        (b"&".join(b"a%d=1" % number for number in range(101)), FORM["Content-Type"]),
        (b"grant_type=password&x=" + b"x" * 65536, FORM["Content-Type"]),
        (b'{"grant_type": "password"}', "application/json"),
        (b"grant_type=password", "multipart/form-data; boundary=x"),
        (b"grant_type=password", "text/plain"),
        (b"grant_type=password", ""),
    ],
)
def test_what_is_no_form_is_refused(world, body, content_type):
    response = world.tokens.post("/token", content=body, headers={"Content-Type": content_type})
    require_error(response, 400, "UNSUPPORTED")


def test_a_repeated_password_is_none(world):
    key = world.keys["demo/admin"]
    body = f"grant_type=password&username=%3Ctoken%3E&password={key}&password={key}"
    require_refused(world.tokens.post("/token", content=body, headers=FORM))


def test_too_many_scopes_are_refused_with_advice(world):
    scopes = [f"repository:demo/{'a' * 60}{number}:pull,push,delete" for number in range(100)]
    response = world.tokens.get(
        "/token", params={"scope": scopes}, auth=("<token>", world.keys["demo/admin"])
    )
    assert "fewer" in require_error(response, 400, "UNSUPPORTED")["message"]
    response = post(world, scope=" ".join(scopes))
    assert "fewer" in require_error(response, 400, "UNSUPPORTED")["message"]
    few = world.tokens.get(
        "/token", params={"scope": scopes[:20]}, auth=("<token>", world.keys["demo/admin"])
    )
    require_success(few, 200)
    # A token, its name and what goes with every request fit what the gateway takes of headers.
    assert len(few.json()["token"]) < 10_240 - 2048


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_other_methods_are_405(world, method):
    response = world.tokens.request(method, "/token")
    require_error(response, 405, "UNSUPPORTED")
    assert response.headers["Allow"] == "GET, POST"


@pytest.mark.parametrize("path", ["/", "/token/", "/token/x", "/v2/", "/tokens"])
def test_other_paths_are_404(world, path):
    require_error(world.tokens.get(path), 404, "UNSUPPORTED")


@pytest.mark.parametrize("host", ['evil"', "a b", 'x", charset="'])
def test_a_host_that_is_none_is_not_repeated(world, host):
    response = world.tokens.get("/token", headers={"Host": host})
    require_error(response, 400, "UNSUPPORTED")
    assert "WWW-Authenticate" not in response.headers


def test_a_token_of_the_service_opens_the_registry_for_what_it_grants(world):
    token = get(world, f"?scope=repository:{NAME}:pull").json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert world.registry.get("/v2/", headers=headers).status_code == 200
    require_error(world.registry.get(f"/v2/{NAME}/tags/list", headers=headers), 404, "NAME_UNKNOWN")
    require_error(world.registry.post(f"/v2/{NAME}/blobs/uploads/", headers=headers), 401, "UNAUTHORIZED")
