"""Keys: of service accounts and users alike, and only as long as their owner is there."""

from datetime import date, timedelta
from functools import partial

import pytest

from moorage.adapters import keys
from moorage.domain.errors import AlreadyExists, InvalidInput, NotFound, WriteConflict
from moorage.domain.principals import ServiceAccount
from moorage.domain.resources import Kind
from moorage.ports import KEYS_OF_AN_OWNER
from tests.contract.samples import (
    LATER,
    NOW,
    ROBOT,
    account_key,
    make_account,
    make_organisation,
    record,
)
from tests.contract.threads import together

TODAY = NOW.date()


@pytest.fixture
def account(table):
    make_account(table)
    make_organisation(table, "acme")
    return table


def test_key_is_found_as_it_was_added(account):
    plain = account_key("one")
    full = account_key("two", description="grüße", expires=LATER, last_used=TODAY)
    for key in (plain, full):
        assert account.find_key(key.id) is None
        account.add_key(key)
        assert account.find_key(key.id) == key
    assert account.keys_of(ROBOT.link) == [plain, full]


def test_key_of_a_user_is_like_any_other_and_of_that_organisation_only(account):
    for org in ("demo", "acme"):
        account.create(record(Kind.USER, "o+1@example.com", org))
    mine, other = "/org/demo/user/o+1@example.com", "/org/acme/user/o+1@example.com"
    account.create(record(Kind.USER, "o@example.com"))
    account.add_key(account_key("pat", owner=mine))
    account.add_key(account_key("pat", owner=other, id="another"))
    assert account.keys_of(mine) == [account_key("pat", owner=mine)]
    assert account.keys_of("/org/demo/user/o@example.com") == []
    assert account.revoke_key(mine, "pat")
    assert account.find_key("another").owner == other


def test_key_of_an_absent_owner_is_refused(account):
    make_account(account, ServiceAccount("acme", "robot"))
    for owner in ("/org/demo/serviceaccount/absent", "/org/nowhere/serviceaccount/robot"):
        with pytest.raises(NotFound):
            account.add_key(account_key("one", owner=owner))
    account.begin_removal("acme", NOW)
    with pytest.raises(NotFound):
        account.add_key(account_key("one", owner="/org/acme/serviceaccount/robot"))
    assert account.find_key(account_key("one").id) is None


def test_key_of_a_name_that_the_owner_has_is_refused(account):
    account.add_key(account_key("one"))
    with pytest.raises(AlreadyExists):
        account.add_key(account_key("one", id="another-id"))
    assert account.find_key("another-id") is None
    assert account.keys_of(ROBOT.link) == [account_key("one")]


def test_key_of_a_public_id_that_exists_is_refused_and_changes_nothing(account):
    account.add_key(account_key("one"))
    with pytest.raises(AlreadyExists):
        account.add_key(account_key("two", id=account_key("one").id))
    assert account.find_key(account_key("one").id) == account_key("one")
    assert account.keys_of(ROBOT.link) == [account_key("one")]


def test_an_owner_has_at_most_a_hundred_keys_and_a_revoked_one_makes_room(account):
    for number in range(KEYS_OF_AN_OWNER):
        account.add_key(account_key(f"key-{number:03}"))
    with pytest.raises(InvalidInput, match="100"):
        account.add_key(account_key("too-many"))
    with pytest.raises(AlreadyExists):
        account.add_key(account_key("key-000", id="another"))
    assert account.revoke_key(ROBOT.link, "key-007")
    account.add_key(account_key("key-100"))
    names = [key.name for key in account.keys_of(ROBOT.link)]
    assert names == [f"key-{number:03}" for number in range(101) if number != 7]


def test_the_last_place_is_given_to_one_of_many(account):
    for number in range(KEYS_OF_AN_OWNER - 1):
        account.add_key(account_key(f"key-{number}"))
    results = together(*[lambda n=n: account.add_key(account_key(f"late-{n}")) for n in range(5)])
    assert sorted(type(result).__name__ for result in results) == ["InvalidInput"] * 4 + ["NoneType"]
    assert len(account.keys_of(ROBOT.link)) == KEYS_OF_AN_OWNER


def test_keys_of_accounts_whose_names_begin_alike_are_apart(account):
    alike = ServiceAccount("demo", "robot-2")
    make_account(account, alike)
    account.add_key(account_key("one"))
    account.add_key(account_key("one", alike))
    assert account.keys_of(ROBOT.link) == [account_key("one")]
    assert account.revoke_key(alike.link, "one")
    assert account.find_key(account_key("one").id) == account_key("one")


def test_revoked_key_is_gone_and_its_name_is_free(account):
    account.add_key(account_key("one"))
    account.add_key(account_key("two"))
    assert account.revoke_key(ROBOT.link, "one") is True
    assert account.find_key(account_key("one").id) is None
    assert account.keys_of(ROBOT.link) == [account_key("two")]
    assert account.revoke_key(ROBOT.link, "one") is False
    account.add_key(account_key("one", id="a-new-id"))
    assert account.find_key("a-new-id").name == "one"


def test_key_revoked_by_many_at_once_is_revoked_once(account):
    account.add_key(account_key("one"))
    results = together(*[lambda: account.revoke_key(ROBOT.link, "one")] * 5)
    assert sorted(results) == [False] * 4 + [True]


def test_use_is_noted_by_the_day_and_does_not_bring_back_a_key(account):
    key = account_key("one")
    account.note_use(key, TODAY)
    assert account.find_key(key.id) is None
    account.add_key(key)
    account.note_use(key, TODAY)
    assert account.find_key(key.id).last_used == TODAY
    account.note_use(key, TODAY + timedelta(days=1))
    assert [each.last_used for each in account.keys_of(ROBOT.link)] == [date(2026, 3, 5)]
    account.revoke_key(ROBOT.link, "one")
    account.note_use(key, TODAY)
    assert account.find_key(key.id) is None
    assert account.keys_of(ROBOT.link) == []


def test_an_owner_is_not_removed_as_long_as_it_has_a_key(account):
    owner = record(Kind.SERVICE_ACCOUNT, ROBOT.name)
    account.add_key(account_key("one"))
    with pytest.raises(WriteConflict):
        account.delete(owner)
    assert account.find(Kind.SERVICE_ACCOUNT, "demo", "robot") == owner
    account.revoke_key(ROBOT.link, "one")
    account.delete(owner)
    with pytest.raises(NotFound):
        account.add_key(account_key("two"))


def test_a_key_added_while_its_owner_is_removed_has_an_owner_or_is_refused(account):
    owner = record(Kind.SERVICE_ACCOUNT, ROBOT.name)
    for number in range(8):
        key = account_key(f"key-{number}")
        together(partial(account.add_key, key), partial(account.delete, owner))
        standing = account.find(Kind.SERVICE_ACCOUNT, "demo", "robot")
        assert (account.find_key(key.id) is None) or standing is not None
        if standing is None:
            account.create(owner)
        else:
            account.revoke_key(ROBOT.link, key.name)


def test_a_changed_owner_keeps_its_keys(account):
    before = record(Kind.SERVICE_ACCOUNT, ROBOT.name)
    account.add_key(account_key("one"))
    account.replace(before, record(Kind.SERVICE_ACCOUNT, ROBOT.name, version=2, description="new"))
    assert account.keys_of(ROBOT.link) == [account_key("one")]
    with pytest.raises(WriteConflict):
        account.delete(record(Kind.SERVICE_ACCOUNT, ROBOT.name, version=2))


def test_revoked_key_leaves_no_row(dynamo_table, rows):
    make_account(dynamo_table)
    before = rows()
    dynamo_table.add_key(account_key("one"))
    assert len(rows()) == len(before) + 2
    dynamo_table.revoke_key(ROBOT.link, "one")
    assert {keys.Key(row["pk"], row["sk"]) for row in rows()} == {
        keys.Key(row["pk"], row["sk"]) for row in before
    }
