"""What is logged: who did what, and no secret, no signed URL and no name from inside the store."""

import logging

import pytest

from moorage.domain.errors import Unavailable
from tests.protocol.sample import BLOB, DIGEST, IMAGE, NAME, fill, push_manifest, session


@pytest.fixture(autouse=True)
def _every_record(caplog):
    caplog.set_level(logging.DEBUG)


def written(caplog):
    """Every record with all its fields, as a formatter could write it."""
    formatter = logging.Formatter()
    lines = []
    for record in caplog.records:
        lines.append(formatter.format(record))
        lines.append(repr(vars(record)))
    return "\n".join(lines)


def requests(caplog):
    return [
        vars(record)
        for record in caplog.records
        if record.name == "moorage.web" and record.message == "request"
    ]


def everything(world):
    """Each kind of request, well and badly made; what must not be logged."""
    token = world.token("demo/admin", f"repository:{NAME}:*")
    headers = {"Authorization": f"Bearer {token}"}
    fill(world, headers)
    location = session(world, headers, BLOB)
    world.registry.put(location, params={"digest": DIGEST}, headers=headers)
    redirect = world.registry.get(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers).headers["Location"]
    world.registry.get(f"/v2/{NAME}/manifests/v1", headers=headers)
    push_manifest(world, headers, IMAGE, "v3")
    world.registry.get(f"/v2/{NAME}/manifests/v1", headers={"Authorization": f"Bearer {token}x"})
    world.registry.get(f"/v2/{NAME}/manifests/v1", auth=("<token>", world.keys["demo/admin"]))
    key = world.keys["demo/admin"]
    world.tokens.get("/token", auth=("nobody", key))
    world.tokens.get("/token", auth=("<token>", key[:-1] + "a"))
    for grant in ("password", "refresh_token", "other"):
        form = {"grant_type": grant, "username": "<token>", "password": key, "refresh_token": key}
        world.tokens.post("/token", data=form)
    with world.faults.failing(named="find_link", error=lambda: Unavailable("down")):
        world.registry.get(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers)
    return [
        key,
        key.rpartition("_")[2],
        token,
        token.rpartition(".")[2],
        "X-Amz-",
        redirect.partition("?")[2],
        "storage.invalid",
        world.signing.private_pem.splitlines()[1],
    ]


def test_no_secret_and_no_signed_url_is_logged(world, caplog):
    secrets = everything(world)
    log = written(caplog)
    assert len(requests(caplog)) > 15
    for secret in secrets:
        assert secret not in log


def test_a_fault_is_logged_without_the_request_that_met_it(world, caplog, monkeypatch):
    def fault(*_, **__):
        raise ZeroDivisionError("the cause")

    monkeypatch.setattr(world.table, "find_tag", fault)
    token = world.token("demo/admin", f"repository:{NAME}:*")
    world.registry.get(f"/v2/{NAME}/manifests/v1", headers={"Authorization": f"Bearer {token}"})
    log = written(caplog)
    assert "the cause" in log
    assert token not in log


def test_a_request_is_one_line_that_says_who_did_what(world, caplog):
    headers = world.all_of("demo/admin", NAME)
    caplog.clear()
    world.registry.get(f"/v2/{NAME}/manifests/v1", headers={**headers, "User-Agent": "x" * 1000})
    (line,) = requests(caplog)
    assert line["method"] == "GET"
    assert line["route"] == "manifest"
    assert line["repository"] == NAME
    assert line["principal"] == "/org/demo/serviceaccount/admin"
    assert line["status"] == 404
    assert line["code"] == "MANIFEST_UNKNOWN"
    assert line["milliseconds"] >= 0
    assert len(line["user_agent"]) <= 200


def test_nobody_writes_a_line_of_its_own_into_the_log(world, caplog):
    world.registry.get("/v2/demo/app%0Aevil/manifests/v1", headers={"User-Agent": "x\tevil"})
    (line,) = requests(caplog)
    assert "\n" not in str(line.get("repository", ""))
    assert "principal" not in line


def test_nothing_of_the_store_stands_in_answers(world):
    headers = world.all_of("demo/admin", NAME)
    fill(world, headers)
    (key,) = {link.key for link in world.table._links.values() if str(link.digest) == DIGEST}
    repository_id = world.table.find_repository(next(iter(world.table._repositories))).id
    answers = [
        world.registry.head(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers),
        world.registry.get(f"/v2/{NAME}/manifests/v1", headers=headers),
        world.registry.get(f"/v2/{NAME}/tags/list", headers=headers),
        world.registry.post(f"/v2/{NAME}/blobs/uploads/", headers=headers),
        world.registry.post(f"/v2/{NAME}/blobs/uploads/?mount={DIGEST}&from={NAME}", headers=headers),
    ]
    for answer in answers:
        seen = repr(answer.headers) + answer.text
        assert key not in seen
        assert repository_id not in seen
