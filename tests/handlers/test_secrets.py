"""The ``secrets`` function fed with the events of its two triggers."""

import json
import socket
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from aws_lambda_powertools import Logger

from moorage.adapters.key_pairs import new_key_pair
from moorage.bootstrap.secrets import REPLACE, Settings, dispatcher
from moorage.services.secrets import SecretNames, Secrets
from tests.handlers.cloudformation import CloudFormation
from tests.handlers.conftest import event
from tests.unit.secret_fakes import MemorySecretRecords, MemorySecretWriter, Writes


class Function:
    """The function over in-memory stores."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
        self.writes = Writes()
        self.writer = MemorySecretWriter(self.writes)
        self.records = MemorySecretRecords(self.writes)
        self.log = StringIO()
        secrets = Secrets(
            writer=self.writer,
            records=self.records,
            names=SecretNames("/m/signing-key", "/m/upload-key", "/m/bootstrap"),
            new_key_pair=new_key_pair,
            clock=lambda: self.now,
            lifetime=timedelta(days=30),
        )
        # Loggers of one name share the stream of the first.
        self.handle = dispatcher(secrets, Logger(service=f"test-{uuid4().hex}", stream=self.log))

    def leaks(self, text: str) -> list[str]:
        """Names of the secrets that ``text`` shows a part of."""
        found = []
        for name, values in self.writer.versions.items():
            for value in values:
                secret = json.loads(value) if value.startswith("{") else {"key": value}
                shown = secret.get("key") or secret["private_pem"].splitlines()[1]
                found += [name] if shown in text or "PRIVATE" in text else []
        return found


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moorage.web.custom_resource.time.sleep", lambda _seconds: None)


def answered_to(server: CloudFormation, name: str, **changes: Any) -> dict[str, Any]:
    """An event of CloudFormation that wants its answer at ``server``."""
    return event(f"cloudformation-{name}", ResponseURL=server.url, **changes)


def test_create_makes_the_secrets_and_answers(function: Function, cloudformation: CloudFormation) -> None:
    create = answered_to(cloudformation, "create")
    function.handle(create, None)
    ((path, headers, answer),) = cloudformation.received
    assert path.endswith("?X-Amz-Signature=0")
    assert headers["Content-Type"] == ""
    assert answer == {
        "Status": "SUCCESS",
        "PhysicalResourceId": "Secrets-51af3dc0-da77-11e4-872e-1234567db123",
        "StackId": create["StackId"],
        "RequestId": create["RequestId"],
        "LogicalResourceId": "Secrets",
    }
    assert len(function.writer.versions) == 4


def test_repeated_create_answers_alike_and_replaces_nothing(
    function: Function, cloudformation: CloudFormation
) -> None:
    for _ in range(2):
        function.handle(answered_to(cloudformation, "create"), None)
    first, second = cloudformation.received
    assert first[2] == second[2]
    assert {len(versions) for versions in function.writer.versions.values()} == {1}


@pytest.mark.parametrize("kind", ["update", "delete"])
def test_update_and_delete_leave_the_keys_and_keep_the_name(
    function: Function, cloudformation: CloudFormation, kind: str
) -> None:
    function.handle(answered_to(cloudformation, "create"), None)
    before = function.writes.count
    function.handle(answered_to(cloudformation, kind), None)
    assert function.writes.count == before
    created, answered = (answer for _, _, answer in cloudformation.received)
    assert answered["Status"] == "SUCCESS"
    assert answered["PhysicalResourceId"] == created["PhysicalResourceId"]


def test_update_makes_what_is_missing(function: Function, cloudformation: CloudFormation) -> None:
    function.handle(answered_to(cloudformation, "update"), None)
    assert len(function.writer.versions) == 4


@pytest.mark.parametrize("number", range(8))
def test_failed_create_is_answered_at_once_and_a_retry_succeeds(
    function: Function, cloudformation: CloudFormation, number: int
) -> None:
    create = answered_to(cloudformation, "create")
    with function.writes.dying_before(number):
        function.handle(create, None)
    failed = cloudformation.received[0][2]
    assert failed["Status"] == "FAILED"
    assert failed["Reason"].startswith("Unavailable;")
    assert failed["PhysicalResourceId"]
    function.handle(create, None)
    assert cloudformation.received[1][2]["Status"] == "SUCCESS"
    assert not function.leaks(function.log.getvalue() + json.dumps(cloudformation.received))


def test_unknown_request_is_answered_as_failed(function: Function, cloudformation: CloudFormation) -> None:
    function.handle(answered_to(cloudformation, "create", RequestType="Import"), None)
    assert cloudformation.received[0][2]["Status"] == "FAILED"
    assert function.writes.count == 0


def test_answer_is_repeated_until_the_store_takes_it(
    function: Function, cloudformation: CloudFormation
) -> None:
    cloudformation.statuses = [503, 500, 503]
    function.handle(answered_to(cloudformation, "create"), None)
    assert len(cloudformation.received) == 4


@pytest.mark.parametrize(("statuses", "attempts"), [([500] * 9, 4), ([403] * 9, 1)])
def test_answer_that_is_never_taken_fails_the_invocation_without_showing_the_url(
    function: Function, cloudformation: CloudFormation, statuses: list[int], attempts: int
) -> None:
    cloudformation.statuses = list(statuses)
    with pytest.raises(OSError, match="refused the answer") as caught:
        function.handle(answered_to(cloudformation, "create"), None)
    assert "Signature" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert len(cloudformation.received) == attempts


def test_answer_to_a_closed_port_fails_the_invocation(function: Function) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(OSError, match="could not be reached"):
            function.handle(event("cloudformation-create", ResponseURL=url), None)


def test_answer_goes_to_no_file(function: Function) -> None:
    with pytest.raises(ValueError, match="over HTTP"):
        function.handle(event("cloudformation-create", ResponseURL="file:///etc/passwd"), None)


def test_schedule_rotates_only_what_is_old(function: Function, cloudformation: CloudFormation) -> None:
    function.handle(answered_to(cloudformation, "create"), None)
    assert function.handle(event("schedule"), None) == {"rotated": []}
    function.now += timedelta(days=30)
    assert function.handle(event("schedule"), None) == {"rotated": ["signing-key", "upload-key"]}
    assert function.handle(event("schedule"), None) == {"rotated": []}


def test_failed_rotation_fails_the_invocation_so_that_it_is_retried(
    function: Function, cloudformation: CloudFormation
) -> None:
    function.handle(answered_to(cloudformation, "create"), None)
    function.now += timedelta(days=30)
    with function.writes.dying_before(1), pytest.raises(Exception, match="died"):
        function.handle(event("schedule"), None)
    assert function.handle(event("schedule"), None) == {"rotated": ["signing-key", "upload-key"]}


def test_operator_has_the_keys_replaced(function: Function, cloudformation: CloudFormation) -> None:
    function.handle(answered_to(cloudformation, "create"), None)
    function.now += timedelta(minutes=1)
    assert function.handle(REPLACE, None) == {"replaced": ["signing-key", "upload-key"]}
    assert not function.leaks(function.log.getvalue())


@pytest.mark.parametrize(
    "stranger", [{"action": "replace"}, {}, {"detail-type": "Object Created"}, {"Records": []}]
)
def test_event_of_another_kind_is_refused(function: Function, stranger: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="neither"):
        function.handle(stranger, None)
    assert function.writes.count == 0


def test_log_and_answers_show_no_secret(function: Function, cloudformation: CloudFormation) -> None:
    for name in ("create", "update", "delete"):
        function.handle(answered_to(cloudformation, name), None)
    function.now += timedelta(days=30)
    result = function.handle(event("schedule"), None)
    shown = function.log.getvalue() + json.dumps(cloudformation.received) + json.dumps(result)
    assert not function.leaks(shown)
    assert "X-Amz-Signature" not in function.log.getvalue()
    assert '"made":["signing-key","upload-key","bootstrap"]' in function.log.getvalue().replace(" ", "")


def test_missing_setting_is_an_error_at_start() -> None:
    with pytest.raises(KeyError, match="TABLE_NAME"):
        Settings.read({})
