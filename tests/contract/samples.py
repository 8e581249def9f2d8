"""Values that the contract tests speak about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from moorage.domain.blobs import BlobLink, StoredObject
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.names import Repository
from moorage.domain.principals import KeyRecord, ServiceAccount
from moorage.domain.sessions import UploadSession
from moorage.ports import ManifestRecord, Referrer, RepositoryRecord

APP = Repository("demo", "team/app")
OTHER_IMAGE = Repository("demo", "team/app2")
OTHER_ORG = Repository("acme", "team/app")
NOW = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)
LATER = NOW + timedelta(minutes=3)
ROBOT = ServiceAccount("demo", "robot")


def digest(name: object, algorithm: Algorithm = Algorithm.SHA256) -> Digest:
    return Digest.of(str(name).encode(), algorithm)


def manifest(name: object, **changes) -> ManifestRecord:
    values = {
        "digest": digest(name),
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "size": 3,
        "pushed": NOW,
        "body": b"{ }",
    }
    return ManifestRecord(**{**values, **changes})


def referrer(subject: Digest, name: object, artifact_type: str = "text/sbom", size: int = 0) -> Referrer:
    annotations = {"filling": "x" * size, "grüße": "\N{ANCHOR}"}
    described = {"digest": str(digest(name)), "artifactType": artifact_type, "annotations": annotations}
    return Referrer(subject, digest(name), artifact_type, described)


def session(session_id: str = "4f2a", repository: Repository = APP, **changes) -> UploadSession:
    values = {
        "id": session_id,
        "repository": repository,
        "repository_id": "repository-id",
        "principal": ROBOT.link,
        "created": NOW,
        "expires": NOW + timedelta(days=1),
    }
    return UploadSession(**{**values, **changes})


def link(name: object, repository: Repository = APP, key: str = "") -> BlobLink:
    return BlobLink(repository, digest(name), key or f"api/{name}", 5, NOW)


def stored(key: str) -> StoredObject:
    return StoredObject(key, 5, digest(key).encoded, NOW)


def account_key(name: str, account: ServiceAccount = ROBOT, **changes) -> KeyRecord:
    values = {
        "id": f"id-of-{account.name}-{name}",
        "account": account,
        "name": name,
        "sha256": digest(name).encoded,
        "created": NOW,
    }
    return KeyRecord(**{**values, **changes})


def push(table, repository: Repository, *names: object) -> list[Digest]:
    """Manifests of these names, stored."""
    for name in names:
        table.put_manifest(repository, manifest(name), uses=[], referrer=None)
    return [digest(name) for name in names]


def connect(table, blob: BlobLink, closing: UploadSession | None = None) -> None:
    """A link with its REF, as an upload writes them, in a repository that is there."""
    if closing is not None:
        table.create_repository(RepositoryRecord(closing.repository, closing.repository_id, NOW))
    table.add_reference(blob.key, blob.repository, blob.digest)
    table.put_link(blob, closing=closing)
