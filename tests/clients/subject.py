"""A client under test, and what it has done before the cases begin."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients import helm, image, registry
from tests.clients.cloud import Account, Cloud
from tests.clients.command import Outcome
from tests.clients.drivers import Driver
from tests.clients.image import TAG, Image
from tests.clients.recorder import Recorder, Request


@dataclass(frozen=True, slots=True)
class Subject:
    """A client under test, logged in as the organisation's superuser, and what stands around it."""

    driver: Driver
    version: str
    cloud: Cloud
    recorder: Recorder
    image: Image
    another: Callable[[], Driver]

    @property
    def name(self) -> str:
        return self.driver.name

    @property
    def repository(self) -> str:
        return f"{self.cloud.org}/{self.name}"

    def reference(self, tag: str = TAG) -> str:
        """The image's name as a person would type it, the registry reached through the recorder."""
        return f"{self.recorder.host}/{self.repository}:{tag}"

    def answer(
        self, account: Account, method: str, path: str, actions: str, body: bytes | None = None
    ) -> registry.Answer:
        """What the registry says to a request about the image, without any client."""
        return registry.ask(self.cloud.endpoint, account, method, self.repository, path, actions, body)

    def manifest(self, repository: str, reference: str) -> bytes:
        """A manifest as the registry has it."""
        answer = registry.ask(
            self.cloud.endpoint, self.cloud.admin, "GET", repository, f"manifests/{reference}", "pull"
        )
        if answer.status != 200:
            raise LookupError(f"{repository}:{reference} is answered {answer.status}")
        return answer.body

    def exists(self, repository: str, tag: str) -> bool:
        """Whether the registry has the tag."""
        try:
            return bool(self.manifest(repository, tag))
        except LookupError:
            return False

    def referrers(self, repository: str) -> list[dict[str, Any]]:
        """What the registry lists as referring to the image in a repository."""
        subject = registry.digest(self.cloud.endpoint, self.cloud.admin, repository, TAG)
        answer = registry.ask(
            self.cloud.endpoint, self.cloud.admin, "GET", repository, f"referrers/{subject}", "pull"
        )
        found: list[dict[str, Any]] = json.loads(answer.body)["manifests"]
        return found

    def build(self, folder: Path, name: str, sizes: Sequence[int]) -> Image:
        """Something of these sizes that this client can push, to a repository whose last part is ``name``."""
        return content(self.name, folder, name, sizes)

    def digest(self) -> str:
        return registry.digest(self.cloud.endpoint, self.cloud.admin, self.repository, TAG)


def content(client: str, folder: Path, name: str, sizes: Sequence[int]) -> Image:
    """What a client pushes: an image of layers of these sizes, or for helm a chart as large as all of them."""
    return helm.image(folder, name, sum(sizes)) if client == "helm" else image.build(folder, name, sizes)


@dataclass(frozen=True, slots=True)
class Pushed:
    """The login and the push that the other cases build on, and what was asked of the registry for it."""

    login: Outcome
    push: Outcome
    requests: list[Request]
