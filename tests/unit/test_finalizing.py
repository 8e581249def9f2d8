"""The store's event about an object: whatever comes before it, after it, beside it or never."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from moorage.domain.blobs import NAMED_BY_DIGEST, ObjectState, Origin, Way, object_key
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import BlobUnknown, BlobUploadUnknown, RegistryError, Unavailable
from moorage.domain.manifests import OCI_MANIFEST
from moorage.domain.names import Repository
from moorage.domain.sessions import SESSION_LIFETIME, SessionState, UploadSession
from moorage.services import sweeping
from moorage.services.finalizing import Outcome
from moorage.services.settling import HASHED_IN_A_REQUEST
from tests.unit.store import APP, FOREIGN, SIDE, WHO, Store, image, live

CONTENT = b"layer" * 100
DIGEST, LONG = Digest.of(CONTENT), Digest.of(CONTENT, Algorithm.SHA512)
by_all_ways = pytest.mark.parametrize("way", NAMED_BY_DIGEST)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.check()


def gone(store: Store, key: str) -> bool:
    return store.storage.head(key) is None and store.table.find_object(key) is None


def found(store: Store, digest: Digest = DIGEST) -> str:
    return store.blobs.find(APP, digest).key


# ------------------------------------------------------------------ when the event comes
@by_all_ways
@pytest.mark.parametrize("unproven", [False, True])
@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
def test_an_event_links_the_object_and_closes_its_session(
    store: Store, way: Way, unproven: bool, digest: Digest
) -> None:
    key = store.leave(CONTENT, digest, way=way, unproven=unproven)
    assert store.finalize(key) is Outcome.LINKED
    assert store.content(APP, digest) == CONTENT
    session = store.session_of(key)
    assert session is not None
    assert (session.state, session.digest) == (SessionState.CLOSED, digest)
    assert store.table.find_organisation_blob("demo", digest) == key


@by_all_ways
@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_events_before_and_after_the_manifest_come_to_the_same_end(
    store: Store, way: Way, before: int, after: int
) -> None:
    key = store.leave(CONTENT, way=way)
    outcomes = [store.finalize(key) for _ in range(before)]
    store.manifests.push(APP, WHO, image((DIGEST, CONTENT)), OCI_MANIFEST, "v1")
    outcomes += [store.finalize(key) for _ in range(after)]
    assert found(store) == key
    # The session is closed by the first, whoever that is; the later ones find a row and leave it alone.
    linked = [Outcome.LINKED] if before else []
    assert outcomes == linked + [Outcome.KEPT] * (before + after - len(linked))
    assert store.table.references(key, 10) == [(APP, DIGEST)]


@by_all_ways
def test_events_of_two_objects_of_one_digest_in_any_order_leave_one(store: Store, way: Way) -> None:
    for order in (1, -1):
        for repository in (APP, SIDE):
            content = b"%d %s" % (order, repository.name.encode())
            keys = [store.leave(content, way=way), store.leave(content, repository=repository, way=way)]
            first, second = keys[::order]
            assert store.finalize(first) is Outcome.LINKED
            assert store.finalize(second) is Outcome.REMOVED
            assert gone(store, second)
            assert store.holds(repository, Digest.of(content))
            assert store.finalize(first) is Outcome.KEPT
            assert store.finalize(second) is Outcome.REMOVED


@by_all_ways
@pytest.mark.parametrize("end", ["closed", "failed", "expired", "cancelled"])
@pytest.mark.parametrize("times", [1, 3])
def test_what_a_session_that_has_ended_has_stored_is_removed(
    store: Store, way: Way, end: str, times: int
) -> None:
    key = store.leave(CONTENT, way=way)
    session = store.session_of(key)
    assert session is not None
    store.end(session, end)
    ended = store.session_of(key)
    assert [store.finalize(key) for _ in range(times)] == [Outcome.REMOVED] * times
    assert gone(store, key)
    assert store.session_of(key) == ended
    assert not store.holds(APP, DIGEST)


@by_all_ways
def test_what_no_session_has_stored_is_removed(store: Store, way: Way) -> None:
    store.push(APP, b"makes the repository")
    record = store.table.find_repository(APP)
    assert record is not None
    for repository_id in (record.id, "0" * 32):
        key = object_key(way, repository_id, DIGEST, "1" * 32)
        store.storage.put(key, CONTENT)
        assert store.finalize(key) is Outcome.REMOVED
        assert gone(store, key)


@by_all_ways
def test_an_object_that_is_gone_is_absent_and_its_session_goes_on(store: Store, way: Way) -> None:
    session = store.begin(way)
    key = object_key(way, session.repository_id, DIGEST, session.id)
    for _ in range(2):
        assert store.finalize(key) is Outcome.ABSENT
    store.put(session, DIGEST, CONTENT)
    assert store.finalize(key) is Outcome.LINKED


@by_all_ways
def test_a_session_that_is_over_and_not_yet_swept_is_linked_or_swept_never_half(
    store: Store, way: Way
) -> None:
    key = store.leave(CONTENT, way=way)
    store.clock.advance(SESSION_LIFETIME + timedelta(seconds=1))
    assert store.finalize(key) is Outcome.LINKED
    store.sweeping.sweep()
    assert store.content(APP, DIGEST) == CONTENT


FOREIGN_KEYS = [
    "",
    "/",
    "manifests/ab/" + "1" * 32 + "/" + "a" * 64 + "/" + "1" * 16,
    "chunks/" + "1" * 32 + "/" + "1" * 32 + "/000000000000-1",
    "jobs/copy/1.json",
    "direct/",
    "direct/é/ü",
    "direct/" + "x" * 1100,
    "direct/aa/" + "1" * 32 + "/" + "a" * 64 + "/" + "1" * 32 + "\n",
    "direct/aa/" + "1" * 32 + "/" + "a" * 64 + "/" + "1" * 32 + "/more",
    "/direct/aa/" + "1" * 32 + "/" + "a" * 64 + "/" + "1" * 32,
    # The digest begins with another byte.
    "direct/ab/" + "1" * 32 + "/" + "a" * 64 + "/" + "1" * 32,
    "direct/AA/" + "1" * 32 + "/" + "A" * 64 + "/" + "1" * 32,
    "stream/aa/" + "1" * 32 + "/" + "a" * 64 + "/" + "1" * 32,
    "Direct/aa/" + "1" * 32 + "/" + "a" * 64 + "/" + "1" * 32,
    "direct/aa/" + "1" * 32 + "/" + "a" * 65 + "/" + "1" * 32,
    "direct/aa/" + "1" * 31 + "/" + "a" * 64 + "/" + "1" * 32,
    "direct/aa/" + "1" * 32 + "/" + "a" * 64 + "/" + "1" * 33,
    "direct/aa/" + "\N{FULLWIDTH DIGIT ONE}" * 32 + "/" + "a" * 64 + "/" + "1" * 32,
    "direct/../" + "1" * 32 + "/" + "a" * 64 + "/" + "1" * 32,
]


@pytest.mark.parametrize("key", FOREIGN_KEYS, ids=lambda key: ascii(key)[:50])
def test_a_key_that_no_upload_stores_under_is_left_alone_without_a_question(store: Store, key: str) -> None:
    store.storage.put(key, CONTENT)
    store.faults.calls.clear()
    assert store.finalize(key) is Outcome.FOREIGN
    assert store.faults.calls == []
    assert store.storage.head(key) is not None


@given(
    st.text()
    | st.from_regex(r"(api|direct)/[0-9a-f]{2}/[0-9a-f]{32}/[0-9a-f]{64}/[0-9a-f]{32}", fullmatch=True)
)
def test_the_origin_of_a_key_makes_that_key_again_or_there_is_none(key: str) -> None:
    origin = Origin.parse(key)
    if origin is not None:
        assert object_key(origin.way, origin.repository_id, origin.digest, origin.session_id) == key


HEX = st.text("0123456789abcdef", min_size=32, max_size=32)


@given(st.sampled_from(NAMED_BY_DIGEST), HEX, st.binary(), st.sampled_from(Algorithm), HEX)
def test_every_key_that_is_made_has_the_origin_it_was_made_of(
    way: Way, repository_id: str, content: bytes, algorithm: Algorithm, session_id: str
) -> None:
    digest = Digest.of(content, algorithm)
    key = object_key(way, repository_id, digest, session_id)
    assert Origin.parse(key) == Origin(way, repository_id, digest, session_id)


# ------------------------------------------------------------------ other content
@by_all_ways
@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
@pytest.mark.parametrize("content", [b"", b"other", CONTENT + b"\0"])
@pytest.mark.parametrize("unproven", [False, True])
def test_other_content_is_removed_and_fails_its_session(
    store: Store, way: Way, digest: Digest, content: bytes, unproven: bool
) -> None:
    key = store.leave(content, digest, way=way, unproven=unproven)
    assert store.finalize(key) is Outcome.MISMATCHED
    assert gone(store, key)
    session = store.session_of(key)
    assert session is not None
    assert session.state is SessionState.FAILED
    assert "does not have that digest" in (session.failure or "")
    # Nothing can follow: neither the right content by this session, nor the event again.
    store.put(session, digest, CONTENT)
    assert store.finalize(key) is Outcome.REMOVED
    assert not store.holds(APP, digest)
    # A new session brings it.
    fresh = store.leave(CONTENT, digest, way=way)
    assert store.finalize(fresh) is Outcome.LINKED
    assert store.content(APP, digest) == CONTENT


@by_all_ways
def test_other_content_for_what_the_organisation_has_gives_no_link_to_it(store: Store, way: Way) -> None:
    """Who names a digest has not shown its bytes."""
    store.push(SIDE, CONTENT)
    key = store.leave(b"not the bytes", DIGEST, way=way, unproven=True)
    assert store.finalize(key) is Outcome.MISMATCHED
    assert not store.holds(APP, DIGEST)
    assert store.content(SIDE, DIGEST) == CONTENT


def test_without_a_checksum_an_object_of_any_size_is_read_to_its_end(store: Store) -> None:
    content = bytes(HASHED_IN_A_REQUEST + 1)
    digest = Digest.of(content)
    key = store.leave(content, digest, way=Way.PRESIGNED, unproven=True)
    store.faults.calls.clear()
    assert store.finalize(key) is Outcome.LINKED
    assert store.faults.calls.count("read_range") == 9
    torn = bytearray(content)
    torn[-1] = 1
    other = store.leave(bytes(torn), digest, way=Way.PRESIGNED, unproven=True)
    assert store.finalize(other) is Outcome.MISMATCHED
    assert found(store, digest) == key


# ------------------------------------------------------------------ what has a row stays
@by_all_ways
@pytest.mark.parametrize("state", ObjectState)
@pytest.mark.parametrize("deleted", [False, True])
def test_an_object_with_a_row_is_never_removed(
    store: Store, way: Way, state: ObjectState, deleted: bool
) -> None:
    """A blob that was deleted has a row without a link: it is the collector's."""
    key = store.leave(CONTENT, way=way)
    store.finalize(key)
    if deleted:
        store.deletions.blob(APP, DIGEST)
    live(store, key, state)
    assert store.finalize(key) is Outcome.KEPT
    assert store.storage.head(key) is not None
    if deleted:
        with pytest.raises(BlobUnknown):
            store.blobs.find(APP, DIGEST)


@by_all_ways
def test_a_deleted_blob_does_not_come_back_with_a_late_event(store: Store, way: Way) -> None:
    key = store.leave(CONTENT, way=way)
    store.blobs.find(APP, DIGEST)
    store.deletions.blob(APP, DIGEST)
    assert store.finalize(key) is Outcome.KEPT
    with pytest.raises(BlobUnknown):
        store.blobs.find(APP, DIGEST)


# ------------------------------------------------------------------ crashes
@dataclass
class Case:
    """What has been stored before an event comes, and what must have become of it at the end."""

    prepare: Callable[[Store], str]
    ends: Callable[[Store, str], bool]


def known(store: Store) -> str:
    store.push(SIDE, CONTENT)
    return store.leave(CONTENT, way=Way.DIRECT)


def condemned(store: Store) -> str:
    store.push(SIDE, CONTENT)
    (key,) = store.table._objects
    live(store, key, ObjectState.CONDEMNED)
    return store.leave(CONTENT, way=Way.DIRECT)


def cancelled(store: Store) -> str:
    key = store.leave(CONTENT, way=Way.DIRECT)
    session = store.session_of(key)
    assert session is not None
    store.table.delete_session(session)
    return key


def linked(store: Store, key: str) -> bool:
    return store.content(APP, DIGEST) == CONTENT and found(store) == key


CASES = {
    "proved": Case(lambda store: store.leave(CONTENT, way=Way.DIRECT), linked),
    "to be hashed": Case(lambda store: store.leave(CONTENT, way=Way.PRESIGNED, unproven=True), linked),
    "known": Case(known, lambda store, key: gone(store, key) and store.content(APP, DIGEST) == CONTENT),
    "known and condemned": Case(condemned, linked),
    "mismatched": Case(
        lambda store: store.leave(b"other", DIGEST, way=Way.DIRECT),
        lambda store, key: gone(store, key) and store.session_of(key).state is SessionState.FAILED,  # type: ignore[union-attr]
    ),
    "cancelled": Case(cancelled, gone),
}


@pytest.mark.parametrize("lost", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_an_event_that_dies_at_any_call_comes_again_and_ends_the_same(case: Case, lost: bool) -> None:
    at = 0
    while True:
        store = Store()
        key = case.prepare(store)
        with store.faults.failing(at=at, lost=lost):
            try:
                store.finalize(key)
            except Unavailable:
                pass
            else:
                break
        store.check()
        store.finalize(key)
        store.check()
        assert case.ends(store, key), store.faults.calls
        # Once more: SQS delivers at least once.
        store.finalize(key)
        assert case.ends(store, key)
        at += 1
    assert case.ends(store, key)
    assert at > 2


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_an_event_that_dies_again_and_again_comes_to_an_end(case: Case) -> None:
    store = Store()
    key = case.prepare(store)
    for attempt in range(100):
        with store.faults.failing(at=attempt, lost=attempt % 2 == 1), suppress(Unavailable):
            store.finalize(key)
            break
        store.check()
    assert case.ends(store, key)
    store.check()


# ------------------------------------------------------------------ races
def session_of(store: Store, key: str) -> UploadSession:
    session = store.session_of(key)
    if session is None:
        raise BlobUploadUnknown("gone")
    return session


def cancel(store: Store, key: str) -> None:
    store.cancel(session_of(store, key))


def sweep(store: Store, _: str) -> object:
    now = store.clock.now
    store.clock.advance(SESSION_LIFETIME * 2)
    try:
        return store.sweeping.sweep()
    finally:
        # The others' requests began before.
        store.clock.now = now


def push_again(store: Store, _: str) -> object:
    return store.push(SIDE, CONTENT)


def rival(store: Store, _: str) -> object:
    return store.finalize(store.leave(CONTENT, way=Way.DIRECT))


Action = Callable[[Store, str], Any]
ACTIONS: dict[str, Action] = {
    "HEAD": lambda store, _: store.blobs.find(APP, DIGEST),
    "a manifest": lambda store, _: store.manifests.push(
        APP, WHO, image((DIGEST, CONTENT)), OCI_MANIFEST, "v1"
    ),
    "a mount": lambda store, _: store.blobs.mount(SIDE, WHO, DIGEST, APP),
    "the event": lambda store, key: store.finalize(key),
    "a delete": lambda store, _: store.deletions.blob(APP, DIGEST),
    "a cancellation": cancel,
    "a sweep": sweep,
    "another upload of it": push_again,
    "another object of it": rival,
}
GIVING = ("HEAD", "a manifest")


@pytest.mark.parametrize("known_before", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("unproven", [False, True], ids=["proved", "to be hashed"])
@pytest.mark.parametrize("second", ACTIONS)
@pytest.mark.parametrize("first", ACTIONS)
def test_whatever_comes_between_any_two_calls_nothing_linked_is_lost_and_nothing_unlinked_stays(
    first: str, second: str, unproven: bool, known_before: bool
) -> None:
    at = 0
    while True:
        store = Store()
        if known_before:
            store.push(SIDE, b"another blob")
            store.push(SIDE, CONTENT)
        key = store.leave(CONTENT, way=Way.PRESIGNED, unproven=unproven)
        succeeded: set[str] = set()

        def run(name: str, store: Store = store, key: str = key, succeeded: set[str] = succeeded) -> None:
            with suppress(RegistryError):
                ACTIONS[name](store, key)
                succeeded.add(name)

        with store.faults.interrupted(at, partial(run, second)) as happened:
            run(first)
        store.check()
        if succeeded & set(GIVING) and "a delete" not in (first, second):
            assert store.content(APP, DIGEST) == CONTENT, (at, store.faults.calls)
        # In the end every event comes, and every session is over.
        for left in [stored for way in Way for stored in store.storage.list_keys(f"{way}/", 100)]:
            store.finalize(left)
        sweep(store, key)
        store.check()
        assert store.unrecorded() == []
        assert not [
            session for session in store.table._sessions.values() if session.state is SessionState.OPEN
        ]
        if not happened():
            break
        at += 1
    assert at > 0


# ------------------------------------------------------------------ everything in any order
class Traffic(RuleBasedStateMachine):
    """Uploads by all ways; events that come at once, twice, late or never; requests, deletes, sweeps and time."""

    objects = Bundle("objects")
    places = st.sampled_from([APP, SIDE, FOREIGN])
    contents = st.sampled_from([b"", b"a", b"b"])

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.held: set[tuple[Repository, bytes]] = set()
        self.pending: set[str] = set()
        self.lost: set[str] = set()

    def possible(self, place: Repository, content: bytes) -> bool:
        """Whether an open session has stored it."""
        for key in self.store.storage.list_keys("", 10**6):
            origin = Origin.parse(key)
            session = origin and self.store.table.find_session(place, origin.session_id)
            if (
                origin
                and session
                and session.state is SessionState.OPEN
                and session.vouches_for(origin)
                and origin.digest == Digest.of(content)
                and b"".join(self.store.storage.read(key) or ()) == content
            ):
                return True
        return False

    @rule(
        target=objects,
        way=st.sampled_from(NAMED_BY_DIGEST),
        place=places,
        content=contents,
        right=st.booleans(),
        unproven=st.booleans(),
    )
    def store_something(
        self, way: Way, place: Repository, content: bytes, right: bool, unproven: bool
    ) -> Any:
        digest = Digest.of(content)
        key = self.store.leave(content if right else b"wrong", digest, place, way=way, unproven=unproven)
        self.pending.add(key)
        return multiple((key, place, content if right else None))

    @rule(thing=objects, lose=st.booleans())
    def event(self, thing: Any, lose: bool) -> None:
        key, place, content = thing
        if lose:
            self.lost.add(key)
            return
        may_link = content is not None and (self.possible(place, content) or (place, content) in self.held)
        outcome = self.store.finalize(key)
        self.pending.discard(key)
        if outcome is Outcome.LINKED:
            assert may_link
            self.held.add((place, content))
        if content is not None and self.store.holds(place, Digest.of(content)):
            assert may_link
            self.held.add((place, content))
        assert outcome is not Outcome.FOREIGN
        # What has been finalized is recorded, or gone.
        recorded = self.store.table.find_object(key) is not None
        assert (self.store.storage.head(key) is not None) == recorded

    @rule(thing=objects)
    def store_late(self, thing: Any) -> None:
        """The client of a session stores its blob again; over a key that is free, as the front door makes sure."""
        key, _, content = thing
        if self.store.storage.head(key) is None and self.store.table.find_object(key) is None:
            self.store.storage.put(key, b"wrong" if content is None else content)
            self.pending.add(key)

    @rule(thing=objects)
    def cancel(self, thing: Any) -> None:
        key, place, _ = thing
        session = self.store.session_of(key, place)
        if session is not None:
            with suppress(BlobUploadUnknown):
                self.store.cancel(session)

    @rule(place=places, content=contents)
    def push(self, place: Repository, content: bytes) -> None:
        self.store.push(place, content)
        self.held.add((place, content))

    @rule(place=places, content=contents)
    def look(self, place: Repository, content: bytes) -> None:
        may = (place, content) in self.held or self.possible(place, content)
        try:
            link = self.store.blobs.find(place, Digest.of(content))
        except BlobUnknown:
            assert not may
        else:
            assert may
            assert link.size == len(content)
            self.held.add((place, content))

    @rule(place=places, names=st.lists(contents, min_size=1, max_size=3))
    def push_manifest(self, place: Repository, names: list[bytes]) -> None:
        missing = [
            name for name in names if (place, name) not in self.held and not self.possible(place, name)
        ]
        try:
            manifest = image(*[(Digest.of(name), name) for name in names])
            self.store.manifests.push(place, WHO, manifest, OCI_MANIFEST, "v1")
        except RegistryError:
            assert missing
        else:
            assert not missing
        self.held |= {(place, name) for name in names if self.store.holds(place, Digest.of(name))}

    @rule(place=places, content=contents)
    def delete(self, place: Repository, content: bytes) -> None:
        may = (place, content) in self.held or self.possible(place, content)
        try:
            self.store.deletions.blob(place, Digest.of(content))
        except BlobUnknown:
            assert not may
        self.held.discard((place, content))
        assert not self.possible(place, content)

    @rule(dry_run=st.booleans())
    def sweep(self, dry_run: bool) -> None:
        self.store.sweeping.sweep(dry_run=dry_run)
        if not dry_run:
            now = self.store.clock() - sweeping._GRACE
            states = (SessionState.OPEN, SessionState.EXPIRED)
            assert not [
                session
                for session in self.store.table._sessions.values()
                if session.state in states and session.expires < now
            ]

    @rule(hours=st.integers(1, 12))
    def wait(self, hours: int) -> None:
        self.store.clock.advance(timedelta(hours=hours))

    @invariant()
    def whole(self) -> None:
        self.store.check()
        for place, content in self.held:
            assert self.store.content(place, Digest.of(content)) == content

    def teardown(self) -> None:
        """All events come at last, but for those that were lost, and all sessions end."""
        for key in self.pending - self.lost:
            self.store.finalize(key)
        self.store.clock.advance(SESSION_LIFETIME + sweeping._GRACE + timedelta(seconds=1))
        self.store.sweeping.sweep()
        left = set(self.store.unrecorded())
        # An object whose event was lost after its session had ended is all that may be left.
        assert left <= self.lost
        for key in left:
            assert self.store.finalize(key) is Outcome.REMOVED
        self.whole()


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
