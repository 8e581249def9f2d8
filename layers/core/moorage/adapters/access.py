"""Where a service of AWS is, and with whose keys it is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from moorage.adapters.aws import Patience, create_client, session_credentials
from moorage.adapters.signing import Keys, StaticKeys

# The Regions of the partition that nearly everybody uses; botocore knows the others.
_COMMON = re.compile(r"(?:af|ap|ca|eu|il|me|mx|sa|us)-(?:gov-)?[a-z]+-\d", re.ASCII)
# Who sets one of these wants what only botocore knows how to do.
_SPECIAL = frozenset(
    {
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
    }
)


@dataclass(frozen=True, slots=True)
class Access:
    """A service, its endpoint and Region, and the keys of now, which may be others later.

    ``custom`` says that the endpoint is not the service's own but one that somebody has set.
    """

    service: str
    endpoint: str
    region: str
    keys: Callable[[], Keys]
    custom: bool = False


def find(service: str, patience: Patience) -> Access:
    """What the environment says, as it does in Lambda, where everything stands in variables; else what
    botocore finds out: profiles, roles of instances and containers, other partitions. Loading botocore and
    making a client takes a fifth of a second, so it is not done for what the variables say already.

    Raises:
        Unavailable: there is no Region, or there are no credentials.
    """
    return in_environment(service) or _found_by_botocore(service, patience)


def in_environment(
    service: str, environ: Mapping[str, str] = os.environ, region: str | None = None
) -> Access | None:
    """What the variables say; None when they do not say all. ``region``: another Region than theirs."""
    access_key, secret_key = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    region = region or environ.get("AWS_DEFAULT_REGION") or environ.get("AWS_REGION") or ""
    if not access_key or not secret_key or not _COMMON.fullmatch(region) or _SPECIAL & environ.keys():
        return None
    keys = StaticKeys(access_key, secret_key, environ.get("AWS_SESSION_TOKEN"))
    custom = environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environ.get("AWS_ENDPOINT_URL")
    endpoint = custom or f"https://{service}.{region}.amazonaws.com"
    return Access(service, endpoint.rstrip("/"), region, lambda: keys, bool(custom))


def _found_by_botocore(service: str, patience: Patience) -> Access:
    meta = create_client(service, patience).meta
    credentials = session_credentials()
    keys = cast("Callable[[], Keys]", credentials.get_frozen_credentials)
    return Access(service, meta.endpoint_url.rstrip("/"), meta.region_name, keys)
