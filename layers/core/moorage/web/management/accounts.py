"""What only principals have: keys, and invitations of users."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from moorage.domain.resources import Kind, parse_name
from moorage.ports import ResourceName
from moorage.web.management import models, presentation
from moorage.web.management.resources import whole
from moorage.web.management.route import body_of, caller_of, object_of, services_of
from moorage.web.management.routing import Endpoint, Routes


def add_routes(routes: Routes) -> None:
    """Serve keys of service accounts and users, and invitations."""
    for kind in (Kind.SERVICE_ACCOUNT, Kind.USER):
        routes.add(
            "POST",
            f"/org/{{org}}/{kind}/{{name}}/-addKey",
            _add_key(kind),
            summary="Make a key; it is shown this once",
            takes=models.NewKeyBody,
            answers={201: models.Key},
        )
    routes.add(
        "POST",
        "/org/{org}/user/-invite",
        _invite,
        summary="Bring people into the organisation",
        takes=models.Invitation,
        answers={200: models.Invited},
    )
    routes.add(
        "GET",
        "/org/{org}/user/-for/email/{email}",
        _by_email,
        summary="A user by e-mail address",
        answers={200: models.Resource},
    )


def _add_key(kind: Kind) -> Endpoint:
    async def add_key(request: Request) -> Response:
        services, path = services_of(request), request.path_params
        wanted = body_of(models.NewKeyBody, object_of(request))
        owner = ResourceName(kind, path["org"], parse_name(kind, path["name"]))
        made = services.keys.add(
            caller_of(request),
            owner,
            wanted.name,
            description=wanted.description,
            expires=wanted.expires,
        )
        return JSONResponse(presentation.new_key(made), 201)

    return add_key


async def _invite(request: Request) -> Response:
    wanted = body_of(models.Invitation, object_of(request))
    invited = services_of(request).invitations.invite(
        caller_of(request), request.path_params["org"], wanted.emails, wanted.group_link
    )
    return JSONResponse({"invitations": dict(invited.links), "errors": dict(invited.errors)})


async def _by_email(request: Request) -> Response:
    path = request.path_params
    name = ResourceName(Kind.USER, path["org"], parse_name(Kind.USER, path["email"]))
    record = services_of(request).reads.get(caller_of(request), name)
    return JSONResponse(whole(request, record))
