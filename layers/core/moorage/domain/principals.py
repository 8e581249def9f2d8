"""Who acts: links of principals, and the keys that service accounts and users carry."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import date, datetime

from moorage.domain.errors import CredentialsInvalid, NameInvalid
from moorage.domain.names import parse_organisation

_RESOURCE_NAME = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])")
_RESOURCE_NAME_MAX = 64
_EMAIL_MAX = 254
_EMAIL_LOCAL_MAX = 64
# What a path takes without being encoded: an address stands in links.
_EMAIL_LOCAL = re.compile(r"[a-z0-9!$&'*+=_~-]+(?:\.[a-z0-9!$&'*+=_~-]+)*")
_EMAIL_DOMAIN = re.compile(r"(?:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_USER_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY = re.compile(r"mrg_([a-z2-7]{16})_([a-z2-7]{52})")
_ID_BYTES = 10
_SECRET_BYTES = 32

SUPERUSERS = "superusers"
VIEWERS = "viewers"
BUILT_IN_GROUPS = (SUPERUSERS, VIEWERS)


def parse_resource_name(text: str) -> str:
    """``text``, when it may name an account, a group or a key.

    Raises:
        NameInvalid: it may not.

    """
    if len(text) > _RESOURCE_NAME_MAX or not _RESOURCE_NAME.fullmatch(text):
        raise NameInvalid(
            "a name has 2 to 64 lower-case letters, digits and hyphens and begins with a letter"
        )
    return text


def parse_email(text: str) -> str:
    """The one form of an e-mail address in which it is stored, linked and compared: lower case.

    Only ASCII is taken: a letter of another script that looks like one of ours would be somebody else, and an
    internationalised domain has an ASCII form.

    Raises:
        NameInvalid: it is no such address.

    """
    local, at, domain = text.lower().rpartition("@")
    if (
        not text.isascii()
        or not at
        or len(text) > _EMAIL_MAX
        or len(local) > _EMAIL_LOCAL_MAX
        or not _EMAIL_LOCAL.fullmatch(local)
        or not _EMAIL_DOMAIN.fullmatch(domain)
    ):
        raise NameInvalid(
            "an e-mail address has the form name@example.com, in ASCII, without quotes or slashes"
        )
    return f"{local}@{domain}"


def is_user_id(text: str) -> bool:
    """Whether ``text`` is the id of a user record, by which a link may name the user, too."""
    return _USER_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class ServiceAccount:
    """A service account of an organisation."""

    org: str
    name: str

    @classmethod
    def parse(cls, org: str, name: str) -> ServiceAccount:
        """The account of that name.

        Raises:
            NameInvalid: either name is malformed.

        """
        return cls(parse_organisation(org), parse_resource_name(name))

    @property
    def link(self) -> str:
        """``/org/ORG/serviceaccount/NAME``: how tokens, groups and policies name the account."""
        return f"/org/{self.org}/serviceaccount/{self.name}"


def organisation_of(link: str) -> str:
    """The organisation that a principal's link stands in."""
    return link.split("/", 3)[2]


def group_link(org: str, name: str) -> str:
    """``/org/ORG/group/NAME``."""
    return f"/org/{org}/group/{name}"


def identity_link(org: str, gvc: str, name: str) -> str:
    """``/org/ORG/gvc/GVC/identity/NAME``."""
    return f"/org/{org}/gvc/{gvc}/identity/{name}"


def is_identity(link: str, org: str) -> bool:
    """Whether a canonical link names a machine identity of ``org``."""
    return link.startswith(f"/org/{org}/gvc/") and "/identity/" in link


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is kept of the key of a service account or a user: never the key itself.

    ``owner`` is the link of the principal that the key stands for, ``last_used`` the day of its last use in
    UTC.
    """

    id: str
    owner: str
    name: str
    sha256: str
    created: datetime
    description: str = ""
    expires: datetime | None = None
    last_used: date | None = None

    def proves(self, presented: str, now: datetime) -> bool:
        """Whether ``presented`` is this key and the key has not expired; in constant time."""
        return hmac.compare_digest(self.sha256, hash_key(presented)) and not self.has_expired(now)

    def has_expired(self, now: datetime) -> bool:
        """Whether the time of the key is over."""
        return self.expires is not None and now >= self.expires


def _base32(content: bytes) -> str:
    return base64.b32encode(content).decode().rstrip("=").lower()


def generate_key() -> tuple[str, str]:
    """A new key as ``(public id, key)``; the key holds 256 random bits and is shown to its owner once."""
    public = _base32(secrets.token_bytes(_ID_BYTES))
    return public, f"mrg_{public}_{_base32(secrets.token_bytes(_SECRET_BYTES))}"


def public_id(key: str) -> str:
    """The public id inside a key.

    Raises:
        CredentialsInvalid: this is no key.

    """
    match = _KEY.fullmatch(key)
    if not match:
        raise CredentialsInvalid("the password is no key of a service account or of a user")
    return match[1]


def hash_key(key: str) -> str:
    """SHA-256 in hexadecimal: enough for a value of 256 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()
