"""A registry's services over memory, and what must hold of everything they have stored."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from moorage.adapters.memory import MemoryStorage, MemoryTable
from moorage.bootstrap import registry
from moorage.domain.blobs import ObjectState, Way, object_key
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.manifests import OCI_MANIFEST
from moorage.domain.names import Repository
from moorage.domain.principals import SUPERUSERS
from moorage.domain.sessions import SessionState, UploadSession
from moorage.services.accounts import AccountAdministration
from tests.protocol.world import Clock
from tests.unit.faults import Faults

APP, SIDE, FOREIGN = Repository("demo", "app"), Repository("demo", "side"), Repository("other", "app")
WHO = "/org/demo/serviceaccount/admin"
STRANGER = "/org/other/serviceaccount/admin"
CONFIG, CONTENT = b"{}", b"layer" * 100


class Store:
    """The services, and what lies below them."""

    def __init__(self) -> None:
        self.clock, self.table, self.storage, self.faults = Clock(), MemoryTable(), MemoryStorage(), Faults()
        self.services = registry.assemble(
            self.faults.wrap(self.table), self.faults.wrap(self.storage), self.clock
        )
        administration = AccountAdministration(self.table, self.clock)
        for org in ("demo", "other"):
            administration.create_organisation(org)
            administration.create_service_account(org, "admin", groups=[SUPERUSERS])
        self.uploads, self.blobs = self.services.uploads, self.services.blobs
        self.manifests, self.referrers = self.services.manifests, self.services.referrers

    def push(self, repository: Repository, content: bytes, algorithm: Algorithm = Algorithm.SHA256) -> Digest:
        digest = Digest.of(content, algorithm)
        who = WHO if repository.org == "demo" else STRANGER
        self.uploads.put_whole(repository, who, digest, content)
        return digest

    def session(self, repository: Repository = APP, *chunks: bytes) -> UploadSession:
        session = self.uploads.start(repository, WHO)
        for chunk in chunks:
            session = self.uploads.append(session, chunk, None)
        return session

    def leave(
        self, content: bytes, digest: Digest | None = None, repository: Repository = APP, **put: Any
    ) -> str:
        """An object as an upload leaves it that ended between storing the bytes and linking them; its session
        is open. The key.
        """
        session = self.uploads.start(repository, WHO)
        digest = digest or Digest.of(content)
        key = object_key(Way.API, session.repository_id, digest, session.id)
        (self.storage.put_without_checksum if put.get("unproven") else self.storage.put)(key, content)
        return key

    def holds(self, repository: Repository, digest: Digest) -> bool:
        """Whether the repository has a link, without settling anything."""
        return self.table.find_link(repository, digest) is not None

    def content(self, repository: Repository, digest: Digest) -> bytes | None:
        link = self.table.find_link(repository, digest)
        return b"".join(self.storage.read(link.key) or ()) if link else None

    def check(self) -> None:
        """What holds at every moment, after any crash: all that a reader can see is whole and true."""
        for (repository, digest), link in self.table._links.items():
            assert (link.repository, link.digest) == (repository, digest)
            stored = self.table.find_object(link.key)
            assert stored is not None
            content = b"".join(self.storage.read(link.key) or ())
            assert digest.matches(content)
            assert link.size == stored.size == len(content)
            assert stored.sha256 == hashlib.sha256(content).hexdigest()
            assert (repository, digest) in self.table.references(link.key, 100)
            repository_id = link.key.split("/")[2]
            owner = [record for record in self.table._repositories.values() if record.id == repository_id]
            assert [record.repository.org for record in owner] == [repository.org]
        for (repository, digest), record in self.table._manifests.items():
            content = self.manifests.content(record)
            assert digest.matches(content)
            assert record.size == len(content)
            assert self.table.find_repository(repository) is not None
        for repository, tags in self.table._tags.items():
            for tag in tags:
                tagged = self.table.find_tag(repository, tag)
                assert tagged is not None
                assert self.table.find_manifest(repository, tagged) is not None
        for session in self.table._sessions.values():
            assert (session.state is SessionState.CLOSED) == (session.digest is not None)
            if session.state is SessionState.OPEN:
                assert all(self.storage.head(chunk.key) is not None for chunk in session.chunks)


def image(*layers: tuple[Digest, bytes], **more: Any) -> bytes:
    """An image manifest whose config is the first of ``layers``."""
    described = [
        {"mediaType": "application/vnd.example", "digest": str(digest), "size": len(content)}
        for digest, content in layers
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described[0],
        "layers": described[1:],
        **more,
    }
    return json.dumps(document).encode()


def live(store: Store, key: str, state: ObjectState) -> None:
    """Set the state of an object, as the collector does."""
    stored = store.table.find_object(key)
    assert stored is not None
    store.table.replace_object(replace(stored, state=state))
