"""Uploads: whatever the cuts and the order, a session becomes exactly the bytes that were sent, once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.blobs import BlobLink
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import (
    BlobTooLarge,
    BlobUnknown,
    BlobUploadUnknown,
    BodyTooLarge,
    ChunkOutOfOrder,
    DigestMismatch,
    RegistryError,
    SizeInvalid,
    Unavailable,
)
from moorage.domain.ranges import ChunkRange
from moorage.domain.sessions import MAX_BODY_SIZE, SESSION_LIFETIME, UploadSession
from moorage.ports import ObjectHead
from tests.unit.store import APP, FOREIGN, SIDE, WHO, Store

CONTENT = bytes(range(256)) * 4
DIGEST, LONG = Digest.of(CONTENT), Digest.of(CONTENT, Algorithm.SHA512)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.check()


def cut(content: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(content), *(place % (len(content) + 1) for place in places)})
    return [content[start:end] for start, end in pairwise(edges)]


@given(
    st.binary(max_size=60),
    st.lists(st.integers(0, 60), max_size=5),
    st.sampled_from(Algorithm),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 70), st.integers(0, 20)), max_size=6),
)
def test_chunks_make_the_blob_however_it_is_cut_and_whatever_is_sent_in_between(
    content: bytes,
    places: list[int],
    algorithm: Algorithm,
    last_in_closing: bool,
    wrong: list[tuple[int, int]],
) -> None:
    store, digest = Store(), Digest.of(content, algorithm)
    session = store.session()
    pieces = cut(content, places)
    closing = pieces.pop() if pieces and last_in_closing else b""
    for piece in pieces:
        for first, more in wrong:
            if first != session.offset:
                with pytest.raises(ChunkOutOfOrder) as caught:
                    store.uploads.append(session, b"x" * (more + 1), ChunkRange(first, first + more))
                assert caught.value.offset == session.offset
                with pytest.raises(ChunkOutOfOrder):
                    store.uploads.finish(APP, WHO, session.id, digest, b"x", ChunkRange(first, first))
        session = store.uploads.append(
            session, piece, ChunkRange(session.offset, session.offset + len(piece) - 1)
        )
    content_range = ChunkRange(session.offset, session.offset + len(closing) - 1) if closing else None
    link = store.uploads.finish(APP, WHO, session.id, digest, closing, content_range)
    assert link.size == len(content)
    assert store.content(APP, digest) == content
    assert store.storage.list_keys("chunks/", 9) == []
    store.check()


@given(st.binary(max_size=20), st.binary(max_size=20), st.sampled_from(Algorithm), st.integers(0, 20))
def test_a_session_is_never_linked_under_the_digest_of_other_content(
    content: bytes, other: bytes, algorithm: Algorithm, place: int
) -> None:
    if content == other:
        return
    store, digest = Store(), Digest.of(other, algorithm)
    for known in (False, True):
        if known:
            store.push(SIDE, other, algorithm)
        session = store.session(APP, *[piece for piece in [content[:place]] if piece])
        with pytest.raises(DigestMismatch):
            store.uploads.finish(APP, WHO, session.id, digest, content[place:], None)
        with pytest.raises(DigestMismatch):
            store.uploads.put_whole(APP, WHO, digest, content)
        assert not store.holds(APP, digest)
        with pytest.raises(BlobUnknown):
            store.blobs.find(APP, digest)
        # The session stands as it was, and can be finished by what it is.
        assert store.uploads.find(APP, WHO, session.id) == session
        right = Digest.of(content, algorithm)
        assert store.uploads.finish(APP, WHO, session.id, right, content[place:], None).size == len(content)
    store.check()


def test_a_push_in_one_request_that_is_refused_leaves_neither_session_nor_object(store: Store) -> None:
    with pytest.raises(DigestMismatch):
        store.uploads.put_whole(APP, WHO, DIGEST, b"other")
    with pytest.raises(BodyTooLarge):
        store.uploads.put_whole(APP, WHO, DIGEST, bytes(MAX_BODY_SIZE + 1))
    assert store.table._sessions == {}
    assert store.storage.list_keys("", 9) == []


def test_a_session_belongs_to_who_opened_it_where_it_was_opened(store: Store) -> None:
    session = store.session(APP, CONTENT)
    for repository, who, session_id in (
        (SIDE, WHO, session.id),
        (FOREIGN, WHO, session.id),
        (APP, "/org/demo/serviceaccount/other", session.id),
        (APP, "/org/other/serviceaccount/admin", session.id),
        (APP, WHO, session.id.upper() + "0"),
        (APP, WHO, ""),
        (APP, WHO, "x" * 5000),
        (APP, WHO, "../" + session.id),
    ):
        for attempt in attempts(store, repository, who, session_id):
            with pytest.raises(BlobUploadUnknown):
                attempt()
    assert store.uploads.find(APP, WHO, session.id).offset == len(CONTENT)
    assert not store.holds(APP, DIGEST)


def attempts(store: Store, repository: Any, who: str, session_id: str) -> list[Callable[[], object]]:
    return [
        lambda: store.uploads.find(repository, who, session_id),
        lambda: store.uploads.finish(repository, who, session_id, DIGEST, b"", None),
        lambda: store.uploads.finish(repository, who, session_id, Digest.of(b""), b"", None),
        lambda: store.uploads.cancel(repository, who, session_id),
    ]


@pytest.mark.parametrize("end", ["finished", "cancelled", "expired"])
def test_a_session_that_has_ended_is_unknown(store: Store, end: str) -> None:
    session = store.session(APP, CONTENT)
    if end == "finished":
        store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None)
    elif end == "cancelled":
        store.uploads.cancel(APP, WHO, session.id)
        assert store.storage.list_keys("", 9) == []
    else:
        store.clock.advance(SESSION_LIFETIME - timedelta(seconds=1))
        assert store.uploads.find(APP, WHO, session.id) == session
        store.clock.advance(timedelta(seconds=1))
    with pytest.raises(BlobUploadUnknown):
        store.uploads.find(APP, WHO, session.id)
    with pytest.raises(BlobUploadUnknown):
        store.uploads.cancel(APP, WHO, session.id)
    with pytest.raises(BlobUploadUnknown):
        store.uploads.finish(APP, WHO, session.id, Digest.of(b"another"), b"", None)
    if end != "expired":
        with pytest.raises(BlobUploadUnknown):
            store.uploads.append(session, b"more", None)


def test_finishing_again_with_the_same_digest_gives_the_same_answer(store: Store) -> None:
    session = store.session(APP, CONTENT)
    first = store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None)
    assert store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None) == first
    assert store.uploads.finish(APP, WHO, session.id, DIGEST, b"whatever comes", None) == first
    for other in (LONG, Digest.of(b"")):
        with pytest.raises(BlobUploadUnknown):
            store.uploads.finish(APP, WHO, session.id, other, b"", None)


def test_a_repeated_or_lost_chunk_is_told_where_to_go_on(store: Store) -> None:
    start = store.session()
    after = store.uploads.append(start, CONTENT[:100], ChunkRange(0, 99))
    # From the state before, as a second worker that read it earlier would.
    with pytest.raises(ChunkOutOfOrder) as caught:
        store.uploads.append(start, CONTENT[:100], ChunkRange(0, 99))
    assert caught.value.offset == 100
    with pytest.raises(ChunkOutOfOrder):
        store.uploads.append(start, CONTENT[:100], None)
    with pytest.raises(ChunkOutOfOrder):
        store.uploads.append(after, CONTENT[:100], ChunkRange(0, 99))
    with pytest.raises(ChunkOutOfOrder):
        store.uploads.append(after, CONTENT[50:150], ChunkRange(50, 149))
    with pytest.raises(SizeInvalid):
        store.uploads.append(after, CONTENT[:99], ChunkRange(100, 199))
    assert store.uploads.find(APP, WHO, start.id) == after
    link = store.uploads.finish(APP, WHO, start.id, DIGEST, CONTENT[100:], None)
    assert link.size == len(CONTENT)


def test_empty_bodies_add_no_chunks(store: Store) -> None:
    session = store.session(APP, b"", b"")
    assert session.chunks == ()
    assert store.uploads.finish(APP, WHO, session.id, Digest.of(b""), b"", None).size == 0
    assert store.content(APP, Digest.of(b"")) == b""


def test_what_is_too_large_is_not_stored(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moorage.domain.sessions.MAX_BODY_SIZE", 100)
    monkeypatch.setattr("moorage.domain.sessions.MAX_CHUNKED_BLOB_SIZE", 150)
    with pytest.raises(BodyTooLarge):
        store.uploads.put_whole(APP, WHO, Digest.of(CONTENT[:101]), CONTENT[:101])
    store.uploads.put_whole(APP, WHO, Digest.of(CONTENT[:100]), CONTENT[:100])
    session = store.session(APP, CONTENT[:100])
    with pytest.raises(BlobTooLarge):
        store.uploads.append(session, CONTENT[:51], None)
    with pytest.raises(BlobTooLarge):
        store.uploads.finish(APP, WHO, session.id, Digest.of(CONTENT[:151]), CONTENT[100:151], None)
    whole = Digest.of(CONTENT[:150])
    assert store.uploads.finish(APP, WHO, session.id, whole, CONTENT[100:150], None).size == 150


# ------------------------------------------------------------------ what an earlier attempt has left
def test_more_bytes_after_a_failed_finish_are_not_linked_under_the_digest_of_fewer(store: Store) -> None:
    session = store.session(APP, CONTENT)
    with store.faults.failing(named="add_object"), pytest.raises(Unavailable):
        store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None)
    session = store.uploads.append(session, b"more", None)
    with pytest.raises(DigestMismatch):
        store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None)
    with pytest.raises(DigestMismatch):
        store.uploads.finish(APP, WHO, session.id, DIGEST, b"and more", None)
    right = Digest.of(CONTENT + b"more")
    with store.faults.failing(named="add_object"), pytest.raises(Unavailable):
        store.uploads.finish(APP, WHO, session.id, right, b"", None)
    with pytest.raises(DigestMismatch):
        store.uploads.finish(APP, WHO, session.id, right, b"x", None)
    assert store.uploads.finish(APP, WHO, session.id, right, b"", None).size == len(CONTENT) + 4
    assert store.content(APP, right) == CONTENT + b"more"


@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
def test_what_the_store_has_under_our_key_is_looked_at_before_it_is_linked(
    store: Store, digest: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = store.session(APP, CONTENT)
    key = f"api/{digest.encoded[:2]}/{session.repository_id}/{digest.encoded}/{session.id}"
    store.storage.put(key, b"something else")
    with pytest.raises((Unavailable, DigestMismatch)):
        store.uploads.finish(APP, WHO, session.id, digest, b"", None)
    assert not store.holds(APP, digest)
    store.storage.put(key, CONTENT)
    # Without a checksum it is hashed.
    monkeypatch.setattr(store.storage, "head", lambda _: ObjectHead(len(CONTENT), None))
    assert store.uploads.finish(APP, WHO, session.id, digest, b"", None).size == len(CONTENT)
    assert store.content(APP, digest) == CONTENT


# ------------------------------------------------------------------ several clients
def together(*actions: Callable[[], Any]) -> list[Any]:
    """The answers, or errors, of actions that begin at the same moment."""
    barrier, results = threading.Barrier(len(actions)), [None] * len(actions)

    def run(number: int, action: Callable[[], Any]) -> None:
        barrier.wait(10)
        try:
            results[number] = action()
        except RegistryError as error:
            results[number] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(number, action)) for number, action in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
def test_two_clients_that_finish_the_same_upload_both_have_it(digest: Digest) -> None:
    for _ in range(30):
        store = Store()
        session = store.session(APP, CONTENT[:500])

        def finish(store: Store = store, session: UploadSession = session) -> BlobLink:
            return store.uploads.finish(APP, WHO, session.id, digest, CONTENT[500:], None)

        first, second = together(finish, finish)
        assert isinstance(first, BlobLink), first
        assert isinstance(second, BlobLink), second
        assert first.key == second.key
        assert store.content(APP, digest) == CONTENT
        store.check()


OTHERS: dict[str, Callable[[Store, str, Digest], object]] = {
    "finishes": lambda store, session, digest: store.uploads.finish(
        APP, WHO, session, digest, CONTENT[500:], None
    ),
    "cancels": lambda store, session, _: store.uploads.cancel(APP, WHO, session),
    "looks for the blob": lambda store, _, digest: store.blobs.find(APP, digest),
    "deletes the blob": lambda store, _, digest: store.deletions.blob(APP, digest),
    "finishes another digest": lambda store, session, _: store.uploads.finish(
        APP, WHO, session, Digest.of(CONTENT[:500]), b"", None
    ),
}


class Interruption:
    """Lets another request be served entirely before the call number ``at`` to a dependency."""

    def __init__(self, store: Store, at: int, other: Callable[[], object]) -> None:
        self.names: list[str] = []
        self.happened = self.succeeded = False
        self._at, self._other, self._call = at, other, store.faults.call
        store.faults.call = self.call  # type: ignore[method-assign]

    def call(self, name: str, method: Any, *arguments: Any, **named: Any) -> Any:
        self.names.append(name)
        if len(self.names) == self._at + 1:
            self.happened = True
            with suppress(BlobUploadUnknown, DigestMismatch, BlobUnknown):
                self._other()
                self.succeeded = True
        return self._call(name, method, *arguments, **named)


@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
@pytest.mark.parametrize("other", OTHERS)
def test_whatever_another_request_does_between_two_calls_of_a_finish(digest: Digest, other: str) -> None:
    """Every interleaving of one whole request into another, not those that threads happen to meet."""
    calls, happened = 0, True
    while happened:
        store = Store()
        session = store.session(APP, CONTENT[:500])
        interruption = Interruption(store, calls, partial(OTHERS[other], store, session.id, digest))
        try:
            result: Any = store.uploads.finish(APP, WHO, session.id, digest, CONTENT[500:], None)
        except BlobUploadUnknown as error:
            result = error
        happened = interruption.happened
        store.check()
        if other in ("finishes", "looks for the blob"):
            assert isinstance(result, BlobLink), calls
            assert store.content(APP, digest) == CONTENT
        elif isinstance(result, BlobLink):
            assert result.size == len(CONTENT)
        calls += 1
    assert isinstance(result, BlobLink)
    assert calls > 5


@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
def test_who_looks_for_a_blob_while_it_is_pushed_in_one_request_does_not_take_it_away(digest: Digest) -> None:
    calls, happened, found = 0, True, 0
    while happened:
        store = Store()
        interruption = Interruption(store, calls, partial(store.blobs.find, APP, digest))
        assert store.uploads.put_whole(APP, WHO, digest, CONTENT).size == len(CONTENT)
        store.check()
        happened = interruption.happened
        found += interruption.succeeded
        calls += 1
    assert calls > 5
    assert found > 1


def test_of_chunks_that_arrive_together_one_is_taken() -> None:
    for _ in range(30):
        store = Store()
        session = store.session()
        results = together(
            *(partial(store.uploads.append, session, body, ChunkRange(0, 3)) for body in (b"aaaa", b"bbbb"))
        )
        (taken,) = (result for result in results if isinstance(result, UploadSession))
        (refused,) = (result for result in results if isinstance(result, ChunkOutOfOrder))
        assert refused.offset == 4
        content = b"aaaa" if results[0] is taken else b"bbbb"
        store.uploads.finish(APP, WHO, session.id, Digest.of(content), b"", None)
        assert store.content(APP, Digest.of(content)) == content
        store.check()


def test_many_clients_that_push_the_same_blob_all_have_it() -> None:
    store = Store()
    places = (APP, APP, SIDE, SIDE, FOREIGN, FOREIGN)
    results = together(*(partial(store.push, repository, CONTENT) for repository in places))
    assert results == [DIGEST] * 6
    for repository in (APP, SIDE, FOREIGN):
        assert store.content(repository, DIGEST) == CONTENT
    store.check()
