"""The tools that deploy are the pinned ones: beside the emulators, installers fall back to older versions."""

import json
import subprocess

from tests.deploy.stack import ROOT, SAM

ASK = "import importlib.metadata as m, json; print(json.dumps({n: m.version(n) for n in ('aws-sam-cli', 'cfn-lint')}))"


def test_installed_versions_are_the_pinned_ones() -> None:
    answer = subprocess.run(
        [SAM.with_name("python"), "-I", "-c", ASK], capture_output=True, check=True, timeout=60
    ).stdout
    assert json.loads(answer) == {"aws-sam-cli": "1.170.0", "cfn-lint": "1.58.0"}


def test_command_is_the_one_of_that_version() -> None:
    shown = subprocess.run([SAM, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert shown.strip() == "SAM CLI, version 1.170.0"
    assert ROOT in SAM.parents
