"""S3's notifications as they come through SQS: which objects they are about.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

_TEST = "s3:TestEvent"
_CREATED = "ObjectCreated:"


@dataclass(frozen=True, slots=True)
class CreatedObject:
    """An object that was stored: its key, and the bucket in which it lies."""

    bucket: str
    key: str


def created_objects(body: str) -> Sequence[CreatedObject]:
    """The objects that a message says were stored; none for the one that S3 sends when a notification is set
    up.

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
    return [_object(record) for record in records if str(_name(record)).startswith(_CREATED)]


def _name(record: Any) -> Any:
    try:
        return record["eventName"]
    except (KeyError, TypeError):
        raise ValueError("a record names no event") from None


def _object(record: Any) -> CreatedObject:
    try:
        stored = record["s3"]
        # Encoded as in a form: a space is a plus.
        bucket, key = stored["bucket"]["name"], unquote_plus(stored["object"]["key"])
    except (KeyError, TypeError, AttributeError):
        raise ValueError("a record names no object") from None
    if not isinstance(bucket, str):
        raise ValueError("a record names no bucket")  # noqa: TRY004 - as above
    return CreatedObject(bucket, key)
