"""The template as plain values, and what can be asked of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]

_DYNAMODB = "dynamodb:"
_LEADING_KEYS = "dynamodb:LeadingKeys"
_ATTRIBUTES = "dynamodb:Attributes"


class _Loader(yaml.SafeLoader):
    """Reads the short forms of intrinsic functions as their long ones."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {"Ref" if suffix == "Ref" else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)


@cache
def _read() -> Any:
    return yaml.load((ROOT / "template.yaml").read_text("utf-8"), Loader=_Loader)


def load() -> Template:
    """A copy of the template of its own for each caller."""
    # Reading it takes a second.
    return Template(deepcopy(_read()))


def text(value: Any) -> str:
    """A string, or an intrinsic that stands for one, with references as ``${Name}`` or ``${Name.Attribute}``."""
    match value:
        case str():
            return value
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
        case {"Fn::Sub": str(template) | [str(template), dict()]}:
            return _substituted(template, value["Fn::Sub"])
        case {"Fn::If": [str(condition), positive, negative]}:
            return f"${{{condition}? {text(positive)} : {text(negative)}}}"
        case {"Fn::Select": [int(index), {"Fn::Split": [str(mark), parts]}]}:
            return f"${{{text(parts)} split by {mark}, {index}}}"
    raise AssertionError(f"neither text nor a reference: {value!r}")


def _substituted(template: str, sub: Any) -> str:
    variables = {} if isinstance(sub, str) else sub[1]
    for name, stands_for in variables.items():
        template = template.replace(f"${{{name}}}", text(stands_for))
    return template


def texts(value: Any) -> list[str]:
    """A list of strings, or one alone; also what stands in the list under a condition, or not at all."""
    return [text(chosen(each)) for each in value] if isinstance(value, list) else [text(value)]


def chosen(item: Any) -> Any:
    """An item of a list, without the condition under which alone it stands there."""
    match item:
        case {"Fn::If": [str(), positive, {"Ref": "AWS::NoValue"}]}:
            return positive
    return item


@dataclass(frozen=True)
class Statement:
    """A policy statement and the resource that it stands in."""

    resource: str
    body: dict[str, Any]

    @property
    def sid(self) -> str:
        sid: str = self.body.get("Sid", "")
        return sid

    @property
    def actions(self) -> list[str]:
        return texts(self.body["Action"])

    @property
    def targets(self) -> list[str]:
        return texts(self.body["Resource"])

    @property
    def rows(self) -> list[str]:
        """Patterns of the partition keys of the rows that the statement is about: none other, and no request
        without any.
        """
        condition = self.body["Condition"]
        names = {_LEADING_KEYS, _ATTRIBUTES} if self.attributes else {_LEADING_KEYS}
        assert condition.keys() - {"ForAllValues:StringEquals"} == {"Null", "ForAllValues:StringLike"}, self
        assert condition["Null"] == dict.fromkeys(names, "false"), self
        assert condition["ForAllValues:StringLike"].keys() == {_LEADING_KEYS}, self
        return texts(condition["ForAllValues:StringLike"][_LEADING_KEYS])

    @property
    def attributes(self) -> list[str]:
        """The only attributes of the rows that the statement is about; none means all."""
        condition = self.body["Condition"].get("ForAllValues:StringEquals", {_ATTRIBUTES: []})
        assert condition.keys() == {_ATTRIBUTES}, self
        return texts(condition[_ATTRIBUTES])


class Template:
    """The parsed document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.resources: dict[str, dict[str, Any]] = document["Resources"]

    def of_type(self, *kinds: str) -> dict[str, dict[str, Any]]:
        """The resources of the given types, by name."""
        return {name: each for name, each in self.resources.items() if each["Type"] in kinds}

    def properties(self, name: str) -> dict[str, Any]:
        properties: dict[str, Any] = self.resources[name]["Properties"]
        return properties

    def functions(self) -> dict[str, dict[str, Any]]:
        """Properties of each function with the globals merged in, by its logical name."""
        shared = self.document["Globals"]["Function"]
        merged = {}
        for name, each in self.of_type("AWS::Serverless::Function").items():
            own = each["Properties"]
            variables = shared["Environment"]["Variables"] | own["Environment"]["Variables"]
            merged[name] = shared | own | {"Environment": {"Variables": variables}}
        return merged

    def function_in(self, folder: str) -> str:
        """The logical name of the function whose code is in ``functions/<folder>``; the revision of ``ingest``."""
        if folder == "ingest":
            (revision,) = self.of_type("AWS::Lambda::WebFunctionRevision")
            return revision
        (name,) = [n for n, p in self.functions().items() if p["CodeUri"] == f"functions/{folder}/"]
        return name

    def role_of(self, function: str) -> str:
        """The logical name of the role of a function, or of the web function that a revision is of."""
        if function in self.of_type("AWS::Lambda::WebFunctionRevision"):
            return str(self.properties(function)["ServiceConfig"]["ExecutionRoleArn"]["Fn::GetAtt"][0])
        role: str = self.functions()[function]["Role"]["Fn::GetAtt"][0]
        return role

    def ingest(self) -> dict[str, Any]:
        """The ``ServiceConfig`` of the web function."""
        config: dict[str, Any] = self.properties(self.function_in("ingest"))["ServiceConfig"]
        return config

    def statements(self) -> list[Statement]:
        """Every policy statement of every resource, trust policies apart."""
        found = []
        for name, resource in self.resources.items():
            rest = {k: v for k, v in resource["Properties"].items() if k != "AssumeRolePolicyDocument"}
            found += [Statement(name, body) for body in _statements(rest)]
        return found

    def rights_of(self, function: str) -> list[Statement]:
        """What a function may do."""
        role = self.role_of(function)
        return [statement for statement in self.statements() if statement.resource == role]

    def rights_on_rows(self, folder: str) -> list[Statement]:
        """What the function in a folder may do with the table."""
        rights = self.rights_of(self.function_in(folder))
        return [each for each in rights if any(action.startswith(_DYNAMODB) for action in each.actions)]

    def may(self, folder: str, action: str, partition_key: str) -> bool:
        """Whether the function in a folder may do something (``PutItem``) with a row."""
        return any(
            _DYNAMODB + action in statement.actions
            and any(fnmatchcase(partition_key, pattern) for pattern in statement.rows)
            for statement in self.rights_on_rows(folder)
        )

    def references_to(self, name: str) -> list[tuple[str, str]]:
        """``(resource, path)`` of every place that refers to a resource."""
        pattern = re.compile(rf"\$\{{{name}(?:\.[^}}]+)?\}}")
        return [
            (resource, path)
            for resource, body in self.resources.items()
            for path, value in _leaves(body["Properties"])
            if pattern.search(value)
        ]


def _statements(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        for statement in value.get("Statement", ()):
            yield chosen(statement)
        for each in value.values():
            yield from _statements(each)
    elif isinstance(value, list):
        for each in value:
            yield from _statements(each)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and not ({"Ref", "Fn::GetAtt", "Fn::Sub"} & value.keys()):
        for key, each in value.items():
            yield from _leaves(each, f"{path}/{key}")
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, path)
    elif isinstance(value, (str, dict)):
        yield path, text(value)
