"""The events of S3: which queue a bucket's notification names for an object, and what is put into it."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from local.intrinsics import TemplateError

if TYPE_CHECKING:
    from local.template import Stack

PUT = "ObjectCreated:Put"
COMPLETED = "ObjectCreated:CompleteMultipartUpload"

_ANY = "s3:ObjectCreated:*"
_EVENTS = {f"s3:{PUT}", f"s3:{COMPLETED}", _ANY}
_RULES = {"prefix", "suffix"}


@dataclass(frozen=True)
class StoredObject:
    """What an event tells of an object."""

    bucket: str
    key: str
    size: int
    etag: str
    """Without quotes."""
    moment_ns: int
    """When it was stored, in nanoseconds since 1970."""

    @property
    def event_name(self) -> str:
        """How it came about, as far as can be told: a copy looks like a PUT."""
        return COMPLETED if "-" in self.etag else PUT


@dataclass(frozen=True)
class Notification:
    """One configuration of a bucket's notification: what is told to which queue."""

    bucket: str
    event: str
    queue_arn: str
    queue_url: str
    prefix: str
    suffix: str

    @property
    def configuration_id(self) -> str:
        """The id that S3 would have made up; the same at every start."""
        return str(uuid.UUID(bytes=hashlib.sha256(repr(self).encode()).digest()[:16], version=4))

    def wants(self, stored: StoredObject) -> bool:
        """Whether an object is told of."""
        return (
            stored.bucket == self.bucket
            and self.event in {_ANY, f"s3:{stored.event_name}"}
            and stored.key.startswith(self.prefix)
            and stored.key.endswith(self.suffix)
        )

    def overlaps(self, other: Notification) -> bool:
        """Whether one object could be told of by both, which S3 refuses."""
        return (
            self.bucket == other.bucket
            and (self.event == other.event or _ANY in {self.event, other.event})
            and (self.prefix.startswith(other.prefix) or other.prefix.startswith(self.prefix))
            and (self.suffix.endswith(other.suffix) or other.suffix.endswith(self.suffix))
        )


def notifications(stack: Stack) -> list[Notification]:
    """What the buckets of a stack tell to queues.

    Raises:
        TemplateError: something is told to anything else, or S3 would refuse it.
    """
    found = [
        notification
        for bucket in stack.of_kind("AWS::S3::Bucket")
        for notification in _of_bucket(
            stack,
            stack.ref(bucket.logical_id),
            bucket.properties.get("NotificationConfiguration", {}),
        )
    ]
    for one, other in itertools.combinations(found, 2):
        if one.overlaps(other):
            raise TemplateError(f"two notifications of {one.bucket} overlap at {one.prefix!r}")
    return found


def body(notification: Notification, stored: StoredObject, region: str, owner: str) -> dict[str, Any]:
    """The event that S3 puts into the queue; `owner` stands for the account."""
    moment = datetime.fromtimestamp(stored.moment_ns / 1e9, UTC)
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": region,
                "eventTime": _timestamp(moment),
                "eventName": stored.event_name,
                "userIdentity": {"principalId": f"AWS:{owner}"},
                "requestParameters": {"sourceIPAddress": "127.0.0.1"},
                "responseElements": {
                    "x-amz-request-id": secrets.token_hex(8).upper(),
                    "x-amz-id-2": secrets.token_urlsafe(57),
                },
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": notification.configuration_id,
                    "bucket": {
                        "name": stored.bucket,
                        "ownerIdentity": {"principalId": owner},
                        "arn": f"arn:aws:s3:::{stored.bucket}",
                    },
                    "object": {
                        "key": quote_plus(stored.key, safe="/"),
                        "size": stored.size,
                        "eTag": stored.etag,
                        "sequencer": f"00{stored.moment_ns:016X}",
                    },
                },
            }
        ]
    }


def test_body(bucket: str) -> dict[str, Any]:
    """What S3 puts into a queue when a notification to it is set."""
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": _timestamp(datetime.now(UTC)),
        "Bucket": bucket,
        "RequestId": secrets.token_hex(8).upper(),
        "HostId": secrets.token_urlsafe(57),
    }


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _of_bucket(stack: Stack, bucket: str, configuration: dict[str, Any]) -> list[Notification]:
    if strangers := configuration.keys() - {"QueueConfigurations"}:
        raise TemplateError(f"{bucket} notifies by {sorted(strangers)}, which the local cloud does not know")
    queues = {
        stack.attribute(queue.logical_id, "Arn"): stack.ref(queue.logical_id)
        for queue in stack.of_kind("AWS::SQS::Queue")
    }
    found = []
    for part in configuration.get("QueueConfigurations", []):
        event, queue = part.get("Event"), part.get("Queue")
        if part.keys() - {"Event", "Queue", "Filter"} or event not in _EVENTS or queue not in queues:
            raise TemplateError(f"{bucket} notifies of what the local cloud does not know: {part}")
        rules = _rules(bucket, part.get("Filter", {}))
        found.append(
            Notification(
                bucket, event, queue, queues[queue], rules.get("prefix", ""), rules.get("suffix", "")
            )
        )
    return found


def _rules(bucket: str, choice: dict[str, Any]) -> dict[str, str]:
    """The values of a filter's rules by name."""
    rules = [(rule["Name"].lower(), rule["Value"]) for rule in choice.get("S3Key", {}).get("Rules", [])]
    names = [name for name, _ in rules]
    if choice.keys() - {"S3Key"} or set(names) - _RULES or len(set(names)) < len(names):
        raise TemplateError(f"{bucket} has a filter that the local cloud does not know: {choice}")
    return dict(rules)
