"""Uploads that go straight to the store: who is sent there, by which path, and what the rest of the session does."""

import hashlib
import hmac
import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest

from moorage.bootstrap import registry, token
from moorage.domain.blobs import Way, object_key
from moorage.domain.digests import Digest
from moorage.domain.errors import Throttled, Unavailable
from moorage.domain.upload_paths import UploadKey
from tests.protocol.sample import (
    ABSENT,
    BLOB,
    DIGEST,
    EMPTY,
    LONG,
    NAME,
    image,
    push_blob,
    push_manifest,
    require_error,
    require_success,
    sha256,
)
from tests.protocol.test_hosts import token_at
from tests.protocol.world import HOST, World, registry_in_memory
from tests.unit.test_user_agents import STREAMS, UNKNOWN, WHOLE

PROOF = "the-front-doors-own-secret"
UPLOADS = f"/v2/{NAME}/blobs/uploads/"
DOCKER = WHOLE[0]


@pytest.fixture
def world() -> Iterator[World]:
    with registry_in_memory(HOST, PROOF) as world:
        yield world


@pytest.fixture
def headers(world: World) -> dict[str, str]:
    return world.all_of("demo/admin", NAME, "demo/side")


def through_the_front_door(host: str = HOST, user_agent: str = DOCKER) -> dict[str, str]:
    return {"x-moorage-front-door": PROOF, "x-moorage-host": host, "User-Agent": user_agent}


def begin(world: World, headers: dict[str, str], query: str = "", **more: str) -> str:
    sent = {**headers, **through_the_front_door(), **more}
    response = world.registry.post(UPLOADS + query, headers=sent)
    require_success(response, 202)
    assert response.headers["Range"] == "0-0"
    return str(response.headers["Location"])


def require_direct(
    world: World, location: str, *, uploads: str = UPLOADS, key: UploadKey | None = None
) -> str:
    """The session of a signed path, which is right down to its MAC."""
    key = key or world.upload_keys.key
    assert location.startswith(uploads)
    way, kid, expires, repository_id, session_id, mac = location.removeprefix(uploads).split("/")
    session = next(each for each in world.table._sessions.values() if each.id == session_id)
    assert (way, kid) == ("_direct", key.kid)
    assert repository_id == session.repository_id
    assert int(expires) == int((world.clock() + timedelta(hours=2)).timestamp())
    assert session.way is Way.DIRECT
    assert (session.expires - world.clock()) >= timedelta(hours=14)
    signed = "PUT\n" + location.rpartition("/")[0]
    assert mac == hmac.new(key.key.encode("ascii"), signed.encode("ascii"), hashlib.sha256).hexdigest()
    return session_id


def require_through_the_api(world: World, location: str) -> None:
    session_id = location.removeprefix(UPLOADS)
    session = next(each for each in world.table._sessions.values() if each.id == session_id)
    assert session.way is Way.API
    assert world.upload_keys.reads == 0


def put(world: World, session_id: str, content: bytes, digest: str = "") -> str:
    """What the front door and the store make of a PUT to the signed path."""
    repository_id = world.repository(NAME).id
    key = object_key(Way.DIRECT, repository_id, Digest.parse(digest or sha256(content)), session_id)
    world.storage.put(key, content)
    return key


# ------------------------------------------------------------------ who is sent where
@pytest.mark.parametrize("user_agent", WHOLE)
def test_a_client_that_sends_one_put_gets_a_signed_path(world, headers, user_agent):
    location = begin(world, headers, **{"User-Agent": user_agent})
    require_direct(world, location)


@pytest.mark.parametrize("user_agent", [*STREAMS, *UNKNOWN], ids=ascii)
def test_every_other_client_goes_on_at_the_api(world, headers, user_agent):
    location = begin(world, headers, **{"User-Agent": user_agent})
    require_through_the_api(world, location)
    response = world.registry.put(f"{location}?digest={DIGEST}", headers=headers, content=BLOB)
    require_success(response, 201)


@pytest.mark.parametrize(
    "shown", [None, "", " ", "wrong", PROOF[:-1], PROOF + "x", PROOF.upper(), "é", "\x00"]
)
def test_without_the_proof_of_the_front_door_it_is_the_api(world, headers, shown):
    sent = {**headers, "User-Agent": DOCKER, "x-moorage-host": HOST}
    if shown is not None:
        sent["x-moorage-front-door"] = shown.encode("latin-1")
    response = world.registry.post(UPLOADS, headers=sent)
    require_success(response, 202)
    require_through_the_api(world, response.headers["Location"])


def test_where_there_is_no_front_door_nothing_proves_it():
    with registry_in_memory() as world:
        headers = world.all_of("demo/admin", NAME)
        for shown in ("", "None", PROOF):
            sent = {**headers, "User-Agent": DOCKER, "x-moorage-front-door": shown, "x-moorage-host": "evil"}
            response = world.registry.post(UPLOADS, headers=sent)
            require_success(response, 202)
            require_through_the_api(world, response.headers["Location"])


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("bootstrap", [registry, token])
def test_a_front_door_without_a_proof_is_none(bootstrap, value):
    """A request without the header would show the empty proof."""
    environ = dict.fromkeys(("TABLE_NAME", "BUCKET_NAME", "SIGNING_KEY_PARAMETER", "LOG_LEVEL"), "x")
    if value is not None:
        environ["FRONT_DOOR"] = value
    assert bootstrap.Settings.read(environ).entrance.front_door is None


@pytest.mark.parametrize(
    ("algorithm", "direct"),
    [("sha256", True), ("sha512", False), ("", True)],
    ids=["sha256", "sha512", "none"],
)
def test_only_of_a_sha256_can_the_store_make_sure(world, headers, algorithm, direct):
    location = begin(world, headers, f"?digest-algorithm={algorithm}")
    if direct:
        require_direct(world, location)
    else:
        require_through_the_api(world, location)
        response = world.registry.put(f"{location}?digest={LONG}", headers=headers, content=BLOB)
        require_success(response, 201)


def test_an_algorithm_that_is_none_is_refused_as_ever(world, headers):
    sent = {**headers, **through_the_front_door()}
    response = world.registry.post(f"{UPLOADS}?digest-algorithm=md5", headers=sent)
    require_error(response, 400, "DIGEST_INVALID")
    assert not world.table._sessions


def test_a_whole_blob_in_the_first_request_stays_with_the_api(world, headers):
    sent = {**headers, **through_the_front_door()}
    response = world.registry.post(f"{UPLOADS}?digest={DIGEST}", headers=sent, content=BLOB)
    require_success(response, 201)
    assert world.storage.list_keys("api/", 5)
    assert world.upload_keys.reads == 0


@pytest.mark.parametrize(
    "query", [f"?mount={ABSENT}&from=demo/side", f"?mount={ABSENT}", f"?mount={DIGEST}&from=No"]
)
def test_after_a_mount_that_came_to_nothing_the_client_is_sent_to_the_store(world, headers, query):
    require_direct(world, begin(world, headers, query))


def test_a_mount_that_is_accepted_opens_no_upload(world, headers):
    push_blob(world, headers, name="demo/side")
    sent = {**headers, **through_the_front_door()}
    response = world.registry.post(f"{UPLOADS}?mount={DIGEST}&from=demo/side", headers=sent)
    require_success(response, 201)
    assert world.upload_keys.reads == 0


@pytest.mark.parametrize("host", [f"demo.{HOST}", f"DEMO.{HOST.upper()}", f"demo.{HOST}:8443"])
def test_at_an_organisations_host_the_path_is_the_one_that_the_client_uses(world, host):
    """The front door checks the MAC over the path that it gets."""
    own = token_at(world, "demo/admin", "demo", "repository:team/app:*")
    sent = {**own, **through_the_front_door(host), "Host": "abc123.execute-api.eu-central-1.amazonaws.com"}
    response = world.registry.post("/v2/team/app/blobs/uploads/", headers=sent)
    require_success(response, 202)
    require_direct(world, response.headers["Location"], uploads="/v2/team/app/blobs/uploads/")


def test_the_slash_at_the_end_of_the_uploads_path_does_not_matter(world, headers):
    sent = {**headers, **through_the_front_door()}
    response = world.registry.post(UPLOADS.rstrip("/"), headers=sent)
    require_direct(world, response.headers["Location"])


def test_whoever_may_not_push_gets_no_signed_path(world):
    for who in ("demo/viewer", "other/admin"):
        sent = {**world.all_of(who, NAME), **through_the_front_door()}
        require_error(world.registry.post(UPLOADS, headers=sent), 403, "DENIED")
    response = world.registry.post(UPLOADS, headers=through_the_front_door())
    require_error(response, 401, "UNAUTHORIZED")
    assert "_direct" not in str(response.headers)
    assert world.upload_keys.reads == 0


# ------------------------------------------------------------------ the key
def test_the_key_is_read_once_in_five_minutes(world, headers):
    first, started = world.upload_keys.key, world.clock.now
    for seconds in (0, 1, 298):
        world.clock.now = started + timedelta(seconds=seconds)
        require_direct(world, begin(world, headers))
        assert world.upload_keys.reads == 1
    world.upload_keys.key = UploadKey("b2", "7a" * 32)
    headers = world.all_of("demo/admin", NAME)
    world.clock.now = started + timedelta(seconds=299)
    require_direct(world, begin(world, headers), key=first)
    world.clock.now = started + timedelta(seconds=300)
    for _ in range(2):
        require_direct(world, begin(world, headers))
        assert world.upload_keys.reads == 2


@pytest.mark.parametrize(("error", "status"), [(Unavailable, 503), (Throttled, 429)])
@pytest.mark.parametrize("after", [timedelta(0), timedelta(minutes=5)], ids=["cold", "to be renewed"])
def test_a_key_that_cannot_be_read_is_an_outage_and_not_the_api(world, headers, after, error, status):
    if after:
        begin(world, headers)
        world.clock.advance(after)
        headers = world.all_of("demo/admin", NAME)
    sent = {**headers, **through_the_front_door()}
    with world.faults.failing(named="upload_key", error=lambda: error("the inner message")):
        for _ in range(2):
            response = world.registry.post(UPLOADS, headers=sent)
            require_error(response, status, "TOOMANYREQUESTS")
            assert int(response.headers["Retry-After"]) > 0
            assert "Location" not in response.headers
    require_direct(world, begin(world, headers))


@pytest.mark.parametrize(("error", "status"), [(Unavailable, 503), (Throttled, 429)])
@pytest.mark.parametrize("query", ["", f"?mount={ABSENT}&from=demo/side"])
def test_no_direct_upload_is_opened_while_any_dependency_fails(world, headers, query, error, status):
    sent, at = {**headers, **through_the_front_door()}, 0
    while True:
        # As in a new environment of the function.
        world.services.verification._loaded = None
        world.services.signing._key._held = None
        with world.faults.failing(at=at, error=lambda: error("the inner message")):
            response = world.registry.post(UPLOADS + query, headers=sent)
            if len(world.faults.calls) <= at:
                break
        require_error(response, status, "TOOMANYREQUESTS")
        assert "Location" not in response.headers
        at += 1
    require_direct(world, response.headers["Location"])
    assert at >= 4


def test_clients_of_the_api_do_not_notice_that_the_key_cannot_be_read(world, headers):
    with world.faults.failing(named="upload_key"):
        begin(world, headers, **{"User-Agent": STREAMS[0]})


def test_neither_key_nor_proof_nor_signature_is_logged_or_shown(world, headers, caplog):
    with caplog.at_level(logging.DEBUG):
        location = begin(world, headers)
        status = world.registry.get(UPLOADS + location.split("/")[-2], headers=headers)
        with world.faults.failing(named="upload_key"):
            world.clock.advance(timedelta(minutes=5))
            sent = {**world.all_of("demo/admin", NAME), **through_the_front_door()}
            failed = world.registry.post(UPLOADS, headers=sent)
    shown = caplog.text + str([vars(record) for record in caplog.records]) + failed.text + str(status.headers)
    for secret in (world.upload_keys.key.key, PROOF, location.rpartition("/")[2]):
        assert secret not in shown


# ------------------------------------------------------------------ the rest of the session
def test_what_was_put_there_is_a_blob_at_the_next_question(world, headers):
    session_id = require_direct(world, begin(world, headers))
    require_error(world.registry.head(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers), 404)
    key = put(world, session_id, BLOB)
    response = world.registry.head(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers)
    require_success(response, 200)
    assert response.headers["Content-Length"] == str(len(BLOB))
    served = world.registry.get(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers)
    assert key in served.headers["Location"]


def test_a_manifest_may_come_before_the_stores_event(world, headers):
    for content in (BLOB, b""):
        put(world, require_direct(world, begin(world, headers)), content)
    layers = [{"mediaType": "x/y", "digest": EMPTY, "size": 0}]
    push_manifest(world, headers, image(layers=layers), "v1")


def test_what_was_put_by_one_repositorys_session_is_unknown_in_another(world, headers):
    put(world, require_direct(world, begin(world, headers)), BLOB)
    push_blob(world, headers, b"makes the repository", "demo/side")
    require_error(world.registry.head(f"/v2/demo/side/blobs/{DIGEST}", headers=headers), 404)


def test_other_content_under_the_digest_is_no_blob(world, headers):
    put(world, require_direct(world, begin(world, headers)), b"other", DIGEST)
    require_error(world.registry.head(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers), 404)
    response = world.registry.put(f"/v2/{NAME}/manifests/v1", headers=headers, content=image())
    require_error(response, 400, "MANIFEST_BLOB_UNKNOWN")


def test_the_upload_shows_its_state_and_is_cancelled_at_its_plain_path(world, headers):
    session_id = require_direct(world, begin(world, headers))
    response = world.registry.get(UPLOADS + session_id, headers=headers)
    require_success(response, 204)
    assert response.headers["Location"] == UPLOADS + session_id
    assert response.headers["Range"] == "0-0"
    assert response.headers["Docker-Upload-UUID"] == session_id
    require_success(world.registry.delete(UPLOADS + session_id, headers=headers), 204)
    for method in ("GET", "DELETE"):
        require_error(
            world.registry.request(method, UPLOADS + session_id, headers=headers), 404, "BLOB_UPLOAD_UNKNOWN"
        )
    # What comes to the store after that is nobody's.
    put(world, session_id, BLOB)
    require_error(world.registry.head(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers), 404)


@pytest.mark.parametrize("content", [b"", BLOB])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("range_", [{}, {"Content-Range": f"0-{len(BLOB) - 1}"}], ids=["whole", "chunk"])
def test_bytes_for_it_are_refused_at_its_plain_path(world, headers, method, content, range_):
    session_id = require_direct(world, begin(world, headers))
    response = world.registry.request(
        method,
        f"{UPLOADS}{session_id}?digest={sha256(content)}",
        headers={**headers, **range_},
        content=content,
    )
    require_error(response, 400, "BLOB_UPLOAD_INVALID")
    assert not world.storage.list_keys("", 5)
    # The session is as it was.
    put(world, session_id, BLOB)
    require_success(world.registry.head(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers), 200)


def test_the_commit_of_an_upload_that_was_settled_is_answered_again(world, headers):
    session_id = require_direct(world, begin(world, headers))
    put(world, session_id, BLOB)
    require_success(world.registry.head(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers), 200)
    response = world.registry.put(f"{UPLOADS}{session_id}?digest={DIGEST}", headers=headers)
    require_success(response, 201)
    require_error(
        world.registry.put(f"{UPLOADS}{session_id}?digest={ABSENT}", headers=headers),
        404,
        "BLOB_UPLOAD_UNKNOWN",
    )


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "POST"])
def test_a_signed_path_that_reaches_the_api_is_no_endpoint(world, headers, method):
    """As when the front door's rule for it is missing: the bytes must not be taken for a chunk."""
    location = begin(world, headers)
    response = world.registry.request(
        method, f"{location}?digest={DIGEST}", headers={**headers, **through_the_front_door()}, content=BLOB
    )
    assert response.status_code in (400, 404, 405)
    require_error(response, response.status_code)
    assert not world.storage.list_keys("", 5)


# ------------------------------------------------------------------ the host that a client has named
@pytest.mark.parametrize("path", ["/v2/", f"/v2/{NAME}/tags/list"])
def test_the_front_door_says_which_host_the_client_named(world, path):
    sent = {**through_the_front_door("registry.example:8443"), "Host": "abc123.execute-api.amazonaws.com"}
    challenge = world.registry.get(path, headers=sent).headers["WWW-Authenticate"]
    assert 'realm="https://registry.example:8443/token",service="registry.example:8443"' in challenge
    assert "execute-api" not in challenge


@pytest.mark.parametrize("shown", [None, "", "wrong"])
@pytest.mark.parametrize("path", ["/v2/", f"/v2/{NAME}/tags/list"])
def test_nobody_else_does(world, path, shown):
    sent = {"x-moorage-host": "evil.example"} | ({} if shown is None else {"x-moorage-front-door": shown})
    response = world.registry.get(path, headers=sent)
    require_error(response, 401, "UNAUTHORIZED")
    assert f'realm="https://{HOST}/token",service="{HOST}"' in response.headers["WWW-Authenticate"]
    assert "evil" not in str(response.headers) + response.text


@pytest.mark.parametrize("host", [None, "", 'evil"', "a b", "x\r", "é", "a" * 300])
def test_a_host_of_the_front_door_that_is_none_is_not_repeated(world, host):
    sent = {"x-moorage-front-door": PROOF}
    if host is not None:
        sent["x-moorage-host"] = host.encode("latin-1")
    response = world.registry.get("/v2/", headers=sent)
    require_error(response, 400, "UNSUPPORTED")
    assert "WWW-Authenticate" not in response.headers


def test_an_organisations_host_is_read_from_the_front_door(world):
    own = token_at(world, "demo/admin", "demo", "repository:app:*")
    sent = {**own, **through_the_front_door(f"demo.{HOST}"), "Host": "abc123.execute-api.amazonaws.com"}
    assert world.registry.post("/v2/app/blobs/uploads/", headers=sent).status_code == 202
    # With a proof that is none, the same request is one to a host without organisations of its own.
    sent["x-moorage-front-door"] = "wrong"
    require_error(world.registry.post("/v2/app/blobs/uploads/", headers=sent), 400, "NAME_INVALID")


def test_the_token_service_reads_the_host_from_the_front_door_too(world):
    asked = {"scope": "repository:app:pull"}
    auth = ("<token>", world.keys["demo/admin"])
    sent = {**through_the_front_door(f"demo.{HOST}"), "Host": "abc123.execute-api.amazonaws.com"}
    response = world.tokens.get("/token", params=asked, auth=auth, headers=sent)
    assert response.status_code == 200
    headers = {"Authorization": f"Bearer {response.json()['token']}", "Host": f"demo.{HOST}"}
    assert world.registry.get("/v2/app/tags/list", headers=headers).status_code == 404
    # From anybody else the same header says nothing: the scope names no repository of the shared host.
    response = world.tokens.get(
        "/token", params=asked, auth=auth, headers={**sent, "x-moorage-front-door": "x"}
    )
    if response.status_code == 200:
        headers["Authorization"] = f"Bearer {response.json()['token']}"
        assert world.registry.get("/v2/app/tags/list", headers=headers).status_code == 401
