"""Manifests by tag and by digest.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from moorage.domain.digests import Digest
from moorage.domain.errors import TooManyTags
from moorage.domain.names import parse_reference, parse_tag
from moorage.ports import ManifestRecord
from moorage.web.call import DIGEST_HEADER, Call

# Each moves in a transaction of its own, and all of them have to fit one request's time.
MAX_TAGS_PER_PUSH = 40


def get_manifest(call: Call) -> Response:
    """The bytes as they were pushed."""
    record = call.services.manifests.find(call.repository, _reference(call))
    return Response(call.services.manifests.content(record), headers=_headers(record))


def head_manifest(call: Call) -> Response:
    """What a GET would carry, without reading the content."""
    record = call.services.manifests.find(call.repository, _reference(call))
    return Response(headers=_headers(record))


def put_manifest(call: Call) -> Response:
    """201 once the manifest is stored and its tags point at it."""
    tags = [parse_tag(tag) for tag in call.request.query_params.getlist("tag")]
    if len(tags) > MAX_TAGS_PER_PUSH:
        raise TooManyTags(f"one push takes at most {MAX_TAGS_PER_PUSH} tags; this one has {len(tags)}")
    pushed = call.services.manifests.push(
        call.repository,
        call.principal,
        call.body,
        call.request.headers.get("content-type"),
        _reference(call),
        tags,
    )
    headers = {"Location": call.path(f"manifests/{pushed.digest}"), DIGEST_HEADER: str(pushed.digest)}
    if pushed.subject is not None:
        headers["OCI-Subject"] = str(pushed.subject)
    if pushed.tags:
        headers["OCI-Tag"] = ", ".join(pushed.tags)
    return Response(status_code=HTTPStatus.CREATED, headers=headers)


def delete_manifest(call: Call) -> Response:
    """202; the tag, or the manifest and its tags, are gone for every later request."""
    call.services.deletions.manifest(call.repository, _reference(call))
    return Response(status_code=HTTPStatus.ACCEPTED)


def _reference(call: Call) -> Digest | str:
    return parse_reference(call.request.path_params["reference"])


def _headers(record: ManifestRecord) -> dict[str, str]:
    return {
        "Content-Type": record.media_type,
        "Content-Length": str(record.size),
        DIGEST_HEADER: str(record.digest),
        "ETag": f'"{record.digest}"',
    }
