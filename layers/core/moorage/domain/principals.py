"""Who acts: links of principals, and the keys that service accounts carry."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from moorage.domain.errors import CredentialsInvalid, NameInvalid
from moorage.domain.names import parse_organisation

_RESOURCE_NAME = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])")
_RESOURCE_NAME_MAX = 64
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


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is kept of a service-account key: never the key itself."""

    id: str
    account: ServiceAccount
    name: str
    sha256: str
    created: datetime
    description: str = ""
    expires: datetime | None = None

    def proves(self, presented: str, now: datetime) -> bool:
        """Whether ``presented`` is this key and the key has not expired; in constant time."""
        same = hmac.compare_digest(self.sha256, hash_key(presented))
        return same and (self.expires is None or now < self.expires)


def _base32(content: bytes) -> str:
    return base64.b32encode(content).decode().rstrip("=").lower()


def generate_key() -> tuple[str, str]:
    """A new key as ``(public id, key)``; the key holds 256 random bits and is shown to its owner once."""
    public = _base32(secrets.token_bytes(_ID_BYTES))
    return public, f"mrg_{public}_{_base32(secrets.token_bytes(_SECRET_BYTES))}"


def public_id(key: str) -> str:
    """The public id inside a key.

    Raises:
        CredentialsInvalid: this is no service-account key.

    """
    match = _KEY.fullmatch(key)
    if not match:
        raise CredentialsInvalid("the password is not a service-account key")
    return match[1]


def hash_key(key: str) -> str:
    """SHA-256 in hexadecimal: enough for a value of 256 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()
