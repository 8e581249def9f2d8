"""Rows: plain values here, typed attribute values in DynamoDB's JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from moorage.adapters.keys import VERSION, Index, Key

Row = dict[str, Any]
"""Attributes by name: text, whole numbers, bytes, booleans, lists and maps of them, sets of
text. No None, no floats."""

Value = dict[str, Any]
"""A value in DynamoDB's JSON: one pair, of its type and its content."""


def row(key: Key, kind: str, attributes: Mapping[str, Any], index: Index | None = None) -> Row:
    """A row with its key, ``type`` and ``v``; attributes that are None are left out."""
    present = {name: value for name, value in attributes.items() if value is not None}
    return {**key._asdict(), **(index._asdict() if index else {}), "type": kind, "v": VERSION, **present}


def resource(row_id: str, now: datetime, description: str = "") -> dict[str, Any]:
    """The attributes that everything managed has in common."""
    return {
        "id": row_id,
        "version": 1,
        "created": now.isoformat(),
        "last_modified": now.isoformat(),
        "description": description,
        "tags": {},
    }


def to_value(value: Any) -> Value:  # noqa: PLR0911
    """A value as DynamoDB takes it."""
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": base64.b64encode(value).decode()}
        case frozenset():
            return {"SS": sorted(value)}
        case list() | tuple():
            return {"L": [to_value(item) for item in value]}
        case Mapping():
            return {"M": {name: to_value(item) for name, item in value.items()}}
    raise TypeError(f"no row holds a {type(value).__name__}")


def from_value(value: Value) -> Any:
    """A value as DynamoDB gave it."""
    ((kind, content),) = value.items()
    match kind, content:
        case "N", str():
            return int(content)
        case "B", str():
            return base64.b64decode(content)
        case "SS", list():
            return frozenset(content)
        case "L", list():
            return [from_value(item) for item in content]
        case "M", dict():
            return {name: from_value(item) for name, item in content.items()}
    return content


def to_item(values: Mapping[str, Any]) -> dict[str, Value]:
    """A row, or expression values, as DynamoDB takes them."""
    return {name: to_value(value) for name, value in values.items()}


def from_item(item: Mapping[str, Value]) -> Row:
    """A row as DynamoDB gave it."""
    return {name: from_value(value) for name, value in item.items()}
