"""The gate has to shut: every way in which a run can look better than it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.cloud import Account
from tests.conformance import gate, report, tool
from tests.conformance.report import Answer, Case, Report

HERE = "http://127.0.0.1:5000"
ELSEWHERE = "http://localhost:9000/bucket/key?X-Amz-Signature=1"
OURS = {"Moorage-Version": "1"}
ROWS = dict.fromkeys(gate.API_ROWS, "Pass")
DATA = {**dict.fromkeys(gate.DATA_ROWS, "Pass"), gate.SPARSE_ROW: "Disabled"}
REASON = "registry did not return a Docker-Content-Digest header"


def case(name: str, status: str = "passed", message: str = "", *answers: Answer) -> Case:
    return Case(name, status, message, answers or (Answer("GET", f"{HERE}/v2/", 200, OURS),))


def ran(*cases: Case, apis: dict[str, str] | None = None, data: dict[str, str] | None = None) -> Report:
    return Report({}, apis or ROWS, data or DATA, cases)


def test_rows_that_all_pass_open_the_gate() -> None:
    assert gate.rows(ran()) == []


@pytest.mark.parametrize("status", ["Skip", "FAIL", "Error", "Disabled"])
def test_rows_one_that_is_not_pass_is_named(status: str) -> None:
    assert gate.rows(ran(apis={**ROWS, "Referrers": status})) == [f"API row Referrers is {status}, not Pass"]


def test_rows_one_that_is_missing_is_named() -> None:
    data = {name: status for name, status in DATA.items() if name != "Image"}
    assert gate.rows(ran(data=data)) == ["data row Image is None, not Pass"]


def test_rows_one_that_nobody_knows_is_named() -> None:
    assert gate.rows(ran(data={**DATA, "Novelty": "Skip"})) == ["data row Novelty is Skip, not Pass"]


def test_rows_sparse_manifests_switched_on_is_named() -> None:
    assert gate.rows(ran(data={**DATA, gate.SPARSE_ROW: "Pass"})) == [
        "data row Sparse Manifests is Pass, not Disabled"
    ]


def test_rows_listed_as_failing_has_to_fail() -> None:
    assert gate.rows(ran(), failing=frozenset({"Image"})) == ["data row Image is Pass, not FAIL"]


@pytest.mark.parametrize("status", ["skipped", "failure", "error"])
def test_cases_one_that_did_not_pass_is_named_though_its_row_says_pass(status: str) -> None:
    wrong = gate.cases(ran(case("a"), case("b", status, "why")), count=2, redirected={})
    assert wrong == [f"b is {status}: why"]


def test_cases_fewer_than_the_pinned_tool_has_is_a_failure() -> None:
    assert gate.cases(ran(case("a")), count=2, redirected={}) == ["1 cases were run, not 2"]


def test_cases_listed_ones_may_fail() -> None:
    assert gate.cases(ran(case("a"), case("b", "failure")), count=2, redirected={"b": 1}) == []


@pytest.mark.parametrize(
    "cases",
    [
        (case("a"), case("b")),  # it passes now
        (case("a"), case("c")),  # it exists no more
        (case("b", "failure"), case("b", "failure")),  # one more of them fails
        (case("a"), case("b", "skipped")),  # it was not even tried
    ],
)
def test_cases_a_list_that_is_not_exact_is_a_failure(cases: tuple[Case, ...]) -> None:
    wrong = gate.cases(ran(*cases), count=2, redirected={"b": 1})
    assert [sentence for sentence in wrong if sentence.endswith("correct the list")]


def test_excuses_a_redirected_answer_without_digest_is_one() -> None:
    hops = (Answer("GET", f"{HERE}/v2/", 307, OURS), Answer("GET", ELSEWHERE, 200, {}))
    assert gate.excuses(ran(case("b", "failure", REASON, *hops)), HERE, {"b": 1}) == []


@pytest.mark.parametrize(
    ("message", "last"),
    [
        (REASON, Answer("GET", f"{HERE}/v2/a/blobs/b", 200, OURS)),
        (f"{REASON}\nbody contents mismatch", Answer("GET", ELSEWHERE, 200, {})),
        ("unexpected status code", Answer("GET", ELSEWHERE, 403, {})),
    ],
)
def test_excuses_our_own_fault_is_none(message: str, last: Answer) -> None:
    assert len(gate.excuses(ran(case("b", "failure", message, last)), HERE, {"b": 1})) == 1


@pytest.mark.parametrize(
    "cases",
    [
        (),
        (case("a", "passed", "", Answer("GET", f"{HERE}/v2/", 200, {"Server": "other"})),),
        (case("a", "passed", "", Answer("GET", "http://127.0.0.1:5001/v2/", 200, OURS)),),
        (Case("a", "passed", "", ()),),
    ],
)
def test_strangers_an_answer_that_is_not_ours_is_found(cases: tuple[Case, ...]) -> None:
    assert len(report.strangers(ran(*cases), HERE)) == 1


def test_strangers_storage_behind_a_redirect_is_none() -> None:
    hops = (Answer("GET", f"{HERE}/v2/", 307, OURS), Answer("GET", ELSEWHERE, 200, {}))
    assert report.strangers(ran(case("a", "passed", "", *hops)), HERE) == []


@pytest.mark.parametrize(
    ("url", "headers", "known"),
    [
        (f"{HERE}/v2/a/blobs/_edge/a1/1/key/mac", {"X-Cache": "Hit from cloudfront"}, True),
        (f"{HERE}/v2/a/blobs/_edge/a1/1/key/mac", {"X-Cache": "Miss from cloudfront"}, True),
        (f"{HERE}/v2/a/blobs/_edge/a1/1/key/mac", {"X-Cache": "Error from cloudfront"}, False),
        (f"{HERE}/v2/a/blobs/_edge/a1/1/key/mac", {}, False),
        (f"{HERE}/v2/a/blobs/sha256:1", {"X-Cache": "Hit from cloudfront"}, False),
        (f"{HERE}/v2/a/blobs/uploads/_stream/a1/1/r/s/mac", {"X-Cache": "Miss from cloudfront"}, True),
        (f"{HERE}/v2/a/blobs/uploads/_stream/a1/1/r/s/mac", {"X-Cache": "Error from cloudfront"}, True),
        (f"{HERE}/v2/a/blobs/uploads/_stream/a1/1/r/s/mac", {"X-Cache": "Hit from cloudfront"}, False),
        (f"{HERE}/v2/a/blobs/uploads/_stream/a1/1/r/s/mac", {}, False),
        (f"{HERE}/v2/a/blobs/uploads/1", {"X-Cache": "Miss from cloudfront"}, False),
    ],
)
def test_strangers_a_blob_that_the_front_door_served_or_passed_on_is_none(
    url: str, headers: dict[str, str], known: bool
) -> None:
    hops = (Answer("GET", f"{HERE}/v2/", 307, OURS), Answer("GET", url, 200, headers))
    assert (report.strangers(ran(case("a", "passed", "", *hops)), HERE) == []) == known


def test_misread_an_option_that_did_not_arrive_is_named() -> None:
    assert gate.misread({"a": 1, "b": ""}, {"a": 1, "b": "***"}) == ["b was read as '', not '***'"]


def test_environment_holds_every_option_of_the_configuration(tmp_path: Path) -> None:
    target = tool.Target(HERE, Account("user", "secret"), ("demo/one", "demo/two"))
    variables = tool.environment("dev", target, tmp_path)

    switches = {
        name: value for name, value in variables.items() if name.startswith(("OCI_API_", "OCI_DATA_"))
    }
    assert len(switches) == 31
    assert {name for name, value in switches.items() if value == "false"} == {"OCI_DATA_SPARSE"}
    released = tool.environment("1.1", target, tmp_path)
    changed = {name for name in variables if variables[name] != released[name]}
    assert changed == {"OCI_VERSION", "OCI_API_BLOBS_DIGEST_HEADER"}


def test_read_an_absent_report_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        report.read(tmp_path)


def test_read_takes_requests_and_answers_from_the_transcript(tmp_path: Path) -> None:
    (tmp_path / "results.yaml").write_text(
        "config: {tls: disabled}\napis: {Ping: Pass}\ndata: {Image: Skip}\n"
    )
    (tmp_path / "junit.xml").write_text(
        '<testsuites><testsuite><testcase name="OCI Conformance Test/image/pull/blob-get" status="failure">'
        f"<system-out>{REASON}</system-out><system-err>=====\n~~~ REQUEST ~~~\nMethod: GET\n"
        f"URL: {HERE}/v2/demo/a/blobs/b\nHeaders:\n              Authorization: [*****]\n--- Empty body ---\n"
        "-----\n~~~ RESPONSE ~~~\nStatus: 307\nHeaders:\n                   Location: [http://localhost:9000/]\n"
        "            Moorage-Version: [1]\n--- Empty body ---\n=====\n"
        "=====\n~~~ REQUEST ~~~\nMethod: GET\nURL: http://localhost:9000/\nHeaders:\n--- Empty body ---\n"
        "-----\n~~~ Error ~~~\nconnection refused\n=====\n</system-err></testcase></testsuite></testsuites>"
    )

    found = report.read(tmp_path)

    assert (found.config, found.apis, found.data) == (
        {"tls": "disabled"},
        {"Ping": "Pass"},
        {"Image": "Skip"},
    )
    assert [(one.name, one.status, one.message) for one in found.cases] == [
        ("image/pull/blob-get", "failure", REASON)
    ]
    (answer,) = found.cases[0].answers
    assert (answer.method, answer.url, answer.status) == ("GET", f"{HERE}/v2/demo/a/blobs/b", 307)
    assert answer.headers == {"Location": "http://localhost:9000/", "Moorage-Version": "1"}
