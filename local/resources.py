"""Makes what the template declares and the emulators can hold: tables, buckets, queues, parameters.

Types without a counterpart on one machine (roles, log groups, permissions, policies) are known and left out.
All the rest was refused when the template was read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from local import aws
from local.intrinsics import TemplateError

if TYPE_CHECKING:
    from local.emulators import Emulators
    from local.template import Resource, Stack


# What a queue has when its template says nothing, so that a property that was taken away is taken back.
_QUEUE_DEFAULTS = {
    "DelaySeconds": 0,
    "MessageRetentionPeriod": 345600,
    "ReceiveMessageWaitTimeSeconds": 0,
    "VisibilityTimeout": 30,
}
# They say how a queue is called and kept, which is of no consequence here.
_QUEUE_LEFT_OUT = {"QueueName", "SqsManagedSseEnabled", "Tags"}


class Resources:
    """Makes resources that are not there yet and leaves alone those that are."""

    def __init__(self, emulators: Emulators, stack: Stack) -> None:
        self._emulators = emulators
        self._stack = stack
        self._makers = {
            "AWS::CloudFront::KeyValueStore": self._key_value_store,
            "AWS::DynamoDB::Table": self._table,
            "AWS::S3::Bucket": self._bucket,
            "AWS::SQS::Queue": self._queue,
            "AWS::SSM::Parameter": self._parameter,
        }

    def ensure(self, resource: Resource) -> None:
        """Make the resource, unless it exists or its type has no counterpart here."""
        maker = self._makers.get(resource.kind)
        if maker:
            maker(self._stack.ref(resource.logical_id), resource.properties)

    def _key_value_store(self, name: str, _: dict[str, Any]) -> None:
        client = aws.client(self._emulators, "cloudfront")
        found = client.list_key_value_stores()["KeyValueStoreList"].get("Items", ())
        if name not in {store["Name"] for store in found}:
            client.create_key_value_store(Name=name)

    def _table(self, name: str, properties: dict[str, Any]) -> None:
        client = aws.client(self._emulators, "dynamodb")
        if name in client.list_tables()["TableNames"]:
            return
        declared = {
            key: properties[key]
            for key in (
                "AttributeDefinitions",
                "BillingMode",
                "GlobalSecondaryIndexes",
                "KeySchema",
                "LocalSecondaryIndexes",
                "ProvisionedThroughput",
                "StreamSpecification",
            )
            if key in properties
        }
        client.create_table(TableName=name, **declared)
        client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        if "TimeToLiveSpecification" in properties:
            client.update_time_to_live(
                TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
            )
        if "PointInTimeRecoverySpecification" in properties:
            client.update_continuous_backups(
                TableName=name,
                PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"],
            )

    def _bucket(self, name: str, _: dict[str, Any]) -> None:
        client = aws.client(self._emulators, "s3")
        if name not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=name)

    def _queue(self, url: str, properties: dict[str, Any]) -> None:
        unknown = properties.keys() - _QUEUE_DEFAULTS.keys() - _QUEUE_LEFT_OUT - {"RedrivePolicy"}
        if unknown:
            raise TemplateError(f"the local cloud does not know {sorted(unknown)} of a queue")
        attributes = {key: str(properties.get(key, default)) for key, default in _QUEUE_DEFAULTS.items()}
        client = aws.client(self._emulators, "sqs")
        name = url.rpartition("/")[2]
        try:
            # Not by making it once more: to the emulator, one that was made at another port is another queue.
            found = client.get_queue_url(QueueName=name)
        except client.exceptions.QueueDoesNotExist:
            found = client.create_queue(QueueName=name)
        redrive = properties.get("RedrivePolicy")
        attributes["RedrivePolicy"] = json.dumps(redrive) if redrive else ""
        client.set_queue_attributes(QueueUrl=found["QueueUrl"], Attributes=attributes)

    def _parameter(self, name: str, properties: dict[str, Any]) -> None:
        client = aws.client(self._emulators, "ssm")
        client.put_parameter(
            Name=name, Value=str(properties["Value"]), Type=properties["Type"], Overwrite=True
        )
