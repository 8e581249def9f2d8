"""Permissions: which each kind of resource has, what each is for, and what each implies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from moorage.domain.errors import InvalidInput
from moorage.domain.resources import Kind


class Permission(StrEnum):
    """What a policy can give; no kind has all of them."""

    ADD_KEY = "addKey"
    CREATE = "create"
    DELETE = "delete"
    EDIT = "edit"
    IMPERSONATE = "impersonate"
    INVITE = "invite"
    MANAGE = "manage"
    PULL = "pull"
    READ_AUDIT = "readAudit"
    VIEW = "view"
    WRITE_AUDIT = "writeAudit"


@dataclass(frozen=True, slots=True)
class PermissionInfo:
    """A permission of a kind: its meaning there, and what it implies in one step."""

    permission: Permission
    description: str
    implies: frozenset[Permission] = frozenset()


_VIEW = frozenset({Permission.VIEW})


def _table(plural: str, *special: PermissionInfo) -> tuple[PermissionInfo, ...]:
    """The five permissions that every kind has, and its ``special`` ones, which win; by name."""
    infos = {
        Permission.CREATE: PermissionInfo(Permission.CREATE, f"Make new {plural}"),
        Permission.DELETE: PermissionInfo(Permission.DELETE, f"Delete {plural}"),
        Permission.EDIT: PermissionInfo(Permission.EDIT, f"Change {plural} that exist", _VIEW),
        Permission.VIEW: PermissionInfo(Permission.VIEW, f"See {plural} and what is recorded of them"),
        **{info.permission: info for info in special},
    }
    names = frozenset({*infos, Permission.MANAGE})
    infos[Permission.MANAGE] = PermissionInfo(
        Permission.MANAGE, f"Do everything that can be done with {plural}", names
    )
    return tuple(infos[name] for name in sorted(infos))


_KINDS: Mapping[Kind, tuple[PermissionInfo, ...]] = MappingProxyType(
    {
        Kind.IMAGE: _table(
            "images",
            PermissionInfo(
                Permission.CREATE,
                "Push: store new images, and move existing tags to other content",
                frozenset({Permission.PULL}),
            ),
            PermissionInfo(Permission.EDIT, "Change the metadata tags of images", _VIEW),
            PermissionInfo(Permission.PULL, "Pull the content of images", _VIEW),
        ),
        Kind.POLICY: _table("policies"),
        Kind.ORG: _table(
            "the organisation",
            PermissionInfo(
                Permission.CREATE,
                "Nothing: organisations are made with the deployment's bootstrap credential",
            ),
            PermissionInfo(Permission.DELETE, "End the organisation, with everything in it"),
            PermissionInfo(Permission.EDIT, "Change the settings of the organisation", _VIEW),
            PermissionInfo(Permission.VIEW, "See the organisation and its settings"),
        ),
        Kind.USER: _table(
            "users",
            PermissionInfo(Permission.CREATE, "Nothing: people are brought in with the permission invite"),
            PermissionInfo(Permission.IMPERSONATE, "Act as another user"),
            PermissionInfo(Permission.INVITE, "Bring people into the organisation by their e-mail address"),
        ),
        Kind.GROUP: _table("groups"),
        Kind.SERVICE_ACCOUNT: _table(
            "service accounts",
            PermissionInfo(Permission.ADD_KEY, "Issue keys with which others act as the service account"),
        ),
        Kind.GVC: _table("groups of workloads"),
        Kind.IDENTITY: _table("machine identities"),
        Kind.AUDIT_CONTEXT: _table(
            "audit contexts",
            PermissionInfo(Permission.READ_AUDIT, "Read the events of an audit trail"),
            PermissionInfo(Permission.WRITE_AUDIT, "Add events to an audit trail"),
        ),
        Kind.QUOTA: _table("quotas"),
    }
)


def permissions_of(kind: Kind) -> tuple[PermissionInfo, ...]:
    """The permissions that resources of ``kind`` have, by name."""
    return _KINDS[kind]


def implied(kind: Kind) -> dict[Permission, frozenset[Permission]]:
    """What each permission of ``kind`` implies in one step; those that imply nothing are left out."""
    return {info.permission: info.implies for info in _KINDS[kind] if info.implies}


def parse_permission(kind: Kind, value: object, where: str) -> Permission:
    """The permission of ``kind`` with that exact name.

    Raises:
        InvalidInput: ``kind`` has no such permission; the message begins with ``where``.
    """
    for info in _KINDS[kind]:
        if info.permission.value == value and isinstance(value, str):
            return info.permission
    names = ", ".join(info.permission for info in _KINDS[kind])
    raise InvalidInput(f"{where} is no permission on {kind}; there are {names}")


@lru_cache(maxsize=1024)
def expand(kind: Kind, granted: frozenset[Permission]) -> frozenset[Permission]:
    """``granted`` with everything it implies on ``kind``, transitively; what the kind lacks is dropped."""
    steps = implied(kind)
    result = granted.intersection(info.permission for info in _KINDS[kind])
    while True:
        wider = result.union(*(steps.get(permission, frozenset()) for permission in result))
        if wider == result:
            return result
        result = wider
