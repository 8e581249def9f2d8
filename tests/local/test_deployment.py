"""What CloudFormation would do: resources, custom resources, layers, schedules."""

import asyncio
import json

import pytest

from local import aws, dependencies
from local.custom_resources import CustomResources
from local.functions import Pool
from local.identities import Place
from local.processes import StartError
from local.resources import Resources
from local.schedules import Schedule
from local.state import StateFolder
from local.template import Stack
from tests.local.conftest import DATA, toy_function
from tests.running_cloud import ROOT

PLACE = Place("deployed", "us-east-1", "000000000000")
FUNCTION = toy_function(folder=DATA / "custom")


def stack(**resources):
    return Stack(PLACE, {"Resources": resources}, {})


def custom(state, *, properties):
    """Make a custom resource; what it turned out to be."""
    token = {"ServiceToken": FUNCTION.arn}
    made = stack(Thing={"Type": "Custom::Thing", "Properties": token | properties})

    async def ensure():
        pool = Pool(FUNCTION, state.path / "log", 1)
        try:
            return await CustomResources(state, made, {FUNCTION.arn: pool}).ensure(next(iter(made)))
        finally:
            await pool.close()

    return asyncio.run(ensure())


def test_custom_resource_is_created_once_and_then_updated(tmp_path):
    with StateFolder(tmp_path / "state") as state:
        first = custom(state, properties={"Size": 1, "On": True})
        second = custom(state, properties={"Size": 2, "List": [1, {"a": False}]})
    assert first.ref == second.ref == "made-once"
    create, update = (json.loads(identity.attributes["Event"]) for identity in (first, second))
    url = create.pop("ResponseURL")
    assert url.startswith("http://127.0.0.1:")
    assert len(create.pop("RequestId")) == 36
    assert create == {
        "RequestType": "Create",
        "ServiceToken": FUNCTION.arn,
        "StackId": PLACE.stack_id,
        "LogicalResourceId": "Thing",
        "ResourceType": "Custom::Thing",
        "ResourceProperties": {"ServiceToken": FUNCTION.arn, "Size": "1", "On": "true"},
    }
    assert update["RequestType"] == "Update"
    assert update["PhysicalResourceId"] == "made-once"
    assert update["ResourceProperties"] == {
        "ServiceToken": FUNCTION.arn,
        "Size": "2",
        "List": ["1", {"a": "false"}],
    }
    assert update["OldResourceProperties"] == create["ResourceProperties"]


@pytest.mark.parametrize(
    ("properties", "complaint"),
    [
        ({"Answer": "FAILED"}, "because"),
        ({"Raise": "yes"}, "RuntimeError.*log"),
        ({"RequestId": "another"}, "Thing was not made"),
    ],
)
def test_custom_resource_that_was_not_made_is_an_error_and_forgotten(tmp_path, properties, complaint):
    with StateFolder(tmp_path / "state") as state:
        with pytest.raises(StartError, match=complaint):
            custom(state, properties=properties)
        event = json.loads(custom(state, properties={}).attributes["Event"])
        assert event["RequestType"] == "Create"


def test_answer_to_another_address_is_not_taken(tmp_path):
    with StateFolder(tmp_path / "state") as state:
        assert custom(state, properties={"Elsewhere": "yes"}).attributes["Elsewhere"] == 403


def test_table_is_made_as_declared_and_once(emulators):
    properties = {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "gsi1pk", "gsi1sk")
        ],
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "gsi1",
                "KeySchema": [
                    {"AttributeName": "gsi1pk", "KeyType": "HASH"},
                    {"AttributeName": "gsi1sk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "Tags": [{"Key": "ignored", "Value": "here"}],
    }
    made = stack(Table={"Type": "AWS::DynamoDB::Table", "Properties": properties})
    client = aws.client(emulators, "dynamodb")
    for _ in range(2):
        Resources(emulators, made).ensure(next(iter(made)))
        client.put_item(TableName="deployed-Table", Item={"pk": {"S": "a"}, "sk": {"S": "b"}})
    table = client.describe_table(TableName="deployed-Table")["Table"]
    assert table["KeySchema"] == properties["KeySchema"]
    assert table["ItemCount"] == 1
    assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["gsi1"]
    ttl = client.describe_time_to_live(TableName="deployed-Table")["TimeToLiveDescription"]
    assert ttl["AttributeName"] == "ttl"
    backups = client.describe_continuous_backups(TableName="deployed-Table")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_bucket_is_made_once(emulators):
    made = stack(Bucket={"Type": "AWS::S3::Bucket"})
    client = aws.client(emulators, "s3")
    for _ in range(2):
        Resources(emulators, made).ensure(next(iter(made)))
        client.put_object(Bucket="deployed-bucket", Key="a", Body=b"a")
    assert client.list_objects_v2(Bucket="deployed-bucket")["KeyCount"] == 1


def test_parameter_has_the_declared_value(emulators):
    client = aws.client(emulators, "ssm")
    for value in ("one", "two"):
        properties = {"Name": "/deployed/a", "Type": "String", "Value": value}
        made = stack(Parameter={"Type": "AWS::SSM::Parameter", "Properties": properties})
        Resources(emulators, made).ensure(next(iter(made)))
        assert client.get_parameter(Name="/deployed/a")["Parameter"]["Value"] == value


def test_type_without_a_counterpart_makes_nothing(emulators):
    made = stack(Role={"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}})
    Resources(emulators, made).ensure(next(iter(made)))


def test_dependencies_are_those_of_the_project_and_no_others(tmp_path):
    found = {entry.name for entry in dependencies.link(ROOT, tmp_path / "packages").iterdir()}
    assert {"botocore", "mangum", "starlette", "jwt", "cryptography", "aws_lambda_powertools"} <= found
    assert found.isdisjoint(
        {"moorage", "samtranslator", "uvicorn", "pytest", "mypy", "httpx", "boto3", "yaml"}
    )
    for entry in (tmp_path / "packages").iterdir():
        assert entry.exists()


def test_schedule_calls_its_functions_at_its_rate(tmp_path, monkeypatch):
    rule = {
        "Type": "AWS::Events::Rule",
        "Properties": {"ScheduleExpression": "rate(2 hours)", "Targets": [{"Id": "a", "Arn": FUNCTION.arn}]},
    }
    made = stack(Rule=rule)
    slept, events = [], []

    class Recorder(Pool):
        async def invoke(self, event, request_id=None):
            events.append(event)
            return b"{}"

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) > 2:
            raise asyncio.CancelledError

    monkeypatch.setattr("local.schedules.asyncio.sleep", sleep)
    schedule = Schedule(made, next(iter(made)), {FUNCTION.arn: Recorder(FUNCTION, tmp_path / "log", 1)})
    assert schedule.enabled
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(schedule.run())
    assert slept == [7200] * 3
    assert [event["detail-type"] for event in events] == ["Scheduled Event"] * 2
    assert events[0]["resources"] == ["arn:aws:events:us-east-1:000000000000:rule/deployed-Rule"]
    sample = json.loads((ROOT / "events" / "schedule.json").read_text("utf-8"))
    assert events[0].keys() == sample.keys()
