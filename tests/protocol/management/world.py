"""The management API beside the registry that it manages, both in one process over one memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from moorage.bootstrap import management
from moorage.domain.manifests import OCI_MANIFEST
from moorage.web.management.application import create_api
from moorage.web.management.services import ManagementServices
from moorage.web.management.shell import Shell
from tests.protocol.sample import BLOB, DIGEST, image
from tests.protocol.world import World, connect, registry_in_memory

if TYPE_CHECKING:
    from fastapi import FastAPI
    from httpx2 import Client, Response

_API = create_api(cast("ManagementServices", None))

BOOTSTRAP = "mrgboot_" + "b" * 43


def next_of(page: Any) -> str:
    """Where a list goes on; empty at its end."""
    return next((str(link["href"]) for link in page["links"] if link["rel"] == "next"), "")


@dataclass
class Bootstrap:
    """The port ``BootstrapRecords``."""

    sha256: str | None = hashlib.sha256(BOOTSTRAP.encode()).hexdigest()

    def find_bootstrap(self) -> str | None:
        return self.sha256


@dataclass
class Management:
    """The API with the organisations of a ``World``; ``demo/admin`` is a superuser, ``demo/viewer`` a viewer."""

    world: World
    api: FastAPI
    services: ManagementServices
    client: Client
    bootstrap: Bootstrap

    def call(self, who: str | None, method: str, path: str, body: Any = None, **options: Any) -> Response:
        """What the API answers to ``ORG/ACCOUNT``, to somebody with the key ``who``, or to nobody."""
        headers = dict(options.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {self.world.keys.get(who, who)}"
        if body is not None:
            options["json"] = body
        return self.client.request(method, path, headers=headers, **options)

    def ok(self, who: str | None, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The same where success is expected: the answer's JSON."""
        response = self.call(who, method, path, body, **options)
        assert response.status_code < 300, response.text
        return response.json() if response.content else None

    def account(self, org: str, name: str, *groups: str) -> str:
        """A new service account with a key, under which it can call; its link."""
        self.world.add_account(org, name, *groups)
        return f"/org/{org}/serviceaccount/{name}"

    def policy(self, name: str, kind: str, principal: str, *permissions: str, **target: Any) -> Any:
        """A policy of ``demo`` for all of a kind, or what ``target`` says."""
        bindings = [{"permissions": list(permissions), "principalLinks": [principal]}]
        body = {"name": name, "targetKind": kind, "bindings": bindings, **(target or {"target": "all"})}
        return self.ok("demo/admin", "POST", "/org/demo/policy", body)

    def push(self, name: str, tag: str, who: str = "admin", **more: Any) -> str:
        """Push an image to ``ORG/REPOSITORY``; its digest."""
        auth = self.world.all_of(f"{name.partition('/')[0]}/{who}", name)
        blob = self.world.registry.post(
            f"/v2/{name}/blobs/uploads/?digest={DIGEST}", headers=auth, content=BLOB
        )
        assert blob.status_code == 201, blob.text
        pushed = self.world.registry.put(
            f"/v2/{name}/manifests/{tag}",
            headers={**auth, "Content-Type": OCI_MANIFEST},
            content=image(**more),
        )
        assert pushed.status_code == 201, pushed.text
        return str(pushed.headers["docker-content-digest"])


@contextmanager
def management_in_memory() -> Iterator[Management]:
    """A fresh world with its management API."""
    with registry_in_memory() as world:
        bootstrap = Bootstrap()
        services = management.assemble(
            world.faults.wrap(world.table), world.faults.wrap(world.stores), bootstrap, world.clock
        )
        # Making the application takes longer than most tests; it holds nothing but the services.
        around = getattr(_API.state, "services", None)
        _API.state.services = services
        yield Management(world, _API, services, connect(Shell(_API)), bootstrap)
        _API.state.services = around
