"""A stored object becomes a blob by proof only, and what was deleted stays deleted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from moorage.domain.blobs import ObjectState, Way, object_key
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import (
    BeingVerified,
    BlobUnknown,
    BlobUploadUnknown,
    ManifestBlobUnknown,
    Unavailable,
    WriteConflict,
)
from moorage.domain.manifests import OCI_MANIFEST
from moorage.ports import ObjectHead
from moorage.services.settling import HASHED_IN_A_REQUEST
from tests.unit.store import APP, FOREIGN, SIDE, STRANGER, WHO, Store, image, live

CONTENT = b"layer" * 100
DIGEST, LONG = Digest.of(CONTENT), Digest.of(CONTENT, Algorithm.SHA512)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.check()


def absent(store: Store, digest: Digest = DIGEST) -> None:
    with pytest.raises(BlobUnknown):
        store.blobs.find(APP, digest)
    with pytest.raises(BlobUnknown):
        store.blobs.location(APP, digest, None)


# ------------------------------------------------------------------ settling
@pytest.mark.parametrize("unproven", [False, True])
@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
def test_what_an_open_session_has_stored_is_settled(store: Store, digest: Digest, unproven: bool) -> None:
    key = store.leave(CONTENT, digest, unproven=unproven)
    assert store.blobs.find(APP, digest).key == key
    assert store.table.find_organisation_blob("demo", digest) == key
    # Its session is closed with that: it cannot be continued.
    with pytest.raises(BlobUploadUnknown):
        store.uploads.find(APP, WHO, key.rpartition("/")[2])


@pytest.mark.parametrize("unproven", [False, True])
@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
@pytest.mark.parametrize("content", [b"", b"other", CONTENT + b"\0", CONTENT[:-1]])
def test_other_content_under_the_key_of_a_digest_is_never_linked(
    store: Store, digest: Digest, content: bytes, unproven: bool
) -> None:
    store.leave(content, digest, unproven=unproven)
    absent(store, digest)
    with pytest.raises(ManifestBlobUnknown):
        store.manifests.push(APP, WHO, image((digest, CONTENT)), OCI_MANIFEST, "v1")
    assert store.blobs.mount(SIDE, WHO, digest, APP) is None


def test_without_a_checksum_every_byte_is_read(store: Store) -> None:
    store.leave(CONTENT, unproven=True)
    store.faults.calls.clear()
    store.blobs.find(APP, DIGEST)
    assert "read" in store.faults.calls
    store.leave(CONTENT, DIGEST, SIDE)
    store.faults.calls.clear()
    store.blobs.find(SIDE, DIGEST)
    assert "read" not in store.faults.calls


def test_a_checksum_of_sha256_proves_nothing_about_sha512(store: Store) -> None:
    store.leave(b"other", LONG)
    absent(store, LONG)


def test_what_is_too_long_to_be_hashed_in_a_request_is_being_verified_and_can_be_pushed_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.leave(CONTENT, unproven=True)
    monkeypatch.setattr(store.storage, "head", lambda key: ObjectHead(HASHED_IN_A_REQUEST + 1, None))
    for ask in (
        lambda: store.blobs.find(APP, DIGEST),
        lambda: store.blobs.location(APP, DIGEST, None),
        lambda: store.deletions.blob(APP, DIGEST),
        lambda: store.blobs.mount(SIDE, WHO, DIGEST, APP),
        lambda: store.manifests.push(APP, WHO, image((DIGEST, CONTENT)), OCI_MANIFEST, "v1"),
    ):
        with pytest.raises(BeingVerified):
            ask()
    monkeypatch.undo()
    assert not store.holds(APP, DIGEST)
    store.push(APP, CONTENT)
    assert store.blobs.find(APP, DIGEST).size == len(CONTENT)


def test_what_is_just_short_enough_is_hashed(store: Store) -> None:
    content = bytes(HASHED_IN_A_REQUEST)
    store.leave(content, unproven=True)
    assert store.blobs.find(APP, Digest.of(content)).size == len(content)


def test_a_good_object_beside_one_that_is_being_verified_is_taken(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [store.leave(CONTENT, unproven=True) for _ in range(3)]
    head, (long, *_) = store.storage.head, sorted(keys)
    monkeypatch.setattr(
        store.storage,
        "head",
        lambda key: ObjectHead(HASHED_IN_A_REQUEST + 1, None) if key == long else head(key),
    )
    assert store.blobs.find(APP, DIGEST).key != long


def test_another_repository_or_organisation_does_not_settle_it(store: Store) -> None:
    store.leave(CONTENT)
    for repository in (SIDE, FOREIGN):
        with pytest.raises(BlobUnknown):
            store.blobs.find(repository, DIGEST)
        store.push(repository, b"makes the repository")
        with pytest.raises(BlobUnknown):
            store.blobs.find(repository, DIGEST)
    assert not store.holds(APP, DIGEST)


def test_an_object_without_a_session_of_its_repository_is_not_settled(store: Store) -> None:
    record = store.services.uploads._opening.open(APP)
    foreign_session = store.uploads.start(SIDE, WHO)
    for session_id in ("", "0" * 32, foreign_session.id, "../x", "x" * 900):
        store.storage.put(object_key(Way.API, record.id, DIGEST, session_id), CONTENT)
    absent(store)


def test_a_closed_or_cancelled_session_is_not_settled(store: Store) -> None:
    key = store.leave(CONTENT)
    store.uploads.cancel(APP, WHO, key.rpartition("/")[2])
    absent(store)
    session = store.session(APP, b"another blob")
    store.storage.put(object_key(Way.API, session.repository_id, DIGEST, session.id), CONTENT)
    store.uploads.finish(APP, WHO, session.id, Digest.of(b"another blob"), b"", None)
    absent(store)


def test_of_several_candidates_the_first_good_one_is_taken(store: Store) -> None:
    store.leave(b"torn", DIGEST)
    store.leave(CONTENT, DIGEST, unproven=True)
    store.leave(CONTENT, DIGEST)
    store.leave(b"", DIGEST, unproven=True)
    assert store.blobs.find(APP, DIGEST).size == len(CONTENT)


# ------------------------------------------------------------------ condemned objects
def test_a_condemned_object_is_linked_by_nothing(store: Store) -> None:
    store.push(SIDE, CONTENT)
    key = store.table.find_link(SIDE, DIGEST).key  # type: ignore[union-attr]
    live(store, key, ObjectState.CONDEMNED)
    assert store.blobs.mount(APP, WHO, DIGEST, SIDE) is None
    assert store.blobs.mount(APP, WHO, DIGEST, None) is None
    assert not store.holds(APP, DIGEST)
    # An upload of the same content stores it anew, and that is what the organisation has from then on.
    store.push(APP, CONTENT)
    fresh = store.table.find_link(APP, DIGEST)
    assert fresh is not None
    assert fresh.key != key
    assert store.table.find_organisation_blob("demo", DIGEST) == fresh.key


def test_a_condemned_object_is_not_settled(store: Store) -> None:
    key = store.leave(CONTENT)
    with store.faults.failing(named="put_link"), pytest.raises(Unavailable):
        store.blobs.find(APP, DIGEST)
    live(store, key, ObjectState.CONDEMNED)
    absent(store)
    live(store, key, ObjectState.LIVE)
    assert store.blobs.find(APP, DIGEST).key == key


# ------------------------------------------------------------------ deleted blobs
def delete(store: Store) -> None:
    store.deletions.blob(APP, DIGEST)
    absent(store)
    with pytest.raises(BlobUnknown):
        store.deletions.blob(APP, DIGEST)


@pytest.mark.parametrize("others", [(), (SIDE,), (FOREIGN,), (SIDE, FOREIGN)])
def test_a_deleted_blob_stays_deleted_whoever_else_holds_it(store: Store, others: Any) -> None:
    for repository in (*others, APP):
        store.push(repository, CONTENT)
    delete(store)
    for repository in others:
        assert store.blobs.find(repository, DIGEST).size == len(CONTENT)
    absent(store)
    with pytest.raises(ManifestBlobUnknown):
        store.manifests.push(APP, WHO, image((DIGEST, CONTENT)), OCI_MANIFEST, "v1")
    assert store.blobs.mount(SIDE, WHO, DIGEST, APP) is None
    absent(store)


def test_a_blob_is_deleted_with_everything_that_could_bring_it_back(store: Store) -> None:
    """Two uploads of one blob raced, and one of them died before it had linked what it stored."""
    store.leave(CONTENT)
    store.push(APP, CONTENT)
    store.leave(CONTENT, unproven=True)
    store.leave(b"torn", DIGEST)
    delete(store)


def test_a_blob_that_was_never_linked_is_deleted_too(store: Store) -> None:
    store.leave(CONTENT)
    store.leave(CONTENT)
    delete(store)


def test_looking_for_a_deleted_blob_writes_nothing(store: Store) -> None:
    """A reference that is left behind would keep the object for ever."""
    store.push(APP, CONTENT)
    (key,) = store.table._objects
    store.deletions.blob(APP, DIGEST)
    store.faults.calls.clear()
    absent(store)
    assert store.table.references(key, 10) == []
    assert not {"add_object", "add_reference", "put_link"} & set(store.faults.calls)


def test_repeating_the_request_that_pushed_it_does_not_bring_it_back(store: Store) -> None:
    session = store.session(APP, CONTENT)
    store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None)
    assert store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None).digest == DIGEST
    delete(store)
    with pytest.raises(BlobUploadUnknown):
        store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None)
    absent(store)


def test_a_deleted_blob_is_pushed_again_at_once_and_any_number_of_times(store: Store) -> None:
    for _ in range(5):
        store.push(APP, CONTENT)
        assert store.blobs.find(APP, DIGEST).size == len(CONTENT)
        delete(store)


def test_a_link_whose_ref_was_deleted_meanwhile_is_not_written(store: Store, monkeypatch: Any) -> None:
    store.push(SIDE, CONTENT)
    key = store.table.find_link(SIDE, DIGEST).key  # type: ignore[union-attr]
    put_link = store.table.put_link
    removals: list[str] = []

    def delete_between(link: Any, **named: Any) -> None:
        if len(removals) < 2:
            store.table._references.discard((key, APP, DIGEST))
            removals.append(key)
        put_link(link, **named)

    monkeypatch.setattr(store.table, "put_link", delete_between)
    assert store.blobs.mount(APP, WHO, DIGEST, SIDE) is not None
    assert len(removals) == 2
    store.deletions.blob(APP, DIGEST)
    monkeypatch.setattr(
        store.table,
        "put_link",
        lambda link, **named: (_ for _ in ()).throw(WriteConflict("deleted at the same time")),
    )
    with pytest.raises(WriteConflict):
        store.blobs.mount(APP, WHO, DIGEST, SIDE)
    assert not store.holds(APP, DIGEST)


# ------------------------------------------------------------------ who may mount what
@pytest.mark.parametrize("source", [APP, None], ids=["from", "without from"])
def test_nothing_crosses_organisations(store: Store, source: Any) -> None:
    store.push(APP, CONTENT)
    assert store.blobs.mount(FOREIGN, STRANGER, DIGEST, source) is None
    # Not even for one who may read there but not write here: the caller checks that, the source is checked here.
    assert store.blobs.mount(FOREIGN, WHO, DIGEST, None) is None
    assert store.table.find_organisation_blob("other", DIGEST) is None
    # The same content is stored again in the other organisation, under a key of its own.
    store.push(FOREIGN, CONTENT)
    ours, theirs = store.table.find_link(APP, DIGEST), store.table.find_link(FOREIGN, DIGEST)
    assert ours is not None
    assert theirs is not None
    assert ours.key != theirs.key


def test_an_organisation_stores_a_blob_once(store: Store) -> None:
    store.push(APP, CONTENT)
    store.push(SIDE, CONTENT)
    assert store.table.find_link(APP, DIGEST).key == store.table.find_link(SIDE, DIGEST).key  # type: ignore[union-attr]
    # But only for who shows all the bytes.
    store.deletions.blob(SIDE, DIGEST)
    session = store.session(SIDE, b"not the bytes")
    with pytest.raises(Exception, match="does not have that digest"):
        store.uploads.finish(SIDE, WHO, session.id, DIGEST, b"", None)
    assert not store.holds(SIDE, DIGEST)


def test_a_ref_whose_link_is_gone_gives_nothing(store: Store) -> None:
    store.push(SIDE, CONTENT)
    key = store.table.find_link(SIDE, DIGEST).key  # type: ignore[union-attr]
    store.deletions.blob(SIDE, DIGEST)
    store.table.add_reference(key, SIDE, DIGEST)
    assert store.blobs.mount(APP, WHO, DIGEST, SIDE) is None
    assert store.blobs.mount(APP, WHO, DIGEST, None) is None


class Lives(RuleBasedStateMachine):
    """Pushes, half pushes, mounts and deletes in any order, against a set of what each repository holds."""

    places = st.sampled_from([APP, SIDE, FOREIGN])
    contents = st.sampled_from([b"", b"a", b"b"])

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.held: set[Any] = set()
        self.left: set[Any] = set()

    def digest(self, content: bytes) -> Digest:
        return Digest.of(content)

    @rule(place=places, content=contents)
    def push(self, place: Any, content: bytes) -> None:
        self.store.push(place, content)
        self.held.add((place, content))

    @rule(place=places, content=contents, call=st.integers(0, 12), lost=st.booleans())
    def push_and_die(self, place: Any, content: bytes, call: int, lost: bool) -> None:
        with self.store.faults.failing(at=call, lost=lost):
            try:
                self.store.push(place, content)
            except Unavailable:
                self.left.add((place, content))
            else:
                self.held.add((place, content))

    @rule(place=places, content=contents)
    def look(self, place: Any, content: bytes) -> None:
        try:
            link = self.store.blobs.find(place, Digest.of(content))
        except BlobUnknown:
            assert (place, content) not in self.held
        else:
            assert (place, content) in self.held | self.left
            assert link.size == len(content)
            self.held.add((place, content))

    @rule(place=places, content=contents)
    def delete(self, place: Any, content: bytes) -> None:
        try:
            self.store.deletions.blob(place, Digest.of(content))
        except BlobUnknown:
            assert (place, content) not in self.held
        self.held.discard((place, content))
        self.left.discard((place, content))
        self.look(place, content)

    @rule(source=st.none() | places, place=places, content=contents)
    def mount(self, source: Any, place: Any, content: bytes) -> None:
        who = WHO if place.org == "demo" else STRANGER
        sources = [source] if source else [APP, SIDE, FOREIGN]
        possible = any((one, content) in self.held | self.left and one.org == place.org for one in sources)
        link = self.store.blobs.mount(place, who, Digest.of(content), source)
        if link is not None:
            assert possible
            self.held.add((place, content))
        elif source:
            assert (source, content) not in self.held or source.org != place.org

    @rule(seconds=st.integers(1, 10**5))
    def wait(self, seconds: int) -> None:
        self.store.clock.advance(timedelta(seconds=seconds))

    @invariant()
    def whole(self) -> None:
        self.store.check()


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
