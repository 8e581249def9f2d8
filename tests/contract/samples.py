"""Values that the contract tests speak about."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from moorage.domain.blobs import BlobLink, StoredObject
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import AlreadyExists
from moorage.domain.images import ImageRecord, Pushed
from moorage.domain.names import Repository
from moorage.domain.principals import BUILT_IN_GROUPS, KeyRecord, ServiceAccount
from moorage.domain.resources import Kind, ResourceRecord
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
        "owner": account.link,
        "name": name,
        "sha256": digest(name).encoded,
        "created": NOW,
    }
    return KeyRecord(**{**values, **changes})


def record(kind: Kind, name: str, org: str = "demo", **changes) -> ResourceRecord:
    """A resource as it was made; its id tells the kind and the name."""
    values = {
        "kind": kind,
        "org": org,
        "name": name,
        "id": f"id-of-{org}-{kind}-{name}",
        "version": 1,
        "created": NOW,
        "last_modified": NOW,
    }
    return ResourceRecord(**{**values, **changes})


def group(name: str, *members: str, org: str = "demo", query: object = None, **changes) -> ResourceRecord:
    spec = {"memberLinks": list(members), "memberQuery": query}
    return record(Kind.GROUP, name, org, spec=spec, **changes)


def policy(
    name: str,
    *principals: str,
    org: str = "demo",
    kind: Kind = Kind.IMAGE,
    permission: str = "pull",
    **changes,
) -> ResourceRecord:
    """A policy about everything of a kind, that names some principals."""
    bindings = [{"permissions": [permission], "principalLinks": list(principals)}] if principals else []
    spec = {"targetKind": kind.value, "targetLinks": [], "target": "all", "bindings": bindings}
    return record(Kind.POLICY, name, org, **{"spec": spec, **changes})


def make_organisation(table, *orgs: str) -> None:
    """Organisations with their built-in groups; those that are there stay."""
    for org in orgs:
        with suppress(AlreadyExists):
            groups = [group(name, org=org) for name in BUILT_IN_GROUPS]
            table.create_organisation(record(Kind.ORG, org, org), groups)


def make_account(table, account: ServiceAccount = ROBOT) -> None:
    """A service account in its organisation, which is made if it is not there."""
    make_organisation(table, account.org)
    table.create(record(Kind.SERVICE_ACCOUNT, account.name, account.org))


def push(table, repository: Repository, *names: object) -> list[Digest]:
    """Manifests of these names, stored."""
    for name in names:
        put_manifest(table, repository, manifest(name))
    return [digest(name) for name in names]


def pushed(target: Digest, at: datetime = NOW, **changes) -> Pushed:
    """What a push of a manifest says of its image."""
    values = {
        "digest": target,
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "size": 1_234,
        "by": ROBOT.link,
        "at": at,
    }
    return Pushed(**{**values, **changes})


def image(tag: str, **changes) -> ImageRecord:
    """The record of an image that was pushed once."""
    values = {
        "repository": APP,
        "tag": tag,
        "digest": digest("a"),
        "id": f"id-of-{tag}",
        "version": 1,
        "created": NOW,
        "last_modified": NOW,
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "size": 1_234,
        "pushed_by": ROBOT.link,
        "pushed": NOW,
    }
    return ImageRecord(**{**values, **changes})


def point(table, repository: Repository, tag: str, target: Digest, at: datetime = NOW, **changes) -> None:
    """Point a tag at a manifest, wherever it stands."""
    table.put_tags(repository, [tag], pushed(target, at, **changes), lambda _: None)


def opened(table, repository: Repository) -> RepositoryRecord:
    """The record of a repository, which is made with its organisation if it is not there."""
    standing: RepositoryRecord | None = table.find_repository(repository)
    if standing is None:
        make_organisation(table, repository.org)
        repository_id = session().repository_id if repository == APP else f"id-of-{repository.name}"
        standing = RepositoryRecord(repository, repository_id, NOW)
        table.create_repository(standing)
    return standing


def put_manifest(
    table,
    repository: Repository,
    stored: ManifestRecord,
    uses: Collection[Digest] = (),
    referrer: Referrer | None = None,
) -> None:
    """A manifest, stored in a repository that is there."""
    repository_id = opened(table, repository).id
    table.put_manifest(repository, stored, repository_id=repository_id, uses=uses, referrer=referrer)


def connect(table, blob: BlobLink, closing: UploadSession | None = None) -> None:
    """A link with its REF, as an upload writes them, in a repository that is there."""
    repository_id = opened(table, blob.repository).id
    table.add_reference(blob.key, blob.repository, blob.digest)
    table.put_link(blob, repository_id=repository_id, closing=closing)
