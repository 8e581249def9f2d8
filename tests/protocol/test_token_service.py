"""The token service: both dialects, in all the spellings that clients have, and everybody who gets nothing."""

import base64
from dataclasses import replace
from datetime import datetime, timedelta

import jwt
import pytest

from moorage.domain.grants import Action
from moorage.domain.names import Repository
from tests.protocol.sample import NAME, require_error, require_success
from tests.protocol.world import HOST, new_signing_key

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


# ------------------------------------------------------------------ refresh tokens
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN, REFRESH_TOKEN, JWT = (
    f"urn:ietf:params:oauth:token-type:{kind}" for kind in ("access_token", "refresh_token", "jwt")
)


def exchange(world, subject, **changes):
    form = {
        "grant_type": EXCHANGE,
        "requested_token_type": REFRESH_TOKEN,
        "subject_token_type": ACCESS_TOKEN,
        "subject_token": subject,
        **changes,
    }
    return world.tokens.post(
        "/token", data={name: value for name, value in form.items() if value is not None}
    )


def refresh_token(world, who="demo/admin"):
    answer = exchange(world, world.keys[who])
    require_success(answer, 200)
    return answer.json()["access_token"]


def by_basic(world, token, user="<token>"):
    return world.tokens.get("/token?scope=repository:demo/app:pull", auth=(user, token))


def by_password(world, token):
    return post(world, password=token, scope="repository:demo/app:pull")


def by_refresh(world, token):
    fields = {"refresh_token": token, "client_id": "x", "service": HOST, "scope": "repository:demo/app:pull"}
    return world.tokens.post("/token", data={"grant_type": "refresh_token", **fields})


dialects = pytest.mark.parametrize("ask", [by_basic, by_password, by_refresh])


def signed(world, claims, kid="first"):
    return jwt.encode(claims, world.signing.private_pem, algorithm="ES256", headers={"kid": kid})


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


def test_a_key_becomes_a_refresh_token_in_the_words_of_rfc_8693(world):
    answer = exchange(world, world.keys["demo/admin"])
    require_success(answer, 200)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json() == {
        "access_token": answer.json()["access_token"],
        "issued_token_type": REFRESH_TOKEN,
        "token_type": "N_A",
        "expires_in": 3600,
        "issued_at": "2026-05-04T03:02:01Z",
    }
    assert world.keys["demo/admin"] not in answer.text


@dialects
def test_a_refresh_token_stands_for_its_key_in_every_dialect_for_an_hour(world, ask):
    token = refresh_token(world)
    for _ in range(4):
        assert grants(world, ask(world, token)) == ({APP: {PULL}}, {})
        verified = world.services.verification.verify(ask(world, token).json()["token"])
        assert verified.principal == "/org/demo/serviceaccount/admin"
        assert (verified.expires - world.clock()).total_seconds() == 300
        world.clock.advance(timedelta(minutes=14, seconds=59))
    world.clock.advance(timedelta(seconds=4))
    assert "expired" in require_refused(ask(world, token))


@dialects
def test_a_refresh_token_ends_with_its_key(world, ask):
    token = refresh_token(world)
    account = world.account("demo/admin")
    second = exchange(world, world.accounts.add_key(account, "other").secret).json()["access_token"]
    require_success(ask(world, token), 200)
    world.accounts.revoke_key(account, "laptop")
    assert "revoked" in require_refused(ask(world, token))
    # The name of a key is not what the token is about.
    world.accounts.add_key(account, "laptop")
    require_refused(ask(world, token))
    require_success(ask(world, second), 200)


@dialects
def test_a_refresh_token_ends_when_its_key_expires_and_with_the_account(world, ask):
    account = world.account("demo/admin")
    short = world.accounts.add_key(account, "short", life=timedelta(minutes=10)).secret
    token, other = exchange(world, short).json()["access_token"], refresh_token(world)
    world.clock.advance(timedelta(minutes=10))
    require_refused(ask(world, token))
    require_success(ask(world, other), 200)
    world.accounts.remove_organisation("demo")
    require_refused(ask(world, other))


def test_what_a_revoked_keys_refresh_token_was_good_for_lives_five_minutes_more_and_no_longer(world):
    granted = by_refresh(world, refresh_token(world)).json()["token"]
    world.accounts.revoke_key(world.account("demo/admin"), "laptop")
    headers = {"Authorization": f"Bearer {granted}"}
    world.clock.advance(timedelta(minutes=4, seconds=59))
    assert world.registry.get("/v2/", headers=headers).status_code == 200
    world.clock.advance(timedelta(seconds=2))
    require_error(world.registry.get("/v2/", headers=headers), 401, "UNAUTHORIZED")


def test_a_refresh_token_is_nothing_to_the_registry_and_a_bearer_token_is_none(world):
    token, bearer = refresh_token(world), get(world).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    require_error(world.registry.get("/v2/", headers=headers), 401, "UNAUTHORIZED")
    for ask in (by_basic, by_password, by_refresh):
        require_refused(ask(world, bearer))


def test_nothing_but_a_key_becomes_a_refresh_token(world):
    key = world.keys["demo/admin"]
    for subject in (refresh_token(world), get(world).json()["token"], *bad_keys(key)):
        require_refused(exchange(world, subject))


def test_the_user_name_beside_a_refresh_token_is_the_literal_or_the_name_of_the_key(world):
    token = refresh_token(world)
    require_success(by_basic(world, token, user="laptop"), 200)
    assert "<token>" in require_refused(by_basic(world, token, user="admin"))


@pytest.mark.parametrize(
    "changes", [{"subject_token_type": JWT}, {"subject_token_type": None}, {"actor_token": "x"}]
)
def test_an_exchange_for_a_refresh_token_names_the_types_that_there_are(world, changes):
    message = require_error(exchange(world, world.keys["demo/admin"], **changes), 400, "UNSUPPORTED")[
        "message"
    ]
    assert ACCESS_TOKEN in message


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "moorage-registry"},
        {"aud": None},
        {"iss": "other"},
        {"v": 2},
        {"key": None},
        {"key": 7},
        {"key": "a" * 16},
        {"sub": "/org/other/serviceaccount/admin"},
        {"exp": "soon"},
        {"exp": 1e300},
        {"iat": 4102444800, "exp": 4102448400},
        {"exp": 4102444800},
    ],
)
def test_a_token_that_this_registry_would_not_make_is_no_refresh_token(world, changes):
    claims = claims_of(refresh_token(world))
    changed = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    require_success(by_refresh(world, signed(world, claims)), 200)
    require_refused(by_refresh(world, signed(world, changed)))


def test_a_forged_or_torn_refresh_token_gets_nothing(world):
    token = refresh_token(world)
    head, body, signature = token.split(".")
    stranger, _ = new_signing_key("first")
    forged = jwt.encode(claims_of(token), stranger.private_pem, algorithm="ES256", headers={"kid": "first"})
    unsigned = jwt.encode(claims_of(token), "", algorithm="none", headers={"kid": "first"})
    for bad in (
        forged,
        unsigned,
        signed(world, claims_of(token), kid="other"),
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}..{signature}",
        "..",
        "a.b.c",
        "\u00e9.\u00e9.\U0001f600",
        "x." * 2 + "x" * 9000,
    ):
        for ask in (by_basic, by_password, by_refresh):
            require_refused(ask(world, bad))


def test_a_refresh_token_outlives_the_rotation_of_the_key_that_signed_it(world):
    token = refresh_token(world)
    _, public = new_signing_key("second")
    world.table.publish(public)
    world.clock.advance(timedelta(minutes=10))
    require_success(by_refresh(world, token), 200)
    first = next(each for each in world.table.verification_keys() if each.kid == "first")
    world.table.publish(replace(first, not_after=world.clock()))
    world.clock.advance(timedelta(minutes=6))
    require_refused(by_refresh(world, token))


@pytest.mark.parametrize("call", ["verification_keys", "find_key"])
def test_while_what_proves_a_refresh_token_is_down_the_answer_is_503_and_not_that_it_is_wrong(world, call):
    token = refresh_token(world)
    with world.faults.failing(named=call):
        assert by_refresh(world, token).status_code == 503
    require_success(by_refresh(world, token), 200)
