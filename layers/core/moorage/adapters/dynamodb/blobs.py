"""Objects, references and links in DynamoDB."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from moorage.adapters import keys
from moorage.adapters.dynamodb.repositories import SAME_REPOSITORY
from moorage.adapters.dynamodb.rows import Row, row
from moorage.adapters.dynamodb.sessions import closing_write
from moorage.adapters.dynamodb.table import Attempts, ConditionFailed, Table
from moorage.adapters.dynamodb.writes import ABSENT, PRESENT, check, delete, put
from moorage.domain.blobs import BlobLink, ObjectState, StoredObject
from moorage.domain.digests import Digest
from moorage.domain.errors import BlobUploadUnknown, NameUnknown, ReferenceGone, WriteConflict
from moorage.domain.names import Repository
from moorage.domain.sessions import UploadSession

ABSENT_OR_SAME = "attribute_not_exists(#pk) OR #key = :standing"
ABSENT_OR_OTHER = "attribute_not_exists(#pk) OR #key <> :standing"
AS_READ = "#key = :standing"

_CHANGING = "the blob is being changed by others; try again in a moment"

# Where the parts of a link's transaction stand.
_REF, _LINK, _REPOSITORY, _SESSION = 0, 1, 2, 3
# And where the row of an object stands among what records a copy.
_OBJECT = 0


class DynamoBlobs:
    """The port ``Blobs``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find_link(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """The link, or None: one strong read."""
        found = self._table.get(keys.link(repository, digest))
        return _link(found) if found else None

    def find_links(self, repository: Repository, digests: Collection[Digest]) -> Mapping[Digest, BlobLink]:
        """Those that exist."""
        wanted = (keys.link(repository, digest) for digest in digests)
        found = (_link(each) for each in self._table.get_all(wanted))
        return {link.digest: link for link in found}

    def add_object(self, stored: StoredObject) -> None:
        """Record an object once."""
        try:
            self._table.write(put(_object_row(stored), ABSENT))
        except ConditionFailed:
            return  # Its row stands already, and may have been condemned since.

    def add_copy(self, stored: StoredObject, org: str, digest: Digest, *, instead_of: str | None) -> bool:
        """Record an object as that of an organisation, unless somebody else was quicker."""
        known = _organisation_row(org, digest, stored)
        try:
            self._table.transact(
                put(_object_row(stored), ABSENT),
                put(known, ABSENT) if instead_of is None else put(known, AS_READ, standing=instead_of),
            )
        except ConditionFailed as failed:
            return _OBJECT in failed.rows
        return True

    def find_object(self, key: str) -> StoredObject | None:
        """The object's row."""
        found = self._table.get(keys.stored_object(key))
        if found is None:
            return None
        return StoredObject(
            key=found["key"],
            size=found["size"],
            sha256=found["sha256"],
            created=datetime.fromisoformat(found["created"]),
            store=found["store"],
            state=ObjectState(found["state"]),
        )

    def remove_object(self, key: str) -> None:
        """Remove an object's row."""
        self._table.write(delete(keys.stored_object(key)))

    def add_reference(self, key: str, repository: Repository, digest: Digest) -> None:
        """Write a REF."""
        attributes = {"org": repository.org, "image": repository.image, "digest": str(digest)}
        self._table.write(put(row(keys.reference(key, repository, digest), "reference", attributes)))

    def references(self, key: str, limit: int) -> Sequence[tuple[Repository, Digest]]:
        """Who links an object."""
        found = self._table.query_all(keys.references(key), "org", "image", "digest", limit=max(limit, 0))
        return [(Repository(each["org"], each["image"]), Digest.parse(each["digest"])) for each in found]

    def put_link(self, link: BlobLink, *, repository_id: str, closing: UploadSession | None) -> None:
        """Write a link and close its session."""
        replaced: str | None = None
        attempts = Attempts()
        while True:
            writes = [
                check(keys.reference(link.key, link.repository, link.digest), PRESENT),
                put(
                    _row(link), ABSENT_OR_SAME if replaced is None else AS_READ, standing=replaced or link.key
                ),
                check(keys.repository(link.repository), SAME_REPOSITORY, id=repository_id),
            ]
            if closing:
                writes.append(closing_write(closing, link))
            if replaced:
                # A second upload of the same content takes over; the REF of the first goes with its link.
                writes.append(delete(keys.reference(replaced, link.repository, link.digest)))
            try:
                self._table.transact(*writes, attempts=attempts)
            except ConditionFailed as failed:
                if _REF in failed.rows:
                    raise ReferenceGone("the blob was deleted at the same time; try again") from None
                if closing and failed.rows.keys() & {_SESSION, _REPOSITORY}:
                    raise BlobUploadUnknown("the upload has ended") from None
                if _REPOSITORY in failed.rows:
                    self._remove_unused_reference(link, attempts)
                    raise NameUnknown("there is no such repository") from None
                standing = failed.rows[_LINK]
                replaced = standing["key"] if standing else None
            else:
                return
            attempts.pause(WriteConflict(_CHANGING))

    def _remove_unused_reference(self, link: BlobLink, attempts: Attempts) -> None:
        """Remove a REF unless a link goes with it, of a repository that was made anew; whoever is about to
        write that link finds the REF gone, and begins again.
        """
        with suppress(ConditionFailed):
            self._table.transact(
                check(keys.link(link.repository, link.digest), ABSENT_OR_OTHER, standing=link.key),
                delete(keys.reference(link.key, link.repository, link.digest)),
                attempts=attempts,
            )

    def remove_link(self, repository: Repository, digest: Digest) -> BlobLink | None:
        """Remove a link and its REF."""
        standing = self._table.get(keys.link(repository, digest))
        attempts = Attempts()
        while True:
            if standing is None:
                return None
            link = _link(standing)
            try:
                self._table.transact(
                    delete(keys.link(repository, digest), AS_READ, standing=link.key),
                    delete(keys.reference(link.key, repository, digest)),
                    attempts=attempts,
                )
            except ConditionFailed as failed:
                standing = failed.rows[0]
            else:
                return link
            attempts.pause(WriteConflict(_CHANGING))

    def find_organisation_blob(self, org: str, digest: Digest) -> str | None:
        """The object's key."""
        found = self._table.get(keys.organisation_blob(org, digest), "key")
        return found["key"] if found else None

    def put_organisation_blob(self, org: str, link: BlobLink) -> None:
        """Remember the object's key."""
        self._table.write(put(_organisation_row(org, link.digest, link)))


def _object_row(stored: StoredObject) -> Row:
    attributes = {
        "store": stored.store,
        "key": stored.key,
        "size": stored.size,
        "sha256": stored.sha256,
        "created": stored.created.isoformat(),
        "state": str(stored.state),
    }
    return row(keys.stored_object(stored.key), "object", attributes)


def _organisation_row(org: str, digest: Digest, stored: BlobLink | StoredObject) -> Row:
    attributes = {
        "digest": str(digest),
        "store": stored.store,
        "key": stored.key,
        "size": stored.size,
        "created": stored.created.isoformat(),
    }
    return row(keys.organisation_blob(org, digest), "organisation-blob", attributes)


def _row(link: BlobLink) -> Row:
    attributes = {
        "org": link.repository.org,
        "image": link.repository.image,
        "digest": str(link.digest),
        "store": link.store,
        "key": link.key,
        "size": link.size,
        "created": link.created.isoformat(),
    }
    return row(keys.link(link.repository, link.digest), "blob", attributes)


def _link(found: Row) -> BlobLink:
    return BlobLink(
        repository=Repository(found["org"], found["image"]),
        digest=Digest.parse(found["digest"]),
        key=found["key"],
        size=found["size"],
        created=datetime.fromisoformat(found["created"]),
        store=found["store"],
    )
