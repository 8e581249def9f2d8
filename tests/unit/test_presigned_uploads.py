"""Presigned uploads: what may be begun, what is shown, and what a completion makes of what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.blobs import Way, object_key
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import (
    BlobTooLarge,
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestMismatch,
    SizeInvalid,
    Unavailable,
)
from moorage.domain.sessions import SESSION_LIFETIME, SessionState, UploadSession
from moorage.ports import ObjectHead
from moorage.services.finalizing import Outcome
from moorage.services.presigned_uploads import (
    DEFAULT_PART_SIZE,
    MAX_PART_SIZE,
    MAX_PARTS,
    MAX_SINGLE_PUT,
    MAX_SIZE,
    MIN_PART_SIZE,
    PresignedUpload,
    State,
)
from moorage.services.settling import HASHED_IN_A_REQUEST
from tests.unit.store import APP, SIDE, WHO, Store

GIB = 1024**3
CONTENT = b"x" * MIN_PART_SIZE + b"y" * MIN_PART_SIZE + b"z"
DIGEST, LONG = Digest.of(CONTENT), Digest.of(CONTENT, Algorithm.SHA512)
SMALL = b"small"
OTHER_PRINCIPAL = "/org/demo/serviceaccount/other"


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.check()


def begin(
    store: Store,
    content: bytes = CONTENT,
    digest: Digest | None = None,
    part_size: int | None = MIN_PART_SIZE,
) -> PresignedUpload:
    return store.presigned.begin(APP, WHO, digest or Digest.of(content), len(content), part_size)


def where(upload: PresignedUpload) -> tuple[str, str]:
    session = upload.session
    assert session.announced is not None
    key = object_key(Way.PRESIGNED, session.repository_id, session.announced.digest, session.id)
    return key, session.announced.upload_id or ""


def put_parts(store: Store, upload: PresignedUpload, content: bytes = CONTENT, *numbers: int) -> None:
    start = 0
    for part in upload.parts:
        if not numbers or part.number in numbers:
            store.storage.put_part(*where(upload), part.number, content[start : start + part.size])
        start += part.size


def find(store: Store, upload: PresignedUpload) -> PresignedUpload:
    return store.presigned.find(APP, WHO, upload.session.id)


def complete(store: Store, upload: PresignedUpload) -> PresignedUpload:
    return store.presigned.complete(APP, WHO, upload.session.id)


def session_of(store: Store, upload: PresignedUpload) -> UploadSession:
    session = store.table.find_session(APP, upload.session.id)
    assert session is not None
    return session


# ------------------------------------------------------------------ beginning
def announce(
    store: Store, size: int, part_size: int | None = None, digest: Digest = DIGEST
) -> PresignedUpload:
    return store.presigned.begin(APP, WHO, digest, size, part_size)


@pytest.mark.parametrize("size", [0, 1, 5 * GIB])
def test_up_to_5_gib_come_in_one_put(store: Store, size: int) -> None:
    upload = announce(store, size)
    assert upload.put is not None
    assert upload.parts == ()
    assert store.storage._uploads == {}


@pytest.mark.parametrize(("size", "parts"), [(5 * GIB + 1, 41), (20 * GIB, 160)])
def test_what_cannot_come_in_one_put_comes_in_parts(store: Store, size: int, parts: int) -> None:
    upload = announce(store, size)
    assert upload.put is None
    assert len(upload.parts) == parts
    assert sum(part.size for part in upload.parts) == size
    assert upload.announced.part_size == DEFAULT_PART_SIZE


@pytest.mark.parametrize("size", [0, 1, DEFAULT_PART_SIZE, DEFAULT_PART_SIZE + 1])
def test_what_the_store_cannot_make_sure_of_comes_in_parts(store: Store, size: int) -> None:
    upload = announce(store, size, digest=LONG)
    assert upload.put is None
    assert len(upload.parts) == (2 if size > DEFAULT_PART_SIZE else 1)


@pytest.mark.parametrize("size", [20 * GIB + 1, 10**30])
@pytest.mark.parametrize("part_size", [None, MIN_PART_SIZE, MAX_PART_SIZE])
def test_more_than_20_gib_are_too_much(store: Store, size: int, part_size: int | None) -> None:
    with pytest.raises(BlobTooLarge):
        announce(store, size, part_size)


@pytest.mark.parametrize("part_size", [0, 1, MIN_PART_SIZE - 1, MAX_PART_SIZE + 1, -1, 10**30])
def test_a_part_size_that_the_store_does_not_take_is_refused(store: Store, part_size: int) -> None:
    with pytest.raises(SizeInvalid):
        announce(store, 1, part_size)


@pytest.mark.parametrize("size", [-1, -(10**30)])
def test_no_size_is_negative(store: Store, size: int) -> None:
    with pytest.raises(SizeInvalid):
        announce(store, size)


def test_a_thousand_parts_and_not_one_more(store: Store) -> None:
    assert len(announce(store, MIN_PART_SIZE * MAX_PARTS, MIN_PART_SIZE).parts) == MAX_PARTS
    with pytest.raises(SizeInvalid, match="at most 1000 parts"):
        announce(store, MIN_PART_SIZE * MAX_PARTS + 1, MIN_PART_SIZE)


def test_nothing_is_left_of_an_upload_that_was_refused(store: Store) -> None:
    for size, part_size in ((MAX_SIZE + 1, None), (-1, None), (1, 1), (MAX_SIZE, MIN_PART_SIZE)):
        with pytest.raises((BlobTooLarge, SizeInvalid)):
            announce(store, size, part_size)
    assert (store.table._sessions, store.storage._uploads) == ({}, {})


@given(st.integers(0, MAX_SIZE), st.integers(MIN_PART_SIZE, MAX_PART_SIZE))
def test_the_parts_make_up_the_whole(size: int, part_size: int) -> None:
    store = Store()
    if size > part_size * MAX_PARTS:
        with pytest.raises(SizeInvalid):
            announce(store, size, part_size)
        return
    sizes = [part.size for part in announce(store, size, part_size).parts]
    assert sum(sizes) == size
    assert 1 <= len(sizes) <= MAX_PARTS
    assert set(sizes[:-1]) <= {part_size}
    assert 0 < sizes[-1] <= part_size or size == 0


def test_limits_are_those_that_can_be_kept() -> None:
    # The largest blob fits into as many parts of the usual size as there may be.
    assert MAX_SIZE <= DEFAULT_PART_SIZE * MAX_PARTS
    assert MAX_SINGLE_PUT < MAX_SIZE


def test_the_url_of_one_put_takes_the_announced_content_alone(store: Store) -> None:
    upload = begin(store, SMALL, part_size=None)
    assert upload.put is not None
    assert upload.put.headers["Content-Length"] == str(len(SMALL))
    signed = parse_qs(urlsplit(upload.put.url).query)["X-Amz-SignedHeaders"][0].split(";")
    assert {name.lower() for name in upload.put.headers} | {"host"} == set(signed)
    assert "x-amz-checksum-sha256" in signed


def test_a_session_is_made_for_its_caller_and_its_time(store: Store) -> None:
    session = begin(store).session
    assert (session.principal, session.way, session.algorithm) == (WHO, Way.PRESIGNED, Algorithm.SHA256)
    assert session.expires == store.clock() + SESSION_LIFETIME
    assert begin(store, digest=LONG).session.algorithm is Algorithm.SHA512


# ------------------------------------------------------------------ resuming
def test_an_upload_that_is_resumed_shows_what_is_missing(store: Store) -> None:
    upload = begin(store)
    assert [part.number for part in upload.parts] == [1, 2, 3]
    assert all(part.url for part in upload.parts)
    put_parts(store, upload, CONTENT, 2)
    shown = find(store, upload)
    assert shown.state is State.OPEN
    assert [part.url is None for part in shown.parts] == [False, True, False]
    assert [part.size for part in shown.parts] == [MIN_PART_SIZE, MIN_PART_SIZE, 1]
    put_parts(store, upload)
    assert [part.url for part in find(store, upload).parts] == [None] * 3


def test_a_part_of_a_wrong_length_is_missing_still(store: Store) -> None:
    upload = begin(store)
    put_parts(store, upload)
    store.storage.put_part(*where(upload), 3, b"")
    assert [part.url is None for part in find(store, upload).parts] == [True, True, False]


@pytest.mark.parametrize("who", [OTHER_PRINCIPAL, "", WHO + "x"])
@pytest.mark.parametrize("call", ["find", "complete", "abort"])
def test_somebody_elses_upload_is_unknown(store: Store, who: str, call: str) -> None:
    upload = begin(store)
    with pytest.raises(BlobUploadUnknown):
        getattr(store.presigned, call)(APP, who, upload.session.id)
    with pytest.raises(BlobUploadUnknown):
        getattr(store.presigned, call)(SIDE, WHO, upload.session.id)
    assert find(store, upload).state is State.OPEN


@pytest.mark.parametrize("part_size", [None, MIN_PART_SIZE])
@pytest.mark.parametrize("call", ["find", "complete", "abort"])
def test_an_upload_ends_with_its_time(store: Store, part_size: int | None, call: str) -> None:
    upload = begin(store, SMALL, part_size=part_size)
    if part_size:
        put_parts(store, upload, SMALL)
    else:
        store.storage.put(where(upload)[0], SMALL)
    store.clock.advance(SESSION_LIFETIME - timedelta(microseconds=1))
    assert find(store, upload).state is State.OPEN
    store.clock.advance(timedelta(microseconds=1))
    with pytest.raises(BlobUploadUnknown):
        getattr(store.presigned, call)(APP, WHO, upload.session.id)
    assert not store.holds(APP, Digest.of(SMALL))


@pytest.mark.parametrize("call", ["find", "complete", "abort"])
def test_an_upload_that_was_swept_is_unknown_whatever_the_clock_of_this_function_says(
    store: Store, call: str
) -> None:
    upload = begin(store)
    assert store.table.expire_session(upload.session)
    with pytest.raises(BlobUploadUnknown):
        getattr(store.presigned, call)(APP, WHO, upload.session.id)


@pytest.mark.parametrize("way", [Way.API, Way.DIRECT])
@pytest.mark.parametrize("call", ["find", "complete", "abort"])
def test_an_upload_of_another_way_is_none_of_these(store: Store, way: Way, call: str) -> None:
    session = store.begin(way)
    with pytest.raises(BlobUploadUnknown):
        getattr(store.presigned, call)(APP, WHO, session.id)
    assert store.table.find_session(APP, session.id) == session


# ------------------------------------------------------------------ completing
@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
def test_parts_become_the_blob(store: Store, digest: Digest) -> None:
    upload = begin(store, digest=digest)
    put_parts(store, upload)
    for _ in range(3):
        assert complete(store, upload).state is State.LINKED
    assert store.content(APP, digest) == CONTENT
    assert find(store, upload).state is State.LINKED
    assert find(store, upload).parts == ()
    assert store.storage._uploads == {}


def test_one_put_becomes_the_blob(store: Store) -> None:
    upload = begin(store, SMALL, part_size=None)
    store.storage.put(where(upload)[0], SMALL)
    for _ in range(3):
        assert complete(store, upload).state is State.LINKED
    assert store.content(APP, Digest.of(SMALL)) == SMALL
    assert find(store, upload).put is None


@pytest.mark.parametrize("part_size", [None, MIN_PART_SIZE])
def test_the_empty_blob_is_uploaded_too(store: Store, part_size: int | None) -> None:
    upload = begin(store, b"", part_size=part_size)
    if part_size:
        assert [part.size for part in upload.parts] == [0]
        put_parts(store, upload, b"")
    else:
        store.storage.put(where(upload)[0], b"")
    assert complete(store, upload).state is State.LINKED
    assert store.content(APP, Digest.of(b"")) == b""


def test_a_completion_before_all_parts_are_there_says_which_are_missing(store: Store) -> None:
    upload = begin(store)
    for stored, missing in (((), [1, 2, 3]), ((2,), [1, 3]), ((1,), [3])):
        put_parts(store, upload, CONTENT, *stored or (99,))
        with pytest.raises(BlobUploadInvalid) as caught:
            complete(store, upload)
        assert caught.value.detail == {"parts": missing}
        assert find(store, upload).state is State.OPEN
    put_parts(store, upload, CONTENT, 3)
    assert complete(store, upload).state is State.LINKED


@pytest.mark.parametrize(("number", "content"), [(1, CONTENT[:100]), (3, b""), (3, b"zz"), (2, b"")])
def test_parts_of_wrong_lengths_are_not_joined(store: Store, number: int, content: bytes) -> None:
    upload = begin(store)
    put_parts(store, upload)
    store.storage.put_part(*where(upload), number, content)
    with pytest.raises(BlobUploadInvalid) as caught:
        complete(store, upload)
    assert caught.value.detail == {"parts": [number]}
    put_parts(store, upload, CONTENT, number)
    assert complete(store, upload).state is State.LINKED


def test_a_part_too_many_is_refused(store: Store) -> None:
    """Nobody has a URL for one; a store may still have it."""
    upload = begin(store)
    put_parts(store, upload)
    store.storage.put_part(*where(upload), 4, b"surplus")
    with pytest.raises(BlobUploadInvalid, match="part 4"):
        complete(store, upload)
    assert not store.holds(APP, DIGEST)
    store.presigned.abort(APP, WHO, upload.session.id)
    assert store.storage._uploads == {}


def test_a_completion_of_one_put_that_has_not_come_says_so(store: Store) -> None:
    upload = begin(store, SMALL, part_size=None)
    for _ in range(2):
        with pytest.raises(BlobUploadInvalid, match="nothing is stored yet"):
            complete(store, upload)
    store.storage.put(where(upload)[0], SMALL)
    assert complete(store, upload).state is State.LINKED


def test_a_completion_whose_answer_was_lost_is_completed_again(store: Store) -> None:
    upload = begin(store)
    put_parts(store, upload)
    with store.faults.failing(named="complete_multipart", lost=True), pytest.raises(Unavailable):
        complete(store, upload)
    # Joined, and not linked yet.
    assert find(store, upload).state is State.VERIFYING
    assert complete(store, upload).state is State.LINKED


def test_two_completions_at_once_come_to_the_same_end() -> None:
    at = 0
    while True:
        store = Store()
        upload = begin(store, SMALL)
        put_parts(store, upload, SMALL)
        states: list[State] = []

        def both(
            store: Store = store, upload: PresignedUpload = upload, states: list[State] = states
        ) -> None:
            states.append(complete(store, upload).state)

        with store.faults.interrupted(at, both) as happened:
            both()
        assert set(states) == {State.LINKED}
        assert store.content(APP, Digest.of(SMALL)) == SMALL
        store.check()
        if not happened():
            break
        at += 1
    assert at > 8


def test_a_part_that_is_replaced_during_the_completion_is_noticed() -> None:
    at, noticed = 0, 0
    while True:
        store = Store()
        upload = begin(store, SMALL)
        put_parts(store, upload, SMALL)

        def replace(store: Store = store, upload: PresignedUpload = upload) -> None:
            if where(upload) in store.storage._uploads:
                store.storage.put_part(*where(upload), 1, b"SMALL")

        with store.faults.interrupted(at, replace) as happened:
            try:
                complete(store, upload)
            except BlobUploadInvalid:
                noticed += 1
                assert find(store, upload).state is State.OPEN
            except DigestMismatch:
                assert find(store, upload).state is State.FAILED
        store.check()
        if not happened():
            break
        at += 1
    assert noticed > 0


# ------------------------------------------------------------------ other content
@pytest.mark.parametrize("digest", [Digest.of(SMALL), Digest.of(SMALL, Algorithm.SHA512)], ids=["256", "512"])
def test_parts_of_other_content_fail_the_upload_and_it_says_why(store: Store, digest: Digest) -> None:
    upload = begin(store, SMALL, digest)
    put_parts(store, upload, b"SMALL")
    for _ in range(2):
        with pytest.raises(DigestMismatch):
            complete(store, upload)
    shown = find(store, upload)
    assert shown.state is State.FAILED
    assert shown.failure
    assert "digest" in shown.failure
    with pytest.raises(BlobUploadUnknown):
        store.presigned.abort(APP, WHO, upload.session.id)
    # The store's event takes the object away; the same content comes by a new upload.
    assert store.finalize(where(upload)[0]) is Outcome.REMOVED
    again = begin(store, SMALL, digest)
    put_parts(store, again, SMALL)
    assert complete(store, again).state is State.LINKED


def test_content_of_another_length_than_announced_is_refused(store: Store) -> None:
    upload = store.presigned.begin(APP, WHO, Digest.of(SMALL), len(SMALL) + 1, None)
    store.storage.put(where(upload)[0], SMALL)
    with pytest.raises(SizeInvalid, match="6 bytes were announced and 5 are stored"):
        complete(store, upload)


# ------------------------------------------------------------------ what is too long for a request
def long(store: Store, monkeypatch: pytest.MonkeyPatch, upload: PresignedUpload, size: int) -> None:
    """Let what is stored look longer than it is."""
    head = store.storage.head
    monkeypatch.setattr(
        store.storage,
        "head",
        lambda key: ObjectHead(size, None) if key == where(upload)[0] and head(key) else head(key),
    )


@pytest.mark.parametrize("right", [True, False])
def test_what_is_long_is_being_verified_until_the_finalizer_has_read_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, right: bool
) -> None:
    content = bytes(HASHED_IN_A_REQUEST + 1)
    upload = store.presigned.begin(APP, WHO, Digest.of(content), len(content), MAX_PART_SIZE)
    put_parts(store, upload, content if right else content[:-1] + b"\1")
    store.faults.calls.clear()
    for _ in range(2):
        assert complete(store, upload).state is State.VERIFYING
        assert find(store, upload).state is State.VERIFYING
    assert not {"read", "read_range"} & set(store.faults.calls)
    assert not store.holds(APP, Digest.of(content))
    if right:
        assert store.finalize(where(upload)[0]) is Outcome.LINKED
        assert complete(store, upload).state is State.LINKED
        assert find(store, upload).state is State.LINKED
    else:
        assert store.finalize(where(upload)[0]) is Outcome.MISMATCHED
        assert find(store, upload).state is State.FAILED
        with pytest.raises(DigestMismatch, match="digest"):
            complete(store, upload)


def test_what_is_just_short_enough_is_read_by_the_request(store: Store) -> None:
    content = bytes(HASHED_IN_A_REQUEST)
    upload = store.presigned.begin(APP, WHO, Digest.of(content), len(content), MAX_PART_SIZE)
    put_parts(store, upload, content)
    assert complete(store, upload).state is State.LINKED


def test_one_put_of_any_length_is_proved_by_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = store.presigned.begin(APP, WHO, DIGEST, 5 * GIB, None)
    monkeypatch.setattr(store.storage, "head", lambda key: ObjectHead(5 * GIB, DIGEST.encoded))
    store.faults.calls.clear()
    assert complete(store, upload).state is State.LINKED
    assert "read" not in store.faults.calls
    # There is nothing behind it: what is left must not be checked.
    store.deletions.blob(APP, DIGEST)


# ------------------------------------------------------------------ events before the completion
@pytest.mark.parametrize("part_size", [None, MIN_PART_SIZE])
def test_an_event_that_is_faster_than_the_completion_is_no_different(
    store: Store, part_size: int | None
) -> None:
    upload = begin(store, SMALL, part_size=part_size)
    key, upload_id = where(upload)
    if part_size:
        put_parts(store, upload, SMALL)
        assert store.storage.complete_multipart(
            key, upload_id, store.storage.list_parts(key, upload_id) or ()
        )
    else:
        store.storage.put(key, SMALL)
    assert store.finalize(key) is Outcome.LINKED
    assert find(store, upload).state is State.LINKED
    assert complete(store, upload).state is State.LINKED
    with pytest.raises(BlobUploadUnknown):
        store.presigned.abort(APP, WHO, upload.session.id)


def test_content_that_the_organisation_got_meanwhile_is_linked_to_that(store: Store) -> None:
    upload = begin(store, SMALL)
    put_parts(store, upload, SMALL)
    store.push(SIDE, SMALL)
    assert complete(store, upload).state is State.LINKED
    known, link = store.table.find_link(SIDE, Digest.of(SMALL)), store.table.find_link(APP, Digest.of(SMALL))
    assert known is not None
    assert link is not None
    assert link.key == known.key
    assert store.finalize(where(upload)[0]) is Outcome.REMOVED


# ------------------------------------------------------------------ aborting
@pytest.mark.parametrize("part_size", [None, MIN_PART_SIZE])
def test_an_upload_that_was_aborted_is_gone(store: Store, part_size: int | None) -> None:
    upload = begin(store, SMALL, part_size=part_size)
    if part_size:
        put_parts(store, upload, SMALL)
    else:
        store.storage.put(where(upload)[0], SMALL)
    store.presigned.abort(APP, WHO, upload.session.id)
    for call in ("abort", "find", "complete"):
        with pytest.raises(BlobUploadUnknown):
            getattr(store.presigned, call)(APP, WHO, upload.session.id)
    assert store.storage._uploads == {}
    store.finalize(where(upload)[0])
    assert store.storage.list_keys("", 10) == []
    with pytest.raises(BlobUnknown):
        store.blobs.find(APP, Digest.of(SMALL))


def test_an_abort_after_the_parts_were_joined_leaves_nothing_either(store: Store) -> None:
    upload = begin(store, SMALL)
    put_parts(store, upload, SMALL)
    with store.faults.failing(named="find_organisation_blob"), pytest.raises(Unavailable):
        complete(store, upload)
    store.presigned.abort(APP, WHO, upload.session.id)
    assert store.finalize(where(upload)[0]) is Outcome.REMOVED
    assert store.storage.list_keys("", 10) == []


def test_an_upload_that_is_linked_is_not_aborted(store: Store) -> None:
    upload = begin(store, SMALL)
    put_parts(store, upload, SMALL)
    complete(store, upload)
    with pytest.raises(BlobUploadUnknown):
        store.presigned.abort(APP, WHO, upload.session.id)
    assert store.content(APP, Digest.of(SMALL)) == SMALL
    assert session_of(store, upload).state is SessionState.CLOSED


def test_completion_and_abort_at_once_are_one_or_the_other() -> None:
    at = 0
    while True:
        store = Store()
        upload = begin(store, SMALL)
        put_parts(store, upload, SMALL)
        ended: list[str] = []

        def abort(store: Store = store, upload: PresignedUpload = upload, ended: list[str] = ended) -> None:
            try:
                store.presigned.abort(APP, WHO, upload.session.id)
                ended.append("aborted")
            except BlobUploadUnknown:
                pass

        with store.faults.interrupted(at, abort) as happened:
            try:
                complete(store, upload)
                ended.append("completed")
            except (BlobUploadUnknown, BlobUploadInvalid):
                pass
        assert len(ended) == 1, (at, ended)
        assert store.holds(APP, Digest.of(SMALL)) == (ended == ["completed"])
        store.check()
        if not happened():
            break
        at += 1
    assert at > 8
