"""What a token costs: the same in an organisation with ten policies and in one with thousands."""

from __future__ import annotations

import gc
import time

import jwt
import pytest

from moorage.adapters import keys
from moorage.adapters.dynamodb.resources import _row
from moorage.adapters.dynamodb.rows import row
from moorage.adapters.memory import MemorySigningKeySource
from moorage.bootstrap import token as bootstrap
from moorage.domain.addresses import Address
from moorage.domain.principals import SUPERUSERS, VIEWERS
from moorage.domain.resources import Kind
from tests.contract.counting import counted
from tests.contract.samples import NOW, group, make_organisation, policy, record
from tests.protocol.world import new_signing_key

QUERY = {"kind": "user", "spec": {"match": "all", "terms": [{"op": "=", "tag": "team", "value": "red"}]}}
SUPERUSER, ROBOT, NOBODY, STRANGER = (
    f"/org/{org}/serviceaccount/{name}"
    for org, name in (("demo", "super"), ("demo", "robot"), ("demo", "nobody"), ("other", "robot"))
)
USER, WEB = "/org/demo/user/u@example.com", "/org/demo/gvc/prod/identity/web"
SIZES = (10, 1_000, 5_000)
GROUPS = 100
SCOPES = ["repository:demo/app:pull,push", "repository:demo/other:pull"]

FIRST, GROUPS_READ, HINTS, POLICIES = ["BatchGetItem"], ["BatchGetItem"], ["BatchGetItem"], ["BatchGetItem"]
COSTS = {
    SUPERUSER: FIRST,
    ROBOT: [*FIRST, "Query", *GROUPS_READ, *HINTS, *POLICIES],
    USER: [*FIRST, "Query", "GetItem", *GROUPS_READ, *HINTS, *POLICIES],
    NOBODY: [*FIRST, "Query", *HINTS],
    STRANGER: [*FIRST, "Query", *HINTS, *POLICIES],
    WEB: [*FIRST, *HINTS],
}

BOTH = {"demo/app": ["pull", "push"], "demo/other": ["pull"]}
PULL = {"demo/app": ["pull"], "demo/other": ["pull"]}
GRANTED = {SUPERUSER: BOTH, ROBOT: BOTH, USER: PULL, NOBODY: {}, STRANGER: PULL, WEB: PULL}


@pytest.fixture(scope="module")
def organisation(connected, table_definition):
    """An organisation with a hundred groups, and what lets policies be put into it quickly."""
    table = connected[0]
    table = type(table)(type(table._table)("contract-decisions"))
    table._table.client = connected[0]._table.client
    table._table.client().call("CreateTable", {"TableName": "contract-decisions", **table_definition})
    make_organisation(table, "other")
    groups = [group(SUPERUSERS, SUPERUSER), group(VIEWERS)]
    table.create_organisation(record(Kind.ORG, "demo"), groups)
    for name in ("super", "robot", "nobody"):
        table.create(record(Kind.SERVICE_ACCOUNT, name))
    table.create(record(Kind.SERVICE_ACCOUNT, "robot", "other"))
    table.create(record(Kind.USER, "u@example.com", tags={"team": "red"}))
    table.create(record(Kind.GVC, "prod"))
    table.create(record(Kind.IDENTITY, "prod/web"))
    table.create(group("red", query=QUERY))
    for number in range(GROUPS):
        members = [ROBOT] if number % 10 == 0 else ["/org/demo/serviceaccount/other"]
        table.create(group(f"team-{number:02}", *members))
    table.create(policy("a-pullers", ROBOT, "/org/demo/group/red", STRANGER))
    table.create(policy("b-pushers", "/org/demo/group/team-10", permission="create"))
    yield table
    table._table.client().call("DeleteTable", {"TableName": "contract-decisions"})


def grow(table, size: int) -> None:
    """Policies that name groups which none of the principals is in, as many as can be."""
    made = [
        policy(f"p-{number:04}", *(f"/org/demo/group/team-{(number + step) % 9 + 1:02}" for step in range(3)))
        for number in range(size)
    ]
    table._table.put_all([_row(each) for each in made])
    hinted: dict[str, set[str]] = {}
    for each in made:
        for link in each.spec["bindings"][0]["principalLinks"]:
            hinted.setdefault(link, set()).add(f"{each.name}#{each.id}")
    table._table.put_all(
        [
            row(keys.policy_hints(link, Kind.IMAGE, "demo"), "policy-hints", {"names": frozenset(names)})
            for link, names in hinted.items()
        ]
    )


@pytest.fixture
def uncollected():
    """No call is charged with the collection of all that other tests have left."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_a_token_costs_as_much_whatever_the_organisation_has(organisation):
    signing, _ = new_signing_key("first")
    issuing = bootstrap.assemble(organisation, MemorySigningKeySource(signing), lambda: NOW)
    cpu = {}
    for size in SIZES:
        grow(organisation, size)
        for principal, expected in COSTS.items():
            started = time.process_time()
            with counted(organisation._table.client()) as sent:
                issued = issuing.issue(principal, SCOPES, Address("registry.example"))
            cpu[principal, size] = time.process_time() - started
            assert sent == expected, (principal, size)
            claims = jwt.decode(issued.token, options={"verify_signature": False})
            assert claims["granted"] == GRANTED[principal], (principal, size)
    # Generous, for a machine that is at something else, and far from what a look at each policy takes.
    for principal in COSTS:
        assert cpu[principal, SIZES[-1]] < cpu[principal, SIZES[0]] + 0.1, cpu
