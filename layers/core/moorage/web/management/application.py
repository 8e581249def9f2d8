"""The management API as one ASGI application."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from fastapi import FastAPI, Request
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.routing import Match

from moorage import __version__
from moorage.domain.errors import EndpointUnknown, InvalidInput, MethodUnsupported, RegistryError
from moorage.web.management import accounts, copies, discovery, images, jobs, organisations, resources
from moorage.web.management.errors import code_of, error_response
from moorage.web.management.routing import Routes, routes_of
from moorage.web.management.services import ManagementServices
from moorage.web.management.shell import Shell
from moorage.web.resource import request_id

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp

DESCRIPTION = """\
Organisations, the principals in them, the policies that say who may do what, the images, and jobs that copy
images.

Every resource has the same verbs. A list goes on at its link `next`. A change may carry the `version` that it
was made from; when that is no longer the stored one, the answer is 409 and nothing is written. Whatever goes
wrong has one shape.
"""

_SILENT: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False}


def create_application(services: ManagementServices) -> ASGIApp:
    """The application that serves ``/org``, ``/discovery`` and ``/about``."""
    return Shell(create_api(services))


def create_api(services: ManagementServices) -> FastAPI:
    """The routes without the shell around them."""
    api = FastAPI(
        title="moorage",
        version=__version__,
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
        exception_handlers={HTTPException: _outside_of_routes},
        telemetry=_SILENT,
    )
    api.state.services = services
    routes = Routes(api)
    # What is more special comes first: the name of an image may have slashes.
    for module in (discovery, accounts, organisations, jobs, copies, images, resources):
        module.add_routes(routes)
    return api


async def _outside_of_routes(request: Request, raised: Exception) -> Response:
    """What the router says of a path or a method that no route takes."""
    error: RegistryError
    headers: dict[str, str] = {}
    match cast("HTTPException", raised).status_code:
        case HTTPStatus.NOT_FOUND:
            error = EndpointUnknown("there is no such endpoint; resources are at /org/ORGANISATION/KIND")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            error = MethodUnsupported(f"this endpoint does not take {request.method}")
            headers["Allow"] = ", ".join(sorted(_methods(request)))
        case _:
            error = InvalidInput("the request cannot be read")
    request.state.code = code_of(error)
    return error_response(error, request_id(request), headers)


def _methods(request: Request) -> set[str]:
    """What the routes of a path take, each of which has one method."""
    fitting = (route for route in routes_of(request.app) if route.matches(request.scope)[0] is not Match.NONE)
    return {method for route in fitting for method in route.methods or ()}
