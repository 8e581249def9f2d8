"""Where DynamoDB is, and with whose keys it is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
    """An endpoint, its Region, and the keys of now, which may be others later."""

    endpoint: str
    region: str
    keys: Callable[[], Keys]


def find(patience: Patience, environ: Mapping[str, str] = os.environ) -> Access:
    """What the environment says, as it does in Lambda, where everything stands in variables; else what botocore
    finds out: profiles, instances' and containers' roles, other partitions. Making its client takes a tenth of
    a second, so it is not made for what the variables say already.

    Raises:
        Unavailable: there is no Region or there are no credentials.
    """
    access_key, secret_key = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    region = environ.get("AWS_DEFAULT_REGION") or environ.get("AWS_REGION") or ""
    if not access_key or not secret_key or not _COMMON.fullmatch(region) or _SPECIAL & environ.keys():
        return _found_by_botocore(patience)
    keys = StaticKeys(access_key, secret_key, environ.get("AWS_SESSION_TOKEN"))
    endpoint = environ.get("AWS_ENDPOINT_URL_DYNAMODB") or environ.get("AWS_ENDPOINT_URL")
    return Access(endpoint or f"https://dynamodb.{region}.amazonaws.com", region, lambda: keys)


def _found_by_botocore(patience: Patience) -> Access:
    meta = create_client("dynamodb", patience).meta
    credentials = session_credentials()
    return Access(meta.endpoint_url, meta.region_name, credentials.get_frozen_credentials)
