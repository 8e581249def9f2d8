"""A registry and its store on loopback: the real application over adapters in memory, and what S3 does with a PUT."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from moorage.bootstrap import upload_finalizer
from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.digests import Digest
from moorage.ports import ObjectPlace
from tests.cli.stand_in import Answer, Asked, StandIn, serving
from tests.cli.terminal import Terminal
from tests.protocol.world import World, registry_in_memory

INVALID = "https://storage.invalid"
PUSH = ("image", "push")
_OWN = {"host", "content-length", "connection", "accept-encoding"}


def s3_error(status: int, code: str) -> Answer:
    """What S3 says when it refuses."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
    return Answer(body.encode(), status, {"Content-Type": "application/xml"})


@dataclass
class Pushing:
    """``registry`` and ``store`` are asked over the wire; ``refusals`` are what the store says first."""

    world: World
    registry: StandIn
    store: StandIn
    refusals: list[Answer] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)
    hold_from: int = 1_000_000
    """Puts from this number on wait until ``hold`` is set; ``held`` says that one does."""
    stored: list[str] = field(default_factory=list)
    domain: str | None = None
    """That of the registry; the host that a client names counts where there is one."""
    _lock: Any = field(default_factory=threading.RLock)

    def ask(self, asked: Asked) -> Answer:
        """What the real applications answer; addresses in it lead to the store here."""
        client = self.world.tokens if asked.path == "/token" else self.world.registry
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in _OWN}
        if self.domain is not None:
            headers["Host"] = asked.headers["Host"]
        with self._lock:
            answer = client.request(asked.method, asked.target, headers=headers, content=asked.content)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN}
        content = answer.content.replace(INVALID.encode(), self.store.endpoint.encode())
        return Answer(content or None, answer.status_code, kept)

    def put(self, asked: Asked) -> Answer:
        """What S3 does with a signed PUT."""
        with self._lock:
            if self.refusals:
                return self.refusals.pop(0)
            number = len(self.stored)
            self.stored.append(asked.path)
        if number >= self.hold_from:
            self.held.set()
            self.hold.wait(60)
        with self._lock:
            return self._put(asked)

    def _put(self, asked: Asked) -> Answer:
        key, query = unquote(asked.path).lstrip("/"), parse_qs(urlsplit(asked.target).query)
        signed = query["X-Amz-SignedHeaders"][0].split(";")
        sent = {name.lower(): value for name, value in asked.headers.items()}
        assert "authorization" not in sent
        assert set(signed) <= sent.keys()
        assert int(sent["content-length"]) == len(asked.content)
        if "uploadId" in query:
            if (key, query["uploadId"][0]) not in self.world.storage._uploads:
                return s3_error(404, "NoSuchUpload")
            self.world.storage.put_part(key, query["uploadId"][0], int(query["partNumber"][0]), asked.content)
            return Answer()
        if self.world.storage.head(key) is not None:
            return s3_error(412, "PreconditionFailed")
        checksum = base64.b64encode(hashlib.sha256(asked.content).digest()).decode()
        if sent["x-amz-checksum-sha256"] != checksum:
            return s3_error(400, "BadDigest")
        self.world.storage.put(key, asked.content)
        return Answer()

    def finalize(self) -> None:
        """What the store's events have the finalizer do."""
        finalizing = upload_finalizer.assemble(self.world.table, self.world.stores, self.world.clock)
        with self._lock:
            for key in self.world.storage.list_keys("", 1000):
                finalizing.finalize(ObjectPlace(DEFAULT_STORE, key))

    def manifest(self, name: str, reference: str = "latest") -> tuple[str, dict[str, Any]]:
        """The digest of a manifest, and what it says."""
        headers = self.world.all_of("demo/admin", name)
        answer = self.world.registry.get(f"/v2/{name}/manifests/{reference}", headers=headers)
        assert answer.status_code == 200, answer.text
        assert Digest.parse(answer.headers["Docker-Content-Digest"]).matches(answer.content)
        return answer.headers["Docker-Content-Digest"], json.loads(answer.content)

    def holds(self, name: str, digest: str) -> bool:
        """Whether a repository has a blob."""
        headers = self.world.all_of("demo/admin", name)
        return self.world.registry.head(f"/v2/{name}/blobs/{digest}", headers=headers).status_code == 200

    def content(self, name: str, digest: str) -> bytes:
        """A blob's bytes."""
        found = self.world.table.find_link(self.world.repository(name).repository, Digest.parse(digest))
        assert found is not None
        return b"".join(self.world.storage.read(found.key) or ())

    def sign_in(self, terminal: Terminal, who: str = "demo/admin") -> Terminal:
        """The terminal, with variables for the registry."""
        terminal.environment |= {
            "MOORAGE_ENDPOINT": self.registry.endpoint,
            "MOORAGE_ORG": "demo",
            "MOORAGE_TOKEN": self.world.keys[who],
        }
        return terminal


@contextmanager
def pushing(domain: str | None = None) -> Iterator[Pushing]:
    """A registry and a store, until the block ends; below ``domain`` each organisation has a host."""
    with registry_in_memory(domain) as world, serving() as registry, serving() as store:
        running = Pushing(world, registry, store, domain=domain)
        registry.fallback, store.fallback = running.ask, running.put
        try:
            yield running
        finally:
            running.hold.set()
