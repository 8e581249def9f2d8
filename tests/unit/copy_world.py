"""Organisations in two stores, a source full of images, and workers that copy them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from moorage.adapters.memory import MemoryStores, MemoryTable
from moorage.bootstrap import registry
from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.copy_wishes import CopyWish
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.jobs import LEASE, CopyJob, document_job
from moorage.domain.manifests import OCI_INDEX, OCI_MANIFEST
from moorage.domain.names import Repository
from moorage.domain.principals import SUPERUSERS
from moorage.domain.resources import Kind
from moorage.services.access import Access
from moorage.services.accounts import AccountAdministration
from moorage.services.authorization import Authorization
from moorage.services.callers import Caller
from moorage.services.copy_requests import CopyRequests
from moorage.services.copying import Copying, CopyLimits, Outcome
from moorage.services.tag_rules import TagRules
from tests.contract.samples import policy
from tests.copy_checker import Contents, problems
from tests.protocol.world import SECOND, Clock

SOURCE = Repository("demo", "app")
NEAR, FAR = Repository("prod", "app"), Repository("remote", "app")
"""At the destination: in the store of the source, and in another one."""

WHO = "/org/demo/serviceaccount/copier"
PUSHER = {"demo": "/org/demo/serviceaccount/admin", "prod": "/org/prod/serviceaccount/admin"}
MEDIA = "application/vnd.example"
FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

Wrap = Callable[[Any], Any]


def always() -> bool:
    return True


def never() -> bool:
    return False


class CopyWorld:
    """``demo`` and ``prod`` live in the default store, ``remote`` in the second one; ``copier`` of ``demo`` may
    pull there and push to the two others. ``wrap`` is put around what requests and workers use.
    """

    def __init__(self, wrap: Wrap = lambda each: each, limits: CopyLimits | None = None) -> None:
        self.clock, self.table, self.stores = Clock(), MemoryTable(), MemoryStores(SECOND)
        self.limits = limits
        self.services = registry.assemble(self.table, self.stores, self.clock)
        administration = AccountAdministration(self.table, self.clock, self.stores.names())
        for org, store in (("demo", DEFAULT_STORE), ("prod", DEFAULT_STORE), ("remote", SECOND)):
            administration.create_organisation(org, store)
            administration.create_service_account(org, "admin", groups=[SUPERUSERS])
        self.administration = administration
        administration.create_service_account("demo", "copier")
        self.grant("demo", "pull")
        self.grant("prod", "create")
        self.grant("remote", "create")
        self.wrap = wrap
        self.requests = self.requests_over(wrap)

    def requests_over(self, wrap: Wrap) -> CopyRequests:
        table = wrap(self.table)
        access = Access(Authorization(table))
        return CopyRequests(table, wrap(self.stores), TagRules(table), access, self.clock)

    def bare(self) -> CopyWorld:
        """The same world without what is put around it."""
        other = copy.copy(self)
        other.wrap = lambda each: each
        return other

    def worker(self) -> Copying:
        return Copying(self.wrap(self.table), self.wrap(self.stores), self.clock, self.limits)

    def grant(self, org: str, permission: str) -> None:
        self.table.create(policy("copying", WHO, org=org, permission=permission))

    def revoke(self, org: str) -> None:
        record = self.table.find(Kind.POLICY, org, "copying")
        assert record is not None
        self.table.delete(record)

    def keep_tags(self, org: str, *tags: str) -> None:
        """Make tags immutable in an organisation."""
        record = self.table.find(Kind.ORG, org, org)
        assert record is not None
        spec = {**record.spec, "immutableTags": [{"repository": "*", "tags": list(tags)}]}
        self.table.replace(record, replace(record, spec=spec, version=record.version + 1))

    # ------------------------------------------------------------------ content
    def blob(
        self, content: bytes, repository: Repository = SOURCE, algorithm: Algorithm = Algorithm.SHA256
    ) -> Digest:
        digest = Digest.of(content, algorithm)
        who = f"/org/{repository.org}/serviceaccount/admin"
        self.services.uploads.put_whole(repository, who, digest, content)
        return digest

    def push(
        self,
        content: bytes,
        *tags: str,
        repository: Repository = SOURCE,
        media_type: str = OCI_MANIFEST,
    ) -> Digest:
        digest = Digest.of(content)
        who = f"/org/{repository.org}/serviceaccount/admin"
        self.services.manifests.push(repository, who, content, media_type, digest, tags)
        return digest

    def image(
        self,
        name: str,
        *tags: str,
        repository: Repository = SOURCE,
        layers: Sequence[bytes] = (),
        **more: Any,
    ) -> Digest:
        """An image of a config and a layer of its own, and of ``layers``."""
        contents = [b'{"n":"%s"}' % name.encode(), f"layer of {name}".encode() * 9, *layers]
        described = [described_blob(self.blob(content, repository), content) for content in contents]
        return self.push(manifest_of(described, **more), *tags, repository=repository)

    def index(
        self, *children: Digest, tags: Sequence[str] = (), repository: Repository = SOURCE, **more: Any
    ) -> Digest:
        listed = [self.descriptor(child, repository) for child in children]
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed, **more}
        return self.push(json.dumps(document).encode(), *tags, repository=repository, media_type=OCI_INDEX)

    def descriptor(self, digest: Digest, repository: Repository = SOURCE) -> dict[str, Any]:
        record = self.table.find_manifest(repository, digest)
        assert record is not None
        return {"mediaType": record.media_type, "digest": str(digest), "size": record.size}

    def whole_image(self, tag: str = "v1") -> Digest:
        """An index of two platforms, a layer of them shared, with a signature that refers to it and one that is
        found by its tag.
        """
        children = [self.image(name, layers=[b"shared" * 20]) for name in ("amd64", "arm64")]
        index = self.index(*children, tags=[tag])
        self.image("sbom", subject=self.descriptor(index))
        self.image("signature", f"sha256-{index.encoded}.sig")
        return index

    # ------------------------------------------------------------------ copies
    def ask(
        self,
        text: str = "app:v1",
        to: Repository = NEAR,
        *,
        key: str | None = None,
        org: str = "demo",
        **more: Any,
    ) -> CopyJob:
        body = {"destinationOrg": to.org, "destinationName": to.image, **more}
        return self.requests.request(Caller(WHO), org, text, CopyWish.parse(body), key)

    def job(self, job: CopyJob) -> CopyJob:
        found = self.table.find_job(job.id, self.clock())
        assert found is not None
        return found

    def run(self, job: CopyJob, has_time: Callable[[], bool] = always) -> CopyJob:
        """Let workers come to a job until it has ended."""
        for _ in range(1000):
            outcome = self.worker().run(job.id, has_time)
            if outcome is not Outcome.CONTINUE:
                assert outcome is Outcome.FINISHED, outcome
                return self.job(job)
        raise AssertionError("the copy comes to no end")

    def copy(self, text: str = "app:v1", to: Repository = NEAR, **more: Any) -> CopyJob:
        return self.run(self.ask(text, to, **more))

    def called(self) -> list[str]:
        """The jobs whose documents lie there."""
        keys = self.stores[DEFAULT_STORE].list_keys("jobs/", 10**6)
        return [job_id for key in keys if (job_id := document_job(key))]

    def let_leases_end(self) -> None:
        self.clock.advance(LEASE + timedelta(seconds=1))

    def tag(self, repository: Repository, tag: str = "v1") -> Digest | None:
        return self.table.find_tag(repository, tag)

    def tags(self, repository: Repository) -> Sequence[str]:
        return self.table.tags_after(repository, None, 10**6)

    def problems(self, *, undisturbed: bool = True) -> list[str]:
        return problems(Contents.of_memory(self.table), self.stores, undisturbed=undisturbed)

    def manifests(self, repository: Repository) -> set[Digest]:
        return {digest for name, digest in self.table._manifests if name == repository}

    def copies(self) -> list[str]:
        """The keys of what lies in the second store as a copy."""
        return list(self.stores[SECOND].list_keys("copy/", 10**6))


def described_blob(digest: Digest, content: bytes, media_type: str = MEDIA) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(digest), "size": len(content)}


def manifest_of(described: Sequence[dict[str, Any]], **more: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described[0],
        "layers": list(described[1:]),
        **more,
    }
    return json.dumps(document).encode()
