"""The keys of the table: the whole data model on one screen.

Every row has the string attributes ``pk`` and ``sk`` and says what it is in ``type`` and ``v``. A component
of a key that comes from outside is of a grammar without ``#``, or is escaped here.

    ==========================  =======================================  ================================
    row                         pk                                       sk
    ==========================  =======================================  ================================
    organisation                ORG#<org>                                ORG
    repository                  ORG#<org>                                REPOSITORY#<image>
    user, group, policy ...     ORG#<org>                                <KIND>#<name>
    identity                    ORG#<org>                                IDENTITY#<gvc>/<name>
    groups that query           ORG#<org>                                QUERYGROUPS
    key of its owner            ORG#<org>                                KEY#<kind>/<owner>#<name>
    repository by id            REPOSITORYID#<id>                        REPOSITORY
    key by public id            KEY#<public id>                          KEY
    hint of a group             PRINCIPAL#<link>                         GROUP#<group link>#<group id>
    hints of policies           PRINCIPAL#<link>                         POLICIES#<kind>#<org>
    blob link                   REPO#<org>/<image>                       BLOB#<digest>
    manifest                    REPO#<org>/<image>                       MANIFEST#<digest>
    tag: the image record       REPO#<org>/<image>                       TAG#<tag>
    tag of a manifest           REPO#<org>/<image>                       DIGESTTAG#<digest>#<tag>
    content a manifest uses     REPO#<org>/<image>                       USE#<used digest>#<manifest digest>
    upload session              REPO#<org>/<image>                       SESSION#<id>
    referrer                    REFERRERS#<org>/<image>#<subject>        <artifact type>#<digest>
    stored object               OBJECT#<key>                             OBJECT
    REF: who links an object    OBJECT#<key>                             REF#<org>/<image>#<digest>
    blob of an organisation     ORGBLOB#<org>                            <digest>
    job                         JOB#<id>                                 JOB
    what a job copies           JOB#<id>                                 ITEMS#<position of the first>
    job of an organisation      JOBS#<org>                               <created>#<id>
    request that made a job     JOBREQUEST#<principal>                   <SHA-256 of the caller's key>
    public signing key          SIGNINGKEY                               <kid>
    bootstrap state             BOOTSTRAP                                BOOTSTRAP
    secret in use               SECRET                                   <signing-key or upload-key>
    ==========================  =======================================  ================================

The index ``gsi1`` finds sessions by expiry, and open jobs by when somebody ought to have gone on with them:
``gsi1pk`` is one of 16 shards, ``gsi1sk`` begins with the time. It holds keys and nothing else.

Image records are in four more. ``gsi2``, ``gsi3`` and ``gsi4`` sort those of an organisation (``gsi2pk``) by
name, by creation and by last change; ``gsi5`` sorts those of a repository (``pk``) by their last push, and
holds keys only.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from moorage.domain.digests import Digest
from moorage.domain.image_lists import ImageSort, Place, instant
from moorage.domain.names import Repository
from moorage.domain.resources import Kind

VERSION = 1
"""``v`` of every row that this code writes."""

# Above every character that a tag, a digest or a name can have.
LAST = "~"

_TAG_MAX = 128
ARTIFACT_TYPE_MAX = 512


class Key(NamedTuple):
    """Where a row lies."""

    pk: str
    sk: str


class Index(NamedTuple):
    """Where a row lies in ``gsi1``."""

    gsi1pk: str
    gsi1sk: str


# ------------------------------------------------------------------ organisations and accounts
def organisation(org: str) -> Key:
    """The organisation itself."""
    return Key(f"ORG#{org}", "ORG")


def resource(kind: Kind, org: str, name: str) -> Key:
    """A resource of an organisation, or the organisation itself."""
    if kind is Kind.ORG:
        return organisation(org)
    return Key(f"ORG#{org}", f"{kind.upper()}#{name}")


def resources(kind: Kind, org: str) -> Key:
    """Before all resources of a kind in an organisation."""
    return resource(kind, org, "")


def query_groups(org: str) -> Key:
    """Which groups of an organisation choose members by a query."""
    return Key(f"ORG#{org}", "QUERYGROUPS")


def owner_key(owner: str, name: str) -> Key:
    """A key, by the principal that it belongs to; with an empty ``name`` before all of them."""
    _, _, org, principal = owner.split("/", 3)
    return Key(f"ORG#{org}", f"KEY#{principal}#{name}")


def key_by_id(public_id: str) -> Key:
    """A key, by its public id."""
    return Key(f"KEY#{public_id}", "KEY")


def group_hint(principal: str, group_link: str, group_id: str) -> Key:
    """That a group may have a principal as member."""
    return Key(f"PRINCIPAL#{principal}", f"GROUP#{group_link}#{group_id}")


def group_hints(principal: str) -> Key:
    """Before all groups that may have a principal as member."""
    return Key(f"PRINCIPAL#{principal}", "GROUP#")


def policy_hints(principal: str, kind: str, org: str) -> Key:
    """Which policies on a kind of an organisation may name a principal."""
    return Key(f"PRINCIPAL#{principal}", f"POLICIES#{kind}#{org}")


# ------------------------------------------------------------------ repositories
def repository(name: Repository) -> Key:
    """That a repository exists."""
    return Key(f"ORG#{name.org}", f"REPOSITORY#{name.image}")


def repositories(org: str) -> Key:
    """Before all repositories of an organisation."""
    return Key(f"ORG#{org}", "REPOSITORY#")


def repository_by_id(repository_id: str) -> Key:
    """The same, by its id."""
    return Key(f"REPOSITORYID#{repository_id}", "REPOSITORY")


def _of(name: Repository, sk: str) -> Key:
    return Key(f"REPO#{name.name}", sk)


def manifest(name: Repository, digest: Digest) -> Key:
    """A manifest."""
    return _of(name, f"MANIFEST#{digest}")


def contents(name: Repository) -> Key:
    """Before everything that a repository holds."""
    return _of(name, "")


def tag(name: Repository, text: str) -> Key:
    """A tag, or with an empty ``text`` before all of them."""
    return _of(name, f"TAG#{text}")


def tag_after(name: Repository, last: str) -> Key:
    """Before all tags that are greater than ``last``, which may be any text."""
    # Tags are short and ASCII: the rest of a longer text, and where exactly its other characters stand,
    # cannot change which tags come after it.
    known = last[:_TAG_MAX]
    if not known.isascii():
        beginning = next(index for index, character in enumerate(known) if not character.isascii())
        known = known[:beginning] + "\x7f"
    return tag(name, f"{known}\0")


def digest_tag(name: Repository, digest: Digest, text: str) -> Key:
    """A tag of a manifest, or with an empty ``text`` before all of them."""
    return _of(name, f"DIGESTTAG#{digest}#{text}")


def use(name: Repository, used: Digest, user: Digest) -> Key:
    """That a manifest uses a blob or a child manifest."""
    return _of(name, f"USE#{used}#{user}")


def uses(name: Repository, used: Digest) -> Key:
    """Before all manifests that use a digest."""
    return _of(name, f"USE#{used}#")


def link(name: Repository, digest: Digest) -> Key:
    """A blob of a repository."""
    return _of(name, f"BLOB#{digest}")


def session(name: Repository, session_id: str) -> Key:
    """An upload session."""
    return _of(name, f"SESSION#{session_id}")


SESSION_SHARDS = "0123456789abcdef"


def session_expiry(name: Repository, session_id: str, expires: datetime) -> Index:
    """An upload session, by the time after which nobody can continue it."""
    shard = session_id[:1].lower()
    return Index(f"SESSION#{shard}", f"{expires.isoformat()}#{name.name}#{session_id}")


def sessions_until(shard: str, time: datetime) -> Index:
    """After all sessions of a shard that end before ``time``."""
    return Index(f"SESSION#{shard}", time.isoformat())


def indexed_session(place: str) -> tuple[Repository, str]:
    """The repository and the id of a session, by its place in the index (``gsi1sk``)."""
    _, name, session_id = place.split("#")
    return Repository(*name.split("/", 1)), session_id


def referrer(name: Repository, subject: Digest, artifact_type: str, digest: Digest) -> Key:
    """A manifest that names ``subject``."""
    return Key(f"REFERRERS#{name.name}#{subject}", f"{_artifact_type(artifact_type)}#{digest}")


def referrers(name: Repository, subject: Digest, artifact_type: str | None) -> Key:
    """Before all referrers of a subject, or before those of one artifact type."""
    prefix = "" if artifact_type is None else f"{_artifact_type(artifact_type)}#"
    return Key(f"REFERRERS#{name.name}#{subject}", prefix)


def _artifact_type(text: str) -> str:
    """An artifact type without ``#`` and ``~``, and short: it is what somebody wrote into a manifest."""
    escaped = quote(text, safe="/+", errors="surrogatepass").replace("~", "%7E")
    if len(escaped) > ARTIFACT_TYPE_MAX:
        return "~" + hashlib.sha256(escaped.encode()).hexdigest()
    return escaped


# ------------------------------------------------------------------ images
class ImageIndex(NamedTuple):
    """An index that sorts the images of an organisation, and the attribute that it sorts by."""

    name: str
    attribute: str


IMAGE_INDEXES = {
    ImageSort.NAME: ImageIndex("gsi2", "gsi2sk"),
    ImageSort.CREATED: ImageIndex("gsi3", "gsi3sk"),
    ImageSort.LAST_MODIFIED: ImageIndex("gsi4", "gsi4sk"),
}


def images(org: str) -> str:
    """The partition of an organisation's images in these indexes."""
    return f"IMAGES#{org}"


def image_by_name(name: Repository, text: str) -> dict[str, str]:
    """Where an image stands among those of its organisation: for good."""
    return {"gsi2pk": images(name.org), "gsi2sk": Place(name, text).position}


def image_by_creation(name: Repository, text: str, created: datetime) -> dict[str, str]:
    """Where it stands by the time at which it was made: for good, too."""
    return {"gsi3sk": Place(name, text, created).position}


def image_by_change(name: Repository, text: str, last_modified: datetime) -> dict[str, str]:
    """Where it stands by its last change."""
    return {"gsi4sk": Place(name, text, last_modified).position}


def image_by_push(text: str, pushed: datetime) -> dict[str, str]:
    """Where it stands among those of its repository by its last push."""
    return {"gsi5sk": f"{instant(pushed)}#{text}"}


# ------------------------------------------------------------------ stored objects
def stored_object(object_key: str) -> Key:
    """An object of the store."""
    return Key(f"OBJECT#{object_key}", "OBJECT")


def reference(object_key: str, name: Repository, digest: Digest) -> Key:
    """REF: a repository links the object."""
    return Key(f"OBJECT#{object_key}", f"REF#{name.name}#{digest}")


def references(object_key: str) -> Key:
    """Before all REFs of an object."""
    return Key(f"OBJECT#{object_key}", "REF#")


def organisation_blob(org: str, digest: Digest) -> Key:
    """Under which object an organisation stores a digest."""
    return Key(f"ORGBLOB#{org}", str(digest))


def organisation_blobs(org: str) -> Key:
    """Before all digests that an organisation stores."""
    return Key(f"ORGBLOB#{org}", "")


# ------------------------------------------------------------------ jobs
# Of stored data: a job finds its items by it. A row of so many, each as long as it can be, has 150 KB.
ITEMS_OF_A_ROW = 250


def job(job_id: str) -> Key:
    """A job."""
    return Key(f"JOB#{job_id}", "JOB")


def job_items(job_id: str, position: int) -> Key:
    """The items of a job among which the one at ``position`` is."""
    return Key(f"JOB#{job_id}", f"ITEMS#{position - position % ITEMS_OF_A_ROW:05}")


def job_of(org: str, created: datetime, job_id: str) -> Key:
    """A job, in the list of an organisation."""
    return Key(f"JOBS#{org}", f"{instant(created)}#{job_id}")


def jobs_of(org: str) -> Key:
    """Before all jobs of an organisation."""
    return Key(f"JOBS#{org}", "")


def listed_job(place: str) -> tuple[datetime, str]:
    """When a job was made, and its id, by its place in a list (``sk``)."""
    created, _, job_id = place.partition("#")
    return datetime.fromisoformat(created), job_id


def job_request(principal: str, key: str) -> Key:
    """What a principal asked for with a key of its own, which may be any text."""
    return Key(f"JOBREQUEST#{principal}", hashlib.sha256(key.encode()).hexdigest())


JOB_SHARDS = "0123456789abcdef"


def job_due(job_id: str, due: datetime) -> Index:
    """An open job, by the time until which somebody ought to have gone on with it."""
    return Index(f"JOB#{job_id[:1]}", f"{due.isoformat()}#{job_id}")


def jobs_due_until(shard: str, time: datetime) -> Index:
    """After all jobs of a shard that were due before ``time``."""
    return Index(f"JOB#{shard}", time.isoformat())


def due_job(place: str) -> str:
    """The id of a job, by its place in the index (``gsi1sk``)."""
    return place.rpartition("#")[2]


# ------------------------------------------------------------------ keys of the deployment
SIGNING_KEYS = "SIGNINGKEY"


def signing_key(kid: str) -> Key:
    """The public half of a signing key."""
    return Key(SIGNING_KEYS, kid)


def bootstrap() -> Key:
    """What is known about the bootstrap credential."""
    return Key("BOOTSTRAP", "BOOTSTRAP")


def secret_state(secret: str) -> Key:
    """Which signing key or upload key is in use: nothing of the key itself."""
    return Key("SECRET", secret)
