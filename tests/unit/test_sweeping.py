"""Sessions whose time is over end with all they have stored, and nothing else does."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.bootstrap import sweeper
from moorage.domain.blobs import NAMED_BY_DIGEST, ObjectState, StoredObject, Way, object_key
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import BlobUnknown, BlobUploadUnknown, RegistryError, Throttled, Unavailable
from moorage.domain.names import Repository
from moorage.domain.receipts import stream_prefix
from moorage.domain.sessions import SESSION_LIFETIME, SessionState, UploadSession
from moorage.services import sweeping
from moorage.services.finalizing import Outcome
from moorage.services.sweeping import Swept
from moorage.services.uploads import chunk_prefix
from tests.unit.store import APP, FOREIGN, SIDE, WHO, Store, live

CONTENT = b"layer" * 100
DIGEST = Digest.of(CONTENT)
PART = 5 * 1024**2
GRACE = sweeping._GRACE
OVER = SESSION_LIFETIME + GRACE + timedelta(seconds=1)
OTHER = b"other content"
by_all_ways = pytest.mark.parametrize("way", NAMED_BY_DIGEST)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.check()


@pytest.fixture
def few_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of every single call: all the content that they store lies in these."""
    monkeypatch.setattr(sweeping, "_SHARDS", ["00", DIGEST.encoded[:2], "ff"])


def stored(store: Store) -> list[str]:
    return list(store.storage.list_keys("", 10**6))


def sessions(store: Store) -> list[UploadSession]:
    return list(store.table._sessions.values())


def begun_in_parts(store: Store, *parts: bytes, content: bytes = CONTENT) -> UploadSession:
    session = store.presigned.begin(APP, WHO, Digest.of(content), len(content), PART).session
    for number, part in enumerate(parts, start=1):
        store.storage.put_part(*multipart(session), number, part)
    return session


def multipart(session: UploadSession) -> tuple[str, str]:
    assert session.announced is not None
    assert session.announced.upload_id is not None
    key = object_key(session.way, session.repository_id, session.announced.digest, session.id)
    return key, session.announced.upload_id


# ------------------------------------------------------------------ which sessions
@given(st.lists(st.tuples(st.integers(0, 72), st.sampled_from(Way), st.sampled_from([APP, SIDE, FOREIGN]))))
def test_exactly_the_sessions_whose_time_is_over_are_swept(
    opened: list[tuple[int, Way, Repository]],
) -> None:
    store = Store()
    started = store.clock()
    for hours, way, repository in sorted(opened, key=lambda each: each[0]):
        store.clock.now = started + timedelta(hours=hours)
        store.begin(way, repository, b"%d" % hours)
    store.clock.now = started + timedelta(hours=72)
    over = [session for session in sessions(store) if session.expires < store.clock() - GRACE]
    left = [session for session in sessions(store) if session.expires >= store.clock() - GRACE]
    assert store.sweeping.sweep() == Swept(sessions=len(over))
    assert sessions(store) == left
    assert store.sweeping.sweep() == Swept()


@pytest.mark.parametrize(("late", "swept"), [(-1, 0), (0, 0), (1, 1)])
def test_a_session_is_swept_when_the_requests_of_its_last_moment_are_over_and_not_a_microsecond_before(
    store: Store, late: int, swept: int
) -> None:
    store.session()
    store.clock.advance(SESSION_LIFETIME + GRACE + timedelta(microseconds=late))
    assert store.sweeping.sweep().sessions == swept


@by_all_ways
@pytest.mark.parametrize("end", ["closed", "failed", "cancelled"])
def test_a_session_that_has_ended_stays_as_it_is(store: Store, way: Way, end: str) -> None:
    session = store.begin(way)
    store.end(session, end)
    before = sessions(store), stored(store)
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept()
    assert (sessions(store), stored(store)) == before


@pytest.mark.usefixtures("few_shards")
@by_all_ways
@pytest.mark.parametrize("end", ["closed", "failed", "cancelled"])
def test_a_session_that_ends_while_it_is_being_swept_keeps_what_it_brought(way: Way, end: str) -> None:
    """At every call of the sweep; from the moment on that it has expired, nothing is linked any more."""
    at, late = 0, 0
    while True:
        store = Store()
        key = store.leave(CONTENT, way=way)
        session = store.session_of(key)
        assert session is not None

        def finish(store: Store = store, key: str = key, session: UploadSession = session) -> None:
            with suppress(BlobUploadUnknown, AssertionError):
                if end == "closed":
                    store.uploads._settling.settle_object(session, DIGEST, key)
                else:
                    store.end(session, end)

        store.clock.advance(OVER)
        with store.faults.interrupted(at, finish) as happened:
            store.sweeping.sweep()
        store.check()
        if not happened():
            break
        session = store.session_of(key)
        if store.holds(APP, DIGEST):
            assert store.content(APP, DIGEST) == CONTENT
            assert session is None or session.state is SessionState.CLOSED
        else:
            late += session is None
            assert session is None or session.state is SessionState.FAILED
        at += 1
    assert late > 0
    # Before it had expired it could be linked, or fail.
    assert at > late or end == "cancelled"


@pytest.mark.usefixtures("few_shards")
@by_all_ways
def test_what_a_session_has_linked_while_it_was_being_swept_is_the_collectors_even_if_it_was_deleted(
    way: Way,
) -> None:
    """A row without a reference, which anybody who has the same content may link any moment."""
    at, in_time = 0, 0
    while True:
        store = Store()
        key = store.leave(CONTENT, way=way)
        session = store.session_of(key)
        assert session is not None
        linked: list[str] = []

        def finish(
            store: Store = store, key: str = key, session: UploadSession = session, linked: list[str] = linked
        ) -> None:
            if store.uploads._settling.settle_object(session, DIGEST, key):
                store.deletions.blob(APP, DIGEST)
                linked.append(key)

        store.clock.advance(OVER)
        with store.faults.interrupted(at, finish) as happened:
            store.sweeping.sweep()
        if not happened():
            break
        if linked:
            assert store.storage.head(key) is not None
            assert store.table.find_object(key) is not None
            in_time += 1
        at += 1
    assert at > in_time > 0


def test_the_oldest_go_first_and_many_go_in_one_sweep(store: Store) -> None:
    for _ in range(450):
        store.session()
        store.clock.advance(timedelta(seconds=1))
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=450)
    assert sessions(store) == []


def test_a_list_that_is_behind_takes_nothing_from_a_session_that_has_ended(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index may still name a session that was closed, has failed, or is gone."""
    over, closed, failed, cancelled = [store.session() for _ in range(4)]
    store.clock.advance(OVER)
    for session, end in ((closed, "closed"), (failed, "failed"), (cancelled, "cancelled")):
        store.end(session, end)
    named = [(APP, each.id) for each in (over, closed, failed, cancelled)]
    monkeypatch.setattr(store.table, "expired_sessions", lambda now, limit: named[:limit])
    before = stored(store)
    store.sweeping.sweep()
    assert store.table.find_session(APP, over.id) is None
    assert stored(store) == before
    assert [session.id for session in sessions(store) if session.state is SessionState.FAILED] == [failed.id]


# ------------------------------------------------------------------ closed with something else
@pytest.mark.parametrize("way", [Way.DIRECT, Way.PRESIGNED])
@pytest.mark.parametrize("came", ["before", "never", "after"])
def test_what_a_closed_session_has_stored_for_nothing_goes_with_its_event_or_the_sweep(
    store: Store, way: Way, came: str
) -> None:
    """The organisation had the content already: its object was linked, and the fresh one is nobody's."""
    store.push(SIDE, CONTENT)
    known = store.table.find_organisation_blob("demo", DIGEST)
    assert known is not None
    fresh = store.leave(CONTENT, way=way)
    assert store.blobs.find(APP, DIGEST).key == known
    if came == "before":
        assert store.finalize(fresh) is Outcome.REMOVED
    assert store.sweeping.sweep() == Swept()
    store.clock.advance(OVER)
    expected = Swept(sessions=1, objects=0 if came == "before" else 1)
    assert store.sweeping.sweep(dry_run=True) == expected
    assert store.sweeping.sweep() == expected
    assert store.sweeping.sweep() == Swept()
    if came == "after":
        store.storage.put(fresh, CONTENT)
        assert store.finalize(fresh) is Outcome.REMOVED
    assert stored(store) == [known]
    assert store.content(APP, DIGEST) == store.content(SIDE, DIGEST) == CONTENT
    assert not [session for session in sessions(store) if session.way is way]


@pytest.mark.parametrize("way", [Way.DIRECT, Way.PRESIGNED])
def test_what_a_closed_session_has_stored_for_nothing_and_has_a_row_is_the_collectors(
    store: Store, way: Way
) -> None:
    key = half_linked(store, way, "add_reference")
    store.push(SIDE, CONTENT)
    assert store.blobs.find(APP, DIGEST).key != key
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1)
    assert store.storage.head(key) is not None
    assert store.table.find_object(key) is not None


def test_an_upload_through_the_api_of_what_the_organisation_has_leaves_nothing_to_sweep(store: Store) -> None:
    store.push(SIDE, CONTENT)
    store.push(APP, CONTENT)
    session = store.session(APP, CONTENT)
    store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None)
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept()


@by_all_ways
def test_a_session_that_was_closed_with_what_it_has_stored_is_not_looked_at_again(
    store: Store, way: Way
) -> None:
    key = store.leave(CONTENT, way=way)
    store.blobs.find(APP, DIGEST)
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept()
    assert stored(store) == [key]


# ------------------------------------------------------------------ what they have stored
@by_all_ways
@pytest.mark.parametrize("digest", [DIGEST, Digest.of(CONTENT, Algorithm.SHA512)], ids=["256", "512"])
@pytest.mark.parametrize("content", [CONTENT, b"", b"other content"])
def test_what_an_expired_session_has_stored_is_removed(
    store: Store, way: Way, digest: Digest, content: bytes
) -> None:
    store.leave(content, digest, way=way)
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1, objects=1)
    assert stored(store) == []
    assert sessions(store) == []


@pytest.mark.parametrize("way", [Way.API, Way.DIRECT])
def test_every_object_of_a_session_goes_wherever_its_digest_has_put_it(store: Store, way: Way) -> None:
    """A direct session may store one for each digest that its client has named."""
    session, other = store.begin(way), store.begin(way, SIDE)
    contents = [b"%d" % number for number in range(60)]
    for content in contents:
        store.put(session, Digest.of(content), content)
    store.clock.advance(OVER)
    young = store.begin(way)
    kept = [store.put(young, Digest.of(content), content) for content in contents[:3]]
    # Of another repository, with the very session in its key.
    strange = object_key(way, other.repository_id, DIGEST, session.id)
    store.storage.put(strange, CONTENT)
    assert store.sweeping.sweep() == Swept(sessions=2, objects=60)
    assert stored(store) == sorted([*kept, strange])


def test_chunks_go_with_their_session(store: Store) -> None:
    store.session(APP, b"one", b"two", b"three")
    store.session(SIDE, b"one")
    store.clock.advance(OVER)
    young = store.session(APP, b"kept")
    assert store.sweeping.sweep() == Swept(sessions=2, objects=4)
    assert stored(store) == [chunk.key for chunk in young.chunks]


def test_a_chunk_that_was_stored_and_never_recorded_goes_too(store: Store) -> None:
    session = store.session()
    with store.faults.failing(named="append_chunk"), pytest.raises(Unavailable):
        store.uploads.append(session, b"chunk", None)
    assert len(stored(store)) == 1
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1, objects=1)
    assert stored(store) == []


def test_an_upload_in_parts_is_given_up(store: Store) -> None:
    session = begun_in_parts(store, CONTENT)
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1)
    assert store.storage._uploads == {}
    assert store.storage.list_parts(*multipart(session)) is None


def test_parts_that_were_joined_and_never_proved_go(store: Store) -> None:
    session = begun_in_parts(store, CONTENT)
    key, upload_id = multipart(session)
    assert store.storage.complete_multipart(key, upload_id, store.storage.list_parts(key, upload_id) or ())
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1, objects=1)
    assert stored(store) == []


def half_linked(store: Store, way: Way, named: str) -> str:
    """An object whose upload has died at a call of the linking."""
    key = store.leave(CONTENT, way=way)
    with store.faults.failing(named=named), pytest.raises(Unavailable):
        store.blobs.find(APP, DIGEST)
    assert store.table.find_object(key) is not None
    return key


@by_all_ways
def test_a_row_without_a_reference_goes_with_its_object(store: Store, way: Way) -> None:
    key = half_linked(store, way, "add_reference")
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1, objects=1)
    assert stored(store) == []
    assert store.table.find_object(key) is None
    # The way is free for the same content.
    store.push(APP, CONTENT)


@by_all_ways
@pytest.mark.parametrize("state", ObjectState)
def test_a_row_with_a_reference_stays_with_its_object(store: Store, way: Way, state: ObjectState) -> None:
    """Whatever the reference is worth: that is for the collector to find out."""
    key = half_linked(store, way, "put_link")
    live(store, key, state)
    row = store.table.find_object(key)
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1)
    assert stored(store) == [key]
    assert store.table.find_object(key) == row
    assert sessions(store) == []


def test_an_object_with_a_row_that_another_repository_references_stays(store: Store) -> None:
    key = store.leave(CONTENT, way=Way.DIRECT)
    store.table.add_object(StoredObject(key, len(CONTENT), DIGEST.encoded, store.clock()))
    store.table.add_reference(key, SIDE, DIGEST)
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1)
    assert stored(store) == [key]


@by_all_ways
def test_what_arrives_after_the_sweep_is_removed_by_its_event(store: Store, way: Way) -> None:
    session = store.begin(way)
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1)
    key = store.put(session, DIGEST, CONTENT)
    with pytest.raises(BlobUnknown):
        store.blobs.find(APP, DIGEST)
    assert store.finalize(key) is Outcome.REMOVED
    assert stored(store) == []


# ------------------------------------------------------------------ what was streamed
def streamed(store: Store, session: UploadSession, content: bytes = CONTENT) -> str:
    """An object as ``ingest`` stores one for each attempt at a session. The key."""
    key = stream_prefix(session.repository_id, session.id) + secrets.token_hex(16)
    store.storage.put(key, content)
    return key


def first_chunk(store: Store, session: UploadSession) -> str:
    """A chunk as ``ingest`` stores it, which the session does not know of before somebody shows its receipt."""
    key = f"{chunk_prefix(session)}{0:012d}-{secrets.token_hex(8)}"
    store.storage.put(key, b"first chunk")
    return key


def link_streamed(store: Store, session: UploadSession, key: str, content: bytes = CONTENT) -> Digest:
    digest = Digest.of(content)
    found = StoredObject(key, len(content), digest.encoded, store.clock())
    store.uploads._linking.link_stored(session, digest, found)
    return digest


def half_linked_stream(store: Store, session: UploadSession, named: str, content: bytes = CONTENT) -> str:
    """A streamed object whose commit has died at a call of the linking."""
    key = streamed(store, session, content)
    with store.faults.failing(named=named), pytest.raises(Unavailable):
        link_streamed(store, session, key, content)
    assert store.table.find_object(key) is not None
    return key


def closed_stream(store: Store, content: bytes = OTHER) -> str:
    """A session that was closed with its second attempt, and has chunks of a third one. What it is closed
    with.
    """
    session = store.begin(Way.STREAM)
    streamed(store, session)
    key = streamed(store, session, content)
    first_chunk(store, session)
    link_streamed(store, session, key, content)
    return key


def test_all_that_an_expired_session_has_streamed_goes(store: Store) -> None:
    session, stranger = store.begin(Way.STREAM), store.begin(Way.STREAM, SIDE)
    for content in (CONTENT, CONTENT, b"", OTHER):
        streamed(store, session, content)
    first_chunk(store, session)
    # Finished as one that comes in chunks, by a request that died before it had linked it.
    store.put(session, DIGEST, CONTENT, way=Way.API)
    streamed(store, stranger)
    store.clock.advance(OVER)
    young = store.begin(Way.STREAM)
    kept = [streamed(store, young), first_chunk(store, young)]
    # Of another repository, with the very session in its key, and of a session whose id begins alike.
    kept.append(stream_prefix(stranger.repository_id, session.id) + "0" * 32)
    kept.append(stream_prefix(session.repository_id, session.id[:-1] + "g") + "0" * 32)
    for key in kept[2:]:
        store.storage.put(key, CONTENT)
    assert store.sweeping.sweep() == Swept(sessions=2, objects=7)
    assert stored(store) == sorted(kept)
    assert sessions(store) == [young]


def test_parts_of_a_streamed_upload_that_nobody_has_ended_go(store: Store) -> None:
    """Whoever was storing them has died: of a session that has expired, and of one that ended otherwise."""
    expired, closed = store.begin(Way.STREAM), store.begin(Way.STREAM)
    key = streamed(store, closed)
    for session in (expired, closed, closed):
        place = stream_prefix(session.repository_id, session.id) + secrets.token_hex(16)
        upload_id = store.storage.begin_multipart(place)
        store.storage.put_part(place, upload_id, 1, CONTENT)
    link_streamed(store, closed, key)
    store.clock.advance(OVER)
    young = store.begin(Way.STREAM)
    kept = stream_prefix(young.repository_id, young.id) + "0" * 32
    store.storage.begin_multipart(kept)
    assert len(store.storage.unfinished_uploads("stream/")) == 4
    assert store.sweeping.sweep(dry_run=True).sessions == 2
    assert len(store.storage.unfinished_uploads("stream/")) == 4
    assert store.sweeping.sweep().sessions == 2
    assert [place for place, _ in store.storage.unfinished_uploads("stream/")] == [kept]
    assert stored(store) == [key]


def test_of_a_closed_session_what_it_was_closed_with_stays_alone(store: Store) -> None:
    key = closed_stream(store, CONTENT)
    assert store.sweeping.sweep() == Swept()
    store.clock.advance(OVER)
    assert store.sweeping.sweep(dry_run=True) == Swept(sessions=1, objects=2)
    assert len(stored(store)) == 3
    assert store.sweeping.sweep() == Swept(sessions=1, objects=2)
    assert stored(store) == [key]
    assert sessions(store) == []
    assert store.content(APP, DIGEST) == CONTENT
    assert store.sweeping.sweep() == Swept()


def test_a_session_that_was_closed_with_the_organisations_object_keeps_nothing(store: Store) -> None:
    store.push(SIDE, CONTENT)
    known = store.table.find_organisation_blob("demo", DIGEST)
    session = store.begin(Way.STREAM)
    streamed(store, session)
    assert store.uploads._linking.link_known(session, DIGEST) is not None
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1, objects=1)
    assert stored(store) == [known]
    assert store.content(APP, DIGEST) == CONTENT


def test_a_streamed_session_that_ended_in_chunks_keeps_what_they_were_joined_to(store: Store) -> None:
    session = store.uploads.append(store.begin(Way.STREAM), CONTENT, None)
    streamed(store, session)
    store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None)
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1, objects=1)
    assert stored(store) == [object_key(Way.API, session.repository_id, DIGEST, session.id)]
    assert store.content(APP, DIGEST) == CONTENT


def test_a_streamed_blob_that_was_deleted_is_the_collectors(store: Store) -> None:
    key = closed_stream(store, CONTENT)
    store.deletions.blob(APP, DIGEST)
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1, objects=2)
    assert stored(store) == [key]
    assert store.table.find_object(key) is not None


@pytest.mark.parametrize(("named", "left"), [("add_reference", 0), ("put_link", 1)])
def test_a_streamed_object_with_a_row_goes_unless_it_has_a_reference(
    store: Store, named: str, left: int
) -> None:
    key = half_linked_stream(store, store.begin(Way.STREAM), named)
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1, objects=1 - left)
    assert stored(store) == [key] * left
    assert (store.table.find_object(key) is not None) == bool(left)


def test_an_attempt_whose_commit_lost_against_another_is_the_collectors(store: Store) -> None:
    """It has a row, and so might be linked by whoever brings the same content."""
    session = store.begin(Way.STREAM)
    lost = half_linked_stream(store, session, "put_link")
    won = streamed(store, session, OTHER)
    link_streamed(store, session, won, OTHER)
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1)
    assert stored(store) == sorted([lost, won])


@pytest.mark.usefixtures("few_shards")
def test_a_receipt_that_is_shown_during_the_sweep_links_what_stays_or_nothing() -> None:
    """At every call of the sweep: the commit comes in time, or finds the session at its end."""
    at = in_time = late = 0
    while True:
        store = Store()
        session = store.begin(Way.STREAM)
        keys = [streamed(store, session), streamed(store, session)]

        def commit(store: Store = store, session: UploadSession = session, key: str = keys[1]) -> None:
            with suppress(BlobUploadUnknown):
                link_streamed(store, session, key)

        store.clock.advance(OVER)
        with store.faults.interrupted(at, commit) as happened:
            store.sweeping.sweep()
        store.check()
        if not happened():
            break
        if store.holds(APP, DIGEST):
            assert store.content(APP, DIGEST) == CONTENT
            in_time += 1
        else:
            late += 1
        # Whatever was left to the next sweep, that one ends.
        store.sweeping.sweep()
        store.check()
        assert sessions(store) == []
        assert set(stored(store)) <= {keys[1]}
        at += 1
    assert in_time > 0
    assert late > 0


def test_many_closed_sessions_go_in_one_sweep(store: Store) -> None:
    kept = [closed_stream(store, b"%d" % number) for number in range(300)]
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=300, objects=600)
    assert stored(store) == sorted(kept)


# ------------------------------------------------------------------ a dry run
def everything(store: Store) -> None:
    """Sessions of every kind with all that they can have stored."""
    closed_stream(store)
    session = store.begin(Way.STREAM, SIDE)
    streamed(store, session)
    first_chunk(store, session)
    half_linked_stream(store, store.begin(Way.STREAM), "add_reference", b"half a stream")
    for way in NAMED_BY_DIGEST:
        store.leave(CONTENT + way.encode(), way=way)
        store.leave(CONTENT, repository=SIDE, way=way)
    store.session(APP, b"one", b"two")
    begun_in_parts(store, CONTENT)
    joined = begun_in_parts(store, b"joined", content=b"joined")
    key, upload_id = multipart(joined)
    store.storage.complete_multipart(key, upload_id, store.storage.list_parts(key, upload_id) or ())
    half_linked_in(store, b"unreferenced", "add_reference")
    half_linked_in(store, b"referenced", "put_link")


def half_linked_in(store: Store, content: bytes, named: str) -> None:
    store.leave(content, way=Way.DIRECT)
    with store.faults.failing(named=named), pytest.raises(Unavailable):
        store.blobs.find(APP, Digest.of(content))


def all_that_is_stored(store: Store) -> list[Any]:
    return [
        dict(store.table._sessions),
        dict(store.table._objects),
        set(store.table._references),
        dict(store.table._links),
        dict(store.storage._contents),
        {where: dict(parts) for where, parts in store.storage._uploads.items()},
    ]


def test_a_dry_run_counts_what_a_sweep_does_and_does_nothing(store: Store) -> None:
    everything(store)
    store.clock.advance(OVER)
    before = all_that_is_stored(store)
    store.faults.calls.clear()
    told = [store.sweeping.sweep(dry_run=True) for _ in range(2)]
    assert {name for name in store.faults.calls if not name.startswith(("find_", "list_"))} == {
        "expired_sessions",
        "references",
    }
    assert all_that_is_stored(store) == before
    done = store.sweeping.sweep()
    assert told == [done] * 2
    assert done.sessions == 14
    assert done.objects > 13
    assert store.sweeping.sweep(dry_run=True) == Swept()


# ------------------------------------------------------------------ failures
def test_a_repository_whose_sessions_cannot_be_swept_does_not_stop_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [APP, SIDE, FOREIGN]
    for repository in places:
        store.leave(CONTENT, repository=repository, way=Way.DIRECT)
        store.leave(CONTENT, repository=repository)
    broken = store.table.find_repository(SIDE)
    assert broken is not None
    list_keys = store.storage.list_keys

    def failing(prefix: str, limit: int) -> Any:
        if broken.id in prefix:
            raise Throttled("slow down")
        return list_keys(prefix, limit)

    store.clock.advance(OVER)
    with monkeypatch.context() as patch:
        patch.setattr(store.storage, "list_keys", failing)
        for _ in range(2):
            swept = store.sweeping.sweep()
            assert swept.failed == 2
            assert {session.repository for session in sessions(store)} == {SIDE}
            # What was to be linked by them cannot be, from now on.
            assert {session.state for session in sessions(store)} == {SessionState.EXPIRED}
    with pytest.raises(BlobUnknown):
        store.blobs.find(SIDE, DIGEST)
    assert store.sweeping.sweep() == Swept(sessions=2, objects=2)
    assert (sessions(store), stored(store)) == ([], [])


def test_many_sessions_that_cannot_be_swept_do_not_hide_those_behind_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(250):
        store.session(SIDE)
        store.clock.advance(timedelta(seconds=1))
    store.session(APP)
    broken = store.table.find_repository(SIDE)
    assert broken is not None
    list_keys = store.storage.list_keys

    def failing(prefix: str, limit: int) -> Any:
        if broken.id in prefix:
            raise Unavailable("down")
        return list_keys(prefix, limit)

    store.clock.advance(OVER)
    monkeypatch.setattr(store.storage, "list_keys", failing)
    assert store.sweeping.sweep() == Swept(sessions=1, failed=250)
    assert {session.repository for session in sessions(store)} == {SIDE}


def test_a_list_of_sessions_that_cannot_be_read_is_an_outage(store: Store) -> None:
    everything(store)
    store.clock.advance(OVER)
    before = all_that_is_stored(store)
    for named in ("expired_sessions", "find_session"):
        with store.faults.failing(named=named), pytest.raises(Unavailable):
            store.sweeping.sweep()
        assert all_that_is_stored(store) == before


@dataclass
class Case:
    prepare: Callable[[Store], object]
    left: int = 0
    """How many objects are the collector's."""


CASES = {
    "an object": Case(lambda store: store.leave(CONTENT, way=Way.DIRECT)),
    "chunks": Case(lambda store: store.session(APP, b"one", b"two")),
    "an announced object": Case(lambda store: store.leave(CONTENT, way=Way.PRESIGNED)),
    "parts": Case(lambda store: begun_in_parts(store, CONTENT)),
    "a row without a reference": Case(lambda store: half_linked(store, Way.PRESIGNED, "add_reference")),
    "a row with a reference": Case(lambda store: half_linked(store, Way.PRESIGNED, "put_link"), left=1),
    "streamed objects": Case(lambda store: [streamed(store, store.begin(Way.STREAM)) for _ in range(2)]),
    "attempts beside the one that was linked": Case(closed_stream, left=1),
    "a streamed object with a row": Case(
        lambda store: half_linked_stream(store, store.begin(Way.STREAM), "add_reference")
    ),
    "sessions of two repositories": Case(
        lambda store: [store.session(place, b"x") for place in (APP, APP, SIDE)]
    ),
}


@pytest.mark.usefixtures("few_shards")
@pytest.mark.parametrize("lost", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_sweep_that_dies_at_any_call_is_finished_by_the_next(case: Case, lost: bool) -> None:
    """As when the function is stopped, not only when a dependency says that it is down."""

    class Stopped(Exception):
        pass

    at = 0
    while True:
        store = Store()
        case.prepare(store)
        store.clock.advance(OVER)
        with store.faults.failing(at=at, lost=lost, error=Stopped):
            try:
                store.sweeping.sweep()
            except Stopped:
                pass
            else:
                break
        store.check()
        with suppress(RegistryError):
            store.blobs.find(APP, DIGEST)
        store.sweeping.sweep()
        store.check()
        assert store.sweeping.sweep() == Swept()
        # Whoever asked in between has linked it, or it is gone.
        assert sessions(store) == [] or store.holds(APP, DIGEST)
        if not store.holds(APP, DIGEST):
            assert len(stored(store)) == case.left
            assert store.storage._uploads == {}
        at += 1
    assert len(stored(store)) == case.left
    assert at > 3


@pytest.mark.usefixtures("few_shards")
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_sweep_during_which_any_call_fails_says_how_many_it_has_left(case: Case) -> None:
    at = 0
    while True:
        store = Store()
        case.prepare(store)
        store.clock.advance(OVER)
        count, swept = len(sessions(store)), None
        with store.faults.failing(at=at):
            try:
                swept = store.sweeping.sweep()
            except Unavailable:
                # The list, or what is read along with it.
                assert store.faults.calls[at] in ("expired_sessions", "find_session")
                swept = None
            if len(store.faults.calls) <= at:
                break
        if swept is not None:
            assert swept.sessions + swept.failed == count
            # None that failed is lost, none that went is left.
            assert swept.failed >= len(sessions(store)) > 0
        again = store.sweeping.sweep()
        assert again.failed == 0
        assert sessions(store) == []
        at += 1
    assert at > 3


# ------------------------------------------------------------------ time
def test_a_sweep_without_time_does_nothing(store: Store) -> None:
    everything(store)
    store.clock.advance(OVER)
    store.faults.calls.clear()
    assert store.sweeping.sweep(has_time=lambda: False) == Swept()
    assert store.faults.calls == []


@pytest.mark.parametrize("turns", range(1, 6))
def test_a_sweep_stops_between_two_repositories_when_its_time_is_over(store: Store, turns: int) -> None:
    for repository in (APP, SIDE, FOREIGN):
        store.session(repository, b"chunk")
    store.clock.advance(OVER)
    left = iter([True] * turns)
    swept = store.sweeping.sweep(has_time=lambda: next(left, False))
    assert swept == Swept(sessions=min(turns - 1, 3), objects=min(turns - 1, 3))
    assert len(sessions(store)) == 3 - swept.sessions
    # What it did not come to is as if it had not begun.
    assert {session.state for session in sessions(store)} <= {SessionState.OPEN}
    assert swept + store.sweeping.sweep() == Swept(sessions=3, objects=3)


@pytest.mark.parametrize(
    "event",
    [{}, {"action": "sweep"}, {"action": "dry-run", "more": 1}, {"detail-type": "Other"}, {"Records": []}],
)
def test_a_sweep_that_nobody_has_ordered_is_none(event: dict[str, Any]) -> None:
    settings = {"TABLE_NAME": "t", "BUCKET_NAME": "b", "LOG_LEVEL": "INFO"}
    context = SimpleNamespace(
        function_name="f", memory_limit_in_mb=1, invoked_function_arn="arn", aws_request_id="id"
    )
    with pytest.raises(ValueError, match="neither a scheduled event nor a question"):
        sweeper.create(settings)(event, context)
