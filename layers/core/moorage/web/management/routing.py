"""Routes as they are declared: a method and a path, who may call, what comes in and what goes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from moorage.web.management.authentication import SECURITY_SCHEMES
from moorage.web.management.models import Failure
from moorage.web.management.route import BootstrapRoute, EitherRoute, ManagementRoute, SignedRoute

Endpoint = Callable[..., Awaitable[Response]]
Answers = Mapping[int, type[BaseModel] | None]
"""The shape of the answer for each status of success; None where the answer is empty."""

_REFERENCE = "#/components/schemas/{model}"
_SECURITY: Mapping[type[ManagementRoute], list[dict[str, list[str]]]] = {
    ManagementRoute: [],
    SignedRoute: [{"bearer": []}, {"key": []}],
    BootstrapRoute: [{"bootstrap": []}],
    EitherRoute: [{"bearer": []}, {"key": []}, {"bootstrap": []}],
}
_FAILURES = {
    400: "The request is wrong as it stands.",
    401: "No credentials, or none that are valid.",
    403: "Not for this caller; whether there is such a thing is not said.",
    404: "There is no such thing.",
    409: "What is stored does not allow it: another version, a taken name, something that is in use.",
    413: "The body has more than 1 MB.",
    429: "Too many requests at a time; `Retry-After` says when to come back.",
    503: "A dependency failed; `Retry-After` says when to come back.",
}


async def _org(org: Annotated[str, Path(description="The organisation.")]) -> None:
    """Declare a part of a path."""


async def _gvc(gvc: Annotated[str, Path(description="The group of workloads.")]) -> None:
    """Declare a part of a path."""


async def _name(name: Annotated[str, Path(description="The name of the resource.")]) -> None:
    """Declare a part of a path."""


async def _kind(kind: Annotated[str, Path(description="A kind of resources.")]) -> None:
    """Declare a part of a path."""


async def _email(email: Annotated[str, Path(description="The e-mail address.")]) -> None:
    """Declare a part of a path."""


async def _id(id: Annotated[str, Path(description="The id of the job.")]) -> None:  # noqa: A002
    """Declare a part of a path."""


# Each `async`: what is not would run in a pool of threads.
_PARTS = {"org": _org, "gvc": _gvc, "name": _name, "kind": _kind, "email": _email, "id": _id}


class Routes:
    """Adds routes to an application, and describes them."""

    def __init__(self, api: FastAPI) -> None:
        self._api = api
        self._bodies: set[type[BaseModel]] = {Failure}
        self._document: dict[str, Any] | None = None

    def add(
        self,
        method: str,
        path: str,
        endpoint: Endpoint,
        *,
        summary: str,
        answers: Answers,
        takes: type[BaseModel] | None = None,
        by: type[ManagementRoute] = SignedRoute,
    ) -> None:
        """Let ``endpoint`` answer ``method`` on ``path``; ``takes`` is the shape of the body."""
        extra: dict[str, Any] = {"security": _SECURITY[by]}
        if takes is not None:
            self._bodies.add(takes)
            schema = {"$ref": _REFERENCE.format(model=takes.__name__)}
            required = takes.model_json_schema().get("required", [])
            extra["requestBody"] = {
                "required": bool(required),
                "content": {"application/json": {"schema": schema}},
            }
        parts = [part.partition(":")[0] for part in _parts_of(path)]
        status = min(answers)
        self._api.router.add_api_route(
            path,
            endpoint,
            methods=[method],
            summary=summary,
            status_code=status,
            response_model=None,
            responses={code: _answer(model) for code, model in answers.items()},
            dependencies=[Depends(_PARTS[part]) for part in parts],
            openapi_extra=extra,
            operation_id=_operation_id(method, path),
            tags=[_tag(path)],
            route_class_override=by,
        )

    def document(self) -> dict[str, Any]:
        """The OpenAPI document of all routes."""
        if self._document is None:
            self._document = self._describe()
        return self._document

    def _describe(self) -> dict[str, Any]:
        api = self._api
        document: dict[str, Any] = get_openapi(
            title=api.title, version=api.version, description=api.description, routes=api.routes
        )
        components = document.setdefault("components", {})
        components["securitySchemes"] = SECURITY_SCHEMES
        bodies = sorted(self._bodies, key=lambda model: model.__name__)
        _, definitions = models_json_schema(
            [(model, "validation") for model in bodies], ref_template=_REFERENCE
        )
        schemas = components.setdefault("schemas", {})
        schemas.update(definitions["$defs"])
        # The framework's own shape of a refusal, which is never sent.
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                operation["responses"].update(_failures())
        return document


def _parts_of(path: str) -> list[str]:
    return [part.split("}")[0] for part in path.split("{")[1:]]


def _answer(model: type[BaseModel] | None) -> dict[str, Any]:
    return {"description": "Success", **({} if model is None else {"model": model})}


def _failures() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REFERENCE.format(model=Failure.__name__)}}}
    return {str(status): {"description": text, "content": content} for status, text in _FAILURES.items()}


def _operation_id(method: str, path: str) -> str:
    words = path.replace(":path", "").replace("{", "").replace("}", "").replace("-", "").split("/")
    return "_".join([method.lower(), *filter(None, words)])


def _tag(path: str) -> str:
    """The kind of resource that a path is about."""
    parts = path.split("/")
    if "identity" in parts:
        return "identity"
    return parts[3] if len(parts) > 3 and parts[3][:1] not in ("-", "{") else parts[1]  # noqa: PLR2004


def routes_of(api: FastAPI) -> list[APIRoute]:
    """All routes of an application."""
    return [route for route in api.routes if isinstance(route, APIRoute)]
