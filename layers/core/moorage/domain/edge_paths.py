"""Signed download paths: permissions to read one object, that the front door checks without asking anybody.

    /v2/<name>/blobs/_edge/<kid>/<expires>/<way>/<2 hex>/<repository id>/<hex>/<session>/<mac>
    /v2/<name>/blobs/_edge/<kid>/<expires>/stream/<2 hex>/<repository id>/<hex>/<session>/<object>/<mac>

The components between the time and the MAC are the object's key, which names the blob's digest too; into that
of a streamed object, which does not, the digest is put. The MAC covers the method, GET, which stands for HEAD
as well, and the whole path before it; the component ``_edge`` in it tells such a path from one of an upload.

NOTE: a wire format, which ``functions/edge/download_request.js`` reads: a change needs a new component in
place of ``_edge`` that the front door knows before the first path of it is signed.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from moorage.domain.blobs import BlobLink, Origin, Way
from moorage.domain.upload_paths import UploadKey, mac

# As long as a presigned URL: a client follows at once, and a download that has begun goes on.
DOWNLOAD_LIFETIME = timedelta(minutes=10)

_METHOD = "GET"
_STREAMED = re.compile(
    rf"(?P<shard>{Way.STREAM}/[0-9a-f]{{2}}/[0-9a-f]{{32}})/(?P<object>[0-9a-f]{{32}}/[0-9a-f]{{32}})",
    re.ASCII,
)


def download_path(blobs: str, link: BlobLink, key: UploadKey, now: datetime) -> str | None:
    """Where the front door serves a blob; ``blobs`` is the path of its repository's blobs, as the client
    calls it, with a slash at the end. None for an object that no upload stores like that.
    """
    place = _place(link)
    if place is None:
        return None
    expires = int((now + DOWNLOAD_LIFETIME).timestamp())
    path = f"{blobs}_edge/{key.kid}/{expires}/{place}"
    return f"{path}/{mac(_METHOD, path, key)}"


def _place(link: BlobLink) -> str | None:
    """The key of a blob's object, with the digest in it."""
    if streamed := _STREAMED.fullmatch(link.key):
        return f"{streamed['shard']}/{link.digest.encoded}/{streamed['object']}"
    origin = Origin.parse(link.key)
    return link.key if origin is not None and origin.digest == link.digest else None
