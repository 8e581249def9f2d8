"""The whole registry in one process: the real application and services over adapters in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from httpx2 import BaseTransport, Client, Request, Response

from moorage.adapters.memory import MemorySigningKeySource, MemoryStorage, MemoryStores, MemoryTable
from moorage.adapters.memory.issuers import MemoryIssuers
from moorage.bootstrap import registry, token
from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.names import Repository
from moorage.domain.principals import SUPERUSERS, VIEWERS, ServiceAccount
from moorage.domain.upload_paths import UploadKey
from moorage.ports import PublicKey, RepositoryRecord, SigningKey
from moorage.services.accounts import AccountAdministration
from moorage.web import registry as registry_web
from moorage.web import token as token_web
from moorage.web.call import RegistryServices
from moorage.web.origin import Entrance
from tests.unit.faults import Faults

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HOST = "registry.example"
SECOND = "second"


@dataclass
class Clock:
    """A clock that a test can set."""

    now: datetime = field(default_factory=lambda: datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass
class UploadKeys:
    """The port ``UploadKeySource``; counts how often it is asked. ``former`` is the other slot's key."""

    key: UploadKey = field(default_factory=lambda: UploadKey("a1", "5e" * 32))
    former: UploadKey | None = None
    reads: int = 0

    def upload_key(self) -> UploadKey:
        self.reads += 1
        return self.key

    def find_upload_key(self, kid: str) -> UploadKey | None:
        self.reads += 1
        return next((key for key in (self.key, self.former) if key and key.kid == kid), None)


def new_signing_key(kid: str) -> tuple[SigningKey, PublicKey]:
    private = ec.generate_private_key(ec.SECP256R1())
    private_pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public_pem = (
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    return SigningKey(kid, private_pem), PublicKey(kid, public_pem, None)


# Making a key takes longer than most tests.
_SIGNING, _PUBLIC = new_signing_key("first")


class InProcess(BaseTransport):
    """Asks an ASGI application directly: ours wait for nothing, so they need neither event loop nor thread."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    def handle_request(self, request: Request) -> Response:
        body, sent = request.read(), list[Any]()
        path, _, query = request.url.raw_path.partition(b"?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "root_path": "",
            "query_string": query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
        }

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        with suppress(StopIteration):
            # A coroutine; it ends at once, unless it waits.
            self._application(scope, receive, send).send(None)  # type: ignore[attr-defined]
            raise AssertionError("the application waits for something")
        start, *parts = sent
        content = b"".join(part.get("body", b"") for part in parts)
        return Response(start["status"], headers=start["headers"], content=content, request=request)


def connect(application: ASGIApp) -> Client:
    """A client of an application."""
    return Client(transport=InProcess(application), base_url=f"https://{HOST}")


@dataclass
class World:
    """A registry with the organisations ``demo`` and ``other``, and clients of it.

    ``table`` and ``stores`` are what is stored; the services reach them through ``faults``. ``storage`` is
    the default store, in which both organisations live.
    """

    clock: Clock
    table: MemoryTable
    stores: MemoryStores
    storage: MemoryStorage
    faults: Faults
    accounts: AccountAdministration
    signing: SigningKey
    services: RegistryServices
    registry: Client
    tokens: Client
    upload_keys: UploadKeys
    issuers: MemoryIssuers
    keys: dict[str, str] = field(default_factory=dict)

    def add_account(self, org: str, name: str, *groups: str) -> None:
        account = self.accounts.create_service_account(org, name, groups=groups)
        self.keys[f"{org}/{name}"] = self.accounts.add_key(account, "laptop").secret

    def token(self, who: str, *scopes: str) -> str:
        response = self.tokens.get("/token", params={"scope": scopes}, auth=("<token>", self.keys[who]))
        assert response.status_code == 200, response.text
        return str(response.json()["token"])

    def auth(self, who: str, *scopes: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(who, *scopes)}"}

    def all_of(self, who: str, *names: str) -> dict[str, str]:
        return self.auth(who, *(f"repository:{name}:*" for name in names))

    def repository(self, name: str) -> RepositoryRecord:
        record = self.table.find_repository(Repository.parse(name))
        assert record is not None
        return record

    def account(self, who: str) -> ServiceAccount:
        org, _, name = who.partition("/")
        return ServiceAccount(org, name)

    def kept(self) -> Kept:
        """All that is stored, to be put into other worlds."""
        holders = self.table, *(self.stores[name] for name in self.stores.names())
        return Kept([_containers(holder) for holder in holders], dict(self.keys))

    def put_back(self, kept: Kept) -> None:
        """Store what was kept, in place of all that is stored here."""
        holders = self.table, *(self.stores[name] for name in self.stores.names())
        for holder, containers in zip(holders, kept.containers, strict=True):
            vars(holder).update(_copied(containers))
        self.keys = dict(kept.keys)


@dataclass(frozen=True)
class Kept:
    """What was stored in a world, and the keys of its accounts."""

    containers: list[dict[str, Any]]
    keys: dict[str, str]


def _containers(holder: object) -> dict[str, Any]:
    found = {name: value for name, value in vars(holder).items() if isinstance(value, dict | set)}
    return {name: _copied(value) for name, value in found.items()}


def _copied(value: Any) -> Any:
    """The same in containers of its own; what is in them never changes."""
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return set(value) if isinstance(value, set) else value


@contextmanager
def registry_in_memory(
    domain: str | None = None,
    front_door: str | None = None,
    *,
    edge_pulls: bool = False,
    ingest: bool = False,
    **table_options: Any,
) -> Iterator[World]:
    """A fresh registry with its clients; ``front_door`` is what a request through the front door carries, if
    there is one; with ``edge_pulls`` that serves blobs, and with ``ingest`` it takes streamed uploads.
    """
    clock, table, stores, faults = Clock(), MemoryTable(**table_options), MemoryStores(SECOND), Faults()
    table.publish(_PUBLIC)
    entrance, upload_keys = Entrance(domain, front_door), UploadKeys()
    services = registry.assemble(
        faults.wrap(table),
        faults.wrap(stores),
        clock,
        entrance,
        faults.wrap(upload_keys) if front_door else None,
        edge_pulls=edge_pulls,
        ingest=ingest,
    )
    issuing = token.assemble(faults.wrap(table), faults.wrap(MemorySigningKeySource(_SIGNING)), clock)
    registry_client = connect(registry_web.create_application(services))
    issuers = MemoryIssuers()
    exchange = token.assemble_exchange(faults.wrap(table), faults.wrap(issuers), clock)
    token_client = connect(token_web.create_application(issuing, exchange, entrance))
    accounts = AccountAdministration(table, clock, stores.names())
    world = World(
        clock,
        table,
        stores,
        stores[DEFAULT_STORE],
        faults,
        accounts,
        _SIGNING,
        services,
        registry_client,
        token_client,
        upload_keys,
        issuers,
    )
    for org in ("demo", "other"):
        accounts.create_organisation(org)
        world.add_account(org, "admin", SUPERUSERS)
        world.add_account(org, "viewer", VIEWERS)
    yield world
