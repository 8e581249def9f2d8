"""Images: made by pushing, and found, labelled, explained and deleted here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query as Parameter
from fastapi import Request
from fastapi.responses import JSONResponse, Response

from moorage.domain.documents import Lock, writable
from moorage.domain.errors import Denied, InvalidInput, NotFound
from moorage.domain.images import ImageRecord
from moorage.domain.links import ImageReference
from moorage.domain.names import Repository
from moorage.domain.queries import Query
from moorage.domain.query_values import format_instant
from moorage.domain.resources import Kind, link_of, reject_unknown
from moorage.services.image_access import absent_image
from moorage.services.image_lists import ALL, PAGE, PAGE_MAX
from moorage.services.images import image_resource
from moorage.web.management import models, presentation
from moorage.web.management.presentation import Json
from moorage.web.management.queries import pack, unpack
from moorage.web.management.resources import (
    After,
    Packed,
    PermissionName,
    Principal,
    access_report,
    explanation,
)
from moorage.web.management.route import DryRun, body_of, caller_of, object_of, services_of, writers_of
from moorage.web.management.routing import Routes

_IMAGES = "/org/{org}/image"
_IMAGE = f"{_IMAGES}/{{name:path}}"
_READ_ONLY = frozenset(
    ("repository", "tag", "digest", "manifest", "mediaType", "size", "platforms", "pushed", "pushedBy")
)

Limit = Annotated[int, Parameter(ge=1, le=PAGE_MAX, description="Images on a page, at most.")]


def add_routes(routes: Routes) -> None:
    """Serve images: actions before names, which never begin with a hyphen."""
    one, result = {200: models.Image}, {200: models.QueryResult}
    summary = {200: models.ImageSummary}
    for method, path, endpoint, text, answers, takes in (
        ("POST", f"{_IMAGES}/-query", _query, "What a query selects", result, models.Query),
        ("GET", f"{_IMAGES}/-query", _query_on, "The next page of a query", result, None),
        ("GET", f"{_IMAGES}/-summary", _summary, "The repositories", summary, None),
        ("GET", f"{_IMAGES}/-latest/{{name:path}}", _latest, "What was pushed last", one, None),
        ("GET", _IMAGES, _list, "A page of images", {200: models.ResourceList}, None),
        ("POST", _IMAGES, _create, "Refused: images are made by pushing", {201: models.Image}, None),
        ("PUT", _IMAGES, _upsert, "Replace the metadata of an image", one, models.ImageBody),
        ("GET", f"{_IMAGE}/-accessreport", _report, "Who may do what", {200: models.AccessReport}, None),
        ("GET", f"{_IMAGE}/-explain", _explain, "Whether somebody may", {200: models.Explanation}, None),
        ("GET", _IMAGE, _get, "An image", one, None),
        ("PUT", _IMAGE, _replace, "Replace the metadata", one, models.ImageBody),
        ("PATCH", _IMAGE, _patch, "Change the metadata", one, models.Patch),
        ("DELETE", _IMAGE, _delete, "Delete an image", {204: None}, None),
    ):
        routes.add(method, path, endpoint, summary=text, answers=answers, takes=takes)


async def _list(request: Request, after: After = None, limit: Limit = PAGE) -> Response:
    org = _org(request)
    page = services_of(request).images.search(caller_of(request), org, ALL, after, limit)
    following = None if page.next is None else {"after": page.next, "limit": str(limit)}
    items = (_shown(each) for each in page.images)
    return JSONResponse(presentation.listed(Kind.IMAGE, items, f"/org/{org}/image", following))


async def _query(request: Request, limit: Limit = PAGE) -> Response:
    body = object_of(request)
    body_of(models.Query, body)
    return _queried(request, Query.parse(body or None, Kind.IMAGE), None, limit)


async def _query_on(
    request: Request,
    q: Packed = None,
    after: After = None,
    limit: Limit = PAGE,
) -> Response:
    return _queried(request, ALL if q is None else unpack(q, Kind.IMAGE), after, limit)


def _queried(request: Request, query: Query, cursor: str | None, limit: int) -> Response:
    org, asked = _org(request), {"q": pack(query), "limit": str(limit)}
    page = services_of(request).images.search(caller_of(request), org, query, cursor, limit)
    items = (presentation.fetched(query, _shown(each)) for each in page.images)
    following = None if page.next is None else {"after": page.next}
    path = f"/org/{org}/image/-query"
    return JSONResponse(presentation.query_result(query, items, path, asked, following))


async def _summary(request: Request, after: After = None) -> Response:
    org = _org(request)
    part = services_of(request).images.summary(caller_of(request), org, after)
    repositories = [{"name": each.repository.image, "tagsCount": each.tags} for each in part.repositories]
    following = None if part.next is None else {"after": part.next}
    links = presentation.paging(f"/org/{org}/image/-summary", {}, following)
    return JSONResponse({"kind": "imagesummary", "repositories": repositories, "links": links})


async def _latest(request: Request) -> Response:
    repository = Repository.parse(f"{_org(request)}/{request.path_params['name']}")
    return _whole(request, services_of(request).images.latest(caller_of(request), repository))


async def _create(dry_run: DryRun = False) -> Response:  # noqa: FBT002, ARG001 - refused either way
    raise _unmade()


async def _upsert(request: Request, dry_run: DryRun = False) -> Response:  # noqa: FBT002
    content = _content(request)
    body = _body(content)
    try:
        reference = ImageReference.parse(_org(request), body.name)
        return _replaced(request, reference, body, content, dry_run=dry_run)
    except NotFound:
        raise _unmade() from None


async def _replace(request: Request, dry_run: DryRun = False) -> Response:  # noqa: FBT002
    content = {"name": request.path_params["name"], **_content(request)}
    body = _body(content)
    return _replaced(request, _meant(_reference(request), body.name), body, content, dry_run=dry_run)


async def _get(request: Request) -> Response:
    return _whole(request, services_of(request).images.get(caller_of(request), _reference(request)))


async def _patch(request: Request, dry_run: DryRun = False) -> Response:  # noqa: FBT002
    content = _content(request)
    fields = _writable(content)
    reject_unknown(fields, ("name", "tags"), "what can be changed of an image")
    reference = _meant(_reference(request), fields.get("name"))
    images, lock = writers_of(request, dry_run=dry_run).images, Lock.parse(content)
    changes = fields.get("tags", {})
    if changes is None:
        return _whole(request, images.replace_tags(caller_of(request), reference, {}, lock))
    if not isinstance(changes, dict):
        raise InvalidInput("tags is an object of names and values")
    return _whole(request, images.change_tags(caller_of(request), reference, changes, lock))


async def _delete(request: Request, dry_run: DryRun = False) -> Response:  # noqa: FBT002
    writers_of(request, dry_run=dry_run).images.delete(caller_of(request), _reference(request))
    return Response(status_code=204)


async def _report(request: Request) -> Response:
    record = services_of(request).images.get(caller_of(request), _reference(request))
    return JSONResponse(access_report(request, record.link, image_resource(record)))


async def _explain(request: Request, principal: Principal, permission: PermissionName) -> Response:
    reference = _reference(request)
    record = services_of(request).images.find(reference)
    # What will be allowed can be asked before there is an image; the answer takes a right to all policies.
    resource = absent_image(reference) if record is None else image_resource(record)
    return JSONResponse(explanation(request, reference.link, resource, principal, permission))


def _org(request: Request) -> str:
    org: str = request.path_params["org"]
    return org


def _reference(request: Request) -> ImageReference:
    return ImageReference.parse(_org(request), request.path_params["name"])


def _meant(reference: ImageReference, name: Any) -> ImageReference:
    """What a request to ``reference`` is about that calls it ``name`` in its body, as answers do: by
    repository and tag, without the digest that a path may pin it to.

    Raises:
        InvalidInput: the body names another image.
    """
    if name is None:
        return reference
    if not isinstance(name, str):
        raise InvalidInput("name is a string")
    named = ImageReference.parse(reference.repository.org, name)
    if (
        named.repository != reference.repository
        or (reference.tag is not None and named.tag not in (None, reference.tag))
        or named.digest not in (None, reference.digest)
    ):
        raise InvalidInput("the name of an image stays; another one is made by pushing it")
    return ImageReference(reference.repository, named.tag or reference.tag, reference.digest)


def _content(request: Request) -> dict[str, Any]:
    content = object_of(request)
    if content.get("kind") not in (None, Kind.IMAGE.value):
        raise InvalidInput(f"kind is {Kind.IMAGE} here")
    return content


def _unmade() -> Denied:
    return Denied("an image is made by pushing it; here its metadata can be changed")


def _writable(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in writable(content).items() if key not in _READ_ONLY}


def _body(content: Mapping[str, Any]) -> models.ImageBody:
    return body_of(models.ImageBody, _writable(content))


def _replaced(
    request: Request,
    reference: ImageReference,
    body: models.ImageBody,
    content: Mapping[str, Any],
    *,
    dry_run: bool,
) -> Response:
    images = writers_of(request, dry_run=dry_run).images
    record = images.replace_tags(caller_of(request), reference, body.tags, Lock.parse(content))
    return _whole(request, record)


def _shown(record: ImageRecord) -> Json:
    """An image as lists have it."""
    org = record.repository.org
    return {
        "kind": Kind.IMAGE.value,
        "id": record.id,
        "name": record.name,
        "version": record.version,
        "tags": dict(record.tags),
        "created": format_instant(record.created),
        "lastModified": format_instant(record.last_modified),
        "repository": record.repository.image,
        "tag": record.tag,
        "digest": str(record.digest),
        "mediaType": record.media_type,
        "size": record.size,
        "platforms": None if record.platforms is None else list(record.platforms),
        "pushed": format_instant(record.pushed),
        "pushedBy": record.pushed_by,
        "links": [
            presentation.link("self", record.link),
            presentation.link("org", link_of(Kind.ORG, org, org)),
        ],
    }


def _whole(request: Request, record: ImageRecord) -> Response:
    """An image as it is shown alone: with its manifest, and the platform of one that is no index."""
    content = services_of(request).images.content(record)
    if content is None:
        return JSONResponse(_shown(record))
    more = {"manifest": content.manifest, "platforms": list(content.platforms)}
    return JSONResponse({**_shown(record), **more})
