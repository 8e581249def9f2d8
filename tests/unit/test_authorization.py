"""Who may do what, decided over records: with as few reads as the answer needs, and never more than they say."""

from dataclasses import replace
from typing import Any

import pytest

from moorage.adapters.memory import MemoryTable
from moorage.domain import policies, refusals
from moorage.domain.access_reports import explain
from moorage.domain.errors import InvalidInput, Unavailable
from moorage.domain.grants import Action
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission, permissions_of
from moorage.domain.policies import IDENTITY_PULL, Allow, Deny
from moorage.domain.principals import SUPERUSERS, VIEWERS
from moorage.domain.refusals import NearMiss
from moorage.domain.resources import Kind, ResourceRecord
from moorage.domain.targets import Resource
from moorage.services.authorization import Authorization
from tests.contract.samples import NOW, group, make_organisation, policy, record
from tests.unit.faults import Faults

APP, FOREIGN = Repository("demo", "app"), Repository("other", "app")
ROBOT = "/org/demo/serviceaccount/robot"
USER = "/org/demo/user/u@example.com"
STRANGER = "/org/other/serviceaccount/robot"
WEB = "/org/demo/gvc/prod/identity/web"
TEAM = "/org/demo/group/team"
QUERY = {"kind": "user", "spec": {"match": "all", "terms": [{"op": "=", "tag": "team", "value": "red"}]}}

FIRST = ["find_many"]
WITH_HINTS = [*FIRST, "group_hints", "policy_hints"]


class Office:
    """Two organisations with a principal of each kind, none of which may anything."""

    def __init__(self) -> None:
        self.table, self.faults = MemoryTable(), Faults()
        make_organisation(self.table, "demo", "other")
        for org in ("demo", "other"):
            self.table.create(record(Kind.SERVICE_ACCOUNT, "robot", org))
        self.table.create(record(Kind.USER, "u@example.com", tags={"team": "red"}))
        self.table.create(record(Kind.GVC, "prod"))
        self.table.create(record(Kind.IDENTITY, "prod/web"))
        self.authorization = Authorization(self.faults.wrap(self.table))

    def decide(self, who: str, permission: Permission = Permission.PULL, repository: Repository = APP):
        self.faults.calls.clear()
        return self.authorization.decide(who, permission, Resource.of_repository(repository))

    def may(self, who: str, permission: Permission = Permission.PULL, repository: Repository = APP) -> bool:
        return isinstance(self.decide(who, permission, repository), Allow)

    def stored(self, kind: Kind, name: str) -> ResourceRecord:
        found = self.table.find(kind, "demo", name)
        assert found is not None
        return found

    def join(self, name: str, *members: str, query: object = None) -> None:
        before = self.stored(Kind.GROUP, name)
        spec = group(name, *members, query=query).spec
        self.table.replace(before, replace(before, version=before.version + 1, spec=spec))

    def close_identities(self) -> None:
        before = record(Kind.ORG, "demo")
        self.table.replace(before, replace(before, version=2, spec={"identityPull": False}))


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.mark.parametrize("who", [ROBOT, USER, STRANGER, WEB])
@pytest.mark.parametrize("permission", [Permission.CREATE, Permission.DELETE, Permission.MANAGE])
def test_nobody_may_anything_by_default(office: Office, who: str, permission: Permission) -> None:
    assert not office.may(who, permission)
    assert not office.may(who, permission, FOREIGN)


@pytest.mark.parametrize("who", [ROBOT, USER])
@pytest.mark.parametrize("permission", list(Permission))
def test_a_superuser_may_everything_at_home_with_one_read_and_nothing_abroad(
    office: Office, who: str, permission: Permission
) -> None:
    office.join(SUPERUSERS, who)
    for kind in Kind:
        resource = Resource.of_record(record(kind, "x"))
        expected = permission in {info.permission for info in permissions_of(kind)}
        office.faults.calls.clear()
        assert isinstance(office.authorization.decide(who, permission, resource), Allow) == expected
        assert not expected or office.faults.calls == FIRST
    assert not office.may(who, permission, FOREIGN)


def test_a_viewer_sees_and_does_not_pull(office: Office) -> None:
    office.join(VIEWERS, ROBOT)
    assert office.may(ROBOT, Permission.VIEW)
    assert not office.may(ROBOT, Permission.PULL)


def test_a_policy_allows_whom_it_names_and_whom_its_groups_have(office: Office) -> None:
    office.table.create(group("team", USER))
    office.table.create(policy("pullers", ROBOT, TEAM, STRANGER, WEB))
    office.close_identities()
    for who in (ROBOT, USER, STRANGER, WEB):
        assert office.decide(who) == Allow("pullers", 0)
        assert not office.may(who, Permission.CREATE)
        assert not office.may(who, repository=FOREIGN)


def test_a_refusal_asks_twenty_policies_once_and_only_for_its_reason(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(250):
        office.table.create(policy(f"pullers-{number}", ROBOT))
    asked: list[str] = []

    def near_miss(name: str, *others: Any) -> NearMiss:
        asked.append(name)
        return refusals.near_miss(name, *others)

    monkeypatch.setattr(policies, "near_miss", near_miss)
    decision = office.decide(ROBOT, Permission.CREATE)
    assert decision == Deny("policy pullers-0 selects this repository and gives pull, view but not create")
    assert asked == sorted(f"pullers-{number}" for number in range(250))[:20]
    assert office.faults.calls == [*WITH_HINTS, *["find_many"] * 3]
    asked.clear()
    assert not office.authorization.allows(ROBOT, Permission.CREATE, Resource.of_repository(APP))
    office.authorization.grant(ROBOT, {APP: frozenset(Action)})
    assert asked == []


def by_expressions(name: str, *values: str, who: str = ROBOT, permission: str = "pull") -> ResourceRecord:
    """A policy for what one of some regular expressions is found in."""
    terms = [{"op": "=~", "property": "repository", "value": value} for value in values]
    made = policy(name, who, permission=permission)
    spec = {key: value for key, value in made.spec.items() if key != "target"}
    query = {"kind": "image", "spec": {"match": "any", "terms": terms}}
    return replace(made, spec={**spec, "targetQuery": query})


def test_a_decision_looks_at_a_hundred_regular_expressions_and_no_more(office: Office) -> None:
    for number in range(49):
        office.table.create(by_expressions(f"p-{number:02}", "^x", "^y"))
        office.table.create(by_expressions(f"a-{number:02}", "^app$", "^x", permission="view"))
    office.table.create(by_expressions("p-49", "^x", "^app$"))
    assert office.decide(ROBOT) == Allow("p-49", 0)
    office.table.create(by_expressions("p-00-more", "^x"))
    reason = (
        "policy p-49 gives pull by a regular expression, and comes by its name after policies with 100 of "
        "them, which is as many as a decision looks at"
    )
    assert office.decide(ROBOT) == Deny(reason)
    rights = office.authorization.rights(ROBOT, Kind.IMAGE, "demo")
    told = explain(Permission.PULL, Resource.of_repository(APP), ROBOT, (), rights.policies)
    assert (told.allowed, told.reason) == (False, reason)
    # What takes no expression is looked at, wherever it stands.
    office.table.create(policy("p-99", ROBOT))
    assert office.decide(ROBOT) == Allow("p-99", 0)


def test_members_are_chosen_by_a_hundred_regular_expressions_and_no_more(office: Office) -> None:
    def chosen(name: str, value: str) -> ResourceRecord:
        terms = [{"op": "=~", "property": "email", "value": each} for each in ("^x", value)]
        return group(name, query={"kind": "user", "spec": {"match": "any", "terms": terms}})

    for number in range(49):
        office.table.create(chosen(f"a-{number:02}", "^y"))
    office.table.create(chosen("team", "^u@"))
    office.table.create(policy("pullers", TEAM))
    assert office.may(USER)
    office.table.create(chosen("b", "^y"))
    assert not office.may(USER)
    office.join("team", USER)
    assert office.may(USER)


def test_so_many_repositories_that_deciding_would_take_long_are_too_many(office: Office) -> None:
    for number in range(20):
        office.table.create(by_expressions(f"p-{number:02}", "^x", "^y"))
    asked = {Repository("demo", f"app-{number}"): frozenset({Action.PULL}) for number in range(200)}
    with pytest.raises(InvalidInput, match="ask for fewer at a time"):
        office.authorization.grant(ROBOT, asked)
    granted, _ = office.authorization.grant(ROBOT, dict(list(asked.items())[:20]))
    assert set(granted.values()) == {frozenset()}


def test_a_group_of_another_organisation_may_be_named(office: Office) -> None:
    office.table.create(group("team", STRANGER, org="other"))
    office.table.create(policy("pullers", "/org/other/group/team"))
    assert office.may(STRANGER)
    assert not office.may(ROBOT)


def test_a_member_of_another_organisation_is_no_member(office: Office) -> None:
    office.join(SUPERUSERS, STRANGER)
    office.table.create(group("team", STRANGER))
    office.table.create(policy("pullers", TEAM))
    assert not office.may(STRANGER)


def test_a_group_that_contains_a_group_or_itself_gives_nothing_by_that(office: Office) -> None:
    office.table.create(group("inner", ROBOT))
    office.table.create(group("team", TEAM, "/org/demo/group/inner"))
    office.table.create(policy("pullers", TEAM))
    assert not office.may(ROBOT)


def test_members_by_query_are_live_and_only_users(office: Office) -> None:
    office.table.create(group("team", query=QUERY))
    office.table.create(policy("pullers", TEAM))
    assert office.may(USER)
    assert not office.may(ROBOT)
    before = record(Kind.USER, "u@example.com", tags={"team": "red"})
    office.table.replace(before, replace(before, version=2, tags={"team": "blue"}))
    assert not office.may(USER)
    office.join(SUPERUSERS, query=QUERY)
    assert not office.may(USER)
    office.table.replace(replace(before, version=2, tags={}), replace(before, version=3))
    assert office.may(USER, Permission.MANAGE)
    assert office.faults.calls == FIRST


def test_a_right_ends_with_the_binding_the_member_the_policy_and_the_group(office: Office) -> None:
    team, pullers = group("team", ROBOT), policy("pullers", TEAM)
    office.table.create(team)
    office.table.create(pullers)
    for change, back in (
        (lambda: office.join("team"), lambda: office.join("team", ROBOT)),
        (lambda: office.table.delete(pullers), lambda: office.table.create(pullers)),
        (
            lambda: office.table.delete(office.stored(Kind.GROUP, "team")),
            lambda: office.table.create(team),
        ),
    ):
        assert office.may(ROBOT)
        change()
        assert not office.may(ROBOT)
        back()
    assert office.may(ROBOT)


@pytest.mark.parametrize("who", [ROBOT, USER, WEB])
def test_a_principal_whose_record_is_gone_may_nothing(office: Office, who: str) -> None:
    office.join(SUPERUSERS, ROBOT, USER)
    office.table.create(policy("pullers", who))
    assert office.may(who)
    kind, name = {
        ROBOT: (Kind.SERVICE_ACCOUNT, "robot"),
        USER: (Kind.USER, "u@example.com"),
        WEB: (Kind.IDENTITY, "prod/web"),
    }[who]
    office.table.delete(office.stored(kind, name))
    assert office.decide(who) == Deny("the principal does not exist")
    assert office.faults.calls == FIRST


def test_nobody_may_anything_in_or_from_an_organisation_that_is_being_removed(office: Office) -> None:
    office.join(SUPERUSERS, ROBOT)
    office.table.create(policy("at-home", STRANGER))
    office.table.create(policy("abroad", ROBOT, org="other"))
    assert office.may(ROBOT)
    assert office.may(STRANGER)
    assert office.may(ROBOT, repository=FOREIGN)
    office.table.begin_removal("demo", NOW)
    for who, repository in ((ROBOT, APP), (STRANGER, APP), (ROBOT, FOREIGN), (WEB, APP)):
        assert isinstance(office.decide(who, repository=repository), Deny)
        assert office.faults.calls == FIRST
    assert not office.may(ROBOT, repository=Repository("absent", "app"))


def test_identities_pull_at_home_without_a_policy_unless_that_is_switched_off(office: Office) -> None:
    assert office.decide(WEB) == Allow(IDENTITY_PULL)
    assert office.faults.calls == FIRST
    assert not office.may(WEB, Permission.CREATE)
    assert not office.may(WEB, repository=FOREIGN)
    assert not office.may("/org/demo/gvc/prod/identity/absent")
    office.close_identities()
    assert not office.may(WEB)


@pytest.mark.parametrize(
    "who",
    [
        "",
        "/",
        "/org/demo",
        "/org/demo-/serviceaccount/robot",
        "/org/dem/serviceaccount/robot",
        "/org/DEMO/serviceaccount/robot",
        "/org/demo/serviceaccount/ROBOT",
        "/org/demo/serviceaccount/robot/",
        "//serviceaccount/robot",
        "/org/demo/user/U@example.com",
        "/org/demo/user/%75@example.com",
        "/org//serviceaccount/robot",
        "/org/demo/policy/pullers",
        "/org/demo/image/app:v1",
    ],
)
def test_what_is_no_principal_s_link_in_canonical_form_may_nothing(office: Office, who: str) -> None:
    office.join(SUPERUSERS, ROBOT, USER)
    assert not office.may(who)


def test_a_hint_of_a_policy_that_says_something_else_grants_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.table.create(group("team", USER))
    for each in (
        policy("others", USER),
        policy("users", ROBOT, kind=Kind.USER, permission="manage"),
        policy("teams", TEAM),
    ):
        office.table.create(each)
    monkeypatch.setattr(
        office.table, "policy_hints", lambda *_: ["absent", "others", "superusers-image", "teams", "users"]
    )
    monkeypatch.setattr(office.table, "group_hints", lambda _: [TEAM, "/org/demo/group/absent", STRANGER])
    assert not office.may(ROBOT)
    told = office.authorization.rights(ROBOT, Kind.IMAGE, "demo").policies
    assert [each.name for each in told] == ["superusers-image", "viewers-image"]


def test_reads_go_on_only_as_long_as_something_is_not_allowed(office: Office) -> None:
    for number in range(250):
        office.table.create(policy(f"p-{number:03}", ROBOT, permission="view"))
    batch = ["find_many"]
    assert office.may(ROBOT, Permission.VIEW)
    assert office.faults.calls == WITH_HINTS + batch
    assert not office.may(ROBOT, Permission.PULL)
    assert office.faults.calls == WITH_HINTS + batch * 3
    office.table.create(policy("p-150-pull", ROBOT))
    assert office.decide(ROBOT, Permission.PULL) == Allow("p-150-pull", 0)
    assert office.faults.calls == WITH_HINTS + batch * 2


def test_a_user_costs_one_read_more_for_groups_with_a_query(office: Office) -> None:
    assert not office.may(USER)
    assert office.faults.calls == [*FIRST, "group_hints", "query_group_hints", "policy_hints"]
    assert not office.may(WEB, Permission.CREATE)
    assert office.faults.calls == [*FIRST, "policy_hints"]


def test_many_questions_are_answered_from_one_reading(office: Office) -> None:
    office.table.create(policy("pullers", ROBOT))
    office.table.create(group("team", ROBOT))
    resources = [Resource.of_repository(Repository("demo", f"app-{number}")) for number in range(50)]
    office.faults.calls.clear()
    rights = office.authorization.rights(ROBOT, Kind.IMAGE, "demo")
    assert all(isinstance(rights.decide(Permission.PULL, each), Allow) for each in resources)
    assert office.faults.calls == [*FIRST, "group_hints", "find_many", "policy_hints", "find_many"]
    assert rights.principals == {ROBOT, TEAM}
    assert [each.name for each in rights.policies] == ["pullers", "superusers-image", "viewers-image"]


def test_a_token_for_several_organisations_is_decided_in_each(office: Office) -> None:
    office.join(SUPERUSERS, ROBOT)
    office.table.create(policy("abroad", ROBOT, org="other"))
    absent = Repository("absent", "app")
    office.faults.calls.clear()
    granted, refused = office.authorization.grant(
        ROBOT, dict.fromkeys((APP, FOREIGN, absent), frozenset(Action))
    )
    assert granted == {APP: frozenset(Action), FOREIGN: {Action.PULL}, absent: frozenset()}
    assert refused == {APP: frozenset(), FOREIGN: {Action.PUSH, Action.DELETE}, absent: frozenset(Action)}
    assert office.faults.calls == [*WITH_HINTS, "find_many"]
    office.faults.calls.clear()
    assert office.authorization.grant(ROBOT, {}) == ({}, {})
    assert office.faults.calls == []


@pytest.mark.parametrize("call", range(6))
def test_nothing_is_decided_while_a_read_fails(office: Office, call: int) -> None:
    office.table.create(group("team", USER))
    office.table.create(policy("pullers", TEAM))
    assert office.may(USER)
    assert len(office.faults.calls) == 6
    with office.faults.failing(at=call), pytest.raises(Unavailable):
        office.authorization.decide(USER, Permission.PULL, Resource.of_repository(APP))
