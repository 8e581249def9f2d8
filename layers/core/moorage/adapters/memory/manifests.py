"""Repositories, manifests, tags and referrers in memory."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from moorage.adapters import keys
from moorage.adapters.memory.resources import MemoryResources
from moorage.adapters.referrer_cursors import referrers_cursor, referrers_place
from moorage.domain.digests import Digest
from moorage.domain.errors import ManifestUnknown, NameUnknown, WriteConflict
from moorage.domain.images import ImageRecord, Pushed, refuse_protected
from moorage.domain.names import Repository
from moorage.ports import ManifestRecord, Referrer, ReferrerPage, RepositoryRecord


class MemoryManifests(MemoryResources):
    """The ports ``Repositories`` and ``Manifests``; ``page`` is how many referrers a page has."""

    def __init__(self, *, page: int = 100) -> None:
        super().__init__()
        self._manifests_lock = threading.RLock()
        self._page = page
        self._repositories: dict[Repository, RepositoryRecord] = {}
        self._manifests: dict[tuple[Repository, Digest], ManifestRecord] = {}
        self._tags: dict[Repository, dict[str, ImageRecord]] = {}
        self._uses: set[tuple[Repository, Digest, Digest]] = set()
        self._referrers: dict[keys.Key, Referrer] = {}

    def find_repository(self, repository: Repository) -> RepositoryRecord | None:
        """The record, or None."""
        return self._repositories.get(repository)

    def find_repository_by_id(self, repository_id: str) -> RepositoryRecord | None:
        """The record, or None."""
        with self._manifests_lock:
            return next((each for each in self._repositories.values() if each.id == repository_id), None)

    def create_repository(self, record: RepositoryRecord) -> RepositoryRecord:
        """The record that stands."""
        with self._manifests_lock:
            if not self.organisation_stands(record.repository.org):
                raise NameUnknown(f"there is no organisation {record.repository.org}")
            standing = self._repositories.get(record.repository)
            if standing is None and any(other.id == record.id for other in self._repositories.values()):
                raise WriteConflict("a repository of that id exists")
            return self._repositories.setdefault(record.repository, record)

    def find_manifest(self, repository: Repository, digest: Digest) -> ManifestRecord | None:
        """The manifest with its content."""
        return self._manifests.get((repository, digest))

    def find_manifests(
        self, repository: Repository, digests: Collection[Digest]
    ) -> Mapping[Digest, ManifestRecord]:
        """Those that exist, without content."""
        found = self.read_manifests(repository, digests).values()
        return {each.digest: replace(each, body=None, body_key=None) for each in found}

    def read_manifests(
        self, repository: Repository, digests: Collection[Digest]
    ) -> Mapping[Digest, ManifestRecord]:
        """Those that exist, with content."""
        with self._manifests_lock:
            return {
                digest: self._manifests[repository, digest]
                for digest in digests
                if (repository, digest) in self._manifests
            }

    def put_manifest(
        self,
        repository: Repository,
        manifest: ManifestRecord,
        *,
        repository_id: str,
        uses: Collection[Digest],
        referrer: Referrer | None,
    ) -> None:
        """Store a manifest; the time of its first push stays."""
        with self._manifests_lock:
            self._uses.update((repository, used, manifest.digest) for used in uses)
            if not self._is_repository(repository, repository_id):
                raise NameUnknown("there is no such repository")
            standing = self._manifests.get((repository, manifest.digest))
            if standing:
                manifest = replace(manifest, pushed=standing.pushed)
            self._manifests[repository, manifest.digest] = manifest
            if referrer:
                self._referrers[_referrer_key(repository, referrer)] = referrer

    def _is_repository(self, repository: Repository, repository_id: str) -> bool:
        """Whether a repository is the one with that id."""
        record = self._repositories.get(repository)
        return record is not None and record.id == repository_id

    def find_tag(self, repository: Repository, tag: str) -> Digest | None:
        """What the tag points at."""
        record = self._tags.get(repository, {}).get(tag)
        return record.digest if record else None

    def put_tags(
        self, repository: Repository, tags: Sequence[str], pushed: Pushed, may_move: Callable[[str], None]
    ) -> None:
        """Point tags at a manifest."""
        with self._manifests_lock:
            standing = self._tags.setdefault(repository, {})
            for tag in tags:
                if tag in standing and standing[tag].digest != pushed.digest:
                    may_move(tag)
            for tag in tags:
                before = standing.get(tag)
                if before and before.digest == pushed.digest:
                    continue
                if (repository, pushed.digest) not in self._manifests:
                    raise ManifestUnknown("the manifest is not in this repository")
                standing[tag] = _moved(before, pushed) if before else _new(repository, tag, pushed)

    def delete_tag(self, repository: Repository, tag: str) -> bool:
        """Remove a tag."""
        with self._manifests_lock:
            standing = self._tags.get(repository, {}).get(tag)
            if standing is None:
                return False
            refuse_protected(repository, tag, standing.tags)
            del self._tags[repository][tag]
            return True

    def delete_manifest(self, repository: Repository, digest: Digest) -> bool:
        """Remove a manifest and everything about it."""
        with self._manifests_lock:
            if (repository, digest) not in self._manifests:
                return False
            tags = self.tags_of(repository, digest)
            for tag in tags:
                refuse_protected(repository, tag, self._tags[repository][tag].tags)
            for tag in tags:
                del self._tags[repository][tag]
            del self._manifests[repository, digest]
            for key, referrer in list(self._referrers.items()):
                if referrer.digest == digest and key == _referrer_key(repository, referrer):
                    del self._referrers[key]
            self._uses = {use for use in self._uses if (use[0], use[2]) != (repository, digest)}
            return True

    def tags_after(self, repository: Repository, last: str | None, limit: int) -> Sequence[str]:
        """Tags in order."""
        with self._manifests_lock:
            tags = sorted(tag for tag in self._tags.get(repository, {}) if last is None or tag > last)
            return tags[: max(limit, 0)]

    def tags_of(self, repository: Repository, digest: Digest) -> Sequence[str]:
        """The tags of a manifest."""
        with self._manifests_lock:
            tags = self._tags.get(repository, {})
            return sorted(tag for tag, record in tags.items() if record.digest == digest)

    def users_of(self, repository: Repository, digest: Digest) -> Sequence[Digest]:
        """The manifests that use a digest."""
        with self._manifests_lock:
            return sorted(user for name, used, user in self._uses if (name, used) == (repository, digest))

    def referrers(
        self, repository: Repository, subject: Digest, *, artifact_type: str | None, after: str | None
    ) -> ReferrerPage:
        """A page of referrers."""
        first = keys.referrers(repository, subject, artifact_type)
        place = referrers_place(repository, subject, artifact_type, after) if after else first
        with self._manifests_lock:
            found = sorted(
                key
                for key in self._referrers
                if key.pk == first.pk and key.sk.startswith(first.sk) and key.sk > place.sk
            )
            shown = [self._referrers[key] for key in found[: self._page]]
        # One whose descriptor the reader has to make can be as large as a whole answer: it stands alone.
        large = next((index for index, one in enumerate(shown) if one.descriptor is None), None)
        if large is not None:
            shown = shown[: max(large, 1)]
        more = len(shown) < len(found)
        return ReferrerPage(shown, referrers_cursor(found[len(shown) - 1]) if more else None)


def _referrer_key(repository: Repository, referrer: Referrer) -> keys.Key:
    return keys.referrer(repository, referrer.subject, referrer.artifact_type, referrer.digest)


def _new(repository: Repository, tag: str, pushed: Pushed) -> ImageRecord:
    return ImageRecord(
        repository=repository,
        tag=tag,
        digest=pushed.digest,
        id=str(uuid.uuid4()),
        version=1,
        created=pushed.at,
        last_modified=pushed.at,
        media_type=pushed.media_type,
        size=pushed.size,
        pushed_by=pushed.by,
        pushed=pushed.at,
        platforms=pushed.platforms,
    )


def _moved(before: ImageRecord, pushed: Pushed) -> ImageRecord:
    return replace(
        before,
        digest=pushed.digest,
        version=before.version + 1,
        last_modified=pushed.at,
        media_type=pushed.media_type,
        size=pushed.size,
        pushed_by=pushed.by,
        pushed=pushed.at,
        platforms=pushed.platforms,
    )
