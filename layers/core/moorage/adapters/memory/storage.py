"""An object store in memory."""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from urllib.parse import quote

from moorage.domain.errors import DigestMismatch, Unavailable, WriteConflict
from moorage.ports import ObjectHead, Part, PresignedRequest

_PIECE = 1024 * 1024


class MemoryStorage:
    """The port ``ObjectStore``; ``host`` is the host name in its URLs."""

    def __init__(self, host: str = "storage.invalid") -> None:
        self._host = host
        self._storage_lock = threading.RLock()
        self._contents: dict[str, bytes] = {}
        self._without_checksum: set[str] = set()
        self._encodings: dict[str, str] = {}
        self._uploads: dict[tuple[str, str], dict[int, bytes]] = {}
        self._upload_ids = itertools.count(1)

    def put(self, key: str, content: bytes) -> None:
        """Store or replace."""
        with self._storage_lock:
            self._contents[key] = bytes(content)
            self._without_checksum.discard(key)
            self._encodings.pop(key, None)

    def put_without_checksum(self, key: str, content: bytes) -> None:
        """For tests: an object as another program may have stored it."""
        with self._storage_lock:
            self.put(key, content)
            self._without_checksum.add(key)

    def take_copy(self, key: str, source: MemoryStorage, source_key: str) -> bool:
        """Store a copy of an object of this store or another, with what that knows of it; False if there is
        none.
        """
        with source._storage_lock:
            content = source._contents.get(source_key)
            known = source_key not in source._without_checksum
            encoding = source._encodings.get(source_key)
        if content is None:
            return False
        with self._storage_lock:
            (self.put if known else self.put_without_checksum)(key, content)
            if encoding is not None:
                self._encodings[key] = encoding
        return True

    def put_encoded(self, key: str, content: bytes, encoding: str) -> None:
        """For tests: an object that the store will call encoded."""
        with self._storage_lock:
            self.put(key, content)
            self._encodings[key] = encoding

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
            sha256 = hashlib.sha256(content).hexdigest() if known else None
            return ObjectHead(len(content), sha256, self._encodings.get(key))

    def list_keys(self, prefix: str, limit: int) -> Sequence[str]:
        """Keys in order."""
        with self._storage_lock:
            return sorted(key for key in self._contents if key.startswith(prefix))[: max(limit, 0)]

    def delete(self, keys: Collection[str]) -> None:
        """Remove."""
        with self._storage_lock:
            for key in keys:
                self._contents.pop(key, None)

    def read_range(self, key: str, start: int, size: int) -> bytes | None:
        """A part of the content."""
        content = self._contents.get(key)
        if content is None:
            return None
        if start + size > len(content):
            raise Unavailable("the object is shorter than that")
        return content[start : start + size]

    def presign_get(self, key: str) -> str:
        """A URL in the form of S3's, that nothing answers."""
        return self._url(key, "host")

    def presign_put(self, key: str, size: int, sha256: str) -> PresignedRequest:
        """A request that nothing answers; a test does what it stands for with ``put``."""
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        url = self._url(key, "content-length;host;if-none-match;x-amz-checksum-sha256")
        headers = {"Content-Length": str(size), "If-None-Match": "*", "x-amz-checksum-sha256": checksum}
        return PresignedRequest(url, headers)

    def begin_multipart(self, key: str) -> str:
        """Begin an upload in parts."""
        with self._storage_lock:
            upload_id = f"upload-{next(self._upload_ids)}"
            self._uploads[key, upload_id] = {}
            return upload_id

    def presign_part(self, key: str, upload_id: str, number: int, size: int) -> str:
        """A URL that nothing answers; a test does what it stands for with ``put_part``."""
        url = self._url(key, "content-length;host")
        return f"{url}&uploadId={upload_id}&partNumber={number}#{size}"

    def put_part(self, key: str, upload_id: str, number: int, content: bytes) -> None:
        """For tests: what a client does with the URL of a part."""
        with self._storage_lock:
            self._uploads[key, upload_id][number] = bytes(content)

    def take_part(self, key: str, upload_id: str, number: int, content: bytes) -> Part:
        """Store a part that is a copy."""
        with self._storage_lock:
            if (key, upload_id) not in self._uploads:
                raise WriteConflict("somebody else has ended the upload")
            self.put_part(key, upload_id, number, content)
            return _part(number, content)

    def list_parts(self, key: str, upload_id: str) -> Sequence[Part] | None:
        """The parts that are there."""
        with self._storage_lock:
            parts = self._uploads.get((key, upload_id))
            return None if parts is None else [_part(number, parts[number]) for number in sorted(parts)]

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> bool:
        """Make one object of the parts; of its content the store has no checksum."""
        with self._storage_lock:
            held = self._uploads.get((key, upload_id))
            if held is None or any(_part(part.number, held.get(part.number, b"")) != part for part in parts):
                return False
            del self._uploads[key, upload_id]
            self.put_without_checksum(key, b"".join(held[part.number] for part in parts))
            return True

    def unfinished_uploads(self, prefix: str) -> Sequence[tuple[str, str]]:
        """What is unfinished."""
        with self._storage_lock:
            return sorted(upload for upload in self._uploads if upload[0].startswith(prefix))

    def abort_multipart(self, key: str, upload_id: str) -> None:
        """Give up an upload."""
        with self._storage_lock:
            self._uploads.pop((key, upload_id), None)

    def _url(self, key: str, signed_headers: str) -> str:
        return (
            f"https://{self._host}/{quote(key)}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=600"
            f"&X-Amz-SignedHeaders={quote(signed_headers)}"
            f"&X-Amz-Signature={hashlib.sha256(key.encode()).hexdigest()}"
        )


def _part(number: int, content: bytes) -> Part:
    return Part(number, len(content), f'"{hashlib.sha256(content).hexdigest()}"')
