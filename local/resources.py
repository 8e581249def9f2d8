"""Makes what the template declares and the emulators can hold: tables, buckets, parameters.

Types without a counterpart on one machine (roles, log groups, permissions, policies) are known and left out.
All the rest was refused when the template was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local import aws

if TYPE_CHECKING:
    from local.emulators import Emulators
    from local.template import Resource, Stack


class Resources:
    """Makes resources that are not there yet and leaves alone those that are."""

    def __init__(self, emulators: Emulators, stack: Stack) -> None:
        self._emulators = emulators
        self._stack = stack
        self._makers = {
            "AWS::DynamoDB::Table": self._table,
            "AWS::S3::Bucket": self._bucket,
            "AWS::SSM::Parameter": self._parameter,
        }

    def ensure(self, resource: Resource) -> None:
        """Make the resource, unless it exists or its type has no counterpart here."""
        maker = self._makers.get(resource.kind)
        if maker:
            maker(self._stack.ref(resource.logical_id), resource.properties)

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

    def _parameter(self, name: str, properties: dict[str, Any]) -> None:
        client = aws.client(self._emulators, "ssm")
        client.put_parameter(
            Name=name, Value=str(properties["Value"]), Type=properties["Type"], Overwrite=True
        )
