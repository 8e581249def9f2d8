"""Secrets as SSM SecureStrings: one class writes, the other reads the signing key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from moorage.adapters import access
from moorage.adapters.aws import Patience, create_client, lazy, translated
from moorage.adapters.json_service import JsonService
from moorage.domain.errors import Unavailable
from moorage.ports import SigningKey

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient

_FORMAT = 1


class SsmSecretWriter:
    """Writes SecureStrings; has no way to read one."""

    def __init__(self, client: Callable[[], SSMClient]) -> None:
        self._client = client

    def write_secret(self, name: str, value: str) -> int:
        """Store ``value``, encrypted with the account's own SSM key; its version.

        Raises:
            Unavailable: SSM failed or refused.

        """
        try:
            with translated("PutParameter"):
                answer = self._client().put_parameter(
                    Name=name, Value=value, Type="SecureString", Overwrite=True
                )
        except Unavailable as refusal:
            # What SSM says of an error may repeat the request, and with it the secret: no log may show it.
            raise type(refusal)(refusal.message) from None
        return answer["Version"]


class SsmSigningKey:
    """The port ``SigningKeySource``: the signing key as the ``secrets`` function stored it."""

    def __init__(self, service: Callable[[], JsonService], parameter: str) -> None:
        self._service = service
        self._parameter = parameter

    def signing_key(self) -> SigningKey:
        """The current key, fresh from SSM, which allows few reads per second: the caller keeps it.

        Raises:
            Unavailable: SSM failed, or what is stored is no signing key.

        """
        with translated("GetParameter"):
            request = {"Name": self._parameter, "WithDecryption": True}
            answer = self._service().call("GetParameter", request)
        try:
            stored = json.loads(answer["Parameter"]["Value"])
            if stored["v"] == _FORMAT:
                return SigningKey(kid=str(stored["kid"]), private_pem=str(stored["private_pem"]))
        except (ValueError, KeyError, TypeError):
            # Without its cause, which would show what is stored.
            raise Unavailable("the registry has no signing key") from None
        raise Unavailable("the signing key is stored in a format that this version does not know")


def connect_secret_writer() -> SsmSecretWriter:
    """A writer; no request is sent before it is used."""
    return SsmSecretWriter(lazy(lambda: create_client("ssm", Patience())))


def connect_signing_key(parameter: str, patience: Patience | None = None) -> SsmSigningKey:
    """The signing key in the parameter of that name; no request is sent before it is used."""
    return SsmSigningKey(lazy(lambda: _create(patience or Patience())), parameter)


def _create(patience: Patience) -> JsonService:
    return JsonService(access.find("ssm", patience), patience, api="AmazonSSM", version="1.1")
