"""The row of a tag, which is the record of an image."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from moorage.adapters import keys
from moorage.adapters.dynamodb.rows import Row, row
from moorage.adapters.dynamodb.writes import Write, delete, update
from moorage.domain.digests import Digest
from moorage.domain.images import ImageRecord, Pushed
from moorage.domain.names import Repository
from moorage.domain.resources import Scalar

# Any change of a record is another version of it, and a tag that is deleted and made anew has another id.
AS_READ = "#id = :id AND #version = :version"


class Standing(NamedTuple):
    """What a writer has to know of a record that it changes."""

    digest: Digest
    id: str
    version: int
    tags: Mapping[str, Scalar]

    @property
    def as_read(self) -> dict[str, Any]:
        """What a write is conditional on."""
        return {"id": self.id, "version": self.version}


def standing(found: Row) -> Standing:
    """What stands in a row, or in its attributes ``Standing._fields``."""
    return Standing(Digest.parse(found["digest"]), found["id"], found["version"], _metadata(found))


def standing_of(record: ImageRecord) -> Standing:
    """The same of a record."""
    return Standing(record.digest, record.id, record.version, record.tags)


def new_image(repository: Repository, tag: str, pushed: Pushed) -> Row:
    """The row of a tag that is new."""
    attributes = {
        "tag": tag,
        "id": str(uuid.uuid4()),
        "version": 1,
        "created": pushed.at.isoformat(),
        "tags": "{}",
        **keys.image_by_name(repository, tag),
        **keys.image_by_creation(repository, tag, pushed.at),
        **_of_a_push(repository, tag, pushed),
    }
    return row(keys.tag(repository, tag), "tag", attributes)


def moved_image(repository: Repository, tag: str, before: Standing, pushed: Pushed) -> Write:
    """Lets a tag name what was pushed, unless it has changed since it was read."""
    attributes = _of_a_push(repository, tag, pushed)
    present = {name: value for name, value in attributes.items() if value is not None}
    absent = [f"#{name}" for name in attributes if name not in present]
    change = "SET " + ", ".join(f"#{name} = :{name}" for name in present) + " ADD #version :one"
    if absent:
        change += " REMOVE " + ", ".join(absent)
    return update(keys.tag(repository, tag), change, AS_READ, one=1, **present, **before.as_read)


def edited_image(record: ImageRecord, tags: Mapping[str, Scalar], now: datetime) -> Write:
    """Gives an image other metadata, unless it has changed since ``record`` was read."""
    place = keys.image_by_change(record.repository, record.tag, now)
    change = "SET #tags = :tags, #last_modified = :now, #gsi4sk = :gsi4sk ADD #version :one"
    return update(
        keys.tag(record.repository, record.tag),
        change,
        AS_READ,
        tags=json.dumps(dict(tags)),
        now=now.isoformat(),
        one=1,
        **standing_of(record).as_read,
        **place,
    )


def removed_image(repository: Repository, tag: str, before: Standing) -> list[Write]:
    """Removes both rows of a tag, unless it has changed since it was read."""
    return [
        delete(keys.tag(repository, tag), AS_READ, **before.as_read),
        delete(keys.digest_tag(repository, before.digest, tag)),
    ]


def _metadata(found: Row) -> dict[str, Scalar]:
    """The metadata in a row: JSON as text, because numbers in it may have fractions; rows have none."""
    tags: dict[str, Scalar] = json.loads(found["tags"])
    return tags


def image(org: str, found: Row) -> ImageRecord:
    """The record in a row, which may come from an index."""
    name = found["gsi2sk"]
    return ImageRecord(
        repository=Repository(org, name[: -len(found["tag"]) - 1]),
        tag=found["tag"],
        digest=Digest.parse(found["digest"]),
        id=found["id"],
        version=found["version"],
        created=datetime.fromisoformat(found["created"]),
        last_modified=datetime.fromisoformat(found["last_modified"]),
        media_type=found["media_type"],
        size=found["size"],
        pushed_by=found["pushed_by"],
        pushed=datetime.fromisoformat(found["pushed"]),
        platforms=tuple(found["platforms"]) if "platforms" in found else None,
        tags=_metadata(found),
    )


def _of_a_push(repository: Repository, tag: str, pushed: Pushed) -> dict[str, Any]:
    return {
        "digest": str(pushed.digest),
        "last_modified": pushed.at.isoformat(),
        "media_type": pushed.media_type,
        "size": pushed.size,
        "platforms": None if pushed.platforms is None else list(pushed.platforms),
        "pushed_by": pushed.by,
        "pushed": pushed.at.isoformat(),
        **keys.image_by_change(repository, tag, pushed.at),
        **keys.image_by_push(tag, pushed.at),
    }
