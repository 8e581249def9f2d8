"""The guides for users, pasted from the first command to the last, with real clients."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import docker, image
from tests.clients.cloud import Cloud
from tests.docs.guide import Guide, follow
from tests.docs.organisation import founded

pytestmark = pytest.mark.timeout(420)

# Commands on the pages that are run by nobody, and why.
ELSEWHERE = {
    "policies.md": {},
    "push.md": {},
    "pull.md": {"kubectl create secret docker-registry registry": "there is no Kubernetes here"},
}


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[str]:
    """A shell's prelude after which the clients' names mean those under test, each with a store of its own, and
    docker has the image ``alpine``.
    """
    storage = tmp_path / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/graph"\nrunroot = "{tmp_path}/run"\n', "utf-8"
    )
    login = tmp_path / "docker"
    login.mkdir()
    with docker.engine(login, tmp_path / "docker.log") as engine:
        archive = image.build(tmp_path, "guide").docker_archive
        loaded = engine.must("load", "--quiet", "--input", archive).output
        engine.must("tag", loaded.removeprefix("Loaded image: "), "alpine")
        programs = {
            "docker": [docker.CLIENT, "--host", f"unix://{engine.socket}", "--config", str(engine.config)],
            "crane": [os.environ["CRANE"]],
            "oras": [os.environ["ORAS"]],
        }
        functions = [f'{name}() {{ {shlex.join(words)} "$@"; }}' for name, words in programs.items()]
        variables = {
            "CONTAINERS_STORAGE_CONF": storage,
            "REGISTRY_AUTH_FILE": tmp_path / "auth.json",
            "BUILDAH_ISOLATION": "chroot",
        }
        exports = [f"export {name}={shlex.quote(str(value))}" for name, value in variables.items()]
        yield "\n".join([*functions, *exports])


@pytest.mark.parametrize("pages", [["policies.md"], ["push.md", "pull.md"]], ids=" ".join)
def test_commands_do_what_the_pages_say(
    pages: list[str], registry_cloud: Cloud, clients: str, tmp_path: Path
) -> None:
    organisation = founded(registry_cloud.state, f"guide-{pages[0].partition('.')[0]}", tmp_path)
    for number, name in enumerate(pages):
        home = tmp_path / f"home{number}"
        home.mkdir()
        guide = Guide(name, organisation.replacements)
        assert follow(guide, home, prelude=clients) == len(guide.steps)


@pytest.mark.parametrize("page", ELSEWHERE)
def test_only_what_has_a_reason_is_run_nowhere(page: str) -> None:
    left_out = Guide(page).elsewhere
    assert len(left_out) == len(ELSEWHERE[page])
    assert all(line.startswith(begin) for line, begin in zip(left_out, ELSEWHERE[page], strict=True))
