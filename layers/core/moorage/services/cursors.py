"""Where lists go on: texts that tell nothing to whoever has them, and that nobody else can make.

A list looks at more than it shows, and goes on behind the last thing that it has looked at, which the caller
need not be allowed to see. So that is not told, but sealed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from moorage.domain.errors import QueryInvalid, Unavailable
from moorage.ports import BootstrapRecords, Clock
from moorage.ports.sealing import Seal

Part = str | int | None

CURSOR_MAX = 1_024
"""Characters that a cursor has at most."""

# NOTE: cursors of another format are refused. Who changes what they hold gives them another number.
_FORMAT = b"1"
_PURPOSE = b"moorage: cursors of lists"
# Names of different lengths make cursors of the same.
_BLOCK = 256
_KEY_HELD = timedelta(minutes=5)


class Cursors:
    """Writes and reads cursors, sealed for one list of one organisation.

    The key is made from what the deployment's bootstrap credential is verified with: whoever can read that
    can read the table. A new bootstrap credential ends all cursors; whoever has one begins the list again.
    """

    def __init__(self, bootstrap: BootstrapRecords, seal: Seal, clock: Clock) -> None:
        self._bootstrap = bootstrap
        self._seal = seal
        self._clock = clock
        self._held: tuple[bytes, datetime] | None = None

    def write(self, org: str, of: str, parts: Sequence[Part]) -> str:
        """A cursor that holds ``parts``, in the list of an organisation that ``of`` says all about.

        Raises:
            Unavailable: the deployment has no bootstrap credential yet.
        """
        content = json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()
        padded = content.ljust(-(-len(content) // _BLOCK) * _BLOCK)
        return _encode(self._seal.close(self._key(), padded, _about(org, of)))

    def read(self, text: str, org: str, of: str) -> Sequence[Part]:
        """The parts that ``write`` was given.

        Raises:
            QueryInvalid: it gave no such text, or for another list.
            Unavailable: as for ``write``.
        """
        sealed = _decode(text)
        content = None if sealed is None else self._seal.open(self._key(), sealed, _about(org, of))
        if content is None:
            raise QueryInvalid("the cursor is of another list; begin this one again")
        parts: list[Part] = json.loads(content)
        return parts

    def _key(self) -> bytes:
        now = self._clock()
        if self._held is None or now >= self._held[1]:
            secret = self._bootstrap.find_bootstrap()
            if secret is None:
                raise Unavailable("the deployment has no bootstrap credential yet")
            self._held = (hmac.digest(secret.encode(), _PURPOSE, "sha512"), now + _KEY_HELD)
        return self._held[0]


def _about(org: str, of: str) -> list[bytes]:
    return [_FORMAT, org.encode(), of.encode("utf-8", "surrogatepass")]


def _encode(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def _decode(text: str) -> bytes | None:
    """What ``_encode`` made the text of; None if it made it of nothing."""
    if len(text) > CURSOR_MAX:
        return None
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return sealed if _encode(sealed) == text else None
