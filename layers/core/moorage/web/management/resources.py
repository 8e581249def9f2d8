"""The routes that every kind of resource has, from one table of kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query as Parameter
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from moorage.domain.documents import writable
from moorage.domain.errors import InvalidInput
from moorage.domain.links import PRINCIPAL_KINDS
from moorage.domain.queries import Query
from moorage.domain.resources import Kind, ResourceRecord, parse_name
from moorage.domain.targets import Resource
from moorage.ports import ResourceName
from moorage.services.resource_writes import Written
from moorage.web.management import models, presentation
from moorage.web.management.presentation import Json
from moorage.web.management.queries import pack, unpack
from moorage.web.management.route import DryRun, body_of, caller_of, object_of, services_of, writers_of
from moorage.web.management.routing import Answers, Endpoint, Routes

BODIES: Mapping[Kind, type[models.Shape]] = {
    Kind.POLICY: models.PolicyBody,
    Kind.GROUP: models.GroupBody,
    Kind.SERVICE_ACCOUNT: models.ServiceAccountBody,
    Kind.GVC: models.GvcBody,
    Kind.IDENTITY: models.IdentityBody,
    Kind.USER: models.UserBody,
}
_DROP_KEYS = "$drop/keys"
_ACCESS = "Who may do what with it"
_EXPLAIN = "Whether a principal may do something with it, and why"

Row = tuple[str, str, Endpoint, str, Answers, type[BaseModel] | None]
_WITH_KEYS = (Kind.USER, Kind.SERVICE_ACCOUNT)

After = Annotated[str | None, Parameter(max_length=2048, description="As the link `next` has it.")]
Packed = Annotated[str | None, Parameter(max_length=8192, description="As the link `next` has it.")]
Force = Annotated[
    bool, Parameter(description="Take it out of the groups and policies that name it, then delete it.")
]
Principal = Annotated[str, Parameter(max_length=1024, description="The link of a principal.")]
PermissionName = Annotated[str, Parameter(max_length=64, description="A permission of this kind.")]


def add_routes(routes: Routes) -> None:
    """Serve every kind that is managed in the same way."""
    for kind in BODIES:
        _Kind(kind).add_to(routes)


class _Kind:
    """The endpoints of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.collection = "/org/{org}/gvc/{gvc}/identity" if kind is Kind.IDENTITY else f"/org/{{org}}/{kind}"
        self.item = f"{self.collection}/{{name}}"
        self.body = BODIES[kind]

    def add_to(self, routes: Routes) -> None:
        """Declare the routes: actions before names, which never begin with a hyphen."""
        kind, many, item = self.kind, self.collection, self.item
        one, result = {200: models.Resource}, {200: models.QueryResult}
        table: list[Row] = [
            ("POST", f"{many}/-query", self.query, "What a query selects", result, models.Query),
            ("GET", f"{many}/-query", self.query_on, "The next page of a query", result, None),
            ("GET", many, self.list, f"A page of kind {kind}", {200: models.ResourceList}, None),
            *(self._made_by_name() if kind is not Kind.USER else ()),
            ("GET", f"{item}/-accessreport", self.access_report, _ACCESS, {200: models.AccessReport}, None),
            ("GET", f"{item}/-explain", self.explain, _EXPLAIN, {200: models.Explanation}, None),
            ("GET", item, self.get, f"A {kind}", one, None),
            ("PUT", item, self.replace, f"Replace a {kind}", one, self.body),
            ("PATCH", item, self.patch, f"Change a {kind}", one, models.Patch),
            ("DELETE", item, self.delete, f"Delete a {kind}", {204: None}, None),
        ]
        if kind in PRINCIPAL_KINDS:
            policies = f"{item}/-policies"
            table.insert(
                0,
                (
                    "GET",
                    policies,
                    self.policies,
                    "The policies that name it",
                    {200: models.Memberships},
                    None,
                ),
            )
        for method, path, endpoint, summary, answers, takes in table:
            routes.add(method, path, endpoint, summary=summary, answers=answers, takes=takes)

    def _made_by_name(self) -> Iterable[Row]:
        """Users are invited; all others are made under a name."""
        made, one = {201: models.Resource}, {200: models.Resource, 201: models.Resource}
        yield "POST", self.collection, self.create, f"Make a {self.kind}", made, self.body
        yield "PUT", self.collection, self.upsert, f"Make or replace a {self.kind}", one, self.body

    async def list(self, request: Request, after: After = None) -> Response:
        """A page of the resources that the caller may see."""
        org, path = request.path_params["org"], self._path(request)
        page = services_of(request).reads.page(
            caller_of(request), self.kind, org, after or None, prefix=self._prefix(request)
        )
        following = None if page.next is None else {"after": page.next}
        return JSONResponse(
            presentation.listed(self.kind, map(presentation.resource, page.records), path, following)
        )

    async def query(self, request: Request) -> Response:
        """The first page of what a query selects."""
        body = object_of(request)
        body_of(models.Query, body)
        return self._queried(request, Query.parse(body or None, self.kind), None)

    async def query_on(self, request: Request, q: Packed = None, after: After = None) -> Response:
        """A page of what a query selects."""
        return self._queried(request, Query(self.kind) if q is None else unpack(q, self.kind), after)

    async def create(self, request: Request, dry_run: DryRun = False) -> Response:  # noqa: FBT002
        """A new resource."""
        content, writes = self._content(request), writers_of(request, dry_run=dry_run).writes
        return presentation.written(writes.create(caller_of(request), self._named(request, content), content))

    async def upsert(self, request: Request, dry_run: DryRun = False) -> Response:  # noqa: FBT002
        """A resource by the name in the body."""
        content, writes = self._content(request), writers_of(request, dry_run=dry_run).writes
        return presentation.written(writes.put(caller_of(request), self._named(request, content), content))

    async def get(self, request: Request) -> Response:
        """One resource."""
        record = services_of(request).reads.get(caller_of(request), self._name(request))
        return JSONResponse(whole(request, record))

    async def replace(self, request: Request, dry_run: DryRun = False) -> Response:  # noqa: FBT002
        """A resource with another content."""
        content = self._content(request, request.path_params["name"])
        writes = writers_of(request, dry_run=dry_run).writes
        return self._changed(request, writes.replace(caller_of(request), self._name(request), content))

    async def patch(self, request: Request, dry_run: DryRun = False) -> Response:  # noqa: FBT002
        """A changed resource."""
        caller, name, content = caller_of(request), self._name(request), object_of(request)
        writes = writers_of(request, dry_run=dry_run).writes
        if self.kind in _WITH_KEYS and _DROP_KEYS in content:
            dropped, keys = content.pop(_DROP_KEYS), services_of(request).keys
            return self._changed(request, keys.drop(caller, name, dropped, content, dry_run=dry_run))
        return self._changed(request, writes.patch(caller, name, content))

    async def delete(
        self,
        request: Request,
        force: Force = False,  # noqa: FBT002
        dry_run: DryRun = False,  # noqa: FBT002
    ) -> Response:
        """A resource that is gone."""
        deletes = writers_of(request, dry_run=dry_run).deletes
        deletes.delete(caller_of(request), self._name(request), force=force)
        return Response(status_code=204)

    async def access_report(self, request: Request) -> Response:
        """Who may do what with a resource."""
        record = services_of(request).reads.get(caller_of(request), self._name(request))
        return JSONResponse(access_report(request, record.link, Resource.of_record(record)))

    async def explain(self, request: Request, principal: Principal, permission: PermissionName) -> Response:
        """Whether a principal may do something with a resource."""
        record = services_of(request).reads.get(caller_of(request), self._name(request))
        resource = Resource.of_record(record)
        return JSONResponse(explanation(request, record.link, resource, principal, permission))

    async def policies(self, request: Request) -> Response:
        """The policies that name a principal."""
        services, caller = services_of(request), caller_of(request)
        record = services.reads.get(caller, self._name(request))
        found = services.reports.memberships(caller, record.link)
        return JSONResponse(presentation.memberships(record.link, found))

    def _queried(self, request: Request, query: Query, after: str | None) -> Response:
        org, packed = request.path_params["org"], {"q": pack(query)}
        page = services_of(request).reads.page(
            caller_of(request), self.kind, org, after or None, query=query, prefix=self._prefix(request)
        )
        items = (presentation.fetched(query, presentation.resource(each)) for each in page.records)
        following = None if page.next is None else {"after": page.next}
        return JSONResponse(
            presentation.query_result(query, items, f"{self._path(request)}/-query", packed, following)
        )

    def _changed(self, request: Request, result: Written) -> Response:
        body = whole(request, result.record, result.warnings)
        if "keys" in body:
            body["keys"] = [each for each in body["keys"] if each["name"] not in result.ended_keys]
        return JSONResponse(body)

    def _content(self, request: Request, name: str | None = None) -> dict[str, Any]:
        """The body of a write, in the shape of the kind; called ``name`` if it does not say how."""
        content = object_of(request)
        if content.get("kind") not in (None, self.kind.value):
            raise InvalidInput(f"kind is {self.kind} here")
        if name is not None:
            content = {"name": name, **content}
        body_of(self.body, writable(content))
        return content

    def _named(self, request: Request, content: Mapping[str, Any]) -> ResourceName:
        """The name that a body gives."""
        return self._resource_name(request, str(content["name"]))

    def _name(self, request: Request) -> ResourceName:
        """The name in the path."""
        return self._resource_name(request, request.path_params["name"])

    def _resource_name(self, request: Request, name: str) -> ResourceName:
        whole = f"{self._prefix(request)}{name}"
        return ResourceName(self.kind, request.path_params["org"], parse_name(self.kind, whole))

    def _prefix(self, request: Request) -> str:
        """What the names of this collection begin with: that of the group of workloads, or nothing."""
        return f"{request.path_params['gvc']}/" if self.kind is Kind.IDENTITY else ""

    def _path(self, request: Request) -> str:
        return self.collection.format_map(request.path_params)


def whole(request: Request, record: ResourceRecord, warnings: Sequence[str] = ()) -> Json:
    """A resource as it is shown alone: with the keys of a principal."""
    body = presentation.resource(record, warnings)
    if record.kind in _WITH_KEYS:
        body["keys"] = [presentation.key(each) for each in services_of(request).keys.of(record)]
    return body


def access_report(request: Request, link: str, resource: Resource) -> Json:
    """The access report of what is at ``link``, as its answer."""
    services = services_of(request)
    report = services.reports.access(caller_of(request), resource).to_json(services.clock())
    note = {"note": presentation.NOTES[resource.kind]} if resource.kind in presentation.NOTES else {}
    return {**report, **note, "links": _about(link, "-accessreport")}


def explanation(request: Request, link: str, resource: Resource, principal: str, permission: str) -> Json:
    """Why a principal may do something with what is at ``link`` or not, as its answer."""
    found = services_of(request).reports.explain(caller_of(request), resource, principal, permission)
    return {**found.to_json(), "links": _about(link, "-explain")}


def _about(link: str, action: str) -> list[dict[str, str]]:
    return [presentation.link("self", f"{link}/{action}"), presentation.link("resource", link)]
