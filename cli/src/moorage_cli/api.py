"""The HTTP client of a registry: JSON in and out, retries, pages, and errors that say what to do."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from moorage_cli import __version__, retries
from moorage_cli.answers import json_of, unreachable
from moorage_cli.endpoints import host_of, is_loopback
from moorage_cli.errors import Misused, NotARegistry, NotLoggedIn, Unreachable, printable
from moorage_cli.retries import ATTEMPTS, LONGEST_WAIT, is_worth_repeating, seconds_until

Json = dict[str, Any]
Params = Mapping[str, str | list[str]]

VERSION_HEADER = "Moorage-Version"
USER_AGENT = f"moorage-cli/{__version__}"
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_TIMEOUT = httpx2.Timeout(60, connect=10)
_REQUEST_IDS = ("apigw-requestid", "x-amzn-requestid", "x-request-id")
_PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
# In these paths, what follows is itself the permission.
_SIGNED = re.compile(r"(/_(?:direct|stream|received|edge)/).*")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list gave: ``items``, and whether there may be more than were asked for."""

    items: list[Json]
    more: bool = False


class Api:
    """A registry at ``endpoint``, as the holder of ``credential`` (a key or a bearer token) sees it.

    ``note`` takes hints for the person, ``trace`` a line per request, without secrets; both are for stderr.

    Raises:
        Unreachable: variables name a proxy or certificates that cannot be used.
    """

    def __init__(
        self,
        endpoint: str,
        credential: str | None = None,
        *,
        insecure: bool = False,
        note: Callable[[str], None] = lambda _: None,
        trace: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._credential = credential
        self._note = note
        self._trace = trace
        self._sleep = sleep or retries.pause
        self._hinted = False
        self.http = _client(endpoint, insecure=insecure)

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()

    def get(self, path: str, **options: Any) -> Any:
        """``call("GET", ...)``."""
        return self.call("GET", path, **options)

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The JSON that the registry answers; None if it answers nothing. For options see ``send``.

        Raises:
            CliError: it refuses, is not reached, or is no registry.
        """
        return json_of(self.send(method, path, body, **options), self.endpoint)

    def send(  # noqa: PLR0913 - what a request can have
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        anonymous: bool = False,
        repeatable: bool | None = None,
    ) -> httpx2.Response:
        """The answer to a request, whatever its status; transient failures are tried again first. Bytes are
        sent as they are, any other body as JSON.

        ``repeatable`` says whether the request may reach the registry twice: by itself, that is so for
        GET, PUT and DELETE, and for whatever has an ``Idempotency-Key``. ``auth`` is a user and a password
        in place of the credential.

        Raises:
            Misused: it has characters that no request can have.
            NotLoggedIn: it takes a credential, and there is none.
            NotARegistry: ``path`` would lead to another host.
            Unreachable: there is no answer.
        """
        # A client joins what has a host of its own, or begins as if it had, to no endpoint.
        if not path.startswith("/") or path.startswith("//") or "\\" in path:
            raise self._leads_elsewhere()
        sent = {"Accept": "application/json", **(headers or {})}
        if not anonymous and auth is None:
            sent["Authorization"] = f"Bearer {self._required_credential()}"
        if repeatable is None:
            repeatable = method in _REPEATABLE or "Idempotency-Key" in sent
        options: dict[str, Any] = {}
        if body is not None:
            options["content" if isinstance(body, bytes) else "json"] = body
        try:
            request = self.http.build_request(method, path, params=params, headers=sent, **options)
        except UnicodeEncodeError as error:
            wrong = error.object[error.start : error.end]
            raise Misused(
                f"text with {wrong!r} cannot be sent",
                f"write it in {'ASCII' if error.encoding == 'ascii' else 'UTF-8'}",
            ) from error
        return self._sent(request, httpx2.BasicAuth(*auth) if auth else None, repeatable=repeatable)

    def pages(self, path: str, params: Params | None = None, query: Json | None = None) -> Iterator[Json]:
        """The pages of a list, or with ``query`` of what it selects, one request each."""
        page = (
            self.call("POST", path, query, params=params, repeatable=True)
            if query is not None
            else self.get(path, params=params)
        )
        seen: set[str] = set()
        while True:
            if not isinstance(page, dict) or not is_list_of_objects(page.get("items", [])):
                raise NotARegistry(
                    f"{host_of(self.endpoint)} does not answer with a list", "check --endpoint"
                )
            yield page
            following = link_of(page, "next")
            if following is None:
                return
            if following in seen:
                raise NotARegistry(
                    f"the list of {host_of(self.endpoint)} leads back to where it was", "tell its operator"
                )
            seen.add(following)
            page = self.get(self._own_path(following))

    def items(
        self, path: str, maximum: int, params: Params | None = None, query: Json | None = None
    ) -> Listing:
        """Up to ``maximum`` items of a list, or with ``query`` of what it selects; 0 stands for all."""
        items: list[Json] = []
        for page in self.pages(path, params, query):
            items.extend(page.get("items", []))
            if maximum and len(items) >= maximum:
                more = len(items) > maximum or link_of(page, "next") is not None
                return Listing(items[:maximum], more)
        return Listing(items)

    def _required_credential(self) -> str:
        if not self._credential:
            raise NotLoggedIn("there is no key", "run 'moorage profile login', or set MOORAGE_TOKEN")
        return self._credential

    def _sent(
        self, request: httpx2.Request, auth: httpx2.BasicAuth | None, *, repeatable: bool
    ) -> httpx2.Response:
        for attempt in range(1, ATTEMPTS + 1):
            answer = self._tried(request, auth)
            last = attempt == ATTEMPTS or not is_worth_repeating(answer, repeatable=repeatable)
            wait = 0.0 if last else seconds_until(attempt, answer)
            if last or wait > LONGEST_WAIT:
                break
            self._sleep(wait)
        if isinstance(answer, httpx2.TransportError):
            raise unreachable(answer, self.endpoint) from answer
        self._look_at_version(answer)
        return answer

    def _tried(
        self, request: httpx2.Request, auth: httpx2.BasicAuth | None
    ) -> httpx2.Response | httpx2.TransportError:
        started = time.monotonic()
        answer: httpx2.Response | httpx2.TransportError
        try:
            answer = self.http.send(request, auth=auth)
        except httpx2.TransportError as error:
            answer = error
        except httpx2.RequestError as error:
            # A body that is not what its encoding says: some proxy's work.
            raise NotARegistry(
                f"the answer of {host_of(self.endpoint)} cannot be read", "check --endpoint"
            ) from error
        if self._trace is not None:
            self._trace(_traced(request, answer, time.monotonic() - started))
        return answer

    def _look_at_version(self, response: httpx2.Response) -> None:
        version = response.headers.get(VERSION_HEADER, "")
        if self._hinted or not is_newer(version, __version__):
            return
        self._hinted = True
        self._note(f"the registry has version {version}, this command {__version__}: update moorage-cli")

    def _own_path(self, href: str) -> str:
        """``href`` without the endpoint; the credential goes nowhere else."""
        try:
            target = urlsplit(href)
        except ValueError as error:
            raise self._leads_elsewhere() from error
        placed = target.scheme or target.netloc
        if placed and f"{target.scheme}://{target.netloc}" != self.endpoint:
            raise self._leads_elsewhere()
        return f"{target.path}?{target.query}" if target.query else target.path

    def _leads_elsewhere(self) -> NotARegistry:
        return NotARegistry(f"a link of {host_of(self.endpoint)} leads to another host", "tell its operator")


def _client(endpoint: str, *, insecure: bool) -> httpx2.Client:
    plain_and_local = is_loopback(endpoint) and urlsplit(endpoint).scheme == "http"
    try:
        return httpx2.Client(
            base_url=endpoint,
            headers={"User-Agent": USER_AGENT},
            timeout=_TIMEOUT,
            # Where there is no TLS, reading the system's certificates would be for nothing.
            verify=not (insecure or plain_and_local),
            # What is on this machine is not asked for through a proxy.
            trust_env=not plain_and_local,
        )
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        # Its address may hold a password.
        raise Unreachable(
            "a proxy is named that cannot be asked",
            f"name one with http:// or https:// in {_set_of(_PROXY_VARIABLES)}",
        ) from error
    except OSError as error:
        raise Unreachable(
            "the certificates to verify the registry by cannot be read",
            f"check the file in {_set_of(_CERTIFICATE_VARIABLES)}",
        ) from error


def _set_of(names: Sequence[str]) -> str:
    """Those of the variables that are set, for a message; all of them if none is."""
    found = [each for name in names for each in (name, name.lower()) if os.environ.get(each)]
    return " and ".join(found or names)


def link_of(resource: Mapping[str, Any], rel: str = "self") -> str | None:
    """Where the link ``rel`` of a resource or list leads, or None."""
    links = resource.get("links")
    for each in links if isinstance(links, list) else ():
        if isinstance(each, dict) and each.get("rel") == rel:
            return str(each.get("href", "")) or None
    return None


def is_list_of_objects(value: Any) -> bool:
    """Whether ``value`` is a list, and all in it are JSON objects."""
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def quoted(name: str) -> str:
    """The name of a resource as it stands in a path."""
    return quote(name, safe="/:@")


def is_newer(theirs: str, ours: str) -> bool:
    """Whether ``theirs`` has a higher major or minor number; what is no version is not newer."""
    versions = [re.match(r"(\d{1,6})\.(\d{1,6})", text) for text in (theirs, ours)]
    if versions[0] is None or versions[1] is None:
        return False
    numbers = [tuple(int(each) for each in version.groups()) for version in versions if version]
    return numbers[0] > numbers[1]


def _traced(request: httpx2.Request, answer: httpx2.Response | httpx2.TransportError, seconds: float) -> str:
    """A request in one line; of its query, only that there is one."""
    path = _SIGNED.sub(r"\1...", request.url.path) + ("?..." if request.url.query else "")
    took = f"{seconds * 1000:.0f} ms"
    if isinstance(answer, httpx2.TransportError):
        return printable(f"{request.method} {path} {type(answer).__name__} {took}")
    identity = next((answer.headers[name] for name in _REQUEST_IDS if name in answer.headers), "")
    suffix = f" request {identity}" if identity else ""
    return printable(f"{request.method} {path} {answer.status_code} {took}{suffix}")


def require_object(document: Any, endpoint: str) -> Json:
    """``document``, if it is a JSON object.

    Raises:
        NotARegistry: it is not.
    """
    if not isinstance(document, dict):
        raise NotARegistry(f"{host_of(endpoint)} does not look like a moorage registry", "check --endpoint")
    return document
