"""The state folder: who may use it, and files in it that are never half written."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path


class StateInUseError(Exception):
    """Another local cloud runs on the same state folder."""


class StateFolder:
    """A folder that belongs to one running local cloud at a time.

    Everything in it is readable by its owner alone: it holds keys and pushed images.
    """

    def __init__(self, path: Path) -> None:
        """Create the folder if it is missing and take its lock.

        Raises:
            StateInUseError: another process holds the lock.
        """
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path.resolve()
        # The lock lives as long as the descriptor, so a killed owner leaves nothing to clean up.
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StateInUseError(
                f"{self.path} is used by another running local cloud; stop it, or choose a folder with STATE="
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def folder(self, name: str) -> Path:
        """A folder of this name inside the state, created if missing."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def write(self, name: str, value: Any) -> Path:
        """Store a JSON file, mode 0600, that a reader sees either whole or not at all."""
        return write_private(self.path / name, json.dumps(value, indent=2) + "\n")

    def read(self, name: str) -> Any:
        """The content of a JSON file, or None when it was never written."""
        try:
            return json.loads((self.path / name).read_text("utf-8"))
        except FileNotFoundError:
            return None


def write_private(target: Path, text: str) -> Path:
    """Replace a file atomically; only the owner may read it."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return target
