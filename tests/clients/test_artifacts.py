"""What is more than one image: an index of platforms, an artifact that refers to an image, a chart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients import helm, image
from tests.clients.abilities import Charts, Indexes, Refers
from tests.clients.absent import ABSENT
from tests.clients.cells import cell
from tests.clients.subject import Pushed, Subject

pytestmark = pytest.mark.timeout(420)

SIZES = (1_000_000, 1_500_000)
NOTE = "application/vnd.example.note"


def test_index_is_pushed_whole_and_its_other_platform_is_pulled(
    subject: Subject, pushed: Pushed, tmp_path: Path
) -> None:
    if (subject.name, "index") in ABSENT:
        return
    index = image.build_index(tmp_path, f"{subject.name}-index", SIZES)
    with cell(subject, "index") as outcomes:
        assert isinstance(subject.driver, Indexes)
        reference = f"{subject.recorder.host}/{subject.repository}-index:{image.TAG}"
        outcomes.append(subject.driver.push_index(index, reference))
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        stored = json.loads(subject.manifest(f"{subject.repository}-index", image.TAG))
        platforms = [entry["platform"]["architecture"] for entry in stored["manifests"]]
        assert sorted(platforms) == sorted(index.images)
        outcome, place = subject.driver.pull_platform(reference, image.FOREIGN_ARCHITECTURE)
        assert outcome.exit_code == 0, outcome
        assert image.layers_of(place) == index.images[image.FOREIGN_ARCHITECTURE].layers


def test_artifact_is_found_by_the_image_that_it_refers_to_and_copied_with_it(
    subject: Subject, pushed: Pushed, tmp_path: Path
) -> None:
    if (subject.name, "referrers") in ABSENT:
        return
    note = tmp_path / "note.txt"
    note.write_text(f"a note for {subject.name}\n", "utf-8")
    with cell(subject, "referrers") as outcomes:
        assert isinstance(subject.driver, Refers)
        outcomes.append(subject.driver.attach(subject.reference(), note, NOTE))
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        (attached,) = subject.referrers(subject.repository)
        assert attached["artifactType"] == NOTE

        copied = f"{subject.repository}-copied"
        target = f"{subject.recorder.host}/{copied}:{image.TAG}"
        for reference in (subject.reference(), target):
            if reference == target:
                outcomes.append(subject.driver.copy_with_referrers(subject.reference(), target))
                assert outcomes[-1].exit_code == 0, outcomes[-1]
            outcomes.append(subject.driver.referrers(reference))
            assert outcomes[-1].exit_code == 0, outcomes[-1]
            assert NOTE in outcomes[-1].output
            assert attached["digest"] in outcomes[-1].output
        assert [entry["digest"] for entry in subject.referrers(copied)] == [attached["digest"]]


def test_chart_comes_back_with_its_provenance_and_the_newest_is_found(
    subject: Subject, pushed: Pushed, tmp_path: Path
) -> None:
    if (subject.name, "chart") in ABSENT:
        return
    charts = [helm.chart(tmp_path, "weather", version) for version in ("0.9.0", "0.10.0")]
    provenances = [chart.with_name(f"{chart.name}.prov") for chart in charts]
    for provenance in provenances:
        provenance.write_text(f"{provenance.name}, signed by nobody\n", "utf-8")
    with cell(subject, "chart") as outcomes:
        assert isinstance(subject.driver, Charts)
        folder = f"{subject.recorder.host}/{subject.cloud.org}"
        for chart in charts:
            outcomes.append(subject.driver.push_chart(chart, folder))
            assert outcomes[-1].exit_code == 0, outcomes[-1]
        for version, chart, provenance in zip(("0.9.0", ""), charts, provenances, strict=True):
            with subject.recorder.noting() as requests:
                outcome, place = subject.driver.pull_chart(f"{folder}/weather", version)
            outcomes.append(outcome)
            assert outcome.exit_code == 0, outcome
            pulled = {file.name: file.read_bytes() for file in place.iterdir()}
            assert pulled == {file.name: file.read_bytes() for file in (chart, provenance)}
            assert any(request.path.endswith("/tags/list") for request in requests) == (not version)
