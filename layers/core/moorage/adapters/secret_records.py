"""What the table says about keys and the bootstrap credential: nothing in these rows is secret."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from moorage.adapters import keys
from moorage.domain.errors import Unavailable
from moorage.ports import SecretState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from types_boto3_dynamodb import DynamoDBClient

    from moorage.ports import PublicKey

_LATER_GENERATION_WINS = "attribute_not_exists(pk) OR generation < :generation"
_IS_NEW = "attribute_not_exists(pk)"
_HAS_NO_END = "attribute_exists(pk) AND attribute_not_exists(not_after)"


class DynamoSecretRecords:
    """Rows of the one table; see ``docs/data-model.md``."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def find_state(self, secret: str) -> SecretState | None:
        """What is in use as ``secret``."""
        item = self._find(keys.secret_state(secret))
        if item is None:
            return None
        return SecretState(
            kid=item["kid"]["S"],
            version=int(item["version"]["N"]),
            generation=int(item["generation"]["N"]),
            created=datetime.fromtimestamp(int(item["created"]["N"]), UTC),
        )

    def record_state(self, secret: str, state: SecretState) -> bool:
        """Record what is in use, unless a later generation is."""
        return self._put(
            {
                **_key(keys.secret_state(secret)),
                "type": {"S": "secret"},
                "kid": {"S": state.kid},
                "version": {"N": str(state.version)},
                "generation": {"N": str(state.generation)},
                "created": _number(state.created),
            },
            condition=_LATER_GENERATION_WINS,
            values={":generation": {"N": str(state.generation)}},
        )

    def publish_verification_key(self, key: PublicKey, created: datetime) -> None:
        """Publish a key under its ``kid``; again changes nothing."""
        self._put(
            {
                **_key(keys.signing_key(key.kid)),
                "type": {"S": "signing-key"},
                "public_pem": {"S": key.pem},
                "created": _number(created),
            },
            condition=_IS_NEW,
        )

    def retire_verification_keys(self, *, published_before: datetime, except_kid: str, at: datetime) -> int:
        """Give each key without one an end, after which its row goes too."""
        retired = 0
        for item in self._published():
            kid = item["sk"]["S"]
            if "not_after" in item or kid == except_kid:
                continue
            if int(item["created"]["N"]) > published_before.timestamp():
                continue
            retired += self._conditionally(
                self._client.update_item,
                Key=_key(keys.signing_key(kid)),
                UpdateExpression="SET not_after = :at, #ttl = :at",
                ConditionExpression=_HAS_NO_END,
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues={":at": _number(at)},
            )
        return retired

    def find_bootstrap(self) -> str | None:
        """SHA-256 of the bootstrap credential."""
        item = self._find(keys.bootstrap())
        return None if item is None else str(item["sha256"]["S"])

    def record_bootstrap(self, sha256: str, generation: int, created: datetime) -> bool:
        """Record the verifier, unless a later one is."""
        return self._put(
            {
                **_key(keys.bootstrap()),
                "type": {"S": "bootstrap"},
                "sha256": {"S": sha256},
                "generation": {"N": str(generation)},
                "created": _number(created),
            },
            condition=_LATER_GENERATION_WINS,
            values={":generation": {"N": str(generation)}},
        )

    def _find(self, key: keys.Key) -> Mapping[str, Any] | None:
        answer = _call(self._client.get_item, TableName=self._table, Key=_key(key), ConsistentRead=True)
        item: Mapping[str, Any] | None = answer.get("Item")
        return item

    def _published(self) -> Iterator[Mapping[str, Any]]:
        start: dict[str, Any] = {}
        while True:
            page = _call(
                self._client.query,
                TableName=self._table,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": keys.SIGNING_KEYS}},
                ConsistentRead=True,
                **start,
            )
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _put(self, item: dict[str, Any], *, condition: str, values: Mapping[str, Any] | None = None) -> bool:
        return self._conditionally(
            self._client.put_item,
            Item={**item, "v": {"N": str(keys.VERSION)}},
            ConditionExpression=condition,
            **({"ExpressionAttributeValues": values} if values else {}),
        )

    def _conditionally(self, operation: Callable[..., Any], **arguments: Any) -> bool:
        """Whether the write's condition held."""
        try:
            operation(TableName=self._table, **arguments)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException":
                return False
            raise Unavailable("the table refused a write") from error
        except BotoCoreError as error:
            raise Unavailable("the table did not answer") from error
        return True


def _call(operation: Callable[..., Any], **arguments: Any) -> Any:
    try:
        return operation(**arguments)
    except (ClientError, BotoCoreError) as error:
        raise Unavailable("the table cannot be read") from error


def _key(key: keys.Key) -> dict[str, dict[str, str]]:
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


def _number(moment: datetime) -> dict[str, str]:
    return {"N": str(int(moment.timestamp()))}
