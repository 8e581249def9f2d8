"""What a route of the registry gets: the authorised call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moorage.domain.addresses import Address
from moorage.domain.digests import Digest
from moorage.domain.errors import BlobUploadUnknown, DigestInvalid, QueryInvalid
from moorage.domain.names import Repository
from moorage.services.blobs import BlobAccess
from moorage.services.deletions import Deletions
from moorage.services.manifests import ManifestAccess
from moorage.services.presigned_uploads import PresignedUploads
from moorage.services.referrers import Referrers
from moorage.services.streamed_uploads import StreamedUploads
from moorage.services.upload_signing import UploadSigning
from moorage.services.uploads import Uploads
from moorage.services.verification import TokenVerification
from moorage.web.origin import Entrance

if TYPE_CHECKING:
    from starlette.requests import Request


DIGEST_HEADER = "Docker-Content-Digest"

_SESSION_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RegistryServices:
    """The use cases behind ``/v2``, and how clients come in. Without ``signing``, uploads go through the API
    or are presigned; without ``streamed``, so do those of clients that send a PATCH.
    """

    verification: TokenVerification
    blobs: BlobAccess
    uploads: Uploads
    presigned: PresignedUploads
    manifests: ManifestAccess
    deletions: Deletions
    referrers: Referrers
    entrance: Entrance
    signing: UploadSigning | None = None
    streamed: StreamedUploads | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose token grants what its route needs, on ``repository``."""

    request: Request
    body: bytes
    address: Address
    repository: Repository
    principal: str
    services: RegistryServices

    @property
    def name(self) -> str:
        """The repository as the client calls it."""
        return self.address.name_of(self.repository)

    def path(self, suffix: str) -> str:
        """A path of this repository as the client addresses it; relative, so it cannot name a wrong host."""
        return f"/v2/{self.name}/{suffix}"

    def path_digest(self) -> Digest:
        """The digest in the path.

        Raises:
            DigestInvalid: it is malformed.
        """
        return Digest.parse(self.request.path_params["digest"])

    def path_session(self) -> str:
        """The upload session in the path, which is repeated in headers and keys only when it has the form of
        ours.

        Raises:
            BlobUploadUnknown: it has not.
        """
        session_id: str = self.request.path_params["session"]
        if not _SESSION_ID.fullmatch(session_id):
            raise BlobUploadUnknown("the upload does not exist or has ended; begin it again")
        return session_id

    def blob_headers(self, digest: Digest) -> dict[str, str]:
        """What tells a client where the blob is that it has just brought."""
        return {"Location": self.path(f"blobs/{digest}"), DIGEST_HEADER: str(digest)}

    def query(self, name: str) -> str | None:
        """A query parameter that may be given once.

        Raises:
            DigestInvalid, QueryInvalid: given twice with different values.
        """
        values = set(self.request.query_params.getlist(name))
        if len(values) > 1:
            error = DigestInvalid if name in ("digest", "mount") else QueryInvalid
            raise error(f"the parameter {name} is given more than once")
        return values.pop() if values else None
