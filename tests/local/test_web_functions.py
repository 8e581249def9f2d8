"""Web functions: how they are read, what their endpoint does to requests, and that they are kept running."""

import asyncio
import copy
import json
import os
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from local import distribution_reader, limits, ports, service, web_functions
from local.cloudfront import CloudFront
from local.distribution import Behavior, Distribution, Forwarding, Origin
from local.edge_cache import EdgeCache
from local.identities import Place
from local.intrinsics import TemplateError
from local.processes import StartError
from local.s3_origin import S3Origin
from local.state import StateFolder
from local.template import Stack
from local.web_functions import Declaration, WebFunction
from tests.local import wire
from tests.local.origin import FakeOrigin
from tests.running_cloud import ROOT

ALL = frozenset(["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"])
PLACE = Place("stack", "eu-west-1", "111122223333")
NAMED = {"FunctionName": "ingest"}
RESOURCES: dict[str, Any] = {
    "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"ProtocolType": "HTTP"}},
    "Function": {"Type": "AWS::Lambda::WebFunction", "Properties": NAMED},
    "Revision": {
        "Type": "AWS::Lambda::WebFunctionRevision",
        "Properties": {
            **NAMED,
            "BuildConfig": {
                "CodeConfig": {"S3Object": {"Bucket": "b", "Key": "functions/x", "VersionId": "1"}},
                "RuntimeConfig": {"Runtime": "nodejs24.x"},
            },
            "ServiceConfig": {
                "ExecutionRoleArn": "arn",
                "EnvironmentVariables": {
                    "ONE": 1,
                    "API": {"Fn::Sub": "${Api.ApiEndpoint}/v2/"},
                    "AWS_REGION": "mine",
                },
            },
        },
    },
    "Endpoint": {
        "Type": "AWS::Lambda::WebFunctionEndpoint",
        "Properties": {
            **NAMED,
            "EndpointName": "e",
            "EndpointType": "HomeRegion",
            "AuthType": "ApplicationManaged",
            "RevisionWeights": [{"RevisionId": {"Fn::GetAtt": "Revision.RevisionId"}, "Weight": 100}],
        },
    },
}


def declared(path="", value=None):
    resources = copy.deepcopy(RESOURCES)
    if path:
        *parents, last = path.split(".")
        place: Any = resources
        for name in parents:
            place = place[name]
        place[last] = value
    return web_functions.declared(
        Stack(PLACE, {"Resources": resources}, {}), Path("/root"), {"AWS_REGION": "r", "TOKEN": "t"}, 8123
    )


def test_web_function_is_read_with_the_api_where_it_listens_here():
    assert declared() == {
        "Endpoint": Declaration(
            logical_id="Function",
            entry=Path("/root/functions/x/index.js"),
            environment={
                "AWS_REGION": "mine",
                "TOKEN": "t",
                "ONE": "1",
                "API": "http://127.0.0.1:8123/v2/",
            },
            # As the platform has them, where the template says nothing.
            seconds=30.0,
            concurrency=64,
        )
    }


SERVICE, BUILD = "Revision.Properties.ServiceConfig", "Revision.Properties.BuildConfig"


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (f"{BUILD}.RuntimeConfig.Runtime", "python3.13", "not for nodejs24.x"),
        (f"{SERVICE}.EgressNetworkConnectorArn", "arn", "EgressNetworkConnectorArn"),
        ("Revision.Properties.KmsKeyArn", "arn", "KmsKeyArn"),
        ("Revision.Properties.FunctionName", "other", "revision of another function"),
        ("Function.Properties.FunctionName", "other", "one function and one revision"),
        ("Endpoint.Properties.AuthType", "IamAuth", "leaves access to the application"),
        ("Endpoint.Properties.EndpointType", "MultiRegion", "of a single Region"),
        ("Endpoint.Properties.ThrottleConfig", {}, "ThrottleConfig"),
        ("Endpoint.Properties.RevisionWeights", [], "one function and one revision"),
        (
            "Endpoint.Properties.RevisionWeights",
            [{"RevisionId": {"Fn::GetAtt": "Revision.RevisionId"}, "Weight": 50}],
            "one function and one revision",
        ),
    ],
)
def test_what_is_not_understood_is_an_error(path, value, complaint):
    with pytest.raises(TemplateError, match=complaint):
        declared(path, value)


def test_ingest_of_the_template_is_behind_the_front_door():
    stack = service.declared(ROOT, "", ingest="on")
    ((endpoint, ingest),) = web_functions.declared(stack, ROOT, {}, 8123).items()
    assert ingest.logical_id == "IngestFunction"
    assert ingest.entry.is_file()
    assert (ingest.seconds, ingest.concurrency) == (900, 8)
    assert ingest.environment["REGISTRY_URL"] == "http://127.0.0.1:8123"
    distribution = distribution_reader.declared(stack)
    assert distribution is not None
    stream = distribution.behavior("/v2/a/b/blobs/uploads/_stream/a1/1/2/3/4")
    assert stream.origin.endpoint == endpoint
    assert stream.origin.domain.endswith(".lambda-web.us-east-1.on.aws")
    assert stream.origin.headers == (("x-moorage-front-door", ingest.environment["ORIGIN_SECRET"]),)
    assert stream.origin.read_seconds == 120
    assert stream.methods == ALL
    default = distribution.behavior("/v2/")
    assert (stream.functions, stream.forwarding) == (default.functions, default.forwarding)
    assert default.origin.endpoint is None
    assert stream.origin.headers == default.origin.headers
    for path in ("/v2/a/b/blobs/uploads/_received/a1/1", "/v2/a/b/blobs/uploads/"):
        assert distribution.behavior(path) == default
    assert distribution.behavior("/v2/a/b/blobs/uploads/_direct/x").origin.bucket is not None


def test_without_ingest_nothing_of_it_is_there():
    stack = service.declared(ROOT, "")
    assert web_functions.declared(stack, ROOT, {}, 1) == {}
    found = distribution_reader.declared(stack)
    assert found is not None
    assert found.behavior("/v2/a/b/blobs/uploads/_stream/a1/1/2/3/4").pattern == "*"


# ------------------------------------------------------------------ what the endpoint does
@dataclass
class Endpoint:
    """An environment of which a test decides how it answers, and how long it may take."""

    port: int
    seconds: float = 60.0
    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))


@dataclass
class Toy:
    host: str
    port: int
    origin: FakeOrigin

    def __call__(self, line, *headers, body=b""):
        head = "\r\n".join([f"{line} HTTP/1.1", "Host: viewer.example", *headers])
        return wire.exchange(self, f"{head}\r\nContent-Length: {len(body)}", body)


@pytest.fixture(scope="module")
def toy(background, tmp_path_factory):
    origin = FakeOrigin()
    port = background.run(origin.start())

    async def made():
        return {
            "patient": Endpoint(port),
            "hasty": Endpoint(port, seconds=1.0),
            "alone": Endpoint(port, free=asyncio.Semaphore(1)),
        }

    endpoints = cast("dict[str, WebFunction]", background.run(made()))
    everything = Forwarding(headers=None, query=True, cookies=True)
    behaviors = [
        Behavior(f"/{name}/*", Origin("e.on.aws", "", None, (), 30.0, name), ALL, everything, {})
        for name in endpoints
    ]
    api = Behavior("*", Origin("api.example", "", None, (), 30.0), ALL, everything, {})
    with ports.listen(0) as listener:
        server = CloudFront(
            *(listener, Distribution([*behaviors, api], {}), {}),
            api_port=port,
            storage=S3Origin("127.0.0.1:1", "", "", ""),
            cache=EdgeCache(tmp_path_factory.mktemp("cache")),
            web_functions=endpoints,
        )
        background.run(server.start())
        yield Toy("127.0.0.1", ports.number(listener), origin)
        background.run(server.close())
    background.run(origin.stop())


def test_server_does_not_see_what_the_endpoint_keeps(toy):
    kept = ["X-HTTP-Method-Override: DELETE", "X-Real-IP: 1.2.3.4", "Proxy-Trick: x", "Lambda-Web-Id: x"]
    kept += ["TE: trailers", "Trailer: x", "Upgrade: h2c", "Keep-Alive: 5"]
    passing = ["Authorization: Bearer t", "X-Other: o", "X-Forwarded-Proto: https"]
    answer = toy("PATCH /patient/x?q=1", *kept, *passing, body=b"body")
    told = json.loads(answer.body)
    headers = dict(map(tuple, told["headers"]))
    assert (told["method"], told["target"], told["body"]) == ("PATCH", "/patient/x?q=1", 4)
    assert not headers.keys() & {name.partition(":")[0].lower() for name in kept}
    assert headers["host"] == "e.on.aws"
    assert (headers["authorization"], headers["x-other"]) == ("Bearer t", "o")


def test_server_that_answers_early_is_heard_after_the_body(toy):
    """Unlike any other origin: see the test of CloudFront itself."""
    size = 3_000_000
    with wire.connect(toy.host, toy.port) as connection:
        head = f"PUT /patient/early HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode() + bytes(size - 1))
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(wire.SECONDS)
        connection.sendall(b"x")
        answer = wire.answer(connection)
    assert (answer.status, answer.body) == (400, b"early")


def test_server_that_ends_the_connection_is_heard_at_once(toy):
    with wire.connect(toy.host, toy.port) as connection:
        connection.sendall(b"PUT /patient/leaving HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx")
        answer = wire.answer(connection)
    assert (answer.status, answer.body) == (400, b"early")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["slow", "x", "early"])
def test_request_that_takes_too_long_is_a_504(toy, path):
    started = time.monotonic()
    with wire.connect(toy.host, toy.port) as connection:
        size = 0 if path == "slow" else 100
        connection.sendall(
            f"PUT /hasty/{path} HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        answer = wire.answer(connection)
    assert (answer.status, answer.body) == (504, limits.CDN_ORIGIN_TIMEOUT.body)
    assert 1 <= time.monotonic() - started < 5


def test_server_that_dies_is_a_502(toy):
    for size in (0, 5_000_000):
        answer = toy("PUT /patient/die", body=bytes(size))
        assert (answer.status, answer.body) == (502, limits.CDN_ORIGIN_UNREACHABLE.body)


def test_environment_gets_no_more_requests_at_once_than_it_takes(toy):
    with wire.connect(toy.host, toy.port) as first, wire.connect(toy.host, toy.port) as second:
        first.sendall(b"PUT /alone/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab")
        time.sleep(0.2)
        second.sendall(b"PUT /alone/x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        second.settimeout(0.5)
        with pytest.raises(TimeoutError):
            second.recv(1)
        second.settimeout(wire.SECONDS)
        first.sendall(b"c")
        assert wire.answer(first).status == wire.answer(second).status == 200


def test_client_that_goes_away_makes_room_for_another(toy):
    for _ in range(3):
        with wire.connect(toy.host, toy.port) as gone:
            gone.sendall(b"PUT /alone/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab")
    assert toy("PUT /alone/x").status == 200


# ------------------------------------------------------------------ the process
SERVER = """
import { createServer } from 'node:http';
const [host, port] = process.env.AWS_LAMBDA_HTTP_ENDPOINT.split(':');
createServer((request, response) => {
  if (request.url === '/die') process.exit(3);
  response.end(JSON.stringify({ pid: process.pid, environment: process.env }));
}).listen(port, host);
console.log('started');
"""


@pytest.fixture
def declaration(tmp_path):
    (tmp_path / "node_modules").mkdir()
    entry = tmp_path / "index.mjs"
    entry.write_text(SERVER)
    return Declaration("Toy", entry, {"OWN": "o"}, 30.0, 8)


def ask(function, path="/"):
    class At:
        host, port = "127.0.0.1", function.port

    return json.loads(wire.exchange(At, f"GET {path} HTTP/1.1\r\nHost: h").body)


@pytest.fixture
def started(background, declaration, tmp_path):
    cleanup = AsyncExitStack()
    with StateFolder(tmp_path / "state") as state:
        functions = background.run(
            cleanup.enter_async_context(web_functions.running({"E": declaration}, state))
        )
        yield functions["E"], tmp_path / "state"
        background.run(cleanup.aclose())


def test_server_gets_its_own_variables_and_a_log(started):
    function, state = started
    told = ask(function)
    assert told["environment"] == {
        "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x",
        "AWS_LAMBDA_HTTP_ENDPOINT": f"127.0.0.1:{function.port}",
        "LANG": "en_US.UTF-8",
        "OWN": "o",
        "PATH": os.defpath,
        "TZ": ":UTC",
    }
    assert (state / "logs" / "Toy.log").read_text("utf-8") == "started\n"
    assert json.loads((state / "web-functions" / "Toy.pid").read_text("utf-8"))["pid"] == told["pid"]


@pytest.mark.parametrize("how", ["killed", "by itself"])
def test_server_that_ends_is_started_again(started, how):
    function, state = started
    first = ask(function)["pid"]
    if how == "killed":
        os.kill(first, signal.SIGKILL)
    else:
        with pytest.raises((OSError, ValueError, IndexError)):
            ask(function, "/die")
    deadline = time.monotonic() + 20
    second = first
    while second == first and time.monotonic() < deadline:
        time.sleep(0.1)
        try:
            second = ask(function)["pid"]
        except OSError:
            continue
    assert second != first
    assert json.loads((state / "web-functions" / "Toy.pid").read_text("utf-8"))["pid"] == second


def test_server_is_ended_with_the_cloud(background, declaration, tmp_path):
    async def once(state):
        async with web_functions.running({"E": declaration}, state) as functions:
            return functions["E"].port, json.loads((state.path / "web-functions" / "Toy.pid").read_text())[
                "pid"
            ]

    with StateFolder(tmp_path / "state") as state:
        port, pid = background.run(once(state))
        assert list((tmp_path / "state" / "web-functions").iterdir()) == []
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(OSError):
        wire.connect("127.0.0.1", port)


def test_server_that_does_not_start_is_an_error_that_names_its_log(background, declaration, tmp_path):
    declaration.entry.write_text("throw new Error('no')")

    async def once(state):
        async with web_functions.running({"E": declaration}, state):
            pass

    with StateFolder(tmp_path / "state") as state:
        with pytest.raises(StartError, match=r"Toy ended with status 1.*Toy\.log"):
            background.run(once(state))
        assert list((tmp_path / "state" / "web-functions").iterdir()) == []


def test_packages_that_are_missing_are_an_error_that_says_how_to_do_without(
    background, declaration, tmp_path
):
    (tmp_path / "node_modules").rmdir()

    async def once(state):
        async with web_functions.running({"E": declaration}, state):
            pass

    with StateFolder(tmp_path / "state") as state, pytest.raises(StartError, match="INGEST=off"):
        background.run(once(state))
