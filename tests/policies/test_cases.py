"""Every route, permission, principal and form of target: the engine says what the oracle says."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest

from moorage.domain import permissions
from moorage.domain.permissions import Permission, PermissionInfo, permissions_of
from moorage.domain.resources import Kind
from tests.policies import engine, oracle
from tests.policies.cases import ALL, ORG, PRINCIPALS, Case, cases, resource
from tests.policies.table import IMPLIED, ROUTES, WITHOUT_ROUTES, Route


def differing(held: list[Case]) -> list[Case]:
    """The cases in which engine and oracle say different things."""
    return [
        case
        for case in held
        if engine.allows(
            case.route.needs,
            engine.resource_of(resource(case.route)),
            case.principal.links,
            [engine.policy_of(ORG, case.policy)],
        )
        != oracle.allows(case.route.needs, resource(case.route), case.principal.links, [(ORG, case.policy)])
    ]


def test_there_are_enough_cases_and_no_two_are_the_same() -> None:
    distinct = {(case.route, case.permission, case.principal.form, case.target) for case in ALL}
    assert len(ALL) == len(distinct) >= 500
    assert set(IMPLIED) == {kind.value for kind in Kind}
    assert {route.kind for route in ROUTES} == set(IMPLIED) - WITHOUT_ROUTES
    # No permission but `manage` is left over; organisations are made with another credential.
    assert {(route.kind, route.needs) for route in ROUTES} == {
        (kind, permission)
        for kind in set(IMPLIED) - WITHOUT_ROUTES
        for permission in IMPLIED[kind]
        if permission != "manage" and (kind, permission) not in {("org", "create"), ("user", "create")}
    }


def test_cases_are_allowed_and_denied_alike_often_enough_to_mean_something() -> None:
    allowed = [
        case
        for case in ALL
        if oracle.allows(case.route.needs, resource(case.route), case.principal.links, [(ORG, case.policy)])
    ]
    assert len(ALL) / 20 < len(allowed) < len(ALL) / 2
    assert {(case.route, case.target) for case in allowed} >= {(route, "all") for route in ROUTES}
    assert {case.principal.form for case in allowed} == {principal.form for principal in PRINCIPALS[:-3]}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_route_is_allowed_exactly_to_whom_a_policy_allows_it(route: Route) -> None:
    assert differing(list(cases(route))) == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_route_is_refused_without_a_policy_and_by_those_of_another_organisation(route: Route) -> None:
    about = engine.resource_of(resource(route))
    for principal in PRINCIPALS:
        assert not engine.allows(route.needs, about, principal.links, [])
        binding = {"permissions": ["manage"], "principalLinks": sorted(principal.links)}
        body = {"targetKind": route.kind, "target": "all", "bindings": [binding]}
        assert not engine.allows(route.needs, about, principal.links, [engine.policy_of("other", body)])
        assert engine.allows(route.needs, about, principal.links, [engine.policy_of(ORG, body)])


@pytest.mark.parametrize("kind", Kind)
def test_the_published_table_is_the_one_that_was_promised(kind: Kind) -> None:
    assert published(kind) == IMPLIED[kind]
    assert all(info.description for info in permissions_of(kind))
    assert [info.permission for info in permissions_of(kind)] == sorted(IMPLIED[kind])


def published(kind: Kind) -> dict[str, set[str]]:
    return {info.permission.value: {each.value for each in info.implies} for info in permissions_of(kind)}


def mutants(kind: Kind) -> Iterator[tuple[str, str]]:
    """Each pair of permissions: where one implies the other it will not, where it does not it will."""
    for one in IMPLIED[kind]:
        for other in IMPLIED[kind]:
            yield one, other


def mutate(monkeypatch: Any, kind: Kind, one: str, other: str) -> None:
    def changed(info: PermissionInfo) -> PermissionInfo:
        if info.permission.value != one:
            return info
        return PermissionInfo(
            info.permission, info.description, info.implies ^ frozenset({Permission(other)})
        )

    tables = {**permissions._KINDS, kind: tuple(map(changed, permissions_of(kind)))}
    monkeypatch.setattr(permissions, "_KINDS", MappingProxyType(tables))
    permissions.expand.cache_clear()


def expanded(kind: Kind, name: str) -> set[str]:
    """What the engine takes a permission for."""
    return {each.value for each in permissions.expand(kind, frozenset({Permission(name)}))}


def reach(kind: str, table: dict[str, set[str]]) -> dict[str, set[str]]:
    """What each permission gives in the end."""
    given = {name: {name} for name in table}
    for _ in table:
        given = {name: set().union(*(table[each] for each in held), held) for name, held in given.items()}
    return given


@pytest.mark.parametrize("kind", Kind)
def test_no_implication_can_be_changed_unnoticed(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {route.needs: route for route in ROUTES if route.kind == kind}
    held = [
        case
        for route in needed.values()
        for case in cases(route)
        if case.principal.form == "user" and case.target == "all"
    ]
    assert not differing(held)
    noticed = 0
    for one, other in mutants(kind):
        with monkeypatch.context() as patch:
            mutate(patch, kind, one, other)
            with pytest.raises(AssertionError):
                test_the_published_table_is_the_one_that_was_promised(kind)
            before, after = reach(kind, IMPLIED[kind]), reach(kind, published(kind))
            changed = {name for name in before if before[name] != after[name]}
            assert {name for name in before if expanded(kind, name) != before[name]} == changed, (one, other)
            # What no route asks for, and what other implications give anyway, no route shows.
            asked = {name for name in before if (before[name] ^ after[name]) & set(needed)}
            assert {case.permission for case in differing(held)} == asked, (one, other)
            noticed += bool(asked)
    permissions.expand.cache_clear()
    assert noticed >= (0 if kind in WITHOUT_ROUTES else len(IMPLIED[kind]))
