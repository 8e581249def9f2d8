"""Keys become tokens: of what was asked for, what the account may do, and nothing besides."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.memory import MemorySigningKeySource, MemoryTable
from moorage.bootstrap import token as bootstrap
from moorage.domain.addresses import Address
from moorage.domain.errors import CredentialsInvalid, InvalidInput, Unavailable
from moorage.domain.grants import Action
from moorage.domain.names import Repository
from moorage.domain.principals import SUPERUSERS, VIEWERS, KeyRecord
from moorage.services.accounts import AccountAdministration
from moorage.services.verification import TokenVerification
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
        token = self.verification.verify(self.issuing.issue(self.key(who), scopes, HOST).token)
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
        assert desk.issuing.authenticate(username, secret).account.name == "super"
    for username in ("", "token", "<TOKEN>", "super", "demo", "Laptop", "laptop ", "demo/super", "\0"):
        with pytest.raises(CredentialsInvalid) as caught:
            desk.issuing.authenticate(username, secret)
        assert "<token>" in caught.value.message
        assert secret not in caught.value.message


def test_an_unknown_a_wrong_a_revoked_and_an_expired_key_look_alike(desk: Desk) -> None:
    known = desk.secrets["demo/super"]
    account = desk.key("demo/super").account
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
    account = desk.key("demo/super").account
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
        kids.append(jwt.get_unverified_header(desk.issuing.issue(key, [], HOST).token)["kid"])
        desk.clock.advance(timedelta(minutes=1))
    assert kids == ["first"] * 5 + ["second"] * 2
    assert desk.faults.calls.count("signing_key") == 2


def test_without_scopes_no_group_is_read(desk: Desk) -> None:
    key = desk.key("demo/super")
    desk.faults.calls.clear()
    desk.issuing.issue(key, [], HOST)
    assert desk.faults.calls == ["signing_key"]


def test_a_token_that_fits_no_request_is_not_issued(desk: Desk) -> None:
    key = desk.key("demo/super")
    names = [f"repository:demo/{'a' * 100}{number}:pull,push" for number in range(100)]
    with pytest.raises(InvalidInput, match="fewer"):
        desk.issuing.issue(key, names, HOST)
    assert len(desk.issuing.issue(key, names[:25], HOST).token) <= 6144
    # Asking for one repository any number of times is asking for one.
    assert len(desk.issuing.issue(key, names[:1] * 5000, HOST).token) < 1000


@pytest.mark.parametrize("call", range(3))
def test_no_token_is_issued_while_a_dependency_is_down(desk: Desk, call: int) -> None:
    calls = ["find_key", "groups_of", "signing_key"]
    with desk.faults.failing(at=call), pytest.raises(Unavailable):
        desk.grants("demo/super", "repository:demo/app:pull")
    assert desk.faults.calls == calls[: call + 1]
    assert desk.grants("demo/super", "repository:demo/app:pull")[0]
