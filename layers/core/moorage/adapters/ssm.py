"""Secrets as SSM SecureStrings: one class writes, the other reads the signing key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from moorage.domain.errors import Throttled, Unavailable
from moorage.ports import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from types_boto3_ssm import SSMClient

_THROTTLING = frozenset({"ThrottlingException", "TooManyUpdates", "RequestLimitExceeded"})
_FORMAT = 1


def _call(operation: Callable[..., Any], **arguments: Any) -> Any:
    """The answer of ``operation``. What SSM says of an error may repeat the request, and with it the
    secret: only the code goes on.
    """
    try:
        return operation(**arguments)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        refusal = Throttled if code in _THROTTLING else Unavailable
        raise refusal(f"the store of secrets refused: {code}") from None
    except BotoCoreError as error:
        raise Unavailable(f"the store of secrets did not answer: {type(error).__name__}") from None


class SsmSecretWriter:
    """Writes SecureStrings; has no way to read one."""

    def __init__(self, client: SSMClient) -> None:
        self._client = client

    def write_secret(self, name: str, value: str) -> int:
        """Store ``value``, encrypted with the account's own SSM key; its version.

        Raises:
            Unavailable: SSM failed or refused.

        """
        answer = _call(
            self._client.put_parameter, Name=name, Value=value, Type="SecureString", Overwrite=True
        )
        return int(answer["Version"])


class SsmSigningKey:
    """The signing key, as the ``secrets`` function stored it."""

    def __init__(self, client: SSMClient, parameter: str) -> None:
        self._client = client
        self._parameter = parameter

    def signing_key(self) -> SigningKey:
        """The current key, fresh from SSM, which allows few reads per second: the caller keeps it.

        Raises:
            Unavailable: SSM failed, or what is stored is no signing key.

        """
        answer = _call(self._client.get_parameter, Name=self._parameter, WithDecryption=True)
        try:
            stored = json.loads(answer["Parameter"]["Value"])
            if stored["v"] != _FORMAT:
                raise Unavailable(f"the signing key has the unknown format {stored['v']}")
            return SigningKey(kid=str(stored["kid"]), private_pem=str(stored["private_pem"]))
        except (ValueError, KeyError, TypeError):
            raise Unavailable("what is stored as signing key is none") from None
