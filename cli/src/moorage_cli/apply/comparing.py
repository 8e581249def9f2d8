"""Resources in one form, so that those which mean the same are the same."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any

from moorage_cli.apply.kinds import AppliedKind
from moorage_cli.documents import to_yaml
from moorage_cli.links import full_link
from moorage_cli.nouns import Json

_LINKS = ("targetLinks", "memberLinks")
_QUERIES = {"targetQuery": None, "memberQuery": "user"}


def normal(kind: AppliedKind, org: str, content: Json, current: Json | None = None) -> Json:
    """What of a resource is written, with full links, each once, and the defaults of queries, and without
    what is as if it were not there. ``current`` is what the registry has, for fields that stay as they are
    unless they are named.
    """
    fields = {"description": "", "tags": {}, **kind.defaults, **_present(kind.writable(content))}
    for name in kind.kept:
        if name not in fields and current is not None and name in current:
            fields[name] = current[name]
    for name in _LINKS:
        if name in fields:
            fields[name] = _links(org, fields[name])
    for name, about in _QUERIES.items():
        if isinstance(fields.get(name), dict):
            fields[name] = _query(fields[name], about or fields.get("targetKind"))
    if isinstance(fields.get("bindings"), list):
        fields["bindings"] = [_binding(org, each) for each in fields["bindings"]]
    if "immutableTags" in fields or "trust" in fields:
        fields |= {name: fields[name] or [] for name in ("immutableTags", "trust") if name in fields}
    return {
        name: value for name, value in fields.items() if value not in ("", None) and value not in ([], {})
    }


def same(one: Json, other: Json) -> bool:
    """Whether two are the same as JSON; to Python, 1 is True."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def difference(before: Json, after: Json, names: tuple[str, str]) -> list[str]:
    """A unified diff of two resources as YAML, without line ends."""
    old, new = (to_yaml(_ordered(each)).splitlines() if each else [] for each in (before, after))
    return list(difflib.unified_diff(old, new, *names, lineterm=""))


def _present(content: Json) -> Json:
    return {name: value for name, value in content.items() if value is not None}


def _links(org: str, links: Any) -> Any:
    if not isinstance(links, list):
        return links
    return list(dict.fromkeys(full_link(org, each) if isinstance(each, str) else each for each in links))


def _binding(org: str, binding: Any) -> Any:
    if not isinstance(binding, dict):
        return binding
    permissions = binding.get("permissions")
    return {
        **binding,
        "permissions": list(dict.fromkeys(permissions)) if isinstance(permissions, list) else permissions,
        "principalLinks": _links(org, binding.get("principalLinks")),
    }


def _query(query: Json, about: Any) -> Json:
    spec = query.get("spec") or {}
    terms = [_present({"op": "=", **term}) for term in spec.get("terms") or []]
    shown: Json = {"match": spec.get("match") or "all", "terms": terms}
    if spec.get("sort"):
        shown["sort"] = {"order": "asc", **spec["sort"]}
    return {"kind": query.get("kind") or about, "fetch": query.get("fetch") or "items", "spec": shown}


def _ordered(value: Any) -> Any:
    """Keys by name, but for those that say which resource it is."""
    if isinstance(value, dict):
        first: Sequence[str] = [key for key in ("name", "description", "tags") if key in value]
        rest = sorted(key for key in value if key not in first)
        return {key: _ordered(value[key]) for key in (*first, *rest)}
    if isinstance(value, list):
        return [_ordered(each) for each in value]
    return value
