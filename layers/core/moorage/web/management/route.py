"""What happens to every request before its endpoint runs: who calls, then what the body is."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from fastapi import Query as Parameter
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from moorage.domain.errors import InvalidInput, RegistryError, Unauthorized, Unavailable
from moorage.domain.names import parse_organisation
from moorage.domain.principals import parse_resource_name
from moorage.services.callers import BOOTSTRAP_PREFIX, Caller
from moorage.web.management.authentication import CHALLENGE, credentials_of
from moorage.web.management.errors import code_of, error_response
from moorage.web.management.json_body import parse_json
from moorage.web.resource import request_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.web.management.services import ManagementServices, Writers

Model = TypeVar("Model", bound=BaseModel)

DRY_RUN = "dryRun"
DryRun = Annotated[
    bool, Parameter(alias=DRY_RUN, description="Check all, answer what would be, and write nothing.")
]

_log = logging.getLogger("moorage.web")
_MAX_PROBLEMS = 20
_BOOTSTRAP = "bootstrap"
_DASHES = re.compile("[-_]")
_READING = frozenset({"GET", "HEAD"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
# What a path goes through on its way to a resource, and how that is named.
_PLACES: Mapping[str, Callable[[str], str]] = {"org": parse_organisation, "gvc": parse_resource_name}


class ManagementRoute(APIRoute):
    """A route that anybody may call; those below say who else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint behind the checks, with errors as answers."""
        endpoint = super().get_route_handler()

        async def handle(request: Request) -> Response:
            request.state.route = self.path_format
            request.state.organisation = request.path_params.get("org")
            try:
                self.authenticate(request)
                _check_place(request)
                self._check_dry_run(request)
                if request.method in _WITH_BODY:
                    request.state.content = _content(request, await request.body())
                return await endpoint(request)
            except RequestValidationError as error:
                return _error(request, _invalid(error.errors()))
            except RegistryError as error:
                return _error(request, error)

        return handle

    def authenticate(self, request: Request) -> None:
        """Nobody has to prove anything here."""

    def _check_dry_run(self, request: Request) -> None:
        """Refuse to write for who asks for a dry run that there is not, or in another spelling.

        Raises:
            InvalidInput: that is so.
        """
        asked = {name for name in request.query_params if _DASHES.sub("", name).lower() == DRY_RUN.lower()}
        if not asked or request.method in _READING:
            return
        if DRY_RUN not in (field.alias for field in self.dependant.query_params):
            raise InvalidInput("this endpoint has no dry run; nothing was changed")
        if asked != {DRY_RUN}:
            raise InvalidInput(f"a dry run is asked for by {DRY_RUN}=true; nothing was changed")


class SignedRoute(ManagementRoute):
    """A route for principals with a key or a token."""

    def authenticate(self, request: Request) -> None:
        """Note who calls.

        Raises:
            Unauthorized: nobody who can prove it.
        """
        caller = services_of(request).callers.identify(credentials_of(request))
        request.state.caller = caller
        request.state.principal = caller.principal


class EitherRoute(SignedRoute):
    """A route for principals, and for whoever holds the bootstrap credential: then there is no caller."""

    def authenticate(self, request: Request) -> None:
        """Note who calls, or check the credential.

        Raises:
            Unauthorized: nobody who can prove it.
        """
        if credentials_of(request).startswith(BOOTSTRAP_PREFIX):
            services_of(request).callers.check_bootstrap(credentials_of(request))
            request.state.caller, request.state.principal = None, _BOOTSTRAP
        else:
            super().authenticate(request)


class BootstrapRoute(ManagementRoute):
    """A route for whoever holds the bootstrap credential."""

    def authenticate(self, request: Request) -> None:
        """Check the credential.

        Raises:
            Unauthorized: it is not the one.
        """
        services_of(request).callers.check_bootstrap(credentials_of(request))
        request.state.principal = _BOOTSTRAP


def services_of(request: Request) -> ManagementServices:
    """The use cases that the application was made with."""
    return cast("ManagementServices", request.app.state.services)


def writers_of(request: Request, *, dry_run: bool) -> Writers:
    """The use cases that write; for a dry run, which the log tells, those that do not."""
    if not dry_run:
        return services_of(request)
    request.state.dry_run = True
    return services_of(request).dry_runs


def caller_of(request: Request) -> Caller:
    """Who has called a ``SignedRoute``."""
    return cast("Caller", request.state.caller)


def bootstraps(request: Request) -> bool:
    """Whether an ``EitherRoute`` is called with the bootstrap credential."""
    return request.state.caller is None


def object_of(request: Request) -> dict[str, Any]:
    """The JSON object in the body; an empty one where there is no body.

    Raises:
        InvalidInput: the body is something else.
    """
    content = request.state.content
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InvalidInput("the body is a JSON object")
    return content


def body_of(model: type[Model], content: dict[str, Any]) -> Model:
    """``content`` with the shape of ``model``.

    Raises:
        InvalidInput: it has another; the message says where it differs first.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _invalid(error.errors()) from None


def _check_place(request: Request) -> None:
    """Refuse a path through what cannot be there; that tells nobody what is.

    Raises:
        NameInvalid: the organisation or the group of workloads has a name that none can have.
    """
    for part, parse in _PLACES.items():
        if part in request.path_params:
            parse(request.path_params[part])


def _content(request: Request, body: bytes) -> Any:
    if not body.strip():
        return None
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent and not (sent.startswith("application/") and sent.removeprefix("application/").endswith("json")):
        raise InvalidInput("the body is JSON, sent as application/json")
    return parse_json(body)


def _invalid(errors: Sequence[Any]) -> InvalidInput:
    """What is wrong with which part of a request, without repeating what was sent."""
    problems = [
        {"at": ".".join(str(part)[:80] for part in error["loc"]), "problem": error["msg"]}
        for error in errors[:_MAX_PROBLEMS]
    ]
    first = problems[0]
    where = f"{first['at']}: " if first["at"] else ""
    return InvalidInput(f"{where}{first['problem']}", detail={"problems": problems})


def _error(request: Request, error: RegistryError) -> Response:
    request.state.code = code_of(error)
    if isinstance(error, Unavailable):
        _log.warning("dependency failed", extra={"failure": error.message}, exc_info=error)
    headers = CHALLENGE if isinstance(error, Unauthorized) else None
    return error_response(error, request_id(request), headers)
