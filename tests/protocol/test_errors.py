"""The table of errors, and the shape in which every one of them reaches a client."""

import json
from http import HTTPStatus
from typing import Any

import pytest

from moorage import __version__
from moorage.domain import errors
from moorage.domain.errors import BlobRangeNotSatisfiable, ChunkOutOfOrder, RegistryError, Unavailable
from moorage.web.errors import ERRORS, error_response
from tests.protocol.sample import CODES, NAME, require_error


def tree(error):
    return [error, *(each for below in error.__subclasses__() for each in tree(below))]


ALL = [
    error
    for error in tree(RegistryError)
    if error is not RegistryError and error.__module__ == errors.__name__
]


def make(kind):
    more: dict[type[RegistryError], dict[str, int]] = {
        BlobRangeNotSatisfiable: {"size": 5},
        ChunkOutOfOrder: {"offset": 7},
    }
    return kind("what is wrong", **more.get(kind, {}))


def test_every_error_of_the_domain_has_its_status_and_code():
    assert set(ERRORS) == set(ALL)
    assert len(ALL) > 30


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_an_error_becomes_an_answer_of_the_specification(kind):
    response = error_response(make(kind))
    status, code = ERRORS[kind]
    assert response.status_code == status
    assert 400 <= status < 600
    assert code in CODES
    entry: dict[str, Any] = {"code": code, "message": "what is wrong"}
    if kind is ChunkOutOfOrder:
        entry["detail"] = {"received": 7}
    assert json.loads(bytes(response.body)) == {"errors": [entry]}
    assert response.headers["Content-Type"] == "application/json"
    assert ("Retry-After" in response.headers) == issubclass(kind, Unavailable)


# https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
@pytest.mark.parametrize(
    ("code", "statuses"),
    [
        ("BLOB_UNKNOWN", {404}),
        ("BLOB_UPLOAD_INVALID", {400, 416}),
        ("BLOB_UPLOAD_UNKNOWN", {404}),
        ("DENIED", {403}),
        ("DIGEST_INVALID", {400}),
        ("MANIFEST_BLOB_UNKNOWN", {400}),
        ("MANIFEST_INVALID", {400, 413, 414}),
        ("MANIFEST_UNKNOWN", {404}),
        ("NAME_INVALID", {400}),
        ("NAME_UNKNOWN", {404}),
        ("SIZE_INVALID", {400, 416}),
        ("TOOMANYREQUESTS", {429, 503}),
        ("UNAUTHORIZED", {401}),
        ("UNSUPPORTED", {400, 404, 405, 409, 413}),
    ],
)
def test_a_code_comes_with_these_statuses_and_no_others(code, statuses):
    assert {int(status) for status, used in ERRORS.values() if used == code} == statuses


def test_of_dependencies_the_throttled_is_429_and_the_failed_503():
    assert ERRORS[errors.Throttled][0] == HTTPStatus.TOO_MANY_REQUESTS
    for kind in (errors.Unavailable, errors.WriteConflict):
        assert ERRORS[kind][0] == HTTPStatus.SERVICE_UNAVAILABLE


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_fault_of_ours_is_500_in_the_same_shape_and_says_nothing_of_itself(world, monkeypatch, method):
    def fault(*_, **__):
        raise ZeroDivisionError("the inner secret")

    monkeypatch.setattr(world.table, "find_tag", fault)
    response = world.registry.request(
        method, f"/v2/{NAME}/manifests/v1", headers=world.all_of("demo/admin", NAME)
    )
    entry = require_error(response, 500, "UNSUPPORTED")
    assert "secret" not in response.text
    assert "ZeroDivision" not in response.text
    if entry:
        assert "its id is" in entry["message"]


def test_every_answer_names_the_version(world):
    headers = world.all_of("demo/admin", NAME)
    for method, path in (("GET", "/v2/"), ("GET", "/"), ("PUT", "/v2/"), ("GET", f"/v2/{NAME}/tags/list")):
        for sent in (headers, dict[str, str]()):
            response = world.registry.request(method, path, headers=sent)
            assert response.headers.get_list("Moorage-Version") == [__version__]
    assert world.tokens.get("/token").headers["Moorage-Version"] == __version__
    assert world.tokens.get("/x").headers["Moorage-Version"] == __version__
