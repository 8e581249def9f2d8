"""Mounts: what may be read elsewhere comes along, and what may not be read does not seem to exist."""

import pytest

from moorage.services import authorization
from tests.contract.samples import policy
from tests.protocol.sample import (
    ABSENT,
    BLOB,
    DIGEST,
    LONG,
    NAME,
    fill,
    push_blob,
    require_error,
    require_success,
)

TARGET = "demo/target"


@pytest.fixture
def headers(world):
    fill(world, world.all_of("demo/admin", NAME))
    # As docker does it: the token is for the target, and says nothing of the source.
    return world.auth("demo/admin", f"repository:{TARGET}:pull,push")


def mount(world, headers, digest=DIGEST, source=None, target=TARGET, **more):
    query = {"mount": digest} | ({} if source is None else {"from": source})
    return world.registry.post(f"/v2/{target}/blobs/uploads/", params=query, headers=headers, **more)


def require_session(world, headers, response, target=TARGET):
    """An upload that can be used, as if no mount had been asked for."""
    require_success(response, 202)
    assert response.headers["Location"].startswith(f"/v2/{target}/blobs/uploads/")
    assert response.headers["Range"] == "0-0"
    closing = world.registry.put(
        response.headers["Location"], params={"digest": DIGEST}, headers=headers, content=BLOB
    )
    require_success(closing, 201)


@pytest.mark.parametrize("source", [NAME, None], ids=["from", "without from"])
@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
def test_a_blob_of_the_organisation_is_mounted(world, headers, digest, source):
    for _ in range(2):
        response = mount(world, headers, digest, source)
        require_success(response, 201)
        assert response.headers["Location"] == f"/v2/{TARGET}/blobs/{digest}"
        assert response.headers["Docker-Content-Digest"] == digest
        head = world.registry.head(response.headers["Location"], headers=headers)
        assert head.headers["Content-Length"] == str(len(BLOB))


@pytest.mark.parametrize(
    "source",
    [
        "demo/none",
        "other/app",
        "other/none",
        "third/app",
        "demo",
        "Demo/App",
        "",
        "../demo/app",
        "demo/app\0",
        "demo/app/",
        "demo%2fapp",
        "x" * 300,
        "*",
    ],
)
def test_a_source_that_is_not_there_is_an_upload(world, headers, source):
    push_blob(world, world.all_of("other/admin", "other/app"), name="other/app")
    require_session(world, headers, mount(world, headers, DIGEST, source))


def test_a_blob_that_nobody_has_is_an_upload(world, headers):
    for source in (NAME, None):
        require_session(world, headers, mount(world, headers, ABSENT, source))


def answer(response):
    """All that can be seen of an answer but the random name of the upload."""
    headers = {name: value for name, value in response.headers.items() if name != "docker-upload-uuid"}
    return (
        response.status_code,
        headers | {"location": headers["location"].rpartition("/")[0]},
        response.content,
    )


@pytest.mark.parametrize("source", ["other/app", None], ids=["from", "without from"])
def test_a_blob_of_another_organisation_looks_exactly_like_an_absent_one(world, headers, source):
    content = b"only the other organisation has this"
    digest = push_blob(world, world.all_of("other/admin", "other/app"), content, "other/app")
    seen = mount(world, headers, digest, source)
    unseen = mount(world, headers, ABSENT, source and "other/none")
    assert answer(seen) == answer(unseen)
    require_error(world.registry.head(f"/v2/{TARGET}/blobs/{digest}", headers=headers), 404, "BLOB_UNKNOWN")


def test_the_same_questions_are_asked_of_the_store_for_an_unreadable_source_as_for_an_absent_one(
    world, headers
):
    digest = push_blob(world, world.all_of("other/admin", "other/app"), b"foreign", "other/app")
    calls = []
    mount(world, headers, ABSENT, NAME)
    for asked, source in ((digest, "other/app"), (ABSENT, "other/none")):
        world.faults.calls.clear()
        mount(world, headers, asked, source)
        calls.append(list(world.faults.calls))
    assert calls[0] == calls[1]


def test_a_source_that_the_principal_may_not_pull_looks_exactly_like_an_absent_one(world):
    world.add_account("demo", "pusher")
    target = {"kind": "image", "spec": {"terms": [{"op": "=", "property": "repository", "value": "target"}]}}
    spec = policy("pushers", "/org/demo/serviceaccount/pusher", permission="create").spec
    world.table.create(policy("pushers", spec={**spec, "target": None, "targetQuery": target}))
    headers = world.auth("demo/pusher", f"repository:{TARGET}:pull,push")
    for source in (NAME, None):
        assert answer(mount(world, headers, DIGEST, source)) == answer(mount(world, headers, ABSENT, source))
    require_error(world.registry.head(f"/v2/{TARGET}/blobs/{DIGEST}", headers=headers), 404)


def test_a_mount_needs_the_right_to_push_to_the_target(world, headers):
    for who, scope, status in (
        ("demo/admin", f"repository:{TARGET}:pull", 401),
        ("demo/admin", f"repository:{NAME}:pull,push", 401),
        ("demo/viewer", f"repository:{TARGET}:pull,push", 403),
        ("other/admin", f"repository:{TARGET}:pull,push", 403),
    ):
        for source in (NAME, None):
            require_error(mount(world, world.auth(who, scope), DIGEST, source), status)
    require_error(world.registry.head(f"/v2/{TARGET}/blobs/{DIGEST}", headers=headers), 404)


def test_a_failed_mount_with_a_digest_and_a_body_is_a_push(world, headers):
    response = world.registry.post(
        f"/v2/{TARGET}/blobs/uploads/",
        params={"mount": ABSENT, "from": NAME, "digest": DIGEST},
        headers=headers,
        content=BLOB,
    )
    require_success(response, 201)
    assert response.headers["Docker-Content-Digest"] == DIGEST


def test_a_repository_mounts_from_itself_what_it_has(world):
    headers = world.auth("demo/admin", f"repository:{NAME}:pull,push")
    fill(world, headers)
    require_success(mount(world, headers, DIGEST, NAME, NAME), 201)


def test_a_blob_deleted_at_the_source_is_not_mounted_but_what_was_mounted_stays(world, headers):
    all_of_it = world.all_of("demo/admin", NAME, TARGET)
    require_success(mount(world, headers, DIGEST, NAME), 201)
    require_success(world.registry.delete(f"/v2/{NAME}/blobs/{DIGEST}", headers=all_of_it), 202)
    assert world.registry.head(f"/v2/{TARGET}/blobs/{DIGEST}", headers=headers).status_code == 200
    third = world.auth("demo/admin", "repository:demo/third:pull,push")
    require_session(world, third, mount(world, third, DIGEST, NAME, "demo/third"), "demo/third")


def test_two_different_mounts_at_once_are_refused(world, headers):
    response = world.registry.post(
        f"/v2/{TARGET}/blobs/uploads/?mount={DIGEST}&mount={LONG}&from={NAME}", headers=headers
    )
    require_error(response, 400)


def test_where_it_would_take_long_to_decide_which_source_may_be_read_the_blob_is_uploaded(
    world, headers, monkeypatch
):
    world.add_account("demo", "robot")
    world.table.create(policy("robot", "/org/demo/serviceaccount/robot", permission="create"))
    robot = world.auth("demo/robot", f"repository:{TARGET}:pull,push")
    require_success(mount(world, robot), 201)
    require_success(
        world.registry.delete(f"/v2/{TARGET}/blobs/{DIGEST}", headers=world.all_of("demo/admin", TARGET)), 202
    )
    monkeypatch.setattr(authorization, "EFFORT_MAX", 0)
    require_session(world, robot, mount(world, robot))
