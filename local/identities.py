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


_HERE = "{region}:{account}"
_KINDS = {
    "AWS::ApiGatewayV2::Api": _Kind(),
    "AWS::ApiGatewayV2::Integration": _Kind(),
    "AWS::ApiGatewayV2::Route": _Kind(),
    "AWS::ApiGatewayV2::Stage": _Kind(),
    "AWS::DynamoDB::Table": _Kind("TableName", f"arn:aws:dynamodb:{_HERE}:table/{{name}}"),
    "AWS::Events::Rule": _Kind("Name", f"arn:aws:events:{_HERE}:rule/{{name}}"),
    "AWS::IAM::Role": _Kind("RoleName", "arn:aws:iam::{account}:role/{name}"),
    "AWS::Lambda::Function": _Kind("FunctionName", f"arn:aws:lambda:{_HERE}:function:{{name}}"),
    "AWS::Lambda::LayerVersion": _Kind(
        "LayerName", f"arn:aws:lambda:{_HERE}:layer:{{name}}:1", ref_is_arn=True
    ),
    "AWS::Lambda::Permission": _Kind(),
    "AWS::Logs::LogGroup": _Kind("LogGroupName", f"arn:aws:logs:{_HERE}:log-group:{{name}}:*"),
    "AWS::S3::Bucket": _Kind("BucketName", "arn:aws:s3:::{name}"),
    "AWS::S3::BucketPolicy": _Kind(),
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
    if rules.name_property is None:
        # API Gateway gives short ids of lower-case letters and digits.
        return Identity(hashlib.sha256(name.encode()).hexdigest()[:10])
    if kind == "AWS::S3::Bucket":
        name = name.lower()
    arn = rules.arn.format(name=name, region=place.region, account=place.account)
    return Identity(arn if rules.ref_is_arn else name, {"Arn": arn} if arn else {})


def _kind(kind: str) -> _Kind:
    if kind not in _KINDS:
        raise TemplateError(f"{kind} is not a type that the local cloud knows")
    return _KINDS[kind]
