"""What a route of the registry gets: the authorised call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from moorage.domain.addresses import Address
from moorage.domain.digests import Digest
from moorage.domain.errors import DigestInvalid, QueryInvalid
from moorage.domain.names import Repository
from moorage.services.blobs import BlobAccess
from moorage.services.manifests import ManifestAccess
from moorage.services.referrers import Referrers
from moorage.services.uploads import Uploads
from moorage.services.verification import TokenVerification

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class RegistryServices:
    """The use cases behind ``/v2``, and the domain below which each organisation has a host, if any."""

    verification: TokenVerification
    blobs: BlobAccess
    uploads: Uploads
    manifests: ManifestAccess
    referrers: Referrers
    domain: str | None = None


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
