"""The keys of the table: the whole data model on one screen.

Every row has the string attributes ``pk`` and ``sk`` and says what it is in ``type`` and ``v``. A component
of a key that comes from outside is of a grammar without ``#``, or is escaped here.

    ==========================  =======================================  ================================
    row                         pk                                       sk
    ==========================  =======================================  ================================
    organisation                ORG#<org>                                ORG
    repository                  ORG#<org>                                REPOSITORY#<image>
    service account             ORG#<org>                                SERVICEACCOUNT#<name>
    group                       ORG#<org>                                GROUP#<name>
    key in its account          ORG#<org>                                KEY#<account>#<name>
    repository by id            REPOSITORYID#<id>                        REPOSITORY
    key by public id            KEY#<public id>                          KEY
    membership                  PRINCIPAL#<link>                         GROUP#<group link>
    membership, reverse         GROUP#<group link>                       MEMBER#<link>
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
    public signing key          SIGNINGKEY                               <kid>
    bootstrap state             BOOTSTRAP                                BOOTSTRAP
    secret in use               SECRET                                   <signing-key or upload-key>
    ==========================  =======================================  ================================

The index ``gsi1`` finds sessions by expiry: ``gsi1pk`` is one of 16 shards, ``gsi1sk`` begins with the time.
It holds keys and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from moorage.domain.digests import Digest
from moorage.domain.errors import DigestInvalid, QueryInvalid
from moorage.domain.names import Repository
from moorage.domain.principals import ServiceAccount

VERSION = 1
"""``v`` of every row that this code writes."""

# Above every character that a tag, a digest or a name can have.
LAST = "~"

_TAG_MAX = 128
_ARTIFACT_TYPE_MAX = 512


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


def service_account(account: ServiceAccount) -> Key:
    """A service account."""
    return Key(f"ORG#{account.org}", f"SERVICEACCOUNT#{account.name}")


def service_accounts(org: str) -> Key:
    """Before all service accounts of an organisation."""
    return Key(f"ORG#{org}", "SERVICEACCOUNT#")


def group(org: str, name: str) -> Key:
    """A group."""
    return Key(f"ORG#{org}", f"GROUP#{name}")


def account_key(account: ServiceAccount, name: str) -> Key:
    """A key, by the account it belongs to."""
    return Key(f"ORG#{account.org}", f"KEY#{account.name}#{name}")


def key_by_id(public_id: str) -> Key:
    """A key, by its public id."""
    return Key(f"KEY#{public_id}", "KEY")


def membership(principal: str, group_link: str) -> Key:
    """That a principal is in a group."""
    return Key(f"PRINCIPAL#{principal}", f"GROUP#{group_link}")


def memberships(principal: str) -> Key:
    """Before all groups of a principal."""
    return membership(principal, "")


def member(group_link: str, principal: str) -> Key:
    """The same, seen from the group."""
    return Key(f"GROUP#{group_link}", f"MEMBER#{principal}")


# ------------------------------------------------------------------ repositories
def repository(name: Repository) -> Key:
    """That a repository exists."""
    return Key(f"ORG#{name.org}", f"REPOSITORY#{name.image}")


def repository_by_id(repository_id: str) -> Key:
    """The same, by its id."""
    return Key(f"REPOSITORYID#{repository_id}", "REPOSITORY")


def _of(name: Repository, sk: str) -> Key:
    return Key(f"REPO#{name.name}", sk)


def manifest(name: Repository, digest: Digest) -> Key:
    """A manifest."""
    return _of(name, f"MANIFEST#{digest}")


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
    if len(escaped) > _ARTIFACT_TYPE_MAX:
        return "~" + hashlib.sha256(escaped.encode()).hexdigest()
    return escaped


def referrers_cursor(key: Key) -> str:
    """An opaque text that stands for a place in a list of referrers."""
    return base64.urlsafe_b64encode(key.sk.encode()).decode().rstrip("=")


def referrers_place(name: Repository, subject: Digest, artifact_type: str | None, cursor: str) -> Key:
    """The place that ``referrers_cursor`` gave a text for.

    Raises:
        QueryInvalid: it did not, or for another list.

    """
    refusal = QueryInvalid("the page of this list of referrers does not exist")
    try:
        sk = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise refusal from None
    first = referrers(name, subject, artifact_type)
    kind, _, digest = sk.partition("#")
    try:
        Digest.parse(digest)
    except DigestInvalid:
        raise refusal from None
    place = Key(first.pk, sk)
    if not sk.startswith(first.sk) or len(kind) > _ARTIFACT_TYPE_MAX or referrers_cursor(place) != cursor:
        raise refusal
    return place


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
