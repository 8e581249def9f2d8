"""Uploads that ``ingest`` receives: who is sent there, and what the registry makes of its receipts."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from moorage.domain.blobs import Way
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.upload_paths import UploadKey
from tests.protocol.ingest import OBJECT, PROOF, begin, ingest, through_the_front_door
from tests.protocol.sample import (
    ABSENT,
    BLOB,
    DIGEST,
    LONG,
    NAME,
    fill,
    require_error,
    require_success,
    sha256,
)
from tests.protocol.test_direct import UPLOADS, require_direct
from tests.protocol.world import HOST, World, registry_in_memory
from tests.unit.test_user_agents import STREAMS, UNKNOWN, WHOLE


@pytest.fixture
def world() -> Iterator[World]:
    with registry_in_memory(HOST, PROOF, ingest=True) as world:
        yield world


@pytest.fixture
def headers(world: World) -> dict[str, str]:
    return world.all_of("demo/admin", NAME, "demo/side")


def read(world: World, headers: dict[str, str], digest: str, name: str = NAME) -> bytes:
    """A blob as a pull would get it."""
    response = world.registry.head(f"/v2/{name}/blobs/{digest}", headers=headers)
    require_success(response, 200)
    link = world.table.find_link(world.repository(name).repository, Digest.parse(digest))
    assert link is not None
    assert link.size == int(response.headers["Content-Length"])
    return b"".join(world.storage.read(link.key) or [])


# ------------------------------------------------------------------ who is sent where
@pytest.mark.parametrize("user_agent", [*STREAMS, *UNKNOWN], ids=ascii)
def test_a_client_that_is_not_known_to_send_one_put_is_sent_to_the_stream(world, headers, user_agent):
    given = begin(world, headers, user_agent=user_agent)
    session = next(iter(world.table._sessions.values()))
    assert (session.id, session.way) == (given.session_id, Way.STREAM)
    assert (given.kid, given.repository_id) == ("a1", world.repository(NAME).id)
    assert given.expires == int((world.clock() + timedelta(hours=2)).timestamp())


@pytest.mark.parametrize("user_agent", WHOLE)
def test_a_client_that_sends_one_put_still_goes_straight_to_the_store(world, headers, user_agent):
    sent = {**headers, **through_the_front_door(user_agent=user_agent)}
    response = world.registry.post(UPLOADS, headers=sent)
    require_direct(world, response.headers["Location"])


def test_a_digest_that_the_store_cannot_prove_is_streamed(world, headers):
    sent = {**headers, **through_the_front_door(user_agent=WHOLE[0])}
    response = world.registry.post(f"{UPLOADS}?digest-algorithm=sha512", headers=sent)
    assert "/_stream/" in response.headers["Location"]


def test_without_the_front_door_it_is_the_api(world, headers):
    sent = {**headers, "User-Agent": STREAMS[0]}
    location = world.registry.post(UPLOADS, headers=sent).headers["Location"]
    require_success(world.registry.put(f"{location}?digest={DIGEST}", headers=headers, content=BLOB), 201)


def test_a_receipt_means_nothing_where_nothing_is_streamed(world, headers):
    receipt = ingest(world, begin(world, headers))
    with registry_in_memory(HOST, PROOF) as other:
        sent = other.all_of("demo/admin", NAME)
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            response = other.registry.request(method, f"{receipt}?digest={DIGEST}", headers=sent)
            require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")


# ------------------------------------------------------------------ a streamed blob
def test_a_streamed_blob_is_linked_where_it_lies(world, headers):
    given = begin(world, headers)
    receipt = ingest(world, given)
    response = world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers)
    require_success(response, 201)
    assert response.headers["Location"] == f"/v2/{NAME}/blobs/{DIGEST}"
    assert response.headers["Docker-Content-Digest"] == DIGEST
    assert read(world, headers, DIGEST) == BLOB
    (key,) = world.storage.list_keys("stream/", 10)
    assert world.table.find_link(world.repository(NAME).repository, Digest.parse(DIGEST)).key == key


def test_the_bytes_of_a_streamed_blob_pass_no_function(world, headers):
    receipt = ingest(world, begin(world, headers))
    world.faults.calls.clear()
    require_success(world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers), 201)
    assert not {"put", "read", "put_once", "head", "list_keys"} & set(world.faults.calls)


def test_an_empty_blob_is_streamed_too(world, headers):
    receipt = ingest(world, begin(world, headers), b"")
    require_success(world.registry.put(f"{receipt}?digest={sha256(b'')}", headers=headers), 201)
    assert read(world, headers, sha256(b"")) == b""


def test_another_digest_is_refused_and_the_right_one_taken_after_it(world, headers):
    receipt = ingest(world, begin(world, headers))
    require_error(world.registry.put(f"{receipt}?digest={ABSENT}", headers=headers), 400, "DIGEST_INVALID")
    require_error(world.registry.head(f"/v2/{NAME}/blobs/{ABSENT}", headers=headers), 404)
    require_error(world.registry.put(receipt, headers=headers), 400, "DIGEST_INVALID")
    require_success(world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers), 201)


def test_a_digest_of_another_algorithm_is_computed_from_what_was_stored(world, headers):
    receipt = ingest(world, begin(world, headers))
    wrong = str(Digest.of(b"other", Algorithm.SHA512))
    require_error(world.registry.put(f"{receipt}?digest={wrong}", headers=headers), 400, "DIGEST_INVALID")
    require_success(world.registry.put(f"{receipt}?digest={LONG}", headers=headers), 201)
    assert read(world, headers, LONG) == BLOB


def test_what_the_organisation_has_already_is_stored_once(world, headers):
    fill(world, headers, "demo/side")
    known = world.table.find_link(world.repository("demo/side").repository, Digest.parse(DIGEST))
    receipt = ingest(world, begin(world, headers))
    require_success(world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers), 201)
    assert world.table.find_link(world.repository(NAME).repository, Digest.parse(DIGEST)).key == known.key


def test_a_closing_request_whose_answer_was_lost_may_be_repeated(world, headers):
    receipt = ingest(world, begin(world, headers))
    for _ in range(3):
        require_success(world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers), 201)
    require_error(world.registry.put(f"{receipt}?digest={ABSENT}", headers=headers), 404)


@pytest.mark.parametrize("lost", [False, True])
def test_a_dependency_that_fails_leaves_an_upload_that_can_be_finished(world, headers, lost):
    for step in range(30):
        content = b"content %d" % step
        receipt = f"{ingest(world, begin(world, headers), content)}?digest={sha256(content)}"
        with world.faults.failing(at=step, lost=lost):
            response = world.registry.put(receipt, headers=headers)
        failed = response.status_code == 503
        require_success(world.registry.put(receipt, headers=headers), 201)
        assert read(world, headers, sha256(content)) == content
        if not failed:
            break
    assert step > 5


def test_whoever_finishes_first_the_other_gets_the_same_answer(world, headers):
    for step in range(30):
        content = b"content %d" % step
        receipt = f"{ingest(world, begin(world, headers), content)}?digest={sha256(content)}"
        answers: list[int] = []

        def finish(path: str = receipt, into: list[int] = answers) -> None:
            into.append(world.registry.put(path, headers=headers).status_code)

        with world.faults.interrupted(step, finish) as happened:
            answers.append(world.registry.put(receipt, headers=headers).status_code)
        assert set(answers) == {201}
        if not happened():
            break
    assert step > 5


# ------------------------------------------------------------------ receipts that are no good
def test_a_receipt_that_was_changed_is_unknown(world, headers):
    receipt = ingest(world, begin(world, headers))
    parts = receipt.removeprefix(UPLOADS).split("/")
    for place in range(1, len(parts)):
        end = "1" if parts[place][-1] == "0" else "0"
        for other in (parts[place][:-1] + end, parts[place] + end, parts[place][:-1], "%00", "..", "é"):
            changed = "/".join([*parts[:place], other, *parts[place + 1 :]])
            response = world.registry.put(f"{UPLOADS}{changed}?digest={DIGEST}", headers=headers)
            require_error(response, 404)
    require_success(world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers), 201)


def test_a_receipt_of_a_key_that_nobody_has_is_unknown(world, headers):
    given = begin(world, headers)
    forged = ingest(world, given, key=UploadKey("a1", "00" * 32))
    invented = ingest(world, given, key=UploadKey("b77", "00" * 32))
    for receipt in (forged, invented):
        response = world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers)
        require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")
    require_error(world.registry.head(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers), 404)


def test_a_receipt_of_the_former_key_holds_and_one_of_an_older_does_not(world, headers):
    first, second = world.upload_keys.key, UploadKey("b1", "6f" * 32)
    third = UploadKey("a2", "7a" * 32)
    old, kept = begin(world, headers), begin(world, headers)
    world.upload_keys.key, world.upload_keys.former = second, first
    world.clock.advance(timedelta(minutes=5))
    headers = world.all_of("demo/admin", NAME)
    receipt = ingest(world, kept, key=first)
    require_success(world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers), 201)
    world.upload_keys.key, world.upload_keys.former = third, second
    world.clock.advance(timedelta(minutes=5))
    headers = world.all_of("demo/admin", NAME)
    receipt = ingest(world, old, b"more", key=first)
    response = world.registry.put(f"{receipt}?digest={sha256(b'more')}", headers=headers)
    require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")


def test_keys_are_read_rarely_also_for_ids_that_are_invented(world, headers):
    given = begin(world, headers)
    good, invented = ingest(world, given), ingest(world, given, key=UploadKey("b9", "00" * 32))
    world.upload_keys.reads = 0
    for receipt in (invented, good, invented, good, invented):
        world.registry.put(f"{receipt}?digest={ABSENT}", headers=headers)
    assert world.upload_keys.reads == 2


def test_a_receipt_ends(world, headers):
    receipt = ingest(world, begin(world, headers), lasts=timedelta(minutes=4))
    world.clock.advance(timedelta(minutes=4))
    response = world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers)
    require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")


def test_a_receipt_does_not_outlive_its_session(world, headers):
    receipt = ingest(world, begin(world, headers), lasts=timedelta(days=10))
    world.clock.advance(timedelta(hours=18))
    headers = world.all_of("demo/admin", NAME)
    response = world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers)
    require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")


def test_a_receipt_is_of_one_session_one_repository_and_one_principal(world, headers):
    one, other = begin(world, headers), begin(world, headers, "demo/side")
    receipt = ingest(world, one)
    elsewhere = receipt.replace(NAME, "demo/side")
    # What a session of that repository would be, with the object of another.
    mixed = ingest(world, replace(one, uploads=other.uploads))
    world.add_account("demo", "second", "superusers")
    second = world.all_of("demo/second", NAME)
    for path, who in ((elsewhere, headers), (mixed, headers), (receipt, second)):
        response = world.registry.put(f"{path}?digest={DIGEST}", headers=who)
        require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")
    for name in (NAME, "demo/side"):
        require_error(world.registry.head(f"/v2/{name}/blobs/{DIGEST}", headers=headers), 404)


def test_a_receipt_of_a_repository_that_was_made_anew_is_unknown(world, headers):
    given = begin(world, headers)
    other = replace(given, repository_id="0" * 32)
    response = world.registry.put(f"{ingest(world, other)}?digest={DIGEST}", headers=headers)
    require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")


def test_a_receipt_needs_the_right_to_push(world, headers):
    receipt = ingest(world, begin(world, headers))
    pull = world.auth("demo/admin", f"repository:{NAME}:pull")
    for sent in (dict[str, str](), pull):
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            response = world.registry.request(method, f"{receipt}?digest={DIGEST}", headers=sent)
            require_error(response, 401, "UNAUTHORIZED")


def test_a_blob_that_was_deleted_does_not_come_back_by_its_receipt(world, headers):
    receipt = ingest(world, begin(world, headers))
    require_success(world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers), 201)
    require_success(world.registry.delete(f"/v2/{NAME}/blobs/{DIGEST}", headers=headers), 202)
    response = world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers)
    require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")


# ------------------------------------------------------------------ two at once, and other ways
def test_of_two_bodies_in_one_session_the_one_that_is_closed_counts(world, headers):
    given = begin(world, headers)
    one = ingest(world, given, b"one")
    two = ingest(world, given, b"two", named="s-" + "11" * 16)
    require_success(world.registry.put(f"{two}?digest={sha256(b'two')}", headers=headers), 201)
    response = world.registry.put(f"{one}?digest={sha256(b'one')}", headers=headers)
    require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")
    require_error(world.registry.head(f"/v2/{NAME}/blobs/{sha256(b'one')}", headers=headers), 404)
    assert read(world, headers, sha256(b"two")) == b"two"


def test_bytes_in_the_closing_request_follow_the_streamed_ones(world, headers):
    receipt = ingest(world, begin(world, headers), BLOB[:700])
    response = world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers, content=BLOB[700:])
    require_success(response, 201)
    assert read(world, headers, DIGEST) == BLOB


@pytest.mark.parametrize("named", ["c-" + "ab" * 8, "s-" + OBJECT])
def test_chunks_follow_a_first_one_that_was_streamed(world, headers, named):
    receipt = ingest(world, begin(world, headers), BLOB[:100], named=named)
    status = world.registry.get(receipt, headers=headers)
    require_success(status, 204)
    assert status.headers["Range"] == "0-99"
    location = receipt
    for first, last in ((100, 199), (200, len(BLOB) - 1)):
        response = world.registry.patch(
            location,
            headers={**headers, "Content-Range": f"{first}-{last}"},
            content=BLOB[first : last + 1],
        )
        require_success(response, 202)
        assert response.headers["Range"] == f"0-{last}"
        location = response.headers["Location"]
    require_success(world.registry.put(f"{location}?digest={DIGEST}", headers=headers), 201)
    assert read(world, headers, DIGEST) == BLOB
    assert not world.storage.list_keys("chunks/", 10)


def test_a_chunk_out_of_order_learns_where_to_go_on(world, headers):
    receipt = ingest(world, begin(world, headers), BLOB[:100], named="c-" + "ab" * 8)
    response = world.registry.patch(
        receipt, headers={**headers, "Content-Range": "300-399"}, content=BLOB[300:400]
    )
    require_error(response, 416, "BLOB_UPLOAD_INVALID")
    status = world.registry.get(response.headers["Location"], headers=headers)
    assert status.headers["Range"] == "0-99"


def test_a_second_first_chunk_is_refused(world, headers):
    given = begin(world, headers)
    first = ingest(world, given, BLOB[:100], named="c-" + "ab" * 8)
    second = ingest(world, given, BLOB[:200], named="c-" + "cd" * 8)
    require_success(world.registry.get(first, headers=headers), 204)
    for response in (
        world.registry.put(f"{second}?digest={DIGEST}", headers=headers, content=BLOB[200:]),
        world.registry.patch(second, headers=headers, content=BLOB[200:]),
    ):
        require_error(response, 416, "BLOB_UPLOAD_INVALID")
    require_success(world.registry.put(f"{first}?digest={DIGEST}", headers=headers, content=BLOB[100:]), 201)


def test_a_blob_that_was_streamed_whole_cannot_be_continued_over_the_limit_of_chunks(
    world, headers, monkeypatch
):
    monkeypatch.setattr("moorage.domain.sessions.MAX_CHUNKED_BLOB_SIZE", len(BLOB))
    given = begin(world, headers)
    receipt = ingest(world, given)
    response = world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers, content=b"more")
    require_error(response, 413, "UNSUPPORTED")


def test_a_patch_that_went_to_the_session_itself_is_a_chunk(world, headers):
    """A client that has lost its address asks for the session, and goes on there."""
    given = begin(world, headers)
    location = f"{UPLOADS}{given.session_id}"
    require_success(world.registry.get(location, headers=headers), 204)
    require_success(world.registry.patch(location, headers=headers, content=BLOB), 202)
    require_success(world.registry.put(f"{location}?digest={DIGEST}", headers=headers), 201)


def test_a_streamed_upload_is_cancelled_at_either_address(world, headers):
    for at_session in (True, False):
        given = begin(world, headers)
        receipt = ingest(world, given)
        path = f"{UPLOADS}{given.session_id}" if at_session else receipt
        require_success(world.registry.delete(path, headers=headers), 204)
        response = world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers)
        require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")


def test_a_cancelled_upload_stays_findable_for_what_it_may_have_left(world, headers):
    given = begin(world, headers)
    ingest(world, given)
    require_success(world.registry.delete(f"{UPLOADS}{given.session_id}", headers=headers), 204)
    for method in ("GET", "DELETE"):
        response = world.registry.request(method, f"{UPLOADS}{given.session_id}", headers=headers)
        require_error(response, 404, "BLOB_UPLOAD_UNKNOWN")
    late = world.clock() + timedelta(days=2)
    assert (world.repository(NAME).repository, given.session_id) in world.table.expired_sessions(late, 10)


def test_a_closed_session_stays_findable_for_what_it_may_have_left(world, headers):
    given = begin(world, headers)
    ingest(world, given, b"left", named="s-" + "11" * 16)
    receipt = ingest(world, given)
    require_success(world.registry.put(f"{receipt}?digest={DIGEST}", headers=headers), 201)
    late = world.clock() + timedelta(days=2)
    assert (world.repository(NAME).repository, given.session_id) in world.table.expired_sessions(late, 10)
