"""What a resource of each type is called once it exists: its `Ref` and its attributes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.intrinsics import TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Place:
    """Where a stack lives."""

    stack: str
    region: str
    account: str

    @property
    def stack_id(self) -> str:
        """The ARN of the stack itself."""
        unique = hashlib.sha256(self.stack.encode()).hexdigest()
        uuid = "-".join((unique[:8], unique[8:12], unique[12:16], unique[16:20], unique[20:32]))
        return f"arn:aws:cloudformation:{self.region}:{self.account}:stack/{self.stack}/{uuid}"


@dataclass(frozen=True)
class Identity:
    """The physical id of a resource, which `Ref` gives, and what `Fn::GetAtt` gives."""

    ref: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Kind:
    """How resources of one type are called. `{name}` and the fields of the place stand in the ARN."""

    name_property: str | None = None
    arn: str = ""
    ref_is_arn: bool = False
    ref: str = ""
    """What `Ref` gives, where it is neither the name nor the ARN."""
    name_attribute: str = ""
    ref_attribute: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """More attributes; besides the fields of the place, `{name}` and `{unique}`, 64 hexadecimal digits."""


_HERE = "{region}:{account}"
_UUID = "{unique:.8}-0000-4000-8000-{unique:.12}"
_KINDS = {
    # API Gateway gives short ids of lower-case letters and digits.
    "AWS::ApiGatewayV2::Api": _Kind(
        attributes={"ApiEndpoint": "https://{unique:.10}.execute-api.{region}.amazonaws.com"}
    ),
    "AWS::ApiGatewayV2::Integration": _Kind(),
    "AWS::ApiGatewayV2::Route": _Kind(),
    "AWS::ApiGatewayV2::Stage": _Kind(),
    "AWS::CloudFront::CachePolicy": _Kind(ref=_UUID, ref_attribute="Id"),
    "AWS::CloudFront::Distribution": _Kind(
        ref="E{unique:.13}", ref_attribute="Id", attributes={"DomainName": "d{unique:.13}.cloudfront.net"}
    ),
    "AWS::CloudFront::Function": _Kind(
        "Name",
        "arn:aws:cloudfront::{account}:function/{name}",
        ref_is_arn=True,
        attributes={"FunctionARN": "arn:aws:cloudfront::{account}:function/{name}"},
    ),
    "AWS::CloudFront::KeyValueStore": _Kind(
        "Name", "arn:aws:cloudfront::{account}:key-value-store/{name}", attributes={"Id": _UUID}
    ),
    "AWS::CloudFront::OriginAccessControl": _Kind(ref="E{unique:.13}", ref_attribute="Id"),
    "AWS::CloudFront::OriginRequestPolicy": _Kind(ref=_UUID, ref_attribute="Id"),
    "AWS::CloudWatch::Alarm": _Kind("AlarmName", f"arn:aws:cloudwatch:{_HERE}:alarm:{{name}}"),
    "AWS::DynamoDB::Table": _Kind("TableName", f"arn:aws:dynamodb:{_HERE}:table/{{name}}"),
    "AWS::Events::Rule": _Kind("Name", f"arn:aws:events:{_HERE}:rule/{{name}}"),
    "AWS::IAM::Role": _Kind("RoleName", "arn:aws:iam::{account}:role/{name}"),
    "AWS::Lambda::EventSourceMapping": _Kind(),
    "AWS::Lambda::Function": _Kind("FunctionName", f"arn:aws:lambda:{_HERE}:function:{{name}}"),
    "AWS::Lambda::LayerVersion": _Kind(
        "LayerName", f"arn:aws:lambda:{_HERE}:layer:{{name}}:1", ref_is_arn=True
    ),
    "AWS::Lambda::Permission": _Kind(),
    # `Ref` gives the ARN; what belongs to a web function names it by its bare name.
    "AWS::Lambda::WebFunction": _Kind(
        "FunctionName", f"arn:aws:lambda:{_HERE}:web-function/{{name}}", ref_is_arn=True
    ),
    "AWS::Lambda::WebFunctionEndpoint": _Kind(
        attributes={"DomainName": "{unique:.12}.{unique:.8}.lambda-web.{region}.on.aws"}
    ),
    "AWS::Lambda::WebFunctionRevision": _Kind(attributes={"RevisionId": "{unique:.32}"}),
    "AWS::Logs::LogGroup": _Kind("LogGroupName", f"arn:aws:logs:{_HERE}:log-group:{{name}}:*"),
    "AWS::S3::Bucket": _Kind(
        "BucketName",
        "arn:aws:s3:::{name}",
        attributes={
            "DomainName": "{name}.s3.amazonaws.com",
            "RegionalDomainName": "{name}.s3.{region}.amazonaws.com",
        },
    ),
    "AWS::S3::BucketPolicy": _Kind(),
    "AWS::SQS::Queue": _Kind(
        "QueueName",
        f"arn:aws:sqs:{_HERE}:{{name}}",
        ref="https://sqs.{region}.amazonaws.com/{account}/{name}",
        name_attribute="QueueName",
        ref_attribute="QueueUrl",
    ),
    "AWS::SQS::QueuePolicy": _Kind(),
    "AWS::SSM::Parameter": _Kind("Name"),
}


def name_property(kind: str) -> str | None:
    """The property that may give a resource of this type a name, if there is one.

    Raises:
        TemplateError: the local cloud does not know the type.
    """
    return _kind(kind).name_property


def identity(place: Place, logical_id: str, kind: str, chosen: str | None) -> Identity:
    """What a resource is called; the same at every start, so that stored data is found again.

    Raises:
        TemplateError: the local cloud does not know the type.
    """
    rules = _kind(kind)
    name = chosen or f"{place.stack}-{logical_id}"
    if kind == "AWS::S3::Bucket":
        name = name.lower()
    fields = {
        "name": name,
        "unique": hashlib.sha256(name.encode()).hexdigest(),
        "region": place.region,
        "account": place.account,
    }
    arn = rules.arn.format(**fields)
    ref = (rules.ref or ("{unique:.10}" if rules.name_property is None else "{name}")).format(**fields)
    attributes = {"Arn": arn, rules.name_attribute: name, rules.ref_attribute: ref}
    attributes |= {key: text.format(**fields) for key, text in rules.attributes.items()}
    return Identity(
        arn if rules.ref_is_arn else ref, {key: value for key, value in attributes.items() if key and value}
    )


def _kind(kind: str) -> _Kind:
    if kind not in _KINDS:
        raise TemplateError(f"{kind} is not a type that the local cloud knows")
    return _KINDS[kind]
