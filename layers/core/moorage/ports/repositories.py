"""Which repositories exist, and their manifests, tags and referrers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from moorage.domain.digests import Digest
from moorage.domain.names import Repository


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

    def find_repository_by_id(self, repository_id: str) -> RepositoryRecord | None:
        """The record of the repository that has this id now, or None; strongly consistent."""

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
