"""The event that a function gets for messages of a queue, and what its answer says about them."""

from __future__ import annotations

import base64
import json
from typing import Any


def event(messages: list[dict[str, Any]], queue_arn: str, region: str) -> dict[str, Any]:
    """The event of a batch of messages, given as SQS hands them out."""
    return {"Records": [_record(message, queue_arn, region) for message in messages]}


def failures(answer: bytes, known: set[str]) -> set[str]:
    """The messages that a function says it failed at; all of them when it cannot be understood."""
    try:
        value = json.loads(answer)
        failed = {item["itemIdentifier"] for item in (value or {}).get("batchItemFailures") or []}
    except (AttributeError, KeyError, TypeError):
        return known
    # An identifier that was never given fails the whole batch.
    return known if failed - known else failed


def _record(message: dict[str, Any], queue_arn: str, region: str) -> dict[str, Any]:
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    attribute = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        attribute["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return attribute
