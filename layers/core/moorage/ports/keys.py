"""Keys and credentials: reading, making, publishing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from moorage.domain.upload_paths import UploadKey


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that tokens are verified with."""

    kid: str
    pem: str
    not_after: datetime | None


class VerificationKeys(Protocol):
    """The public halves of the signing keys."""

    def verification_keys(self) -> Sequence[PublicKey]:
        """All that are published."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private key that tokens are signed with."""

    kid: str
    private_pem: str


class SigningKeySource(Protocol):
    """Where the private key comes from."""

    def signing_key(self) -> SigningKey:
        """The current key, fresh from its source."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A new ES256 key: both halves as PEM, and a name that no other key has."""

    kid: str
    private_pem: str
    public_pem: str


class KeyPairSource(Protocol):
    """Makes signing keys."""

    def __call__(self) -> KeyPair:
        """A new pair."""


class SecretWriter(Protocol):
    """A store of secrets that takes them and does not give them back."""

    def write_secret(self, name: str, value: str) -> int:
        """Store ``value`` under ``name``, replacing what is there; its version, which grows."""


@dataclass(frozen=True, slots=True)
class SecretState:
    """What may be known of a secret that is in use.

    ``kid`` names it, ``version`` is what the store of secrets gave it, and of two states of one secret the
    one of the higher ``generation`` holds.
    """

    kid: str
    version: int
    generation: int
    created: datetime


SIGNING_KEY = "signing-key"
UPLOAD_KEY = "upload-key"
# The two upload keys take turns.
UPLOAD_SLOTS = ("a", "b")


class SecretStates(Protocol):
    """What is recorded about the keys that are in use, under their names above."""

    def find_state(self, secret: str) -> SecretState | None:
        """What is in use as ``secret``; strongly consistent."""


class BootstrapRecords(Protocol):
    """How the bootstrap credential is verified."""

    def find_bootstrap(self) -> str | None:
        """SHA-256, in hexadecimal, of the bootstrap credential; strongly consistent."""


class SecretRecords(SecretStates, BootstrapRecords, Protocol):
    """What is recorded about keys and credentials beside the secrets themselves."""

    def record_state(self, secret: str, state: SecretState) -> bool:
        """Record what is in use from now on; False, and nothing changed, if a later one, or another of its
        generation, is recorded.
        """

    def publish_verification_key(self, key: PublicKey, created: datetime) -> None:
        """Publish a key, so that what its private half signs can be verified."""

    def retire_verification_keys(self, *, published_before: datetime, except_kid: str, at: datetime) -> int:
        """Let each key that was published long enough ago end, unless it ends before; how many changed."""

    def record_bootstrap(self, sha256: str, generation: int, created: datetime) -> bool:
        """Record how the bootstrap credential is verified; False, and nothing changed, if a later generation
        is recorded.
        """


class UploadKeySource(Protocol):
    """Where the key that upload paths are signed with comes from."""

    def upload_key(self) -> UploadKey:
        """The key in use, fresh from its source.

        Raises:
            Unavailable: also when there is none.

        """

    def find_upload_key(self, kid: str) -> UploadKey | None:
        """The key of that id, if it is the newest of its slot; None for any other, as one that was replaced
        may be known to somebody.

        Raises:
            Unavailable: that cannot be known.

        """


class EdgeKeys(Protocol):
    """The upload keys that the front door knows, by their ids. Nobody reads a key here, but the front
    door.
    """

    def kids(self) -> Collection[str]:
        """The ids of all of them."""

    def publish(self, kid: str, key: str) -> None:
        """Let the front door know a key; it does so within seconds."""

    def withdraw(self, kids: Collection[str]) -> None:
        """Take keys away; those that are not there do not matter."""
