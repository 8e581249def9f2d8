"""The commands of ``docs/operations.md`` that restore the table, as AWS's command line would send them."""

from __future__ import annotations

import json
import re
import shlex
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest

from moorage.adapters.dynamodb import connect_table
from moorage.adapters.dynamodb.secret_records import connect_secret_records
from moorage.adapters.key_pairs import new_key_pair
from moorage.adapters.ssm import connect_secret_writer, connect_signing_key
from moorage.services.secrets import SecretNames, Secrets
from tests.contract.conftest import ROOT
from tests.contract.samples import APP, NOW, account_key, digest, make_account, point, push


def documented() -> list[list[str]]:
    """The commands, in order, as words."""
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    section = text.partition("## Restoring")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def test_functions_are_stopped_while_the_table_is_missing_and_go_on_with_new_keys():
    order = [" ".join(words[1:5]) for words in documented()]
    (missing,) = [
        place for place, each in enumerate(order) if each == "dynamodb delete-table --table-name TABLE"
    ]
    made = order.index("dynamodb restore-table-from-backup --target-table-name TABLE")
    replaced = order.index("lambda invoke --function-name SECRETS")
    assert json.loads(documented()[replaced][documented()[replaced].index("--payload") + 1]) == {
        "action": "replace-keys"
    }
    for name in ("REGISTRY", "TOKEN", "SECRETS"):
        stopped = order.index(f"lambda put-function-concurrency --function-name {name}")
        let_go = order.index(f"lambda delete-function-concurrency --function-name {name}")
        assert stopped < missing < made < let_go
        assert (let_go < replaced) == (name == "SECRETS")


class CommandLine:
    """Sends commands to the emulator; BACKUP is what the last backup is called."""

    def __init__(self, emulators: Any, table: str) -> None:
        self.client: Any = botocore.session.get_session().create_client(
            "dynamodb",
            endpoint_url=emulators.aws_endpoint_url,
            region_name=emulators.region,
            aws_access_key_id=emulators.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=emulators.environment["AWS_SECRET_ACCESS_KEY"],
        )
        self._table = table
        self._backup = ""

    def run(self, words: list[str]) -> None:
        assert words[:2] == ["aws", "dynamodb"]
        words = [word.replace("TABLE", self._table).replace("BACKUP", self._backup) for word in words[2:]]
        verb = words.pop(0)
        if verb == "wait":
            waiter = self.client.get_waiter(words.pop(0).replace("-", "_"))
            waiter.wait(**options(words))
            return
        answer = getattr(self.client, verb.replace("-", "_"))(**options(words))
        if verb == "create-backup":
            self._backup = answer["BackupDetails"]["BackupArn"]
        if verb == "describe-backup":
            assert answer["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE"


def options(words: list[str]) -> dict[str, Any]:
    """``--table-name T --no-protected`` as the parameters of a call."""
    given: dict[str, Any] = {}
    while words:
        name = words.pop(0).removeprefix("--")
        if words and not words[0].startswith("--"):
            given[camel(name)] = value(words.pop(0))
        else:
            given[camel(name.removeprefix("no-"))] = not name.startswith("no-")
    return given


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


def value(word: str) -> Any:
    if "=" not in word:
        return word
    pairs = (pair.split("=") for pair in word.split(","))
    return {name: content == "true" if content in ("true", "false") else content for name, content in pairs}


@pytest.fixture
def line(emulators, table_definition):
    name = f"restoring-{uuid.uuid4()}"
    line = CommandLine(emulators, name)
    line.client.create_table(TableName=name, **table_definition, DeletionProtectionEnabled=True)
    yield line
    line.client.update_table(TableName=name, DeletionProtectionEnabled=False)
    line.client.delete_table(TableName=name)
    assert [each for each in line.client.list_tables()["TableNames"] if each.startswith(name)] == []


def keys_fit(table, parameter: str) -> bool:
    """Whether what is signed now can be verified."""
    return connect_signing_key(parameter).signing_key().kid in {key.kid for key in table.verification_keys()}


@pytest.mark.usefixtures("aws")
def test_table_is_as_it_was_under_its_own_name_and_tokens_can_be_verified(line, table_definition):
    name = line._table
    table = connect_table(name)
    clock = [datetime.now(UTC)]
    secrets = Secrets(
        writer=connect_secret_writer(),
        records=connect_secret_records(name),
        names=SecretNames(*(f"/{name}/{secret}" for secret in ("signing-key", "upload-key", "bootstrap"))),
        new_key_pair=new_key_pair,
        clock=lambda: clock[0],
        lifetime=timedelta(days=30),
    )
    secrets.ensure()
    make_account(table)
    table.add_key(account_key("one"))
    push(table, APP, "a")
    point(table, APP, "v1", digest("a"), NOW)

    commands = [words for words in documented() if words[1] == "dynamodb"]
    # The emulator knows no past: what happens after this would have happened after the time that is named.
    line.run(commands.pop(0))
    clock[0] += timedelta(days=31)
    secrets.rotate()
    assert table.delete_manifest(APP, digest("a"))
    push(table, APP, "later")
    for words in commands:
        line.run(words)

    assert table.find_tag(APP, "v1") == digest("a")
    assert table.find_manifest(APP, digest("later")) is None
    assert table.find_key(account_key("one").id) == account_key("one")
    made = line.client.describe_table(TableName=name)["Table"]
    assert made["DeletionProtectionEnabled"]
    assert made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    found = {each["IndexName"]: each["Projection"] for each in made["GlobalSecondaryIndexes"]}
    assert found == {
        each["IndexName"]: each["Projection"] for each in table_definition["GlobalSecondaryIndexes"]
    }
    ttl = line.client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "ttl")
    backups = line.client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"

    signing_key = f"/{name}/signing-key"
    assert not keys_fit(table, signing_key)
    assert secrets.replace() == ["signing-key", "upload-key"]
    assert keys_fit(table, signing_key)
