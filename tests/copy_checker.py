"""What is wrong with the content of a table and its stores: every link, REF, object row, manifest, referrer and
tag is walked.

It reads the rows themselves, of a table in memory or in DynamoDB, so that no port can hide one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from moorage.adapters import keys
from moorage.adapters.dynamodb.blobs import _link
from moorage.adapters.dynamodb.manifests import _manifest, _referrer
from moorage.adapters.dynamodb.rows import Row
from moorage.adapters.memory import MemoryTable
from moorage.domain.blobs import COPIES, DEFAULT_STORE, BlobLink, ObjectState, StoredObject
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import ManifestInvalid
from moorage.domain.manifests import Manifest
from moorage.domain.names import Repository
from moorage.ports import ManifestRecord, Referrer, Stores
from moorage.services.hashing import content_of
from moorage.services.manifests import read_content

Place = tuple[Repository, Digest]
Reference = tuple[str, Repository, Digest]


@dataclass
class Contents:
    """All rows that say what repositories hold."""

    repositories: dict[Repository, str] = field(default_factory=dict)
    """Their stores, by name."""
    links: dict[Place, BlobLink] = field(default_factory=dict)
    references: set[Reference] = field(default_factory=set)
    objects: dict[str, StoredObject] = field(default_factory=dict)
    organisation_blobs: dict[tuple[str, Digest], str] = field(default_factory=dict)
    manifests: dict[Place, ManifestRecord] = field(default_factory=dict)
    tags: dict[tuple[Repository, str], Digest] = field(default_factory=dict)
    uses: set[tuple[Repository, Digest, Digest]] = field(default_factory=set)
    referrers: dict[keys.Key, Referrer] = field(default_factory=dict)
    """By where they lie: a reader asks for those of a subject, or of an artifact type of it."""
    digest_tags: set[tuple[Repository, Digest, str]] | None = None
    """What the rows beside manifests say of tags; None for a table in memory, which finds tags without them."""

    @classmethod
    def of_memory(cls, table: MemoryTable) -> Contents:
        """Those of a table in memory."""
        return cls(
            {name: record.store for name, record in table._repositories.items()},
            dict(table._links),
            set(table._references),
            dict(table._objects),
            dict(table._organisation_blobs),
            dict(table._manifests),
            {(name, tag): each.digest for name, tags in table._tags.items() for tag, each in tags.items()},
            set(table._uses),
            dict(table._referrers),
        )

    @classmethod
    def of_rows(cls, rows: Iterable[Row]) -> Contents:
        """Those of a table in DynamoDB, of which these are all rows."""
        contents = cls(digest_tags=set())
        for row in rows:
            contents._add(row)
        return contents

    def _add(self, row: Row) -> None:
        match row["type"]:
            case "repository" if "id" in row:
                self.repositories[_named(row)] = row.get("store", DEFAULT_STORE)
            case "blob":
                link = _link(row)
                self.links[link.repository, link.digest] = link
            case "reference":
                key = row["pk"].removeprefix("OBJECT#")
                self.references.add((key, _named(row), Digest.parse(row["digest"])))
            case "object":
                created = datetime.fromisoformat(row["created"])
                state = ObjectState(row["state"])
                self.objects[row["key"]] = StoredObject(
                    row["key"], row["size"], row["sha256"], created, row["store"], state
                )
            case "organisation-blob":
                org = row["pk"].removeprefix("ORGBLOB#")
                self.organisation_blobs[org, Digest.parse(row["digest"])] = row["key"]
            case _:
                self._add_of_manifests(row)

    def _add_of_manifests(self, row: Row) -> None:
        match row["type"]:
            case "manifest":
                manifest = _manifest(row)
                self.manifests[_holder(row), manifest.digest] = manifest
            case "tag":
                self.tags[_holder(row), row["tag"]] = Digest.parse(row["digest"])
            case "use":
                used, user = Digest.parse(row["used"]), Digest.parse(row["user"])
                self.uses.add((_holder(row), used, user))
            case "referrer":
                self.referrers[keys.Key(row["pk"], row["sk"])] = _referrer(row)
            case "digest-tag" if self.digest_tags is not None:
                _, digest, tag = row["sk"].split("#")
                self.digest_tags.add((_holder(row), Digest.parse(digest), tag))


def problems(contents: Contents, stores: Stores, *, undisturbed: bool = True) -> list[str]:
    """What is wrong, in words; nothing if all is well. ``undisturbed``: nobody has died in the middle, so that
    nothing may be left over either.
    """
    found = [*_wrong_links(contents), *_wrong_objects(contents, stores), *_wrong_manifests(contents, stores)]
    found += [*_wrong_referrers(contents), *_wrong_tags(contents)]
    if undisturbed:
        found += _left_over(contents, stores)
    return found


def _wrong_links(contents: Contents) -> Iterator[str]:
    for (repository, digest), link in contents.links.items():
        where = f"the link of {digest} in {repository}"
        stored = contents.objects.get(link.key)
        if (link.key, repository, digest) not in contents.references:
            yield f"{where} has no REF"
        if stored is None:
            yield f"{where} has no object row"
            continue
        if stored.state is not ObjectState.LIVE:
            yield f"{where} leads to an object that is {stored.state}"
        if (stored.store, stored.size) != (link.store, link.size):
            yield f"{where} says another store or size than its object row"
        if link.store != contents.repositories.get(repository):
            yield f"{where} lies in {link.store}, and the repository does not"
        if digest.algorithm is Algorithm.SHA256 and stored.sha256 != digest.encoded:
            yield f"{where} leads to other content"


def _wrong_objects(contents: Contents, stores: Stores) -> Iterator[str]:
    linked = {link.key: digest for (_, digest), link in contents.links.items()}
    for key, stored in contents.objects.items():
        if stored.state is not ObjectState.LIVE:
            continue
        head = stores[stored.store].head(key)
        if head is None:
            yield f"the object row {key} has no object"
        elif head.size != stored.size:
            yield f"the object {key} has {head.size} bytes, and its row says {stored.size}"
        elif key in linked and not linked[key].prove(content_of(stores[stored.store], key, head.size)):
            yield f"the object {key} is not {linked[key]}"
    for (org, digest), key in contents.organisation_blobs.items():
        stored_as = contents.objects.get(key)
        if stored_as is None:
            yield f"{org} stores {digest} as {key}, which has no object row"
        elif digest.algorithm is Algorithm.SHA256 and stored_as.sha256 != digest.encoded:
            yield f"{org} stores {digest} as {key}, which is something else"


def _wrong_manifests(contents: Contents, stores: Stores) -> Iterator[str]:
    held = {*contents.manifests, *contents.links}
    for (repository, digest), record in contents.manifests.items():
        where = f"the manifest {digest} in {repository}"
        if repository not in contents.repositories:
            yield f"{where} is in a repository that does not exist"
        content = read_content(stores, record)
        if content is None or not digest.matches(content):
            yield f"{where} has no content, or other content"
            continue
        try:
            manifest = Manifest.parse(content, record.media_type)
        except ManifestInvalid as invalid:
            yield f"{where} is none: {invalid.message}"
            continue
        yield from (
            f"{where} {wrong}" for wrong in _wrong_names(contents, held, repository, digest, manifest)
        )


def _wrong_names(
    contents: Contents, held: set[Place], repository: Repository, digest: Digest, manifest: Manifest
) -> Iterator[str]:
    for blob in manifest.blobs:
        if not blob.optional and (repository, blob.digest) not in contents.links:
            yield f"names the blob {blob.digest}, which is not linked"
    for child in manifest.manifests:
        if (repository, child.digest) not in held:
            yield f"lists {child.digest}, which is not there"
    for named in (*manifest.blobs, *manifest.manifests):
        if (repository, named.digest, digest) not in contents.uses:
            yield f"uses {named.digest} without a row that says so"
    if manifest.subject is not None:
        place = keys.referrer(repository, manifest.subject, manifest.artifact_type or "", digest)
        if place not in contents.referrers:
            yield f"refers to {manifest.subject} without a row that says so"


def _wrong_referrers(contents: Contents) -> Iterator[str]:
    for place, row in contents.referrers.items():
        _, name, _ = place.pk.split("#")
        repository = Repository.parse(name)
        manifest = contents.manifests.get((repository, row.digest))
        says = keys.referrer(repository, row.subject, row.artifact_type, row.digest)
        if manifest is None or manifest.subject != row.subject or place != says:
            yield f"a row says that {row.digest} in {repository} refers to {row.subject}, which it does not"


def _wrong_tags(contents: Contents) -> Iterator[str]:
    for (repository, tag), digest in contents.tags.items():
        if (repository, digest) not in contents.manifests:
            yield f"the tag {repository}:{tag} names {digest}, which is not there"
        if contents.digest_tags is not None and (repository, digest, tag) not in contents.digest_tags:
            yield f"the tag {repository}:{tag} has no row beside {digest}"
    for repository, digest, tag in contents.digest_tags or ():
        if contents.tags.get((repository, tag)) != digest:
            yield f"a row beside {digest} in {repository} says that {tag} names it, which it does not"


def _left_over(contents: Contents, stores: Stores) -> Iterator[str]:
    for key, repository, digest in contents.references:
        link = contents.links.get((repository, digest))
        if link is None or link.key != key:
            yield f"a REF says that {repository} links {digest} as {key}, which it does not"
    referred = {key for key, _, _ in contents.references}
    for key, stored in contents.objects.items():
        # A copy that was made for nothing, as when another one of the same blob has taken its place.
        if key.startswith(f"{COPIES}/") and stored.state is ObjectState.LIVE and key not in referred:
            yield f"the object {key} is live, and no REF leads to it"
    for name in stores.names():
        for key in stores[name].list_keys(f"{COPIES}/", 10**6):
            if key not in contents.objects:
                yield f"the object {key} in {name} is recorded nowhere"


def _named(row: Row) -> Repository:
    return Repository(row["org"], row["image"])


def _holder(row: Row) -> Repository:
    return Repository.parse(row["pk"].removeprefix("REPO#"))
