"""Everything that can go wrong in the registry, as one tree.

    RegistryError
    ├── InvalidInput
    │   ├── NameInvalid
    │   ├── TagInvalid
    │   ├── DigestInvalid
    │   │   └── DigestMismatch
    │   ├── QueryInvalid
    │   ├── SizeInvalid
    │   ├── BlobUploadInvalid
    │   ├── ManifestInvalid
    │   └── ManifestBlobUnknown
    ├── TooLarge
    │   ├── BlobTooLarge
    │   ├── BodyTooLarge
    │   ├── ManifestTooLarge
    │   └── TooManyTags
    ├── RangeNotSatisfiable
    │   ├── BlobRangeNotSatisfiable
    │   └── ChunkOutOfOrder
    ├── Unknown
    │   ├── NameUnknown
    │   ├── BlobUnknown
    │   ├── BlobUploadUnknown
    │   ├── ManifestUnknown
    │   └── EndpointUnknown
    ├── MethodUnsupported
    ├── Unauthorized
    │   ├── CredentialsInvalid
    │   └── TokenInvalid
    ├── Denied
    │   ├── TagImmutable
    │   └── ResourceProtected
    ├── AlreadyExists
    ├── VersionMismatch
    ├── Conflict
    │   └── InUse
    ├── NotFound
    └── Unavailable
        ├── Throttled
        ├── BeingVerified
        └── WriteConflict
            └── ReferenceGone

The HTTP status and the OCI code of each stand in one table, ``moorage.web.errors``.
"""

from __future__ import annotations

from typing import Any


class RegistryError(Exception):
    """The root: a message for the person at the client, and optional structured detail.

    Neither may carry secrets, storage keys or another organisation's names: both reach the client.
    """

    def __init__(self, message: str, *, detail: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class InvalidInput(RegistryError):
    """The request itself is wrong; repeating it cannot help."""


class NameInvalid(InvalidInput):
    """A repository or organisation name outside the grammar."""


class TagInvalid(InvalidInput):
    """A tag outside the grammar."""


class DigestInvalid(InvalidInput):
    """A digest that is malformed or of an algorithm the registry does not take."""


class DigestMismatch(DigestInvalid):
    """Content that does not have the digest it was sent under."""


class QueryInvalid(InvalidInput):
    """A query parameter that cannot be understood."""


class SizeInvalid(InvalidInput):
    """A body whose length is not the announced one."""


class BlobUploadInvalid(InvalidInput):
    """An upload request that contradicts itself or its session."""


class ManifestInvalid(InvalidInput):
    """A manifest that is not one of the types it claims to be."""


class ManifestBlobUnknown(InvalidInput):
    """A manifest that names content which its repository does not hold."""


class TooLarge(RegistryError):
    """Something over a limit; the message says what to do instead."""


class BlobTooLarge(TooLarge):
    """A blob over what this way of uploading can take."""


class BodyTooLarge(TooLarge):
    """A request body over what one request can carry."""


class ManifestTooLarge(TooLarge):
    """A manifest over 4 MiB."""


class TooManyTags(TooLarge):
    """More tags in one manifest push than one request takes."""


class RangeNotSatisfiable(RegistryError):
    """A byte range that does not fit what is there."""


class BlobRangeNotSatisfiable(RangeNotSatisfiable):
    """A ``Range`` of a pull that no byte of the blob lies in; ``size`` is the blob's length in bytes."""

    def __init__(self, message: str, *, size: int) -> None:
        super().__init__(message)
        self.size = size


class ChunkOutOfOrder(RangeNotSatisfiable):
    """A chunk that does not begin where the upload stands; ``offset`` is the number of bytes received."""

    def __init__(self, message: str, *, offset: int) -> None:
        super().__init__(message, detail={"received": offset})
        self.offset = offset


class Unknown(RegistryError):
    """What was asked for is not there, or not for this caller: both look alike."""


class NameUnknown(Unknown):
    """A repository that does not exist."""


class BlobUnknown(Unknown):
    """A blob that this repository does not hold."""


class BlobUploadUnknown(Unknown):
    """An upload session that does not exist, has ended, or is somebody else's."""


class ManifestUnknown(Unknown):
    """A manifest or tag that this repository does not hold."""


class EndpointUnknown(Unknown):
    """A path that is no endpoint of the registry."""


class MethodUnsupported(RegistryError):
    """A known path with a method it does not take."""


class Unauthorized(RegistryError):
    """The caller has to present (other) credentials."""


class CredentialsInvalid(Unauthorized):
    """A user name, key or grant that proves nobody."""


class TokenInvalid(Unauthorized):
    """A bearer token that is malformed, expired, not yet valid or not signed by this registry."""


class Denied(RegistryError):
    """The caller is known and may not do this."""


class TagImmutable(Denied):
    """A tag that must not move, because its organisation says so: nobody may, whatever their permissions."""


class AlreadyExists(RegistryError):
    """A resource of that name exists already."""


class ResourceProtected(Denied):
    """A resource that must not be deleted or changed as things are: nobody may, whatever their
    permissions.
    """


class Conflict(RegistryError):
    """What is stored does not allow the change, whoever asks; nothing was written."""


class InUse(Conflict):
    """A resource that others name, or that holds others, and that is therefore kept."""


class VersionMismatch(RegistryError):
    """A change of a version that is not the present one; nothing was written."""


class NotFound(RegistryError):
    """A resource of the management side does not exist."""


class Unavailable(RegistryError):
    """A dependency failed: try again after ``retry_after`` seconds. Never a reason to allow anything."""

    retry_after: int = 5


class Throttled(Unavailable):
    """A dependency asked for fewer requests."""

    retry_after = 2


class BeingVerified(Unavailable):
    """What was stored is still being hashed, because the store has no checksum that proves it."""

    retry_after = 10


class WriteConflict(Unavailable):
    """Too many writers at the same item; the request may simply be repeated."""

    retry_after = 1


class ReferenceGone(WriteConflict):
    """A link was not written because its reference had been removed with an older link meanwhile."""
