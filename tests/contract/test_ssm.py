"""Secrets in SSM: what is written is what the token function reads, and no error shows it."""

import json
import traceback
import uuid
from datetime import UTC, datetime
from functools import partial

import pytest
from botocore.exceptions import ClientError

from local import ports
from moorage.adapters.ssm import (
    SsmSecretWriter,
    connect_secret_writer,
    connect_signing_key,
    connect_upload_key,
)
from moorage.domain.errors import Throttled, Unavailable
from moorage.domain.upload_paths import UploadKey
from moorage.ports import SecretState, SigningKey
from tests.contract.conftest import environment_of

SECRET = "the-secret-value"


@pytest.fixture
def name() -> str:
    return f"/moorage/{uuid.uuid4()}/signing-key"


@pytest.fixture(scope="module")
def writer(emulators) -> SsmSecretWriter:
    """The real one with its client, which takes longer to make than a test takes."""
    made = connect_secret_writer()
    with environment_of(emulators):
        made._client()
    return made


@pytest.mark.usefixtures("aws")
def test_signing_key_is_read_as_it_was_written(writer: SsmSecretWriter, name: str) -> None:
    value = json.dumps({"v": 1, "kid": "k", "private_pem": SECRET, "created": 1})
    assert writer.write_secret(name, value) == 1
    assert connect_signing_key(name).signing_key() == SigningKey("k", SECRET)


@pytest.mark.usefixtures("aws")
def test_each_write_replaces_the_secret_and_counts(writer: SsmSecretWriter, name: str) -> None:
    reader = connect_signing_key(name)
    for version in (1, 2, 3):
        value = json.dumps({"v": 1, "kid": str(version), "private_pem": SECRET, "later": "field"})
        assert writer.write_secret(name, value) == version
        assert reader.signing_key().kid == str(version)


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        "[]",
        '"v"',
        json.dumps({"kid": "k", "private_pem": SECRET}),
        json.dumps({"v": 1, "private_pem": SECRET}),
        json.dumps({"v": 2, "kid": "k", "private_pem": SECRET}),
    ],
)
def test_value_that_is_no_signing_key_is_an_outage_that_shows_nothing(
    writer: SsmSecretWriter, name: str, value: str
) -> None:
    writer.write_secret(name, value)
    with pytest.raises(Unavailable) as caught:
        connect_signing_key(name).signing_key()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("aws")
def test_key_that_was_never_made_is_an_outage(name: str) -> None:
    with pytest.raises(Unavailable):
        connect_signing_key(name).signing_key()


class Refusing:
    """An SSM that repeats in its error what it refused, as the real one does when a rule of the API is broken."""

    def put_parameter(self, **request: object) -> None:
        message = f"1 validation error detected: {request}"
        raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "PutParameter")


def test_refused_write_shows_no_secret(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Unavailable) as caught:
        SsmSecretWriter(Refusing).write_secret(name, SECRET)  # type: ignore[arg-type]
    assert SECRET not in "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "ValidationException" in caplog.text


def test_unreachable_store_is_an_outage_that_shows_no_secret(
    name: str, aws: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = ports.free(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for attempt in (
        lambda: connect_secret_writer().write_secret(name, SECRET),
        lambda: connect_signing_key(name).signing_key(),
    ):
        with pytest.raises(Unavailable) as caught:
            attempt()
        assert SECRET not in "".join(traceback.format_exception(caught.value))


# ------------------------------------------------------------------ the upload key
def upload_key(key: str = SECRET, **more: object) -> str:
    return json.dumps({"v": 1, "kid": "a", "key": key, "created": 1, **more})


def state(version: int, kid: str = "a") -> SecretState:
    return SecretState(kid, version, 7, datetime(2026, 5, 4, tzinfo=UTC))


@pytest.mark.usefixtures("aws")
def test_upload_key_is_the_recorded_version_whatever_was_stored_since(
    writer: SsmSecretWriter, name: str
) -> None:
    for number in range(1, 4):
        assert writer.write_secret(f"{name}/a", upload_key(f"{SECRET}-{number}")) == number
    writer.write_secret(f"{name}/b", upload_key("of the other slot"))
    for version in (3, 2, 1):
        reader = connect_upload_key(name, partial(state, version))
        assert reader.upload_key() == UploadKey(f"a{version}", f"{SECRET}-{version}")
    assert connect_upload_key(name, lambda: state(1, "b")).upload_key() == UploadKey(
        "b1", "of the other slot"
    )


@pytest.mark.usefixtures("aws")
def test_upload_key_is_read_fresh_each_time(writer: SsmSecretWriter, name: str) -> None:
    states = [state(1), state(2)]
    reader = connect_upload_key(name, lambda: states[0])
    for number in (1, 2):
        writer.write_secret(f"{name}/a", upload_key(f"key {number}"))
    assert reader.upload_key().key == "key 1"
    states.pop(0)
    assert reader.upload_key() == UploadKey("a2", "key 2")


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("recorded", [None, state(9), state(1, "b")], ids=["no state", "version", "slot"])
def test_upload_key_that_is_not_there_is_an_outage(
    writer: SsmSecretWriter, name: str, recorded: SecretState | None
) -> None:
    writer.write_secret(f"{name}/a", upload_key())
    with pytest.raises(Unavailable) as caught:
        connect_upload_key(name, lambda: recorded).upload_key()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("value", [SECRET, "[]", json.dumps({"v": 1, "kid": SECRET}), upload_key(v=2)])
def test_value_that_is_no_upload_key_is_an_outage_that_shows_nothing(
    writer: SsmSecretWriter, name: str, value: str
) -> None:
    writer.write_secret(f"{name}/a", value)
    with pytest.raises(Unavailable) as caught:
        connect_upload_key(name, lambda: state(1)).upload_key()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_state_that_cannot_be_read_is_an_outage(name: str) -> None:
    def down() -> SecretState:
        raise Throttled("down")

    with pytest.raises(Throttled):
        connect_upload_key(name, down).upload_key()


# ------------------------------------------------------------------ upload keys by their ids
@pytest.mark.usefixtures("aws")
def test_an_upload_key_is_found_by_its_id_while_it_is_the_newest_of_its_slot(
    writer: SsmSecretWriter, name: str
) -> None:
    reader = connect_upload_key(name, lambda: None)
    assert reader.find_upload_key("a1") is None
    writer.write_secret(f"{name}/a", upload_key("first"))
    assert reader.find_upload_key("a1") == UploadKey("a1", "first")
    assert reader.find_upload_key("b1") is None
    writer.write_secret(f"{name}/b", upload_key("second"))
    assert reader.find_upload_key("a1") == UploadKey("a1", "first")
    assert reader.find_upload_key("b1") == UploadKey("b1", "second")
    writer.write_secret(f"{name}/a", upload_key("third"))
    assert reader.find_upload_key("a1") is None
    assert reader.find_upload_key("a2") == UploadKey("a2", "third")


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("kid", ["", "a", "c1", "a0", "a01", "a+1", "a1:1", "../a1", "a1/..", "a" * 3000])
def test_what_is_no_id_of_an_upload_key_finds_none(writer: SsmSecretWriter, name: str, kid: str) -> None:
    writer.write_secret(f"{name}/a", upload_key())
    assert connect_upload_key(name, lambda: None).find_upload_key(kid) is None


@pytest.mark.usefixtures("aws")
def test_an_id_of_something_else_is_an_outage_that_shows_nothing(writer: SsmSecretWriter, name: str) -> None:
    writer.write_secret(f"{name}/a", json.dumps({"v": 1, "kid": SECRET}))
    with pytest.raises(Unavailable) as caught:
        connect_upload_key(name, lambda: None).find_upload_key("a1")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_an_upload_key_is_not_absent_because_the_store_is(
    name: str, aws: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = ports.free(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(Unavailable):
        connect_upload_key(name, lambda: None).find_upload_key("a1")
