"""An organisation for one guide in a running local cloud, so that guides do not see each other's changes."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import urllib3

from tests.local.registry import Registry

# What the guides have for newcomers: the address, the organisation and the password file of `make run`.
_ADDRESS, _ORG, _PASSWORD = "127.0.0.1:5000", "demo", ".local/state/password"


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation and the key of its superuser."""

    endpoint: str
    name: str
    key: str
    password_file: Path

    @property
    def host(self) -> str:
        """The registry's address as image names have it."""
        return self.endpoint.removeprefix("http://")

    @property
    def replacements(self) -> dict[str, str]:
        """What to write in place of the newcomer's organisation, for ``Guide``."""
        return {_ORG: self.name, _ADDRESS: self.host, _PASSWORD: shlex.quote(str(self.password_file))}

    def push(self, repository: str, tag: str) -> None:
        """Push a small image, as a superuser."""
        port = int(self.host.rpartition(":")[2])
        login = {"username": "<token>", "password": self.key}
        Registry(SimpleNamespace(port=port, credentials=login)).push(
            f"{self.name}/{repository}", tag, b"layer"
        )

    def call(
        self, method: str, path: str, body: Any = None, key: str | None = None
    ) -> urllib3.BaseHTTPResponse:
        """What the management API answers to ``/org/NAME`` and what follows, to a superuser or to ``key``."""
        headers = {"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        with urllib3.PoolManager(retries=False, timeout=30.0) as pool:
            return pool.request(
                method, f"{self.endpoint}/org/{self.name}{path}", headers=headers, body=content
            )

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """The same where success is expected: the answer's JSON, or None of an empty one."""
        answer = self.call(method, path, body)
        if answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.data!r}")
        return json.loads(answer.data) if answer.data else None


def founded(state: Path, name: str, folder: Path, store: str = "default") -> Organisation:
    """A new organisation, in this store, in the local cloud with that state folder; its key is kept in ``folder``."""
    facts = json.loads((state / "credentials.json").read_text("utf-8"))
    with urllib3.PoolManager(retries=False, timeout=30.0) as pool:
        answer = pool.request(
            "POST",
            f"{facts['endpoint']}/org",
            headers={"Authorization": f"Bearer {facts['bootstrap']}", "Content-Type": "application/json"},
            body=json.dumps({"name": name, "store": store, "creator": {"serviceaccount": "admin"}}),
        )
    if answer.status != 201:
        raise AssertionError(f"{answer.status} {answer.data!r}")
    key = str(json.loads(answer.data)["key"]["key"])
    password = folder / "password"
    password.write_text(key, "utf-8")
    return Organisation(facts["endpoint"], name, key, password)
