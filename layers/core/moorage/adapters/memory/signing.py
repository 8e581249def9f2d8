"""Signing and verification keys in memory."""

from __future__ import annotations

from collections.abc import Sequence

from moorage.ports import PublicKey, SigningKey


class MemoryVerificationKeys:
    """The port ``VerificationKeys``, and how a test publishes a key."""

    def __init__(self) -> None:
        super().__init__()
        self._public_keys: dict[str, PublicKey] = {}

    def publish(self, key: PublicKey) -> None:
        """Publish a key, or publish it anew with another end."""
        self._public_keys = {**self._public_keys, key.kid: key}

    def verification_keys(self) -> Sequence[PublicKey]:
        """All that are published."""
        return sorted(self._public_keys.values(), key=lambda key: key.kid)


class MemorySigningKeySource:
    """The port ``SigningKeySource``; ``key`` can be replaced, as a rotation does."""

    def __init__(self, key: SigningKey) -> None:
        self.key = key

    def signing_key(self) -> SigningKey:
        """The current key."""
        return self.key
