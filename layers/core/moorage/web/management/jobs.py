"""Jobs: what goes on after the request that asked for it, and how far it has come."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query as Parameter
from fastapi import Request
from fastapi.responses import JSONResponse, Response

from moorage.domain.jobs import CopyOrder, JobState
from moorage.domain.query_values import format_instant
from moorage.domain.resources import Kind, link_of
from moorage.services.job_access import PAGE, PAGE_MAX, JobView
from moorage.web.management import job_models, presentation
from moorage.web.management.presentation import Json
from moorage.web.management.resources import After
from moorage.web.management.route import caller_of, services_of
from moorage.web.management.routing import Routes

_JOBS = "/org/{org}/job"
_KIND = "job"

Limit = Annotated[int, Parameter(ge=1, le=PAGE_MAX, description="Jobs on a page, at most.")]
State = Annotated[JobState | None, Parameter(description="Only jobs of this state.")]


def add_routes(routes: Routes) -> None:
    """Serve jobs."""
    one = {200: job_models.Job}
    for method, path, endpoint, text, answers in (
        ("GET", _JOBS, _list, "A page of jobs", {200: job_models.JobList}),
        ("GET", f"{_JOBS}/{{id}}", _get, "A job", one),
        ("POST", f"{_JOBS}/{{id}}/-cancel", _cancel, "End a job before it is done", one),
    ):
        routes.add(method, path, endpoint, summary=text, answers=answers)


def shown(view: JobView, org: str) -> Json:
    """A job as it is shown in an organisation. What the caller may not know is null or left out."""
    job = view.job
    times = {"started": job.started, "finished": job.finished}
    told = {"requestedBy": view.requester, "reason": view.reason}
    return {
        "kind": _KIND,
        "id": job.id,
        "name": job.id,
        "type": "copy",
        "state": job.state.value,
        "created": format_instant(job.created),
        "lastModified": format_instant(job.modified),
        **{name: format_instant(time) for name, time in times.items() if time is not None},
        "expires": format_instant(job.expires),
        **{name: text for name, text in told.items() if text is not None},
        "source": None if view.source is None else _source(job.order),
        "destination": None if view.destination is None else _destination(job.order),
        "progress": _progress(view),
        "copiedBytes": job.progress.copied,
        "links": [
            presentation.link("self", path_of(org, job.id)),
            presentation.link("org", link_of(Kind.ORG, org, org)),
        ],
    }


def path_of(org: str, job_id: str) -> str:
    """Where a job is, in an organisation."""
    return f"/org/{org}/{_KIND}/{job_id}"


async def _list(request: Request, state: State = None, after: After = None, limit: Limit = PAGE) -> Response:
    org: str = request.path_params["org"]
    page = services_of(request).jobs.list(caller_of(request), org, state, after, limit)
    asked = {} if state is None else {"state": state.value}
    following = None if page.next is None else {"after": page.next, "limit": str(limit)}
    return JSONResponse(
        {
            "kind": "list",
            "itemKind": _KIND,
            "items": [shown(each, org) for each in page.jobs],
            "links": presentation.paging(f"/org/{org}/{_KIND}", asked, following),
        }
    )


async def _get(request: Request) -> Response:
    org, job_id = _place(request)
    return JSONResponse(shown(services_of(request).jobs.get(caller_of(request), org, job_id), org))


async def _cancel(request: Request) -> Response:
    org, job_id = _place(request)
    return JSONResponse(shown(services_of(request).jobs.cancel(caller_of(request), org, job_id), org))


def _place(request: Request) -> tuple[str, str]:
    return request.path_params["org"], request.path_params["id"]


def _source(order: CopyOrder) -> Json:
    place = {"org": order.source.org, "repository": order.source.image}
    if order.digest is None:
        return {**place, "tagPattern": order.selection}
    digest = str(order.digest)
    tag = {} if order.selection == digest else {"tag": order.selection}
    return {**place, **tag, "digest": digest}


def _destination(order: CopyOrder) -> Json:
    tag = {} if order.destination_tag is None else {"tag": order.destination_tag}
    return {"org": order.destination.org, "repository": order.destination.image, **tag}


def _progress(view: JobView) -> dict[str, Any]:
    done = view.job.progress
    return {
        "tags": {"done": done.position, "total": view.job.order.items},
        "manifests": {"done": done.manifests, "total": done.manifests_total},
        "bytes": {"done": done.size, "total": done.size_total},
    }
