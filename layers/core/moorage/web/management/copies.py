"""Copies of images: asked for here, made by a job."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Request
from fastapi.responses import JSONResponse, Response

from moorage.domain.copy_wishes import KEY_MAX, CopyWish, parse_idempotency_key
from moorage.services.job_access import JobView
from moorage.web.management import job_models, jobs
from moorage.web.management.route import body_of, caller_of, object_of, services_of
from moorage.web.management.routing import Routes

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description=f"The same request with the same key makes one job: 1 to {KEY_MAX} visible characters.",
    ),
]


def add_routes(routes: Routes) -> None:
    """Serve requests for copies."""
    routes.add(
        "POST",
        "/org/{org}/image/{name:path}/-copy",
        _copy,
        summary="Copy to this or another organisation",
        answers={202: job_models.Job},
        takes=job_models.CopyBody,
    )


async def _copy(request: Request, key: Key = None) -> Response:
    body, org = object_of(request), request.path_params["org"]
    body_of(job_models.CopyBody, body)
    job = services_of(request).copies.request(
        caller_of(request),
        org,
        request.path_params["name"],
        CopyWish.parse(body),
        None if key is None else parse_idempotency_key(key),
    )
    place = {"Location": jobs.path_of(org, job.id)}
    return JSONResponse(jobs.shown(JobView.whole(job), org), 202, place)
