"""The stack as `template.yaml` declares it: expanded from SAM, every value resolved on demand."""

from __future__ import annotations

import graphlib
import os
import re
from typing import TYPE_CHECKING, Any
from unittest import mock

from samtranslator.public.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from local import identities
from local.intrinsics import TemplateError, holds, names_in, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from local.identities import Identity, Place

# Code that lies in a folder is given to the translator as if it had been uploaded, as `sam package` would.
_CODE_PROPERTIES = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
_LOCAL_CODE = "s3://local/"


class Resource:
    """One resource of a stack; its properties are resolved when they are asked for."""

    def __init__(self, stack: Stack, logical_id: str, body: Mapping[str, Any]) -> None:
        self._stack = stack
        self.logical_id = logical_id
        self.kind: str = body["Type"]
        self._body = body

    @property
    def properties(self) -> dict[str, Any]:
        """The properties with every intrinsic function carried out."""
        resolved: dict[str, Any] = resolve(self.raw_properties, self._stack)
        return resolved

    @property
    def raw_properties(self) -> dict[str, Any]:
        """The properties as they are written."""
        raw: dict[str, Any] = self._body.get("Properties", {})
        return raw

    @property
    def is_custom(self) -> bool:
        """Whether a function of the stack makes this resource."""
        return self.kind.startswith("Custom::") or self.kind == "AWS::CloudFormation::CustomResource"

    @property
    def needs(self) -> set[str]:
        """Everything that this resource refers to, parameters among them."""
        explicit = self._body.get("DependsOn", [])
        return {*names_in(self.raw_properties), *([explicit] if isinstance(explicit, str) else explicit)}


class Stack:
    """The resources of a template under given parameters."""

    def __init__(self, place: Place, template: Mapping[str, Any], overrides: Mapping[str, str]) -> None:
        self.place = place
        self.conditions: Mapping[str, Any] = template.get("Conditions", {})
        self._parameters = _parameters(template.get("Parameters", {}), overrides)
        self._outputs: Mapping[str, Any] = template.get("Outputs", {})
        self._made: dict[str, Identity] = {}
        self._resources = {
            logical_id: Resource(self, logical_id, body)
            for logical_id, body in template["Resources"].items()
            if "Condition" not in body or holds(body["Condition"], self)
        }

    def __iter__(self) -> Iterator[Resource]:
        """The resources, each after those that it refers to."""
        order = graphlib.TopologicalSorter(
            {name: resource.needs & self._resources.keys() for name, resource in self._resources.items()}
        )
        return (self._resources[name] for name in order.static_order())

    def of_kind(self, kind: str) -> list[Resource]:
        """The resources of one type."""
        return [resource for resource in self._resources.values() if resource.kind == kind]

    def output(self, name: str) -> Any:
        """The value of one of the stack's outputs.

        Raises:
            TemplateError: it has no such output.
        """
        if name not in self._outputs:
            raise TemplateError(f"the template has no output {name}")
        return resolve(self._outputs[name]["Value"], self)

    def ref(self, name: str) -> Any:
        """The value of a parameter, or the physical id of a resource.

        Raises:
            TemplateError: there is neither.
        """
        if name.startswith("AWS::"):
            return self._pseudo(name)
        if name in self._parameters:
            return self._parameters[name]
        return self._identity(name).ref

    def attribute(self, name: str, attribute: str) -> Any:
        """An attribute of a resource.

        Raises:
            TemplateError: there is no such resource, or it has no such attribute.
        """
        attributes = self._identity(name).attributes
        if attribute not in attributes:
            raise TemplateError(f"{name} has no attribute {attribute} that the local cloud knows")
        return attributes[attribute]

    def made(self, name: str, identity: Identity) -> None:
        """Note what a custom resource turned out to be."""
        self._made[name] = identity

    def _identity(self, name: str) -> Identity:
        if name not in self._resources:
            raise TemplateError(f"there is no {name} in the template")
        resource = self._resources[name]
        if name not in self._made:
            if resource.is_custom:
                raise TemplateError(f"{name} is used before it was made")
            chosen = identities.name_property(resource.kind)
            physical = resolve(resource.raw_properties.get(chosen), self) if chosen else None
            self._made[name] = identities.identity(self.place, name, resource.kind, physical)
        return self._made[name]

    def _pseudo(self, name: str) -> str:
        known = {
            "AWS::StackName": self.place.stack,
            "AWS::StackId": self.place.stack_id,
            "AWS::Region": self.place.region,
            "AWS::AccountId": self.place.account,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name not in known:
            raise TemplateError(f"{name} is not a pseudo-parameter that the local cloud knows")
        return known[name]


def load(path: Path, place: Place, overrides: Mapping[str, str]) -> Stack:
    """Read a SAM template without asking AWS anything.

    Raises:
        TemplateError: it is not valid, or gives no value to a parameter.
    """
    template = yaml_parse(path.read_text("utf-8"))
    for resource in template["Resources"].values():
        code = _CODE_PROPERTIES.get(resource["Type"])
        if code and isinstance(resource["Properties"].get(code), str):
            resource["Properties"][code] = _LOCAL_CODE + resource["Properties"][code]
    parameters = _parameters(template.get("Parameters", {}), overrides)
    # The translator asks boto3 for the Region, to choose a partition.
    with mock.patch.dict(os.environ, {"AWS_DEFAULT_REGION": place.region}):
        try:
            expanded = transform(template, parameters, _NoManagedPolicies())
        except InvalidDocumentException as error:
            raise TemplateError(f"{path.name}: {error.message}") from error
    return Stack(place, expanded, overrides)


def code_folder(location: Mapping[str, str]) -> str:
    """The folder of a function's or layer's code, relative to the template."""
    return location["S3Key"].rstrip("/")


class _NoManagedPolicies:
    """In place of the list of AWS's managed policies, which only AWS could tell."""

    def load(self) -> dict[str, str]:
        return {}


def _parameters(declared: Mapping[str, Any], overrides: Mapping[str, str]) -> dict[str, Any]:
    if unknown := overrides.keys() - declared.keys():
        raise TemplateError(f"the template has no parameter {', '.join(sorted(unknown))}")
    values = {name: overrides.get(name, body.get("Default")) for name, body in declared.items()}
    for name, value in values.items():
        allowed, pattern = (declared[name].get(kind) for kind in ("AllowedValues", "AllowedPattern"))
        if (
            value is None
            or (allowed and value not in allowed)
            or (pattern and not re.fullmatch(pattern, str(value)))
        ):
            raise TemplateError(f"parameter {name} cannot be {value!r}")
    return values
