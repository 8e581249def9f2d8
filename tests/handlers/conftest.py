"""The three functions as Lambda imports them, over the emulators."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from local import aws
from local.emulators import Emulators
from tests.handlers.cloudformation import CloudFormation, serving
from tests.template.document import load

ROOT = Path(__file__).resolve().parents[2]
EVENTS = ROOT / "events"

# Answers one event per line, like an execution environment: what the first one has loaded serves the others.
ENVIRONMENT = """
import json, sys
answers, sys.stdout = sys.stdout, sys.stderr
import handler
Context = type("Context", (), {
    "function_name": "f", "memory_limit_in_mb": 1024, "invoked_function_arn": "arn", "aws_request_id": "1",
    "get_remaining_time_in_millis": lambda self: 10_000,
})
for line in sys.stdin:
    print(json.dumps(handler.handler(json.loads(line), Context())), file=answers, flush=True)
"""


def event(name: str, **changes: Any) -> dict[str, Any]:
    """One of ``events/``, with top-level fields replaced."""
    loaded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text("utf-8"))
    return loaded | changes


@dataclass
class Answer:
    """What a function told the gateway, as the client would get it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Answer:
        assert answer.keys() <= {"statusCode", "headers", "body", "cookies", "isBase64Encoded"}
        body = answer.get("body", "")
        return cls(
            answer["statusCode"],
            {name.lower(): value for name, value in answer["headers"].items()},
            base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode(),
        )

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Functions:
    """The functions over one table and bucket; each is started when it is first called."""

    settings: dict[str, str]
    program: ClassVar[str] = ENVIRONMENT
    _running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """What the handler returns."""
        process = self._running.get(function) or self._start(function)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(event) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, f"{function} ended with {process.wait(10)}"
        return json.loads(answer)

    def call(self, function: str, event: dict[str, Any]) -> Answer:
        """The same for an event of the HTTP API."""
        return Answer.of(self.invoke(function, event))

    def stop(self) -> None:
        for process in self._running.values():
            process.communicate(timeout=10)

    def _start(self, function: str) -> subprocess.Popen[str]:
        places = (ROOT / "functions" / function, ROOT / "layers" / "core")
        process = subprocess.Popen(
            [sys.executable, "-c", self.program],
            cwd="/",
            env=self.settings | {"PYTHONPATH": os.pathsep.join(map(str, places)), "PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running[function] = process
        return process


@pytest.fixture(scope="module")
def functions(emulators: Emulators) -> Iterator[Functions]:
    """The functions over a new table and a new bucket."""
    name = f"handlers-{uuid.uuid4()}"
    definition = load().properties("Table")
    wanted = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    aws.client(emulators, "dynamodb").create_table(TableName=name, **{key: definition[key] for key in wanted})
    aws.client(emulators, "s3").create_bucket(Bucket=name)
    functions = Functions(
        emulators.environment
        | {
            "TABLE_NAME": name,
            "BUCKET_NAME": name,
            "SIGNING_KEY_PARAMETER": f"/moorage/{name}/signing-key",
            "UPLOAD_KEY_PARAMETER_PREFIX": f"/moorage/{name}/upload-key",
            "BOOTSTRAP_PARAMETER": f"/moorage/{name}/bootstrap",
            "KEY_ROTATION_DAYS": "30",
            "LOG_LEVEL": "WARNING",
        }
    )
    try:
        yield functions
    finally:
        functions.stop()


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    """What answers to custom resources go to."""
    with serving() as server:
        yield server
