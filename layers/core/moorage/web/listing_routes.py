"""Lists, a page at a time: tags and referrers.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#content-discovery
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from moorage.domain.errors import QueryInvalid
from moorage.domain.manifests import OCI_INDEX, compact_json
from moorage.services.manifests import MAX_TAGS_PER_PAGE
from moorage.web.call import Call

_TAG_MAX = 128


def list_tags(call: Call) -> Response:
    """Tags in ASCII order, ``n`` at a time, after ``last``."""
    limit, last = _limit(call), call.query("last")
    if last is not None and len(last) > _TAG_MAX:
        raise QueryInvalid("the parameter last is longer than a tag can be")
    tags, more = call.services.manifests.tags(call.repository, last or None, limit)
    headers = {}
    if more and tags:
        following = {"n": str(len(tags)), "last": tags[-1]}
        headers["Link"] = _next(call.path("tags/list"), following)
    return JSONResponse({"name": call.name, "tags": list(tags)}, headers=headers)


def list_referrers(call: Call) -> Response:
    """An index of the manifests that name a subject; empty, never 404, when there are none."""
    subject, artifact_type = call.path_digest(), call.query("artifactType") or None
    page = call.services.referrers.page(call.repository, subject, artifact_type, call.query("next"))
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(page.descriptors)}
    headers = {"Content-Type": OCI_INDEX}
    if artifact_type is not None:
        headers["OCI-Filters-Applied"] = "artifactType"
    if page.next is not None:
        following = {"next": page.next}
        if artifact_type is not None:
            following["artifactType"] = artifact_type
        headers["Link"] = _next(call.path(f"referrers/{subject}"), following)
    # The answer has a limit, which the annotations of one manifest may come close to.
    return Response(compact_json(index), headers=headers)


def _limit(call: Call) -> int:
    text = call.query("n")
    if text is None:
        return MAX_TAGS_PER_PAGE
    if not (text.isascii() and text.isdigit()):
        raise QueryInvalid("the parameter n is a number of tags, 0 or more")
    # Compared by length first: a number of a million digits is not worth parsing.
    digits = text.lstrip("0") or "0"
    return (
        min(int(digits), MAX_TAGS_PER_PAGE)
        if len(digits) <= len(str(MAX_TAGS_PER_PAGE))
        else MAX_TAGS_PER_PAGE
    )


def _next(path: str, query: Mapping[str, str]) -> str:
    return f'<{path}?{urlencode(query)}>; rel="next"'
