"""Copies over HTTP: what is asked for, what comes back, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from moorage.domain.jobs import JobState, document_key
from tests.protocol.management.world import Management

ADMIN = "demo/admin"
REQUESTER = "/org/demo/serviceaccount/admin"
COPY = "/org/demo/image/team/app:v1/-copy"
THERE = {"destinationOrg": "other"}


@pytest.fixture(autouse=True)
def pushed(management: Management) -> str:
    """An image, and rights at both ends for the administrator of one of them; its digest."""
    let(management, "create")
    return management.push("demo/team/app", "v1")


def let(management: Management, permission: str) -> None:
    """Give the administrator of ``demo`` a permission on the images of ``other``."""
    bindings = [{"permissions": [permission], "principalLinks": [REQUESTER]}]
    body = {"name": permission, "targetKind": "image", "target": "all", "bindings": bindings}
    management.ok("other/admin", "POST", "/org/other/policy", body)


def documents(management: Management) -> list[str]:
    return list(management.world.storage.list_keys("jobs/", 100))


def ask(management: Management, path: str = COPY, key: str | None = None, **body: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return management.call(ADMIN, "POST", path, {**THERE, **body}, headers=headers)


def test_a_copy_is_a_job_that_is_where_the_answer_says(management: Management, pushed: str):
    response = ask(management, destinationTag="stable", destinationName="mirror")
    assert response.status_code == 202, response.text
    told = response.json()
    assert response.headers["location"] == f"/org/demo/job/{told['id']}"
    assert management.ok(ADMIN, "GET", response.headers["location"]) == told
    assert management.ok(ADMIN, "GET", "/org/demo/job")["items"] == [told]
    assert told["state"] == "queued"
    assert told["requestedBy"] == REQUESTER
    assert told["source"] == {"org": "demo", "repository": "team/app", "tag": "v1", "digest": pushed}
    assert told["destination"] == {"org": "other", "repository": "mirror", "tag": "stable"}
    assert documents(management) == [document_key(told["id"])]


def test_both_organisations_have_the_job_in_their_lists(management: Management):
    told = ask(management).json()
    for who, org in ((ADMIN, "demo"), (ADMIN, "other"), ("other/admin", "other")):
        (found,) = management.ok(who, "GET", f"/org/{org}/job")["items"]
        assert found["id"] == told["id"]


@pytest.mark.parametrize(
    ("path", "body", "source", "destination"),
    [
        ("team/app:v1", {}, {"tag": "v1"}, {"tag": "v1"}),
        ("team/app@{digest}", {}, {}, {}),
        ("team/app@{digest}", {"destinationTag": "new"}, {}, {"tag": "new"}),
        ("team/app:v1@{digest}", {}, {"tag": "v1"}, {"tag": "v1"}),
        ("team%2Fapp:v1", {}, {"tag": "v1"}, {"tag": "v1"}),
    ],
)
def test_an_image_is_copied_by_tag_or_by_digest(
    management: Management, pushed: str, path, body, source, destination
):
    told = ask(management, f"/org/demo/image/{path.format(digest=pushed)}/-copy", **body).json()
    assert told["source"] == {"org": "demo", "repository": "team/app", "digest": pushed, **source}
    assert told["destination"] == {"org": "other", "repository": "team/app", **destination}


@pytest.mark.parametrize(
    ("body", "pattern", "total"),
    [({"allTags": True}, "*", 3), ({"tagPattern": "v?"}, "v?", 2), ({"tagPattern": "v1"}, "v1", 1)],
)
def test_a_repository_is_copied_by_its_tags(management: Management, body, pattern, total):
    management.push("demo/team/app", "v2")
    management.push("demo/team/app", "latest")
    told = ask(management, "/org/demo/image/team/app/-copy", **body).json()
    assert told["source"] == {"org": "demo", "repository": "team/app", "tagPattern": pattern}
    assert told["destination"] == {"org": "other", "repository": "team/app"}
    assert told["progress"]["tags"] == {"done": 0, "total": total}


def test_the_same_key_answers_the_same_job_as_it_is_now(management: Management):
    told = ask(management, key="build-17/a").json()
    again = ask(management, key="build-17/a")
    assert (again.status_code, again.json()) == (202, told)
    assert again.headers["location"] == f"/org/demo/job/{told['id']}"
    management.ok(ADMIN, "POST", f"/org/demo/job/{told['id']}/-cancel")
    assert ask(management, key="build-17/a").json()["state"] == "cancelled"
    assert len(management.ok(ADMIN, "GET", "/org/demo/job")["items"]) == 1
    # Without a key, and under another one, it is another request.
    others = {ask(management, key=key).json()["id"] for key in (None, None, "build-18")}
    assert len(others - {told["id"]}) == 3


def test_a_document_that_was_lost_is_written_again_while_the_job_waits(management: Management):
    told = ask(management, key="k").json()
    management.world.storage.delete(documents(management))
    ask(management, key="k")
    assert documents(management) == [document_key(told["id"])]
    management.world.storage.delete(documents(management))
    management.ok(ADMIN, "POST", f"/org/demo/job/{told['id']}/-cancel")
    ask(management, key="k")
    assert documents(management) == []


def test_the_same_key_for_another_request_is_a_conflict(management: Management):
    assert ask(management, key="k").status_code == 202
    response = ask(management, key="k", destinationTag="v2")
    assert (response.status_code, response.json()["code"]) == (409, "Conflict")
    assert len(documents(management)) == 1


def test_a_key_is_known_for_its_principal_alone(management: Management):
    management.account("demo", "second", "superusers")
    mine = ask(management, key="k", destinationOrg="demo", destinationName="mirror").json()
    body = {"destinationOrg": "demo", "destinationName": "mirror"}
    theirs = management.call("demo/second", "POST", COPY, body, headers={"Idempotency-Key": "k"}).json()
    assert theirs["id"] != mine["id"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "\t", "caf\u00e9".encode()], ids=ascii)
def test_a_key_that_cannot_be_is_refused(management: Management, key):
    response = management.call(ADMIN, "POST", COPY, THERE, headers={"Idempotency-Key": key})
    assert response.status_code == 400, response.text
    assert documents(management) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"destinationOrg": None},
        {"destinationOrg": "Not a name"},
        {"destinationOrg": 1},
        {**THERE, "destinationName": "A"},
        {**THERE, "destinationName": "../x"},
        {**THERE, "destinationTag": "-"},
        {**THERE, "destinationTag": "a:b"},
        {**THERE, "referrers": "yes"},
        {**THERE, "replaceTag": 1},
        {**THERE, "unknown": 1},
        {**THERE, "allTags": True},
        {**THERE, "tagPattern": "v*"},
        {"destinationOrg": "demo"},
        {"destinationOrg": "demo", "destinationName": "team/app", "destinationTag": "v1"},
    ],
    ids=str,
)
def test_a_request_that_cannot_be_is_refused_and_leaves_nothing(management: Management, body):
    response = management.call(ADMIN, "POST", COPY, body)
    assert response.status_code == 400, response.text
    assert management.ok(ADMIN, "GET", "/org/demo/job")["items"] == []
    assert documents(management) == []


@pytest.mark.parametrize(
    "path", ["team/app:", "team/app@sha256:x", "TEAM/app", "team//app", "-summary", "team/app:v1:v2"]
)
def test_a_path_that_names_no_image_is_refused(management: Management, path):
    assert ask(management, f"/org/demo/image/{path}/-copy").status_code == 400


@pytest.mark.parametrize("org", ["other", "absent"])
def test_without_rights_at_the_destination_it_does_not_matter_whether_it_is_there(management, org):
    management.account("demo", "robot", "superusers")
    response = management.call("demo/robot", "POST", COPY, {"destinationOrg": org})
    assert response.status_code == 403
    assert response.json()["message"] == (
        "that takes the permission create on the image, which you do not have"
    )


def test_without_rights_at_the_source_it_does_not_matter_whether_it_is_there(management: Management):
    for path in (COPY, "/org/demo/image/absent:v1/-copy", "/org/absent/image/team/app:v1/-copy"):
        response = management.call("other/admin", "POST", path, THERE)
        assert response.status_code == 403
        assert response.json()["message"] == (
            "that takes the permission pull on the image, which you do not have"
        )


@pytest.mark.parametrize("path", ["team/app:v9", "absent:v1", f"team/app@sha256:{'0' * 64}"])
def test_an_image_that_is_not_there_is_404_to_who_could_see_it(management: Management, path):
    assert ask(management, f"/org/demo/image/{path}/-copy").status_code == 404
    assert documents(management) == []


def test_a_tag_that_names_another_image_there_is_a_conflict_unless_it_is_replaced(management: Management):
    management.push("other/team/app", "v1", annotations={"other": "image"})
    assert ask(management).status_code == 409
    assert ask(management, replaceTag=True).status_code == 202


def test_a_document_that_cannot_be_written_leaves_a_job_that_waits(management: Management):
    with management.world.faults.failing(named="put"):
        assert ask(management, key="k").status_code == 503
    (waiting,) = management.ok(ADMIN, "GET", "/org/demo/job")["items"]
    assert waiting["state"] == JobState.QUEUED
    assert ask(management, key="k").json()["id"] == waiting["id"]
    assert documents(management) == [document_key(waiting["id"])]
