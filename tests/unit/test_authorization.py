"""Who may do what, decided over accounts: by the principal's own organisation and nothing else."""

import pytest

from moorage.domain.names import Repository
from moorage.domain.permissions import Permission
from moorage.domain.policies import Allow, Binding, Deny, Policy
from moorage.services import authorization
from moorage.services.authorization import Authorization
from tests.unit.store import APP, FOREIGN, STRANGER, WHO, Store


@pytest.fixture
def authority() -> Authorization:
    return Authorization(Store().table)


@pytest.mark.parametrize("permission", Permission)
def test_a_superuser_may_everything_at_home_and_nothing_abroad(
    authority: Authorization, permission: Permission
) -> None:
    assert isinstance(authority.decide(WHO, permission, APP), Allow)
    assert isinstance(authority.decide(WHO, permission, FOREIGN), Deny)
    assert isinstance(authority.decide(STRANGER, permission, APP), Deny)
    assert isinstance(authority.decide("/org/demo/serviceaccount/none", permission, APP), Deny)


def test_not_even_a_policy_that_names_a_stranger_lets_it_in(
    authority: Authorization, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generous(org: str) -> tuple[Policy, ...]:
        everybody = frozenset({WHO, STRANGER, "/org/other/group/superusers"})
        return (Policy("generous", org, (Binding(frozenset(Permission), everybody),)),)

    monkeypatch.setattr(authorization, "built_in_policies", generous)
    assert isinstance(authority.decide(WHO, Permission.PULL, APP), Allow)
    assert isinstance(authority.decide(STRANGER, Permission.PULL, APP), Deny)


@pytest.mark.parametrize("org", ["demo-", "dem", "demo2", "DEMO", "demo/serviceaccount/admin", ""])
def test_an_organisation_of_a_similar_name_is_another(authority: Authorization, org: str) -> None:
    principal = f"/org/{org}/serviceaccount/admin"
    assert isinstance(authority.decide(principal, Permission.PULL, Repository("demo", "app")), Deny)
