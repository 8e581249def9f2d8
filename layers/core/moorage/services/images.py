"""Images as people manage them: found, listed and searched, labelled, deleted. Pushing makes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from moorage.domain.errors import NotFound, WriteConflict
from moorage.domain.images import ImageRecord
from moorage.domain.names import Repository
from moorage.domain.resources import Scalar, parse_tags
from moorage.domain.targets import Resource
from moorage.ports import Clock, ImageRecords

Permit = Callable[[ImageRecord], None]
"""Raises what the caller is to be refused with, if it may not do what it asks for with this very record."""

_ATTEMPTS = 5
_NEWEST = 100


class ImageAdministration:
    """The records of images, one by one."""

    def __init__(self, images: ImageRecords, clock: Clock) -> None:
        self._images = images
        self._clock = clock

    def find(self, repository: Repository, tag: str) -> ImageRecord | None:
        """The image, or None."""
        return self._images.find_image(repository, tag)

    def latest(self, repository: Repository, may_view: Callable[[ImageRecord], bool]) -> ImageRecord | None:
        """The image of a repository that was pushed last, of those that the caller may view; None if there is
        none among the last hundred. Labelling an image makes it no newer.
        """
        for limit in (1, _NEWEST):
            newest = self._images.newest_images(repository, limit)
            visible = next((record for record in newest if may_view(record)), None)
            if visible is not None:
                return visible
        return None

    def change_tags(
        self,
        repository: Repository,
        tag: str,
        changes: Mapping[str, Any],
        permit: Permit,
    ) -> ImageRecord:
        """Change metadata: what is None is removed, everything else is set; the image as it is then.

        Raises:
            NotFound: there is no such image.
            InvalidInput: see ``parse_tags``, which judges the result.
            WriteConflict: others change it too often.
        """

        def changed(tags: Mapping[str, Scalar]) -> Mapping[str, Any]:
            merged = {**tags, **changes}
            return {key: value for key, value in merged.items() if value is not None}

        return self._edit(repository, tag, changed, permit)

    def replace_tags(self, repository: Repository, tag: str, tags: Any, permit: Permit) -> ImageRecord:
        """Put other metadata in the place of all that there is; otherwise as ``change_tags``."""
        return self._edit(repository, tag, lambda _: tags, permit)

    def delete(self, repository: Repository, tag: str, permit: Permit) -> ImageRecord:
        """Delete an image, as it was when it was permitted: its tag, not the manifest. The image that was.

        Raises:
            NotFound: there is no such image.
            ResourceProtected: its metadata protects it.
            WriteConflict: others change it too often.
        """

        def remove(record: ImageRecord) -> ImageRecord:
            self._images.delete_image(record)
            return record

        return self._write(repository, tag, remove, permit)

    def _edit(
        self,
        repository: Repository,
        tag: str,
        change: Callable[[Mapping[str, Scalar]], Any],
        permit: Permit,
    ) -> ImageRecord:
        def replace(record: ImageRecord) -> ImageRecord:
            tags = parse_tags(change(record.tags))
            if _canonical(tags) == _canonical(record.tags):
                return record
            return self._images.replace_metadata(record, tags, self._clock())

        return self._write(repository, tag, replace, permit)

    def _write(
        self,
        repository: Repository,
        tag: str,
        write: Callable[[ImageRecord], ImageRecord],
        permit: Permit,
    ) -> ImageRecord:
        """Write to an image as it stands; again on what stands then, when it was changed meanwhile."""
        for attempt in range(_ATTEMPTS):
            record = self._images.find_image(repository, tag)
            if record is None:
                raise NotFound("there is no such image")
            permit(record)
            try:
                return write(record)
            except WriteConflict:
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt ends the loop")


def image_resource(record: ImageRecord) -> Resource:
    """An image as policies and queries see it."""
    return Resource.of_image(record.repository, record.tag, record.digest, record.properties, record.tags)


def _canonical(tags: Mapping[str, Scalar]) -> str:
    # As text, for to Python 1 is True.
    return json.dumps(dict(tags), sort_keys=True)
