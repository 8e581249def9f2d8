"""Signature Version 4: of calls whose request is JSON, and of URLs.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


class Keys(Protocol):
    """Whose request it is, with the names that botocore gives them."""

    @property
    def access_key(self) -> str:
        """The public part."""

    @property
    def secret_key(self) -> str:
        """What signs."""

    @property
    def token(self) -> str | None:
        """What is sent along with the keys of a role."""


class StaticKeys(NamedTuple):
    """Keys that do not change."""

    access_key: str
    secret_key: str
    token: str | None


def signed(
    headers: Mapping[str, str], body: bytes, *, service: str, region: str, keys: Keys, now: datetime
) -> dict[str, str]:
    """The headers of a signed POST to ``/``: those given, in small letters and with ``host``, and more."""
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    wanted = {**headers, "x-amz-date": stamp}
    if keys.token:
        wanted["x-amz-security-token"] = keys.token
    names = sorted(wanted)
    listed = ";".join(names)
    lines = "".join(f"{name}:{wanted[name]}\n" for name in names)
    scope = _scope(stamp, region, service)
    request = f"POST\n/\n\n{lines}\n{listed}\n{hashlib.sha256(body).hexdigest()}"
    signature = _signature(request, stamp, scope, keys.secret_key)
    wanted["authorization"] = (
        f"{_ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
    )
    return wanted


def presigned(url: str, *, seconds: int, service: str, region: str, keys: Keys, now: datetime) -> str:
    """``url``, whose path is quoted and which has no query, as a permission to GET it for that long."""
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    scope = _scope(stamp, region, service)
    parameters = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{keys.access_key}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(seconds),
        **({"X-Amz-Security-Token": keys.token} if keys.token else {}),
        "X-Amz-SignedHeaders": "host",
    }
    # They stand in the order of their names, in which they have to be signed.
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    place = urlsplit(url)
    request = f"GET\n{place.path}\n{query}\nhost:{place.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    return f"{url}?{query}&X-Amz-Signature={_signature(request, stamp, scope, keys.secret_key)}"


def _scope(stamp: str, region: str, service: str) -> str:
    return f"{stamp[:8]}/{region}/{service}/aws4_request"


def _signature(request: str, stamp: str, scope: str, secret_key: str) -> str:
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return hmac.digest(_key(secret_key, scope), text.encode(), "sha256").hex()


# One a day for each service and secret: a few, so that new days and credentials do not fill the memory.
@functools.lru_cache(maxsize=4)
def _key(secret_key: str, scope: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
