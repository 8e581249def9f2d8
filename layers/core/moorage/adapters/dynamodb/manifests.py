"""Manifests and referrers in DynamoDB."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from moorage.adapters import keys
from moorage.adapters.dynamodb.repositories import SAME_REPOSITORY
from moorage.adapters.dynamodb.rows import Row, row
from moorage.adapters.dynamodb.table import Attempts, ConditionFailed
from moorage.adapters.dynamodb.tags import DynamoTags
from moorage.adapters.dynamodb.writes import Write, check, delete, put, update
from moorage.adapters.referrer_cursors import referrers_cursor, referrers_place
from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.digests import Digest
from moorage.domain.errors import NameUnknown, WriteConflict
from moorage.domain.names import Repository
from moorage.ports import ManifestRecord, Referrer, ReferrerPage

# What a reader of a manifest gets; the row also says what its deletion has to remove.
_SUMMARY = ("digest", "media_type", "size", "total_size", "pushed", "subject", "artifact_type", "store")
_CONTENT = ("body", "body_key")
_ACCOMPANIED = ("uses", "referrer", "push", "tag_writes", "subject")

UNCHANGED = "#push = :push AND #tag_writes = :tag_writes"
OF_THAT_PUSH = "#push = :push"

# As many as a transaction can have.
_USES_AT_ONCE = 100


class DynamoManifests(DynamoTags):
    """The port ``Manifests``."""

    def find_manifest(self, repository: Repository, digest: Digest) -> ManifestRecord | None:
        """A manifest with its content: one strong read."""
        found = self._table.get(keys.manifest(repository, digest), *_SUMMARY, *_CONTENT)
        return _manifest(found) if found else None

    def find_manifests(
        self, repository: Repository, digests: Collection[Digest]
    ) -> Mapping[Digest, ManifestRecord]:
        """Those that exist, without content."""
        return self._find_all(repository, digests, *_SUMMARY)

    def read_manifests(
        self, repository: Repository, digests: Collection[Digest]
    ) -> Mapping[Digest, ManifestRecord]:
        """Those that exist, with content."""
        return self._find_all(repository, digests, *_SUMMARY, *_CONTENT)

    def _find_all(
        self, repository: Repository, digests: Collection[Digest], *only: str
    ) -> Mapping[Digest, ManifestRecord]:
        wanted = (keys.manifest(repository, digest) for digest in digests)
        found = (_manifest(each) for each in self._table.get_all(wanted, *only))
        return {manifest.digest: manifest for manifest in found}

    def put_manifest(
        self,
        repository: Repository,
        manifest: ManifestRecord,
        *,
        repository_id: str,
        uses: Collection[Digest],
        referrer: Referrer | None,
    ) -> None:
        """Store a manifest; the time of its first push and the count of its tags stay."""
        # Rows of use carry the push that wrote them. A deletion removes those of the push that it deletes,
        # so it cannot take away what a push that comes at the same time has just written.
        push = str(uuid.uuid4())
        used = sorted(set(uses))
        attempts = Attempts()
        self._table.put_all([_use(repository, digest, manifest.digest, push) for digest in used], attempts)
        writes = [
            _storing(repository, manifest, push, used, referrer),
            check(keys.repository(repository), SAME_REPOSITORY, id=repository_id),
        ]
        if referrer:
            writes.append(put(_referrer_row(repository, referrer)))
        try:
            self._table.transact(*writes, attempts=attempts)
        except ConditionFailed:
            raise NameUnknown("there is no such repository") from None

    def delete_manifest(self, repository: Repository, digest: Digest) -> bool:
        """Remove a manifest and everything about it; ``tags`` explains why so."""
        key = keys.manifest(repository, digest)
        attempts = Attempts()
        while True:
            standing = self._table.get(key, *_ACCOMPANIED)
            if standing is None:
                return False
            if self.remove_tags(repository, digest, attempts):
                try:
                    self._table.transact(*_removing(repository, digest, standing), attempts=attempts)
                except ConditionFailed:
                    pass  # Pushed or tagged again meanwhile: look again.
                else:
                    self._remove_uses(repository, digest, standing, attempts)
                    return True
            attempts.pause(WriteConflict("the manifest is being tagged by others; try again in a moment"))

    def _remove_uses(self, repository: Repository, digest: Digest, removed: Row, attempts: Attempts) -> None:
        writes = [
            delete(keys.use(repository, Digest.parse(used), digest), OF_THAT_PUSH, push=removed["push"])
            for used in removed["uses"]
        ]
        for start in range(0, len(writes), _USES_AT_ONCE):
            remaining = writes[start : start + _USES_AT_ONCE]
            while remaining:
                try:
                    self._table.transact(*remaining, attempts=attempts)
                except ConditionFailed as failed:
                    # Gone, or written by a later push of the same manifest: these stay.
                    remaining = [write for place, write in enumerate(remaining) if place not in failed.rows]
                else:
                    break

    def users_of(self, repository: Repository, digest: Digest) -> Sequence[Digest]:
        """The manifests that use a digest."""
        found = self._table.query_all(keys.uses(repository, digest), "user")
        return [Digest.parse(each["user"]) for each in found]

    def referrers(
        self, repository: Repository, subject: Digest, *, artifact_type: str | None, after: str | None
    ) -> ReferrerPage:
        """A page of referrers, of at most 1 MB of descriptors."""
        first = keys.referrers(repository, subject, artifact_type)
        place = referrers_place(repository, subject, artifact_type, after) if after else None
        page = self._table.query(first, after=place)
        rows, more = list(page.rows), page.more
        # One whose descriptor the reader has to make can be as large as a whole answer: it stands alone.
        large = next((index for index, each in enumerate(rows) if "descriptor" not in each), len(rows))
        shown = rows[: max(large, 1)]
        more = more or len(shown) < len(rows)
        last = keys.Key(shown[-1]["pk"], shown[-1]["sk"]) if shown and more else None
        return ReferrerPage([_referrer(each) for each in shown], referrers_cursor(last) if last else None)


def _storing(
    repository: Repository,
    manifest: ManifestRecord,
    push: str,
    uses: Sequence[Digest],
    referrer: Referrer | None,
) -> Write:
    key = keys.manifest(repository, manifest.digest)
    attributes = {
        "digest": str(manifest.digest),
        "media_type": manifest.media_type,
        "size": manifest.size,
        "total_size": manifest.total_size,
        "body": manifest.body,
        "body_key": manifest.body_key,
        "store": manifest.store,
        "subject": str(manifest.subject) if manifest.subject else None,
        "artifact_type": manifest.artifact_type,
        "push": push,
        "uses": [str(digest) for digest in uses],
        "referrer": _referrer_key(repository, referrer).sk if referrer else None,
    }
    stored: dict[str, Any] = row(key, "manifest", attributes)
    del stored["pk"], stored["sk"]
    changes = [
        "SET " + ", ".join(f"#{name} = :{name}" for name in stored),
        ", #pushed = if_not_exists(#pushed, :pushed), #tag_writes = if_not_exists(#tag_writes, :none)",
    ]
    if absent := [f"#{name}" for name in attributes if name not in stored]:
        changes.append(" REMOVE " + ", ".join(absent))
    return update(key, "".join(changes), pushed=manifest.pushed.isoformat(), none=0, **stored)


def _removing(repository: Repository, digest: Digest, standing: Row) -> list[Write]:
    writes = [
        delete(
            keys.manifest(repository, digest),
            UNCHANGED,
            push=standing["push"],
            tag_writes=standing["tag_writes"],
        )
    ]
    if "referrer" in standing:
        subject = keys.referrers(repository, Digest.parse(standing["subject"]), None)
        writes.append(delete(keys.Key(subject.pk, standing["referrer"])))
    return writes


def _manifest(found: Row) -> ManifestRecord:
    return ManifestRecord(
        digest=Digest.parse(found["digest"]),
        media_type=found["media_type"],
        size=found["size"],
        pushed=datetime.fromisoformat(found["pushed"]),
        body=found.get("body"),
        body_key=found.get("body_key"),
        subject=Digest.parse(found["subject"]) if "subject" in found else None,
        artifact_type=found.get("artifact_type"),
        total_size=found["total_size"],
        store=found.get("store", DEFAULT_STORE),
    )


def _use(repository: Repository, used: Digest, user: Digest, push: str) -> Row:
    key = keys.use(repository, used, user)
    return row(key, "use", {"used": str(used), "user": str(user), "push": push})


def _referrer_key(repository: Repository, referrer: Referrer) -> keys.Key:
    return keys.referrer(repository, referrer.subject, referrer.artifact_type, referrer.digest)


def _referrer_row(repository: Repository, referrer: Referrer) -> Row:
    # JSON as text: what somebody wrote into annotations need not be what DynamoDB takes as a map.
    descriptor = None if referrer.descriptor is None else json.dumps(dict(referrer.descriptor))
    attributes = {
        "subject": str(referrer.subject),
        "digest": str(referrer.digest),
        "artifact_type": referrer.artifact_type,
        "descriptor": descriptor,
    }
    return row(_referrer_key(repository, referrer), "referrer", attributes)


def _referrer(found: Row) -> Referrer:
    return Referrer(
        subject=Digest.parse(found["subject"]),
        digest=Digest.parse(found["digest"]),
        artifact_type=found["artifact_type"],
        descriptor=json.loads(found["descriptor"]) if "descriptor" in found else None,
    )
