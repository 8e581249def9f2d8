"""What every client under test can do, in the terms of the test."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tests.clients.cloud import Account
from tests.clients.command import Outcome
from tests.clients.image import Image


class Driver(Protocol):
    """One client. Each object has places of its own for what the client keeps; references are ``host/org/image``."""

    name: str

    def version(self) -> Outcome:
        """The client's own word for its version."""
        ...

    def help(self, *words: str) -> str:
        """What the client says of itself, or of a command of its."""
        ...

    def login(self, host: str, account: Account) -> Outcome:
        """Log in, so that later calls are made as ``account``."""
        ...

    def push(self, image: Image, reference: str) -> Outcome:
        """Push from a store that is kept until the next push, loading the image where it has to be."""
        ...

    def pull(self, reference: str) -> tuple[Outcome, Path]:
        """Pull into a store that was empty before; the archive or layout of what it then holds, if it does."""
        ...
