"""Content digests.

https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from moorage.domain.errors import DigestInvalid

_MAX_LENGTH = 7 + 128


class Hash(Protocol):
    """A running hash, as ``hashlib`` makes them."""

    def update(self, data: bytes, /) -> None:
        """Go on with ``data``."""

    def hexdigest(self) -> str:
        """The hash so far, in lower-case hexadecimal."""


class Algorithm(StrEnum):
    """The digest algorithms that the image specification registers."""

    SHA256 = "sha256"
    SHA512 = "sha512"

    @classmethod
    def parse(cls, text: str) -> Algorithm:
        """The algorithm of that exact name.

        Raises:
            DigestInvalid: it is none of ours.

        """
        try:
            return cls(text)
        except ValueError:
            known = ", ".join(cls)
            raise DigestInvalid(f"digest algorithm is not one of {known}") from None

    @property
    def encoded_length(self) -> int:
        """How many hexadecimal digits its hashes have."""
        return 64 if self is Algorithm.SHA256 else 128

    def new(self) -> Hash:
        """A fresh running hash."""
        factory: Callable[[], Hash] = hashlib.sha256 if self is Algorithm.SHA256 else hashlib.sha512
        return factory()


_ENCODED = {algorithm: re.compile(f"[0-9a-f]{{{algorithm.encoded_length}}}") for algorithm in Algorithm}


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """``algorithm:encoded``, always well formed."""

    algorithm: Algorithm
    encoded: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """The digest that ``text`` spells, in exactly the canonical form.

        Raises:
            DigestInvalid: malformed, truncated, upper case, or of an unknown algorithm.

        """
        if len(text) > _MAX_LENGTH:
            raise DigestInvalid("digest is too long")
        name, colon, encoded = text.partition(":")
        if not colon:
            raise DigestInvalid("digest is not of the form algorithm:hex")
        algorithm = Algorithm.parse(name)
        if not _ENCODED[algorithm].fullmatch(encoded):
            raise DigestInvalid(f"digest is not {algorithm} in lower-case hexadecimal")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes, algorithm: Algorithm = Algorithm.SHA256) -> Digest:
        """The digest of ``content``."""
        running = algorithm.new()
        running.update(content)
        return cls(algorithm, running.hexdigest())

    def prove(self, pieces: Iterable[bytes]) -> str | None:
        """SHA-256, in hexadecimal, of the content that ``pieces`` make if it has this digest, else None."""
        asked = self.algorithm.new()
        sha256 = asked if self.algorithm is Algorithm.SHA256 else Algorithm.SHA256.new()
        for piece in pieces:
            asked.update(piece)
            if sha256 is not asked:
                sha256.update(piece)
        return sha256.hexdigest() if asked.hexdigest() == self.encoded else None

    def matches(self, content: bytes) -> bool:
        """Whether ``content`` has this digest."""
        return self == Digest.of(content, self.algorithm)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"
