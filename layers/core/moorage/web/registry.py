"""The registry protocol: its routes as data, and the application made of them.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from moorage.domain.addresses import Address
from moorage.domain.errors import NameInvalid
from moorage.domain.grants import Action
from moorage.services.verification import TokenVerification
from moorage.web import blob_routes, listing_routes, manifest_routes, upload_routes
from moorage.web.authentication import PROTOCOL, authenticate, authorize, scope_for
from moorage.web.call import Call, RegistryServices
from moorage.web.origin import address
from moorage.web.resource import Handler, NotFound, Resource

if TYPE_CHECKING:
    from starlette.requests import Request

RouteHandler = Callable[[Call], Response]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method of a path, the action that a token must grant for it, and what answers it."""

    method: str
    action: Action
    handler: RouteHandler


@dataclass(frozen=True, slots=True)
class Path:
    """A path below a repository and its endpoints."""

    name: str
    pattern: str
    endpoints: tuple[Endpoint, ...]


PATHS = (
    Path(
        "blob",
        "/v2/{name:path}/blobs/{digest}",
        (
            Endpoint("GET", Action.PULL, blob_routes.get_blob),
            Endpoint("HEAD", Action.PULL, blob_routes.head_blob),
            Endpoint("DELETE", Action.DELETE, blob_routes.delete_blob),
        ),
    ),
    Path(
        "uploads",
        "/v2/{name:path}/blobs/uploads/",
        (Endpoint("POST", Action.PUSH, upload_routes.start_upload),),
    ),
    Path(
        "upload",
        "/v2/{name:path}/blobs/uploads/{session}",
        (
            Endpoint("GET", Action.PUSH, upload_routes.upload_status),
            Endpoint("PATCH", Action.PUSH, upload_routes.append_chunk),
            Endpoint("PUT", Action.PUSH, upload_routes.finish_upload),
            Endpoint("DELETE", Action.PUSH, upload_routes.cancel_upload),
        ),
    ),
    Path(
        "manifest",
        "/v2/{name:path}/manifests/{reference}",
        (
            Endpoint("GET", Action.PULL, manifest_routes.get_manifest),
            Endpoint("HEAD", Action.PULL, manifest_routes.head_manifest),
            Endpoint("PUT", Action.PUSH, manifest_routes.put_manifest),
            Endpoint("DELETE", Action.DELETE, manifest_routes.delete_manifest),
        ),
    ),
    Path(
        "tags",
        "/v2/{name:path}/tags/list",
        (Endpoint("GET", Action.PULL, listing_routes.list_tags),),
    ),
    Path(
        "referrers",
        "/v2/{name:path}/referrers/{digest}",
        (Endpoint("GET", Action.PULL, listing_routes.list_referrers),),
    ),
)


def create_application(services: RegistryServices) -> Router:
    """The ASGI application that serves ``/v2/`` over ``services``."""
    routes = [
        Route(path.pattern, Resource(path.name, _methods(path, services)), name=path.name) for path in PATHS
    ]
    ping = Resource("ping", {method: _ping(services.verification) for method in ("GET", "HEAD")})
    routes += [Route(path, ping) for path in ("/v2", "/v2/")]
    # Some clients leave out the slash at the end of the uploads path.
    uploads = next(path for path in PATHS if path.name == "uploads")
    bare = Route(uploads.pattern.rstrip("/"), Resource("uploads", _methods(uploads, services)))
    return Router([bare, *routes], redirect_slashes=False, default=NotFound())


def _methods(path: Path, services: RegistryServices) -> dict[str, Handler]:
    return {endpoint.method: _authorized(endpoint, services) for endpoint in path.endpoints}


def _authorized(endpoint: Endpoint, services: RegistryServices) -> Handler:
    """``endpoint``'s handler behind the check of the token: the one place where ``/v2`` decides."""

    def handle(request: Request, body: bytes) -> Response:
        place = address(request, services.domain)
        name = request.path_params["name"]
        token = authenticate(request, services.verification, _scope(place, name, endpoint.action))
        repository = place.repository(name)
        request.state.repository = repository.name
        authorize(request, token, place, repository, endpoint.action)
        return endpoint.handler(Call(request, body, place, repository, token.principal, services))

    return handle


def _scope(place: Address, name: str, action: Action) -> str | None:
    """The scope for a challenge; none for a name that must not be repeated because it is not one."""
    try:
        place.repository(name)
    except NameInvalid:
        return None
    return scope_for(name, action)


def _ping(verification: TokenVerification) -> Handler:
    def ping(request: Request, _: bytes) -> Response:
        authenticate(request, verification, scope=None)
        return JSONResponse({}, headers=PROTOCOL)

    return ping
