"""Bodies that are no good, paths and methods that are not there, faults: one shape of answer for all of them."""

from __future__ import annotations

import json

import pytest

from moorage.domain.errors import Throttled, Unavailable
from moorage.web.management import shell
from tests.protocol.management.test_refusals import ALL_KINDS, IN_ORGANISATIONS, at, body_of
from tests.protocol.management.world import Management, next_of

ADMIN = "demo/admin"
POLICIES = "/org/demo/policy"
LISTS = [
    path
    for method, path in IN_ORGANISATIONS
    if method == "GET" and path.rpartition("/")[2] in (*ALL_KINDS, "-query", "-summary")
]


def send(
    management: Management,
    content: bytes,
    content_type: str | None = "application/json",
    method: str = "POST",
):
    headers = {"Authorization": management.world.keys[ADMIN]}
    if content_type is not None:
        headers["Content-Type"] = content_type
    return management.client.request(method, POLICIES, content=content, headers=headers)


def assert_shape(response, status: int):
    assert response.status_code == status, response.text
    error = response.json()
    assert error.keys() == {"status", "message", "code", "details", "id"}
    assert error["status"] == status
    assert error["message"]
    assert isinstance(error["details"], dict)
    assert response.headers["x-request-id"] == error["id"]
    assert response.headers["cache-control"] == "no-store"
    assert "Traceback" not in response.text
    assert "pydantic" not in response.text


GOOD = b'{"name": "thing", "targetKind": "image", "target": "all", "bindings": []}'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b"{",
        b"{]",
        b"{'a': 1}",
        b"\xff\xfe",
        b'{"name": "\xed\xa0\x80"}',
        b'{"name": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"tags": {"a": NaN}}',
        b'{"tags": {"a": Infinity}}',
        b'{"tags": {"a": 1e999}}',
        b'{"tags": {"a": ' + b"9" * 5000 + b"}}",
        b'{"tags": {"a": 9007199254740993}}',
        b'{"name": "thing", "name": "other"}',
        b'{"tags": {"a": 1, "a": 2}}',
        b"[" * 100_000,
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b"[" * 40 + b"]" * 40,
        b'{"name": ["thing"]}',
        b'{"name": {}, "targetKind": [], "bindings": 7}',
        GOOD + b"x",
        GOOD.replace(b'"thing"', b'"th\\u0000ing"'),
    ],
    ids=lambda content: repr(content[:24]),
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_body_that_is_no_good_is_refused_and_nothing_is_written(management: Management, content, method):
    assert_shape(send(management, content, method=method), 400)
    assert management.call(ADMIN, "GET", f"{POLICIES}/thing").status_code == 404


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data"],
)
def test_body_of_another_type_is_refused(management: Management, content_type):
    assert_shape(send(management, GOOD, content_type), 400)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/merge-patch+json",
    ],
)
def test_body_is_json_whether_it_says_so_or_not(management: Management, content_type):
    assert send(management, GOOD, content_type).status_code == 201


@pytest.mark.parametrize("size", [1_048_577, 10_000_000])
def test_body_over_a_megabyte_is_refused(management: Management, size):
    assert_shape(send(management, b" " * size), 413)


def test_body_of_a_megabyte_is_read(management: Management):
    assert send(management, GOOD + b" " * (1_048_576 - len(GOOD))).status_code == 201


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/org/",
        "/org/demo/",
        "/org/demo/workload",
        "/org/demo/policy/",
        "/org/demo/policy/a/b",
        "/organisation",
        "/discovery/x",
        "//org/demo",
    ],
)
def test_path_that_is_not_there(management: Management, path):
    assert_shape(management.call(ADMIN, "GET", f"https://registry.example{path}"), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/org/demo/policy"),
        ("HEAD", "/org/demo"),
        ("OPTIONS", "/org/demo"),
        ("TRACE", "/about"),
        ("DELETE", "/org"),
        ("BREW", "/org/demo"),
    ],
)
def test_method_that_is_not_taken(management: Management, method, path):
    response = management.call(ADMIN, method, path)
    assert response.status_code == 405
    taken = {
        "/org": "GET, POST",
        "/org/demo": "DELETE, GET, PATCH, PUT",
        "/org/demo/policy": "GET, POST, PUT",
    }
    assert response.headers["allow"] == taken.get(path, "GET")


@pytest.mark.parametrize(
    "org", ["Demo", "dem\u00f6", "d\u0435mo", "%ff", "..", "a", "x" * 65, "demo%2Fpolicy"]
)
def test_odd_names_of_organisations(management: Management, org):
    response = management.call(ADMIN, "GET", f"/org/{org}/group")
    assert response.status_code in (400, 403, 404)
    assert_shape(response, response.status_code)


LONG = "x" * 2045


@pytest.mark.parametrize("org", [LONG, "%00"])
@pytest.mark.parametrize(("method", "path"), IN_ORGANISATIONS)
def test_name_that_no_organisation_can_have_is_refused_on_every_route(
    management: Management, method, path, org
):
    assert_shape(management.call(ADMIN, method, at(path, org=org), body_of(method, path)), 400)
    # Who has no credentials hears of nothing else.
    assert_shape(management.call(None, method, at(path, org=org), body_of(method, path)), 401)


@pytest.mark.parametrize("gvc", [LONG, "%00", "a%00b", "\u00e9" * 800, "Apps"])
@pytest.mark.parametrize(("method", "path"), [each for each in IN_ORGANISATIONS if "{gvc}" in each[1]])
def test_name_that_no_group_of_workloads_can_have_is_refused_on_every_route(
    management: Management, method, path, gvc
):
    assert_shape(management.call(ADMIN, method, at(path, gvc=gvc), body_of(method, path)), 400)


@pytest.mark.parametrize("after", ["x" * 513, LONG, "%00", "\u00e9" * 500, "a%0A"])
@pytest.mark.parametrize("path", LISTS)
def test_place_in_a_list_that_no_list_has_is_refused(management: Management, path, after):
    response = management.call(ADMIN, "GET", f"{at(path)}?after={after}")
    assert_shape(response, 400)


@pytest.mark.parametrize(
    "expires",
    [
        "9999-12-31T23:59:59-23:59",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "0001-01-01T00:00:00Z",
        253402300799,
        -1e17,
    ],
    ids=str,
)
@pytest.mark.parametrize("owner", ["serviceaccount/viewer", "user/ann@example.com"])
def test_key_that_would_end_at_a_moment_beyond_reckoning_is_refused(management: Management, owner, expires):
    management.ok(ADMIN, "POST", "/org/demo/user/-invite", {"emails": ["ann@example.com"]})
    body = {"description": "x", "expires": expires}
    path = f"/org/demo/{owner}"
    before = management.ok(ADMIN, "GET", path)["keys"]
    assert_shape(management.call(ADMIN, "POST", f"{path}/-addKey", body), 400)
    assert management.ok(ADMIN, "GET", path)["keys"] == before


def test_key_may_end_as_late_as_time_goes(management: Management):
    path = "/org/demo/serviceaccount/viewer"
    body = {"description": "x", "expires": "9999-12-30T20:00:00-02:00"}
    key = management.ok(ADMIN, "POST", f"{path}/-addKey", body)
    assert key["expires"] == "9999-12-30T22:00:00.000Z"
    assert management.call(key["key"], "GET", path).status_code == 200


@pytest.mark.parametrize(
    ("failure", "status"), [(Unavailable("the table does not answer"), 503), (Throttled("slower"), 429)]
)
def test_failing_dependency_allows_nothing_and_says_when_to_come_back(
    management: Management, failure, status, monkeypatch
):
    def fail(*_, **__):
        raise failure

    for name in ("find", "find_many", "find_key"):
        with monkeypatch.context() as patch:
            patch.setattr(management.world.table, name, fail)
            response = management.call(ADMIN, "GET", "/org/demo/group/superusers")
        assert_shape(response, status)
        assert response.headers["retry-after"]


def test_fault_of_ours_tells_nothing(management: Management, monkeypatch, caplog):
    def fail(*_, **__):
        raise ZeroDivisionError("a secret in a message")

    monkeypatch.setattr(management.world.table, "page", fail)
    response = management.call(ADMIN, "GET", "/org/demo/group")
    assert_shape(response, 500)
    assert "secret" not in response.text
    assert "a secret in a message" in caplog.text


def test_request_is_logged_with_its_route_and_without_its_credentials(management: Management, caplog):
    caplog.set_level("INFO")
    key = management.ok(ADMIN, "POST", "/org/demo/serviceaccount/viewer/-addKey", {"description": "x"})["key"]
    (line,) = [record for record in caplog.records if record.message == "request"]
    assert line.route == "/org/{org}/serviceaccount/{name}/-addKey"
    assert (line.method, line.status, line.organisation) == ("POST", 201, "demo")
    assert line.principal == "/org/demo/serviceaccount/admin"
    logged = json.dumps([record.__dict__ for record in caplog.records], default=str)
    assert key.rpartition("_")[2] not in logged
    assert management.world.keys[ADMIN].rpartition("_")[2] not in logged
    caplog.clear()
    management.call(ADMIN, "GET", "/org/demo/policy/Absent")
    (line,) = [record for record in caplog.records if record.message == "request"]
    assert (line.status, line.code) == (400, "NameInvalid")
    caplog.clear()
    send(management, b" " * 2_000_000)
    (line,) = [record for record in caplog.records if record.message == "request"]
    assert (line.status, line.code) == (413, "BodyTooLarge")


def test_regular_expression_that_explodes_elsewhere_is_answered_at_once(management: Management):
    for number in range(30):
        management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": f"g{number}", "description": "a" * 200 + "!"})
    query = {"spec": {"terms": [{"property": "description", "op": "=~", "value": "(a*)*(a*)*(a|a)*$"}]}}
    assert management.call(ADMIN, "POST", "/org/demo/gvc/-query", query, timeout=5).status_code == 200


def test_answer_that_no_function_could_give_is_refused(management: Management, monkeypatch):
    monkeypatch.setattr(shell, "MAX_ANSWER_SIZE", 500)
    assert management.call(ADMIN, "GET", "/org/demo").status_code == 200
    assert_shape(management.call(ADMIN, "GET", "/org/demo/policy"), 413)


def test_pages_of_large_policies_are_shorter(management: Management):
    links = [f"//serviceaccount/{'a' * 60}-{number:03}" for number in range(200)]
    bindings = [
        {"permissions": [name], "principalLinks": links} for name in ("pull", "view", "edit", "delete")
    ] * 4
    body = {"targetKind": "image", "target": "all", "bindings": bindings}
    for number in range(12):
        management.ok(ADMIN, "POST", POLICIES, {**body, "name": f"large-{number:02}"})
    seen, path = [], POLICIES
    while path:
        page = management.call(ADMIN, "GET", path)
        assert len(page.content) < 3_000_000
        seen += [item["name"] for item in page.json()["items"] if item["origin"] == "default"]
        path = next_of(page.json())
    assert seen == [f"large-{number:02}" for number in range(12)]
