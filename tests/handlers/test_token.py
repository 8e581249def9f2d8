"""``token`` as Lambda runs it, over the emulators: whole answers, both dialects, and what they cost."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import jwt
import pytest

from moorage import __version__
from tests.handlers.conftest import Answer, Functions, event
from tests.handlers.prepared import HOST, Counted, basic, prepare

FORM = {"content-type": "application/x-www-form-urlencoded"}


@dataclass
class Desk:
    functions: Counted
    keys: dict[str, str]

    def get(self, query: str = "", key: str = "demo", user: str = "<token>") -> Answer:
        return self.functions.http("GET", f"/token?{query}", basic(self.keys[key], user), function="token")

    def post(self, *, encoded: bool = True, **fields: str) -> Answer:
        body = urlencode(fields).encode()
        return self.functions.http("POST", "/token", FORM, body, base64_encoded=encoded, function="token")


@pytest.fixture(scope="module")
def desk(functions: Functions) -> Iterator[Desk]:
    desk = Desk(Counted(functions.settings), prepare(functions))
    try:
        yield desk
    finally:
        desk.functions.stop()


def test_the_whole_answer(desk: Desk) -> None:
    desk.get("scope=repository:demo/app:pull")
    raw = desk.functions.raw
    assert set(raw) == {"statusCode", "headers", "body", "isBase64Encoded"}
    assert (raw["statusCode"], raw["isBase64Encoded"]) == (200, False)
    assert raw["headers"] == {
        "content-type": "application/json",
        "content-length": str(len(raw["body"])),
        "cache-control": "no-store",
        "moorage-version": __version__,
    }
    answer = json.loads(raw["body"])
    assert set(answer) == {"token", "access_token", "expires_in", "issued_at"}
    claims = jwt.decode(answer["token"], options={"verify_signature": False})
    assert claims["granted"] == {"demo/app": ["pull"]}
    assert claims["sub"] == "/org/demo/serviceaccount/robot"
    assert jwt.get_unverified_header(answer["token"])["alg"] == "ES256"


def test_the_whole_answer_without_credentials(desk: Desk) -> None:
    desk.functions.http("GET", "/token", function="token")
    raw = desk.functions.raw
    assert raw["statusCode"] == 401
    assert raw["headers"]["www-authenticate"] == f'Basic realm="{HOST}"'
    assert json.loads(raw["body"])["errors"][0]["code"] == "UNAUTHORIZED"
    assert desk.functions.sent == []


@pytest.mark.parametrize("encoded", [True, False], ids=["base64", "text"])
def test_a_form_is_read_however_the_gateway_passes_it(desk: Desk, encoded: bool) -> None:
    fields = {
        "username": "<token>",
        "password": desk.keys["demo"],
        "scope": "repository:demo/app:* repository:other/app:pull",
    }
    answer = desk.post(grant_type="password", encoded=encoded, **fields)
    assert answer.status == 200, answer.body
    claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    assert claims["granted"] == {"demo/app": ["delete", "pull", "push"]}
    assert claims["refused"] == {"other/app": ["pull"]}
    refreshed = desk.post(grant_type="refresh_token", refresh_token=desk.keys["demo"], encoded=encoded)
    assert refreshed.status == 200


def test_the_events_of_both_dialects_work_with_a_real_key(desk: Desk) -> None:
    get = event("http-api-token-get")
    get["headers"] |= basic(desk.keys["demo"])
    assert desk.functions.call("token", get).status == 200
    post = event("http-api-token-post")
    form = base64.b64decode(post["body"]).replace(b"mrg_id_key", desk.keys["demo"].encode())
    post["body"] = base64.b64encode(form).decode()
    post["headers"]["content-length"] = str(len(form))
    assert desk.functions.call("token", post).status == 200
    assert desk.functions.call("token", event("http-api-token-head")).status == 405


def test_a_token_costs_two_reads_once_the_signing_key_is_held(desk: Desk) -> None:
    # The first use of a day is noted.
    assert desk.get("scope=repository:demo/app:pull").status == 200
    two = ["dynamodb.GetItem", "dynamodb.BatchGetItem"]
    for query, sent in (
        ("", ["dynamodb.GetItem"]),
        ("scope=repository:demo/app:pull", two),
        ("scope=repository:demo/app:*&scope=repository:demo/b:*", two),
    ):
        assert desk.get(query).status == 200
        assert desk.functions.sent == sent


def test_the_first_use_of_a_key_in_a_day_costs_a_write(desk: Desk) -> None:
    first = desk.get("scope=repository:other/app:pull", "fresh")
    assert first.status == 200
    assert desk.functions.sent.count("dynamodb.UpdateItem") == 1
    assert desk.get("scope=repository:other/app:pull", "fresh").status == 200
    assert "dynamodb.UpdateItem" not in desk.functions.sent


def test_what_is_no_key_asks_nothing_of_aws(desk: Desk) -> None:
    for password in ("", "x", "mrg_", desk.keys["demo"] + "x", "\0", "\U0001f600", "x" * 5000):
        answer = desk.functions.http("GET", "/token", basic(password), function="token")
        assert answer.status == 401
        assert desk.functions.sent == []
    wrong = desk.keys["demo"][:-1] + ("a" if desk.keys["demo"][-1] != "a" else "b")
    assert desk.functions.http("GET", "/token", basic(wrong), function="token").status == 401
    assert desk.functions.sent == ["dynamodb.GetItem"]


def test_each_organisation_gets_only_its_own(desk: Desk) -> None:
    for org, other in (("demo", "other"), ("other", "demo")):
        answer = desk.get(f"scope=repository:{other}/app:*&scope=repository:{org}/app:pull", org)
        claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
        assert claims["granted"] == {f"{org}/app": ["pull"]}
        assert claims["refused"] == {f"{other}/app": ["delete", "pull", "push"]}


def test_without_the_signing_key_there_are_no_tokens(functions: Functions, desk: Desk) -> None:
    apart = Counted(functions.settings | {"SIGNING_KEY_PARAMETER": "/moorage/none/signing-key"})
    try:
        answer = apart.http("GET", "/token", basic(desk.keys["demo"]), function="token")
    finally:
        apart.stop()
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "token" not in answer.json()
