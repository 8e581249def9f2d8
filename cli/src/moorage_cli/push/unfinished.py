"""What is kept of a push that has not ended yet, so that the same push goes on where it broke off: the ids of
its uploads, which are of use to nobody without a token of the one who began them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Any, Self

from moorage_cli.errors import CliError
from moorage_cli.storage import open_lock, read_document, take_lock, write_document

_FORMAT = 1
_FOLDER = "pushes"
# The registry forgets an upload after 18 hours.
_LIFETIME_SECONDS = 24 * 3600
# Sending less again is cheaper than remembering it.
_WORTH_KEEPING = 4 * 1024 * 1024


class Unfinished:
    """The uploads to one repository that were begun, by digest. While another push to it keeps its own, this
    one keeps nothing. Any thread may change it; every change is on the disk at once.
    """

    def __init__(self, folder: Path, endpoint: str, repository: str) -> None:
        name = hashlib.sha256(f"{endpoint}\n{repository}".encode()).hexdigest()[:32]
        self._folder = folder / _FOLDER
        self._file = self._folder / f"{name}.json"
        self._lock_file = self._folder / f"{name}.lock"
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._uploads: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            # A folder that cannot be written costs the resuming and not the push.
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._forget_old()
            self._descriptor = _locked(self._lock_file)
        if self._descriptor is not None:
            self._uploads = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            if not self._uploads:
                self._lock_file.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def find(self, digest: str) -> tuple[str, bool] | None:
        """The upload that was begun for a blob, and whether all of it was stored; None if there is none."""
        with self._lock:
            found = self._uploads.get(digest)
        return None if found is None else (str(found["id"]), bool(found.get("stored")))

    def keep(self, digest: str, size: int, upload: str, *, stored: bool = False) -> None:
        """Remember the upload of a blob, unless it is so small that this would not pay."""
        if size >= _WORTH_KEEPING:
            self._change(digest, {"id": upload, "stored": stored, "at": int(time.time())})

    def forget(self, *digests: str) -> None:
        """There is nothing to go on with for these blobs; those of other images stay."""
        with self._lock:
            known = self._uploads.keys() & set(digests)
            for digest in known:
                del self._uploads[digest]
            if known and self._descriptor is not None:
                self._save()

    def _change(self, digest: str, upload: dict[str, Any]) -> None:
        if self._descriptor is None:
            return
        with self._lock:
            self._uploads[digest] = upload
            self._save()

    def _save(self) -> None:
        # A push that cannot be resumed is still a push.
        with contextlib.suppress(CliError, OSError):
            if self._uploads:
                write_document(self._file, {"v": _FORMAT, "uploads": self._uploads})
            else:
                self._file.unlink(missing_ok=True)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            document = read_document(self._file)
        except CliError:
            return {}
        uploads = document.get("uploads")
        if document.get("v") != _FORMAT or not isinstance(uploads, dict):
            return {}
        return {
            digest: upload
            for digest, upload in uploads.items()
            if isinstance(upload, dict) and str(upload.get("id", "")).isalnum() and _is_young(upload)
        }

    def _forget_old(self) -> None:
        for file in self._folder.iterdir():
            # Another push may take it away at the same time.
            with contextlib.suppress(OSError):
                if time.time() - file.stat().st_mtime > _LIFETIME_SECONDS:
                    file.unlink(missing_ok=True)


def _is_young(upload: dict[str, Any]) -> bool:
    at = upload.get("at")
    return isinstance(at, int) and time.time() - at <= _LIFETIME_SECONDS


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock of a file, or None if another process holds it."""
    descriptor = open_lock(path)
    try:
        take_lock(descriptor, wait=False)
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            # By its path, since Windows knows no other way.
            os.utime(path)
            return descriptor
    except OSError:
        pass
    # Somebody has it, or had it and removed it in between.
    os.close(descriptor)
    return None
