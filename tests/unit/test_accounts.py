"""Making and ending organisations, accounts and keys."""

from datetime import timedelta

import pytest

from moorage.adapters.memory import MemoryTable
from moorage.domain.errors import AlreadyExists, InvalidInput, NameInvalid, NotFound
from moorage.domain.principals import SUPERUSERS, VIEWERS, ServiceAccount
from moorage.domain.resources import Kind
from moorage.services.accounts import AccountAdministration
from tests.protocol.world import Clock


class Desk:
    def __init__(self) -> None:
        self.clock, self.table = Clock(), MemoryTable()
        self.administration = AccountAdministration(self.table, self.clock)
        for org in ("demo", "other"):
            self.administration.create_organisation(org)

    def accounts(self, org: str) -> list[ServiceAccount]:
        return [
            ServiceAccount(org, each.name) for each in self.table.page(Kind.SERVICE_ACCOUNT, org, None, 9)
        ]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_what_exists_is_not_made_again(desk: Desk) -> None:
    account = desk.administration.create_service_account("demo", "ci")
    first = desk.administration.add_key(account, "laptop")
    with pytest.raises(AlreadyExists):
        desk.administration.create_organisation("demo")
    with pytest.raises(AlreadyExists):
        desk.administration.create_service_account("demo", "ci")
    with pytest.raises(AlreadyExists):
        desk.administration.add_key(account, "laptop")
    assert [key.sha256 for key in desk.administration.keys(account)] == [first.record.sha256]
    # Of another organisation, the same name is another account.
    stranger = desk.administration.create_service_account("other", "ci")
    assert desk.administration.keys(stranger) == []


def test_what_is_not_there_cannot_be_used(desk: Desk) -> None:
    nobody = ServiceAccount("demo", "nobody")
    with pytest.raises(NotFound):
        desk.administration.create_service_account("missing", "ci")
    with pytest.raises(NotFound):
        desk.administration.add_key(nobody, "laptop")
    with pytest.raises(NotFound):
        desk.administration.add_member("demo", SUPERUSERS, nobody)
    with pytest.raises(NotFound):
        desk.administration.revoke_key(nobody, "laptop")
    account = desk.administration.create_service_account("demo", "ci")
    with pytest.raises(NotFound):
        desk.administration.add_member("demo", "missing", account)
    with pytest.raises(NotFound):
        desk.administration.remove_member("demo", SUPERUSERS, account)


def test_an_account_cannot_join_a_group_of_another_organisation(desk: Desk) -> None:
    account = desk.administration.create_service_account("demo", "ci")
    with pytest.raises(NotFound):
        desk.administration.add_member("other", SUPERUSERS, account)
    assert desk.table.group_hints(account.link) == []


@pytest.mark.parametrize("name", ["", "A", "a", "../x", "a/b", "ab\n", "a#b", "x" * 65])
def test_malformed_names_make_nothing(desk: Desk, name: str) -> None:
    account = desk.administration.create_service_account("demo", "ci")
    for make in (
        lambda: desk.administration.create_organisation(name),
        lambda: desk.administration.create_service_account(name, "ci"),
        lambda: desk.administration.create_service_account("demo", name),
        lambda: desk.administration.add_key(account, name),
        lambda: desk.administration.add_member("demo", name, account),
    ):
        with pytest.raises((NameInvalid, NotFound)):
            make()
    assert desk.accounts("demo") == [account]
    assert desk.administration.keys(account) == []


def test_descriptions_and_lives_have_limits(desk: Desk) -> None:
    account = desk.administration.create_service_account("demo", "ci", description="x" * 250)
    with pytest.raises(InvalidInput):
        desk.administration.create_service_account("demo", "cd", description="x" * 251)
    with pytest.raises(InvalidInput):
        desk.administration.add_key(account, "laptop", description="x" * 251)
    for life in (timedelta(0), timedelta(seconds=-1)):
        with pytest.raises(InvalidInput):
            desk.administration.add_key(account, "laptop", life=life)
    key = desk.administration.add_key(account, "laptop", life=timedelta(days=30)).record
    assert key.expires == desk.clock() + timedelta(days=30)
    assert desk.accounts("demo") == [account]


def test_groups_are_joined_and_left_and_twice_is_once(desk: Desk) -> None:
    account = desk.administration.create_service_account("demo", "ci", groups=[SUPERUSERS, VIEWERS])
    desk.administration.add_member("demo", SUPERUSERS, account)
    assert desk.table.group_hints(account.link) == ["/org/demo/group/superusers", "/org/demo/group/viewers"]
    desk.administration.remove_member("demo", SUPERUSERS, account)
    assert desk.table.group_hints(account.link) == ["/org/demo/group/viewers"]


def test_a_revoked_key_makes_place_for_another_of_its_name(desk: Desk) -> None:
    account = desk.administration.create_service_account("demo", "ci")
    old = desk.administration.add_key(account, "laptop").record
    desk.administration.revoke_key(account, "laptop")
    assert desk.table.find_key(old.id) is None
    new = desk.administration.add_key(account, "laptop").record
    assert new.id != old.id
    assert desk.administration.keys(account) == [new]
