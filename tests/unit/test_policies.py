"""Permissions and policies: nothing that is not given, and nothing across organisations."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.names import Repository
from moorage.domain.permissions import IMPLIED, Permission, expand
from moorage.domain.policies import Allow, Binding, Deny, Policy, built_in_policies, decide

CREATE, DELETE, EDIT, MANAGE, PULL, VIEW = Permission

permission_sets = st.frozensets(st.sampled_from(Permission))
links = st.sampled_from(
    [
        f"/org/{org}/{kind}/{name}"
        for org in ("ab", "cd")
        for kind in ("serviceaccount", "group")
        for name in ("x", "superusers", "viewers")
    ]
)
bindings = st.builds(Binding, permission_sets, st.frozensets(links, max_size=3))
policies = st.builds(
    Policy,
    st.sampled_from(["p", "q"]),
    st.sampled_from(["ab", "cd"]),
    st.lists(bindings, max_size=3).map(tuple),
)
repositories = st.builds(Repository, st.sampled_from(["ab", "cd"]), st.sampled_from(["x", "y"]))


@pytest.mark.parametrize(
    ("permission", "all_that_it_gives"),
    [
        (CREATE, {CREATE, PULL, VIEW}),
        (DELETE, {DELETE}),
        (EDIT, {EDIT, VIEW}),
        (MANAGE, set(Permission)),
        (PULL, {PULL, VIEW}),
        (VIEW, {VIEW}),
    ],
)
def test_a_permission_gives(permission: Permission, all_that_it_gives: set[Permission]) -> None:
    assert expand(frozenset({permission})) == all_that_it_gives


@given(permission_sets, permission_sets)
def test_implication_is_closed_and_each_permission_counts_for_itself(
    one: frozenset[Permission], other: frozenset[Permission]
) -> None:
    wide = expand(one)
    assert one <= wide == expand(wide)
    assert expand(one | other) == wide | expand(other)
    assert all(IMPLIED.get(permission, frozenset()) <= wide for permission in wide)


def reachable(permission: Permission) -> set[Permission]:
    """By walking every chain of implications, one step at a time."""
    chains = [[permission]]
    for chain in chains:
        chains += [[*chain, onward] for onward in IMPLIED.get(chain[-1], ()) if onward not in chain]
    assert all(onward in IMPLIED[link] for chain in chains for link, onward in pairwise(chain))
    return {chain[-1] for chain in chains}


@given(permission_sets)
def test_nothing_is_implied_but_by_a_chain(granted: frozenset[Permission]) -> None:
    assert expand(granted) == set().union(*map(reachable, granted))


@given(st.sampled_from(Permission), repositories, st.frozensets(links), st.lists(policies, max_size=4))
def test_a_decision_is_allow_exactly_when_a_binding_of_the_organisation_says_so(
    permission: Permission, repository: Repository, principals: frozenset[str], held: list[Policy]
) -> None:
    given_by = {
        policy.name
        for policy in held
        for binding in policy.bindings
        for granted in binding.permissions
        for principal in binding.principals
        if policy.org == repository.org and principal in principals and permission in reachable(granted)
    }
    match decide(permission, repository, principals, held):
        case Allow(policy):
            assert policy in given_by
        case Deny(reason):
            assert not given_by
            assert permission in reason


@given(st.sampled_from(Permission), repositories, st.frozensets(links), st.lists(policies), policies)
def test_another_policy_never_takes_away(
    permission: Permission,
    repository: Repository,
    principals: frozenset[str],
    held: list[Policy],
    more: Policy,
) -> None:
    before = decide(permission, repository, principals, held)
    if isinstance(before, Allow):
        assert isinstance(decide(permission, repository, principals, [more, *held]), Allow)


@given(st.sampled_from(Permission), st.frozensets(links))
def test_built_in_policies_give_nothing_to_another_organisation(
    permission: Permission, principals: frozenset[str]
) -> None:
    strangers = frozenset(link for link in principals if link.startswith("/org/cd/"))
    assert isinstance(decide(permission, Repository("ab", "x"), strangers, built_in_policies("ab")), Deny)
    all_policies = (*built_in_policies("ab"), *built_in_policies("cd"))
    assert isinstance(decide(permission, Repository("ab", "x"), strangers, all_policies), Deny)


def test_superusers_may_do_all_and_viewers_may_look() -> None:
    held = built_in_policies("ab")
    for permission in Permission:
        for group, may in (("superusers", True), ("viewers", permission is VIEW), ("others", False)):
            decision = decide(permission, Repository("ab", "x"), frozenset({f"/org/ab/group/{group}"}), held)
            assert isinstance(decision, Allow) == may, (permission, group)


def test_without_policies_or_principals_nothing_is_allowed() -> None:
    everything = Policy("all", "ab", (Binding(frozenset(Permission), frozenset({"/org/ab/group/x"})),))
    for permission in Permission:
        assert isinstance(decide(permission, Repository("ab", "x"), frozenset({"/org/ab/group/x"}), ()), Deny)
        assert isinstance(decide(permission, Repository("ab", "x"), frozenset(), [everything]), Deny)
