"""Processes as the kernel shows them."""

from contextlib import suppress
from pathlib import Path


def open_files(pid):
    """What a process has open, as its links in `/proc` say: paths, and `socket:[INODE]`."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        # It may be closed by now.
        with suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return found
