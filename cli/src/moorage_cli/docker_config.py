"""The files in which docker, podman and their kind keep logins: a helper put in, secrets taken out."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moorage_cli.docker_hosts import Address
from moorage_cli.errors import CliError, Misused
from moorage_cli.storage import locked, replace_file

HELPER = "moorage"
"""What stands in the files; the program is ``docker-credential-moorage``."""

_SECRETS = frozenset({"auth", "identitytoken", "password", "registrytoken"})
_PRIVATE_FILE = 0o600
# Not the one of the folder's own files, which are changed while this one is held.
_LOCK = ".docker-config.lock"


def login_files(environment: Mapping[str, str], folder: Path | None = None) -> list[Path]:
    """The files that clients look for logins in, whether they are there or not.

    With ``folder`` that is its ``config.json`` alone. Else it is docker's, and those of podman, skopeo and
    buildah: the one that ``REGISTRY_AUTH_FILE`` names, or the one that is gone after a restart, to which
    ``podman login`` writes, and the lasting one.
    """
    if folder is not None:
        return [folder / "config.json"]
    home = Path(environment.get("HOME") or Path.home())
    files = [Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"]
    if named := environment.get("REGISTRY_AUTH_FILE"):
        files.append(Path(named))
    else:
        runtime = Path(environment.get("XDG_RUNTIME_DIR") or "/nonexistent")
        if sys.platform == "linux" and runtime.is_absolute() and runtime.is_dir():
            files.append(runtime / "containers" / "auth.json")
        # These programs do not look for it in XDG_CONFIG_HOME on other systems.
        base = environment.get("XDG_CONFIG_HOME") if sys.platform == "linux" else None
        files.append(Path(base or home / ".config") / "containers" / "auth.json")
    return list(dict.fromkeys(files))


@dataclass(slots=True)
class LoginFile:
    """A file of logins, as it was read and as it is to be written. ``removed`` are logins with a secret that
    were taken out, by the names that they had; ``replaced`` is the helper that was there before.
    """

    path: Path
    document: dict[str, Any]
    _before: dict[str, Any]
    removed: list[str]
    replaced: str | None = None

    @classmethod
    def read(cls, path: Path) -> LoginFile:
        """The file at ``path``, empty if there is none.

        Raises:
            CliError: it cannot be read, or is no file of logins.
        """
        document = _parsed(path)
        return cls(path, document, deepcopy(document), [])

    @property
    def changed(self) -> bool:
        """Whether there is something to write."""
        return self.document != self._before

    def put_helper(self, host: str, org: str) -> None:
        """Let clients ask the helper for ``host``; what secrets are there for it, or for ``org``, go."""
        helpers = self.document.setdefault("credHelpers", {})
        if (before := helpers.get(host)) != HELPER:
            self.replaced = str(before) if before else None
            helpers[host] = HELPER
        logins = self.document.get("auths", {})
        stale = [key for key, login in logins.items() if _is_about(key, host, org) and _holds_secret(login)]
        for key in stale:
            del logins[key]
        self.removed.extend(stale)

    def take_helper(self, host: str) -> None:
        """Let clients ask the helper for ``host`` no more."""
        helpers = self.document.get("credHelpers", {})
        if helpers.get(host) != HELPER:
            return
        del helpers[host]
        if not helpers:
            del self.document["credHelpers"]
        # docker leaves an entry without a secret where a helper has one.
        logins = self.document.get("auths", {})
        if host in logins and not _holds_secret(logins[host]):
            del logins[host]

    def write(self) -> None:
        """Replace the file, at once or not at all. It keeps its mode and owner; a new one is private.

        Raises:
            CliError: it cannot be written; what was there before is still there.
        """
        if not self.changed:
            return
        text = json.dumps(self.document, indent="\t", ensure_ascii=False)
        try:
            # A link to a file elsewhere stays one.
            path = self.path.resolve()
            content = f"{text}\n".encode("utf-8", "surrogatepass")
            replace_file(path, content, lambda draft: _take_over(path, draft))
        except OSError as error:
            raise CliError(f"{self.path} cannot be written: {error.strerror}") from error
        self._before = deepcopy(self.document)


@contextlib.contextmanager
def held(folder: Path, paths: Iterable[Path]) -> Iterator[list[LoginFile]]:
    """All of these files, read before any is written. Meanwhile no other command with the settings in
    ``folder`` has them, which would write them without what is changed here.

    Raises:
        CliError: one cannot be read, or is no file of logins.
    """
    with locked(folder, _LOCK):
        yield [LoginFile.read(path) for path in paths]


def _parsed(path: Path) -> dict[str, Any]:
    advice = "repair it, or move it away"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from error
    if not content.strip():
        return {}
    try:
        document = json.loads(content)
    except ValueError as error:
        raise CliError(f"{path} is not valid JSON", advice) from error
    if not isinstance(document, dict):
        raise CliError(f"{path} does not hold a JSON object", advice)
    for name in ("auths", "credHelpers"):
        # An empty one is null in files that programs have written.
        if document.get(name, {}) is None:
            del document[name]
        if not isinstance(document.get(name, {}), dict):
            raise CliError(f"{name} in {path} is no JSON object", advice)
    return document


def _is_about(key: str, host: str, org: str) -> bool:
    """Whether a login of this name is one for ``host``, or for the organisation at it."""
    try:
        address = Address.parse(key)
    except Misused:
        return False
    if host not in address.hosts:
        return False
    return address.org in {None, "v1", "v2"} or ("://" not in key and address.org == org)


def _holds_secret(login: Any) -> bool:
    return isinstance(login, dict) and any(login.get(name) for name in _SECRETS)


def _take_over(path: Path, draft: Path) -> None:
    """Give ``draft`` the mode of ``path``, and its owner where that is allowed."""
    try:
        old = path.stat()
    except FileNotFoundError:
        draft.chmod(_PRIVATE_FILE)
        return
    if sys.platform != "win32":
        with contextlib.suppress(PermissionError):
            os.chown(draft, old.st_uid, old.st_gid)
    draft.chmod(stat.S_IMODE(old.st_mode))
