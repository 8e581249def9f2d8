"""Signature Version 4 of requests whose body is JSON.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from datetime import datetime
from typing import NamedTuple, Protocol

_ALGORITHM = "AWS4-HMAC-SHA256"


class Keys(Protocol):
    """Whose request it is, as botocore calls it; ``token`` comes with the credentials of a role."""

    @property
    def access_key(self) -> str:
        """The public part."""

    @property
    def secret_key(self) -> str:
        """What signs."""

    @property
    def token(self) -> str | None:
        """Sent along."""


class StaticKeys(NamedTuple):
    """Keys that do not change."""

    access_key: str
    secret_key: str
    token: str | None


def signed(
    headers: dict[str, str], body: bytes, *, service: str, region: str, keys: Keys, now: datetime
) -> dict[str, str]:
    """The headers of a signed POST to ``/``: those given, in small letters and ``host`` among them, and more."""
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    day = stamp[:8]
    headers = {**headers, "x-amz-date": stamp}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = sorted(headers)
    listed = ";".join(names)
    canonical = "".join(f"{name}:{headers[name]}\n" for name in names)
    request = f"POST\n/\n\n{canonical}\n{listed}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{day}/{region}/{service}/aws4_request"
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = _signing_key(keys.secret_key, day, region, service)
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"{_ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
    )
    return headers


# One a day for one secret: a few, so that a day's end or new credentials do not fill the memory.
@functools.lru_cache(maxsize=4)
def _signing_key(secret_key: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
