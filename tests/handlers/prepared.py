"""A stack with an organisation and two keys, and functions that tell what they asked of AWS."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.handlers.cloudformation import serving
from tests.handlers.conftest import ROOT, Answer, Functions, event

HOST = "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"

# Like an execution environment, with a count of the requests that its clients of AWS have sent.
COUNTING = """
import json, sys
answers, sys.stdout = sys.stdout, sys.stderr
import handler
from moorage.adapters import aws, json_service
sent = []
aws._session().register("before-send", lambda event_name, **_: sent.append(event_name.partition(".")[2]))
send = json_service.JsonService._send
def note_and_send(service, operation, body):
    sent.append(f"{service._access.service}.{operation}")
    return send(service, operation, body)
json_service.JsonService._send = note_and_send
Context = type("Context", (), {
    "function_name": "f", "memory_limit_in_mb": 1024, "invoked_function_arn": "arn", "aws_request_id": "id-of-it",
    "get_remaining_time_in_millis": lambda self: 10_000,
})
for line in sys.stdin:
    sent.clear()
    answer = handler.handler(json.loads(line), Context())
    print(json.dumps({"answer": answer, "sent": sent}), file=answers, flush=True)
"""

ADMINISTER = """
import json, sys
from datetime import UTC, datetime
from moorage.adapters.dynamodb import connect_table
from moorage.services.accounts import AccountAdministration
accounts = AccountAdministration(connect_table(sys.argv[1]), lambda: datetime.now(UTC))
keys = {}
for org, name, groups in (("demo", "robot", ["superusers"]), ("other", "robot", ["superusers"])):
    accounts.create_organisation(org)
    keys[org] = accounts.add_key(accounts.create_service_account(org, name, groups=groups), "ci").secret
keys["fresh"] = accounts.add_key(accounts.create_service_account("other", "fresh"), "ci").secret
print(json.dumps(keys))
"""


@dataclass
class Counted(Functions):
    """Functions that note, in ``sent``, what the last invocation asked of AWS."""

    program = COUNTING
    sent: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    """What the last invocation gave back, as it stands."""

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        told = super().invoke(function, event)
        self.sent, self.raw = told["sent"], told["answer"]
        return self.raw

    def http(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        base64_encoded: bool = True,
        function: str = "registry",
    ) -> Answer:
        """The answer to a request, given to the function as the HTTP API gives it."""
        path, _, query = target.partition("?")
        sent = event("http-api-registry-get")
        sent["rawPath"] = sent["requestContext"]["http"]["path"] = unquote(path)
        sent["requestContext"]["http"]["method"] = method
        sent["rawQueryString"] = query
        sent["headers"] = {"host": HOST, "x-forwarded-proto": "https"} | (headers or {})
        if body:
            sent["headers"]["content-length"] = str(len(body))
            sent["body"] = base64.b64encode(body).decode() if base64_encoded else body.decode()
            sent["isBase64Encoded"] = base64_encoded
        return self.call(function, sent)


def prepare(functions: Functions) -> dict[str, str]:
    """Make the secrets of the stack and two organisations; a superuser's key of each."""
    with serving() as cloudformation:
        functions.invoke("secrets", event("cloudformation-create", ResponseURL=cloudformation.url))
    result = subprocess.run(
        [sys.executable, "-c", ADMINISTER, functions.settings["TABLE_NAME"]],
        env=functions.settings | {"PYTHONPATH": str(ROOT / "layers" / "core"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    keys: dict[str, str] = json.loads(result.stdout)
    return keys


def basic(password: str, user: str = "<token>") -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
