"""Secrets as SSM SecureStrings: one class writes, the others read the signing key and the upload key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from moorage.adapters import access
from moorage.adapters.aws import Patience, create_client, error_code, lazy, translated
from moorage.adapters.json_service import JsonService
from moorage.domain.errors import Unavailable
from moorage.domain.upload_paths import UploadKey
from moorage.ports import UPLOAD_SLOTS, SecretState, SigningKey

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient

_ABSENT = "ParameterNotFound"
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
        kid, private_pem = _read(self._service(), self._parameter, "signing key", "kid", "private_pem")
        return SigningKey(kid=kid, private_pem=private_pem)


class SsmUploadKey:
    """The port ``UploadKeySource``: of the upload keys that which is recorded as being in use."""

    def __init__(
        self, service: Callable[[], JsonService], prefix: str, state: Callable[[], SecretState | None]
    ) -> None:
        self._service = service
        self._prefix = prefix
        self._state = state

    def upload_key(self) -> UploadKey:
        """The key of the recorded version: another run may have stored a later one that is not in use.

        Raises:
            Unavailable: SSM or the table failed, or there is no upload key.

        """
        state = self._state()
        if state is None:
            raise Unavailable("the registry has no upload key")
        parameter = f"{self._prefix}/{state.kid}:{state.version}"
        (key,) = _read(self._service(), parameter, "upload key", "key")
        return UploadKey(kid=f"{state.kid}{state.version}", key=key)

    def find_upload_key(self, kid: str) -> UploadKey | None:
        """The key of that id, if it is the newest of its slot.

        Raises:
            Unavailable: SSM failed.

        """
        slot, version = kid[:1], kid[1:]
        if slot not in UPLOAD_SLOTS:
            return None
        try:
            # Without a version, which would be found as long as SSM keeps it.
            answer = _get(self._service(), f"{self._prefix}/{slot}")
        except Unavailable as failure:
            if isinstance(failure.__cause__, ClientError) and error_code(failure.__cause__) == _ABSENT:
                return None
            raise
        if version != str(answer["Parameter"]["Version"]):
            return None
        (key,) = _fields(answer, "upload key", "key")
        return UploadKey(kid, key)


def _read(service: JsonService, parameter: str, what: str, *fields: str) -> list[str]:
    """Fields of a secret as the ``secrets`` function has stored it.

    Raises:
        Unavailable: SSM failed, or something else is stored.

    """
    return _fields(_get(service, parameter), what, *fields)


def _get(service: JsonService, parameter: str) -> Any:
    with translated("GetParameter"):
        return service.call("GetParameter", {"Name": parameter, "WithDecryption": True})


def _fields(answer: Any, what: str, *fields: str) -> list[str]:
    try:
        stored = json.loads(answer["Parameter"]["Value"])
        if stored["v"] == _FORMAT:
            return [str(stored[field]) for field in fields]
    except (ValueError, KeyError, TypeError):
        # Without its cause, which would show what is stored.
        raise Unavailable(f"the registry has no {what}") from None
    raise Unavailable(f"the {what} is stored in a format that this version does not know")


def connect_secret_writer() -> SsmSecretWriter:
    """A writer; no request is sent before it is used."""
    return SsmSecretWriter(lazy(lambda: create_client("ssm", Patience())))


def connect_signing_key(parameter: str, patience: Patience | None = None) -> SsmSigningKey:
    """The signing key in the parameter of that name; no request is sent before it is used."""
    return SsmSigningKey(lazy(lambda: _create(patience or Patience())), parameter)


def connect_upload_key(
    prefix: str, state: Callable[[], SecretState | None], patience: Patience | None = None
) -> SsmUploadKey:
    """The upload key among the parameters below ``prefix``; no request is sent before it is used."""
    return SsmUploadKey(lazy(lambda: _create(patience or Patience())), prefix, state)


def _create(patience: Patience) -> JsonService:
    return JsonService(access.find("ssm", patience), patience, api="AmazonSSM", version="1.1")
