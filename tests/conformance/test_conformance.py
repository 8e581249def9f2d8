"""The OCI conformance tool against a local cloud, for the released spec and for the next one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance import gate, redirects, report, summary, tool
from tests.conformance.report import Report
from tests.conformance.tool import RESULTS, Target

pytestmark = pytest.mark.timeout(480)

# All of the pinned tool's cases: fewer means that something was left out, more that the pin has moved.
CASES = {"1.1": 793, "dev": 793}


@dataclass(frozen=True, slots=True)
class Finished:
    version: str
    host: str
    target: Target
    folder: Path
    exit_status: int
    report: Report

    @property
    def has_redirects_to_s3(self) -> bool:
        """Whether the tool asks for a header that the target of a redirect cannot send."""
        return self.version == "dev" and self.host != "edge_pulls"


RUNS = [
    ("1.1", "shared_host"),
    ("dev", "shared_host"),
    ("1.1", "own_host"),
    ("1.1", "api_alone"),
    ("1.1", "without_ingest"),
    ("dev", "edge_pulls"),
]


@pytest.fixture(scope="module", params=RUNS, ids="-".join)
def finished(request: pytest.FixtureRequest) -> Finished:
    version, host = request.param
    target: Target = request.getfixturevalue(host)
    folder = RESULTS / f"{version}-{host}"
    with summary.timed() as clock:
        status = tool.run(version, target, folder)
    found = report.read(folder)
    summary.write(f"{version}, {host.replace('_', ' ')}", found, clock.seconds)
    return Finished(version, host, target, folder, status, found)


def excused(finished: Finished) -> dict[str, int]:
    return redirects.CASES if finished.has_redirects_to_s3 else {}


def test_configuration_every_option_was_read(finished: Finished) -> None:
    expected = tool.configuration(finished.version, finished.target, finished.folder)
    assert gate.misread(finished.report.config, expected) == []


def test_answers_all_come_from_moorage(finished: Finished) -> None:
    assert report.strangers(finished.report, finished.target.endpoint) == []


def test_rows_all_pass(finished: Finished) -> None:
    failing = redirects.ROWS if finished.has_redirects_to_s3 else frozenset()
    assert gate.rows(finished.report, failing=failing) == []


def test_cases_none_failed_and_none_skipped(finished: Finished) -> None:
    wrong = gate.cases(finished.report, count=CASES[finished.version], redirected=excused(finished))
    assert wrong == []


def test_listed_failures_are_what_only_a_redirect_target_could_satisfy(finished: Finished) -> None:
    assert gate.excuses(finished.report, finished.target.endpoint, excused(finished)) == []


def test_blobs_come_from_the_edge_only_where_they_should(finished: Finished) -> None:
    from_the_edge = sum(answer.is_download for case in finished.report.cases for answer in case.answers)
    assert (from_the_edge > 0) == (finished.host == "edge_pulls")


def test_blobs_are_streamed_only_where_they_should(finished: Finished) -> None:
    streamed = sum(answer.is_streamed for case in finished.report.cases for answer in case.answers)
    assert (streamed > 0) == (finished.host not in {"api_alone", "without_ingest"})


def test_exit_status_agrees_with_the_cases(finished: Finished) -> None:
    assert finished.exit_status == (1 if excused(finished) else 0)


def test_another_registry_is_told_apart(ministack: Target) -> None:
    """The negative control: a registry that answers everything on /v2, and is not ours."""
    folder = RESULTS / "negative-control"
    tool.run("1.1", ministack, folder)
    found = report.read(folder)

    assert found.apis["Ping"] == "Pass"
    answers = sum(answer.is_from(ministack.endpoint) for case in found.cases for answer in case.answers)
    assert answers > 0
    assert len(report.strangers(found, ministack.endpoint)) == answers
