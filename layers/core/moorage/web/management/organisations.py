"""Organisations themselves, and the permissions that their kinds of resources have."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from moorage.domain.documents import writable
from moorage.domain.errors import Denied, NotFound
from moorage.domain.names import parse_organisation
from moorage.domain.permissions import Permission
from moorage.domain.query_values import format_instant
from moorage.domain.resources import Kind
from moorage.domain.targets import Resource
from moorage.ports import ResourceName
from moorage.services.access import refusal
from moorage.web.management import models, presentation
from moorage.web.management.resources import Force, PermissionName, Principal, access_report, explanation
from moorage.web.management.route import (
    BootstrapRoute,
    DryRun,
    EitherRoute,
    body_of,
    bootstraps,
    caller_of,
    object_of,
    services_of,
    writers_of,
)
from moorage.web.management.routing import Routes

_ORG = "/org/{org}"
# What is kept of the time that the function has, to answer in.
_RESERVE_MILLISECONDS = 5_000


def add_routes(routes: Routes) -> None:
    """Serve organisations."""
    add, one = routes.add, {200: models.Resource}
    add("GET", "/org", _list, summary="Your organisation", answers={200: models.ResourceList})
    add(
        "POST",
        "/org",
        _create,
        summary="Make an organisation, with its first superuser and a key",
        takes=models.OrganisationBody,
        answers={201: models.NewOrganisation},
        by=BootstrapRoute,
    )
    report, explained = {200: models.AccessReport}, {200: models.Explanation}
    add("GET", f"{_ORG}/-accessreport", _access_report, summary="Who may do what with it", answers=report)
    add(
        "GET", f"{_ORG}/-explain", _explain, summary="Whether a principal may do something", answers=explained
    )
    add(
        "GET",
        f"{_ORG}/-schema/permissions",
        _schema,
        summary="Permissions",
        answers={200: models.Permissions},
    )
    add(
        "GET",
        f"{_ORG}/{{kind}}/-schema/permissions",
        _schema_of_kind,
        summary="The permissions of a kind",
        answers={200: models.Permissions},
    )
    inside = f"{_ORG}/gvc/{{gvc}}/identity/-schema/permissions"
    schema = {200: models.Permissions}
    add("GET", inside, _schema_of_identities, summary="The permissions of identities", answers=schema)
    add("GET", _ORG, _get, summary="An organisation", answers=one)
    settings = models.OrganisationSettings
    add("PUT", _ORG, _replace, summary="Replace what is set", takes=settings, answers=one)
    add("PATCH", _ORG, _patch, summary="Change what is set", takes=models.Patch, answers=one)
    ended = {202: models.Ending, 204: None}
    add("DELETE", _ORG, _delete, summary="End an organisation", answers=ended, by=EitherRoute)


async def _list(request: Request) -> Response:
    caller = caller_of(request)
    try:
        items = [presentation.resource(services_of(request).reads.get(caller, _named(caller.organisation)))]
    except (Denied, NotFound):
        items = []
    return JSONResponse(presentation.listed(Kind.ORG, items, "/org", None))


async def _create(request: Request) -> Response:
    content = writable(object_of(request))
    body = body_of(models.OrganisationBody, content)
    founded = services_of(request).organisations.create(body.name, content)
    answer = {
        **presentation.resource(founded.organisation),
        "creator": founded.creator.link,
        "key": presentation.new_key(founded.key),
    }
    return JSONResponse(answer, 201, {"Location": founded.organisation.link})


async def _get(request: Request) -> Response:
    record = services_of(request).reads.get(caller_of(request), _name(request))
    return JSONResponse(presentation.resource(record))


async def _replace(request: Request, dry_run: DryRun = False) -> Response:  # noqa: FBT002
    content, writes = object_of(request), writers_of(request, dry_run=dry_run).writes
    body_of(models.OrganisationSettings, writable(content))
    return presentation.written(writes.replace(caller_of(request), _name(request), content))


async def _patch(request: Request, dry_run: DryRun = False) -> Response:  # noqa: FBT002
    writes = writers_of(request, dry_run=dry_run).writes
    return presentation.written(writes.patch(caller_of(request), _name(request), object_of(request)))


async def _delete(request: Request, force: Force = False) -> Response:  # noqa: FBT002
    organisations, name = services_of(request).organisations, _name(request)
    context = request.scope.get("aws.context")

    def has_time() -> bool:
        return context is None or context.get_remaining_time_in_millis() > _RESERVE_MILLISECONDS

    if bootstraps(request):
        ending = organisations.go_on_removing(name.org, has_time=has_time)
    else:
        ending = organisations.remove(caller_of(request), name.org, force=force, has_time=has_time)
    if ending.finished:
        return Response(status_code=204)
    answer = {"finished": False, "rows": ending.rows, "again": format_instant(ending.again)}
    return JSONResponse(answer, 202)


async def _access_report(request: Request) -> Response:
    record = services_of(request).reads.get(caller_of(request), _name(request))
    return JSONResponse(access_report(request, record.link, Resource.of_record(record)))


async def _explain(request: Request, principal: Principal, permission: PermissionName) -> Response:
    record = services_of(request).reads.get(caller_of(request), _name(request))
    resource = Resource.of_record(record)
    return JSONResponse(explanation(request, record.link, resource, principal, permission))


async def _schema(request: Request) -> Response:
    return _permissions(request, Kind.ORG)


async def _schema_of_identities(request: Request) -> Response:
    return _permissions(request, Kind.IDENTITY)


async def _schema_of_kind(request: Request) -> Response:
    return _permissions(request, Kind.parse(request.path_params["kind"]))


def _permissions(request: Request, kind: Kind) -> Response:
    org = request.path_params["org"]
    if caller_of(request).organisation != org:
        raise refusal(kind, Permission.VIEW)
    return JSONResponse(presentation.permissions(kind, org))


def _name(request: Request) -> ResourceName:
    return _named(parse_organisation(request.path_params["org"]))


def _named(org: str) -> ResourceName:
    return ResourceName(Kind.ORG, org, org)
