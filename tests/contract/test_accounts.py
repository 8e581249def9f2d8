import pytest

from moorage.adapters import keys
from moorage.domain.errors import AlreadyExists, NotFound
from moorage.domain.principals import BUILT_IN_GROUPS, SUPERUSERS, VIEWERS, ServiceAccount, group_link
from tests.contract.samples import LATER, NOW, ROBOT, account_key
from tests.contract.threads import together


@pytest.fixture
def organisation(table):
    table.create_organisation("demo", NOW)
    table.create_organisation("acme", NOW)
    return table


@pytest.fixture
def account(organisation):
    organisation.create_service_account(ROBOT, "builds", NOW)
    return organisation


def test_organisation_exists_once_made(table):
    assert not table.organisation_exists("demo")
    table.create_organisation("demo", NOW)
    assert table.organisation_exists("demo")
    assert not table.organisation_exists("dem")
    with pytest.raises(AlreadyExists):
        table.create_organisation("demo", LATER)


def test_organisation_made_by_many_at_once_is_made_once(table):
    results = together(*[lambda: table.create_organisation("demo", NOW)] * 6)
    assert sorted(type(result).__name__ for result in results) == ["AlreadyExists"] * 5 + ["NoneType"]


@pytest.mark.parametrize("group", BUILT_IN_GROUPS)
def test_new_organisation_has_the_built_in_groups(organisation, group):
    organisation.add_member("demo", group, ROBOT.link)
    assert organisation.groups_of(ROBOT.link) == [group_link("demo", group)]


def test_service_account_of_an_absent_organisation_is_refused(table):
    with pytest.raises(NotFound):
        table.create_service_account(ROBOT, "", NOW)
    assert table.service_accounts("demo") == []


def test_service_account_is_made_once(account):
    with pytest.raises(AlreadyExists):
        account.create_service_account(ROBOT, "", LATER)
    assert account.service_accounts("demo") == [ROBOT]


def test_service_accounts_are_listed_by_name_for_their_organisation(organisation):
    names = ["zz", "aa", "a-b", "m1"]
    for name in names:
        organisation.create_service_account(ServiceAccount("demo", name), "", NOW)
    organisation.create_service_account(ServiceAccount("acme", "aa"), "", NOW)
    assert [each.name for each in organisation.service_accounts("demo")] == sorted(names)
    assert organisation.service_accounts("acme") == [ServiceAccount("acme", "aa")]
    assert organisation.service_accounts("absent") == []


def test_key_is_found_as_it_was_added(account):
    plain, full = account_key("one"), account_key("two", description="grüße", expires=LATER)
    for key in (plain, full):
        assert account.find_key(key.id) is None
        account.add_key(key)
        assert account.find_key(key.id) == key
    assert account.keys_of(ROBOT) == [plain, full]


def test_key_of_an_absent_account_is_refused(organisation):
    with pytest.raises(NotFound):
        organisation.add_key(account_key("one"))
    assert organisation.find_key(account_key("one").id) is None


def test_key_of_a_name_that_the_account_has_is_refused(account):
    account.add_key(account_key("one"))
    with pytest.raises(AlreadyExists):
        account.add_key(account_key("one", id="another-id"))
    assert account.find_key("another-id") is None
    assert account.keys_of(ROBOT) == [account_key("one")]


def test_key_of_a_public_id_that_exists_is_refused_and_changes_nothing(account):
    account.add_key(account_key("one"))
    with pytest.raises(AlreadyExists):
        account.add_key(account_key("two", id=account_key("one").id))
    assert account.find_key(account_key("one").id) == account_key("one")
    assert account.keys_of(ROBOT) == [account_key("one")]


def test_keys_of_accounts_whose_names_begin_alike_are_apart(account):
    alike = ServiceAccount("demo", "robot-2")
    account.create_service_account(alike, "", NOW)
    account.add_key(account_key("one"))
    account.add_key(account_key("one", alike))
    assert account.keys_of(ROBOT) == [account_key("one")]
    assert account.revoke_key(alike, "one")
    assert account.find_key(account_key("one").id) == account_key("one")


def test_revoked_key_is_gone_and_its_name_is_free(account):
    account.add_key(account_key("one"))
    account.add_key(account_key("two"))
    assert account.revoke_key(ROBOT, "one") is True
    assert account.find_key(account_key("one").id) is None
    assert account.keys_of(ROBOT) == [account_key("two")]
    assert account.revoke_key(ROBOT, "one") is False
    account.add_key(account_key("one", id="a-new-id"))
    assert account.find_key("a-new-id").name == "one"


def test_key_revoked_by_many_at_once_is_revoked_once(account):
    account.add_key(account_key("one"))
    assert sorted(together(*[lambda: account.revoke_key(ROBOT, "one")] * 5)) == [False] * 4 + [True]


def test_member_of_an_absent_group_is_refused(organisation):
    with pytest.raises(NotFound):
        organisation.add_member("demo", "absent", ROBOT.link)
    with pytest.raises(NotFound):
        organisation.add_member("nowhere", SUPERUSERS, ROBOT.link)
    assert organisation.groups_of(ROBOT.link) == []


def test_groups_of_a_principal_are_those_it_was_put_into(organisation):
    for group in (VIEWERS, SUPERUSERS, VIEWERS):
        organisation.add_member("demo", group, ROBOT.link)
    organisation.add_member("acme", VIEWERS, ROBOT.link)
    organisation.add_member("demo", VIEWERS, f"{ROBOT.link}2")
    expected = [group_link("acme", VIEWERS), group_link("demo", SUPERUSERS), group_link("demo", VIEWERS)]
    assert organisation.groups_of(ROBOT.link) == expected
    assert organisation.groups_of(f"{ROBOT.link}2") == [group_link("demo", VIEWERS)]
    assert organisation.groups_of("/org/demo/serviceaccount/nobody") == []


def test_member_is_taken_out_of_that_group_only(organisation):
    for group in BUILT_IN_GROUPS:
        organisation.add_member("demo", group, ROBOT.link)
    assert organisation.remove_member("demo", SUPERUSERS, ROBOT.link) is True
    assert organisation.remove_member("demo", SUPERUSERS, ROBOT.link) is False
    assert organisation.remove_member("demo", "absent", ROBOT.link) is False
    assert organisation.groups_of(ROBOT.link) == [group_link("demo", VIEWERS)]


def test_membership_is_written_on_both_sides_and_removed_from_both(dynamo_table, rows):
    dynamo_table.create_organisation("demo", NOW)
    before = len(rows())
    dynamo_table.add_member("demo", VIEWERS, ROBOT.link)
    link = group_link("demo", VIEWERS)
    found = {keys.Key(row["pk"], row["sk"]) for row in rows()}
    assert {keys.membership(ROBOT.link, link), keys.member(link, ROBOT.link)} < found
    dynamo_table.remove_member("demo", VIEWERS, ROBOT.link)
    assert len(rows()) == before


def test_revoked_key_leaves_no_row(dynamo_table, rows):
    dynamo_table.create_organisation("demo", NOW)
    dynamo_table.create_service_account(ROBOT, "", NOW)
    before = len(rows())
    dynamo_table.add_key(account_key("one"))
    assert len(rows()) == before + 2
    dynamo_table.revoke_key(ROBOT, "one")
    assert len(rows()) == before


def test_managed_rows_carry_what_all_resources_have(dynamo_table, rows):
    dynamo_table.create_organisation("demo", NOW)
    dynamo_table.create_service_account(ROBOT, "builds images", NOW)
    managed = [row for row in rows() if row["type"] in {"organisation", "group", "service-account"}]
    assert len(managed) == 4
    assert len({row["id"] for row in managed}) == 4
    for row in managed:
        assert (row["version"], row["created"], row["last_modified"]) == (1, NOW.isoformat(), NOW.isoformat())
        assert row["tags"] == {}
    (described,) = [row for row in managed if row["type"] == "service-account"]
    assert described["description"] == "builds images"
