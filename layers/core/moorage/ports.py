"""What the services need from the outside.

Every implementation, in memory or real, passes the contract tests of its port. All reads that a decision
rests on are strongly consistent. Whatever goes wrong in a dependency is raised as ``Unavailable``
(or its subclasses), never as the dependency's own exception.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from moorage.domain.blobs import BlobLink, StoredObject
from moorage.domain.digests import Digest
from moorage.domain.names import Repository
from moorage.domain.principals import KeyRecord, ServiceAccount
from moorage.domain.sessions import Chunk, UploadSession


class Clock(Protocol):
    """The time, in UTC."""

    def __call__(self) -> datetime:
        """Now."""


@dataclass(frozen=True, slots=True)
class RepositoryRecord:
    """A repository that exists. ``id`` is random, so one that is made anew shares nothing with the old."""

    repository: Repository
    id: str
    created: datetime


class Repositories(Protocol):
    """Which repositories exist."""

    def find_repository(self, repository: Repository) -> RepositoryRecord | None:
        """The record of ``repository``, or None."""

    def create_repository(self, record: RepositoryRecord) -> RepositoryRecord:
        """Record a repository, with its id as a second way to find it; the record that stands when another
        writer was first.
        """


@dataclass(frozen=True, slots=True)
class ManifestRecord:
    """A manifest of a repository. The content is in ``body`` or, when large, in the object ``body_key``."""

    digest: Digest
    media_type: str
    size: int
    pushed: datetime
    body: bytes | None = None
    body_key: str | None = None
    subject: Digest | None = None
    artifact_type: str | None = None


@dataclass(frozen=True, slots=True)
class Referrer:
    """A manifest that names ``subject``. ``descriptor`` is None when it is too large for its row: the
    reader then derives it from the manifest.
    """

    subject: Digest
    digest: Digest
    artifact_type: str
    descriptor: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ReferrerPage:
    """Some referrers, and where to go on (None at the end)."""

    referrers: Sequence[Referrer]
    next: str | None


class Manifests(Protocol):
    """Manifests, tags and referrers of repositories."""

    def find_manifest(self, repository: Repository, digest: Digest) -> ManifestRecord | None:
        """One strong read."""

    def find_manifests(
        self, repository: Repository, digests: Collection[Digest]
    ) -> Mapping[Digest, ManifestRecord]:
        """Those of ``digests`` that exist, without their content (``body`` and ``body_key`` are None)."""

    def put_manifest(
        self,
        repository: Repository,
        manifest: ManifestRecord,
        *,
        uses: Collection[Digest],
        referrer: Referrer | None,
    ) -> None:
        """Store a manifest and its referrer row together, after the rows that say which content it uses.
        Storing the same one again changes nothing that a reader sees, and keeps its tags.
        """

    def find_tag(self, repository: Repository, tag: str) -> Digest | None:
        """What ``tag`` points at: one strong read."""

    def put_tag(self, repository: Repository, tag: str, digest: Digest, now: datetime) -> None:
        """Point ``tag`` at a manifest. The image record behind the tag keeps its id and creation time, and
        its version grows by one when it moves; pointing it where it points already changes nothing.

        Raises:
            ManifestUnknown: the manifest is not there (any more).

        """

    def delete_tag(self, repository: Repository, tag: str) -> bool:
        """Remove the tag; whether it was there."""

    def delete_manifest(self, repository: Repository, digest: Digest) -> bool:
        """Remove the manifest's tags, then the manifest with its referrer row, then its other rows; whether
        it was there. At no moment, and after no crash, does a tag exist whose manifest does not.
        """

    def tags_after(self, repository: Repository, last: str | None, limit: int) -> Sequence[str]:
        """Up to ``limit`` tags in ASCII order, beginning after ``last``."""

    def tags_of(self, repository: Repository, digest: Digest) -> Sequence[str]:
        """Every tag that points at ``digest``, in ASCII order."""

    def users_of(self, repository: Repository, digest: Digest) -> Sequence[Digest]:
        """The manifests recorded as using a blob or child manifest (may name some that are gone)."""

    def referrers(
        self, repository: Repository, subject: Digest, *, artifact_type: str | None, after: str | None
    ) -> ReferrerPage:
        """A page of the manifests that name ``subject``, in a fixed order; of one artifact type if given. A
        page has at most 1 MB of descriptors, and a referrer without one stands alone on its page.

        Raises:
            QueryInvalid: ``after`` is no ``next`` of this list.
        """


class Blobs(Protocol):
    """Object rows, references (REF rows) and the links of repositories."""

    def find_link(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """One strong read."""

    def find_links(self, repository: Repository, digests: Collection[Digest]) -> Mapping[Digest, BlobLink]:
        """Those of ``digests`` that the repository holds."""

    def add_object(self, stored: StoredObject) -> None:
        """Record a stored object, unless its row is there already (which stays as it is)."""

    def find_object(self, key: str) -> StoredObject | None:
        """The row of an object, whatever its state; strongly consistent."""

    def add_reference(self, key: str, repository: Repository, digest: Digest) -> None:
        """Write the REF row: this repository links that object. Comes before the link; it goes with it."""

    def references(self, key: str, limit: int) -> Sequence[tuple[Repository, Digest]]:
        """Up to ``limit`` of the repositories that link an object."""

    def put_link(self, link: BlobLink, *, closing: UploadSession | None) -> None:
        """Write the link and, in the same transaction, check that its REF row stands and close the upload
        session that brought it (recording the link's digest there).

        Raises:
            ReferenceGone: the REF row is gone, because the link was removed at the same time.
            WriteConflict: too many others are changing the same rows.
            BlobUploadUnknown: the session is not open any more. Nothing was written in either case.
        """

    def remove_link(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """Remove the link and its REF row in one transaction; what it was, or None if it was not there."""

    def find_organisation_blob(self, org: str, digest: Digest) -> str | None:
        """The key of the object under which an organisation stores a digest."""

    def put_organisation_blob(self, org: str, link: BlobLink) -> None:
        """Remember the object under which an organisation stores a digest."""


class Sessions(Protocol):
    """Upload sessions."""

    def create_session(self, session: UploadSession) -> None:
        """Store a new, open session.

        Raises:
            WriteConflict: another one of its id is there. This very one may be: storing it again is harmless.
        """

    def find_session(self, repository: Repository, session_id: str) -> UploadSession | None:
        """The session of this repository, open or closed."""

    def append_chunk(self, session: UploadSession, chunk: Chunk) -> UploadSession:
        """Add a chunk to exactly the state that ``session`` shows; the new state.

        Raises:
            ChunkOutOfOrder: somebody else appended first; ``offset`` is where the upload stands now.
            BlobUploadUnknown: the session is closed or gone.

        """

    def delete_session(self, session: UploadSession) -> bool:
        """Remove an open session; whether it was there."""


class Accounts(Protocol):
    """Organisations, service accounts, their keys and groups."""

    def create_organisation(self, org: str, now: datetime) -> None:
        """Make an organisation with its built-in groups.

        Raises:
            AlreadyExists: it is there.

        """

    def organisation_exists(self, org: str) -> bool:
        """Whether it does."""

    def create_service_account(self, account: ServiceAccount, description: str, now: datetime) -> None:
        """Make a service account.

        Raises:
            NotFound: the organisation is not there.
            AlreadyExists: the account is.

        """

    def service_accounts(self, org: str) -> Sequence[ServiceAccount]:
        """Those of an organisation, by name."""

    def add_key(self, key: KeyRecord) -> None:
        """Store a key.

        Raises:
            NotFound: the account is not there.
            AlreadyExists: the account has a key of that name.

        """

    def find_key(self, public_id: str) -> KeyRecord | None:
        """The key of that public id; strongly consistent."""

    def keys_of(self, account: ServiceAccount) -> Sequence[KeyRecord]:
        """The keys of an account, by name."""

    def revoke_key(self, account: ServiceAccount, name: str) -> bool:
        """Remove a key, so that the next use of it fails; whether it was there."""

    def add_member(self, org: str, group: str, principal: str) -> None:
        """Put a principal into a group; again changes nothing.

        Raises:
            NotFound: the group is not there.

        """

    def remove_member(self, org: str, group: str, principal: str) -> bool:
        """Take a principal out of a group; whether it was in."""

    def groups_of(self, principal: str) -> Sequence[str]:
        """Links of the groups that a principal is in; strongly consistent."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that tokens are verified with."""

    kid: str
    pem: str
    not_after: datetime | None


class VerificationKeys(Protocol):
    """The public halves of the signing keys."""

    def verification_keys(self) -> Sequence[PublicKey]:
        """All that are published."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private key that tokens are signed with."""

    kid: str
    private_pem: str


class SigningKeySource(Protocol):
    """Where the private key comes from."""

    def signing_key(self) -> SigningKey:
        """The current key, fresh from its source."""


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What the store says about an object. ``sha256`` (hexadecimal) only if it is of the whole content."""

    size: int
    sha256: str | None


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

    def presign_get(self, key: str) -> str:
        """A URL that serves the object's bytes for a few minutes, to GET requests only."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A new ES256 key: both halves as PEM, and a name that no other key has."""

    kid: str
    private_pem: str
    public_pem: str


class KeyPairSource(Protocol):
    """Makes signing keys."""

    def __call__(self) -> KeyPair:
        """A new pair."""


class SecretWriter(Protocol):
    """A store of secrets that takes them and does not give them back."""

    def write_secret(self, name: str, value: str) -> int:
        """Store ``value`` under ``name``, replacing what is there; its version, which grows."""


@dataclass(frozen=True, slots=True)
class SecretState:
    """What may be known of a secret that is in use.

    ``kid`` names it, ``version`` is what the store of secrets gave it, and of two states of one secret the
    one of the higher ``generation`` holds.
    """

    kid: str
    version: int
    generation: int
    created: datetime


class SecretRecords(Protocol):
    """What is recorded about keys and credentials beside the secrets themselves."""

    def find_state(self, secret: str) -> SecretState | None:
        """What is in use as ``secret``; strongly consistent."""

    def record_state(self, secret: str, state: SecretState) -> bool:
        """Record what is in use from now on; False, and nothing changed, if a later one, or another of its
        generation, is recorded.
        """

    def publish_verification_key(self, key: PublicKey, created: datetime) -> None:
        """Publish a key, so that what its private half signs can be verified."""

    def retire_verification_keys(self, *, published_before: datetime, except_kid: str, at: datetime) -> int:
        """Let each key that was published long enough ago end, unless it ends before; how many changed."""

    def find_bootstrap(self) -> str | None:
        """SHA-256, in hexadecimal, of the bootstrap credential; strongly consistent."""

    def record_bootstrap(self, sha256: str, generation: int, created: datetime) -> bool:
        """Record how the bootstrap credential is verified; False, and nothing changed, if a later generation
        is recorded.
        """
