"""The registry's own words, asked over plain HTTP, to hold a client's words against."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3

from tests.clients.cloud import Account

_ACCEPT = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.oci.image.index.v1+json"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, and the headers and body that came with it."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    @property
    def message(self) -> str:
        """The sentence of the first error."""
        message: str = self._first_error()["message"]
        return message

    @property
    def code(self) -> str:
        """The OCI code of the first error."""
        code: str = self._first_error()["code"]
        return code

    def _first_error(self) -> dict[str, Any]:
        first: dict[str, Any] = json.loads(self.body)["errors"][0]
        return first


def token(endpoint: str, account: Account, scope: str) -> Answer:
    """What the token endpoint says to an account that asks for ``scope``."""
    login = urllib3.make_headers(basic_auth=f"{account.username}:{account.password}")
    return _ask("GET", f"{endpoint}/token", login, {"service": "moorage", "scope": scope})


def ask(
    endpoint: str,
    account: Account,
    method: str,
    repository: str,
    path: str,
    actions: str,
    body: bytes | None = None,
) -> Answer:
    """What the registry says to a request with a token for which ``actions`` were asked."""
    granted = token(endpoint, account, f"repository:{repository}:{actions}")
    bearer = json.loads(granted.body)["token"]
    headers = {"Authorization": f"Bearer {bearer}", "Accept": _ACCEPT}
    return _ask(method, f"{endpoint}/v2/{repository}/{path}", headers, {}, body)


def digest(endpoint: str, account: Account, repository: str, tag: str) -> str:
    """The digest that a tag stands for.

    Raises:
        LookupError: the tag is not there.
    """
    answer = ask(endpoint, account, "HEAD", repository, f"manifests/{tag}", "pull")
    if answer.status != 200:
        raise LookupError(f"{repository}:{tag} is answered {answer.status}")
    return answer.headers["Docker-Content-Digest"]


def _ask(
    method: str, url: str, headers: dict[str, str], fields: dict[str, str], body: bytes | None = None
) -> Answer:
    with urllib3.PoolManager(retries=False, timeout=30.0) as pool:
        if fields:
            url = f"{url}?{urlencode(fields)}"
        response = pool.request(method, url, headers=headers, body=body, redirect=False)
        return Answer(response.status, response.headers, response.data)
