"""What each function has: logs, limits, triggers, layers, and the settings it reads."""

import importlib
import re
from typing import Any

import pytest

from local import service
from moorage.adapters.aws import Patience
from moorage.adapters.memory import MemoryTable
from moorage.bootstrap import token
from moorage.domain.jobs import LEASE
from moorage.web.queue import KEPT_AGAIN_SECONDS, KEPT_SECONDS, MAX_DEFERRALS, pause
from tests.template.document import ROOT, Template, load, text

# Powertools reads it, not our code.
READ_ELSEWHERE = {"POWERTOOLS_SERVICE_NAME"}
LISTS = {"STORES"}

TRIGGERS = {
    "AWS::ApiGatewayV2::Integration": "/IntegrationUri",
    "AWS::Events::Rule": "/Targets/Arn",
    "AWS::Lambda::EventSourceMapping": "/FunctionName",
    "AWS::S3::Bucket": "/NotificationConfiguration/LambdaConfigurations/Function",
}


class Recorder(dict[str, str]):
    """An environment that notes what is looked up in it."""

    def __init__(self, content: dict[str, str]) -> None:
        super().__init__(content)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return super().__contains__(name)


@pytest.fixture
def template() -> Template:
    return load()


def folder(function: dict[str, Any]) -> str:
    uri: str = function["CodeUri"]
    return uri.removeprefix("functions/").removesuffix("/")


def unreachable(template: Template) -> set[str]:
    """Functions that nothing calls."""
    routed = {
        target.removeprefix("integrations/${").removesuffix("}")
        for route in template.of_type("AWS::ApiGatewayV2::Route").values()
        for target in [text(route["Properties"]["Target"])]
    }
    called = set()
    for name in template.functions():
        for resource, path in template.references_to(name):
            kind = template.resources[resource]["Type"]
            if kind.startswith("Custom::"):
                called |= {name} if path == "/ServiceToken" else set()
            elif TRIGGERS.get(kind) == path:
                called |= {name} if "Integration" not in kind or resource in routed else set()
    return template.functions().keys() - called


def test_each_function_is_called_by_something(template: Template) -> None:
    assert unreachable(template) == set()


@pytest.mark.parametrize(
    ("removed", "function"), [("TokenRoute", "TokenFunction"), ("TokenIntegration", "TokenFunction")]
)
def test_function_that_nothing_calls_is_found(template: Template, removed: str, function: str) -> None:
    del template.resources[removed]
    assert unreachable(template) == {function}


def test_function_of_schedule_and_custom_resource_is_found_without_both(template: Template) -> None:
    del template.resources["Secrets"]
    assert unreachable(template) == set()
    del template.resources["RotationSchedule"]
    assert unreachable(template) == {"SecretsFunction"}


def test_folders_and_functions_are_the_same(template: Template) -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
    assert {folder(function) for function in template.functions().values()} == folders
    for name, function in template.functions().items():
        module, attribute = function["Handler"].split(".")
        source = (ROOT / "functions" / folder(function) / f"{module}.py").read_text("utf-8")
        assert re.search(rf"^def {attribute}\(event\b", source, re.MULTILINE), name
        assert len(source.splitlines()) <= 30, name


def test_each_caller_is_permitted(template: Template) -> None:
    permitted = {
        (text(p["Properties"]["FunctionName"]), p["Properties"]["Principal"])
        for p in template.of_type("AWS::Lambda::Permission").values()
    }
    expected = set()
    for name in template.functions():
        for resource, _ in template.references_to(name):
            kind = template.resources[resource]["Type"]
            if kind == "AWS::ApiGatewayV2::Integration":
                expected.add((f"${{{name}}}", "apigateway.amazonaws.com"))
            if kind == "AWS::Events::Rule":
                expected.add((f"${{{name}}}", "events.amazonaws.com"))
    assert permitted == expected
    assert all("SourceArn" in p["Properties"] for p in template.of_type("AWS::Lambda::Permission").values())


def test_each_function_has_a_time_limit_and_memory(template: Template) -> None:
    # What hashes 20 GB needs the longest that there is, and who sweeps some minutes.
    longest = {"UploadFinalizerFunction": 900, "CopyWorkerFunction": 900, "SweeperFunction": 300}
    for name, function in template.functions().items():
        assert 1 <= function["Timeout"] <= longest.get(name, 60), name
        assert function["MemorySize"] >= 256, name


def test_messages_are_unseen_for_six_times_as_long_as_the_function_has(template: Template) -> None:
    sources = template.of_type("AWS::Lambda::EventSourceMapping").values()
    assert sources
    for source in (each["Properties"] for each in sources):
        function = template.functions()[source["FunctionName"]["Ref"]]
        queue = template.properties(source["EventSourceArn"]["Fn::GetAtt"][0])
        assert queue["VisibilityTimeout"] == 6 * function["Timeout"]
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        dead = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        assert template.resources[dead]["Type"] == "AWS::SQS::Queue"
        # Long enough for somebody to look, and as long as SQS keeps anything.
        assert template.properties(dead)["MessageRetentionPeriod"] == 14 * 86400
        assert queue["RedrivePolicy"]["maxReceiveCount"] > 1
        # All attempts, with the pauses between them, fit into the time that the queue keeps a message.
        pauses = sum(pause(attempt) for attempt in range(1, queue["RedrivePolicy"]["maxReceiveCount"]))
        assert pauses + 6 * queue["VisibilityTimeout"] < queue["MessageRetentionPeriod"]


def test_no_message_ends_among_those_that_failed_because_it_was_deferred(template: Template) -> None:
    queue = template.properties("CopyQueue")["RedrivePolicy"]
    # As many receptions as that takes, and as many attempts as there would be without.
    assert queue["maxReceiveCount"] >= MAX_DEFERRALS + 3


def test_a_slice_of_a_copy_is_shorter_than_a_minute_and_its_messages_come_back_soon(
    template: Template,
) -> None:
    function = template.functions()[template.function_in("copy_worker")]
    assert 1 <= int(function["Environment"]["Variables"]["SLICE_SECONDS"]) < 60 < function["Timeout"]
    # When it comes back, another worker may have the job: a lease may be younger than the visibility by that.
    assert LEASE.total_seconds() + KEPT_AGAIN_SECONDS <= KEPT_SECONDS
    assert template.properties("CopyQueue")["VisibilityTimeout"] > KEPT_SECONDS


def test_a_copy_alone_may_call_itself(template: Template) -> None:
    recursive = {
        name: each["RecursiveLoop"] for name, each in template.functions().items() if "RecursiveLoop" in each
    }
    assert recursive == {template.function_in("copy_worker"): "Allow"}
    # It is a property of the function when SAM has done its part.
    expanded = service.declared(ROOT, "").of_kind("AWS::Lambda::Function")
    assert {
        function.logical_id: function.properties["RecursiveLoop"]
        for function in expanded
        if "RecursiveLoop" in function.properties
    } == recursive


def test_functions_behind_the_gateway_answer_before_it_gives_up(template: Template) -> None:
    for name, integration in template.of_type("AWS::ApiGatewayV2::Integration").items():
        properties = integration["Properties"]
        function = properties["IntegrationUri"]["Fn::GetAtt"][0]
        limit = properties["TimeoutInMillis"]
        assert limit <= 30_000, name
        assert template.functions()[function]["Timeout"] * 1000 < limit, name


@pytest.mark.usefixtures("event_loop")
def test_token_function_outlasts_its_calls_and_answers_for_them(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = []

    def connect(_name: str, given: Patience) -> MemoryTable:
        patience.append(given)
        return MemoryTable()

    for name in ("connect_table", "connect_signing_key"):
        monkeypatch.setattr(token, name, connect)
    function = template.functions()[template.function_in("token")]
    token.create(dict.fromkeys(function["Environment"]["Variables"], "INFO"))
    table, signing_key = patience
    # The key and its groups from the table, then the signing key.
    slowest = 2 * table.longest_seconds + signing_key.longest_seconds
    assert slowest < function["Timeout"]


def test_each_function_logs_to_a_group_of_its_own_that_forgets(template: Template) -> None:
    groups = []
    for name, function in template.functions().items():
        group = function["LoggingConfig"]["LogGroup"]["Ref"]
        writing = [s for s in template.rights_of(name) if any(a.startswith("logs:") for a in s.actions)]
        assert [s.targets for s in writing] == [[f"${{{group}.Arn}}"]], name
        assert writing[0].actions == ["logs:CreateLogStream", "logs:PutLogEvents"], name
        groups.append(group)
    assert len(groups) == len(set(groups))
    for name, group_resource in template.of_type("AWS::Logs::LogGroup").items():
        assert group_resource["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}, name


def test_runtime_and_architecture_are_parameters_everywhere(template: Template) -> None:
    shared = template.document["Globals"]["Function"]
    assert shared["Runtime"] == {"Ref": "Runtime"}
    assert shared["Architectures"] == [{"Ref": "Architecture"}]
    for name, resource in template.of_type("AWS::Serverless::Function").items():
        assert not {"Runtime", "Architectures", "Handler", "Layers"} & resource["Properties"].keys(), name
    parameters = template.document["Parameters"]
    assert parameters["Runtime"]["Default"] == "python3.13"
    assert parameters["Architecture"]["Default"] == "arm64"


def test_both_layers_are_built_by_makefile_for_the_parameters(template: Template) -> None:
    layers = template.of_type("AWS::Serverless::LayerVersion")
    assert layers.keys() == {"CoreLayer", "DependenciesLayer"}
    assert template.document["Globals"]["Function"]["Layers"] == [{"Ref": name} for name in layers]
    for name, layer in layers.items():
        properties = layer["Properties"]
        assert layer["Metadata"]["BuildMethod"] == "makefile"
        assert properties["CompatibleRuntimes"] == [{"Ref": "Runtime"}]
        assert properties["CompatibleArchitectures"] == [{"Ref": "Architecture"}]
        makefile = (ROOT / properties["ContentUri"] / "Makefile").read_text("utf-8")
        assert f"build-{name}:" in makefile
        assert "RUNTIME ?= python3.13\n" in makefile
    dependencies = (ROOT / "layers/dependencies/Makefile").read_text("utf-8")
    assert "ARCHITECTURE ?= arm64\n" in dependencies
    for default in ("RUNTIME ?= python3.13\n", "ARCHITECTURE ?= arm64\n"):
        assert default in (ROOT / "make" / "deploy.mk").read_text("utf-8")


def test_each_function_is_told_exactly_what_its_settings_read(template: Template) -> None:
    for name, function in template.functions().items():
        declared = set(function["Environment"]["Variables"])
        bootstrap = importlib.import_module(f"moorage.bootstrap.{folder(function)}")
        environment = Recorder(dict.fromkeys(declared, "7") | dict.fromkeys(declared & LISTS, "second=two"))
        bootstrap.Settings.read(environment)
        assert environment.read == declared - READ_ELSEWHERE, name
        assert declared >= READ_ELSEWHERE, name


def test_service_name_in_the_logs_is_the_folder(template: Template) -> None:
    for function in template.functions().values():
        assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == folder(function)
