"""The upload keys in a KeyValueStore of CloudFront's, where the edge functions read them.

Its API wants requests signed for all Regions at once (SigV4A), which botocore can do with ``awscrt``.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/kvs-with-functions.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from botocore.exceptions import ClientError

from moorage.adapters.aws import Patience, create_client, error_code, lazy, translated
from moorage.domain.errors import Unavailable, WriteConflict

_PATIENCE = Patience(read_seconds=5.0)
_ATTEMPTS = 5
# The store has changed since its version was asked for.
_CHANGED = frozenset({"ConflictException", "PreconditionFailed", "412"})


class KeyValueStoreKeys:
    """The port ``EdgeKeys``."""

    def __init__(self, client: Callable[[], Any], arn: str) -> None:
        self._client = client
        self._arn = arn

    def kids(self) -> Collection[str]:
        """The names in the store; with the values, which nobody looks at."""
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            with translated("ListKeys"):
                answer = self._client().list_keys(KvsARN=self._arn, **token)
            found += [item["Key"] for item in answer["Items"]]
            if not answer.get("NextToken"):
                return found
            token = {"NextToken": answer["NextToken"]}

    def publish(self, kid: str, key: str) -> None:
        """Put a key into the store."""
        self._update(Puts=[{"Key": kid, "Value": key}])

    def withdraw(self, kids: Collection[str]) -> None:
        """Take keys out of the store, if they are in it."""
        if going := sorted(set(kids) & set(self.kids())):
            self._update(Deletes=[{"Key": kid} for kid in going])

    def _update(self, **changes: Any) -> None:
        """Change the store as it stands, again if somebody else has changed it meanwhile."""
        for _ in range(_ATTEMPTS):
            try:
                with translated("UpdateKeys"):
                    version = self._client().describe_key_value_store(KvsARN=self._arn)["ETag"]
                    if self._changed(version, changes):
                        return
            except Unavailable as refusal:
                # What is said of an error may repeat the request, and with it the key: no log may show it.
                raise type(refusal)(refusal.message) from None
        raise WriteConflict("the front door's keys are being changed by others")

    def _changed(self, version: str, changes: Any) -> bool:
        try:
            self._client().update_keys(KvsARN=self._arn, IfMatch=version, **changes)
        except ClientError as error:
            if error_code(error) in _CHANGED:
                return False
            raise
        return True


def connect_key_value_store(arn: str) -> KeyValueStoreKeys:
    """The keys in the store of that ARN; no request is sent before it is used."""
    return KeyValueStoreKeys(lazy(lambda: create_client("cloudfront-keyvaluestore", _PATIENCE)), arn)
