"""The command's own distribution: what is in it, and that it runs from an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

import moorage_cli

ROOT = Path(__file__).resolve().parents[2]
UV = ROOT / ".local" / "uv" / "bin" / "uv"
PACKAGE = Path(moorage_cli.__file__).parent


def run(*words: str | Path) -> str:
    """What a command that has to succeed writes to stdout."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what would be published: a source distribution, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--quiet", "--out-dir", folder, ROOT / "cli")
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a new environment with nothing but the wheel and what it needs."""
    environment = tmp_path_factory.mktemp("venv") / "environment"
    run(UV, "venv", "--quiet", "--python", sys.executable, environment)
    run(UV, "pip", "install", "--quiet", "--python", environment / "bin" / "python", wheel)
    return environment / "bin"


def modules(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.endswith((".py", "py.typed"))}


def test_wheel_holds_the_whole_package_and_nothing_of_the_server(wheel: Path):
    own = {f"moorage_cli/{path.relative_to(PACKAGE)}" for path in PACKAGE.rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert set(names) == modules(own)


def test_wheel_says_who_it_is_and_what_it_needs(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        info = next(
            name.partition("/")[0] for name in archive.namelist() if name.endswith(".dist-info/METADATA")
        )
        metadata = archive.read(f"{info}/METADATA").decode()
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
    lines = metadata.splitlines()
    for line in (
        "Name: moorage-cli",
        f"Version: {moorage_cli.__version__}",
        "License-Expression: Apache-2.0",
        "Requires-Python: >=3.11",
    ):
        assert line in lines
    needs = {
        line.split(": ")[1].partition(">")[0].partition("<")[0]
        for line in lines
        if line.startswith("Requires-Dist") and "extra ==" not in line
    }
    assert needs == {"click", "httpx2", "keyring", "pyyaml", "rich", "truststore"}
    assert "moorage = moorage_cli.main:main" in entry_points
    assert "docker-credential-moorage = moorage_cli.credential_helper:main" in entry_points


def test_source_distribution_holds_what_the_wheel_is_built_from(dist: Path):
    (source,) = dist.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    own = {f"src/moorage_cli/{path.relative_to(PACKAGE)}" for path in PACKAGE.rglob("*")}
    assert {"pyproject.toml", "README.md", "PKG-INFO"} <= names
    assert {name for name in names if name.endswith((".py", "py.typed"))} == modules(own)


def test_commands_run_from_an_environment_of_their_own(scripts: Path):
    assert "Usage: moorage" in run(scripts / "moorage", "--help")
    assert run(scripts / "moorage", "--version") == f"moorage {moorage_cli.__version__}\n"
    version = run(scripts / "docker-credential-moorage", "version")
    assert version == f"docker-credential-moorage (moorage-cli) {moorage_cli.__version__}\n"


def test_every_command_can_be_imported_there_without_the_server(scripts: Path):
    script = (
        "import importlib, importlib.util, pkgutil, moorage_cli\n"
        "for each in pkgutil.walk_packages(moorage_cli.__path__, 'moorage_cli.'):\n"
        "    if not each.name.endswith('__main__'): importlib.import_module(each.name)\n"
        "print(importlib.util.find_spec('moorage'))\n"
    )
    assert run(scripts / "python", "-c", script) == "None\n"


def test_it_runs_without_being_installed():
    """What ``uvx --from`` stands for."""
    words = (
        UV,
        "tool",
        "run",
        "--quiet",
        "--refresh-package",
        "moorage-cli",
        "--python",
        sys.executable,
        "--from",
        ROOT / "cli",
    )
    assert run(*words, "moorage", "--version") == f"moorage {moorage_cli.__version__}\n"
    assert "docker-credential-moorage" in run(*words, "docker-credential-moorage", "version")
