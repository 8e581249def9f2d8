"""The port ``Seal``."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

# The tag stands before the encrypted content, which is not empty.
_SHORTEST = 17


class AesSivSeal:
    """AES-256 in the mode SIV, which needs no nonce and so cannot be given one twice.

    https://www.rfc-editor.org/rfc/rfc5297
    """

    def close(self, key: bytes, content: bytes, about: Sequence[bytes]) -> bytes:
        """Sealed content, 16 bytes longer."""
        return AESSIV(key).encrypt(content, list(about))

    def open(self, key: bytes, sealed: bytes, about: Sequence[bytes]) -> bytes | None:
        """The content, or None."""
        if len(sealed) < _SHORTEST:
            return None
        try:
            return AESSIV(key).decrypt(sealed, list(about))
        except InvalidTag:
            return None
