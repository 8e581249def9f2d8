"""Images for callers of the management API: each looked at, and each decided on, as it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from moorage.domain.documents import Lock
from moorage.domain.errors import NotFound, RegistryError
from moorage.domain.images import ImageRecord
from moorage.domain.links import ImageReference
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission
from moorage.domain.queries import Query
from moorage.domain.query_terms import Subject
from moorage.domain.resources import Kind
from moorage.domain.targets import Resource
from moorage.ports import Manifests
from moorage.services.access import Access, Filter
from moorage.services.callers import Caller
from moorage.services.image_content import ImageContent, ImageContents
from moorage.services.image_lists import ImageList, ImageLists, Summary
from moorage.services.images import ImageAdministration, Permit, image_resource


class ImageAccess:
    """Finds, labels and deletes images for callers."""

    def __init__(
        self,
        images: ImageAdministration,
        lists: ImageLists,
        contents: ImageContents,
        manifests: Manifests,
        access: Access,
    ) -> None:
        self._images = images
        self._lists = lists
        self._contents = contents
        self._manifests = manifests
        self._access = access

    def search(self, caller: Caller, org: str, query: Query, cursor: str | None, limit: int) -> ImageList:
        """A part of the images that a query selects and the caller may see.

        Raises:
            Denied: the organisation is another than the caller's, and gives it nothing on images.
            QueryInvalid: the cursor is of another list.
        """
        may_see = self._access.filter(caller, Permission.VIEW, Kind.IMAGE, org)
        return self._lists.search(
            org, query, _view(may_see), effort=lambda: may_see.effort, cursor=cursor, limit=limit
        )

    def summary(self, caller: Caller, org: str, cursor: str | None) -> Summary:
        """A part of the repositories, with how many of their images the caller may see.

        Raises:
            Denied, QueryInvalid: as for ``search``.
        """
        may_see = self._access.filter(caller, Permission.VIEW, Kind.IMAGE, org)
        return self._lists.summary(org, _view(may_see), effort=lambda: may_see.effort, cursor=cursor)

    def get(self, caller: Caller, reference: ImageReference) -> ImageRecord:
        """One image; by digest alone, the first by name of those that have it.

        Raises:
            Denied: the caller may not see it, or it is not there and the caller could not see it either.
            NotFound: it is not there, and the caller could see it.
        """
        record = self.find(reference)
        if record is None:
            raise self._absence(caller, Permission.VIEW, reference)
        self._access.require(caller, Permission.VIEW, image_resource(record))
        return record

    def content(self, record: ImageRecord) -> ImageContent | None:
        """What an image that the caller has been shown is made of."""
        return self._contents.read(record)

    def latest(self, caller: Caller, repository: Repository) -> ImageRecord:
        """The image of a repository that was pushed last, of those that the caller may see.

        Raises:
            Denied, NotFound: as for ``get``.
        """
        may_see = self._access.filter(caller, Permission.VIEW, Kind.IMAGE, repository.org)
        found = self._images.latest(repository, _view(may_see))
        if found is None:
            raise self._absence(caller, Permission.VIEW, ImageReference(repository, None))
        return found

    def change_tags(
        self, caller: Caller, reference: ImageReference, changes: Mapping[str, Any], lock: Lock
    ) -> ImageRecord:
        """An image with changed metadata; see ``ImageAdministration.change_tags``.

        Raises:
            Denied, NotFound: as for ``get``.
        """
        return self._written(
            caller,
            reference,
            Permission.EDIT,
            lambda tag, permit: self._images.change_tags(reference.repository, tag, changes, permit),
            lock,
        )

    def replace_tags(self, caller: Caller, reference: ImageReference, tags: Any, lock: Lock) -> ImageRecord:
        """An image with other metadata; see ``ImageAdministration.replace_tags``.

        Raises:
            Denied, NotFound: as for ``get``.
        """
        return self._written(
            caller,
            reference,
            Permission.EDIT,
            lambda tag, permit: self._images.replace_tags(reference.repository, tag, tags, permit),
            lock,
        )

    def delete(self, caller: Caller, reference: ImageReference) -> None:
        """Delete an image; see ``ImageAdministration.delete``.

        Raises:
            Denied, NotFound: as for ``get``.
        """
        self._written(
            caller,
            reference,
            Permission.DELETE,
            lambda tag, permit: self._images.delete(reference.repository, tag, permit),
        )

    def find(self, reference: ImageReference) -> ImageRecord | None:
        """The image, whoever asks. One that is pinned to a digest is there only with that digest."""
        tag = self._tag(reference)
        record = None if tag is None else self._images.find(reference.repository, tag)
        return record if record is not None and _is_meant(reference, record) else None

    def _written(
        self,
        caller: Caller,
        reference: ImageReference,
        permission: Permission,
        write: Callable[[str, Permit], ImageRecord],
        lock: Lock | None = None,
    ) -> ImageRecord:
        def permit(record: ImageRecord) -> None:
            if not _is_meant(reference, record):
                raise NotFound("the image has another digest by now")
            self._access.require(caller, permission, image_resource(record))
            if lock is not None:
                lock.check(record.id, record.version)

        tag = self._tag(reference)
        if tag is None:
            raise self._absence(caller, permission, reference)
        try:
            return write(tag, permit)
        except NotFound:
            raise self._absence(caller, permission, reference) from None

    def _tag(self, reference: ImageReference) -> str | None:
        if reference.tag is not None or reference.digest is None:
            return reference.tag
        return next(iter(self._manifests.tags_of(reference.repository, reference.digest)), None)

    def _absence(self, caller: Caller, permission: Permission, reference: ImageReference) -> RegistryError:
        return self._access.absence(caller, permission, absent_image(reference))


def _view(may_see: Filter) -> Callable[[ImageRecord], bool]:
    return lambda record: may_see(image_resource(record))


def _is_meant(reference: ImageReference, record: ImageRecord) -> bool:
    return reference.digest in (None, record.digest)


def absent_image(reference: ImageReference) -> Resource:
    """An image that is not there, as policies see it: only its name is known."""
    known = {"repository": reference.repository.image}
    if reference.tag is not None:
        known |= {"tag": reference.tag, "name": f"{reference.repository.image}:{reference.tag}"}
    subject = Subject(known, tags=None, rels=None, partial=True)
    links = frozenset({reference.link})
    return Resource(Kind.IMAGE, reference.repository.org, subject, links, reference.repository)
