"""Clients of the emulators for what the local cloud does in CloudFormation's place."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from local.emulators import Emulators

_making = Lock()


def client(emulators: Emulators, service: str) -> Any:
    """A client of one service."""
    endpoint = emulators.s3_endpoint_url if service == "s3" else emulators.aws_endpoint_url
    # Clients may be used by many threads, but the session that makes them by one.
    with _making:
        return _session().create_client(
            service,
            region_name=emulators.region,
            endpoint_url=endpoint,
            aws_access_key_id=emulators.access_key,
            aws_secret_access_key=emulators.secret_key,
            # A proxy that the user has set for the outside must not be asked for the loopback interface.
            config=Config(signature_version="s3v4" if service == "s3" else None, proxies={}),
        )


@cache
def _session() -> botocore.session.Session:
    """One for all clients: each reads the models and endpoints of the services anew, a tenth of a second."""
    return botocore.session.Session()
