"""Where a list of referrers goes on, as a text for the client."""

from __future__ import annotations

import base64
import binascii

from moorage.adapters.keys import ARTIFACT_TYPE_MAX, Key, referrers
from moorage.domain.digests import Digest
from moorage.domain.errors import DigestInvalid, QueryInvalid
from moorage.domain.names import Repository


def referrers_cursor(key: Key) -> str:
    """An opaque text that stands for a place in a list of referrers."""
    return base64.urlsafe_b64encode(key.sk.encode()).decode().rstrip("=")


def referrers_place(name: Repository, subject: Digest, artifact_type: str | None, cursor: str) -> Key:
    """The place that ``referrers_cursor`` gave a text for.

    Raises:
        QueryInvalid: it did not, or for another list.

    """
    refusal = QueryInvalid("the page of this list of referrers does not exist")
    try:
        sk = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise refusal from None
    first = referrers(name, subject, artifact_type)
    kind, _, digest = sk.partition("#")
    try:
        Digest.parse(digest)
    except DigestInvalid:
        raise refusal from None
    place = Key(first.pk, sk)
    if not sk.startswith(first.sk) or len(kind) > ARTIFACT_TYPE_MAX or referrers_cursor(place) != cursor:
        raise refusal
    return place
