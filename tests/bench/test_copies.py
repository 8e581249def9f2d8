"""What is said of copies is what was asked of the store and of the table, and a copy that failed is no figure."""

import json
from pathlib import Path

import pytest

from bench import cloud, copies
from bench.copies import Apart, Copies, Touched
from tests.clients import image

JOURNAL = "\n".join(
    json.dumps({"method": "PUT", "path": path})
    for path in ("/bucket/jobs/copy/0123.json", "/bucket/api/0123", "/other/copy/jobs")
)
METRICS = """\
# HELP SeaweedFS_s3_bucket_traffic_received_bytes_total Total number of bytes received
SeaweedFS_s3_bucket_traffic_received_bytes_total{bucket="bucket"} 3e+06
SeaweedFS_s3_bucket_traffic_received_bytes_total{bucket="other"} 43
SeaweedFS_s3_bucket_traffic_sent_bytes_total{bucket="bucket"} 7
SeaweedFS_s3_in_flight_upload_bytes 11
SeaweedFS_volumeServer_request_seconds_count{type="GET"} 13
SeaweedFS_volumeServer_request_total{code="200",type="GET"} 2
SeaweedFS_volumeServer_request_total{code="201",type="POST"} 3
SeaweedFS_volumeServer_request_total{code="202",type="DELETE"} 1
"""


def test_all_that_the_store_was_asked_for_counts_but_documents_of_jobs():
    touched = Touched.parse(JOURNAL, METRICS)
    assert touched == Touched(requests=2, size=3_000_050, reads=2, writes=4)
    assert touched.since(Touched(1, 50, 2, 1)) == Touched(1, 3_000_000, 0, 3)


def test_half_of_an_image_is_one_of_its_own_on_every_other_of_its_layers(tmp_path):
    layout = image.build(tmp_path, "halved", [1000] * 5).layout
    whole = copies.blobs_of(layout)
    copies.halve(layout)
    (top,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    content = (layout / "blobs" / top["digest"].replace(":", "/")).read_bytes()
    assert (top["digest"], top["size"]) == (image.digest(content), len(content))
    assert list(copies.blobs_of(layout)) == [
        digest for digest, kept in zip(whole, (1, 1, 0, 1, 0, 1), strict=True) if kept
    ]


def test_figures_say_all_and_compare_what_belongs_together():
    runs = {copies.FIRST: (2.0,), copies.OURS: (0.5, 1.0), copies.SKOPEO: (5.0, 20.0)}
    seen = Copies(cloud.Cloud(Path(), *[""] * 9), Path())
    seen.touched, seen.touched_by_skopeo = [Touched(0, 43, 0, 1)], [Touched(9, 4_000_000, 20, 30)]
    apart = Apart((1.0, 2.0), (50.0, 60.0), (50.0, 30.0), 0.0)
    calls = {size: {"request": {"GetItem": 2}, "worker": {"Query": 1, "PutItem": size}} for size in (1, 1000)}
    made = {figure.name: figure for figure in copies.figures(runs, seen, apart, calls)}
    assert {figure.part for figure in made.values()} == {copies.PART}
    assert all(figure.bound for figure in made.values())
    assert made[f"{copies.OURS} / {copies.SKOPEO}"].runs == (0.1, 0.05)
    touched = [made[name].runs for name in (copies.ASKED, copies.MOVED, copies.READS, copies.WRITES)]
    assert touched == [(0.0,), (43.0,), (0.0,), (1.0,)]
    assert (made[copies.MOVED_BY_SKOPEO].unit, made[copies.MOVED_BY_SKOPEO].runs) == ("MB", (4.0,))
    assert made[copies.COPIED].runs == (1.0, 2.0)
    assert made[f"{copies.CALLS_OF_REQUEST}, the image"].runs == (2.0,)
    grown = made[f"{copies.CALLS_OF_WORKER}, an index of 1,000 manifests"]
    assert (grown.runs, grown.bound) == ((1001.0,), "1,000 PutItem, 1 Query")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Copies of a small image on a cloud, which is stopped at the end."""
    folder: Path = tmp_path_factory.mktemp("copies")
    with cloud.running(folder / "state", TRAFFIC="1") as running:
        yield Copies(running, folder, *copies._push(running, folder, 50_000))


def test_copy_within_a_store_is_seen_to_touch_no_blob(small):
    small.require_counted()
    assert small.by_moorage() > 0
    (touched,) = small.touched
    assert (touched.requests, touched.reads) == (0, 0)
    assert touched.writes > 0
    assert 0 < touched.size < 100


def test_copy_between_stores_is_seen_to_move_what_is_lacking(small):
    apart = small.apart()
    assert apart.copied == apart.lacking
    assert sum(apart.copied) == sum(small.whole.values())
    assert (len(apart.seconds), apart.again) == (2, 0)


def test_calls_of_request_and_worker_are_counted(small):
    one, few, more = small.calls((2, 4))
    assert one["request"].keys() >= {"GetItem", "TransactWriteItems"}
    assert not [name for name in one["worker"] if name.startswith("S3")]
    requested = [sum(each["request"].values()) for each in (one, few, more)]
    assert len(set(requested)) == 1
    assert sum(few["worker"].values()) < sum(more["worker"].values()) < 2 * sum(few["worker"].values())


def test_copy_that_fails_is_no_figure(small):
    with pytest.raises(RuntimeError, match="nothing-there/-copy: 404"):
        small._copy("nothing-there", small._organisation())
    with pytest.raises(RuntimeError, match="copy_calls"):
        small.calls(("none",))
    with pytest.raises(RuntimeError, match="state of a copy is 'failed': the tag moved"):
        copies._require({"state": "failed", "reason": "the tag moved"}, "state", "succeeded")


def test_push_that_was_not_counted_is_no_figure(small, monkeypatch):
    monkeypatch.setattr(Touched, "by", classmethod(lambda cls, _: cls(0, 0, 0, 0)))
    with pytest.raises(RuntimeError, match="was counted as"):
        small.require_counted()
