"""Object stores."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What the store says about an object. ``sha256`` (hexadecimal) only if it is of the whole content;
    ``encoding`` if the store will tell readers that they have to decode it.
    """

    size: int
    sha256: str | None
    encoding: str | None = None


class Storage(Protocol):
    """An object store."""

    def put(self, key: str, content: bytes) -> None:
        """Store a small object, replacing what is there."""

    def put_once(self, key: str, content: Iterable[bytes], size: int, sha256: str) -> bool:
        """Store an object of exactly ``size`` bytes under a key that must be free, in one streamed request;
        False when the key was taken (nothing was changed).

        Raises:
            DigestMismatch: the content has another SHA-256; nothing was stored.
            Unavailable: also when the content is not of that size; nothing was stored.

        """

    def read(self, key: str) -> Iterator[bytes] | None:
        """The content in pieces, or None if there is no such object."""

    def head(self, key: str) -> ObjectHead | None:
        """Size and checksum, or None if there is no such object."""

    def list_keys(self, prefix: str, limit: int) -> Sequence[str]:
        """Up to ``limit`` keys that begin with ``prefix``, in order."""

    def delete(self, keys: Collection[str]) -> None:
        """Remove objects; those that are not there do not matter."""

    def read_range(self, key: str, start: int, size: int) -> bytes | None:
        """``size`` bytes from ``start`` on, all of which are there, or None if there is no such object.

        Raises:
            Unavailable: also when fewer bytes came.

        """

    def presign_get(self, key: str) -> str:
        """A URL that serves the object's bytes for a few minutes, to GET requests only."""

    def presign_put(self, key: str, size: int, sha256: str) -> PresignedRequest:
        """A permission to store, for an hour and once, content of that size and SHA-256 and no other."""


@dataclass(frozen=True, slots=True)
class PresignedRequest:
    """A request that whoever holds it may send: to this URL, with exactly these headers."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart upload that the store has. ``etag`` is the store's own name for its content."""

    number: int
    size: int
    etag: str


class MultipartStorage(Protocol):
    """An object store that takes an object in parts."""

    def begin_multipart(self, key: str) -> str:
        """Begin an upload of an object in parts; its id."""

    def presign_part(self, key: str, upload_id: str, number: int, size: int) -> str:
        """A URL that a part of that size can be PUT to for an hour."""

    def list_parts(self, key: str, upload_id: str) -> Sequence[Part] | None:
        """The parts that are there, by number; None if there is no such upload (any more)."""

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> bool:
        """Make one object of the parts; False if there is no such upload (any more), or a part is another
        now.
        """

    def unfinished_uploads(self, prefix: str) -> Sequence[tuple[str, str]]:
        """Keys and ids of the uploads below ``prefix`` that were neither completed nor given up."""

    def abort_multipart(self, key: str, upload_id: str) -> None:
        """Give up an upload and its parts; one that is not there does not matter."""


class ObjectStore(Storage, MultipartStorage, Protocol):
    """A store with all that can be asked of it."""


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """Where an object lies: the name of its store, and its key there."""

    store: str
    key: str


class Stores(Protocol):
    """The object stores of a deployment, by the names that rows have."""

    def __getitem__(self, name: str) -> ObjectStore:
        """The store of that name; no request is sent before it is used.

        Raises:
            Unavailable: the deployment has none of that name (any more).
        """

    def names(self) -> Collection[str]:
        """The names of all of them."""

    def copy_object(self, source: ObjectPlace, target: ObjectPlace) -> bool:
        """Copy an object of at most 5 GiB without its bytes passing here, replacing what is there; False if
        there is no source. Whether the store then knows the SHA-256 of the copy, ``head`` tells.
        """

    def copy_part(
        self, source: ObjectPlace, target: ObjectPlace, upload_id: str, number: int, start: int, size: int
    ) -> Part | None:
        """Make ``size`` bytes of an object from ``start`` on a part of an upload to ``target``, likewise;
        None if there is no source.

        Raises:
            WriteConflict: there is no such upload (any more): somebody has ended it.
        """
