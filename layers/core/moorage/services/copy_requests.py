"""Requests for copies: who asks is checked, what is asked for is resolved to digests, and a job is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from moorage.domain.companions import is_companion_tag
from moorage.domain.copy_wishes import CopyWish
from moorage.domain.digests import Digest
from moorage.domain.errors import Conflict, InvalidInput, NotFound
from moorage.domain.image_lists import Place
from moorage.domain.images import ImageRecord
from moorage.domain.jobs import MAX_ITEMS, CopyItem, CopyJob, CopyOrder, JobRequest, JobState, new_job_id
from moorage.domain.links import ImageReference
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission
from moorage.domain.targets import Resource
from moorage.ports import Clock, Images, Jobs, Manifests, Resources, Stores
from moorage.services.access import Access
from moorage.services.callers import Caller
from moorage.services.copy_parties import youngest
from moorage.services.job_documents import JobDocuments
from moorage.services.tag_rules import TagRules

TAGS_LOOKED_AT = 100_000
"""Tags of a repository that a request for many looks at: more would take too long for one call."""

_PAGE = 1000
_NAMED_IN_ERROR = 5


class RequestTable(Manifests, Images, Jobs, Resources, Protocol):
    """What a request for a copy reads and writes in the table."""


class CopyRequests:
    """Takes requests for copies."""

    def __init__(
        self, table: RequestTable, stores: Stores, rules: TagRules, access: Access, clock: Clock
    ) -> None:
        self._table = table
        self._rules = rules
        self._access = access
        self._clock = clock
        self._documents = JobDocuments(stores)

    def request(self, caller: Caller, org: str, text: str, wish: CopyWish, key: str | None) -> CopyJob:
        """The job that copies what ``text`` names in ``org`` as ``wish`` says. With a ``key`` that the caller
        has used for the same request before, the job that was made then, as it is now.

        Raises:
            InvalidInput: malformed, from an image to itself, or more than 10,000 tags.
            Denied: the caller may not pull at the source or not create at the destination, whether that is
                there or not (``TagImmutable``: a tag there must not move).
            NotFound: there is no such image, or no tag that matches.
            Conflict: a tag at the destination names another image and is not to be replaced; or the key was
                used for another request.
            WriteConflict: the same request is being made at this moment.
        """
        # Before anything is read: what is made later had no part in the decision.
        now = self._clock()
        source = wish.source(org, text)
        destination = wish.destination(source.repository)
        _require_another(source, destination, wish)
        for permission, repository in (
            (Permission.PULL, source.repository),
            (Permission.CREATE, destination),
        ):
            self._access.require(caller, permission, Resource.of_repository(repository))
        request: JobRequest | None = None
        if key is not None:
            since = youngest(self._table, caller.principal, source.repository, destination)
            request = JobRequest(caller.principal, key, wish.fingerprint(source), since)
        job = self._table.find_request(request, now) if request else None
        if job is None:
            items = self._items(source, destination, wish)
            order = self._order(caller, source, destination, wish, items)
            job = self._table.create_job(
                CopyJob(new_job_id(), order, created=now, modified=now), items, request
            )
        if job.state is JobState.QUEUED:
            # Also of a job that was made before: its document, or the event of it, may have been lost.
            self._documents.write(job.id)
        return job

    def _order(
        self,
        caller: Caller,
        source: ImageReference,
        destination: Repository,
        wish: CopyWish,
        items: Sequence[CopyItem],
    ) -> CopyOrder:
        return CopyOrder(
            requester=caller.principal,
            source=source.repository,
            destination=destination,
            selection=wish.tag_pattern or source.tag or str(source.digest),
            items=len(items),
            referrers=wish.referrers,
            replace=wish.replace_tag,
            destination_tag=items[0].tag if wish.tag_pattern is None else None,
            digest=items[0].digest if wish.tag_pattern is None else None,
        )

    def _items(self, source: ImageReference, destination: Repository, wish: CopyWish) -> Sequence[CopyItem]:
        """What is copied, with what each tag names at the destination now, if that is to be replaced."""
        # Signatures and the like first: nobody is to see an image there without them.
        selected = sorted(self._selected(source, wish), key=lambda each: not is_companion_tag(each[2] or ""))
        wanted = [tag for _, _, tag in selected if tag is not None]
        standing = self._standing(destination, wanted)
        items = [
            CopyItem(digest, tag, source_tag, _other(standing.get(tag) if tag else None, digest))
            for digest, source_tag, tag in selected
        ]
        moving = [item.tag for item in items if item.tag is not None and item.replaces is not None]
        refuse_immutable = self._rules.of(destination)
        for tag in moving:
            refuse_immutable(tag)
        if moving and not wish.replace_tag:
            raise Conflict(
                f"{_listed(moving)} at the destination; to replace what is there, give replaceTag, or choose "
                "another destinationTag"
            )
        return items

    def _selected(
        self, source: ImageReference, wish: CopyWish
    ) -> Iterator[tuple[Digest, str | None, str | None]]:
        """Digest, tag at the source and tag at the destination of each image that is asked for."""
        if wish.tag_pattern is None:
            yield self._digest(source), source.tag, wish.destination_tag or source.tag
            return
        found = 0
        for record in self._tagged(source.repository):
            if not wish.selects(record.tag):
                continue
            found += 1
            if found > MAX_ITEMS:
                raise InvalidInput(
                    f"more than {MAX_ITEMS} tags are selected; copy them in several requests, each with a "
                    "tagPattern that selects fewer"
                )
            yield record.digest, record.tag, record.tag
        if found == 0:
            raise NotFound("the repository has no such tag")

    def _digest(self, source: ImageReference) -> Digest:
        tag, pin = source.tag, source.digest
        if tag is not None:
            digest = self._table.find_tag(source.repository, tag)
            if digest is None or pin not in (None, digest):
                raise NotFound("there is no such image")
            return digest
        if pin is None or not self._table.find_manifests(source.repository, [pin]):
            raise NotFound("there is no such image")
        return pin

    def _tagged(self, repository: Repository) -> Iterator[ImageRecord]:
        """All images of a repository, by tag."""
        after: Place | None = None
        looked_at = 0
        while True:
            page = self._table.images_of_repository(repository, descending=False, after=after, limit=_PAGE)
            yield from page.images
            looked_at += len(page.images)
            if not page.more or not page.images:
                return
            if looked_at >= TAGS_LOOKED_AT:
                raise InvalidInput(
                    f"the repository has more than {TAGS_LOOKED_AT} tags, too many for one request; "
                    "copy its images one by one"
                )
            after = Place(repository, page.images[-1].tag)

    def _standing(self, destination: Repository, tags: Sequence[str]) -> dict[str, Digest]:
        if len(tags) == 1:
            digest = self._table.find_tag(destination, tags[0])
            return {} if digest is None else {tags[0]: digest}
        found = self._table.find_images([(destination, tag) for tag in tags]) if tags else ()
        return {record.tag: record.digest for record in found}


def _require_another(source: ImageReference, destination: Repository, wish: CopyWish) -> None:
    if source.repository != destination:
        return
    if wish.tag_pattern is not None or wish.destination_tag in (None, source.tag):
        raise InvalidInput(
            "source and destination are the same; give another destinationOrg, destinationName or "
            "destinationTag"
        )


def _other(standing: Digest | None, digest: Digest) -> Digest | None:
    return standing if standing != digest else None


def _listed(tags: Sequence[str]) -> str:
    shown = ", ".join(tags[:_NAMED_IN_ERROR])
    if len(tags) == 1:
        return f"the tag {shown} names another image"
    more = f" and {len(tags) - _NAMED_IN_ERROR} more" if len(tags) > _NAMED_IN_ERROR else ""
    return f"the tags {shown}{more} name other images"
