"""Programs of a newer Debian than this machine's.

Its /usr lies unpacked in a folder that ``NEWER_DEBIAN`` names, and takes the place of /usr in a namespace of mounts
that the program has for itself; what it mounts there is gone when it ends. All else is the machine's.
"""

from __future__ import annotations

import os

_SCRIPT = 'mount --bind "$0/usr" /usr && exec "$@"'


def inside() -> tuple[str, ...]:
    """The words that go before a program's, whose process is then the one that was started."""
    return ("unshare", "--mount", "--", "/bin/sh", "-c", _SCRIPT, os.environ["NEWER_DEBIAN"])
