"""The OpenAPI document describes the routes, and requests made from it meet no fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from jsonschema import Draft202012Validator

from moorage.web.management.routing import routes_of
from tests.protocol.management.test_refusals import NAMES, SIGNED, arrange_things, at, body_of
from tests.protocol.management.world import BOOTSTRAP, Management, management_in_memory

with management_in_memory() as _any:
    DOCUMENT = _any.client.get("/discovery/openapi.json").json()
    PATHS = {(method.lower(), route.path) for route in routes_of(_any.api) for method in route.methods or ()}

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
# Requests that are made up find resources only when the names in their paths are those of some.
PARTS = {**NAMES, "name": "thing"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Callable[[], Management]]:
    """A world for many requests: another one as soon as one of them has ended the organisation in it."""
    with ExitStack() as stack:
        worlds: list[Management] = []

        def current() -> Management:
            if not worlds or worlds[-1].call("demo/admin", "GET", "/org/demo").status_code != 200:
                worlds.append(stack.enter_context(management_in_memory()))
                arrange_things(worlds[-1])
            return worlds[-1]

        yield current


def test_document_has_every_route_and_no_other():
    described = {(method, path) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert described == {(method, path.replace(":path", "")) for method, path in PATHS}


def test_document_is_published_and_says_how_to_authenticate():
    assert DOCUMENT["openapi"].startswith("3.1")
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert schemes.keys() == {"bearer", "key", "bootstrap"}
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert operation["security"] or path in ("/discovery", "/about", "/discovery/openapi.json"), (
                method,
                path,
            )
            assert "422" not in operation["responses"]
            assert operation["responses"]["403"]["content"]["application/json"]["schema"] == {
                "$ref": "#/components/schemas/Failure"
            }


def test_every_reference_in_the_document_leads_somewhere():
    references = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(DOCUMENT)))
    assert references
    assert references <= DOCUMENT["components"]["schemas"].keys()


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@SCHEMA.parametrize()
def test_request_that_is_made_up_meets_no_fault(case, shared: Callable[[], Management]):
    management = shared()
    case.path_parameters = {
        name: PARTS.get(name, value) if len(str(value)) % 2 else value
        for name, value in (case.path_parameters or {}).items()
    }
    arguments = case.as_transport_kwargs()
    # Each request with the credentials that open its route.
    founding = (case.method.upper(), case.path) == ("POST", "/org")
    credentials = BOOTSTRAP if founding else management.world.keys["demo/admin"]
    headers = {"Authorization": credentials, "Content-Type": "application/json"}
    content = arguments.get("data")
    response = management.client.request(
        case.method,
        case.formatted_path,
        params=arguments.get("params"),
        headers=headers,
        content=json.dumps(arguments["json"]) if "json" in arguments else content,
    )
    assert response.status_code < 500, response.text
    assert response.status_code != 401, response.text
    if response.status_code >= 400:
        assert response.json().keys() == {"status", "message", "code", "details", "id"}


@pytest.mark.parametrize(
    ("method", "path"), [each for each in SIGNED if "DELETE" not in each and "/-explain" not in each[1]]
)
def test_answer_has_the_shape_that_the_document_says(management: Management, method, path):
    arrange_things(management)
    body = body_of(method, path)
    if method == "PUT" and path == "/org/{org}/image":
        body = {"name": "thing:latest"}
    if method == "POST" and body is not None and body.get("name") == "thing":
        body["name"] = "thing-two"
    response = management.call("demo/admin", method, at(path), body)
    if (method, path) == ("POST", "/org/{org}/image"):
        assert response.status_code == 403
        return
    assert response.status_code < 300, response.text
    operation = DOCUMENT["paths"][path.replace(":path", "")][method.lower()]
    described = operation["responses"][str(int(response.status_code))]["content"]["application/json"][
        "schema"
    ]
    schema = {**described, "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(response.json())
