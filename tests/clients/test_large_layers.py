"""Layers of any size, pushed by every client and pulled again by either way: no byte of them enters a function."""

from __future__ import annotations

import pytest

from tests.clients import command, matrix
from tests.clients.absent import ABSENT
from tests.clients.carrying import carry
from tests.clients.cells import cell
from tests.clients.cloud import Cloud
from tests.clients.subject import Subject

SIZES = {
    "60 MB layer": (5_000_000, 60_000_000),
    "60 MB layer, edge": (5_000_000, 60_000_000),
    "700 MB layer": (5_000_000, 700_000_000),
}

pytestmark = pytest.mark.timeout(900)


def assert_carries(subject: Subject, cloud: Cloud, case: str, capsys: pytest.CaptureFixture[str]) -> int:
    """Push and pull what the case says, and tell how long it took; how many blobs came from the edge."""
    repository = f"{subject.name}-{max(SIZES[case])}"
    with cell(subject, case) as outcomes:
        carried = carry(subject.name, cloud, SIZES[case], matrix.RESULTS, outcomes, repository=repository)
        push, pull = outcomes
        took = f"pushed in {push.seconds:.1f} s, pulled in {pull.seconds:.1f} s"
        with capsys.disabled():
            print(f"\n{subject.name}, {case}: {took}", end=" ")
        assert carried.entered == 0
    return carried.edge


@pytest.mark.parametrize("case", ["60 MB layer", "700 MB layer"])
def test_layers_go_past_the_functions_and_come_back_from_storage(
    subject: Subject, case: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if (subject.name, case) in ABSENT:
        return
    monkeypatch.setattr(command, "FINISHED_WITHIN", 400.0)
    assert assert_carries(subject, subject.cloud, case, capsys) == 0


def test_layers_go_past_the_functions_and_come_back_from_the_edge(
    subject: Subject, edge_cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    case = "60 MB layer, edge"
    layers = 1 if subject.name == "helm" else len(SIZES[case])
    assert assert_carries(subject, edge_cloud, case, capsys) == layers + 1
