"""What Lambda passes to a handler beside the event."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Context:
    """One invocation."""

    function_name: str = "moorage-Registry-1A2B3C4D5E6F7"
    function_version: str = "$LATEST"
    invoked_function_arn: str = (
        "arn:aws:lambda:eu-central-1:123456789012:function:moorage-Registry-1A2B3C4D5E6F7"
    )
    memory_limit_in_mb: str = "1024"
    aws_request_id: str = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
