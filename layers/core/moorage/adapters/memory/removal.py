"""The end of an organisation's repositories in memory."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

from moorage.adapters.memory.blobs import MemoryBlobs
from moorage.domain.names import Repository


class MemoryRepositoryRemoval(MemoryBlobs):
    """The port ``RepositoryRemoval``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._ended: set[Repository] = set()

    def end_repositories(self, org: str, limit: int) -> int:
        """Let repositories end."""
        with self._manifests_lock:
            ending = sorted(each for each in self._repositories if each.org == org)[: max(limit, 0)]
            for repository in ending:
                del self._repositories[repository]
                self._ended.add(repository)
            return len(ending)

    def ended_repositories(self, org: str, after: str | None, limit: int) -> Sequence[Repository]:
        """Repositories by name."""
        with self._manifests_lock:
            found = (
                each for each in self._ended if each.org == org and (after is None or each.image > after)
            )
            return sorted(found)[: max(limit, 0)]

    def remove_contents(self, repository: Repository, limit: int) -> int:
        """Remove manifests, tags, links and sessions, with what goes with them."""
        removed = 0
        with self._manifests_lock, self._blobs_lock:
            removed += _drop(self._tags.get(repository, {}), limit)
            for digest in _first(self._manifests, repository, limit - removed):
                self.delete_manifest(repository, digest)
                removed += 1
            for digest in _first(self._links, repository, limit - removed):
                self.remove_link(repository, digest)
                removed += 1
            for session_id in _first(self._sessions, repository, limit - removed):
                del self._sessions[repository, session_id]
                removed += 1
            if not removed:
                self._uses = {use for use in self._uses if use[0] != repository}
        return removed

    def remove_organisation_blobs(self, org: str, limit: int) -> int:
        """Forget digests."""
        with self._blobs_lock:
            found = [each for each in self._organisation_blobs if each[0] == org][: max(limit, 0)]
            for each in found:
                del self._organisation_blobs[each]
            return len(found)

    def forget_repository(self, repository: Repository) -> None:
        """Remove a name."""
        with self._manifests_lock:
            self._ended.discard(repository)


def _drop(rows: MutableMapping[Any, Any], limit: int) -> int:
    dropped = list(rows)[: max(limit, 0)]
    for each in dropped:
        del rows[each]
    return len(dropped)


def _first(
    rows: MutableMapping[tuple[Repository, Any], Any], repository: Repository, limit: int
) -> list[Any]:
    return [key for name, key in rows if name == repository][: max(limit, 0)]
