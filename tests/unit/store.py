"""A registry's services over memory, and what must hold of everything they have stored."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from moorage.adapters.memory import MemoryStores, MemoryTable
from moorage.bootstrap import registry, sweeper, upload_finalizer
from moorage.domain.blobs import DEFAULT_STORE, ObjectState, StoredObject, Way, object_key
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.manifests import OCI_MANIFEST
from moorage.domain.names import Repository
from moorage.domain.principals import SUPERUSERS
from moorage.domain.sessions import SessionState, UploadSession
from moorage.ports import ObjectPlace
from moorage.services.accounts import AccountAdministration
from moorage.services.finalizing import Outcome
from tests.protocol.world import SECOND, Clock, UploadKeys
from tests.unit.faults import Faults

APP, SIDE, FOREIGN = Repository("demo", "app"), Repository("demo", "side"), Repository("other", "app")
WHO = "/org/demo/serviceaccount/admin"
STRANGER = "/org/other/serviceaccount/admin"
CONFIG, CONTENT = b"{}", b"layer" * 100


class Store:
    """The services, and what lies below them. ``home`` is the store that the organisation ``demo`` lives in;
    ``other`` lives in the default one.
    """

    def __init__(self, home: str = DEFAULT_STORE) -> None:
        self.clock, self.table, self.faults = Clock(), MemoryTable(), Faults()
        self.stores = MemoryStores(SECOND)
        self.home, self.storage = home, self.stores[home]
        table, stores = self.faults.wrap(self.table), self.faults.wrap(self.stores)
        self.services = registry.assemble(table, stores, self.clock, upload_keys=UploadKeys())
        self.finalizing = upload_finalizer.assemble(table, stores, self.clock)
        self.sweeping = sweeper.assemble(table, stores, self.clock)
        administration = AccountAdministration(self.table, self.clock, self.stores.names())
        for org, lives_in in (("demo", home), ("other", DEFAULT_STORE)):
            administration.create_organisation(org, lives_in)
            administration.create_service_account(org, "admin", groups=[SUPERUSERS])
        self.uploads, self.blobs = self.services.uploads, self.services.blobs
        self.manifests, self.referrers = self.services.manifests, self.services.referrers
        self.presigned, self.deletions = self.services.presigned, self.services.deletions

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

    def begin(
        self, way: Way, repository: Repository = APP, content: bytes = CONTENT, digest: Digest | None = None
    ) -> UploadSession:
        """An open session of a way, for ``content`` if it has to be announced."""
        who = WHO if repository.org == "demo" else STRANGER
        if way is not Way.PRESIGNED:
            return self.uploads.start(repository, who, ways=(way,))
        digest = digest or Digest.of(content)
        return self.presigned.begin(repository, who, digest, len(content), None).session

    def leave(
        self,
        content: bytes,
        digest: Digest | None = None,
        repository: Repository = APP,
        *,
        way: Way = Way.API,
        unproven: bool = False,
    ) -> str:
        """An object as an upload leaves it that ended between storing the bytes and linking them; its session
        is open. The key.
        """
        digest = digest or Digest.of(content)
        session = self.begin(way, repository, content, digest)
        return self.put(session, digest, content, unproven=unproven)

    def put(
        self,
        session: UploadSession,
        digest: Digest,
        content: bytes,
        *,
        way: Way | None = None,
        unproven: bool = False,
    ) -> str:
        """An object under a session's key for ``digest``, as the client of it can store one. The key."""
        key = object_key(way or session.way, session.repository_id, digest, session.id)
        storage = self.stores[session.store]
        (storage.put_without_checksum if unproven else storage.put)(key, content)
        return key

    def finalize(self, key: str) -> Outcome:
        """What comes of the event of an object in the store that ``demo`` lives in."""
        return self.finalizing.finalize(ObjectPlace(self.home, key))

    def session_of(self, key: str, repository: Repository = APP) -> UploadSession | None:
        """The session that has stored an object."""
        return self.table.find_session(repository, key.rpartition("/")[2])

    def end(self, session: UploadSession, state: str) -> None:
        """Let a session end in one of the ways that a session can."""
        if state == "closed":
            other = b"content of another blob"
            digest = Digest.of(other)
            key = self.put(session, digest, other)
            stored = StoredObject(key, len(other), digest.encoded, self.clock())
            self.uploads._linking.link_stored(session, digest, stored)
        elif state == "failed":
            assert self.table.fail_session(session, "the stored content does not have that digest")
        elif state == "expired":
            assert self.table.expire_session(session)
        else:
            assert state == "cancelled"
            assert self.table.delete_session(session)

    def cancel(self, session: UploadSession) -> None:
        """What the client of a session does that gives it up."""
        end = self.presigned.abort if session.announced else self.uploads.cancel
        end(session.repository, session.principal, session.id)

    def unrecorded(self) -> list[str]:
        """Keys of uploaded objects that have no row: nobody has linked them."""
        stores = [self.stores[name] for name in self.stores.names()]
        found = [key for way in Way for store in stores for key in store.list_keys(f"{way}/", 10**6)]
        return [key for key in found if self.table.find_object(key) is None]

    def holds(self, repository: Repository, digest: Digest) -> bool:
        """Whether the repository has a link, without settling anything."""
        return self.table.find_link(repository, digest) is not None

    def content(self, repository: Repository, digest: Digest) -> bytes | None:
        link = self.table.find_link(repository, digest)
        return b"".join(self.stores[link.store].read(link.key) or ()) if link else None

    def check(self) -> None:
        """What holds at every moment, after any crash: all that a reader can see is whole and true."""
        for (repository, digest), link in self.table._links.items():
            assert (link.repository, link.digest) == (repository, digest)
            stored = self.table.find_object(link.key)
            assert stored is not None
            content = b"".join(self.stores[link.store].read(link.key) or ())
            assert link.store == stored.store
            assert digest.matches(content)
            assert link.size == stored.size == len(content)
            assert stored.sha256 == hashlib.sha256(content).hexdigest()
            assert (repository, digest) in self.table.references(link.key, 100)
            repository_id = link.key.split("/")[2]
            owner = [record for record in self.table._repositories.values() if record.id == repository_id]
            assert [(record.repository.org, record.store) for record in owner] == [
                (repository.org, link.store)
            ]
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
                storage = self.stores[session.store]
                assert all(storage.head(chunk.key) is not None for chunk in session.chunks)


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
