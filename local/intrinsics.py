"""The intrinsic functions of a template: Ref, Fn::Sub, Fn::GetAtt, Fn::If, Fn::Select, Fn::Split, and those
that conditions are made of.

Any other one is an error: a value that was guessed would make a green run mean nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class TemplateError(Exception):
    """The template says something that the local cloud cannot carry out."""


class Scope(Protocol):
    """What the names in a template stand for."""

    conditions: Mapping[str, Any]

    def ref(self, name: str) -> Any:
        """The value of a parameter, or the physical id of a resource."""

    def attribute(self, name: str, attribute: str) -> Any:
        """An attribute of a resource."""


_NO_VALUE = object()
_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")


def resolve(value: Any, scope: Scope) -> Any:
    """The value with every intrinsic function carried out.

    Raises:
        TemplateError: an unknown function, name or attribute.
    """
    resolved = _resolve(value, scope)
    return None if resolved is _NO_VALUE else resolved


def holds(condition: Any, scope: Scope) -> bool:
    """Whether a condition, given by name or as an expression, is true."""
    if isinstance(condition, str):
        if condition not in scope.conditions:
            raise TemplateError(f"there is no condition {condition}")
        return holds(scope.conditions[condition], scope)
    (function, argument), *others = condition.items()
    if others:
        raise TemplateError(f"a condition has one function, not {sorted(condition)}")
    match function:
        case "Condition":
            return holds(argument, scope)
        case "Fn::Equals":
            left, right = (_resolve(side, scope) for side in argument)
            return str(left) == str(right)
        case "Fn::Not":
            return not holds(argument[0], scope)
        case "Fn::And":
            return all(holds(part, scope) for part in argument)
        case "Fn::Or":
            return any(holds(part, scope) for part in argument)
    raise TemplateError(f"{function} is not a condition that the local cloud knows")


def names_in(value: Any) -> Iterator[str]:
    """The names that a value refers to, parameters and pseudo-parameters among them."""
    if isinstance(value, list):
        for item in value:
            yield from names_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref":
                yield item
            elif key == "Fn::GetAtt":
                yield _attribute_path(item)[0]
            elif key == "Fn::Sub":
                text, variables = _substitution(item)
                yield from names_in(variables)
                yield from (name.partition(".")[0] for name in _variables(text) if name not in variables)
            else:
                yield from names_in(item)


def _resolve(value: Any, scope: Scope) -> Any:
    if isinstance(value, list):
        items = (_resolve(item, scope) for item in value)
        return [item for item in items if item is not _NO_VALUE]
    if not isinstance(value, dict):
        return value
    function = next(iter(value), "")
    if len(value) == 1 and (function in {"Ref", "Condition"} or function.startswith("Fn::")):
        return _call(function, value[function], scope)
    pairs = ((key, _resolve(item, scope)) for key, item in value.items())
    return {key: item for key, item in pairs if item is not _NO_VALUE}


def _call(function: str, argument: Any, scope: Scope) -> Any:
    match function:
        case "Ref":
            return _NO_VALUE if argument == "AWS::NoValue" else scope.ref(argument)
        case "Fn::GetAtt":
            return scope.attribute(*_attribute_path(argument))
        case "Fn::Sub":
            return _substitute(argument, scope)
        case "Fn::If":
            condition, positive, negative = argument
            return _resolve(positive if holds(condition, scope) else negative, scope)
        case "Fn::Select" | "Fn::Split":
            first, second = (_resolve(part, scope) for part in argument)
            return _selected(first, second) if function == "Fn::Select" else str(second).split(first)
        case "Condition" if not isinstance(argument, str):
            # The Condition element of a policy statement, not a reference to one of the template.
            return {function: _resolve(argument, scope)}
    raise TemplateError(f"{function} is not a function that the local cloud knows")


def _selected(index: Any, items: Any) -> Any:
    if not isinstance(items, list) or not 0 <= int(index) < len(items):
        raise TemplateError(f"Fn::Select finds no item {index} in {items!r}")
    return items[int(index)]


def _attribute_path(argument: Any) -> tuple[str, str]:
    name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
    return name, attribute


def _substitution(argument: Any) -> tuple[str, dict[str, Any]]:
    return (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])


def _variables(text: str) -> Iterator[str]:
    return (name.strip() for literal, name in _VARIABLE.findall(text) if not literal)


def _substitute(argument: Any, scope: Scope) -> str:
    text, variables = _substitution(argument)

    def value(match: re.Match[str]) -> str:
        literal, name = match[1], match[2].strip()
        if literal:
            return "${" + match[2] + "}"
        if name in variables:
            return str(_resolve(variables[name], scope))
        resource, _, attribute = name.partition(".")
        return str(scope.attribute(resource, attribute) if attribute else scope.ref(resource))

    return _VARIABLE.sub(value, text)
