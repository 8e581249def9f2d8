"""Which repositories exist, and their manifests, tags and referrers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.digests import Digest
from moorage.domain.images import Pushed
from moorage.domain.names import Repository


@dataclass(frozen=True, slots=True)
class RepositoryRecord:
    """A repository that exists. ``id`` is random, so one that is made anew shares nothing with the old.

    ``store`` is that of its organisation, in which all that it stores lies.
    """

    repository: Repository
    id: str
    created: datetime
    store: str = DEFAULT_STORE


class Repositories(Protocol):
    """Which repositories exist."""

    def find_repository(self, repository: Repository) -> RepositoryRecord | None:
        """The record of ``repository``, or None."""

    def find_repository_by_id(self, repository_id: str) -> RepositoryRecord | None:
        """The record of the repository that has this id now, or None; strongly consistent."""

    def create_repository(self, record: RepositoryRecord) -> RepositoryRecord:
        """Record a repository, with its id as a second way to find it; the record that stands when another
        writer was first.

        Raises:
            NameUnknown: there is no such organisation, or it is being removed.

        """


class RepositoryRemoval(Protocol):
    """How the repositories of an organisation that is being removed come to an end.

    First each ends: from then on it is absent, and nothing is linked in it or begun. Then its contents go, in
    slices; its name last, because by it the contents are found.
    """

    def end_repositories(self, org: str, limit: int) -> int:
        """Let up to ``limit`` repositories end that have not yet; how many did."""

    def ended_repositories(self, org: str, after: str | None, limit: int) -> Sequence[Repository]:
        """Up to ``limit`` repositories that have ended, by name, beginning after the image name ``after``."""

    def remove_contents(self, repository: Repository, limit: int) -> int:
        """Remove what a repository holds, up to about ``limit`` rows; how many they were, 0 when nothing is
        left. A removal that is cut short is continued by the next.
        """

    def remove_organisation_blobs(self, org: str, limit: int) -> int:
        """Forget up to ``limit`` of the digests that an organisation stores; how many they were."""

    def forget_repository(self, repository: Repository) -> None:
        """Remove the name of a repository that has ended."""


@dataclass(frozen=True, slots=True)
class ManifestRecord:
    """A manifest of a repository. The content is in ``body`` or, when large, in the object ``body_key`` of
    ``store``. ``total_size`` is in bytes: of the manifest and of all that it names.
    """

    digest: Digest
    media_type: str
    size: int
    pushed: datetime
    body: bytes | None = None
    body_key: str | None = None
    subject: Digest | None = None
    artifact_type: str | None = None
    total_size: int = 0
    store: str = DEFAULT_STORE


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

    def read_manifests(
        self, repository: Repository, digests: Collection[Digest]
    ) -> Mapping[Digest, ManifestRecord]:
        """Those of ``digests`` that exist, with their content; one read for each hundred."""

    def put_manifest(
        self,
        repository: Repository,
        manifest: ManifestRecord,
        *,
        repository_id: str,
        uses: Collection[Digest],
        referrer: Referrer | None,
    ) -> None:
        """Store a manifest and its referrer row together, after the rows that say which content it uses.
        Storing the same one again changes nothing that a reader sees, and keeps its tags.

        Raises:
            NameUnknown: the repository with that id is gone, whatever has its name now. Rows of use may have
                been written: they say nothing of what is not there.
        """

    def find_tag(self, repository: Repository, tag: str) -> Digest | None:
        """What ``tag`` points at: one strong read."""

    def put_tags(
        self, repository: Repository, tags: Sequence[str], pushed: Pushed, may_move: Callable[[str], None]
    ) -> None:
        """Point tags at the manifest that was pushed, one after the other. The image record behind a tag
        keeps its id, creation time and metadata, and its version grows by one when it moves; pointing it
        where it points already changes nothing.

        ``may_move`` is asked about each tag that stands elsewhere, about all of them before the first one
        moves; what it raises is raised. No tag that stands elsewhere moves without it having been asked, also
        when others set it meanwhile.

        Raises:
            ManifestUnknown: the manifest is not there (any more).

        """

    def delete_tag(self, repository: Repository, tag: str) -> bool:
        """Remove the tag, and with it the image's record; whether it was there.

        Raises:
            ResourceProtected: the metadata of the image protects it.

        """

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
