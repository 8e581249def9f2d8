"""Which manifests refer to a manifest.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moorage.domain.companions import fallback_tag
from moorage.domain.digests import Digest
from moorage.domain.errors import ManifestInvalid, ManifestUnknown, QueryInvalid
from moorage.domain.manifests import Manifest, compact_json
from moorage.domain.names import Repository
from moorage.ports import Manifests, Referrer
from moorage.services.manifests import ManifestAccess

# One answer of a function carries 6 MiB of JSON; the descriptors are JSON inside JSON.
MAX_PAGE_SIZE = 2 * 1024 * 1024
_FALLBACK_CURSOR = "fallback-"
_FALLBACK_BATCH = 100


@dataclass(frozen=True, slots=True)
class DescriptorPage:
    """Descriptors of referrers, and the cursor of what follows (None at the end)."""

    descriptors: Sequence[Mapping[str, Any]]
    next: str | None


class Referrers:
    """Lists referrers: those that name the subject, then those listed under the fallback tag.

    Clients of registries without this API keep the list in an index that is tagged ``sha256-<hex>`` (of any
    digest, the first 64 digits). What
    such an index lists must appear here, too.
    https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#enabling-the-referrers-api
    """

    def __init__(self, manifests: Manifests, access: ManifestAccess) -> None:
        self._manifests = manifests
        self._access = access

    def page(
        self, repository: Repository, subject: Digest, artifact_type: str | None, cursor: str | None
    ) -> DescriptorPage:
        """Descriptors from ``cursor`` on, as many as fit one answer.

        Raises:
            QueryInvalid: the cursor is none that this registry gave out.
        """
        if cursor is not None and cursor.startswith(_FALLBACK_CURSOR):
            offset = cursor.removeprefix(_FALLBACK_CURSOR)
            if not (offset.isascii() and offset.isdigit() and len(offset) <= 6):  # noqa: PLR2004
                raise QueryInvalid("the cursor of the referrers list is malformed")
            return self._fallback(repository, subject, artifact_type, int(offset))
        page = self._manifests.referrers(repository, subject, artifact_type=artifact_type, after=cursor)
        descriptors = [
            described for referrer in page.referrers if (described := self._describe(repository, referrer))
        ]
        if page.next is not None:
            return DescriptorPage(descriptors, page.next)
        rest = self._fallback(repository, subject, artifact_type, 0)
        if _size(descriptors) + _size(rest.descriptors) > MAX_PAGE_SIZE and descriptors:
            return DescriptorPage(descriptors, f"{_FALLBACK_CURSOR}0")
        return DescriptorPage([*descriptors, *rest.descriptors], rest.next)

    def _describe(self, repository: Repository, referrer: Referrer) -> Mapping[str, Any] | None:
        if referrer.descriptor is not None:
            return referrer.descriptor
        try:
            record = self._access.find(repository, referrer.digest)
            manifest = Manifest.parse(self._access.content(record), record.media_type)
        except (ManifestUnknown, ManifestInvalid):
            # Gone meanwhile, or pushed when less was asked of a manifest.
            return None
        return manifest.descriptor(referrer.digest)

    def _fallback(
        self, repository: Repository, subject: Digest, artifact_type: str | None, offset: int
    ) -> DescriptorPage:
        listed = self._listed(repository, subject)
        found: list[Mapping[str, Any]] = []
        for start in range(offset, len(listed), _FALLBACK_BATCH):
            batch = listed[start : start + _FALLBACK_BATCH]
            fresh = list(self._fresh(repository, subject, artifact_type, batch))
            if found and _size(found) + _size(fresh) > MAX_PAGE_SIZE:
                return DescriptorPage(found, f"{_FALLBACK_CURSOR}{start}")
            found += fresh
        return DescriptorPage(found, None)

    def _listed(self, repository: Repository, subject: Digest) -> Sequence[Mapping[str, Any]]:
        """What the index under the fallback tag lists, in its order."""
        try:
            record = self._access.find(repository, fallback_tag(subject))
            content = self._access.content(record)
            Manifest.parse(content, record.media_type)
        except (ManifestUnknown, ManifestInvalid):
            return ()
        listed: Sequence[Mapping[str, Any]] = json.loads(content).get("manifests") or ()
        return listed

    def _fresh(
        self,
        repository: Repository,
        subject: Digest,
        artifact_type: str | None,
        batch: Sequence[Mapping[str, Any]],
    ) -> Iterator[Mapping[str, Any]]:
        """Those that exist and are not in the list already because they name the subject themselves."""
        digests = {str(item["digest"]): Digest.parse(str(item["digest"])) for item in batch}
        stored = self._manifests.find_manifests(repository, set(digests.values()))
        for item in batch:
            record = stored.get(digests[str(item["digest"])])
            if record is None or record.subject == subject:
                continue
            described = dict(item)
            if record.artifact_type and not described.get("artifactType"):
                described["artifactType"] = record.artifact_type
            if artifact_type is None or described.get("artifactType") == artifact_type:
                yield described


def _size(descriptors: Sequence[Mapping[str, Any]]) -> int:
    return len(compact_json(list(descriptors)))
