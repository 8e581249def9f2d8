"""Folders whose names every client takes: short, and made of what may stand in a repository's name."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def named_for_clients() -> Iterator[Path]:
    """A folder that is gone afterwards, in which podman can keep a layout and a daemon its socket.

    podman reads the path in ``oci:PATH:TAG`` as a repository's name too, which may not end in an underscore as
    those of :mod:`tempfile` do now and then; it takes no store of over 50 characters, and a socket's path may
    have no more than 107.
    """
    folder = Path(tempfile.gettempdir(), f"moorage-{secrets.token_hex(4)}")
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
