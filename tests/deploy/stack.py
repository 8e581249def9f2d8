"""Builds and deploys the template with SAM, against the emulator at the given endpoint."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session

ROOT = Path(__file__).resolve().parents[2]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
STACK = "moorage"
REGION = "us-east-1"

# Functions run here with a Python and on the processor of this machine, so the stack has to say the same.
RUNTIME = os.environ.get("LOCAL_RUNTIME") or f"python{sys.version_info.major}.{sys.version_info.minor}"
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"

_SAM_SECONDS = 600


@dataclass(frozen=True)
class Stack:
    """A stack on an emulator, before and after it is deployed."""

    endpoint: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What AWS tools need in order to reach the emulator, and nothing of the user's own AWS settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "1",
            "RUNTIME": RUNTIME,
            "ARCHITECTURE": ARCHITECTURE,
        }

    def build(self) -> None:
        """Build functions and layers."""
        self._sam("build", "--build-dir", str(self.folder / "build"), *_overrides())

    def deploy(self, **parameters: str) -> str:
        """Create or update the stack; what SAM says."""
        return self._sam(
            "deploy",
            "--template-file",
            str(self.folder / "build" / "template.yaml"),
            "--stack-name",
            STACK,
            "--no-confirm-changeset",
            "--no-progressbar",
            *_overrides(**parameters),
        )

    def _sam(self, command: str, *arguments: str) -> str:
        started = time.monotonic()
        result = subprocess.run(
            [SAM, command, "--config-file", ROOT / "samconfig.toml", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_SAM_SECONDS,
            check=False,
        )
        print(f"sam {command}: {time.monotonic() - started:.1f} s")
        assert result.returncode == 0, result.stdout
        return result.stdout

    def client(self, service: str) -> Any:
        """A client of the emulator."""
        return botocore.session.get_session().create_client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def outputs(self) -> dict[str, str]:
        """The stack's outputs by name."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def resources(self) -> dict[str, str]:
        """Physical ids by logical ids."""
        answer = self.client("cloudformation").describe_stack_resources(StackName=STACK)
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in answer["StackResources"]}


def ask_runtime(expression: str) -> str:
    """What the functions' Python makes of an expression."""
    program = f"import importlib.util, sys; print({expression})"
    return subprocess.run(
        [RUNTIME, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=30, check=True
    ).stdout.strip()


def _overrides(**parameters: str) -> list[str]:
    chosen = {"Runtime": RUNTIME, "Architecture": ARCHITECTURE, **parameters}
    return ["--parameter-overrides", *(f"{name}={value}" for name, value in chosen.items())]
