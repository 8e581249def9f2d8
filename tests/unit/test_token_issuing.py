"""Keys become tokens: of what was asked for, what the account may do, and nothing besides."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.memory import MemorySigningKeySource, MemoryTable
from moorage.bootstrap import token as bootstrap
from moorage.domain.addresses import Address
from moorage.domain.errors import CredentialsInvalid, InvalidInput, Throttled, Unavailable, WriteConflict
from moorage.domain.grants import Action
from moorage.domain.names import Repository
from moorage.domain.principals import SUPERUSERS, VIEWERS, KeyRecord, ServiceAccount
from moorage.domain.resources import Kind
from moorage.services.accounts import AccountAdministration
from moorage.services.keys import KeyAdministration
from moorage.services.verification import TokenVerification
from tests.contract.samples import policy, record
from tests.protocol.world import Clock, new_signing_key
from tests.unit.faults import Faults

HOST = Address("registry.example")
ALL = frozenset(Action)


class Desk:
    """A token service with an account in each built-in group, and one in none."""

    def __init__(self) -> None:
        self.clock, self.table, self.faults = Clock(), MemoryTable(), Faults()
        signing, public = new_signing_key("first")
        self.source = MemorySigningKeySource(signing)
        self.table.publish(public)
        self.issuing = bootstrap.assemble(
            self.faults.wrap(self.table), self.faults.wrap(self.source), self.clock
        )
        self.verification = TokenVerification(self.table, self.clock)
        self.administration = AccountAdministration(self.table, self.clock)
        self.secrets: dict[str, str] = {}
        for org in ("demo", "other"):
            self.administration.create_organisation(org)
            for name, groups in (("super", [SUPERUSERS]), ("viewer", [VIEWERS]), ("nobody", [])):
                account = self.administration.create_service_account(org, name, groups=groups)
                self.secrets[f"{org}/{name}"] = self.administration.add_key(account, "laptop").secret

    def key(self, who: str) -> KeyRecord:
        return self.issuing.authenticate("<token>", self.secrets[who])

    def grants(self, who: str, *scopes: str) -> tuple[Any, Any]:
        token = self.verification.verify(self.issuing.issue(self.key(who).owner, scopes, HOST).token)
        assert token.principal == f"/org/{who.replace('/', '/serviceaccount/')}"
        return token.granted, token.refused


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("who", "scope", "granted", "refused"),
    [
        ("demo/super", "repository:demo/app:pull,push,delete", ALL, ()),
        ("demo/super", "repository:demo/app:*", ALL, ()),
        ("demo/super", "repository:demo/app:pull", {Action.PULL}, ()),
        ("demo/super", "repository:other/app:*", (), ALL),
        ("demo/viewer", "repository:demo/app:*", (), ALL),
        ("demo/viewer", "repository:demo/app:pull", (), {Action.PULL}),
        ("demo/nobody", "repository:demo/app:*", (), ALL),
        ("other/super", "repository:demo/app:pull", (), {Action.PULL}),
        ("demo/super", "repository:missing/app:pull", (), {Action.PULL}),
    ],
)
def test_an_account_is_granted(desk: Desk, who: str, scope: str, granted: Any, refused: Any) -> None:
    repository = Repository.parse(scope.split(":")[1])
    assert desk.grants(who, scope) == (
        {repository: frozenset(granted)} if granted else {},
        {repository: frozenset(refused)} if refused else {},
    )


scopes = st.lists(
    st.builds(
        "repository:{}/{}:{}".format,
        st.sampled_from(["demo", "other", "third"]),
        st.sampled_from(["app", "b/c"]),
        st.lists(st.sampled_from(["pull", "push", "delete", "*"]), min_size=1, max_size=3).map(",".join),
    ),
    max_size=5,
)
DESK = Desk()


@given(st.sampled_from(sorted(DESK.secrets)), scopes)
def test_what_is_granted_and_refused_is_exactly_what_was_asked_for_and_never_anothers(
    who: str, asked: list[str]
) -> None:
    granted, refused = DESK.grants(who, *asked)
    wanted: dict[str, set[str]] = {}
    for scope in asked:
        _, name, actions = scope.split(":")
        wanted.setdefault(name, set()).update(set(Action) if "*" in actions else actions.split(","))
    for name, all_actions in wanted.items():
        repository = Repository.parse(name)
        allowed = granted.get(repository, frozenset())
        assert allowed | refused.get(repository, frozenset()) == all_actions
        assert not allowed & refused.get(repository, frozenset())
        assert bool(allowed) == (who == f"{repository.org}/super")
    assert {repository.name for repository in (*granted, *refused)} == set(wanted)


def test_the_user_name_is_the_literal_or_the_name_of_the_key(desk: Desk) -> None:
    secret = desk.secrets["demo/super"]
    for username in ("<token>", "laptop"):
        assert desk.issuing.authenticate(username, secret).owner == "/org/demo/serviceaccount/super"
    for username in ("", "token", "<TOKEN>", "super", "demo", "Laptop", "laptop ", "demo/super", "\0"):
        with pytest.raises(CredentialsInvalid) as caught:
            desk.issuing.authenticate(username, secret)
        assert "<token>" in caught.value.message
        assert secret not in caught.value.message


def test_an_unknown_a_wrong_a_revoked_and_an_expired_key_look_alike(desk: Desk) -> None:
    known = desk.secrets["demo/super"]
    account = ServiceAccount("demo", "super")
    other = desk.administration.add_key(account, "other").secret
    expiring = desk.administration.add_key(account, "short", life=timedelta(days=1)).secret
    revoked = desk.administration.add_key(account, "revoked").secret
    desk.administration.revoke_key(account, "revoked")
    assert desk.issuing.authenticate_key(expiring).name == "short"
    desk.clock.advance(timedelta(days=1))
    public, secret = known.split("_")[1], known.split("_")[2]
    messages = set()
    for bad in (
        f"mrg_{'a' * 16}_{secret}",
        f"mrg_{public}_{'a' * 52}",
        f"mrg_{public}_{other.split('_')[2]}",
        revoked,
        expiring,
    ):
        for present in (desk.issuing.authenticate_key, lambda key: desk.issuing.authenticate("<token>", key)):
            with pytest.raises(CredentialsInvalid) as caught:
                present(bad)
            messages.add(caught.value.message)
    assert len(messages) == 1


def test_a_removed_member_has_no_grants_with_the_next_token(desk: Desk) -> None:
    account = ServiceAccount("demo", "super")
    desk.administration.remove_member("demo", SUPERUSERS, account)
    assert desk.grants("demo/super", "repository:demo/app:*") == ({}, {Repository("demo", "app"): ALL})


def test_the_signing_key_is_read_once_in_five_minutes_and_its_successor_is_taken_up(desk: Desk) -> None:
    key = desk.key("demo/super")
    second, public = new_signing_key("second")
    desk.table.publish(public)
    kids = []
    for minute in range(7):
        if minute == 1:
            desk.source.key = second
        kids.append(jwt.get_unverified_header(desk.issuing.issue(key.owner, [], HOST).token)["kid"])
        desk.clock.advance(timedelta(minutes=1))
    assert kids == ["first"] * 5 + ["second"] * 2
    assert desk.faults.calls.count("signing_key") == 2


def test_without_scopes_no_group_is_read(desk: Desk) -> None:
    key = desk.key("demo/super")
    desk.faults.calls.clear()
    desk.issuing.issue(key.owner, [], HOST)
    assert desk.faults.calls == ["signing_key"]


def test_a_token_that_fits_no_request_is_not_issued(desk: Desk) -> None:
    key = desk.key("demo/super")
    names = [f"repository:demo/{'a' * 100}{number}:pull,push" for number in range(100)]
    with pytest.raises(InvalidInput, match="fewer"):
        desk.issuing.issue(key.owner, names, HOST)
    assert len(desk.issuing.issue(key.owner, names[:25], HOST).token) <= 6144
    # Asking for one repository any number of times is asking for one.
    assert len(desk.issuing.issue(key.owner, names[:1] * 5000, HOST).token) < 1000


def test_a_token_for_over_two_hundred_repositories_is_refused_before_anything_is_read(desk: Desk) -> None:
    key = desk.key("demo/super")
    desk.faults.calls.clear()
    scopes = [f"repository:demo/{number}:" for number in range(201)]
    with pytest.raises(InvalidInput, match="at most 200 repositories"):
        desk.issuing.issue(key.owner, scopes, HOST)
    assert desk.faults.calls == []
    assert desk.issuing.issue(key.owner, scopes[:200], HOST).principal == key.owner


@pytest.mark.parametrize("call", [0, 1, 2])
def test_no_token_is_issued_while_a_dependency_is_down(desk: Desk, call: int) -> None:
    assert desk.grants("demo/super", "repository:demo/app:pull")[0]  # The use of the key is noted.
    desk.clock.advance(timedelta(minutes=6))
    calls = ["find_key", "find_many", "signing_key"]
    with desk.faults.failing(at=call), pytest.raises(Unavailable):
        desk.grants("demo/super", "repository:demo/app:pull")
    assert desk.faults.calls == calls[: call + 1]
    assert desk.grants("demo/super", "repository:demo/app:pull")[0]


def test_the_use_of_a_key_is_noted_once_a_day(desk: Desk) -> None:
    for day in range(3):
        for _ in range(3):
            key = desk.key("demo/super")
        noted = desk.table.find_key(key.id)
        assert noted is not None
        assert noted.last_used == desk.clock().date()
        assert desk.faults.calls.count("note_use") == day + 1
        desk.clock.advance(timedelta(days=1))


def test_what_is_no_key_is_not_noted(desk: Desk) -> None:
    secret = desk.secrets["demo/super"]
    wrong = secret[:-1] + ("a" if secret[-1] != "a" else "b")
    with pytest.raises(CredentialsInvalid):
        desk.issuing.authenticate_key(wrong)
    assert desk.faults.calls == ["find_key"]


@pytest.mark.parametrize("error", [Unavailable, Throttled, WriteConflict])
def test_a_use_that_cannot_be_noted_fails_nothing_and_is_made_up_for(
    desk: Desk, error: type[Unavailable], caplog: pytest.LogCaptureFixture
) -> None:
    with desk.faults.failing(named="note_use", error=lambda: error("down")):
        assert desk.grants("demo/super", "repository:demo/app:pull")[0]
    assert "not noted" in caplog.text
    assert desk.secrets["demo/super"] not in caplog.text
    assert desk.key("demo/super").last_used is None
    assert desk.key("demo/super").last_used == desk.clock().date()


def test_a_key_of_a_user_is_worth_what_the_user_is_in_that_organisation(desk: Desk) -> None:
    keys = KeyAdministration(desk.table, desk.table, desk.clock)
    secrets = {}
    for org in ("demo", "other"):
        desk.table.create(record(Kind.USER, "u@example.com", org))
        secrets[org] = keys.add(f"/org/{org}/user/u@example.com").secret
    desk.table.create(policy("pullers", "/org/demo/user/u@example.com"))
    asked = ["repository:demo/app:pull", "repository:other/app:pull"]
    for org, granted in (("demo", {Repository("demo", "app"): {Action.PULL}}), ("other", {})):
        key = desk.issuing.authenticate("<token>", secrets[org])
        token = desk.verification.verify(desk.issuing.issue(key.owner, asked, HOST).token)
        assert token.principal == f"/org/{org}/user/u@example.com"
        assert token.granted == granted


def test_the_keys_of_a_deleted_owner_are_dead_also_when_the_name_is_used_again(desk: Desk) -> None:
    owner = desk.table.find(Kind.SERVICE_ACCOUNT, "demo", "super")
    assert owner is not None
    KeyAdministration(desk.table, desk.table, desk.clock).delete_owner(owner)
    with pytest.raises(CredentialsInvalid):
        desk.key("demo/super")
    desk.administration.create_service_account("demo", "super")
    with pytest.raises(CredentialsInvalid):
        desk.key("demo/super")


def test_a_crash_while_an_owner_is_deleted_leaves_no_key_without_it(desk: Desk) -> None:
    owner = desk.table.find(Kind.SERVICE_ACCOUNT, "demo", "super")
    assert owner is not None
    account = ServiceAccount("demo", "super")
    for number in range(3):
        desk.administration.add_key(account, f"key-{number}")
    table = desk.faults.wrap(desk.table)
    for at in range(6):
        with desk.faults.failing(at=at), suppress(Unavailable):
            KeyAdministration(table, table, desk.clock).delete_owner(owner)
        assert desk.table.find(Kind.SERVICE_ACCOUNT, "demo", "super") or not desk.table.keys_of(owner.link)
    assert desk.table.find(Kind.SERVICE_ACCOUNT, "demo", "super") is None


def test_tokens_of_an_organisation_that_is_being_removed_grant_nothing(desk: Desk) -> None:
    desk.table.begin_removal("demo", desk.clock())
    assert desk.grants("demo/super", "repository:demo/app:*") == ({}, {Repository("demo", "app"): ALL})
    desk.administration.remove_organisation("demo")
    with pytest.raises(CredentialsInvalid):
        desk.key("demo/super")
