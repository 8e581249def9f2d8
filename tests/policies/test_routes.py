"""The table of routes has those that both applications serve, and no others."""

from __future__ import annotations

from collections import Counter

from moorage.domain.grants import REQUIRED_PERMISSION
from moorage.web.management.route import BootstrapRoute, SignedRoute
from moorage.web.management.routing import routes_of
from moorage.web.registry import PATHS
from tests.policies.table import (
    AT_TWO_PLACES,
    FOR_NOBODY,
    FOR_READERS_OF_POLICIES,
    FREE,
    FROM,
    MANAGEMENT,
    REGISTRY,
    ROUTES,
    TO,
)
from tests.protocol.management.world import management_in_memory

with management_in_memory() as _any:
    SERVED = [(method, route) for route in routes_of(_any.api) for method in sorted(route.methods or ())]


def test_registry_serves_the_routes_of_the_table_with_their_permissions() -> None:
    served = {
        (endpoint.method, path.pattern, REQUIRED_PERMISSION[endpoint.action].value)
        for path in PATHS
        for endpoint in path.endpoints
    }
    assert served == {(route.method, route.path, route.needs) for route in REGISTRY if not route.variant}


def test_mounts_are_variants_of_a_route_of_the_table() -> None:
    plain = {(route.method, route.path) for route in REGISTRY if not route.variant}
    mounts = {route.variant: route for route in REGISTRY if route.variant}
    assert {(route.method, route.path) for route in mounts.values()} <= plain
    assert {variant: route.needs for variant, route in mounts.items()} == {FROM: "pull", TO: "create"}


def test_management_application_serves_the_routes_of_the_table() -> None:
    signed = [(method, route.path) for method, route in SERVED if isinstance(route, SignedRoute)]
    needing = {(route.method, route.path) for route in MANAGEMENT}
    others = (FREE, FOR_NOBODY, FOR_READERS_OF_POLICIES, AT_TWO_PLACES)
    assert set(signed) == needing.union(*others)
    assert len(needing) + sum(map(len, others)) == len(signed)


def test_what_no_policy_decides_takes_the_bootstrap_credential_or_none() -> None:
    others = {(method, route.path): type(route) for method, route in SERVED}
    bootstrapped = {name for name, kind in others.items() if issubclass(kind, BootstrapRoute)}
    assert bootstrapped == {("POST", "/org")}
    unsigned = {name for name, kind in others.items() if not issubclass(kind, SignedRoute)}
    assert unsigned - bootstrapped == {
        ("GET", "/discovery"),
        ("GET", "/about"),
        ("GET", "/discovery/openapi.json"),
    }


def test_no_route_is_twice_in_the_table() -> None:
    assert [name for name, times in Counter(route.name for route in ROUTES).items() if times > 1] == []
