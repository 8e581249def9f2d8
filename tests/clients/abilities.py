"""What only some clients can do, in the terms of the test; which can is told by the methods that a driver has."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from tests.clients.cloud import Account
from tests.clients.command import Outcome
from tests.clients.drivers import Driver
from tests.clients.image import Image, MultiPlatform


@runtime_checkable
class Mounts(Driver, Protocol):
    """Asks the registry to take blobs over from another repository."""

    def push_elsewhere(self, image: Image, source: str, target: str, account: Account) -> Outcome:
        """Push to ``target``, as ``account``, an image that this driver has pushed to ``source`` before; afterwards
        the driver is logged in as ``account``.
        """
        ...


@runtime_checkable
class Indexes(Driver, Protocol):
    """Pushes images for several platforms under one name."""

    def push_index(self, index: MultiPlatform, reference: str) -> Outcome:
        """Push an index with all its images."""
        ...

    def pull_platform(self, reference: str, architecture: str) -> tuple[Outcome, Path]:
        """Pull the image for an architecture, as ``pull`` does."""
        ...


@runtime_checkable
class Refers(Driver, Protocol):
    """Attaches artifacts to images."""

    def attach(self, reference: str, file: Path, artifact_type: str) -> Outcome:
        """Push ``file`` as an artifact whose subject is the image."""
        ...

    def referrers(self, reference: str) -> Outcome:
        """Print what is attached to the image, with its type."""
        ...

    def copy_with_referrers(self, source: str, target: str) -> Outcome:
        """Copy an image with all that is attached to it."""
        ...


@runtime_checkable
class Charts(Driver, Protocol):
    """Pushes Helm charts."""

    def push_chart(self, chart: Path, folder: str) -> Outcome:
        """Push a chart, and the provenance file beside it, below ``host/org``; the chart's own name is the image's."""
        ...

    def pull_chart(self, reference: str, version: str) -> tuple[Outcome, Path]:
        """Pull a chart with its provenance file into an empty folder."""
        ...


@runtime_checkable
class Lists(Driver, Protocol):
    """Lists tags."""

    def tags(self, repository: str) -> Outcome:
        """Print the tags of ``host/org/image``."""
        ...


@runtime_checkable
class Deletes(Driver, Protocol):
    """Deletes from the registry."""

    def delete(self, reference: str) -> Outcome:
        """Delete what ``host/org/image:tag`` names."""
        ...
