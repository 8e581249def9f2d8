"""S3's notifications as they come through SQS: which objects they are about.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_plus

_TEST = "s3:TestEvent"
_CREATED = "ObjectCreated:"


def created_keys(body: str) -> Sequence[str]:
    """Keys of the objects that a message says were stored; none for the one that S3 sends when a
    notification is set up.

    Raises:
        ValueError: it is no notification of S3's.
    """
    notification = json.loads(body)
    if not isinstance(notification, dict):
        raise ValueError("not a notification of S3's")  # noqa: TRY004 - of what JSON says, like the next one
    if notification.get("Event") == _TEST:
        return []
    records = notification.get("Records")
    if not isinstance(records, list):
        raise ValueError("not a notification of S3's")  # noqa: TRY004
    return [_key(record) for record in records if str(_name(record)).startswith(_CREATED)]


def _name(record: Any) -> Any:
    try:
        return record["eventName"]
    except (KeyError, TypeError):
        raise ValueError("a record names no event") from None


def _key(record: Any) -> str:
    try:
        # Encoded as in a form: a space is a plus.
        return unquote_plus(record["s3"]["object"]["key"])
    except (KeyError, TypeError, AttributeError):
        raise ValueError("a record names no object") from None
