"""The folder of settings, and files in it that only their owner can read."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from moorage_cli.errors import CliError

_PRIVATE_FOLDER = 0o700
_OTHERS = 0o077
_WRITABLE_BY_OTHERS = 0o022
_ABANDONED = 3600.0


def config_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """``MOORAGE_HOME``, or ``moorage`` in ``XDG_CONFIG_HOME``, or ``~/.config/moorage``."""
    if own := environment.get("MOORAGE_HOME"):
        return Path(own).expanduser()
    base = environment.get("XDG_CONFIG_HOME")
    # The specification says that a relative path there is to be ignored.
    if base and Path(base).is_absolute():
        return Path(base) / "moorage"
    return Path(environment.get("HOME") or Path.home()) / ".config" / "moorage"


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if there is no such file.

    Raises:
        CliError: the file cannot be read, or holds something else.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CliError(f"{path} is not valid JSON", "repair it, or remove it and log in again") from error
    if not isinstance(document, dict):
        raise CliError(f"{path} does not hold a JSON object", "repair it, or remove it and log in again")
    return document


def read_versioned(path: Path, version: int) -> dict[str, Any]:
    """The same of a file that says in ``v`` by which form of it to read it.

    Raises:
        CliError: see ``read_document``; or the form is another than ``version``.
    """
    document = read_document(path)
    if document.get("v", version) != version:
        raise CliError(f"{path} is of a newer version of this command", "update moorage-cli")
    return document


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a file, at once or not at all; only its owner can read it from its first byte on.

    Raises:
        CliError: it cannot be written; what was there before is still there.
    """
    try:
        replace_file(path, f"{json.dumps(document, indent=2)}\n".encode())
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror}") from error


def replace_file(path: Path, content: bytes, prepare: Callable[[Path], None] | None = None) -> None:
    """Put ``content`` in place of a file, at once or not at all. A draft of mode 0600 beside it has it first,
    which ``prepare`` may change; it goes whatever happens, or with the next call if it could not.
    """
    import tempfile  # noqa: PLC0415 - it brings compression along, and most commands write nothing

    path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    prefix = f".{path.name}.moorage-"
    _sweep(path.parent, prefix)
    handle, name = tempfile.mkstemp(prefix=prefix, dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if prepare is not None:
            prepare(draft)
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def _sweep(folder: Path, prefix: str) -> None:
    """Remove what commands that were killed have left; what is young may still be written."""
    for draft in folder.glob(f"{glob.escape(prefix)}*"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > _ABANDONED:
                draft.unlink()


def require_private(folder: Path) -> None:
    """Nothing, if nobody but its owner can change what is in a folder of settings.

    Raises:
        CliError: others can, and so might have keys sent elsewhere.
    """
    if sys.platform == "win32":
        return
    try:
        mode = folder.stat().st_mode
    except OSError:
        return
    if mode & _WRITABLE_BY_OTHERS:
        raise CliError(f"{folder} can be changed by others", f"run 'chmod go-w {folder}'")


def open_to_others(path: Path) -> bool:
    """Whether a file is there that somebody beside its owner may read or write."""
    if sys.platform == "win32":
        return False
    try:
        return bool(path.stat().st_mode & _OTHERS)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def locked(folder: Path, name: str = ".lock") -> Iterator[None]:
    """Keep other commands from changing files of ``folder`` meanwhile; or whatever else it is that they take
    the lock called ``name`` for. Who has it must not take it again.

    Raises:
        CliError: the folder cannot be written, or another command does not let go of the lock.
    """
    try:
        folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        descriptor = open_lock(folder / name)
    except OSError as error:
        raise CliError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        try:
            take_lock(descriptor, wait=True)
        except OSError as error:
            raise CliError(
                f"{folder} cannot be locked: {error.strerror}", "try again when no other command runs"
            ) from error
        yield
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """A descriptor of a file to lock, for ``take_lock``; programs that are started do not get it."""
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)


def take_lock(descriptor: int, *, wait: bool) -> None:
    """Lock a file until it is closed, as soon as nobody else has it locked; on Windows, within 10 seconds.

    Raises:
        OSError: somebody else has it, and is not waited for or does not let go.
    """
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415

        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        import fcntl  # noqa: PLC0415 - it is not there on Windows

        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
