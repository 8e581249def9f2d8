"""What the registry itself says about the bodies that it takes, in its OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moorage_cli.errors import CliError
from moorage_cli.nouns import Json

_TYPES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "object": (lambda value: isinstance(value, dict), "an object"),
    "array": (lambda value: isinstance(value, list), "a list"),
    "string": (lambda value: isinstance(value, str), "a text"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "integer": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    "number": (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
    "null": (lambda value: value is None, "null"),
}
_BOUNDS: Mapping[str, tuple[type, Callable[[int, int], bool], str]] = {
    "maxLength": (str, int.__gt__, "has more than {} characters"),
    "minLength": (str, int.__lt__, "has fewer than {} characters"),
    "maxItems": (list, int.__gt__, "has more than {} entries"),
    "minItems": (list, int.__lt__, "has fewer than {} entries"),
    "maxProperties": (dict, int.__gt__, "has more than {} entries"),
}

_MOST = 10
_SHOWN = 60


class Shapes:
    """The shapes of an OpenAPI document. What it says in words that are unknown here does not count."""

    def __init__(self, document: Json) -> None:
        self._document = document

    def fields(self, path: str) -> frozenset[str]:
        """The fields of the body of a PUT to ``path``, a template of the document.

        Raises:
            CliError: the document does not say.
        """
        return frozenset(self._body(path)["properties"])

    def takes(self, path: str, parameter: str) -> bool:
        """Whether a PUT to ``path`` has a parameter of that name in its query."""
        parameters = self._document.get("paths", {}).get(path, {}).get("put", {}).get("parameters", ())
        return any(each.get("in") == "query" and each.get("name") == parameter for each in parameters)

    def problems(self, path: str, body: Json) -> list[str]:
        """What is wrong with such a body, at most a few.

        Raises:
            CliError: the document does not say what is right.
        """
        return list(self._of(self._body(path), body, ""))[:_MOST]

    def _body(self, path: str) -> Json:
        operation = self._document.get("paths", {}).get(path, {}).get("put", {})
        content = operation.get("requestBody", {}).get("content", {})
        schema = self._resolved(content.get("application/json", {}).get("schema", {}))
        if "properties" not in schema:
            raise CliError(f"the registry does not say what it takes at {path}", "update moorage-cli")
        return schema

    def _of(self, schema: Json, value: Any, where: str) -> Iterator[str]:
        ways = [self._resolved(each) for each in self._resolved(schema).get("anyOf", [schema])]
        fitting = [each for each in ways if _type_of(each)[0](value)]
        if not fitting:
            yield f"{where or 'it'} is not {' or '.join(_type_of(each)[1] for each in ways)}"
            return
        found = [list(self._of_one(each, value, where)) for each in fitting]
        if all(found):
            yield from found[0]

    def _of_one(self, schema: Json, value: Any, where: str) -> Iterator[str]:
        allowed = [schema["const"]] if "const" in schema else schema.get("enum")
        if allowed is not None and value not in allowed:
            yield f"{where} is not {' or '.join(map(str, allowed))}"
        yield from _out_of_bounds(schema, value, where)
        if isinstance(value, dict):
            yield from self._of_object(schema, value, where)
        if isinstance(value, list):
            for index, each in enumerate(value):
                yield from self._of(schema.get("items", {}), each, f"{where}[{index}]")

    def _of_object(self, schema: Json, value: Json, where: str) -> Iterator[str]:
        properties: Json = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        prefix = f"{where}." if where else ""
        for name in schema.get("required", ()):
            if value.get(name) is None:
                yield f"{prefix}{name} is missing"
        for name, each in value.items():
            if name in properties:
                yield from self._of(properties[name], each, f"{prefix}{name}")
            elif isinstance(others, dict):
                yield from self._of(
                    schema.get("propertyNames", {}), name, f"the name {name!r} in {where or 'it'}"
                )
                yield from self._of(others, each, f"{prefix}{name}")
            elif others is False:
                yield f"{prefix}{name} is no field; there are {', '.join(properties)}"

    def _resolved(self, schema: Json) -> Json:
        if "$ref" not in schema:
            return schema
        found: Any = self._document
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            found = found.get(part, {}) if isinstance(found, dict) else {}
        return found if isinstance(found, dict) else {}


def _type_of(schema: Json) -> tuple[Callable[[Any], bool], str]:
    return _TYPES.get(schema.get("type", ""), (lambda _: True, "what it should be"))


def _out_of_bounds(schema: Json, value: Any, where: str) -> Iterator[str]:
    for word, (kind, breaks, said) in _BOUNDS.items():
        if word in schema and isinstance(value, kind) and breaks(len(value), schema[word]):  # type: ignore[arg-type]
            yield f"{where} {said.format(schema[word])}"
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        yield f"{where} is {value[:_SHOWN]!r}, which is not of the form {schema['pattern']}"
