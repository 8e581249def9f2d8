"""A naive evaluator of policies: over the JSON that a client sends, slowly, one sentence of the rules at a time.

It shares nothing with the engine, not even its tables.
"""

from __future__ import annotations

from typing import Any

from tests.policies.table import IMPLIED

YES, NO, MAYBE = "yes", "no", "maybe"


def implies(kind: str, bound: str, wanted: str) -> bool:
    """By walking from one permission to those that it implies."""
    if bound == wanted:
        return True
    onward = [each for each in IMPLIED[kind][bound] if each != bound]
    return any(implies(kind, each, wanted) for each in onward)


def full(link: str, org: str) -> str:
    link = f"/org/{org}/{link[2:]}" if link.startswith("//") else link
    link = link.replace("%2F", "/")
    head, _, last = link.rpartition("/")
    if "/user/" in link:
        return f"{head}/{last.lower()}"
    if "/image/" in link and ":" not in last and "@" not in last:
        return f"{link}:latest"
    return link


def links_of(resource: dict[str, Any]) -> list[str]:
    """All the links that name a resource; a repository has none."""
    org, kind = resource["org"], resource["kind"]
    if resource["level"] == "repository":
        return []
    known = resource["properties"]
    if kind == "image":
        name, tag, digest = known["repository"], known["tag"], known["digest"]
        endings = [f"{name}:{tag}", f"{name}:{tag}@{digest}", f"{name}@{digest}"]
        return [f"/org/{org}/image/{ending}" for ending in endings]
    if kind == "org":
        return [f"/org/{org}"]
    if kind == "identity":
        return [f"/org/{org}/gvc/{known['gvc']}/identity/{known['name']}"]
    return [f"/org/{org}/{kind}/{known['name']}"]


def text(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return float(value) if value.isdigit() else None
    return float(value)


def compare(op: str, held: Any, value: Any) -> bool:
    if isinstance(held, bool) or isinstance(value, bool):
        return False
    if isinstance(held, str) and isinstance(value, str):
        left: Any = held
        right: Any = value
    else:
        left, right = number(held), number(value)
        if left is None or right is None:
            return False
    return bool({">": left > right, ">=": left >= right, "<": left < right, "<=": left <= right}[op])


def like(held: str, pattern: str) -> bool:
    """Try every way to spread the text over the parts."""
    held, (first, *rest) = held.lower(), pattern.lower().split("*")
    starts = [at for at in range(len(held) + 1) if held.startswith(first, at)]
    return any(not rest or like(held[at + len(first) :], "*".join(rest)) for at in starts)


def term(each: dict[str, Any], resource: dict[str, Any]) -> str:
    op, value = each.get("op", "="), each.get("value")
    if "property" in each:
        held = resource["properties"].get(each["property"])
        if held is None and resource["level"] != "record":
            return MAYBE
    else:
        if resource["tags"] is None:
            return MAYBE
        held = resource["tags"].get(each["tag"])
    if op == "exists":
        result = held is not None
    elif op == "!exists":
        result = held is None
    elif held is None:
        result = op == "!="
    elif op in ("=", "!="):
        result = (text(held) == text(value)) == (op == "=")
    elif op == "~":
        result = like(text(held), text(value))
    elif op == "contains":
        result = text(value) in text(held)
    else:
        result = compare(op, held, value)
    return YES if result else NO


def selected_by_query(query: dict[str, Any], resource: dict[str, Any]) -> bool:
    spec = query["spec"]
    answers = [term(each, resource) for each in spec["terms"]]
    match spec.get("match", "all"):
        case "all":
            return all(answer == YES for answer in answers)
        case "any":
            return any(answer == YES for answer in answers)
        case _:
            return all(answer == NO for answer in answers)


def selects(policy: dict[str, Any], resource: dict[str, Any]) -> bool:
    if policy.get("target") == "all":
        return True
    org = resource["org"]
    if any(full(link, org) in links_of(resource) for link in policy.get("targetLinks", [])):
        return True
    return "targetQuery" in policy and selected_by_query(policy["targetQuery"], resource)


def allows(
    wanted: str,
    resource: dict[str, Any],
    principals: set[str],
    policies: list[tuple[str, dict[str, Any]]],
    *,
    identity_pull: bool = False,
) -> bool:
    """Whether somebody known by any of ``principals`` may do ``wanted``; a policy comes with its organisation."""
    for org, policy in policies:
        if org != resource["org"] or policy["targetKind"] != resource["kind"]:
            continue
        for binding in policy["bindings"]:
            names = {full(link, org) for link in binding["principalLinks"]}
            gives = any(implies(policy["targetKind"], bound, wanted) for bound in binding["permissions"])
            if names & principals and gives and selects(policy, resource):
                return True
    return (
        identity_pull
        and resource["kind"] == "image"
        and implies("image", "pull", wanted)
        and any(each.startswith(f"/org/{resource['org']}/gvc/") for each in principals)
    )
