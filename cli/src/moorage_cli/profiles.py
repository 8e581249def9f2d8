"""Profiles: which registry and organisation a name stands for. Their keys are in ``secret_store``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moorage_cli.errors import CliError, Misused, NotFound
from moorage_cli.storage import locked, read_versioned, require_private, write_document

FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Profile:
    """A registry, an organisation in it, and whether plain HTTP and unverified certificates are accepted."""

    name: str
    endpoint: str
    org: str
    insecure: bool = False

    def to_json(self) -> dict[str, Any]:
        """As the file has it, below the name."""
        document: dict[str, Any] = {"endpoint": self.endpoint, "org": self.org}
        return {**document, "insecure": True} if self.insecure else document


@dataclass(frozen=True, slots=True)
class Profiles:
    """All profiles by name, and which is meant where none is named."""

    by_name: Mapping[str, Profile]
    default: str | None = None

    def find(self, name: str) -> Profile:
        """The profile of that name.

        Raises:
            NotFound: there is none.
        """
        if name not in self.by_name:
            raise NotFound(
                f"there is no profile {name!r}",
                f"'moorage profile list' shows them, 'moorage profile login {name}' makes it",
            )
        return self.by_name[name]

    def put(self, profile: Profile, *, default: bool = False) -> Profiles:
        """With ``profile`` in it; the first one, or one with ``default``, becomes the default."""
        chosen = profile.name if default or self.default is None else self.default
        return Profiles({**self.by_name, profile.name: profile}, chosen)

    def without(self, name: str) -> Profiles:
        """Without the profile of that name; if it was the default, there is none any more.

        Raises:
            NotFound: there is no such profile.
        """
        self.find(name)
        rest = {each: profile for each, profile in self.by_name.items() if each != name}
        return Profiles(rest, None if self.default == name else self.default)

    def with_default(self, name: str) -> Profiles:
        """With another default.

        Raises:
            NotFound: there is no such profile.
        """
        return replace(self, default=self.find(name).name)


class ProfileFile:
    """``profiles.json`` of a configuration folder. It holds no secrets, and only its owner can read it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "profiles.json"

    def load(self) -> Profiles:
        """What is in the file; no profiles if there is none.

        Raises:
            CliError: it cannot be read, others can change it, or it is of a newer version of this command.
        """
        require_private(self.folder)
        document = read_versioned(self._file, FORMAT)
        try:
            profiles = {
                name: Profile(name, str(each["endpoint"]), str(each["org"]), bool(each.get("insecure")))
                for name, each in document.get("profiles", {}).items()
            }
        except (AttributeError, KeyError, TypeError) as error:
            raise CliError(f"{self._file} is damaged", "repair it, or remove it and log in again") from error
        default = document.get("default")
        return Profiles(profiles, default if default in profiles else None)

    def change(self, change: Callable[[Profiles], Profiles]) -> Profiles:
        """Put ``change`` of what is there into the file, while no other command changes it; the result."""
        with locked(self.folder):
            changed = change(self.load())
            profiles = {name: each.to_json() for name, each in sorted(changed.by_name.items())}
            write_document(self._file, {"v": FORMAT, "default": changed.default, "profiles": profiles})
        return changed


def parse_profile_name(text: str) -> str:
    """``text``, if it can be the name of a profile.

    Raises:
        Misused: it cannot.
    """
    if not _NAME.fullmatch(text):
        raise Misused(
            f"{text!r} cannot be the name of a profile",
            "take up to 64 letters, digits, dots, hyphens and underscores",
        )
    return text
