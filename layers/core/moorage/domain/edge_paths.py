"""Signed download paths: permissions to read one object, that the front door checks without asking anybody.

    /v2/<name>/blobs/_edge/<kid>/<expires>/<way>/<2 hex>/<repository id>/<hex>/<session>/<mac>

The five components before the MAC are the object's key, which names the blob's digest too. The MAC covers the
method, GET, which stands for HEAD as well, and the whole path before it; the component ``_edge`` in it tells
such a path from one of an upload.

NOTE: a wire format, which ``functions/edge/download_request.js`` reads: a change needs a new component in
place of ``_edge`` that the front door knows before the first path of it is signed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from moorage.domain.blobs import BlobLink, Origin
from moorage.domain.upload_paths import UploadKey, mac

# As long as a presigned URL: a client follows at once, and a download that has begun goes on.
DOWNLOAD_LIFETIME = timedelta(minutes=10)

_METHOD = "GET"


def download_path(blobs: str, link: BlobLink, key: UploadKey, now: datetime) -> str | None:
    """Where the front door serves a blob; ``blobs`` is the path of its repository's blobs, as the client
    calls it, with a slash at the end. None for an object whose key does not name the blob's digest.
    """
    origin = Origin.parse(link.key)
    if origin is None or origin.digest != link.digest:
        return None
    expires = int((now + DOWNLOAD_LIFETIME).timestamp())
    path = f"{blobs}_edge/{key.kid}/{expires}/{link.key}"
    return f"{path}/{mac(_METHOD, path, key)}"
