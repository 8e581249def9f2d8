"""A repository as a push sees it: manifests by the protocol, blobs by the API of presigned uploads."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from moorage_cli.answers import json_of
from moorage_cli.api import Api, Json, require_object
from moorage_cli.credentials import is_token
from moorage_cli.errors import NotAllowed, NotARegistry, NotFound
from moorage_cli.push.image import MANIFEST_TYPES, Manifest

if TYPE_CHECKING:
    import httpx2

# A token has to last for the request that it is taken for, and for the wait before it is tried again.
_MARGIN_SECONDS = 90
_LEAST_SECONDS = 30
_ACCEPT = ", ".join([*MANIFEST_TYPES, "application/json"])


class Tokens:
    """A bearer token for one repository, made anew before it ends. Any thread may ask for it.

    What was given in place of a key may be such a token already; it is then used as it is.
    """

    def __init__(
        self,
        api: Api,
        credential: str,
        repository: str,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._credential = credential
        self._scope = f"repository:{repository}:pull,push"
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0

    @property
    def renewable(self) -> bool:
        """Whether there can be another one."""
        return not is_token(self._credential)

    @property
    def seconds_left(self) -> float | None:
        """How long there will be a token, if there cannot be another one and this one says when it ends."""
        if self.renewable:
            return None
        claims = self._credential.split(".")[1]
        try:
            ends = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
            return float(ends) - self._now()
        except (ValueError, TypeError, KeyError):
            return None

    def get(self, refused: str = "") -> str:
        """A token that is good for a while, and another one than was ``refused``.

        Raises:
            CliError: the registry gives none.
        """
        if not self.renewable:
            return self._credential
        with self._lock:
            if self._token == refused or self._clock() >= self._good_until:
                self._renew()
            return self._token

    def _renew(self) -> None:
        asked = self._clock()
        answer = require_object(
            self._api.call(
                "GET", "/token", params={"scope": self._scope}, auth=("<token>", self._credential)
            ),
            self._api.endpoint,
        )
        token, lives = answer.get("token"), answer.get("expires_in", 60)
        if not isinstance(token, str) or not token or not isinstance(lives, int | float):
            raise NotARegistry(f"{self._api.endpoint} gave no token", "check --endpoint")
        self._token = token
        self._good_until = asked + max(lives - _MARGIN_SECONDS, _LEAST_SECONDS)


@dataclass(frozen=True, slots=True)
class Piece:
    """A blob, or a part of one, and where it goes; its ``url`` is a permission. None if it is stored."""

    number: int
    offset: int
    size: int
    url: str | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload of a blob: ``state`` is ``open``, ``verifying``, ``linked`` or ``failed``."""

    id: str
    state: str
    pieces: tuple[Piece, ...] = ()
    in_parts: bool = False
    failure: str = ""


class Repository:
    """A repository of a registry; ``name`` is what it is called at the registry's host, which is with its
    organisation but at a host of the organisation's own. Any thread may ask.
    """

    def __init__(self, api: Api, tokens: Tokens, name: str) -> None:
        self._api = api
        self._tokens = tokens
        self._name = name
        self._base = f"/v2/{name}"

    def holds_manifest(self, digest: str) -> bool:
        """Whether a manifest is there; what it names is there, too, then.

        Raises:
            CliError: the registry refuses, or is not reached.
        """
        answer = self._send("HEAD", f"/manifests/{digest}")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return False
        if answer.status_code == HTTPStatus.FORBIDDEN:
            # This asks for a pull, which whoever may push may do.
            raise NotAllowed(
                f"you may not push to {self._name}", "ask for the permission create on its images"
            )
        if answer.is_error:
            # An answer to HEAD says nothing about itself.
            json_of(self._send("GET", f"/manifests/{digest}"), self._api.endpoint)
        return answer.headers.get("Docker-Content-Digest") == digest

    def begin(self, digest: str, size: int, part_size: int | None) -> Upload | None:
        """A new upload of a blob; None if the repository holds it.

        Raises:
            CliError: see ``holds_manifest``.
        """
        asked: dict[str, Any] = {"digest": digest, "size": size}
        if part_size is not None:
            asked["partSize"] = part_size
        shown = self._json("POST", "/blobs/uploads/_presigned/", asked)
        return None if shown.get("state") == "linked" else self._upload(shown)

    def find(self, upload: str) -> Upload | None:
        """An upload with new addresses of what is missing; None if it has ended.

        Raises:
            CliError: see ``holds_manifest``.
        """
        return self._found("GET", f"/blobs/uploads/_presigned/{upload}")

    def complete(self, upload: str) -> Upload | None:
        """The same, when all is stored.

        Raises:
            CliError: see ``holds_manifest``; also if not all is stored, or it is other content.
        """
        return self._found("POST", f"/blobs/uploads/_presigned/{upload}/complete")

    def put_manifest(self, manifest: Manifest, reference: str) -> None:
        """Push a manifest under its digest or a tag.

        Raises:
            CliError: see ``holds_manifest``; also if something that it names is not there.
        """
        headers = {"Content-Type": manifest.media_type}
        json_of(self._send("PUT", f"/manifests/{reference}", manifest.content, headers), self._api.endpoint)

    def _found(self, method: str, path: str) -> Upload | None:
        try:
            return self._upload(self._json(method, path))
        except NotFound:
            return None

    def _json(self, method: str, path: str, body: Any = None) -> Json:
        # Beginning twice opens two uploads, of which one is swept; completing twice is the same as once.
        answer = self._send(method, path, body)
        return require_object(json_of(answer, self._api.endpoint), self._api.endpoint)

    def _send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        token = self._tokens.get()
        answer = self._sent(token, method, path, body, headers)
        if answer.status_code == HTTPStatus.UNAUTHORIZED and self._tokens.renewable:
            answer = self._sent(self._tokens.get(refused=token), method, path, body, headers)
        return answer

    def _sent(
        self, token: str, method: str, path: str, body: Any, headers: Mapping[str, str] | None
    ) -> httpx2.Response:
        sent = {"Accept": _ACCEPT, **(headers or {}), "Authorization": f"Bearer {token}"}
        return self._api.send(method, self._base + path, body, headers=sent, anonymous=True, repeatable=True)

    def _upload(self, shown: Json) -> Upload:
        try:
            put, parts, part_size = shown.get("put"), shown.get("parts") or (), shown.get("partSize")
            pieces = [_part(part, int(part_size or 0)) for part in parts]
            if put is not None:
                headers = {str(name): str(value) for name, value in put["headers"].items()}
                pieces = [Piece(1, 0, int(shown["size"]), str(put["url"]), headers)]
            return Upload(
                str(shown["id"]),
                str(shown["state"]),
                tuple(pieces),
                part_size is not None,
                str(shown.get("failure", "")),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NotARegistry(
                f"{self._api.endpoint} does not answer as presigned uploads do", "check --endpoint"
            ) from error


def _part(part: Json, part_size: int) -> Piece:
    number = int(part["number"])
    url = None if part.get("stored") else str(part["url"])
    headers = {"Content-Length": str(int(part["size"]))}
    return Piece(number, (number - 1) * part_size, int(part["size"]), url, headers)
