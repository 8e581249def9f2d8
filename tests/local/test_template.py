"""Reading a template: what is carried out, and what is an error instead of a guess."""

import pytest

from local import template
from local.deployment import Deployment
from local.identities import Place
from local.intrinsics import TemplateError, names_in
from local.schedules import seconds
from local.state import StateFolder
from tests.running_cloud import ROOT

PLACE = Place("stack", "eu-west-1", "111122223333")
TABLE = {"Type": "AWS::DynamoDB::Table"}
BUCKET = {"Type": "AWS::S3::Bucket"}


def stack(resources=(), overrides=(), **sections):
    return template.Stack(PLACE, {"Resources": dict(resources), **sections}, dict(overrides))


def resolved(value, **sections):
    holder = {"Type": "AWS::SSM::Parameter", "Properties": {"Value": value}}
    others = {"Table": TABLE, "Bucket": BUCKET}
    made = stack({"Holder": holder, **others}, **sections)
    return next(resource for resource in made if resource.logical_id == "Holder").properties.get("Value")


PARAMETERS = {"Level": {"Type": "String", "Default": "INFO"}, "Days": {"Type": "Number", "Default": 3}}
CONDITIONS = {
    "Informative": {"Fn::Equals": [{"Ref": "Level"}, "INFO"]},
    "Long": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Days"}, "3"]}]},
    "Both": {"Fn::And": [{"Condition": "Informative"}, {"Condition": "Long"}]},
    "Either": {"Fn::Or": [{"Condition": "Informative"}, {"Condition": "Long"}]},
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Level"}, "INFO"),
        ({"Ref": "Days"}, 3),
        ({"Ref": "Table"}, "stack-Table"),
        ({"Ref": "Bucket"}, "stack-bucket"),
        ({"Ref": "AWS::Region"}, "eu-west-1"),
        ({"Ref": "AWS::AccountId"}, "111122223333"),
        ({"Fn::GetAtt": ["Table", "Arn"]}, "arn:aws:dynamodb:eu-west-1:111122223333:table/stack-Table"),
        ({"Fn::GetAtt": "Bucket.Arn"}, "arn:aws:s3:::stack-bucket"),
        ({"Fn::GetAtt": ["Bucket", "DomainName"]}, "stack-bucket.s3.amazonaws.com"),
        ({"Fn::GetAtt": ["Bucket", "RegionalDomainName"]}, "stack-bucket.s3.eu-west-1.amazonaws.com"),
        (
            {"Fn::Sub": "/${AWS::StackName}/${Level}/${!Level}/${Bucket.Arn}/$x"},
            "/stack/INFO/${Level}/arn:aws:s3:::stack-bucket/$x",
        ),
        ({"Fn::Sub": ["${Own}-${Level}", {"Own": {"Ref": "Days"}}]}, "3-INFO"),
        ({"Fn::If": ["Informative", "yes", {"Fn::Join": ["", []]}]}, "yes"),
        ({"Fn::If": ["Long", "yes", "no"]}, "no"),
        ({"Fn::If": ["Both", "yes", "no"]}, "no"),
        ({"Fn::If": ["Either", "yes", "no"]}, "yes"),
        ({"Fn::Select": [1, ["a", {"Ref": "Level"}]]}, "INFO"),
        ({"Fn::Select": ["2", {"Fn::Split": [":", {"Fn::GetAtt": ["Table", "Arn"]}]}]}, "dynamodb"),
        ([1, {"Ref": "AWS::NoValue"}, 2], [1, 2]),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [{"Ref": "Level"}]}, {"b": ["INFO"]}),
        ({"Fn::If": ["Long", 1, {"Ref": "AWS::NoValue"}]}, None),
        (
            {"Condition": {"Bool": {"aws:SecureTransport": "false"}}},
            {"Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        ),
        ({}, {}),
        ("plain ${Level}", "plain ${Level}"),
    ],
    ids=str,
)
def test_value_is_resolved(value, expected):
    assert resolved(value, Parameters=PARAMETERS, Conditions=CONDITIONS) == expected


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"Fn::Join": ["", ["a"]]}, "Fn::Join"),
        ({"Fn::ImportValue": "a"}, "Fn::ImportValue"),
        ({"Fn::Select": [1, ["a"]]}, "Fn::Select"),
        ({"Fn::Select": [-1, ["a"]]}, "Fn::Select"),
        ({"Fn::Select": [0, "a"]}, "Fn::Select"),
        ({"Ref": "Nothing"}, "Nothing"),
        ({"Ref": "AWS::NotificationARNs"}, "AWS::NotificationARNs"),
        ({"Fn::GetAtt": ["Table", "StreamArn"]}, "StreamArn"),
        ({"Fn::Sub": "${Nothing}"}, "Nothing"),
        ({"Fn::Sub": "${Table.Nothing}"}, "Nothing"),
        ({"Fn::If": ["Unknown", 1, 2]}, "Unknown"),
        ({"a": [{"b": {"Fn::Cidr": ["10.0.0.0/8", 1]}}]}, "Fn::Cidr"),
    ],
    ids=str,
)
def test_anything_else_is_an_error(value, complaint):
    with pytest.raises(TemplateError, match=complaint):
        resolved(value, Conditions=CONDITIONS, Parameters=PARAMETERS)


def test_condition_of_another_function_is_an_error():
    with pytest.raises(TemplateError, match="Fn::Contains"):
        stack({"T": {**TABLE, "Condition": "C"}}, Conditions={"C": {"Fn::Contains": [["a"], "a"]}})


def test_resource_under_a_false_condition_does_not_exist():
    conditions = {"Never": {"Fn::Equals": ["a", "b"]}, "Always": {"Fn::Equals": ["a", "a"]}}
    made = stack(
        {"Gone": {**TABLE, "Condition": "Never"}, "There": {**TABLE, "Condition": "Always"}},
        Conditions=conditions,
    )
    assert [resource.logical_id for resource in made] == ["There"]
    with pytest.raises(TemplateError, match="Gone"):
        made.ref("Gone")


def test_resources_come_after_those_that_they_need():
    made = stack(
        {
            "A": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": {"Fn::Sub": "${B.Arn}"}}},
            "B": {**TABLE, "DependsOn": ["C"]},
            "C": {**BUCKET, "DependsOn": "D"},
            "D": {"Type": "AWS::IAM::Role", "Properties": {"x": [{"Fn::GetAtt": ["E", "Arn"]}]}},
            "E": {"Type": "AWS::Logs::LogGroup"},
        }
    )
    assert [resource.logical_id for resource in made] == ["E", "D", "C", "B", "A"]


def test_names_are_found_wherever_they_stand():
    value = {
        "a": [{"Ref": "A"}, {"Fn::Sub": ["${B.C}${D}${!E}", {"D": {"Ref": "F"}}]}],
        "b": {"Fn::GetAtt": "G.H"},
    }
    assert sorted(names_in(value)) == ["A", "B", "F", "G"]


def test_unknown_type_is_an_error():
    made = stack({"Queue": {"Type": "AWS::SNS::Topic"}})
    with pytest.raises(TemplateError, match="AWS::SNS::Topic"):
        made.ref("Queue")


def test_custom_resource_is_unknown_until_it_was_made():
    made = stack({"Secrets": {"Type": "Custom::Secrets", "Properties": {"ServiceToken": "arn"}}})
    with pytest.raises(TemplateError, match="Secrets"):
        made.ref("Secrets")


@pytest.mark.parametrize(
    "overrides", [{"Nothing": "a"}, {"Level": "LOUD"}, {"Name": "B"}, {"Name": "ab"}, {"Name": "a\n"}]
)
def test_parameter_that_cannot_be_is_an_error(overrides):
    parameters = {
        "Level": {"Type": "String", "Default": "INFO", "AllowedValues": ["INFO", "DEBUG"]},
        "Name": {"Type": "String", "Default": "", "AllowedPattern": "^$|^[a-z]$"},
    }
    assert stack(overrides={"Name": "a"}, Parameters=parameters).ref("Name") == "a"
    with pytest.raises(TemplateError, match=next(iter(overrides))):
        stack(overrides=overrides, Parameters=parameters)


def test_parameter_without_a_value_is_an_error():
    with pytest.raises(TemplateError, match="Level"):
        stack(Parameters={"Level": {"Type": "String"}})


@pytest.mark.parametrize("second", ["", "second"])
def test_template_of_the_project_can_be_carried_out(second, tmp_path):
    parameters = {"S3AddressingStyle": "path", "SecondStore": second}
    made = template.load(ROOT / "template.yaml", PLACE, parameters)
    assert len(made.of_kind("AWS::S3::Bucket")) == (2 if second else 1)
    kinds = {resource.kind for resource in made}
    assert {
        "AWS::Lambda::Function",
        "AWS::DynamoDB::Table",
        "AWS::S3::Bucket",
        "AWS::ApiGatewayV2::Route",
    } <= kinds
    for resource in made:
        assert resource.properties is not None
    for function in made.of_kind("AWS::Lambda::Function"):
        folder = ROOT / template.code_folder(function.properties["Code"])
        assert (folder / "handler.py").exists()
    with StateFolder(tmp_path / "state") as state:
        deployment = Deployment(ROOT, made, state, {})
        assert deployment.place() == {"accountId": PLACE.account, "apiId": made.ref("Api")}
        # No function runs yet, so no route leads anywhere.
        with pytest.raises(TemplateError, match="Route"):
            deployment.routes()


def test_template_that_is_not_valid_is_an_error(tmp_path):
    path = tmp_path / "template.yaml"
    path.write_text(
        "Transform: AWS::Serverless-2016-10-31\nResources: {F: {Type: 'AWS::Serverless::Function', Properties: {}}}"
    )
    with pytest.raises(TemplateError, match=r"template\.yaml"):
        template.load(path, PLACE, {})


@pytest.mark.parametrize(
    ("expression", "expected"), [("rate(1 minute)", 60), ("rate(5 hours)", 18000), ("rate(1 day)", 86400)]
)
def test_rate_is_read(expression, expected):
    assert seconds(expression) == expected


@pytest.mark.parametrize(
    "expression", ["", "rate(0 days)", "rate(1 week)", "cron(0 3 * * ? *)", "rate(-1 days)"]
)
def test_other_schedule_is_an_error(expression):
    with pytest.raises(TemplateError):
        seconds(expression)


def test_parts_of_cloudfront_are_called_as_cloudformation_calls_them():
    kinds = (
        "Distribution",
        "Function",
        "KeyValueStore",
        "OriginAccessControl",
        "OriginRequestPolicy",
        "CachePolicy",
    )
    made = stack({kind: {"Type": f"AWS::CloudFront::{kind}"} for kind in kinds})
    account = "arn:aws:cloudfront::111122223333"
    assert (
        made.ref("Function")
        == made.attribute("Function", "FunctionARN")
        == f"{account}:function/stack-Function"
    )
    assert made.ref("KeyValueStore") == "stack-KeyValueStore"
    assert made.attribute("KeyValueStore", "Arn") == f"{account}:key-value-store/stack-KeyValueStore"
    assert made.ref("Distribution").startswith("E")
    assert made.attribute("Distribution", "DomainName").endswith(".cloudfront.net")
    references = [made.ref(kind) for kind in kinds]
    assert len(set(references)) == len(references)
    for kind in ("Distribution", "OriginAccessControl", "OriginRequestPolicy", "CachePolicy"):
        assert made.attribute(kind, "Id") == made.ref(kind)


def test_endpoint_of_an_api_names_it():
    made = stack({"Api": {"Type": "AWS::ApiGatewayV2::Api"}})
    assert (
        made.attribute("Api", "ApiEndpoint")
        == f"https://{made.ref('Api')}.execute-api.eu-west-1.amazonaws.com"
    )
