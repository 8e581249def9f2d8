"""An object store in memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from urllib.parse import quote

from moorage.domain.errors import DigestMismatch, Unavailable
from moorage.ports import ObjectHead

_PIECE = 1024 * 1024


class MemoryStorage:
    """The port ``Storage``."""

    def __init__(self) -> None:
        self._storage_lock = threading.RLock()
        self._contents: dict[str, bytes] = {}
        self._without_checksum: set[str] = set()

    def put(self, key: str, content: bytes) -> None:
        """Store or replace."""
        with self._storage_lock:
            self._contents[key] = bytes(content)
            self._without_checksum.discard(key)

    def put_without_checksum(self, key: str, content: bytes) -> None:
        """For tests: an object as another program may have stored it."""
        with self._storage_lock:
            self.put(key, content)
            self._without_checksum.add(key)

    def put_once(self, key: str, content: Iterable[bytes], size: int, sha256: str) -> bool:
        """Store under a free key."""
        received = bytearray()
        for piece in content:
            received += piece
            if len(received) > size:
                break
        if len(received) != size:
            raise Unavailable("the content was not as long as announced; nothing was stored")
        with self._storage_lock:
            if key in self._contents:
                return False
            if hashlib.sha256(received).hexdigest() != sha256:
                raise DigestMismatch("the content does not have the digest it was sent under")
            self.put(key, bytes(received))
            return True

    def read(self, key: str) -> Iterator[bytes] | None:
        """The content in pieces."""
        content = self._contents.get(key)
        if content is None:
            return None
        return (content[start : start + _PIECE] for start in range(0, len(content), _PIECE))

    def head(self, key: str) -> ObjectHead | None:
        """Size and checksum."""
        with self._storage_lock:
            content = self._contents.get(key)
            if content is None:
                return None
            known = key not in self._without_checksum
            return ObjectHead(len(content), hashlib.sha256(content).hexdigest() if known else None)

    def list_keys(self, prefix: str, limit: int) -> Sequence[str]:
        """Keys in order."""
        with self._storage_lock:
            return sorted(key for key in self._contents if key.startswith(prefix))[: max(limit, 0)]

    def delete(self, keys: Collection[str]) -> None:
        """Remove."""
        with self._storage_lock:
            for key in keys:
                self._contents.pop(key, None)

    def presign_get(self, key: str) -> str:
        """A URL in the form of S3's, that nothing answers."""
        return (
            f"https://storage.invalid/{quote(key)}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=600"
            f"&X-Amz-SignedHeaders=host&X-Amz-Signature={hashlib.sha256(key.encode()).hexdigest()}"
        )
