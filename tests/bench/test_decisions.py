"""Tokens are measured for who they are said to be for, and cost what the principal needs, not the organisation."""

import re
from dataclasses import replace

import pytest

from bench import decisions, organisation
from bench.functions import ENVIRONMENT, load, world
from bench.organisation import Organisation
from bench.partitions import PartitionedServices
from moorage.adapters.dynamodb import connect_table

SIZES = (10, 150)


@pytest.fixture(scope="module")
def figures():
    return {figure.name: figure for figure in decisions.measure(lambda _: None, SIZES, rounds=2, batch=1)}


@pytest.mark.parametrize("who", decisions._FLAT)
def test_the_calls_of_a_token_do_not_depend_on_the_number_of_policies(figures, who):
    few, many = (figures[f"{who}: {size} policies"] for size in SIZES)
    assert few.bound == many.bound
    assert figures[f"{who}: 150 policies / 10"].runs == tuple(
        one / other for one, other in zip(many.runs, few.runs, strict=True)
    )


@pytest.mark.parametrize(
    ("who", "calls"),
    [
        (organisation.SUPERUSER, 2),
        (organisation.ACCOUNT, 5),
        (organisation.REFUSED, 5),
        (organisation.MEMBER, 7),
        (organisation.USER, 7),
        (organisation.IDENTITY, 4),
        (organisation.PULLING, 2),
        (organisation.NAMED, 6),
        (organisation.SHARED, 8),
    ],
)
def test_a_token_takes_so_many_calls(figures, who, calls):
    assert figures[f"{who}: 150 policies"].bound.startswith(f"{calls} calls ")


def test_policies_that_name_the_principal_are_read_before_a_refusal(figures):
    rows = {
        who: int(re.findall(r"find ([\d,]+) rows", figures[f"{who}: 150 policies"].bound)[0])
        for who in (organisation.NAMED, organisation.REFUSED)
    }
    assert rows[organisation.NAMED] - rows[organisation.REFUSED] == 150 - 5 - 1


def test_who_is_granted_something_else_is_no_figure():
    services = PartitionedServices()
    with world(services):
        services.recording = True
        asking = Organisation(connect_table(ENVIRONMENT["TABLE_NAME"]), "small").fill(10)
        handler, account = load("token"), asking[organisation.ACCOUNT]
        assert decisions._checked(handler, "account", account).status == 200
        with pytest.raises(RuntimeError, match="account is granted"):
            decisions._checked(handler, "account", replace(account, granted=("pull",)))
        with pytest.raises(RuntimeError, match="UNAUTHORIZED"):
            decisions._checked(handler, "account", replace(account, secret="no key"))
