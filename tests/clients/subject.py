"""A client under test, and what it has done before the cases begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.clients import registry
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

    def digest(self) -> str:
        return registry.digest(self.cloud.endpoint, self.cloud.admin, self.repository, TAG)


@dataclass(frozen=True, slots=True)
class Pushed:
    """The login and the push that the other cases build on, and what was asked of the registry for it."""

    login: Outcome
    push: Outcome
    requests: list[Request]
