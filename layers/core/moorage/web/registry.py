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
from moorage.domain.receipts import FIELDS as RECEIPT_FIELDS
from moorage.web import (
    blob_routes,
    listing_routes,
    manifest_routes,
    presigned_routes,
    received_routes,
    upload_routes,
)
from moorage.web.authentication import PROTOCOL, Authentication, scope_for
from moorage.web.call import Call, RegistryServices
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
        "presigned-uploads",
        "/v2/{name:path}/blobs/uploads/_presigned/",
        (Endpoint("POST", Action.PUSH, presigned_routes.begin_upload),),
    ),
    Path(
        "presigned-upload",
        "/v2/{name:path}/blobs/uploads/_presigned/{session}",
        (
            Endpoint("GET", Action.PUSH, presigned_routes.show_upload),
            Endpoint("DELETE", Action.PUSH, presigned_routes.abort_upload),
        ),
    ),
    Path(
        "presigned-completion",
        "/v2/{name:path}/blobs/uploads/_presigned/{session}/complete",
        (Endpoint("POST", Action.PUSH, presigned_routes.complete_upload),),
    ),
    Path(
        "received-upload",
        "/v2/{name:path}/blobs/uploads/_received/" + "/".join(f"{{{field}}}" for field in RECEIPT_FIELDS),
        (
            Endpoint("GET", Action.PUSH, received_routes.received_status),
            Endpoint("PATCH", Action.PUSH, received_routes.append_received),
            Endpoint("PUT", Action.PUSH, received_routes.finish_received),
            Endpoint("DELETE", Action.PUSH, received_routes.cancel_received),
        ),
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
    ping = Resource("ping", {method: _ping(_authentication(services)) for method in ("GET", "HEAD")})
    routes += [Route(path, ping) for path in ("/v2", "/v2/")]
    # Some clients leave out the slash at the end of the uploads path.
    bare = [
        Route(path.pattern.rstrip("/"), Resource(path.name, _methods(path, services)))
        for path in PATHS
        if path.pattern.endswith("/")
    ]
    return Router([*bare, *routes], redirect_slashes=False, default=NotFound())


def _authentication(services: RegistryServices) -> Authentication:
    return Authentication(services.verification, services.entrance)


def _methods(path: Path, services: RegistryServices) -> dict[str, Handler]:
    return {endpoint.method: _authorized(endpoint, services) for endpoint in path.endpoints}


def _authorized(endpoint: Endpoint, services: RegistryServices) -> Handler:
    """``endpoint``'s handler behind the check of the token: the one place where ``/v2`` decides."""
    authentication = _authentication(services)

    def handle(request: Request, body: bytes) -> Response:
        place = services.entrance.address(request)
        name = request.path_params["name"]
        token = authentication.authenticate(request, _scope(place, name, endpoint.action))
        repository = place.repository(name)
        request.state.repository = repository.name
        authentication.authorize(request, token, place, repository, endpoint.action)
        return endpoint.handler(Call(request, body, place, repository, token.principal, services))

    return handle


def _scope(place: Address, name: str, action: Action) -> str | None:
    """The scope for a challenge; none for a name that must not be repeated because it is not one."""
    try:
        place.repository(name)
    except NameInvalid:
        return None
    return scope_for(name, action)


def _ping(authentication: Authentication) -> Handler:
    def ping(request: Request, _: bytes) -> Response:
        authentication.authenticate(request, scope=None)
        return JSONResponse({}, headers=PROTOCOL)

    return ping
