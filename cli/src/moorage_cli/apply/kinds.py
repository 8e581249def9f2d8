"""The kinds that files can have: in which order they are written, and what becomes of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moorage_cli.editing import READ_ONLY
from moorage_cli.kinds import GROUP, GVC, IDENTITY, ORG, POLICY, SERVICE_ACCOUNT, USER
from moorage_cli.nouns import Json, Noun

_PULL = "identityPull"


@dataclass(frozen=True, slots=True)
class AppliedKind:
    """A kind. ``shape`` is the path in the registry's own description that a body is checked by. What is
    ``standing`` can be changed but not made here, and the text says how it is made. ``defaults`` are what its
    own fields are where nothing is said; ``kept`` are fields that stay as they are where nothing is said.
    """

    noun: Noun
    shape: str
    standing: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()

    @property
    def read_only(self) -> frozenset[str]:
        """Fields that the registry sets."""
        return READ_ONLY | self.noun.fixed

    def canonical(self, name: str) -> str:
        """The name as the registry writes it."""
        if self.noun.kind == "user":
            return name.lower()
        if self.noun.kind == "image" and not any(mark in name.rpartition("/")[2] for mark in ":@"):
            return f"{name}:latest"
        return name

    def writable(self, content: Json) -> Json:
        """What of a resource may be written."""
        return {key: value for key, value in content.items() if key not in self.read_only}


_IMAGE = Noun(
    "image",
    "images",
    (),
    forced=False,
    fixed=frozenset(
        (
            *("repository", "tag", "digest", "manifest", "mediaType", "size", "platforms"),
            *("pushed", "pushedBy", "description"),
        )
    ),
)

# In this order: what others name comes before them.
KINDS: Mapping[str, AppliedKind] = {
    row.noun.kind: row
    for row in (
        AppliedKind(
            ORG,
            "/org/{org}",
            standing="make it with 'moorage org create'",
            defaults={_PULL: True, "immutableTags": []},
            kept=frozenset({"store"}),
        ),
        AppliedKind(GVC, "/org/{org}/gvc"),
        AppliedKind(USER, "/org/{org}/user/{name}", standing="bring them in with 'moorage user invite'"),
        AppliedKind(SERVICE_ACCOUNT, "/org/{org}/serviceaccount"),
        AppliedKind(GROUP, "/org/{org}/group", defaults={"memberLinks": [], "memberQuery": None}),
        AppliedKind(IDENTITY, "/org/{org}/gvc/{gvc}/identity", defaults={"trust": []}),
        AppliedKind(
            POLICY,
            "/org/{org}/policy",
            defaults={"target": None, "targetLinks": [], "targetQuery": None, "bindings": []},
        ),
        AppliedKind(_IMAGE, "/org/{org}/image", standing="push it"),
    )
}
