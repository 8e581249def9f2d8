"""Principals, and the keys that service accounts carry."""

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.errors import CredentialsInvalid, NameInvalid
from moorage.domain.principals import (
    KeyRecord,
    ServiceAccount,
    generate_key,
    group_link,
    hash_key,
    identity_link,
    is_identity,
    is_user_id,
    organisation_of,
    parse_email,
    parse_resource_name,
    public_id,
)

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def record(key: str, expires: datetime | None = None) -> KeyRecord:
    return KeyRecord(
        public_id(key), ServiceAccount("demo", "ci").link, "laptop", hash_key(key), NOW, expires=expires
    )


def test_a_key_has_a_public_id_and_256_random_bits() -> None:
    keys = dict(generate_key() for _ in range(200))
    assert len(keys) == len({key.rpartition("_")[2] for key in keys.values()}) == 200
    for public, key in keys.items():
        assert re.fullmatch(r"mrg_[a-z2-7]{16}_[a-z2-7]{52}", key)
        assert public_id(key) == public == key.split("_")[1]
    # Random all the way: no character of the secret is the same in all keys but the last, of one bit's width.
    secrets = [key.rpartition("_")[2] for key in keys.values()]
    assert all(len({secret[place] for secret in secrets}) > 20 for place in range(51))


@pytest.mark.parametrize(
    "change",
    [
        lambda key: "",
        lambda key: key[:-1],
        lambda key: key + "a",
        lambda key: key + "\n",
        lambda key: " " + key,
        lambda key: key.upper(),
        lambda key: key.replace("mrg_", "ghp_"),
        lambda key: key.replace("_", "-"),
        lambda key: key[:-1] + "1",
        lambda key: key[:-1] + "é",
        lambda key: key[:-1] + "\0",
        lambda key: key[:-1] + "\ud800",
        lambda key: key.split("_")[1],
        lambda key: "mrg__" + key.rpartition("_")[2],
        lambda key: "mrg_../../../../../x_" + key.rpartition("_")[2],
        lambda key: key * 1000,
    ],
)
def test_it_is_no_key(change) -> None:
    with pytest.raises(CredentialsInvalid) as caught:
        public_id(change(generate_key()[1]))
    assert len(caught.value.message) < 100


@given(st.text(max_size=80))
def test_no_text_brings_another_error(text: str) -> None:
    with pytest.raises(CredentialsInvalid):
        public_id(text)


def test_what_is_stored_is_the_hash_and_not_the_key() -> None:
    _, key = generate_key()
    stored = record(key)
    assert stored.sha256 == hashlib.sha256(key.encode()).hexdigest()
    assert key.rpartition("_")[2] not in repr(stored)


def test_a_key_is_proved_by_itself_alone() -> None:
    public, key = generate_key()
    stored = record(key)
    assert stored.proves(key, NOW)
    forged = f"mrg_{public}_{'a' * 52}"
    assert not stored.proves(forged, NOW)
    assert not stored.proves(stored.sha256, NOW)
    assert not stored.proves("", NOW)
    assert not stored.proves(key[:-1], NOW)


@given(st.integers(-(10**6), 10**6))
def test_a_key_ends_exactly_when_it_expires(milliseconds: int) -> None:
    _, key = generate_key()
    life = timedelta(days=1)
    moment = NOW + life + timedelta(milliseconds=milliseconds)
    assert record(key, NOW + life).proves(key, moment) == (milliseconds < 0)
    assert record(key).proves(key, moment)


@pytest.mark.parametrize("name", ["ab", "a1", "a-b", "a--b", "a" * 64, "superusers"])
def test_it_is_a_name(name: str) -> None:
    assert parse_resource_name(name) == name
    account = ServiceAccount.parse("demo", name)
    assert account.link == f"/org/demo/serviceaccount/{name}"
    assert organisation_of(account.link) == organisation_of(group_link("demo", name)) == "demo"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "1a",
        "-a",
        "a-",
        "A",
        "aB",
        "a_b",
        "a.b",
        "a/b",
        "a b",
        "ab\n",
        "a\0b",
        "äb",
        "a" * 65,
        "../x",
        "a#b",
    ],
)
def test_it_is_no_name(name: str) -> None:
    with pytest.raises(NameInvalid):
        parse_resource_name(name)
    with pytest.raises(NameInvalid):
        ServiceAccount.parse("demo", name)
    with pytest.raises(NameInvalid):
        ServiceAccount.parse(name, "ci")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("jane@example.com", "jane@example.com"),
        ("Jane.Doe@EXAMPLE.Com", "jane.doe@example.com"),
        ("j+ci_1-x@mail.example.co.uk", "j+ci_1-x@mail.example.co.uk"),
        ("o'neil@xn--mnchen-3ya.de", "o'neil@xn--mnchen-3ya.de"),
        (f"{'a' * 64}@example.com", f"{'a' * 64}@example.com"),
    ],
)
def test_an_address_has_one_form(sent: str, kept: str) -> None:
    assert parse_email(sent) == parse_email(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jane",
        "@example.com",
        "jane@",
        "jane@com",
        "jane@.com",
        "jane@example.",
        "jane@-example.com",
        "jane@example-.com",
        "jane@example.com ",
        "jane@example.com\n",
        "ja ne@example.com",
        "jane..doe@example.com",
        "jane.@example.com",
        "a/b@example.com",
        "a%2fb@example.com",
        "a?b@example.com",
        "a#b@example.com",
        "a:b@example.com",
        "a,b@example.com",
        "<jane@example.com>",
        '"jane"@example.com',
        "jane@[127.0.0.1]",
        "j\u0430ne@example.com",
        "jane@ex\u0430mple.com",
        "\u212aate@example.com",
        "\uff4aane@example.com",
        f"{'a' * 65}@example.com",
        f"a@{'b' * 64}.com",
        f"a@{'b.' * 130}com",
    ],
)
def test_it_is_no_address(text: str) -> None:
    with pytest.raises(NameInvalid):
        parse_email(text)


def test_machine_identities_are_known_by_their_links() -> None:
    link = identity_link("demo", "apps", "web")
    assert link == "/org/demo/gvc/apps/identity/web"
    assert organisation_of(link) == "demo"
    assert is_identity(link, "demo")
    assert not is_identity(link, "dem")
    assert not is_identity(link, "other")
    assert not is_identity(group_link("demo", "identity"), "demo")
    assert not is_identity("/org/demo/gvc/apps", "demo")
    assert is_user_id("0f8fad5b-d9cb-469f-a165-70867728950e")
    assert not is_user_id("jane@example.com")
