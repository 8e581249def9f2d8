"""Writes with their conditions, alone or as parts of a transaction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moorage.adapters.dynamodb.rows import Row, to_item
from moorage.adapters.keys import Key

# In all expressions attributes are named #attribute, so that no reserved word matters, and values :value.
ABSENT = "attribute_not_exists(#pk)"
PRESENT = "attribute_exists(#pk)"

_NAME = re.compile(r"#(\w+)")


@dataclass(frozen=True, slots=True)
class Write:
    """One action on one row; ``kind`` is DynamoDB's name of it in a transaction."""

    kind: str
    target: dict[str, Any]
    expressions: dict[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    def parameters(self, table: str) -> dict[str, Any]:
        """What DynamoDB takes, both alone and inside a transaction."""
        return {
            "TableName": table,
            **self.target,
            **self.expressions,
            **names_and_values(" ".join(self.expressions.values()), self.values),
            **(
                {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
                if "ConditionExpression" in self.expressions
                else {}
            ),
        }


def names_and_values(expressions: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The two parameters that explain the names and values in expressions."""
    names = {f"#{name}": name for name in _NAME.findall(expressions)}
    parameters: dict[str, Any] = {}
    if names:
        parameters["ExpressionAttributeNames"] = names
    if values:
        parameters["ExpressionAttributeValues"] = to_item(
            {f":{name}": value for name, value in values.items()}
        )
    return parameters


def _condition(condition: str) -> dict[str, str]:
    return {"ConditionExpression": condition} if condition else {}


def put(row: Row, condition: str = "", **values: Any) -> Write:
    """Write a whole row."""
    return Write("Put", {"Item": to_item(row)}, _condition(condition), values)


def update(key: Key, change: str, condition: str = "", **values: Any) -> Write:
    """Change a row."""
    expressions = {"UpdateExpression": change, **_condition(condition)}
    return Write("Update", {"Key": to_item(key._asdict())}, expressions, values)


def delete(key: Key, condition: str = "", **values: Any) -> Write:
    """Remove a row."""
    return Write("Delete", {"Key": to_item(key._asdict())}, _condition(condition), values)


def check(key: Key, condition: str, **values: Any) -> Write:
    """Only look, inside a transaction."""
    return Write("ConditionCheck", {"Key": to_item(key._asdict())}, _condition(condition), values)
