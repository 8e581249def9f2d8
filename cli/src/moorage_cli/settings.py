"""What a command works with: of a flag, the environment and the profile, the first that says something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage_cli.endpoints import parse_endpoint
from moorage_cli.profiles import Profile, Profiles


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a command goes. ``token`` is a key or bearer token that was given, not one of the profile."""

    profile: Profile | None = None
    endpoint: str | None = None
    org: str | None = None
    insecure: bool = False
    token: str | None = None

    @property
    def profile_serves(self) -> bool:
        """Whether the profile's key is for this endpoint: it goes to no other."""
        return self.profile is not None and self.profile.endpoint == self.endpoint


def _accepts_insecure(flag: Any, written: str | None, profile: Profile | None) -> bool:
    """What the flag says, else what the profile accepts of its own registry: that is for no other one."""
    if flag is not None:
        return bool(flag)
    if profile is None or written is None or not profile.insecure:
        return False
    return parse_endpoint(written, insecure=True) == profile.endpoint


def resolve(flags: Mapping[str, Any], environment: Mapping[str, str], profiles: Profiles) -> Settings:
    """The settings that flags, variables and profiles give together. An empty variable is not set.

    Raises:
        NotFound: a profile is named that there is not.
        Misused: the endpoint is none, or would have the key sent in clear text.
    """

    def first(name: str) -> str | None:
        return flags.get(name) or environment.get(f"MOORAGE_{name.upper()}") or None

    named = first("profile") or profiles.default
    profile = profiles.find(named) if named else None
    written = first("endpoint") or (profile.endpoint if profile else None)
    insecure = _accepts_insecure(flags.get("insecure"), written, profile)
    return Settings(
        profile=profile,
        endpoint=parse_endpoint(written, insecure=insecure) if written else None,
        org=first("org") or (profile.org if profile else None),
        insecure=insecure,
        token=first("token"),
    )
