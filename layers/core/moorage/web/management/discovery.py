"""What a client asks before it has credentials: where things are."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse

from moorage import __version__
from moorage.web.management.models import About, Discovery, OpenApi
from moorage.web.management.route import ManagementRoute, services_of
from moorage.web.management.routing import Routes

OPENAPI_PATH = "/discovery/openapi.json"


def add_routes(routes: Routes) -> None:
    """Let anybody ask where things are."""

    async def openapi() -> JSONResponse:
        return JSONResponse(routes.document())

    for path, endpoint, summary, shape in (
        ("/discovery", _discovery, "Where the registry and the other endpoints are", Discovery),
        ("/about", _about, "Which version is deployed", About),
        (OPENAPI_PATH, openapi, "This description", OpenApi),
    ):
        routes.add("GET", path, endpoint, summary=summary, answers={200: shape}, by=ManagementRoute)


async def _discovery(request: Request) -> JSONResponse:
    entrance = services_of(request).entrance
    base = entrance.base_url(request)
    registry = f"https://{{org}}.{entrance.domain}" if entrance.domain else f"{base}/{{org}}"
    endpoints = {"api": base, "registry": registry, "token": f"{base}/token"}
    return JSONResponse({"endpoints": endpoints, "openapi": f"{base}{OPENAPI_PATH}"})


async def _about() -> JSONResponse:
    return JSONResponse({"name": "moorage", "version": __version__})
