"""Organisations begin whole, and end so that nothing of them can be read."""

from datetime import timedelta

import pytest

from moorage.adapters.memory import MemoryTable
from moorage.domain.errors import AlreadyExists, InUse, NameUnknown, NotFound, Unavailable
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission
from moorage.domain.policies import Deny
from moorage.domain.principals import BUILT_IN_GROUPS, SUPERUSERS, group_link
from moorage.domain.resources import Kind, Origin
from moorage.domain.targets import Resource
from moorage.domain.tokens import TOKEN_LIFETIME
from moorage.ports import RepositoryRecord
from moorage.services.authorization import Authorization
from moorage.services.keys import KeyAdministration
from moorage.services.organisations import Organisations
from tests.contract.samples import (
    account_key,
    connect,
    digest,
    group,
    link,
    manifest,
    point,
    policy,
    put_manifest,
    record,
    stored,
)
from tests.protocol.world import Clock
from tests.unit.faults import Faults

APP = Repository("demo", "app")
FOUNDER = record(Kind.USER, "founder@example.com")
AFTERWARDS = TOKEN_LIFETIME + timedelta(minutes=5)


class Office:
    def __init__(self) -> None:
        self.clock, self.table, self.faults = Clock(), MemoryTable(), Faults()
        self.organisations = Organisations(self.faults.wrap(self.table), self.clock)
        self.organisations.create("demo", superusers=[FOUNDER])
        self.organisations.create("other")

    def fill(self, *, images: bool = True) -> None:
        for kind, name in (
            (Kind.SERVICE_ACCOUNT, "robot"),
            (Kind.GVC, "prod"),
            (Kind.IDENTITY, "prod/web"),
        ):
            self.table.create(record(kind, name))
        self.table.create(group("team", FOUNDER.link, query={"kind": "user"}))
        self.table.create(policy("pullers", FOUNDER.link, "/org/other/serviceaccount/robot"))
        keys = KeyAdministration(self.table, self.table, self.clock)
        self.secrets = [
            keys.add(FOUNDER.link, "pat").record,
            keys.add(record(Kind.SERVICE_ACCOUNT, "robot").link).record,
        ]
        for number in range(3):
            repository = Repository("demo", f"app-{number}")
            self.table.create_repository(RepositoryRecord(repository, f"id-{number}", self.clock()))
            self.table.add_object(stored("api/a"))
            connect(self.table, link("a", repository, "api/a"))
            self.table.put_organisation_blob("demo", link("a", repository, "api/a"))
            if images:
                put_manifest(self.table, repository, manifest("m"), uses=[], referrer=None)
                point(self.table, repository, "v1", digest("m"))

    def left(self) -> set[str]:
        """What of the organisation can still be found, in whichever way."""
        table, stranger = self.table, "/org/other/serviceaccount/robot"
        repositories = [Repository("demo", f"app-{number}") for number in range(3)]
        found: dict[str, object] = {
            **{kind: table.page(kind, "demo", None, 10) for kind in Kind if kind is not Kind.ORG},
            "org": table.find(Kind.ORG, "demo", "demo"),
            "key": [key for key in self.secrets if table.find_key(key.id)],
            "repository": [each for each in repositories if table.find_repository(each)],
            "repository by id": [
                number for number in range(3) if table.find_repository_by_id(f"id-{number}")
            ],
            "manifest": [each for each in repositories if table.find_manifest(each, digest("m"))],
            "tag": [each for each in repositories if table.find_tag(each, "v1")],
            "blob": [each for each in repositories if table.find_link(each, digest("a"))],
            "blob of the organisation": table.find_organisation_blob("demo", digest("a")),
            "reference": table.references("api/a", 1),
            "hint": table.policy_hints([stranger], Kind.IMAGE, "demo"),
        }
        return {what for what, there in found.items() if there}


@pytest.fixture
def office() -> Office:
    return Office()


def test_organisation_begins_with_its_built_in_groups_and_its_founder(office: Office) -> None:
    for name in BUILT_IN_GROUPS:
        made = office.table.find(Kind.GROUP, "demo", name)
        assert made is not None
        assert made.origin is Origin.BUILT_IN
        assert made.spec["memberLinks"] == ([FOUNDER.link] if name == SUPERUSERS else [])
    assert office.table.find(Kind.USER, "demo", FOUNDER.name) == FOUNDER
    assert office.table.group_hints(FOUNDER.link) == [group_link("demo", SUPERUSERS)]
    with pytest.raises(AlreadyExists):
        office.organisations.create("demo")


def test_an_absent_organisation_cannot_be_removed(office: Office) -> None:
    with pytest.raises(NotFound):
        office.organisations.remove("absent", force=True)


def test_an_organisation_with_images_is_kept_unless_forced(office: Office) -> None:
    office.fill()
    before = office.left()
    with pytest.raises(InUse):
        office.organisations.remove("demo")
    assert office.left() == before
    assert not office.organisations.remove("demo", force=True).finished
    assert office.left() == set()
    # What was forced once goes on without.
    office.clock.advance(AFTERWARDS)
    assert office.organisations.remove("demo").finished


def test_an_organisation_without_images_goes_with_its_repositories(office: Office) -> None:
    office.fill(images=False)
    office.organisations.remove("demo")
    assert office.left() == set()


def test_the_name_is_free_when_the_last_token_has_expired_and_nothing_is_left(office: Office) -> None:
    office.fill()
    removed = office.organisations.remove("demo", force=True)
    assert removed.again > office.clock() + TOKEN_LIFETIME
    with pytest.raises(AlreadyExists):
        office.organisations.create("demo")
    # Somebody with a token, who had begun before, has written something meanwhile.
    repository = Repository("demo", "app-1")
    with pytest.raises(NameUnknown):
        office.table.put_manifest(
            repository, manifest("m"), repository_id="id-of-app-1", uses=[], referrer=None
        )
    office.table.put_organisation_blob("demo", link("a", repository, "api/a"))
    assert office.left() != set()
    office.clock.advance(TOKEN_LIFETIME)
    assert not office.organisations.remove("demo").finished
    assert office.left() == set()
    office.clock.now = removed.again
    assert office.organisations.remove("demo").finished
    office.organisations.create("demo")
    for number in range(3):
        assert office.table.find_repository(Repository("demo", f"app-{number}")) is None
    assert office.left() == {"org", "group"}
    assert office.organisations.remove("demo").rows > 0


def test_a_removal_that_runs_out_of_time_is_continued(office: Office) -> None:
    office.fill()
    calls = 0
    while office.left():
        removed = office.organisations.remove("demo", force=True, has_time=lambda: False)
        assert not removed.finished
        assert office.table.find(Kind.ORG, "demo", "demo") is None
        calls += 1
    assert calls > 5


@pytest.mark.parametrize("lost", [False, True])
def test_a_crash_anywhere_leaves_what_the_next_call_removes(lost: bool) -> None:
    at, crashed = 0, True
    while crashed:
        office = Office()
        office.fill()
        with office.faults.failing(at=at, lost=lost):
            try:
                office.organisations.remove("demo", force=True)
                crashed = False
            except Unavailable:
                pass
        if at >= 3:  # Marked: from then on nobody may anything.
            decided = Authorization(office.table).decide(
                FOUNDER.link, Permission.PULL, Resource.of_repository(APP)
            )
            assert isinstance(decided, Deny)
        office.organisations.remove("demo", force=True)
        assert office.left() == set()
        office.clock.advance(AFTERWARDS)
        with office.faults.failing(at=at, lost=lost):
            try:
                office.organisations.remove("demo", force=True)
            except Unavailable:
                try:
                    office.organisations.remove("demo", force=True)
                except NotFound:
                    assert lost
        office.organisations.create("demo")
        assert office.left() == {"org", "group"}
        at += 1
    assert at > 20


def test_others_are_not_touched(office: Office) -> None:
    office.fill()
    office.table.create(record(Kind.SERVICE_ACCOUNT, "robot", "other"))
    office.table.add_key(account_key("one", owner="/org/other/serviceaccount/robot"))
    office.table.create(policy("abroad", FOUNDER.link, org="other"))
    other = Repository("other", "app")
    office.table.create_repository(RepositoryRecord(other, "id-of-other", office.clock()))
    put_manifest(office.table, other, manifest("m"), uses=[], referrer=None)
    office.organisations.remove("demo", force=True)
    assert office.table.find_manifest(other, digest("m")) is not None
    assert office.table.find_repository(other) is not None
    assert office.table.find_key(account_key("one", owner="x").id) is not None
    assert office.table.policy_hints([FOUNDER.link], Kind.IMAGE, "other") == ["abroad"]
