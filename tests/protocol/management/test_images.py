"""Images through the management API."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from moorage.domain.digests import Digest
from moorage.domain.manifests import OCI_MANIFEST
from moorage.domain.names import Repository
from tests.contract.samples import put_manifest
from tests.protocol.management.world import Management, next_of
from tests.protocol.sample import image

ADMIN = "demo/admin"
IMAGES = "/org/demo/image"


@pytest.fixture(autouse=True)
def pushed(management: Management) -> str:
    digest = management.push("demo/app", "v1")
    management.push("demo/team/app", "v1")
    return digest


def test_image_is_shown_with_what_is_known_of_it(management: Management, pushed):
    shown = management.ok(ADMIN, "GET", f"{IMAGES}/team/app:v1")
    assert (shown["kind"], shown["name"], shown["repository"], shown["tag"]) == (
        "image",
        "team/app:v1",
        "team/app",
        "v1",
    )
    assert (shown["digest"], shown["version"], shown["tags"]) == (pushed, 1, {})
    assert shown["pushedBy"] == "/org/demo/serviceaccount/admin"
    assert shown["manifest"]["schemaVersion"] == 2
    assert shown["size"] > 2048
    assert "description" not in shown


@pytest.mark.parametrize(
    "name", ["app:v1", "app@{digest}", "app:v1@{digest}", "team/app:v1", "team%2Fapp%3Av1"]
)
def test_names_that_mean_an_image(management: Management, pushed, name):
    assert management.ok(ADMIN, "GET", f"{IMAGES}/{name.format(digest=pushed)}")["digest"] == pushed


def test_name_without_a_tag_is_the_latest(management: Management):
    assert management.call(ADMIN, "GET", f"{IMAGES}/app").status_code == 404
    management.push("demo/app", "latest")
    assert management.ok(ADMIN, "GET", f"{IMAGES}/app")["name"] == "app:latest"


@pytest.mark.parametrize(
    "name", ["app:absent", "absent:v1", f"app@sha256:{'0' * 64}", f"app:v1@sha256:{'0' * 64}"]
)
@pytest.mark.parametrize(
    ("method", "body"),
    [("GET", None), ("PATCH", {"tags": {"a": 1}}), ("PUT", {"tags": {}}), ("DELETE", None)],
)
def test_absent_image_is_404_for_who_could_see_it(management: Management, name, method, body):
    assert management.call(ADMIN, method, f"{IMAGES}/{name}", body).status_code == 404
    management.account("demo", "nobody")
    for each in (name, "app:v1"):
        assert management.call("demo/nobody", method, f"{IMAGES}/{each}", body).status_code == 403


@pytest.mark.parametrize(
    "name",
    [
        "App:v1",
        "app:",
        ":v1",
        "app:v1:v2:v3",
        "app@md5:abc",
        "-x",
        "app:v 1",
        "a//b:v1",
        "../app:v1",
        "x" * 300,
    ],
)
def test_name_of_no_image_is_refused(management: Management, name):
    assert management.call(ADMIN, "GET", f"{IMAGES}/{name}").status_code in (400, 404)


def test_images_are_made_by_pushing_and_by_nothing_else(management: Management):
    for method, path, body in (
        ("POST", IMAGES, {"name": "new:v1"}),
        ("PUT", IMAGES, {"name": "new:v1", "tags": {}}),
        ("PUT", IMAGES, {"name": f"app@sha256:{'0' * 64}"}),
    ):
        refused = management.call(ADMIN, method, path, body)
        assert (refused.status_code, refused.json()["code"]) == (403, "Denied")


def test_only_metadata_is_changed_and_stays_when_the_tag_moves(management: Management):
    path = f"{IMAGES}/app:v1"
    shown = management.ok(ADMIN, "PATCH", path, {"tags": {"env": "prod", "tier": 1}})
    assert (shown["version"], shown["tags"]) == (2, {"env": "prod", "tier": 1})
    assert management.ok(ADMIN, "PUT", path, shown)["version"] == 2
    assert management.ok(ADMIN, "PUT", IMAGES, shown)["version"] == 2
    wrong: object
    for wrong in ({"description": "x"}, {"tags": 5}, {"tags": {"a": {}}}, {"annotations": {}}):
        assert management.call(ADMIN, "PATCH", path, wrong).status_code == 400
    late = management.call(ADMIN, "PATCH", path, {"tags": {"env": "test"}, "version": 1})
    assert (late.status_code, late.json()["code"]) == (409, "VersionMismatch")
    management.push("demo/app", "v1", annotations={"other": "content"})
    moved = management.ok(ADMIN, "GET", path)
    assert (moved["id"], moved["version"], moved["tags"]) == (shown["id"], 3, {"env": "prod", "tier": 1})
    assert management.ok(ADMIN, "PATCH", path, {"tags": {"env": None}})["tags"] == {"tier": 1}
    assert management.ok(ADMIN, "PATCH", path, {"tags": None})["tags"] == {}


def test_protected_image_is_kept(management: Management):
    management.ok(ADMIN, "PATCH", f"{IMAGES}/app:v1", {"tags": {"protected": True}})
    refused = management.call(ADMIN, "DELETE", f"{IMAGES}/app:v1")
    assert (refused.status_code, refused.json()["code"]) == (403, "ResourceProtected")
    management.ok(ADMIN, "PATCH", f"{IMAGES}/app:v1", {"tags": {"protected": None}})
    assert management.call(ADMIN, "DELETE", f"{IMAGES}/app:v1").status_code == 204
    assert management.call(ADMIN, "GET", f"{IMAGES}/app:v1").status_code == 404


def test_lists_queries_and_summaries_show_what_may_be_seen(management: Management):
    for number in range(7):
        management.push("demo/app", f"r{number}")
    robot = management.account("demo", "robot")
    query = {"spec": {"terms": [{"property": "repository", "value": "app"}]}}
    management.policy("app-only", "image", robot, "view", targetQuery=query)
    seen, path = [], f"{IMAGES}?limit=3"
    while path:
        page = management.ok("demo/robot", "GET", path)
        seen += [item["name"] for item in page["items"]]
        path = next_of(page)
    assert seen == [*(f"app:r{number}" for number in range(7)), "app:v1"]
    summary = management.ok("demo/robot", "GET", f"{IMAGES}/-summary")
    assert (summary["kind"], summary["repositories"]) == ("imagesummary", [{"name": "app", "tagsCount": 8}])
    everything = management.ok(ADMIN, "GET", f"{IMAGES}/-summary")["repositories"]
    assert [each["name"] for each in everything] == ["app", "team/app"]
    found: list[str] = []
    wanted = {
        "spec": {
            "terms": [{"property": "tag", "op": "~", "value": "r*"}],
            "sort": {"by": "name", "order": "desc"},
        }
    }
    page = management.ok(ADMIN, "POST", f"{IMAGES}/-query?limit=3", wanted)
    while True:
        found += [item["tag"] for item in page["items"]]
        if not next_of(page):
            break
        page = management.ok(ADMIN, "GET", next_of(page))
    assert found == [f"r{number}" for number in reversed(range(7))]


def test_latest_is_what_was_pushed_last_of_what_may_be_seen(management: Management):
    management.world.clock.advance(timedelta(minutes=1))
    management.push("demo/app", "v2")
    assert management.ok(ADMIN, "GET", f"{IMAGES}/-latest/app")["tag"] == "v2"
    assert management.ok(ADMIN, "GET", f"{IMAGES}/-latest/team/app")["tag"] == "v1"
    assert management.call(ADMIN, "GET", f"{IMAGES}/-latest/absent").status_code == 404
    management.account("demo", "nobody")
    for name in ("app", "absent"):
        assert management.call("demo/nobody", "GET", f"{IMAGES}/-latest/{name}").status_code == 403


def test_explanation_before_the_first_push(management: Management):
    management.account("demo", "robot")
    query = {"spec": {"terms": [{"property": "repository", "value": "new"}]}}
    management.policy("new", "image", "//serviceaccount/robot", "create", targetQuery=query)
    path = f"{IMAGES}/new:v1/-explain?principal=//serviceaccount/robot&permission="
    assert [management.ok(ADMIN, "GET", path + name)["allowed"] for name in ("create", "pull", "delete")] == [
        True,
        True,
        False,
    ]
    assert management.call("demo/robot", "GET", path + "pull").status_code == 403


@pytest.mark.parametrize("after", ["x", "e30", "%00", "a" * 3000])
def test_made_up_cursor_is_refused(management: Management, after):
    for path in (IMAGES, f"{IMAGES}/-summary", f"{IMAGES}/-query"):
        assert management.call(ADMIN, "GET", f"{path}?after={after}").status_code == 400


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "1e3"])
def test_limit_outside_its_range_is_refused(management: Management, limit):
    assert management.call(ADMIN, "GET", f"{IMAGES}?limit={limit}").status_code == 400


def test_manifest_with_a_number_beyond_all_numbers_is_shown(management: Management):
    """A registry of an earlier version has taken it; the JSON of an answer cannot say infinity."""
    table, repository = management.world.table, Repository.parse("demo/app")
    shown = management.ok(ADMIN, "GET", f"{IMAGES}/app:v1")
    record = table.find_manifest(repository, Digest.parse(shown["digest"]))
    assert record is not None
    body = b'{"schemaVersion": 2, "ratio": 1e999, "half": 0.5, "lists": [-1e999]}'
    put_manifest(table, repository, replace(record, body=body), uses=[], referrer=None)
    shown = management.ok(ADMIN, "GET", f"{IMAGES}/app:v1")
    assert shown["manifest"] == {"schemaVersion": 2, "ratio": "1e999", "half": 0.5, "lists": ["-1e999"]}


@pytest.mark.parametrize("depth", [400, 900, 3000])
def test_manifest_of_any_depth_is_refused_or_shown(management: Management, depth):
    auth = management.world.all_of("demo/admin", "demo/app")
    content = image(nested=0).replace(b'"nested": 0', b'"nested": ' + b"[" * depth + b"]" * depth)
    headers = {**auth, "Content-Type": OCI_MANIFEST}
    pushed = management.world.registry.put("/v2/demo/app/manifests/deep", headers=headers, content=content)
    assert pushed.status_code in (201, 400)
    shown = management.call(ADMIN, "GET", f"{IMAGES}/app:deep")
    assert shown.status_code == (200 if pushed.status_code == 201 else 404)


@pytest.mark.parametrize("path", ["app:v1", "app@{digest}", "app:v1@{digest}"])
@pytest.mark.parametrize(
    "body",
    [
        {"name": "other:v1"},
        {"name": "team/app:v1"},
        {"name": "app:v2"},
        {"name": "app"},
        {"name": f"app:v1@sha256:{'0' * 64}"},
        {"name": ""},
        {"kind": "policy"},
        {"kind": 5},
    ],
    ids=str,
)
def test_image_is_not_changed_under_the_name_of_another(management: Management, pushed, path, body):
    for method in ("PATCH", "PUT"):
        content = {"tags": {"env": "prod"}, **body}
        refused = management.call(ADMIN, method, f"{IMAGES}/{path.format(digest=pushed)}", content)
        # Of a digest alone any tag may be meant, and then there is no such image.
        assert refused.status_code in ((400, 404) if path.startswith("app@") else (400,)), refused.text
    assert management.ok(ADMIN, "GET", f"{IMAGES}/app:v1")["version"] == 1


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("app:v1", "app:v1"),
        ("app@{digest}", "app:v1"),
        ("app@{digest}", "app@{digest}"),
        ("app:v1@{digest}", "app:v1"),
        ("app:v1@{digest}", "app@{digest}"),
        ("app:v1@{digest}", "app:v1@{digest}"),
    ],
)
def test_image_may_be_called_by_its_plain_name_or_as_it_is_pinned(management: Management, pushed, path, name):
    for method in ("PATCH", "PUT"):
        body = {"kind": "image", "name": name.format(digest=pushed), "tags": {"by": method}}
        changed = management.ok(ADMIN, method, f"{IMAGES}/{path.format(digest=pushed)}", body)
        assert (changed["name"], changed["tags"]) == ("app:v1", body["tags"])


def test_of_two_tags_of_a_digest_the_one_that_the_body_names_is_changed(management: Management, pushed):
    management.push("demo/app", "a-tag-before")
    path = f"{IMAGES}/app@{pushed}"
    assert management.ok(ADMIN, "GET", path)["name"] == "app:a-tag-before"
    assert management.ok(ADMIN, "PATCH", path, {"name": "app:v1", "tags": {"n": 1}})["name"] == "app:v1"
    assert management.ok(ADMIN, "GET", f"{IMAGES}/app:a-tag-before")["tags"] == {}
