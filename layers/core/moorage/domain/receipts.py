"""Receipts: what ``ingest`` says that it has stored, in the path at which the upload goes on.

    /v2/<name>/blobs/uploads/_received
        /<kid>/<expires>/<repository id>/<session>/<object>/<size>/<sha256>/<mac>

``ingest`` has no table: it hashes what it stores, and signs what came of it with an upload key. The MAC
covers the whole path before it, so a receipt holds for one session of one repository, under the name that the
client used.

NOTE: a wire format, which ``functions/ingest/paths.js`` writes.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from moorage.domain.blobs import Way
from moorage.domain.upload_paths import UploadKey, mac

FIELDS = ("kid", "expires", "repository_id", "session", "object", "size", "sha256", "mac")
"""The components of the path, in their order."""

_PURPOSE = "RECEIPT"
# Times that a calendar has, and sizes that a store has.
_FORMS = {
    "kid": r"[ab][0-9]{1,10}",
    "expires": r"[0-9]{1,11}",
    "repository_id": r"[0-9a-f]{32}",
    "session": r"[0-9a-f]{32}",
    "object": r"s-[0-9a-f]{32}|c-[0-9a-f]{16}",
    "size": r"0|[1-9][0-9]{0,14}",
    "sha256": r"[0-9a-f]{64}",
    "mac": r"[0-9a-f]{64}",
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """That an object of an upload session holds ``size`` bytes of that SHA-256 (hexadecimal). Nothing of it
    is true before ``is_signed`` says so.
    """

    signed: str
    """What the MAC covers."""
    mac: str
    kid: str
    expires: datetime
    repository_id: str
    session_id: str
    object: str
    size: int
    sha256: str

    @classmethod
    def parse(cls, uploads: str, fields: Mapping[str, str]) -> Receipt | None:
        """The receipt in the components of a path below ``uploads``, which is the path of a repository's
        uploads as the client calls it, with a slash at the end; None if it is none.
        """
        if any(not re.fullmatch(form, fields[name], re.ASCII) for name, form in _FORMS.items()):
            return None
        return cls(
            signed=f"{uploads}_received/" + "/".join(fields[name] for name in FIELDS[:-1]),
            mac=fields["mac"],
            kid=fields["kid"],
            expires=datetime.fromtimestamp(int(fields["expires"]), UTC),
            repository_id=fields["repository_id"],
            session_id=fields["session"],
            object=fields["object"],
            size=int(fields["size"]),
            sha256=fields["sha256"],
        )

    @property
    def is_whole(self) -> bool:
        """Whether it is of a streamed blob, and not of a first chunk."""
        return self.object.startswith("s-")

    @property
    def key(self) -> str:
        """The key of the object."""
        name = self.object[2:]
        if self.is_whole:
            return f"{stream_prefix(self.repository_id, self.session_id)}{name}"
        return f"chunks/{self.repository_id}/{self.session_id}/{0:012d}-{name}"

    def is_signed(self, key: UploadKey) -> bool:
        """Whether whoever has ``key`` has signed it; in constant time."""
        return hmac.compare_digest(mac(_PURPOSE, self.signed, key), self.mac)


def stream_prefix(repository_id: str, session_id: str) -> str:
    """Below which the streamed objects of a session lie: one for each attempt."""
    return f"{Way.STREAM}/{session_id[:2]}/{repository_id}/{session_id}/"
