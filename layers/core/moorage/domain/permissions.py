"""Permissions on images, and what each implies."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """What a policy can give on images."""

    CREATE = "create"
    DELETE = "delete"
    EDIT = "edit"
    MANAGE = "manage"
    PULL = "pull"
    VIEW = "view"


IMPLIED: dict[Permission, frozenset[Permission]] = {
    Permission.CREATE: frozenset({Permission.PULL}),
    Permission.EDIT: frozenset({Permission.VIEW}),
    Permission.MANAGE: frozenset(Permission),
    Permission.PULL: frozenset({Permission.VIEW}),
}


def expand(granted: frozenset[Permission]) -> frozenset[Permission]:
    """``granted`` with everything it implies, transitively."""
    result = granted
    while True:
        wider = result.union(*(IMPLIED.get(permission, frozenset()) for permission in result))
        if wider == result:
            return result
        result = wider
