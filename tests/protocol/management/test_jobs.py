"""Jobs over HTTP: how they look, how a list of them goes on, how one is ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from moorage.domain.jobs import JOB_LIFETIME, CopyJob, JobState, Progress, document_key
from moorage.domain.names import Repository
from moorage.services.job_access import PAGE_MAX
from tests.contract.job_samples import SECOND, item, job
from tests.contract.samples import ROBOT, digest
from tests.protocol.management.world import Management, next_of

ADMIN = "demo/admin"
REQUESTER = "/org/demo/serviceaccount/admin"
SOURCE, DESTINATION = Repository("demo", "team/app"), Repository("other", "mirror/app")
D = digest("a")


def store(management: Management, number: int = 1, age: timedelta = timedelta(0), **changes: Any) -> CopyJob:
    """A job of the administrator, from ``demo`` to ``other``, made some time ago."""
    values = {
        "requester": REQUESTER,
        "source": SOURCE,
        "destination": DESTINATION,
        "digest": D,
        "destination_tag": "v1",
        **changes,
    }
    made = job(number, management.world.clock() - age, **values)
    return management.world.table.create_job(made, [item()], None)


def take(management: Management, made: CopyJob) -> CopyJob:
    """A job in the hands of a worker."""
    taken = management.world.table.take_job(made, "secret-lease", management.world.clock())
    assert taken is not None
    return taken


def tell(management: Management, made: CopyJob) -> Any:
    return management.ok(ADMIN, "GET", f"/org/demo/job/{made.id}")


def open_other(management: Management, permission: str = "view") -> None:
    """Let the administrator of ``demo`` have a permission on the images of ``other``, too."""
    bindings = [{"permissions": [permission], "principalLinks": [REQUESTER]}]
    body = {"name": "guests", "targetKind": "image", "target": "all", "bindings": bindings}
    management.ok("other/admin", "POST", "/org/other/policy", body)


def test_a_job_says_all_that_is_known_of_it(management: Management):
    open_other(management)
    made = store(management)
    assert tell(management, made) == {
        "kind": "job",
        "id": made.id,
        "name": made.id,
        "type": "copy",
        "state": "queued",
        "created": "2026-05-04T03:02:01.000Z",
        "lastModified": "2026-05-04T03:02:01.000Z",
        "expires": "2026-06-03T03:02:01.000Z",
        "requestedBy": REQUESTER,
        "source": {"org": "demo", "repository": "team/app", "tag": "v1", "digest": str(D)},
        "destination": {"org": "other", "repository": "mirror/app", "tag": "v1"},
        "progress": {
            "tags": {"done": 0, "total": 2},
            "manifests": {"done": 0, "total": 0},
            "bytes": {"done": 0, "total": 0},
        },
        "copiedBytes": 0,
        "links": [
            {"rel": "self", "href": f"/org/demo/job/{made.id}"},
            {"rel": "org", "href": "/org/demo"},
        ],
    }


def test_a_job_that_is_done_says_when_and_how_much(management: Management):
    open_other(management)
    made, now, table = store(management), management.world.clock(), management.world.table
    management.world.clock.advance(SECOND)
    running = take(management, made)
    progress = Progress(
        position=2, manifests=3, manifests_total=3, size=10**12, size_total=10**12, copied=700
    )
    assert table.save_progress(running, progress, now + 2 * SECOND, copying=("copy/aa/key",))
    told = tell(management, made)
    assert told["state"] == "running"
    assert told["started"] == "2026-05-04T03:02:02.000Z"
    assert "finished" not in told
    table.end_job(running, JobState.SUCCEEDED, now + 3 * SECOND)
    told = tell(management, made)
    assert (told["state"], told["finished"]) == ("succeeded", "2026-05-04T03:02:04.000Z")
    assert told["lastModified"] == told["finished"]
    assert told["progress"] == {
        "tags": {"done": 2, "total": 2},
        "manifests": {"done": 3, "total": 3},
        "bytes": {"done": 10**12, "total": 10**12},
    }
    assert told["copiedBytes"] == 700
    # What is between workers is nobody else's.
    assert not {"secret-lease", "copy/aa/key"} & set(str(told).replace("'", " ").split())
    assert not {"lease", "leasedUntil", "moving", "copying", "rounds"} & told.keys()


@pytest.mark.parametrize(
    ("order", "source", "destination"),
    [
        ({"selection": str(D), "destination_tag": None}, {"digest": str(D)}, {}),
        ({"selection": str(D), "destination_tag": "v1"}, {"digest": str(D)}, {"tag": "v1"}),
        (
            {"selection": "v1", "destination_tag": "stable"},
            {"tag": "v1", "digest": str(D)},
            {"tag": "stable"},
        ),
        ({"selection": "*", "digest": None, "destination_tag": None, "items": 9}, {"tagPattern": "*"}, {}),
        ({"selection": "v1", "digest": None, "destination_tag": None}, {"tagPattern": "v1"}, {}),
    ],
    ids=["a digest", "a digest with a tag", "a tag under another name", "all tags", "tags that match"],
)
def test_a_job_says_what_was_asked_for(management: Management, order, source, destination):
    open_other(management)
    told = tell(management, store(management, **order))
    assert told["source"] == {"org": "demo", "repository": "team/app", **source}
    assert told["destination"] == {"org": "other", "repository": "mirror/app", **destination}


def test_each_organisation_sees_its_own_end(management: Management):
    made = store(management)
    table, now = management.world.table, management.world.clock()
    table.end_job(take(management, made), JobState.FAILED, now, "the source is gone")
    here = management.ok(ADMIN, "GET", f"/org/demo/job/{made.id}")
    assert here["source"]["repository"] == "team/app"
    assert here["destination"] is None
    # The requester sees why.
    assert here["reason"] == "the source is gone"
    there = management.ok("other/admin", "GET", f"/org/other/job/{made.id}")
    assert there["source"] is None
    assert there["destination"] == {"org": "other", "repository": "mirror/app", "tag": "v1"}
    assert there["links"][0]["href"] == f"/org/other/job/{made.id}"
    assert not {"requestedBy", "reason"} & there.keys()
    assert not [name for name in ("demo", "team/app") if name in str(there)]


@pytest.mark.parametrize("path", ["/org/other/job", f"/org/other/job/{job().id}", "/org/absent/job"])
def test_who_has_nothing_in_an_organisation_learns_nothing(management: Management, path):
    management.account("demo", "robot")
    store(management)
    for who in ("demo/robot", "demo/viewer"):
        response = management.call(who, "GET", path)
        assert response.status_code == 403
        assert response.json()["message"].startswith("that takes the permission view on the image")


def in_turn(management: Management, path: str, holds: str) -> list[Any]:
    """What is on all pages of a list, each of whose links to the next has ``holds``."""
    page, found = management.ok(ADMIN, "GET", path), []
    while True:
        found += page["items"]
        if not (following := next_of(page)):
            return found
        assert holds in following
        page = management.ok(ADMIN, "GET", following)


def test_a_list_goes_on_at_its_link(management: Management):
    management.world.clock.advance(timedelta(days=1))
    made = [store(management, number, number * SECOND) for number in range(7)]
    page = management.ok(ADMIN, "GET", "/org/demo/job?limit=3")
    assert (page["kind"], page["itemKind"], len(page["items"])) == ("list", "job", 3)
    assert page["links"][0] == {"rel": "self", "href": "/org/demo/job"}
    found = in_turn(management, "/org/demo/job?limit=3", "limit=3")
    assert found == [tell(management, each) for each in made]
    assert found == management.ok(ADMIN, "GET", "/org/demo/job")["items"]


def test_a_list_of_one_state_stays_so_from_page_to_page(management: Management):
    management.world.clock.advance(timedelta(days=1))
    for number in range(9):
        state = JobState.FAILED if number % 3 == 0 else JobState.QUEUED
        store(management, number, number * SECOND, state=state)
    found = in_turn(management, "/org/demo/job?state=failed&limit=2", "state=failed")
    assert [each["id"] for each in found] == [job(number).id for number in (0, 3, 6)]
    assert {each["state"] for each in found} == {"failed"}


@pytest.mark.parametrize(
    "query",
    ["state=done", "state=", "state=FAILED", "limit=0", f"limit={PAGE_MAX + 1}", "limit=x", "after=x"],
)
def test_a_list_that_cannot_be_is_refused(management: Management, query):
    response = management.call(ADMIN, "GET", f"/org/demo/job?{query}")
    assert response.status_code == 400, response.text


@pytest.mark.parametrize("job_id", ["0" * 32, "x", "%00", "..%2f", "é" * 32, "a" * 5000])
def test_a_job_that_is_not_there_is_404_to_who_may_view_every_image(management: Management, job_id):
    for method, path in (("GET", f"/org/demo/job/{job_id}"), ("POST", f"/org/demo/job/{job_id}/-cancel")):
        response = management.call(ADMIN, method, path)
        assert response.status_code == 404, response.text
    assert management.call(ADMIN, "GET", "/org/demo/job/" + "0" * 32).json()["code"] == "NotFound"


def test_who_is_made_anew_under_the_name_of_the_requester_is_somebody_else(management: Management):
    robot = management.account("demo", "copier")
    made = store(management, requester=robot)
    path = f"/org/demo/job/{made.id}"
    assert management.ok("demo/copier", "GET", path)["requestedBy"] == robot
    management.ok(ADMIN, "DELETE", "/org/demo/serviceaccount/copier")
    management.world.clock.advance(SECOND)
    management.account("demo", "copier")
    assert management.call("demo/copier", "GET", path).status_code == 403
    assert management.call("demo/copier", "POST", f"{path}/-cancel").status_code == 403
    assert management.ok("demo/copier", "GET", "/org/demo/job?limit=10")["items"] == []
    assert tell(management, made)["state"] == "queued"


def test_a_job_is_forgotten_after_thirty_days(management: Management):
    made = store(management)
    management.world.clock.advance(JOB_LIFETIME - SECOND)
    assert management.ok(ADMIN, "GET", "/org/demo/job")["items"] == [tell(management, made)]
    management.world.clock.advance(SECOND)
    assert management.ok(ADMIN, "GET", "/org/demo/job")["items"] == []
    assert management.call(ADMIN, "GET", f"/org/demo/job/{made.id}").status_code == 404


# ------------------------------------------------------------------ cancel
def test_a_job_is_cancelled_and_once_more(management: Management):
    made = store(management)
    management.world.clock.advance(SECOND)
    path = f"/org/demo/job/{made.id}/-cancel"
    cancelled = management.ok(ADMIN, "POST", path)
    assert (cancelled["state"], cancelled["finished"]) == ("cancelled", "2026-05-04T03:02:02.000Z")
    assert management.ok(ADMIN, "POST", path) == cancelled == tell(management, made)


def test_a_job_that_has_ended_is_409(management: Management):
    made = store(management, state=JobState.SUCCEEDED)
    response = management.call(ADMIN, "POST", f"/org/demo/job/{made.id}/-cancel")
    assert (response.status_code, response.json()["code"]) == (409, "Conflict")
    assert "succeeded" in response.json()["message"]


def test_a_job_that_moves_its_tags_says_when_to_come_back(management: Management):
    made, now, table = store(management), management.world.clock(), management.world.table
    table.save_progress(take(management, made), Progress(), now, moving=True)
    response = management.call(ADMIN, "POST", f"/org/demo/job/{made.id}/-cancel")
    assert (response.status_code, response.json()["code"]) == (503, "WriteConflict")
    assert int(response.headers["retry-after"]) >= 1
    # Its worker may be dead: another one is called to it.
    assert management.world.storage.list_keys(document_key(made.id), 10) == [document_key(made.id)]


@pytest.mark.parametrize(
    ("who", "org", "status"),
    [
        ("demo/viewer", "demo", 403),
        ("demo/manager", "demo", 200),
        ("other/admin", "other", 200),
        ("other/admin", "demo", 403),
    ],
)
def test_a_job_is_cancelled_by_who_has_rights_at_one_of_its_ends(management: Management, who, org, status):
    manager = management.account("demo", "manager")
    management.policy("managing", "image", manager, "manage")
    made = store(management, requester=ROBOT.link)
    response = management.call(who, "POST", f"/org/{org}/job/{made.id}/-cancel")
    assert response.status_code == status, response.text
    standing = management.world.table.find_job(made.id, management.world.clock())
    assert standing is not None
    assert (standing.state is JobState.CANCELLED) == (status == 200)


def test_a_failing_table_is_503(management: Management):
    made = store(management)
    for method, path, named in (
        ("GET", "/org/demo/job", "jobs_of"),
        ("GET", f"/org/demo/job/{made.id}", "find_job"),
        ("POST", f"/org/demo/job/{made.id}/-cancel", "cancel_job"),
    ):
        with management.world.faults.failing(named=named):
            assert management.call(ADMIN, method, path).status_code == 503
