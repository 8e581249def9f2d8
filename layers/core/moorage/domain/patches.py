"""Changes of a resource as a client writes them: JSON merge patch, and two operations on lists.

https://www.rfc-editor.org/rfc/rfc7396

An object is merged, a null removes, a list is replaced as a whole, except through two keys that name it:
``"$drop/FIELD": [NAME, ...]`` removes items, ``"$patch/FIELD": [{"name": NAME, ...}, ...]`` merges into them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moorage.domain.errors import InvalidInput

DROP = "$drop/"
PATCH = "$patch/"


def apply_patch(value: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """``value`` changed as ``patch`` says; neither is modified.

    Raises:
        InvalidInput: an operation on something that is no list of named items, on an item that is not there,
            or an operation that is unknown.
    """
    result = dict(value)
    for key, change in patch.items():
        if key.startswith(DROP):
            field = key.removeprefix(DROP)
            result[field] = _drop(field, result.get(field), change)
        elif key.startswith(PATCH):
            field = key.removeprefix(PATCH)
            result[field] = _merge_items(field, result.get(field), change)
        elif key.startswith("$"):
            raise InvalidInput(f"the operations on lists are {DROP}FIELD and {PATCH}FIELD")
        elif change is None:
            result.pop(key, None)
        elif isinstance(change, Mapping):
            before = result.get(key)
            result[key] = apply_patch(before if isinstance(before, Mapping) else {}, change)
        else:
            result[key] = change
    return result


def name_of(item: Any) -> str | None:
    """What an item of a list is called: its ``name``, or the item itself where that is a text."""
    if isinstance(item, Mapping):
        name = item.get("name")
        return name if isinstance(name, str) else None
    return item if isinstance(item, str) else None


def _drop(field: str, items: Any, names: Any) -> list[Any]:
    present = _list(field, items)
    if not _are_texts(names):
        raise InvalidInput(f"{DROP}{field} is a list of names")
    known = {name_of(item) for item in present}
    for name in names:
        if name not in known:
            raise InvalidInput(f"{DROP}{field} names an item that is not there")
    return [item for item in present if name_of(item) not in names]


def _merge_items(field: str, items: Any, changes: Any) -> list[Any]:
    present = _list(field, items)
    if not isinstance(changes, list) or not all(
        isinstance(each, Mapping) and name_of(each) is not None for each in changes
    ):
        raise InvalidInput(f"{PATCH}{field} is a list of objects with a name")
    for change in changes:
        places = [place for place, item in enumerate(present) if name_of(item) == name_of(change)]
        if len(places) != 1 or not isinstance(present[places[0]], Mapping):
            raise InvalidInput(f"{PATCH}{field} names an item that is not there")
        present[places[0]] = apply_patch(present[places[0]], change)
    return present


def _list(field: str, items: Any) -> list[Any]:
    if items is None:
        return []
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise InvalidInput(f"{field} is not a list")
    return list(items)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
