"""What a run has to show, as sentences about what is wrong: no sentence, and the gate is open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.conformance.report import Report

API_ROWS = frozenset(
    {
        "Blob anonymous mount",
        "Blob chunked",
        "Blob delete",
        "Blob delete atomic",
        "Blob get",
        "Blob get range",
        "Blob head",
        "Blob mount",
        "Blob post only",
        "Blob post put",
        "Blob push",
        "Blob streaming",
        "Blob upload cancel",
        "Manifest delete",
        "Manifest delete atomic",
        "Manifest get by digest",
        "Manifest get by tag",
        "Manifest head by digest",
        "Manifest head by tag",
        "Manifest put by digest",
        "Manifest put by tag",
        "Manifest put with subject",
        "Manifest put with tag params",
        "Ping",
        "Referrers",
        "Tag delete",
        "Tag delete atomic",
        "Tag listing",
    }
)
DATA_ROWS = frozenset(
    {
        "Artifact",
        "Artifact Index",
        "Artifact without Layers",
        "Artifacts with Subject",
        "Bad Digest Image",
        "Blobs sha256",
        "Blobs sha512",
        "Custom Fields",
        "Data Field",
        "Digest Algorithm sha512",
        "Empty Index",
        "Image",
        "Image Uncompressed",
        "Image with Large Manifest",
        "Index",
        "Index with Subject",
        "Invalid Manifest Digest",
        "Missing Subject",
        "Nested Index",
        "No Layers",
        "Non-distributable Layers",
        "Tag Param",
        "Tag Param sha512",
    }
)
SPARSE_ROW = "Sparse Manifests"


def misread(config: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """The options that the tool did not read as they were given."""
    return [
        f"{name} was read as {config.get(name)!r}, not {expected.get(name)!r}"
        for name in sorted({*config, *expected})
        if config.get(name) != expected.get(name)
    ]


def rows(report: Report, *, failing: frozenset[str] = frozenset()) -> list[str]:
    """Rows that are missing, unknown or not Pass; those in ``failing`` have to be FAIL."""
    found = []
    for kind, known, shown in (("API", API_ROWS, report.apis), ("data", DATA_ROWS, report.data)):
        for name in sorted(known | shown.keys()):
            wanted = "Disabled" if name == SPARSE_ROW else "FAIL" if name in failing else "Pass"
            if shown.get(name) != wanted:
                found.append(f"{kind} row {name} is {shown.get(name)}, not {wanted}")
    if SPARSE_ROW not in report.data:
        found.append(f"data row {SPARSE_ROW} is missing")
    return found


def cases(report: Report, *, count: int, redirected: Mapping[str, int]) -> list[str]:
    """Cases that did not pass, but for ``redirected``: a name and how often a case of that name has to fail."""
    found = [] if len(report.cases) == count else [f"{len(report.cases)} cases were run, not {count}"]
    found.extend(
        f"{case.name} is {case.status}: {case.message or 'no reason given'}"
        for case in report.cases
        if case.status != "passed" and case.name not in redirected
    )
    failed = report.names("failure")
    every = Counter(case.name for case in report.cases)
    for name, times in redirected.items():
        if failed[name] != times:
            found.append(
                f"{name} failed {failed[name]} times in {every[name]} cases, not {times}: correct the list"
            )
    return found


def excuses(report: Report, endpoint: str, redirected: Mapping[str, int]) -> list[str]:
    """Failures in the list that the target of a redirect is not to blame for."""
    reason = "registry did not return a Docker-Content-Digest header"
    return [
        f"{case.name} failed for another reason: {case.message}"
        for case in report.cases
        if case.status == "failure"
        and case.name in redirected
        and (case.message != reason or not case.answers or case.answers[-1].is_from(endpoint))
    ]
