"""helm, pushing and pulling charts, which are what it knows of registries."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.clients.cloud import Account
from tests.clients.command import Outcome, run
from tests.clients.image import TAG, Image, Noise, file_digest, member, pack_compressed

CHART_SIZE = 3_000_000
# What a chart may have when it is unpacked; its own default, which no option changes.
LARGEST_CHART = 100 * 1024 * 1024


def chart(folder: Path, name: str, version: str = TAG, size: int = CHART_SIZE) -> Path:
    """A chart whose content depends on its name, version and size alone."""
    described = f"apiVersion: v2\nname: {name}\nversion: {version}\n"
    packed = folder / f"{name}-{version}.tgz"
    members = (
        member(f"{name}/Chart.yaml", described.encode()),
        member(f"{name}/values.yaml", b"replicas: 1\n"),
        (f"{name}/noise", size, Noise(f"{name}/{version}")),
    )
    with packed.open("wb") as output:
        pack_compressed(output, members)
    return packed


def image(folder: Path, name: str, size: int = CHART_SIZE) -> Image:
    """A chart as what the cases push: it has one layer, which is the file."""
    packed = chart(folder, name, size=size)
    return Image(packed, name, (file_digest(packed),), size)


@dataclass(slots=True)
class Helm:
    """helm; the chart's name and version are the last part of an image's name and its tag."""

    folder: Path
    name: str = "helm"
    _pulls: count[int] = field(default_factory=count)

    def version(self) -> Outcome:
        return self._helm("version", "--template", "{{.Version}}")

    def help(self, *words: str) -> str:
        return self._helm(*words, "--help").output

    def login(self, host: str, account: Account) -> Outcome:
        words = ("registry", "login", "--plain-http", host)
        user = ("--username", account.username, "--password-stdin")
        return self._helm(*words, *user, secret=account.password)

    def push(self, image: Image, reference: str) -> Outcome:
        return self.push_chart(image.layout, reference.rpartition("/")[0])

    def pull(self, reference: str) -> tuple[Outcome, Path]:
        if "@" in reference:
            return self._pull(reference)
        name, _, version = reference.rpartition(":")
        return self._pull(name, "--version", version)

    def push_chart(self, chart: Path, folder: str) -> Outcome:
        return self._helm("push", "--plain-http", chart, f"oci://{folder}")

    def pull_chart(self, reference: str, version: str) -> tuple[Outcome, Path]:
        return self._pull(reference, "--prov", *(("--version", version) if version else ()))

    def _pull(self, reference: str, *options: str) -> tuple[Outcome, Path]:
        target = self.folder / f"pull{next(self._pulls)}"
        target.mkdir()
        places = ("--destination", target, "--content-cache", self.folder / f"{target.name}-cache")
        return self._helm("pull", "--plain-http", *places, *options, f"oci://{reference}"), target

    def _helm(self, *words: str | Path, secret: str = "") -> Outcome:
        return run(os.environ["HELM"], *words, home=self.folder, secret=secret)
